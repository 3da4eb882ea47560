// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

// Package e2e plays the walkthroughs across both binaries, on a real control
// plane and with a real browser.
//
//   - e2e_test.go: the parts and how they are started
//   - story1_test.go: the first login, with flags and with a structured file
//   - story3_test.go: a directory, the portal and kubectl
//   - portal_test.go: the portal without script, on a phone, on a desktop
//   - axe_test.go: every page, for everybody
//   - tutorial_test.go: the commands of a tutorial
//   - setup_test.go: setup, and kubeconfigs of the older form
//   - kubectl_test.go: kubectl and the plugin, wherever they run
//   - nobrowser_test.go: password, device code, a machine, a token for one cluster
//   - lifetime_test.go: refresh, removal, ending
//   - crowd_test.go: many plugins at once
//   - load_test.go: both storages, and a load that remembers what it was answered
//   - crash_test.go: kill -9 in the middle of logins
//   - replicas_test.go: several providers on one PostgreSQL
//   - soak_test.go: the same for a long time; "make soak"
//   - page_test.go: the pages in a real browser
//   - passkey_test.go: passkeys in a real browser
//   - rotation_test.go: signing keys that change while API servers look on
package e2e

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tegata/tegata/internal/exit"
	"github.com/tegata/tegata/internal/secret"
	"github.com/tegata/tegata/test/person"
)

// The test binary is also the browser that the plugin starts: it logs in as
// the person of its environment and notes that it was asked.
const (
	browserVariable  = "TEGATA_E2E_BROWSER" // "http" or "chromium"
	loginVariable    = "TEGATA_E2E_LOGIN"
	passwordVariable = "TEGATA_E2E_PASSWORD"
	caVariable       = "TEGATA_E2E_CA"
	visitsVariable   = "TEGATA_E2E_VISITS" // a file that gets a line for each visit
)

// binDir holds the commands under test, as "make build" makes them.
var binDir string

func TestMain(m *testing.M) {
	if os.Getenv(browserVariable) != "" && len(os.Args) == 2 {
		if err := beBrowser(os.Args[1]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(exit.Failed)
		}
		return
	}
	os.Exit(run(m))
}

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "tegata-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return exit.Failed
	}
	defer os.RemoveAll(dir)
	build := exec.Command("make", "--silent", "build", "OUT="+dir+string(filepath.Separator))
	build.Dir = filepath.Join("..", "..")
	build.Env = append(os.Environ(), "MAKEFLAGS=")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "building the commands: %v\n%s", err, out)
		return exit.Failed
	}
	// kubectl finds the plugin on the PATH as "kubectl oidc-login".
	if err := os.Setenv("PATH", dir+string(filepath.ListSeparator)+os.Getenv("PATH")); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return exit.Failed
	}
	binDir = dir
	return m.Run()
}

func beBrowser(address string) (err error) {
	if err := note(os.Getenv(visitsVariable)+".begun", address); err != nil {
		return err
	}
	who := person.Person{
		Login:    os.Getenv(loginVariable),
		Password: secret.New(os.Getenv(passwordVariable)),
		CAFile:   os.Getenv(caVariable),
	}
	var page person.Page
	if os.Getenv(browserVariable) == "chromium" {
		browser, err := who.Chromium(context.Background())
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, browser.Close()) }()
		page, err = browser.LogIn(address)
		if err != nil {
			return err
		}
	} else if page, err = who.HTTP(context.Background(), address); err != nil {
		return err
	}
	return note(os.Getenv(visitsVariable), page.Title+" | "+strings.ReplaceAll(page.Text, "\n", " "))
}

// note adds a line to a file.
func note(path, line string) error {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(file, line)
	return errors.Join(err, file.Close())
}

// said collects what all programs print and log, to search it for secrets.
type said struct {
	mu      sync.Mutex // guards the fields below
	text    bytes.Buffer
	secrets map[string]string // value → what it is
}

func (s *said) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(p)
}

func (s *said) neverSay(what, value string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(value) >= 8 {
		s.secrets[value] = what
	}
}

// provider is a running "tegata serve".
type provider struct {
	t       testing.TB
	dir     string // the data directory
	issuer  string
	listen  string
	flags   []string
	said    *said
	process *exec.Cmd
	ended   chan struct{}
}

