// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bytes"
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"
)

// credential is what the plugin prints for kubectl.
type credential struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	Status     struct {
		Token               string    `json:"token"`
		ExpirationTimestamp time.Time `json:"expirationTimestamp"`
	} `json:"status"`
}

// credential runs the plugin and reads what it prints.
func (l *laptop) credential(t *testing.T, client string, more ...string) credential {
	t.Helper()
	command := l.plugin(client, more...)
	var problems bytes.Buffer
	command.Stderr = &problems
	out, err := command.Output()
	l.p.said.Write(problems.Bytes())
	if err != nil {
		t.Fatalf("kubectl-oidc_login: %v\n%s", err, problems.String())
	}
	var c credential
	if err := json.Unmarshal(out, &c); err != nil {
		t.Fatalf("the plugin printed no ExecCredential: %v", err)
	}
	l.p.said.neverSay("ID token", c.Status.Token)
	l.remember()
	return c
}

// An ID token is used until it is about to expire, then the refresh token,
// then, when that is void too, the browser.
func TestRenewalComesBeforeTheBrowser(t *testing.T) {
	p := serve(t, "lifetimes: {id_token: 14s, access_token: 14s}\n")
	password := p.alice()
	p.tegata("", "client", "add", "kubernetes", "--public", "--redirect-uri", "http://localhost:8000")
	l := p.laptop(password, "http")

	first := l.credential(t, "kubernetes")
	if again := l.credential(t, "kubernetes"); again.Status.Token != first.Status.Token {
		t.Error("a valid token was not used again")
	}
	eventually(t, 10*time.Second, func() error {
		if l.credential(t, "kubernetes").Status.Token == first.Status.Token {
			return os.ErrDeadlineExceeded
		}
		return nil
	})
	if n := len(l.visited()); n != 1 {
		t.Fatalf("the browser was opened %d times, want once: a refresh needs no browser", n)
	}

	// A second laptop does not end the login of the first.
	second := p.laptop(password, "http")
	second.credential(t, "kubernetes")
	l.credential(t, "kubernetes", "--force-refresh")
	if n := len(l.visited()); n != 1 {
		t.Fatalf("the login on a second laptop ended that of the first")
	}

	// A new password ends every login; then the browser asks again.
	p.tegata(password.Reveal(), "user", "set-password", "alice", "--password-stdin")
	l.credential(t, "kubernetes", "--force-refresh")
	if n := len(l.visited()); n != 2 {
		t.Errorf("the browser was opened %d times, want twice", n)
	}
}

// The refresh token outlives a restart of the provider, and so do its keys.
func TestRestartLosesNothing(t *testing.T) {
	p := serve(t, "")
	password := p.alice()
	p.tegata("", "client", "add", "kubernetes", "--public", "--redirect-uri", "http://localhost:8000")
	l := p.laptop(password, "http")
	before := l.credential(t, "kubernetes")
	p.stop(os.Interrupt)

	// While it is down, the plugin says so, keeps what it has and asks nobody.
	command := l.plugin("kubernetes", "--force-refresh")
	var problems bytes.Buffer
	command.Stderr = &problems
	if err := command.Run(); err == nil {
		t.Error("a refresh succeeded without a provider")
	}
	if got := problems.String(); !strings.Contains(got, "error: ") || !strings.Contains(got, "hint: ") {
		t.Errorf("without a provider the plugin said %q", got)
	}

	p.start()
	after := l.credential(t, "kubernetes", "--force-refresh")
	if before.Status.Token == after.Status.Token {
		t.Error("the token was not renewed")
	}
	if n := len(l.visited()); n != 1 {
		t.Errorf("the browser was opened %d times, want once", n)
	}
}
