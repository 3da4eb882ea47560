// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package plugin_test

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tegata/tegata/internal/oidc"
	"github.com/tegata/tegata/internal/oidctest"
	"github.com/tegata/tegata/internal/plugin"
)

// changeGrants turns words of a script into behaviour of the grants without a
// redirect.
func changeGrants(b *oidctest.Behaviour, args []string) bool {
	value := args[len(args)-1]
	number, _ := strconv.ParseFloat(value, 64)
	switch args[0] {
	case "no-device":
		b.NoDevice = true
	case "device-interval":
		b.DeviceInterval = number
	case "device-expires":
		b.DeviceExpires = number
	case "device-approves":
		b.DeviceApproves = int(number)
	case "device-slows":
		b.DeviceSlows = int(number)
	case "device-refuses":
		b.DeviceRefusal = oidc.ErrorCode(value)
	case "device-uri-alone":
		b.DeviceURIAlone = true
	case "device-broken":
		b.DeviceBroken = true
	case "password":
		b.Passwords = map[string]string{args[1]: args[2]}
	case "client-id-token":
		b.ClientIDToken = true
	case "no-expires-in":
		b.NoExpiresIn = true
	default:
		return false
	}
	return true
}

func TestChooseGrant(t *testing.T) {
	var (
		desktop    = plugin.Place{Desktop: true, Display: true}
		terminal   = plugin.Place{Desktop: true, Display: true, Terminal: true, Answers: true}
		remote     = plugin.Place{Terminal: true, Answers: true}                // SSH, a container, WSL without an opener
		forwarded  = plugin.Place{Display: true, Terminal: true, Answers: true} // SSH with a display
		never      = plugin.Place{Terminal: true}                               // the same with interactive: false
		nobody     = plugin.Place{}
		background = plugin.Place{Display: true} // SSH with a display, in the background
	)
	with := func(p plugin.Place, change func(*plugin.Place)) plugin.Place { change(&p); return p }
	skip := func(p *plugin.Place) { p.SkipBrowser = true }
	username := func(p *plugin.Place) { p.Username = true }
	password := func(p *plugin.Place) { p.Username, p.Password = true, true }
	for _, test := range []struct {
		name   string
		place  plugin.Place
		asked  string
		device bool   // the provider offers it
		want   string // empty: nobody is there
		asks   bool   // the provider is asked what it offers
	}{
		{"desktop", desktop, "auto", true, "authcode", false},
		{"terminal of a desktop", terminal, "auto", true, "authcode", false},
		{"remote", remote, "auto", true, "device-code", true},
		{"remote, no device code", remote, "auto", false, "authcode", true},
		{"forwarded display", forwarded, "auto", true, "device-code", true},
		{"remote, interactive false", never, "auto", true, "device-code", true},
		{"remote, interactive false, no device code", never, "auto", false, "authcode", true},
		{"nobody", nobody, "auto", true, "", false},
		{"background with a display", background, "auto", true, "authcode", false},
		{"told to print", with(nobody, skip), "auto", true, "authcode", false},
		{"username at a desktop", with(terminal, username), "auto", true, "password", false},
		{"username, nobody", with(nobody, username), "auto", true, "", false},
		{"username and password, nobody", with(nobody, password), "auto", true, "password", false},
		{"password, interactive false", with(never, username), "password", true, "", false},
		{"password, remote", remote, "password", true, "password", false},
		{"device code, nobody", nobody, "device-code", true, "", false},
		{"device code, interactive false", never, "device-code", true, "device-code", false},
		{"device code at a desktop", desktop, "device-code", true, "device-code", false},
		{"keyboard, interactive false", never, "authcode-keyboard", true, "", false},
		{"keyboard, remote", remote, "authcode-keyboard", true, "authcode-keyboard", false},
		{"authcode, remote", remote, "authcode", true, "authcode", false},
		{"authcode, nobody", nobody, "authcode", true, "", false},
		{"client credentials, nobody", nobody, "client-credentials", true, "client-credentials", false},
	} {
		t.Run(test.name, func(t *testing.T) {
			asked := false
			got, err := plugin.Choose(test.place, test.asked, func() (bool, error) { asked = true; return test.device, nil })
			if got != test.want || (err != nil) != (test.want == "") || asked != test.asks {
				t.Errorf("got %q, %v, the provider asked = %v; want %q, %v", got, err, asked, test.want, test.asks)
			}
		})
	}
	unreachable := errors.New("unreachable")
	if _, err := plugin.Choose(remote, "auto", func() (bool, error) { return false, unreachable }); !errors.Is(err, unreachable) {
		t.Errorf("got %v, want what kept the provider from answering", err)
	}
}

