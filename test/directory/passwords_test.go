// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package directory_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/tegata/tegata/internal/audit"
	"github.com/tegata/tegata/test/directory"
)

const (
	mustChange = "Your password must be changed before you can go on."
	tooShort   = "Password fails quality checking policy" // in the words of slapd
)

// changing is a directory in which people can change their password.
func changing(s *directory.Server) settings {
	source := corp(s)
	source.of("ldap")["password_change"] = "extended"
	return source
}

func (b *browser) changePassword(old, fresh, repeated string) page {
	b.p.t.Helper()
	got, err := b.submit("/login/password", url.Values{"password": {old}, "new": {fresh}, "repeated": {repeated}})
	if err != nil {
		b.p.t.Fatal(err)
	}
	return got
}

func TestAPasswordThatMustBeChanged(t *testing.T) {
	t.Parallel()
	p := serve(t, settings{"name": "local"}, changing(laboratory(t)))
	b := p.browser()
	if got := b.logIn("corp", "fresh", "fresh-password"); got.code != "" || got.problem != "" || !strings.Contains(got.text, mustChange) {
		t.Fatalf("got %d: %s", got.status, got.text)
	}
	for _, test := range []struct{ name, old, fresh, repeated, want string }{
		{"two that differ", "fresh-password", "a better-password", "another-password", "The two new passwords are not the same."},
		{"one that the directory refuses", "fresh-password", "short", "short", tooShort},
		{"the wrong old one", "wrong-password", "a better-password", "a better-password", wrongCredentials},
		{"an empty one", "fresh-password", "", "", "it is empty"},
		{"without the old one", "", "a better-password", "a better-password", wrongCredentials},
	} {
		if got := b.changePassword(test.old, test.fresh, test.repeated); got.code != "" || !strings.Contains(got.problem, test.want) {
			t.Errorf("%s: got %d: %s; want %q", test.name, got.status, got.text, test.want)
		}
	}
	if events := p.recorded(audit.PasswordChanged); len(events) != 0 {
		t.Errorf("the audit trail has a change that there was not: %+v", events)
	}
	said := b.redeem(b.changePassword("fresh-password", "a better-password", "a better-password")).claims(t)
	if said.Username != "fresh" {
		t.Errorf("the login went on as %+v", said)
	}
	events := p.recorded(audit.PasswordChanged)
	if len(events) != 1 || events[0].Subject != said.Subject || events[0].Source != "corp" || events[0].Client != "kubernetes" {
		t.Errorf("in the audit trail: %+v", events)
	}
	if got := p.browser().logIn("corp", "fresh", "fresh-password"); !strings.Contains(got.problem, wrongCredentials) {
		t.Errorf("with the old password: %s", got.text)
	}
	p.logIn("corp", "fresh", "a better-password")
}

// Where the configuration does not say how, the page says where to go.
func TestAPasswordThatIsChangedElsewhere(t *testing.T) {
	t.Parallel()
	p := serve(t, corp(laboratory(t)))
	b := p.browser()
	got := b.logIn("", "fresh", "fresh-password")
	if !strings.Contains(got.problem, expired+" Change it where you usually do") || strings.Contains(b.body, "/login/password") {
		t.Errorf("got %d: %s", got.status, got.text)
	}
	if got := b.changePassword("fresh-password", "a better-password", "a better-password"); got.code != "" || got.status == http.StatusOK {
		t.Errorf("a form that was never shown: got %d: %s", got.status, got.text)
	}
}

// The directory refuses a login with a password that has expired, and takes a
// new one together with it.
func TestAPasswordThatIsTooOld(t *testing.T) {
	t.Parallel()
	server := directory.Start(t, person("uid=late", "late",
		"pwdChangedTime: 20200101000000Z\npwdPolicySubentry: "+directory.AgingPolicy+"\n"))
	p := serve(t, changing(server))
	b := p.browser()
	if got := b.logIn("", "late", "late-password"); got.code != "" || !strings.Contains(got.text, mustChange) {
		t.Fatalf("got %d: %s", got.status, got.text)
	}
	if got := b.changePassword("late-password", "short", "short"); got.code != "" || !strings.Contains(got.problem, tooShort) {
		t.Errorf("one that the directory refuses: got %d: %s", got.status, got.text)
	}
	if said := b.redeem(b.changePassword("late-password", "a better-password", "a better-password")).claims(t); said.Username != "late" {
		t.Errorf("the login went on as %+v", said)
	}
}

// Nobody is told that a password was changed, or that it was wrong, when the
// directory has not said so.
func TestAPasswordChangeWhileTheDirectoryIsDown(t *testing.T) {
	t.Parallel()
	server := laboratory(t)
	p := serve(t, changing(server))
	b := p.browser()
	b.logIn("", "fresh", "fresh-password")
	server.Process().Kill()
	got := b.changePassword("fresh-password", "a better-password", "a better-password")
	if got.status != http.StatusServiceUnavailable || !strings.Contains(got.problem, unavailable) {
		t.Errorf("got %d: %s", got.status, got.text)
	}
	server.Restart(t)
	b.redeem(b.changePassword("fresh-password", "a better-password", "a better-password")) // on the same page
}

func TestAccountsThatAreLocked(t *testing.T) {
	t.Parallel()
	p := serve(t, corp(laboratory(t)))
	alice, _ := p.logIn("", "alice", "alice-password")
	for range 5 {
		if got := p.browser().logIn("", "alice", "wrong-password"); !strings.Contains(got.problem, wrongCredentials) {
			t.Fatal(got.text)
		}
	}
	got := p.browser().logIn("", "alice", "alice-password")
	if got.status != http.StatusForbidden || !strings.Contains(got.problem, locked) {
		t.Errorf("after five wrong passwords: got %d: %s", got.status, got.text)
	}
	alice.mustRefresh() // anybody can lock an account; it throws nobody out
	if got := p.browser().logIn("", "locked", "locked-password"); got.code != "" || !strings.Contains(got.problem, "This user is disabled.") {
		t.Errorf("locked by an administrator: got %d: %s", got.status, got.text)
	}
	refusals := p.recorded(audit.LoginRefused)
	if len(refusals) != 7 || refusals[5].Reason != "user-locked" || refusals[5].Subject != "" {
		t.Errorf("in the audit trail: %+v", refusals)
	}
}

// Guesses at the page that changes a password count like those at the login
// page, and together with them.
func TestGuessesAtTheOldPasswordAreThrottled(t *testing.T) {
	t.Parallel()
	p := serve(t, changing(laboratory(t)))
	b := p.browser()
	b.logIn("", "fresh", "fresh-password")
	throttled := func() page {
		var got page
		for range 12 {
			if got = b.changePassword("wrong-password", "a better-password", "a better-password"); got.status == http.StatusTooManyRequests {
				return got
			}
		}
		return got
	}
	if got := throttled(); got.status != http.StatusTooManyRequests || !strings.Contains(got.problem, tooMany) {
		t.Errorf("twelve wrong passwords: got %d: %s", got.status, got.text)
	}
	if got := b.changePassword("fresh-password", "a better-password", "a better-password"); got.status != http.StatusTooManyRequests {
		t.Errorf("the right one then: got %d: %s", got.status, got.text)
	}
	if got := p.browser().logIn("", "fresh", "fresh-password"); got.status != http.StatusTooManyRequests {
		t.Errorf("at the login page: got %d: %s", got.status, got.text)
	}
	p.logIn("", "alice", "alice-password") // nobody else
}