// serve starts a provider with --dev and, if it is not empty, a configuration
// file. It stops when the test ends; then everything that was said is searched
// for the secrets of the test.
func serve(t testing.TB, config string) *provider {
	t.Helper()
	return serveAt(t, "127.0.0.1:0", config)
}

// serveAt is serve on an address that is known before.
func serveAt(t testing.TB, listen, config string) *provider {
	t.Helper()
	p := &provider{t: t, dir: filepath.Join(t.TempDir(), "data"), listen: listen, said: &said{secrets: map[string]string{}}}
	if config != "" {
		path := filepath.Join(t.TempDir(), "tegata.yaml")
		if err := os.WriteFile(path, []byte(config), 0o600); err != nil {
			t.Fatal(err)
		}
		p.flags = []string{"--config", path}
	}
	t.Cleanup(func() {
		p.stop(os.Interrupt)
		p.searchForSecrets()
	})
	p.start()
	return p
}

var issuerLine = regexp.MustCompile(`(?m)^issuer: (https://\S+)$`)

// start starts the process and returns when it says that it serves.
func (p *provider) start() {
	p.t.Helper()
	args := append([]string{"serve", "--dev", "--data-dir", p.dir, "--listen", p.listen}, p.flags...)
	if _, measured := p.t.(*testing.B); !measured { // a benchmark's configuration says how much it logs
		args = append(args, "--log-level", "debug")
	}
	p.process = exec.Command(filepath.Join(binDir, "tegata"), args...)
	var out lockedBuffer
	p.process.Stdout, p.process.Stderr = io.MultiWriter(&out, p.said), p.said
	if err := p.process.Start(); err != nil {
		p.t.Fatal(err)
	}
	p.ended = make(chan struct{})
	go func(process *exec.Cmd, ended chan struct{}) {
		_ = process.Wait()
		close(ended)
	}(p.process, p.ended)
	p.t.Logf("waiting for the provider")
	eventually(p.t, 10*time.Second, func() error {
		if found := issuerLine.FindStringSubmatch(out.String()); found != nil {
			p.issuer = found[1]
			port, _, _ := strings.Cut(p.issuer[strings.LastIndex(p.issuer, ":")+1:], "/")
			p.listen = "127.0.0.1:" + port
			return nil
		}
		select {
		case <-p.ended:
			p.t.Fatalf("the provider ended:\n%s", p.said.text.String())
		default:
		}
		return errors.New("the provider does not say its issuer")
	})
}

// stop ends the process by a signal and waits for it.
func (p *provider) stop(signal os.Signal) {
	_ = p.process.Process.Signal(signal)
	select {
	case <-p.ended:
	case <-time.After(20 * time.Second):
		_ = p.process.Process.Kill()
		p.t.Errorf("the provider did not end within 20 s of %v", signal)
	}
}

func (p *provider) ca() string { return filepath.Join(p.dir, "ca.crt") }

// tegata runs an administration command beside the server and returns its
// standard output.
func (p *provider) tegata(stdin string, args ...string) string {
	p.t.Helper()
	command := exec.Command(filepath.Join(binDir, "tegata"), append(args, "--data-dir", p.dir)...)
	command.Stdin = strings.NewReader(stdin)
	var out bytes.Buffer
	command.Stdout, command.Stderr = io.MultiWriter(&out, p.said), p.said
	if strings.Join(args[:2], " ") == "client add" {
		command.Stdout = &out // a new secret is its result, this once
	}
	if err := command.Run(); err != nil {
		p.t.Fatalf("tegata %s: %v\n%s", strings.Join(args, " "), err, p.said.text.String())
	}
	return out.String()
}

// alice adds the user of the stories, with a password that nobody knows.
func (p *provider) alice() secret.String {
	p.t.Helper()
	password := rand.Text()
	p.said.neverSay("password", password)
	p.tegata("", "group", "add", "platform-engineer")
	p.tegata(password, "user", "add", "alice", "--email", "alice@example.com", "--name", "Alice Liddell",
		"--group", "platform-engineer", "--password-stdin")
	return secret.New(password)
}

