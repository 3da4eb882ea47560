// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package local_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tegata/tegata/internal/audit"
	"github.com/tegata/tegata/internal/identity"
	"github.com/tegata/tegata/internal/identity/local"
	"github.com/tegata/tegata/internal/oidc"
	"github.com/tegata/tegata/internal/seal"
	"github.com/tegata/tegata/internal/secret"
)

const (
	first  = "correct horse battery"
	second = "Zwiebel-7-kuchen"
	third  = "Another-9-phrase"
)

// desk is a source over one account, with a clock.
type desk struct {
	*local.Source
	storage *accounts
	now     time.Time
	told    []audit.Event
}

func newDesk(t testing.TB, policy local.Policy) *desk {
	t.Helper()
	hasher := newHasher(t, cheap)
	d := &desk{now: time.Date(2026, 12, 1, 9, 0, 0, 0, time.UTC)}
	d.storage = &accounts{account: local.Account{
		User:         identity.User{Subject: "alice-1", Source: local.SourceName, Username: "alice"},
		PasswordHash: hash(t, hasher, first),
	}}
	clock := func() time.Time { return d.now }
	d.Source = &local.Source{
		Accounts: d.storage, Hasher: hasher, Policy: policy, LinkKey: seal.RandomKey(), Now: clock,
		Audit: &audit.Trail{Now: clock, Sinks: []func(audit.Event){func(e audit.Event) { d.told = append(d.told, e) }}},
	}
	return d
}

func (d *desk) login(t testing.TB, password string, want error) {
	t.Helper()
	if _, err := d.Authenticate(t.Context(), "alice", secret.New(password)); !errors.Is(err, want) {
		t.Errorf("%s at %s: got %v, want %v", password, d.now.Format(time.TimeOnly), err, want)
	}
}

func (d *desk) change(t testing.TB, old, replacement string, want error) {
	t.Helper()
	if err := d.ChangePassword(t.Context(), "alice", secret.New(old), secret.New(replacement)); !errors.Is(err, want) {
		t.Errorf("%s to %s: got %v, want %v", old, replacement, err, want)
	}
}

// wantFlaw wants an error that names one rule.
func wantFlaw(t testing.TB, err error, rule identity.Rule, limit int) {
	t.Helper()
	refused, ok := errors.AsType[*identity.PasswordRefusedError](err)
	if !ok || len(refused.Flaws) != 1 || refused.Flaws[0] != (identity.Flaw{Rule: rule, Limit: limit}) {
		t.Errorf("got %v, want %s %d", err, rule, limit)
	}
}

func TestLockout(t *testing.T) {
	d := newDesk(t, local.Policy{MinLength: 12, Lockout: local.Lockout{Failures: 3, For: 15 * time.Minute}})
	wrong := identity.ErrWrongCredentials
	d.login(t, first, nil)
	if d.storage.writes != 0 {
		t.Errorf("a right password wrote %d times", d.storage.writes)
	}
	d.login(t, "1", wrong)
	d.login(t, "2", wrong)
	d.login(t, first, nil) // forgets them
	if d.storage.writes != 3 || d.storage.account.Password.Failures != 0 {
		t.Errorf("%d writes, %d failures", d.storage.writes, d.storage.account.Password.Failures)
	}
	for range 3 {
		d.login(t, "x", wrong)
	}
	// The lock tells nobody that the password was right, least of all who
	// guesses, and is not drawn out.
	writes := d.storage.writes
	d.login(t, first, wrong)
	d.change(t, first, second, wrong)
	d.now = d.now.Add(15*time.Minute - time.Second)
	d.login(t, first, wrong)
	d.login(t, "x", wrong)
	if d.storage.writes != writes {
		t.Errorf("%d writes while it was locked", d.storage.writes-writes)
	}
	d.now = d.now.Add(time.Second)
	d.login(t, "x", wrong) // begins anew
	d.login(t, "x", wrong)
	d.login(t, first, nil)

	if len(d.told) != 1 || d.told[0].Act != audit.Locked || d.told[0].Subject != "alice-1" || d.told[0].Reason != "3 wrong passwords; until 2026-12-01T09:15:00Z" {
		t.Errorf("got the events %+v, want one lock", d.told)
	}

	// Wrong old passwords count too.
	for range 3 {
		d.change(t, "x", second, wrong)
	}
	d.login(t, first, wrong)
	if len(d.told) != 2 {
		t.Errorf("got %d events", len(d.told))
	}

	// A new password ends it.
	if _, err := d.SetPassword(t.Context(), d.storage.account, secret.New(second), false); err != nil {
		t.Fatal(err)
	}
	d.login(t, second, nil)
}

