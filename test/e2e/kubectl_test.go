// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"errors"
	"fmt"
	"html"
	"io"
	"net"
	"net/http"
	"net/url"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tegata/tegata/internal/exit"
	"github.com/tegata/tegata/internal/kubetest"
	"github.com/tegata/tegata/internal/secret"
	"github.com/tegata/tegata/test/person"
)

// newPlane is an API server that trusts the provider, and whose clusters'
// administrators are the platform engineers.
func newPlane(t *testing.T, p *provider, client string) *kubetest.ControlPlane {
	t.Helper()
	plane := kubetest.New(t, kubetest.Config{ServerFlags: []string{
		"--oidc-issuer-url=" + p.issuer, "--oidc-ca-file=" + p.ca(), "--oidc-client-id=" + client,
		"--oidc-username-claim=email", "--oidc-username-prefix=oidc:", "--oidc-groups-claim=groups", "--oidc-groups-prefix=oidc:",
	}})
	if err := plane.WaitIssuer(t.Context(), p.issuer); err != nil {
		t.Fatal(err)
	}
	admin(t, plane, "create", "clusterrolebinding", "engineers", "--clusterrole=cluster-admin", "--group=oidc:platform-engineer")
	return plane
}

// call is a kubectl command of the person, ready to start.
func (l *laptop) call(plane *kubetest.ControlPlane, args ...string) *exec.Cmd {
	command := exec.Command(plane.Binaries.Kubectl, append([]string{"--kubeconfig", filepath.Join(l.home, ".kube", "config")}, args...)...)
	command.Env = append(l.env, "KUBERC=off")
	return command
}

// remotely takes away what a browser needs: the person is elsewhere.
func (l *laptop) remotely() {
	l.env = slices.DeleteFunc(l.env, func(variable string) bool {
		return slices.ContainsFunc([]string{"DISPLAY=", "WAYLAND_DISPLAY=", "BROWSER="}, func(name string) bool { return strings.HasPrefix(variable, name) })
	})
	l.env = append(l.env, "SSH_CONNECTION=192.0.2.1 1 192.0.2.2 22")
}

// seat is a command at a terminal.
type seat struct {
	t      testing.TB
	screen lockedBuffer
	keys   io.Writer
	wait   func() error
}

// sit starts a command at a terminal.
func sit(t testing.TB, command *exec.Cmd) *seat {
	t.Helper()
	if _, err := exec.LookPath("script"); err != nil {
		t.Fatal("this test needs the program script, for a terminal: install the package bsdutils")
	}
	words := make([]string, len(command.Args))
	for i, word := range command.Args {
		words[i] = exit.Quote(word)
	}
	terminal := exec.Command("script", "-qec", strings.Join(words, " "), "/dev/null")
	terminal.Env = append(command.Env, "SHELL=/bin/sh")
	s := &seat{t: t}
	terminal.Stdout = &s.screen
	var err error
	if s.keys, err = terminal.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if err := terminal.Start(); err != nil {
		t.Fatal(err)
	}
	s.wait = terminal.Wait
	return s
}

func (s *seat) sees(what string) {
	s.t.Helper()
	eventually(s.t, 30*time.Second, func() error {
		if strings.Contains(s.screen.String(), what) {
			return nil
		}
		return fmt.Errorf("the screen does not show %q:\n%s", what, s.screen.String())
	})
}

func (s *seat) types(text string) {
	s.t.Helper()
	if _, err := io.WriteString(s.keys, text); err != nil {
		s.t.Fatal(err)
	}
}

var addressShown = regexp.MustCompile(`https://\S+/authorize\?\S+`)

