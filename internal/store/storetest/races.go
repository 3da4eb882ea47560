// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package storetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tegata/tegata/internal/clientregistry"
	"github.com/tegata/tegata/internal/identity"
	"github.com/tegata/tegata/internal/identity/local"
	"github.com/tegata/tegata/internal/oidc"
	"github.com/tegata/tegata/internal/provider/grant"
	"github.com/tegata/tegata/internal/provider/session"
	"github.com/tegata/tegata/internal/store"
)

// What ends the logins of a user, or one of them, ends those too that begin
// in the same moment: each round lets them race.
func endingWins(t *testing.T, open Opener) {
	i := fresh(t, open)
	ctx := t.Context()
	const rounds, each = 30, 4
	for name, end := range map[string]func(subject oidc.Subject, session string) error{
		"password": func(subject oidc.Subject, _ string) error {
			return i.SetPassword(ctx, subject, local.NewPassword{Hash: "new"}, Noon)
		},
		"ban":      func(subject oidc.Subject, _ string) error { return i.SetDisabled(ctx, subject, true, Noon) },
		"deletion": func(subject oidc.Subject, _ string) error { return i.DeleteAccount(ctx, subject, Noon) },
		"log out":  func(_ oidc.Subject, session string) error { _, err := i.LogOut(ctx, session, Noon); return err },
	} {
		for round := range rounds {
			user := Account(fmt.Sprint(name, round))
			id := string(user.Subject)
			Check(t, i.AddAccount(ctx, user, Noon))
			Check(t, i.AddSession(ctx, Session(id, id)))
			var wait sync.WaitGroup
			for n := range each {
				wait.Go(func() {
					g := Grant(fmt.Sprint(id, n), "c", id)
					g.SessionID = id
					if err := i.AddGrant(ctx, g); err != nil && !errors.Is(err, session.ErrOvertaken) {
						t.Error(err)
					}
				})
			}
			wait.Go(func() {
				if err := end(user.Subject, id); err != nil {
					t.Error(err)
				}
			})
			wait.Wait()
			if _, err := i.Session(ctx, id); !errors.Is(err, session.ErrNotFound) {
				t.Errorf("%s: the session is there: %v", name, err)
			}
			for n := range each {
				if g, err := i.Grant(ctx, fmt.Sprint(id, n)); err == nil && g.Live(Noon) {
					t.Fatalf("%s, round %d: a grant outlived it", name, round)
				} else if err != nil && !errors.Is(err, grant.ErrNotFound) {
					t.Error(err)
				}
			}
		}
	}
}

// A login whose password was checked before it was changed begins no session,
// however close the two are.
func newPasswordWins(t *testing.T, open Opener) {
	i := fresh(t, open)
	ctx := t.Context()
	const rounds, each = 50, 4
	for round := range rounds {
		user := Account(fmt.Sprint("user", round))
		id := string(user.Subject)
		Check(t, i.AddAccount(ctx, user, Noon))
		var wait sync.WaitGroup
		for n := range each {
			wait.Go(func() {
				if err := i.AddSession(ctx, Session(fmt.Sprint(id, n), id)); err != nil && !errors.Is(err, session.ErrOvertaken) {
					t.Error(err)
				}
			})
		}
		wait.Go(func() {
			if err := i.SetPassword(ctx, user.Subject, local.NewPassword{Hash: "new"}, Noon); err != nil {
				t.Error(err)
			}
		})
		wait.Wait()
		for n := range each {
			if _, err := i.Session(ctx, fmt.Sprint(id, n)); !errors.Is(err, session.ErrNotFound) {
				t.Fatalf("round %d: a session outlived the password: %v", round, err)
			}
		}
	}
}