func TestLockoutIsOffWithoutANumber(t *testing.T) {
	d := newDesk(t, local.Policy{})
	for range 30 {
		d.login(t, "x", identity.ErrWrongCredentials)
	}
	d.login(t, first, nil)
	if d.storage.writes != 0 || len(d.told) != 0 {
		t.Errorf("%d writes, %d events", d.storage.writes, len(d.told))
	}
}

func TestUnknownUsersAreNotCounted(t *testing.T) {
	d := newDesk(t, local.Policy{Lockout: local.Lockout{Failures: 1, For: time.Hour}})
	if _, err := d.Authenticate(t.Context(), "nobody", secret.New("x")); !errors.Is(err, identity.ErrWrongCredentials) {
		t.Errorf("got %v", err)
	}
	d.storage.account.PasswordHash = "" // there is nothing to guess
	d.login(t, "x", identity.ErrWrongCredentials)
	if d.storage.writes != 0 {
		t.Errorf("%d writes", d.storage.writes)
	}
}

// lateAccounts is a storage in which wrong passwords are counted between two
// looks at the account.
type lateAccounts struct{ *accounts }

func (a lateAccounts) AccountByLogin(ctx context.Context, login string) (local.Account, error) {
	found, err := a.accounts.AccountByLogin(ctx, login)
	a.account.Password.LockedUntil = time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	return found, err
}

// Of many that are tried at once, the right one does not slip through because
// the account was read before the others were counted.
func TestLockHoldsAgainstSimultaneousGuesses(t *testing.T) {
	d := newDesk(t, local.Policy{Lockout: local.Lockout{Failures: 3, For: time.Hour}})
	d.Accounts = lateAccounts{d.storage}
	d.login(t, first, identity.ErrWrongCredentials)
}

// Whatever a refusal cost, its answer comes after the same time.
func TestRefusalsTakeTheSameTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t, local.Policy{Lockout: local.Lockout{Failures: 1, For: time.Hour}})
		d.Now, d.RefusalStep = time.Now, 100*time.Millisecond
		for _, login := range []string{"nobody", "alice", "alice"} { // unknown, wrong, locked
			begun := time.Now()
			if _, err := d.Authenticate(t.Context(), login, secret.New("x")); !errors.Is(err, identity.ErrWrongCredentials) {
				t.Errorf("got %v", err)
			}
			if took := time.Since(begun); took != 100*time.Millisecond {
				t.Errorf("%s: took %v", login, took)
			}
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := d.Authenticate(ctx, "nobody", secret.New("x")); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v, want the end of the context", err)
		}
	})
}

func TestTemporaryPassword(t *testing.T) {
	d := newDesk(t, local.Policy{MinLength: 12, TemporaryFor: 7 * 24 * time.Hour})
	if _, err := d.SetPassword(t.Context(), d.storage.account, secret.New(second), true); err != nil {
		t.Fatal(err)
	}
	until := d.now.Add(7 * 24 * time.Hour)
	d.login(t, "x", identity.ErrWrongCredentials) // who does not know it is told nothing
	d.login(t, second, identity.ErrPasswordExpired)
	wantFlaw(t, d.ChangePassword(t.Context(), "alice", secret.New(second), secret.New(second)), identity.Fresh, 1)
	d.now = until
	d.login(t, "x", identity.ErrWrongCredentials)
	d.login(t, second, identity.ErrTemporaryExpired)
	d.change(t, second, third, identity.ErrTemporaryExpired)
	d.now = until.Add(-time.Second)
	d.change(t, second, third, nil)
	d.now = until.Add(time.Hour)
	d.login(t, third, nil)
	if p := d.storage.account.Password; p.MustChange || !p.ExpiresAt.IsZero() {
		t.Errorf("got %+v", p)
	}
}

