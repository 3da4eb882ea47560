// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package storetest

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tegata/tegata/internal/identity"
	"github.com/tegata/tegata/internal/identity/local"
	"github.com/tegata/tegata/internal/oidc"
	"github.com/tegata/tegata/internal/store"
)

func state(t *testing.T, i *store.Issuer, subject oidc.Subject) local.Account {
	t.Helper()
	found, err := i.AccountBySubject(t.Context(), subject)
	Check(t, err)
	return found
}

func passwordsKeepThoseBeforeThem(t *testing.T, open Opener) {
	i, ctx := fresh(t, open), t.Context()
	bare := Account("alice")
	bare.PasswordHash = ""
	Check(t, i.AddAccount(ctx, bare, Noon))
	if got := state(t, i, "alice-subject").Password; !got.ChangedAt.IsZero() || got.Former != nil {
		t.Errorf("without a password: got %+v", got)
	}
	for n, test := range []struct {
		password local.NewPassword
		former   []string
	}{
		{local.NewPassword{Hash: "first", Former: 2}, nil},
		{local.NewPassword{Hash: "second", Former: 2, MustChange: true, ExpiresAt: Noon.Add(time.Hour)}, []string{"first"}},
		{local.NewPassword{Hash: "third", Former: 2}, []string{"second", "first"}},
		{local.NewPassword{Hash: "fourth", Former: 2}, []string{"third", "second"}},
		{local.NewPassword{Hash: "fifth"}, nil},
	} {
		at := Noon.Add(time.Duration(n) * time.Minute)
		_, err := i.CountFailure(ctx, "alice-subject", 1, at, at.Add(time.Minute))
		Check(t, err)
		Check(t, i.SetPassword(ctx, "alice-subject", test.password, at))
		got := state(t, i, "alice-subject")
		want := local.PasswordState{ChangedAt: at, MustChange: test.password.MustChange, ExpiresAt: test.password.ExpiresAt, Former: test.former}
		if diff := cmp.Diff(want, got.Password); diff != "" || got.PasswordHash != test.password.Hash || got.Epoch != int64(n+1) {
			t.Errorf("got %s of epoch %d (-want +got):\n%s", got.PasswordHash, got.Epoch, diff)
		}
	}

	// A person of another source has none here.
	_, err := i.Remember(ctx, person("corp", "bob"))
	Check(t, err)
	WantErr(t, "another source", i.SetPassword(ctx, "corp:bob", local.NewPassword{Hash: "x"}, Noon), identity.ErrNotFound)
	// Nor is such a person in a group of the file: the source has the groups.
	err = i.Declare(ctx, store.Declaration{Groups: []store.Group{{Name: "g", Members: []string{"bob"}}}}, Noon)
	if _, ok := errors.AsType[*store.DeclarationError](err); !ok || !strings.Contains(err.Error(), "whose groups are kept by the source corp") {
		t.Errorf("a member from another source: got %v", err)
	}

	// What the file has is not forgotten for another name, and is for another
	// password.
	file := declared("carol", "", "carol")
	Check(t, i.Declare(ctx, users(file), Noon))
	_, err = i.CountFailure(ctx, "carol-subject", 9, Noon, Noon.Add(time.Minute))
	Check(t, err)
	Check(t, i.Declare(ctx, users(file), Noon))
	file.Name = "Carol"
	Check(t, i.Declare(ctx, users(file), Noon))
	if got := state(t, i, "carol-subject"); got.Password.Failures != 1 || got.Name != "Carol" || got.Epoch != 0 {
		t.Errorf("got %+v", got)
	}
	file.PasswordHash = "another"
	Check(t, i.Declare(ctx, users(file), Noon.Add(time.Minute)))
	if got := state(t, i, "carol-subject"); got.Password.Failures != 0 || got.Epoch != 1 || !got.Password.ChangedAt.Equal(Noon.Add(time.Minute)) {
		t.Errorf("got %+v", got)
	}
}

func wrongPasswordsAreCounted(t *testing.T, open Opener) {
	i, ctx := fresh(t, open), t.Context()
	Check(t, i.AddAccount(ctx, Account("alice"), Noon))
	Check(t, i.AddAccount(ctx, Account("bob"), Noon))
	wrong := func(now time.Time, wantLocked bool, wantFailures int, wantUntil time.Time) {
		t.Helper()
		locked, err := i.CountFailure(ctx, "alice-subject", 3, now, now.Add(15*time.Minute))
		Check(t, err)
		got := state(t, i, "alice-subject").Password
		if locked != wantLocked || got.Failures != wantFailures || !got.LockedUntil.Equal(wantUntil) {
			t.Errorf("at %s: locked %t, %d failures, until %s; want %t, %d, %s", now.Sub(Noon), locked, got.Failures, got.LockedUntil, wantLocked, wantFailures, wantUntil)
		}
	}
	until := Noon.Add(15 * time.Minute)
	wrong(Noon, false, 1, time.Time{})
	wrong(Noon, false, 2, time.Time{})
	wrong(Noon, true, 3, until)
	wrong(Noon.Add(time.Minute), false, 3, until) // the lock is not drawn out
	wrong(until.Add(-time.Millisecond), false, 3, until)
	wrong(until, false, 1, time.Time{}) // its time is over
	Check(t, i.ForgetFailures(ctx, "alice-subject"))
	wrong(until, false, 1, time.Time{})
	wrong(until, false, 2, time.Time{})
	wrong(until, true, 3, until.Add(15*time.Minute))
	Check(t, i.ForgetFailures(ctx, "alice-subject"))
	wrong(until, false, 1, time.Time{})
	Check(t, i.ForgetFailures(ctx, "nobody"))
	if locked, err := i.CountFailure(ctx, "nobody", 1, Noon, until); locked || err != nil {
		t.Errorf("nobody: %t, %v", locked, err)
	}
	if got := state(t, i, "bob-subject").Password; got.Failures != 0 || !got.LockedUntil.IsZero() {
		t.Errorf("bob: got %+v", got)
	}
}

