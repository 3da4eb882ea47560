// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package peers

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tegata/tegata/internal/exit"
)

// desk is a person's machine: a home with a token cache, and a browser that
// does by itself what its person would do.
type desk struct {
	t        testing.TB
	provider *provider
	home     string
	visits   string // the file in which the browser notes what it saw
	habit    habit
}

func newDesk(t testing.TB, p *provider) *desk {
	t.Helper()
	home := t.TempDir()
	d := &desk{t: t, provider: p, home: home, visits: filepath.Join(home, "visits"), habit: logsIn}
	t.Cleanup(func() { d.visited() })
	return d
}

// command is a command of the plugin as a client of that kind.
func (d *desk) command(name string, k kind, more ...string) *exec.Cmd {
	d.t.Helper()
	client, ok := d.provider.clients[k]
	if !ok {
		d.t.Fatalf("%s has no client %s", d.provider.name, k)
	}
	self, err := os.Executable()
	if err != nil {
		d.t.Fatal(err)
	}
	args := []string{
		name, "--oidc-issuer-url=" + d.provider.issuer, "--certificate-authority=" + d.provider.caFile,
		"--browser-command=" + self + " %s",
	}
	if name != "logout" && name != "status" {
		args = append(args, "--listen-address=127.0.0.1:0")
	}
	return d.program(slices.Concat(args, client, more)...)
}

// program is the plugin with these arguments.
func (d *desk) program(args ...string) *exec.Cmd {
	command := exec.Command(filepath.Join(binDir, "kubectl-oidc_login"), args...)
	command.Env = []string{
		"HOME=" + d.home, "PATH=" + os.Getenv("PATH"), "OIDC_LOGIN_AUTHENTICATION_TIMEOUT_SEC=60",
		habitVariable + "=" + string(d.habit), passwordVariable + "=" + d.provider.password,
		caVariable + "=" + d.provider.caFile, visitsVariable + "=" + d.visits,
	}
	return command
}

// ended is what came of a command.
type ended struct {
	code           int
	stdout, stderr string
	took           time.Duration
}

// run runs a command to its end, and looks for secrets in what it said.
func (d *desk) run(command *exec.Cmd) ended {
	d.t.Helper()
	var stdout, stderr bytes.Buffer
	command.Stdout, command.Stderr = &stdout, &stderr
	began := time.Now()
	err := command.Run()
	e := ended{command.ProcessState.ExitCode(), stdout.String(), stderr.String(), time.Since(began)}
	if failed, ok := errors.AsType[*exec.ExitError](err); err != nil && !ok {
		d.t.Fatalf("%v: %v", failed, err)
	}
	d.searchForSecrets(command, e)
	return e
}

func (d *desk) searchForSecrets(command *exec.Cmd, e ended) {
	d.t.Helper()
	said := e.stderr
	if command.Args[1] != "get-token" {
		said += e.stdout // only get-token's result is a credential
	}
	secrets := d.provider.secrets()
	for _, file := range d.entries() {
		for _, found := range regexp.MustCompile(`"\w*token":\s*"([^"]+)"`).FindAllStringSubmatch(read(d.t, file), -1) {
			secrets = append(secrets, found[1])
		}
	}
	for _, flag := range command.Args {
		if value, ok := strings.CutPrefix(flag, "--oidc-client-secret="); ok {
			secrets = append(secrets, value)
		}
	}
	for _, secret := range secrets {
		if secret != "" && strings.Contains(said, secret) {
			d.t.Errorf("%s: something secret was said", command.Args[1])
		}
	}
}

// entries are the files that hold somebody's tokens.
func (d *desk) entries() []string {
	d.t.Helper()
	files, err := filepath.Glob(filepath.Join(d.home, ".kube", "cache", "oidc-login", "tegata-"+strings.Repeat("?", 64)+".json"))
	if err != nil {
		d.t.Fatal(err)
	}
	return files
}

// refreshToken is that of the one login.
func (d *desk) refreshToken() string {
	d.t.Helper()
	files := d.entries()
	if len(files) != 1 {
		d.t.Fatalf("there are %d logins, want 1", len(files))
	}
	var entry struct {
		RefreshToken string `json:"refresh_token"`
	}
	if err := json.Unmarshal([]byte(read(d.t, files[0])), &entry); err != nil || entry.RefreshToken == "" {
		d.t.Fatalf("the entry has no refresh token: %v", err)
	}
	return entry.RefreshToken
}