func TestHistory(t *testing.T) {
	d := newDesk(t, local.Policy{MinLength: 12, History: 3})
	password := func(n int) string { return fmt.Sprintf("Zwiebel-%d-kuchen", n) }
	for n := range 4 {
		old := first
		if n > 0 {
			old = password(n - 1)
		}
		d.change(t, old, password(n), nil)
		if got := len(d.storage.account.Password.Former); got > 2 {
			t.Errorf("%d former passwords are kept, want two: with the one until now they are three", got)
		}
	}
	change := func(n int) error {
		return d.ChangePassword(t.Context(), "alice", secret.New(password(3)), secret.New(password(n)))
	}
	wantFlaw(t, change(3), identity.Fresh, 3)
	wantFlaw(t, change(2), identity.Fresh, 3)
	wantFlaw(t, change(1), identity.Fresh, 3)
	if err := change(0); err != nil {
		t.Errorf("the fourth before: %v", err)
	}
	// Administrators keep to it.
	_, err := d.SetPassword(t.Context(), d.storage.account, secret.New(password(3)), false)
	wantFlaw(t, err, identity.Fresh, 3)
	// A shorter history asks less of what is kept.
	d.Policy.History = 0
	if _, err := d.SetPassword(t.Context(), d.storage.account, secret.New(password(0)), false); err != nil {
		t.Error(err)
	}
	if got := d.storage.account.Password.Former; len(got) != 0 {
		t.Errorf("kept %d", len(got))
	}
}

func TestChangePasswordRefuses(t *testing.T) {
	d := newDesk(t, local.Policy{MinLength: 12})
	if !d.ChangesPasswords() {
		t.Error("it says that it does not")
	}
	err := d.ChangePassword(t.Context(), "alice", secret.New(first), secret.New("alice"))
	if refused, ok := errors.AsType[*identity.PasswordRefusedError](err); !ok || len(refused.Flaws) != 2 {
		t.Errorf("got %v, want both rules", err)
	}
	if err != nil && strings.Contains(err.Error(), "alice") {
		t.Errorf("the password stands in the error: %v", err)
	}
	d.change(t, "wrong", "short", identity.ErrWrongCredentials) // before the rules
	d.storage.account.Disabled = true
	d.change(t, first, second, identity.ErrDisabled)
	d.storage.account.Disabled, d.storage.account.Declared = false, true
	d.change(t, first, second, identity.ErrNoPasswordChange)
	d.change(t, "wrong", second, identity.ErrWrongCredentials)
	if _, err := d.PasswordRules(t.Context(), "alice-1"); !errors.Is(err, identity.ErrNoPasswordChange) {
		t.Errorf("got %v", err)
	}
	d.storage.account.Declared = false
	if rules, err := d.PasswordRules(t.Context(), "alice-1"); err != nil || len(rules) != 1 {
		t.Errorf("got %v, %v", rules, err)
	}
	d.storage.account.Source = "corp"
	d.change(t, first, second, identity.ErrWrongCredentials)
}

func TestGeneratedPasswordsKeepThePolicy(t *testing.T) {
	seen := map[string]bool{}
	for _, policy := range []local.Policy{{}, {MinLength: 12, Require: local.Classes()}, {MinLength: 128, Require: local.Classes()}} {
		d := newDesk(t, policy)
		for range 20 {
			password := d.Generate(identity.User{Username: "alice"}).Reveal()
			if flaws := policy.Check(secret.New(password), identity.User{Username: "alice"}); len(flaws) > 0 || len(password) < 23 || seen[password] {
				t.Errorf("got %s: %v", password, flaws)
			}
			if strings.ContainsAny(password, "lIO01") {
				t.Errorf("%s holds what is taken for something else", password)
			}
			seen[password] = true
		}
	}
}

