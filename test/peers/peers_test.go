// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

// Package peers runs the plugin against an OpenID Provider that is not ours:
// the npm package oidc-provider, as a real process, over TLS with an authority
// made for the test. What our own provider offers too is played against both.
// And clients that are not ours, of the npm packages openid-client and
// oauth4webapi, go through what our provider offers. Both providers are also
// what our provider sends people to.
//
//   - peers_test.go: what both providers have in common
//   - node_test.go: oidc-provider, and how it is installed
//   - serve_test.go: "tegata serve"
//   - client_test.go: the plugin as a client of each kind, and what it shows
//   - clients_test.go: the clients that are not ours
//   - desk_test.go: the person's machine; person_test.go: who sits there
//   - the others: what is tested
package peers

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/tegata/tegata/internal/exit"
	"github.com/tegata/tegata/test/process"
)

// binDir holds the commands under test, as "make build" makes them.
var binDir string

func TestMain(m *testing.M) {
	if os.Getenv(habitVariable) != "" && len(os.Args) == 2 {
		if err := browse(os.Args[1]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(exit.Failed)
		}
		return
	}
	os.Exit(run(m))
}

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "tegata-peers-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return exit.Failed
	}
	defer os.RemoveAll(dir)
	build := exec.Command("go", "build", "-trimpath", "-o", dir+string(filepath.Separator), "../../cmd/...")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "building the commands: %v\n%s", err, out)
		return exit.Failed
	}
	binDir = dir
	return m.Run()
}

// provider is a running provider, whoever wrote it.
type provider struct {
	t        testing.TB
	name     string
	issuer   string
	caFile   string
	clients  map[kind][]string // the flags of the plugin
	password string            // alice's; empty if any will do
	scopes   []string          // the flags that bring a refresh token, e-mail address and groups
	process  *process.Process

	granted   func(grant string) int // successful answers to token requests
	secrets   func() []string        // what it handed out
	endLogins func()                 // makes each refresh token void
	replace   func()                 // another provider in its place, with other keys

	register func(id, secret, redirectURI, afterLogout string) // a client of the web
}

// onBoth runs a test against both providers at once.
func onBoth(t *testing.T, test func(*testing.T, *provider)) {
	t.Parallel()
	t.Run("oidc-provider", func(t *testing.T) { t.Parallel(); test(t, newOIDCProvider(t).provider) })
	t.Run("tegata", func(t *testing.T) { t.Parallel(); test(t, newTegata(t)) })
}

var issuerLine = regexp.MustCompile(`(?m)^issuer: (https://\S+)$`)

// start starts a program that says its issuer when it serves; its output is
// appended to a file beside its other ones.
func start(t testing.TB, command *exec.Cmd, log string) (p *process.Process, issuer string) {
	t.Helper()
	write(t, log, "")
	p, err := process.Start(command, log)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Kill)
	err = p.WaitFor(30*time.Second, func() error {
		if found := issuerLine.FindStringSubmatch(read(t, log)); found != nil {
			issuer = found[1]
			return nil
		}
		return errors.New("it does not say its issuer")
	})
	if err != nil {
		t.Fatalf("%s: %v", command.Path, err)
	}
	return p, issuer
}

// eventually polls until do succeeds; the last error is the test's.
func eventually(t testing.TB, limit time.Duration, do func() error) {
	t.Helper()
	for deadline := time.Now().Add(limit); ; time.Sleep(5 * time.Millisecond) {
		err := do()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("not within %s: %v", limit, err)
		}
	}
}

func write(t testing.TB, path, text string) string {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func read(t testing.TB, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// lines are those of a file that may not be there yet.
func lines(t testing.TB, path string) []string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	if len(text) == 0 {
		return nil
	}
	return strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
}