// expire makes the ID token of the one login look as if it had ended.
func (d *desk) expire() {
	d.t.Helper()
	files := d.entries()
	if len(files) != 1 {
		d.t.Fatalf("there are %d logins, want 1", len(files))
	}
	before := read(d.t, files[0])
	after := regexp.MustCompile(`"expiry":\s*\d+`).ReplaceAllString(before, `"expiry":1577836800`)
	if after == before {
		d.t.Fatal("the entry has no expiry")
	}
	write(d.t, files[0], after)
}

// token is a credential, and what stands in it.
type token struct {
	raw    string
	header struct {
		Algorithm string `json:"alg"`
		KeyID     string `json:"kid"`
	}
	claims struct {
		Subject string   `json:"sub"`
		Email   string   `json:"email"`
		Groups  []string `json:"groups"`
	}
}

// getToken gets a credential, which must work.
func (d *desk) getToken(k kind, more ...string) token {
	d.t.Helper()
	e := d.run(d.command("get-token", k, more...))
	if e.code != 0 || strings.Contains(e.stderr, "warning: ") {
		d.t.Fatalf("get-token as %s ended with %d:\n%sthe browser showed %q", k, e.code, e.stderr, d.visited())
	}
	got, err := readCredential(e.stdout)
	if err != nil {
		d.t.Fatal(err)
	}
	return got
}

func readCredential(stdout string) (token, error) {
	var credential struct {
		Status struct {
			Token               string    `json:"token"`
			ExpirationTimestamp time.Time `json:"expirationTimestamp"`
		} `json:"status"`
	}
	if err := json.Unmarshal([]byte(stdout), &credential); err != nil {
		return token{}, fmt.Errorf("the plugin printed no ExecCredential: %w", err)
	}
	if !credential.Status.ExpirationTimestamp.After(time.Now()) {
		return token{}, fmt.Errorf("the credential ended at %s", credential.Status.ExpirationTimestamp)
	}
	got := token{raw: credential.Status.Token}
	parts := strings.Split(got.raw, ".")
	if len(parts) != 3 {
		return got, nil // opaque
	}
	for i, into := range []any{&got.header, &got.claims} {
		text, err := base64.RawURLEncoding.DecodeString(parts[i])
		if err == nil {
			err = json.Unmarshal(text, into)
		}
		if err != nil {
			return token{}, err
		}
	}
	return got, nil
}

// visited is what the browser showed at the end of each visit. The plugin
// never waits for its browser; this does.
func (d *desk) visited() (shown []string) {
	d.t.Helper()
	eventually(d.t, 30*time.Second, func() error {
		shown = lines(d.t, d.visits)
		if begun := lines(d.t, d.visits+".begun"); len(begun) != len(shown) {
			return fmt.Errorf("%d browsers began and %d ended", len(begun), len(shown))
		}
		return nil
	})
	return shown
}

// visit is what the browser showed at the end of a visit, counted from 1.
func (d *desk) visit(number int) (shown string) {
	d.t.Helper()
	eventually(d.t, 10*time.Second, func() error {
		visits := lines(d.t, d.visits)
		if len(visits) < number {
			return fmt.Errorf("the browser ended %d visits, want %d", len(visits), number)
		}
		shown = visits[number-1]
		return nil
	})
	return shown
}

// atTerminal runs a command at a terminal and returns what the screen shows.
func (d *desk) atTerminal(command *exec.Cmd) string {
	d.t.Helper()
	if _, err := exec.LookPath("script"); err != nil {
		d.t.Fatal("this test needs the program script, for a terminal: install the package bsdutils")
	}
	words := make([]string, len(command.Args))
	for i, word := range command.Args {
		words[i] = exit.Quote(word)
	}
	words[0] = command.Path
	terminal := exec.Command("script", "-qec", strings.Join(words, " ")+" >"+exit.Quote(filepath.Join(d.home, "stdout")), "/dev/null")
	terminal.Env = append(command.Env, "SHELL=/bin/sh")
	screen, err := terminal.CombinedOutput()
	if err != nil {
		d.t.Errorf("%v:\n%s", err, screen)
	}
	return string(screen)
}