func noWrongPasswordIsLost(t *testing.T, open Opener) {
	i, ctx := fresh(t, open), t.Context()
	Check(t, i.AddAccount(ctx, Account("alice"), Noon))
	const at, most = 32, 20
	count := func(most int) (locks int64) {
		var locked atomic.Int64
		var all sync.WaitGroup
		for range at {
			all.Go(func() {
				did, err := i.CountFailure(ctx, "alice-subject", most, Noon, Noon.Add(time.Minute))
				if err != nil {
					t.Error(err)
				}
				if did {
					locked.Add(1)
				}
			})
		}
		all.Wait()
		return locked.Load()
	}
	if locks, got := count(1000), state(t, i, "alice-subject").Password; locks != 0 || got.Failures != at {
		t.Errorf("%d at once: %d locks, %d counted", at, locks, got.Failures)
	}
	Check(t, i.ForgetFailures(ctx, "alice-subject"))
	if locks, got := count(most), state(t, i, "alice-subject").Password; locks != 1 || got.Failures != most || !got.LockedUntil.Equal(Noon.Add(time.Minute)) {
		t.Errorf("%d at once: %d locks, %d counted, until %s", at, locks, got.Failures, got.LockedUntil)
	}
}

// A password is replaced by one of those who know the epoch.
func linkIsGoodOnce(t *testing.T, open Opener) {
	i, ctx := fresh(t, open), t.Context()
	Check(t, i.AddAccount(ctx, Account("alice"), Noon))
	replace := func() error {
		return i.ReplacePassword(ctx, "alice-subject", 0, local.NewPassword{Hash: "new"}, Noon)
	}
	if won := race(16, replace, local.ErrOvertaken, t); won != 1 {
		t.Errorf("%d of 16 replaced the password, want 1", won)
	}
	if got := state(t, i, "alice-subject"); got.Epoch != 1 || got.PasswordHash != "new" {
		t.Errorf("got %+v", got)
	}
	WantErr(t, "late", replace(), local.ErrOvertaken)
	Check(t, i.ReplacePassword(ctx, "alice-subject", 1, local.NewPassword{Hash: "newer"}, Noon))
	WantErr(t, "nobody", i.ReplacePassword(ctx, "nobody", 0, local.NewPassword{}, Noon), identity.ErrNotFound)
}

func accountsAreListed(t *testing.T, open Opener) {
	i, ctx := fresh(t, open), t.Context()
	Check(t, i.AddGroup(ctx, "g", Noon))
	for n := range 5 {
		a := Account(fmt.Sprintf("User %d", n))
		a.Email, a.Name, a.Groups = fmt.Sprintf("u%d@example.com", n), fmt.Sprintf("Émile_%d 100%%", n), []string{"g"}
		Check(t, i.AddAccount(ctx, a, Noon))
	}
	bob, err := i.Remember(ctx, person("corp", "bob"))
	Check(t, err)
	list := func(filter store.AccountFilter, page store.Page) (names, next string) {
		t.Helper()
		found, next, err := i.AccountPage(ctx, filter, page)
		Check(t, err)
		list := []string{}
		for _, a := range found {
			list = append(list, a.Username)
			want := []string{"g"}
			if a.Source != local.SourceName {
				want = bob.Groups
			}
			if !slices.Equal(a.Groups, want) {
				t.Errorf("%s is in %v, want %v", a.Username, a.Groups, want)
			}
		}
		return strings.Join(list, ", "), next
	}
	for _, test := range []struct {
		name   string
		filter store.AccountFilter
		want   string
	}{
		{"all", store.AccountFilter{}, "bob, User 0, User 1, User 2, User 3, User 4"},
		{"source", store.AccountFilter{Source: "corp"}, "bob"},
		{"another source", store.AccountFilter{Source: "hub"}, ""},
		{"user name in another case", store.AccountFilter{Search: "uSER 3"}, "User 3"},
		{"address", store.AccountFilter{Search: "@example.COM"}, "bob, User 0, User 1, User 2, User 3, User 4"},
		{"full name", store.AccountFilter{Search: "mX BOB"}, "bob"},
		{"letters beyond ASCII", store.AccountFilter{Search: "Émile_2"}, "User 2"},
		{"wildcards are themselves", store.AccountFilter{Search: "_3 100%"}, "User 3"},
		{"a wildcard", store.AccountFilter{Search: "u%r"}, ""},
		{"a backslash", store.AccountFilter{Search: `\`}, ""},
		{"both", store.AccountFilter{Search: "example.com", Source: "corp"}, "bob"},
		{"no text", store.AccountFilter{Search: "\x00"}, ""},
	} {
		if got, next := list(test.filter, store.Page{}); got != test.want || next != "" {
			t.Errorf("%s: got %q and %q, want %q", test.name, got, next, test.want)
		}
	}
	var parts []string
	for after := ""; ; {
		names, next := list(store.AccountFilter{}, store.Page{Limit: 2, After: after})
		parts = append(parts, names)
		if after = next; next == "" {
			break
		}
	}
	if diff := cmp.Diff([]string{"bob, User 0", "User 1, User 2", "User 3, User 4"}, parts); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	_, _, err = i.AccountPage(ctx, store.AccountFilter{}, store.Page{After: "?"})
	WantErr(t, "another place", err, store.ErrPage)
	if got, _ := list(store.AccountFilter{}, store.Page{Limit: 6}); strings.Count(got, ",") != 5 {
		t.Errorf("got %q", got)
	}
}