func TestLinkIsGoodOnceAndInTime(t *testing.T) {
	ctx := t.Context()
	d := newDesk(t, local.Policy{MinLength: 12, History: 2})
	spent := func(token secret.String) {
		t.Helper()
		if _, err := d.Link(ctx, token); !errors.Is(err, identity.ErrLinkSpent) {
			t.Errorf("looking at it: got %v", err)
		}
		if _, err := d.Redeem(ctx, token, secret.New(third)); !errors.Is(err, identity.ErrLinkSpent) {
			t.Errorf("using it: got %v", err)
		}
	}
	made := func(until time.Duration) secret.String {
		t.Helper()
		token, err := d.NewLink(d.storage.account, identity.Reset, d.now.Add(until))
		if err != nil {
			t.Fatal(err)
		}
		return token
	}
	token, other := made(time.Hour), made(time.Hour)
	for range 3 { // to look at it does not use it up
		found, err := d.Link(ctx, token)
		if err != nil || found.User.Username != "alice" || found.Purpose != identity.Reset || len(found.Rules) != 2 {
			t.Errorf("got %+v, %v", found, err)
		}
	}
	_, err := d.Redeem(ctx, token, secret.New("short"))
	wantFlaw(t, err, identity.LongEnough, 12)
	_, err = d.Redeem(ctx, token, secret.New(first))
	wantFlaw(t, err, identity.Fresh, 2)
	if _, err := d.Redeem(ctx, token, secret.New(second)); err != nil {
		t.Fatal(err)
	}
	d.login(t, second, nil)
	spent(token)
	spent(other) // made for the same password

	late := made(time.Hour)
	d.now = d.now.Add(time.Hour)
	spent(late)

	token = made(time.Hour)
	d.storage.account.Disabled = true
	spent(token)
	d.storage.account.Disabled, d.storage.account.Declared = false, true
	spent(token)
	d.storage.account.Declared = false
	if _, err := d.Link(ctx, token); err != nil {
		t.Errorf("got %v", err)
	}
	d.storage.account.Subject = "alice-2"
	spent(token)

	// Not for those who have no password here.
	d.storage.account.Declared = true
	if _, err := d.NewLink(d.storage.account, identity.Reset, d.now); !errors.Is(err, identity.ErrNoPasswordChange) {
		t.Errorf("declared: got %v", err)
	}
	if _, err := d.NewLink(local.Account{User: identity.User{Source: "corp"}}, identity.Reset, d.now); !errors.Is(err, identity.ErrNoPasswordChange) {
		t.Errorf("another source: got %v", err)
	}
}

func TestState(t *testing.T) {
	now := time.Date(2026, 12, 1, 9, 0, 0, 0, time.UTC)
	full := local.Account{User: identity.User{Source: local.SourceName, Disabled: true}, Password: local.PasswordState{
		LockedUntil: now.Add(1), MustChange: true, ExpiresAt: now,
	}}
	for _, step := range []struct {
		want local.State
		next func()
	}{
		{local.Disabled, func() { full.Disabled = false }},
		{local.Locked, func() { full.Password.LockedUntil = now }},
		{local.NoPassword, func() { full.PasswordHash = "x" }},
		{local.Expired, func() { full.Password.ExpiresAt = now.Add(1) }},
		{local.MustChange, func() { full.Password.MustChange = false }},
		{local.Active, func() { full = local.Account{User: identity.User{Source: "corp"}} }},
		{local.Active, func() {}},
	} {
		if got := full.State(now); got != step.want {
			t.Errorf("got %s, want %s", got, step.want)
		}
		step.next()
	}
}

func FuzzLink(f *testing.F) {
	d := newDesk(f, local.Policy{})
	for _, link := range []string{`{"p":"reset","s":"alice-1","e":0,"u":9999999999}`, `{}`, `[]`, `{"u":1e400}`, `null`} {
		f.Add(d.LinkKey.Seal([]byte(link), "account link"), link)
		f.Add(link, link)
	}
	f.Fuzz(func(t *testing.T, token, plain string) {
		// Nobody makes one without the key.
		sealed, err := d.Link(t.Context(), secret.New(token))
		if err == nil && sealed.User.Subject != "alice-1" || err != nil && !errors.Is(err, identity.ErrLinkSpent) {
			t.Errorf("%q: got %+v, %v", token, sealed, err)
		}
		// With it, too, it leads to who is there, or nowhere.
		found, err := d.Link(t.Context(), secret.New(d.LinkKey.Seal([]byte(plain), "account link")))
		if err == nil && found.User.Subject != oidc.Subject("alice-1") || err != nil && !errors.Is(err, identity.ErrLinkSpent) {
			t.Errorf("%q: got %+v, %v", plain, found, err)
		}
	})
}