// seat is a person's seat at a terminal.
type seat struct {
	*desk
	screen lockedBuffer
	keys   io.Writer
	ended  func() error
}

// sit starts a shell line at a terminal, as a process that can be typed at.
func (d *desk) sit(line string, env ...string) *seat {
	d.t.Helper()
	if _, err := exec.LookPath("script"); err != nil {
		d.t.Fatal("this test needs the program script, for a terminal: install the package bsdutils")
	}
	c := exec.Command("script", "-qec", line, "/dev/null")
	c.Env = append(append(d.command().Env, "AT_TERMINAL=1", "SHELL=/bin/sh", "BROWSER="), env...)
	s := &seat{desk: d}
	keys, err := c.StdinPipe()
	if err != nil {
		d.t.Fatal(err)
	}
	s.keys, c.Stdout = keys, &s.screen
	if err := c.Start(); err != nil {
		d.t.Fatal(err)
	}
	s.ended = c.Wait
	return s
}

func (s *seat) sees(what string) {
	s.t.Helper()
	eventually(s.t, "the screen shows "+what+", not "+s.screen.String(), func() bool { return strings.Contains(s.screen.String(), what) })
}

func (s *seat) types(text string) { io.WriteString(s.keys, text) } //nolint:errcheck // the screen will tell

var addressShown = regexp.MustCompile(`https://\S+/authorize\?\S+`)

// otherMachine is a browser that does not reach our callback: it returns the
// address that it was sent to.
func (d *desk) otherMachine(address string) string {
	d.t.Helper()
	agent := oidctest.UserAgent(d.provider.CA())
	agent.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	response, err := agent.Get(address)
	if err != nil {
		d.t.Fatal(err)
	}
	defer response.Body.Close()
	return response.Header.Get("Location")
}

// Over SSH, with a provider without device codes: the browser on the other
// machine ends at an address that it cannot open, and that address is pasted.
func TestPasteBesideTheCallback(t *testing.T) {
	d := newDesk(t)
	d.provider.Change(func(b *oidctest.Behaviour) { b.NoDevice = true })
	s := d.sit("get-token", "SSH_CONNECTION=192.0.2.1 1 192.0.2.2 22")
	s.sees("paste its address here: ")
	s.types("https://id.example.com/?code=alien&state=alien\n")
	s.sees("that is the answer to another login")
	s.types(d.otherMachine(addressShown.FindString(s.screen.String())) + "\n")
	s.sees(`"token":`)
	if err := s.ended(); err != nil {
		t.Errorf("%v\n%s", err, s.screen.String())
	}
}

// While the prompt waits, the callback works too: a port may be forwarded.
func TestCallbackBesideThePrompt(t *testing.T) {
	d := newDesk(t)
	d.provider.Change(func(b *oidctest.Behaviour) { b.NoDevice = true })
	s := d.sit("get-token", "SSH_TTY=/dev/pts/0")
	s.sees("paste its address here: ")
	if page, err := oidctest.Visit(t.Context(), oidctest.UserAgent(d.provider.CA()), addressShown.FindString(s.screen.String()), ""); err != nil || page.Status != 200 {
		t.Fatalf("visiting: %v %d", err, page.Status)
	}
	s.sees(`"token":`)
	if err := s.ended(); err != nil {
		t.Errorf("%v\n%s", err, s.screen.String())
	}
}

