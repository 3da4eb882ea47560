// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package storetest

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tegata/tegata/internal/clientregistry"
	"github.com/tegata/tegata/internal/identity"
	"github.com/tegata/tegata/internal/identity/local"
	"github.com/tegata/tegata/internal/store"
)

// declared is a user as a configuration file has it: without a subject unless
// it says one.
func declared(name, email, subject string) local.Account {
	a := Account(name)
	a.Subject, a.Email = "", email
	if subject != "" {
		a.Subject = Account(subject).Subject
	}
	return a
}

func users(accounts ...local.Account) store.Declaration { return store.Declaration{Users: accounts} }

// people lists the users as "name address subject", with a subject that was
// made for them as "…".
func people(t *testing.T, i *store.Issuer) []string {
	t.Helper()
	accounts, err := i.AccountList(t.Context())
	Check(t, err)
	list := []string{}
	for _, a := range accounts {
		subject := string(a.Subject)
		if !strings.HasSuffix(subject, "-subject") {
			subject = "…"
		}
		list = append(list, fmt.Sprint(a.Username, " ", a.Email, " ", subject))
	}
	return list
}

// Each of these is a file that somebody edits, and starts the server again.
func declareFollowsTheFile(t *testing.T, open Opener) {
	for _, test := range []struct {
		name         string
		before, then store.Declaration
		want         []string
	}{
		{
			"nothing changes",
			users(declared("alice", "a@example.com", "")), users(declared("alice", "a@example.com", "")),
			[]string{"alice a@example.com …"},
		},
		{
			"one more, one less",
			users(declared("alice", "", ""), declared("bob", "", "")), users(declared("bob", "", ""), declared("carol", "", "")),
			[]string{"bob  …", "carol  …"},
		},
		{
			"two people swap their addresses",
			users(declared("alice", "a@example.com", ""), declared("bob", "b@example.com", "")),
			users(declared("alice", "b@example.com", ""), declared("bob", "a@example.com", "")),
			[]string{"alice b@example.com …", "bob a@example.com …"},
		},
		{
			"an address goes from one who leaves to one who comes",
			users(declared("alice", "team@example.com", "")), users(declared("bob", "team@example.com", "")),
			[]string{"bob team@example.com …"},
		},
		{
			"an address goes to one further up in the file",
			users(declared("alice", "", ""), declared("bob", "x@example.com", "")),
			users(declared("alice", "x@example.com", ""), declared("bob", "", "")),
			[]string{"alice x@example.com …", "bob  …"},
		},
		{
			"somebody marries, and keeps the subject",
			users(declared("alice", "a@example.com", "alice")), users(declared("alicia", "a@example.com", "alice")),
			[]string{"alicia a@example.com alice-subject"},
		},
		{
			"a subject is written down for the first time",
			users(declared("alice", "a@example.com", "")), users(declared("alice", "a@example.com", "alice")),
			[]string{"alice a@example.com alice-subject"},
		},
		{
			"two people swap their subjects",
			users(declared("alice", "", "alice"), declared("bob", "", "bob")), users(declared("alice", "", "bob"), declared("bob", "", "alice")),
			[]string{"alice  bob-subject", "bob  alice-subject"},
		},
		{
			"another case of the name",
			users(declared("alice", "", "alice")), users(declared("Alice", "", "")),
			[]string{"Alice  alice-subject"},
		},
		{"everybody leaves", users(declared("alice", "", ""), declared("bob", "", "")), store.Declaration{}, []string{}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			i := fresh(t, open)
			Check(t, i.Declare(t.Context(), test.before, Noon))
			if err := i.Declare(t.Context(), test.then, Noon); err != nil {
				t.Fatalf("declaring the changed file: %v", err)
			}
			if diff := cmp.Diff(test.want, people(t, i)); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			Check(t, i.Declare(t.Context(), test.then, Noon)) // and once more, as the next start does
		})
	}
}

// Whoever leaves the file, or is banned there, or gets another password
// there, is logged out everywhere, as by the commands for it.
func declareEndsWhatStoodOnWhatIsGone(t *testing.T, open Opener) {
	ctx := t.Context()
	with := func(change func(*local.Account)) store.Declaration {
		a := declared("alice", "", "alice")
		change(&a)
		return users(a)
	}
	for name, then := range map[string]store.Declaration{
		"the user is gone":             {},
		"the user is disabled":         with(func(a *local.Account) { a.Disabled = true }),
		"the user has another subject": with(func(a *local.Account) { a.Subject = "other-subject" }),
		"the password is another":      with(func(a *local.Account) { a.PasswordHash = "new" }),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			i := fresh(t, open)
			Check(t, i.AddClient(ctx, Client("c"), Noon))
			Check(t, i.Declare(ctx, users(declared("alice", "", "alice")), Noon))
			Check(t, i.AddSession(ctx, Session("s", "alice-subject")))
			Check(t, i.AddGrant(ctx, Grant("s", "c", "alice-subject")))
			Check(t, i.RedeemCode(ctx, "s", Noon))
			Check(t, i.Declare(ctx, then, Noon))
			wantEnded(t, i, "s")
		})
	}
	t.Run("nothing has changed", func(t *testing.T) {
		t.Parallel()
		i := fresh(t, open)
		Check(t, i.AddClient(ctx, Client("c"), Noon))
		Check(t, i.Declare(ctx, users(declared("alice", "", "alice")), Noon))
		Check(t, i.AddSession(ctx, Session("s", "alice-subject")))
		Check(t, i.AddGrant(ctx, Grant("s", "c", "alice-subject")))
		Check(t, i.Declare(ctx, users(declared("alice", "", "")), Noon))
		if _, err := i.SessionBySecretHash(ctx, "secret of s"); err != nil {
			t.Errorf("a start of the server logged alice out: %v", err)
		}
		Check(t, i.RedeemCode(ctx, "s", Noon))
	})
}