// searchForSecrets fails the test if anything that must stay secret was said.
func (p *provider) searchForSecrets() {
	key, err := os.ReadFile(filepath.Join(p.dir, "key-encryption-key"))
	if err != nil {
		p.t.Error(err)
	}
	p.said.neverSay("key-encryption key", strings.TrimSpace(string(key)))
	p.said.mu.Lock()
	defer p.said.mu.Unlock()
	text := p.said.text.String()
	if text == "" {
		p.t.Error("nothing was said at all, so nothing was searched")
	}
	for value, what := range p.said.secrets {
		if strings.Contains(text, value) {
			p.t.Errorf("a %s was printed or logged", what)
		}
	}
	for _, shape := range []*regexp.Regexp{
		regexp.MustCompile(`eyJ[A-Za-z0-9_-]{20,}\.[A-Za-z0-9_-]{20,}`),                        // a JWT
		regexp.MustCompile(`[a-z2-7]{26}\.\d+\.[A-Za-z0-9_-]{43}`),                             // a refresh token
		regexp.MustCompile(`[a-z2-7]{26}\.[A-Z2-7]{26}`),                                       // a code
		regexp.MustCompile(`\$argon2id\$`),                                                     // a password hash
		regexp.MustCompile(`PRIVATE KEY`),                                                      // a key
		regexp.MustCompile(`(?i)(code_verifier|client_secret|refresh_token|password)=[^\s&]+`), // a form
	} {
		if found := shape.FindString(text); found != "" {
			p.t.Errorf("something secret was printed or logged: it looks like %s", shape)
		}
	}
	if p.t.Failed() {
		p.t.Logf("everything that was said:\n%.20000s", text)
	}
}

// laptop is one person's machine: a home with a token cache and a browser.
type laptop struct {
	p      *provider
	home   string
	visits string
	env    []string
}

// laptop makes a machine whose browser logs in as alice by itself.
func (p *provider) laptop(password secret.String, browser string) *laptop {
	p.t.Helper()
	home := p.t.TempDir()
	l := &laptop{p: p, home: home, visits: filepath.Join(home, "visits")}
	l.env = append(os.Environ(),
		"HOME="+home, "KUBECACHEDIR=", "KUBECONFIG=",
		browserVariable+"="+browser,
		loginVariable+"=alice@example.com",
		passwordVariable+"="+password.Reveal(),
		caVariable+"="+p.ca(),
		visitsVariable+"="+l.visits,
	)
	p.t.Cleanup(func() { l.visited(); l.remember() })
	return l
}

// visited returns what the browser showed at the end of each login. The
// plugin never waits for its browser; this does.
func (l *laptop) visited() []string {
	l.p.t.Helper()
	var shown []string
	eventually(l.p.t, 30*time.Second, func() error {
		shown = lines(l.p.t, l.visits)
		if begun := lines(l.p.t, l.visits+".begun"); len(begun) != len(shown) {
			return fmt.Errorf("%d browsers began and %d ended", len(begun), len(shown))
		}
		return nil
	})
	return shown
}

func lines(t testing.TB, path string) []string {
	t.Helper()
	text, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
}

// pluginArgs are the arguments of get-token for the client.
func (l *laptop) pluginArgs(client string, more ...string) []string {
	self, err := os.Executable()
	if err != nil {
		l.p.t.Fatal(err)
	}
	return append([]string{
		"get-token",
		"--oidc-issuer-url=" + l.p.issuer,
		"--oidc-client-id=" + client,
		"--certificate-authority=" + l.p.ca(),
		"--listen-address=127.0.0.1:0",
		"--browser-command=" + self + " %s",
	}, more...)
}

// plugin is a plugin process that is ready to start.
func (l *laptop) plugin(client string, more ...string) *exec.Cmd {
	command := exec.Command(filepath.Join(binDir, "kubectl-oidc_login"), l.pluginArgs(client, more...)...)
	command.Env = l.env
	command.Stderr = l.p.said
	return command
}

// remember marks the tokens of the cache as what must never be said.
func (l *laptop) remember() {
	files, err := filepath.Glob(filepath.Join(l.home, ".kube", "cache", "oidc-login", "*.json"))
	if err != nil {
		l.p.t.Error(err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			l.p.t.Error(err)
		}
		for _, found := range regexp.MustCompile(`"(\w*token)":\s*"([^"]+)"`).FindAllStringSubmatch(string(text), -1) {
			l.p.said.neverSay(found[1], found[2])
		}
	}
}

// eventually polls until do succeeds; the last error is the test's.
func eventually(t testing.TB, limit time.Duration, do func() error) {
	t.Helper()
	deadline := time.Now().Add(limit)
	for {
		err := do()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("not within %s: %v", limit, err)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

type lockedBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}