// authcode-keyboard takes a code, or the address in which it stands, also out
// of a pipe if nobody else owns standard input.
func TestKeyboard(t *testing.T) {
	const elsewhere = "--oidc-redirect-url=http://localhost:9/callback"
	for _, test := range []struct {
		name  string
		args  []string
		wrong []string                   // is refused, and asked for again
		right func(*desk, string) string // what the person brings
		want  string                     // of the error
	}{
		{"code", nil, nil, func(d *desk, address string) string {
			page, err := oidctest.Visit(d.t.Context(), oidctest.UserAgent(d.provider.CA()), address, "")
			if err != nil {
				d.t.Fatal(err)
			}
			return page.Body
		}, ""},
		{"address", []string{elsewhere}, []string{"", "http://localhost:9/callback?code=x&state=alien", "http://localhost:9/", "two words"}, (*desk).otherMachine, ""},
		{"wrong code", nil, nil, func(*desk, string) string { return "nonsense" }, "the provider refused to exchange the code: invalid_grant"},
	} {
		t.Run(test.name, func(t *testing.T) {
			d := newDesk(t)
			c := d.command(append(test.args, "--grant-type=authcode-keyboard")...)
			keys, err := c.StdinPipe()
			if err != nil {
				t.Fatal(err)
			}
			var stdout bytes.Buffer
			var stderr lockedBuffer
			c.Stdout, c.Stderr = &stdout, &stderr
			if err := c.Start(); err != nil {
				t.Fatal(err)
			}
			eventually(t, "the question", func() bool { return strings.Contains(stderr.String(), "Enter code: ") })
			address := addressShown.FindString(stderr.String())
			redirect := "redirect_uri=urn%3Aietf%3Awg%3Aoauth%3A2.0%3Aoob"
			if test.args != nil {
				redirect = "redirect_uri=http%3A%2F%2Flocalhost%3A9%2Fcallback"
			}
			if !strings.Contains(address, redirect) || !strings.Contains(address, "code_challenge=") {
				t.Errorf("got the address %s, want %s and PKCE in it", address, redirect)
			}
			for n, wrong := range test.wrong {
				io.WriteString(keys, wrong+"\n") //nolint:errcheck // the next line tells
				eventually(t, "the question again after "+wrong, func() bool { return strings.Count(stderr.String(), "Enter code: ") == n+2 })
			}
			io.WriteString(keys, test.right(d, address)+"\n") //nolint:errcheck // see above
			err = c.Wait()
			if test.want != "" {
				if err == nil || !strings.Contains(stderr.String(), test.want) {
					t.Errorf("got %v and %s, want %q", err, stderr.String(), test.want)
				}
			} else if err != nil || !strings.Contains(stdout.String(), `"token":`) {
				t.Errorf("got %v, %q and %s", err, stdout.String(), stderr.String())
			}
			for _, issued := range d.provider.Issued() {
				if strings.Contains(stderr.String(), issued) {
					t.Errorf("the messages hold a secret:\n%s", stderr.String())
				}
			}
		})
	}
}

// Ctrl-C works at each prompt, ends with 130, and gives the echo back.
func TestInterruptEndsEachPrompt(t *testing.T) {
	for prompt, args := range map[string]string{
		"Username: ":   "--grant-type=password",
		"Password: ":   "--username=alice",
		"Enter code: ": "--grant-type=authcode-keyboard",
		"address here": "--grant-type=authcode",
	} {
		t.Run(strings.Trim(prompt, ": "), func(t *testing.T) {
			t.Parallel()
			d := newDesk(t)
			s := d.sit(`trap : INT; get-token ` + args + `; echo "ended with $?"; stty -a`)
			s.sees(prompt)
			if prompt == "Password: " {
				eventually(t, "the echo is off", func() bool { return !echoes(t, s) })
			}
			s.types("\x03")
			s.sees("ended with 130")
			eventually(t, "the settings of the terminal", func() bool { return regexp.MustCompile(`[ -]echo[ ;]`).MatchString(s.screen.String()) })
			if strings.Contains(s.screen.String(), "-echo ") {
				t.Errorf("the echo is off:\n%s", s.screen.String())
			}
			s.types("\x04")
			s.ended() //nolint:errcheck // the shell was interrupted too
		})
	}
}