// Where standard input is a terminal, a pipe or a file, with a display and
// without, for each interactiveMode: kubectl gets a token wherever somebody
// could give one, and hears why at once where nobody could.
func TestKubectlInEachPlace(t *testing.T) {
	p := serve(t, "")
	password := p.alice()
	p.tegata("", "client", "add", "kubernetes", "--public", "--redirect-uri", "http://localhost:8000")
	plane := newPlane(t, p, "kubernetes")

	// at is a laptop whose kubeconfig calls the plugin in that mode; remote
	// says that its person sits elsewhere, so that no browser can be started.
	at := func(mode string, remote bool, more ...string) *laptop {
		l := p.laptop(password, "http")
		args := l.pluginArgs("kubernetes")
		if remote {
			l.remotely()
			args = slices.DeleteFunc(args, func(arg string) bool { return strings.HasPrefix(arg, "--browser-command") })
		}
		if more != nil {
			args = append(slices.DeleteFunc(args, func(arg string) bool { return strings.HasPrefix(arg, "--listen-address") }), more...)
		}
		l.connect(plane, append([]string{
			"--exec-api-version=client.authentication.k8s.io/v1", "--exec-interactive-mode=" + mode, "--exec-command=kubectl-oidc_login",
		}, execArgs(args)...)...)
		return l
	}
	logIn := func(t *testing.T, address string) {
		t.Helper()
		who := person.Person{Login: "alice", Password: password, CAFile: p.ca()}
		if page, err := who.HTTP(t.Context(), address); err != nil || !strings.Contains(page.Text, "You are logged in") {
			t.Errorf("the person read %q, %v", page.Text, err)
		}
	}

	for _, mode := range []string{"Never", "IfAvailable"} {
		// The plugin leaves standard input to kubectl, whose it is.
		t.Run("manifest on standard input, "+mode, func(t *testing.T) {
			l := at(mode, false)
			command := l.call(plane, "create", "-f", "-")
			command.Stdin = strings.NewReader(fmt.Sprintf(`{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "%s"}}`, "made-"+strings.ToLower(mode)))
			if out, err := command.CombinedOutput(); err != nil || !strings.Contains(string(out), "created") {
				t.Errorf("%v: %s", err, out)
			}
			if n := len(l.visited()); n != 1 {
				t.Errorf("the browser was opened %d times, want once", n)
			}
		})
		t.Run("nobody is there, "+mode, func(t *testing.T) {
			l := at(mode, true)
			command := l.call(plane, "get", "pods")
			began := time.Now()
			out, err := command.CombinedOutput()
			if err == nil || !strings.Contains(string(out), "error: a login is needed, and there is neither a terminal nor a display here") ||
				!strings.Contains(string(out), "kubectl-oidc_login get-token --oidc-issuer-url="+p.issuer) {
				t.Errorf("%v: %s", err, out)
			}
			if took := time.Since(began); took > 20*time.Second {
				t.Errorf("kubectl took %s to say so", took)
			}
		})
	}

	// Standard input is not the plugin's, but a person reads what it says.
	t.Run("at a terminal, Never", func(t *testing.T) {
		l := at("Never", true)
		s := sit(t, l.call(plane, "auth", "whoami"))
		s.sees("Open this address in a browser:")
		logIn(t, addressShown.FindString(s.screen.String()))
		s.sees("oidc:alice@example.com")
		if err := s.wait(); err != nil || strings.Contains(s.screen.String(), "paste") {
			t.Errorf("%v:\n%s", err, s.screen.String())
		}
	})

	// The browser is on another machine: its address is brought back.
	t.Run("at a terminal, IfAvailable", func(t *testing.T) {
		l := at("IfAvailable", true)
		s := sit(t, l.call(plane, "auth", "whoami"))
		s.sees("paste its address here: ")
		s.types(p.answerOf(t, addressShown.FindString(s.screen.String()), password) + "\n")
		s.sees("oidc:alice@example.com")
		if err := s.wait(); err != nil {
			t.Errorf("%v:\n%s", err, s.screen.String())
		}
	})

	// Three kubeconfigs with three caches, and two addresses, as many as there
	// are by default: each login comes to its end.
	t.Run("three kubeconfigs at once", func(t *testing.T) {
		// kubectl config takes a comma in --exec-arg for the end of the argument.
		ports := []string{"--listen-address=" + freeAddress(t), "--listen-address=" + freeAddress(t)}
		start := func(scope string) *seat {
			return sit(t, at("Never", true, append(ports, "--oidc-extra-scope=email", "--oidc-extra-scope="+scope)...).call(plane, "auth", "whoami"))
		}
		finish := func(s *seat) {
			t.Helper()
			s.sees("Open this address in a browser:")
			logIn(t, addressShown.FindString(s.screen.String()))
			s.sees("oidc:alice@example.com")
			if err := s.wait(); err != nil {
				t.Errorf("%v:\n%s", err, s.screen.String())
			}
		}
		one, two := start("email"), start("groups")
		one.sees("Open this address in a browser:")
		two.sees("Open this address in a browser:")
		three := start("profile")
		three.sees("waiting for another login")
		finish(two)
		finish(three)
		finish(one)
	})

	// Ctrl-C at kubectl ends the plugin that it waits for.
	t.Run("Ctrl-C", func(t *testing.T) {
		l := at("IfAvailable", true)
		s := sit(t, l.call(plane, "auth", "whoami"))
		s.sees("paste its address here: ")
		s.types("\x03")
		if err := s.wait(); err == nil {
			t.Errorf("kubectl succeeded:\n%s", s.screen.String())
		}
		eventually(t, 5*time.Second, func() error {
			locked, err := exec.Command(filepath.Join(binDir, "kubectl-oidc_login"), "clean", "--token-cache-dir="+filepath.Join(l.home, ".kube", "cache", "oidc-login")).CombinedOutput()
			if err != nil {
				return fmt.Errorf("the plugin lives on: %s", locked)
			}
			return nil
		})
	})
}

