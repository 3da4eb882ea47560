// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package peers

import (
	"bytes"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// A refresh token that was revoked at the provider: a new login, and its
// reason.
func TestRevokedRefreshTokenLeadsToALogin(t *testing.T) {
	onBoth(t, func(t *testing.T, p *provider) {
		d := newDesk(t, p)
		first := d.getToken(public, p.scopes...)
		p.endLogins()
		// What was handed out is good until it ends.
		if again := d.getToken(public, p.scopes...); again.raw != first.raw {
			t.Error("a valid token was not used")
		}
		e := d.run(d.command("get-token", public, append(p.scopes, "--force-refresh", "-v=1")...))
		if e.code != 0 || !strings.Contains(e.stderr, "the provider no longer accepts the refresh token") {
			t.Errorf("got %d: %s", e.code, e.stderr)
		}
		if n := len(d.visited()); n != 2 {
			t.Errorf("%d logins, want 2", n)
		}
		// At a terminal it is said without being asked.
		p.endLogins()
		screen := d.atTerminal(d.command("get-token", public, append(p.scopes, "--force-refresh")...))
		if !strings.Contains(screen, "a new login is needed: the provider no longer accepts the refresh token") {
			t.Errorf("the terminal showed:\n%s", screen)
		}
	})
}

// A key that is not known is fetched, once.
func TestNewSigningKeyIsFetchedOnce(t *testing.T) {
	t.Parallel()
	o := newOIDCProvider(t)
	d := newDesk(t, o.provider)
	before := d.getToken(public, o.scopes...)
	o.newKeys()
	o.forget()
	after := d.getToken(public, append(o.scopes, "--force-refresh")...)
	if after.header.KeyID == before.header.KeyID {
		t.Fatal("the provider signs with the old key, so this shows nothing")
	}
	if got := o.requests(); !slices.Equal(got, []string{"POST /token OK", "GET /jwks OK"}) {
		t.Errorf("the refresh asked %q, want one token request and the keys", got)
	}
	o.forget()
	d.getToken(public, append(o.scopes, "--force-refresh")...)
	if got := o.requests(); !slices.Equal(got, []string{"POST /token OK"}) {
		t.Errorf("the next refresh asked %q, want one request", got)
	}
	if n := len(d.visited()); n != 1 {
		t.Errorf("%d logins, want 1", n)
	}
}

// Another provider at the same address, with other keys, that knows nobody:
// one login, and all is well.
func TestProviderThatLostEverything(t *testing.T) {
	onBoth(t, func(t *testing.T, p *provider) {
		d := newDesk(t, p)
		before := d.getToken(public, p.scopes...)
		p.replace()
		after := d.getToken(public, append(p.scopes, "--force-refresh")...)
		if after.header.KeyID == before.header.KeyID {
			t.Fatal("the other provider has the same key, so this shows nothing")
		}
		d.getToken(public, append(p.scopes, "--force-refresh")...)
		if n := len(d.visited()); n != 2 {
			t.Errorf("%d logins, want 2", n)
		}
		if n := p.granted("refresh_token"); n != 1 {
			t.Errorf("%d refreshes at the other provider, want 1", n)
		}
	})
}

// Twenty processes with an expired token, and a provider that ends a login
// when a refresh token comes twice: one refresh, and everybody has its token.
func TestCrowdSharesOneRefresh(t *testing.T) {
	onBoth(t, func(t *testing.T, p *provider) {
		const size = 20
		flags := append(p.scopes, "--oidc-request-header=A=1,B=2,C=3")
		d := newDesk(t, p)
		before := d.getToken(public, flags...)
		d.expire()
		tokens := make([]string, size)
		var all sync.WaitGroup
		for i := range size {
			all.Go(func() {
				command := d.command("get-token", public, flags...)
				var stderr bytes.Buffer
				command.Stderr = &stderr
				stdout, err := command.Output()
				if err != nil || stderr.Len() > 0 {
					t.Errorf("process %d: %v: %s", i, err, stderr.String())
					return
				}
				got, err := readCredential(string(stdout))
				if err != nil {
					t.Errorf("process %d: %v", i, err)
				}
				tokens[i] = got.raw
			})
		}
		all.Wait()
		slices.Sort(tokens)
		if tokens = slices.Compact(tokens); len(tokens) != 1 || tokens[0] == before.raw {
			t.Errorf("%d different tokens, want one new one", len(tokens))
		}
		if n := p.granted("refresh_token"); n != 1 {
			t.Errorf("%d refreshes, want 1", n)
		}
		d.getToken(public, append(flags, "--force-refresh")...)
		if n := len(d.visited()); n != 1 {
			t.Errorf("%d logins, want 1: the refresh token was lost", n)
		}
	})
}

// A provider that accepts connections and says nothing: there is an end to
// waiting, Ctrl-C is an end too, and nothing is lost by it. (How long a refresh
// waits is tested in internal/login, with a clock that need not be waited for.)
func TestStalledProvider(t *testing.T) {
	onBoth(t, func(t *testing.T, p *provider) {
		withLogin, without := newDesk(t, p), newDesk(t, p)
		withLogin.getToken(public, p.scopes...)
		p.process.Signal(syscall.SIGSTOP)
		var all sync.WaitGroup
		all.Go(func() {
			e := without.run(without.command("get-token", public))
			if e.code != 1 || e.took > 40*time.Second || !strings.Contains(e.stderr, "did not answer in time\nhint: check the network") {
				t.Errorf("login: got %d after %s: %s", e.code, e.took, e.stderr)
			}
		})
		another := newDesk(t, p)
		refresh := append(p.scopes, "--force-refresh")
		all.Go(func() { interrupt(t, func() *exec.Cmd { return another.command("get-token", public) }) })
		all.Go(func() { interrupt(t, func() *exec.Cmd { return withLogin.command("get-token", public, refresh...) }) })
		all.Go(func() { interrupt(t, func() *exec.Cmd { return withLogin.command("logout", public) }) })
		all.Wait()

		// It goes on, and the refresh token is as good as before.
		p.process.Signal(syscall.SIGCONT)
		withLogin.getToken(public, append(p.scopes, "--force-refresh")...)
		if n := len(withLogin.visited()); n != 1 {
			t.Errorf("%d logins, want 1", n)
		}
		if n := len(without.visited()); n != 0 {
			t.Errorf("a browser was opened for a provider that is not there")
		}
	})
}

// interrupt starts a command, lets it wait, and sends what Ctrl-C sends.
func interrupt(t testing.TB, start func() *exec.Cmd) {
	t.Helper()
	for wait := 500 * time.Millisecond; ; wait *= 2 {
		command := start()
		var stderr bytes.Buffer
		command.Stderr = &stderr
		if err := command.Start(); err != nil {
			t.Error(err)
			return
		}
		time.Sleep(wait) // it waits for an answer, or for the lock
		began := time.Now()
		if err := command.Process.Signal(syscall.SIGINT); err != nil {
			t.Errorf("it did not wait: %v: %s", err, stderr.String())
		}
		_ = command.Wait()
		code, took := command.ProcessState.ExitCode(), time.Since(began)
		if code == -1 && wait < 5*time.Second {
			continue // the signal came before the program was ready for one
		}
		if code != 130 || took > 5*time.Second {
			t.Errorf("Ctrl-C: got %d after %s: %s", code, took, stderr.String())
		}
		return
	}
}