// echoes types a character that is taken back, and looks whether it was shown.
func echoes(t *testing.T, s *seat) bool {
	t.Helper()
	before := strings.Count(s.screen.String(), "z")
	s.types("z")
	time.Sleep(20 * time.Millisecond) //nolint:forbidigo // another process
	s.types("\x7f")
	return strings.Count(s.screen.String(), "z") > before
}

// SIGTERM at the prompts, and while a device code waits.
func TestTerminationEndsEachGrant(t *testing.T) {
	for name, test := range map[string]struct {
		args  []string
		waits string
	}{
		"device":   {[]string{"--grant-type=device-code", "--skip-open-browser"}, "the code"},
		"keyboard": {[]string{"--grant-type=authcode-keyboard"}, "Enter code: "},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newDesk(t)
			c := d.command(test.args...)
			keys, err := c.StdinPipe()
			if err != nil {
				t.Fatal(err)
			}
			defer keys.Close()
			var stderr lockedBuffer
			c.Stderr = &stderr
			if err := c.Start(); err != nil {
				t.Fatal(err)
			}
			eventually(t, test.waits, func() bool { return strings.Contains(stderr.String(), test.waits) })
			if err := c.Process.Signal(syscall.SIGTERM); err != nil {
				t.Fatal(err)
			}
			var ended *exec.ExitError
			if err := c.Wait(); !errors.As(err, &ended) || ended.ExitCode() != 130 {
				t.Errorf("got %v, want exit code 130", err)
			}
		})
	}
}

// kubectl starts a plugin that fails five times for one command: one person is
// asked once. The next command is a new question.
func TestOneCommandAsksOnce(t *testing.T) {
	d := newDesk(t)
	d.provider.Change(func(b *oidctest.Behaviour) { b.DeviceRefusal = oidc.AccessDenied })
	info := `KUBERNETES_EXEC_INFO={"kind":"ExecCredential","apiVersion":"client.authentication.k8s.io/v1","spec":{"interactive":true}}`
	five := `sh -c "for i in 1 2 3 4 5; do get-token --grant-type=device-code; done; exit 0"`
	for command := 1; command <= 2; command++ {
		s := d.sit(five, info)
		if err := s.ended(); err != nil {
			t.Fatal(err)
		}
		if got := d.provider.Count(oidctest.DeviceAuthorization); got != command {
			t.Errorf("after %d commands the person was asked %d times:\n%s", command, got, s.screen.String())
		}
		if got := strings.Count(s.screen.String(), "access_denied"); got != 5 {
			t.Errorf("the reason was given %d times, want 5:\n%s", got, s.screen.String())
		}
	}
	// Typed by hand, nothing is held up.
	s := d.sit("get-token --grant-type=device-code; get-token --grant-type=device-code; exit 0")
	if err := s.ended(); err != nil {
		t.Fatal(err)
	}
	if got := d.provider.Count(oidctest.DeviceAuthorization); got != 4 {
		t.Errorf("got %d questions, want 4:\n%s", got, s.screen.String())
	}
}

// The code is shown wherever standard error goes, browser or not.
func TestUserCodeIsAlwaysShown(t *testing.T) {
	for _, args := range [][]string{nil, {"--skip-open-browser"}, {"--browser-command=browser visit"}} {
		d := newDesk(t)
		d.provider.Change(func(b *oidctest.Behaviour) { b.DeviceApproves = 2 })
		var stderr bytes.Buffer
		c := d.command(append(args, "--grant-type=device-code")...)
		c.Stderr = &stderr
		if err := c.Run(); err != nil {
			t.Fatalf("%v\n%s", err, stderr.String())
		}
		if !regexp.MustCompile(`code [A-Z2-7]{4}-[A-Z2-7]{4}:`).MatchString(stderr.String()) {
			t.Errorf("%q: got %s", args, stderr.String())
		}
	}
}

// changeDevice lets the provider approve at the poll of that number.
func (d *desk) changeDevice(poll int) {
	d.provider.Change(func(b *oidctest.Behaviour) { b.DeviceApproves = poll })
}