// answerOf logs in on the provider's pages and returns the address to which
// the browser is sent at the end, without going there.
func (p *provider) answerOf(t *testing.T, address string, password secret.String) string {
	t.Helper()
	browser := p.agent(t, "")
	_, body, err := browser.send(t.Context(), http.MethodGet, strings.TrimPrefix(address, p.issuer), nil)
	if err != nil {
		t.Fatal(err)
	}
	form := sealedRequest.FindStringSubmatch(body)
	if form == nil {
		t.Fatal(errNoForm)
	}
	response, _, err := browser.send(t.Context(), http.MethodPost, "/login",
		url.Values{"request": {html.UnescapeString(form[1])}, "login": {"alice"}, "password": {password.Reveal()}})
	if err != nil {
		t.Fatal(err)
	}
	return response.Header.Get("Location")
}

func freeAddress(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().String()
}

// kubectl finds the plugin on the PATH under the name that people type, and
// has nothing to complain about.
func TestKubectlFindsThePlugin(t *testing.T) {
	p := serve(t, "")
	l := p.laptop(secret.New("nobody's"), "http")
	binaries, err := kubetest.Build(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	kubectl := func(args ...string) (string, error) {
		command := exec.Command(binaries.Kubectl, args...)
		command.Env = append(l.env, "PATH="+binDir)
		out, err := command.CombinedOutput()
		return string(out), err
	}
	got, err := kubectl("plugin", "list")
	if want := "The following compatible plugins are available:\n\n" + filepath.Join(binDir, "kubectl-oidc_login") + "\n"; err != nil || got != want {
		t.Errorf("kubectl plugin list: %v: %s", err, got)
	}
	if got, err := kubectl("oidc-login", "version"); err != nil || !strings.HasPrefix(got, "kubectl-oidc_login ") {
		t.Errorf("kubectl oidc-login version: %v: %s", err, got)
	}
	if got, err := kubectl("oidc-login", "status"); err != nil || !strings.Contains(got, "nobody is logged in") {
		t.Errorf("kubectl oidc-login status: %v: %s", err, got)
	}
	// Exit codes and hints come through.
	got, err = kubectl("oidc-login", "get-tokn")
	ended, ok := errors.AsType[*exec.ExitError](err)
	if !ok || ended.ExitCode() != exit.Usage || !strings.Contains(got, "hint: did you mean the command get-token?") {
		t.Errorf("kubectl oidc-login get-tokn: %v: %s", err, got)
	}
}