// Several replicas that start at once with the same file: all succeed, and
// the users keep what the first of them gave them.
func declaredByManyAtOnce(t *testing.T, open Opener) {
	i := fresh(t, open)
	ctx := t.Context()
	file := store.Declaration{
		Users:   []local.Account{declared("alice", "a@example.com", ""), declared("bob", "", ""), declared("carol", "", "")},
		Groups:  []store.Group{{Name: "g", Members: []string{"alice", "bob"}}, {Name: "h"}},
		Clients: []clientregistry.Client{Client("kubernetes"), Client("web")},
	}
	start := func() {
		t.Helper()
		var wait sync.WaitGroup
		for range 8 {
			wait.Go(func() {
				if err := i.Declare(ctx, file, Noon); err != nil {
					t.Error(err)
				}
			})
		}
		wait.Wait()
	}
	start()
	before, err := i.AccountList(ctx)
	Check(t, err)
	if len(before) != 3 {
		t.Fatalf("got %d users, want 3", len(before))
	}
	alice := string(before[0].Subject)
	Check(t, i.AddSession(ctx, Session("s", alice)))
	Check(t, i.AddGrant(ctx, Grant("g", "web", alice)))
	start()
	after, err := i.AccountList(ctx)
	Check(t, err)
	if diff := cmp.Diff(before, after); diff != "" {
		t.Errorf("after the second start (-before +after):\n%s", diff)
	}
	if _, err := i.Session(ctx, "s"); err != nil {
		t.Errorf("a start logged alice out: %v", err)
	}
	Check(t, i.RedeemCode(ctx, "g", Noon))
}

// Groups, members and users come and go at once; every act ends in one of the
// ways that its documentation has.
func membersComeAndGo(t *testing.T, open Opener) {
	i := fresh(t, open)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	may := func(err error, these ...error) {
		if err != nil && !slices.ContainsFunc(these, func(one error) bool { return errors.Is(err, one) }) {
			t.Errorf("got %v, want one of %v or none", err, these)
		}
	}
	var wait sync.WaitGroup
	for n := range 6 {
		wait.Go(func() {
			for round := range 20 {
				group, name := fmt.Sprint("g", (n+round)%2), fmt.Sprint("user", round%2)
				switch n % 3 {
				case 0:
					may(i.AddGroup(ctx, group, Noon), store.ErrExists)
					may(i.DeleteGroup(ctx, group), store.ErrNoGroup)
				case 1:
					may(i.AddAccount(ctx, Account(name), Noon), store.ErrExists)
					may(i.DeleteAccount(ctx, Account(name).Subject, Noon), identity.ErrNotFound)
				case 2:
					may(i.AddMember(ctx, group, Account(name).Subject), store.ErrNoGroup, identity.ErrNotFound)
					_, err := i.RemoveMember(ctx, group, Account(name).Subject)
					may(err)
				}
			}
		})
	}
	wait.Wait()
}

// Sweeping takes any number of rows, several may be at it, and a row that is
// used meanwhile stays.
func sweptByMany(t *testing.T, open Opener) {
	i := fresh(t, open)
	ctx := t.Context()
	const forgotten = 2100 // more than two batches
	var wait sync.WaitGroup
	for worker := range 20 {
		wait.Go(func() {
			for n := worker; n < forgotten; n += 20 {
				if err := i.AddGrant(ctx, Grant(fmt.Sprint("forgotten", n), "c", "s")); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wait.Wait()
	late := Noon.Add(2 * time.Minute)
	for n := range 8 {
		Check(t, i.AddGrant(ctx, Grant(fmt.Sprint("late", n), "c", "s")))
	}
	redeemed := make([]error, 8)
	for n := range 8 {
		wait.Go(func() { redeemed[n] = i.RedeemCode(ctx, fmt.Sprint("late", n), Noon) })
		if n < 4 {
			wait.Go(func() {
				if err := i.Sweep(ctx, late); err != nil {
					t.Error(err)
				}
			})
		}
	}
	wait.Wait()
	Check(t, i.Sweep(ctx, late))
	for n := range forgotten {
		if _, err := i.Grant(ctx, fmt.Sprint("forgotten", n)); !errors.Is(err, grant.ErrNotFound) {
			t.Fatalf("grant %d is there: %v", n, err)
		}
	}
	for n, err := range redeemed {
		if _, found := i.Grant(ctx, fmt.Sprint("late", n)); (err == nil) != (found == nil) {
			t.Errorf("RedeemCode: %v; afterwards: %v", err, found)
		}
	}
}