func declareEndsTheGrantsOfARemovedClient(t *testing.T, open Opener) {
	ctx := t.Context()
	i := fresh(t, open)
	Check(t, i.AddClient(ctx, Client("added"), Noon))
	both := store.Declaration{Clients: []clientregistry.Client{Client("stays"), Client("goes")}}
	Check(t, i.Declare(ctx, both, Noon))
	for _, c := range []string{"added", "stays", "goes"} {
		Check(t, i.AddGrant(ctx, Grant(c, c, "s")))
		Check(t, i.RedeemCode(ctx, c, Noon))
	}
	Check(t, i.Declare(ctx, store.Declaration{Clients: both.Clients[:1]}, Noon))
	wantEnded(t, i, "goes")
	for _, c := range []string{"added", "stays"} {
		if err := i.RotateRefreshToken(ctx, c, 1, Noon); err != nil {
			t.Errorf("the grant of %s: %v", c, err)
		}
	}
	// Coming back does not bring the grants back.
	Check(t, i.Declare(ctx, both, Noon))
	wantEnded(t, i, "goes")
}

func declareIsWholeOrNotAtAll(t *testing.T, open Opener) {
	ctx := t.Context()
	i := fresh(t, open)
	Check(t, i.AddAccount(ctx, Account("zoe"), Noon))
	Check(t, i.AddGroup(ctx, "runtime", Noon))
	Check(t, i.AddClient(ctx, Client("runtime"), Noon))
	good := store.Declaration{
		Users:   []local.Account{declared("alice", "a@example.com", "")},
		Groups:  []store.Group{{Name: "g", Members: []string{"alice", "ZOE"}}},
		Clients: []clientregistry.Client{Client("c")},
	}
	Check(t, i.Declare(ctx, good, Noon))
	look := func() string {
		accounts, err := i.AccountList(ctx)
		Check(t, err)
		groups, err := i.GroupList(ctx)
		Check(t, err)
		clients, err := i.ClientList(ctx)
		Check(t, err)
		return fmt.Sprint(accounts, groups, clients)
	}
	before := look()
	for name, bad := range map[string]store.Declaration{
		"user added at run time":    users(declared("Zoe", "", "")),
		"address added at run time": users(declared("bob", "ZOE@example.com", "")),
		"subject added at run time": users(declared("bob", "", "zoe")),
		"group added at run time":   {Groups: []store.Group{{Name: "runtime"}}},
		"client added at run time":  {Clients: []clientregistry.Client{Client("runtime")}},
		"unknown member":            {Groups: []store.Group{{Name: "g", Members: []string{"nobody"}}}},
	} {
		err := i.Declare(ctx, bad, Noon)
		if _, ok := errors.AsType[*store.DeclarationError](err); !ok {
			t.Errorf("%s: got %v, want a DeclarationError", name, err)
		}
		if got := look(); got != before {
			t.Errorf("%s: got\n%s\nwant\n%s", name, got, before)
		}
	}
	// What was added at run time outlives every declaration.
	Check(t, i.Declare(ctx, store.Declaration{}, Noon))
	a, err := i.AccountByLogin(ctx, "zoe")
	Check(t, err)
	zoe := Account("zoe")
	zoe.Password.ChangedAt = Noon
	if diff := cmp.Diff(zoe, a); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if _, err := i.AccountByLogin(ctx, "alice"); err == nil {
		t.Error("alice is there")
	} else {
		WantErr(t, "alice", err, identity.ErrNotFound)
	}
}

// A clash inside the file is not blamed on somebody who added things at run
// time.
func declareTellsWhoseSubjectItIs(t *testing.T, open Opener) {
	i := fresh(t, open)
	err := i.Declare(t.Context(), users(declared("alice", "", "alice"), declared("bob", "", "alice")), Noon)
	if err == nil || strings.Contains(err.Error(), "run time") {
		t.Errorf("got %v, want an error about two users with one subject", err)
	}
}
