// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package store_test

import (
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
	a := account(name)
	a.Subject, a.Email = "", email
	if subject != "" {
		a.Subject = account(subject).Subject
	}
	return a
}

func users(accounts ...local.Account) store.Declaration { return store.Declaration{Users: accounts} }

// people lists the users as "name address subject", with a subject that was
// made for them as "…".
func people(t *testing.T, i *store.Issuer) []string {
	t.Helper()
	accounts, err := i.AccountList(t.Context())
	check(t, err)
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
func TestDeclareFollowsTheFile(t *testing.T) {
	t.Parallel()
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
			_, i, _ := fresh(t)
			check(t, i.Declare(t.Context(), test.before, noon))
			if err := i.Declare(t.Context(), test.then, noon); err != nil {
				t.Fatalf("declaring the changed file: %v", err)
			}
			if diff := cmp.Diff(test.want, people(t, i)); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			check(t, i.Declare(t.Context(), test.then, noon)) // and once more, as the next start does
		})
	}
}

// Whoever leaves the file, or is banned there, or gets another password
// there, is logged out everywhere, as by the commands for it.
func TestDeclareEndsWhatStoodOnWhatIsGone(t *testing.T) {
	t.Parallel()
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
			_, i, _ := fresh(t)
			check(t, i.AddClient(ctx, client("c"), noon))
			check(t, i.Declare(ctx, users(declared("alice", "", "alice")), noon))
			check(t, i.AddSession(ctx, newSession("s", "alice-subject")))
			check(t, i.AddGrant(ctx, newGrant("s", "c", "alice-subject")))
			check(t, i.RedeemCode(ctx, "s", noon))
			check(t, i.Declare(ctx, then, noon))
			wantEnded(t, i, "s")
		})
	}
	t.Run("nothing has changed", func(t *testing.T) {
		t.Parallel()
		_, i, _ := fresh(t)
		check(t, i.AddClient(ctx, client("c"), noon))
		check(t, i.Declare(ctx, users(declared("alice", "", "alice")), noon))
		check(t, i.AddSession(ctx, newSession("s", "alice-subject")))
		check(t, i.AddGrant(ctx, newGrant("s", "c", "alice-subject")))
		check(t, i.Declare(ctx, users(declared("alice", "", "")), noon))
		if _, err := i.SessionBySecretHash(ctx, "secret of s"); err != nil {
			t.Errorf("a start of the server logged alice out: %v", err)
		}
		check(t, i.RedeemCode(ctx, "s", noon))
	})
}

func TestDeclareEndsTheGrantsOfARemovedClient(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	_, i, _ := fresh(t)
	check(t, i.AddClient(ctx, client("added"), noon))
	both := store.Declaration{Clients: []clientregistry.Client{client("stays"), client("goes")}}
	check(t, i.Declare(ctx, both, noon))
	for _, c := range []string{"added", "stays", "goes"} {
		check(t, i.AddGrant(ctx, newGrant(c, c, "s")))
		check(t, i.RedeemCode(ctx, c, noon))
	}
	check(t, i.Declare(ctx, store.Declaration{Clients: both.Clients[:1]}, noon))
	wantEnded(t, i, "goes")
	for _, c := range []string{"added", "stays"} {
		if err := i.RotateRefreshToken(ctx, c, 1, noon); err != nil {
			t.Errorf("the grant of %s: %v", c, err)
		}
	}
	// Coming back does not bring the grants back.
	check(t, i.Declare(ctx, both, noon))
	wantEnded(t, i, "goes")
}

func TestDeclareIsWholeOrNotAtAll(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	_, i, _ := fresh(t)
	check(t, i.AddAccount(ctx, account("zoe"), noon))
	check(t, i.AddGroup(ctx, "runtime", noon))
	check(t, i.AddClient(ctx, client("runtime"), noon))
	good := store.Declaration{
		Users:   []local.Account{declared("alice", "a@example.com", "")},
		Groups:  []store.Group{{Name: "g", Members: []string{"alice", "ZOE"}}},
		Clients: []clientregistry.Client{client("c")},
	}
	check(t, i.Declare(ctx, good, noon))
	look := func() string {
		accounts, err := i.AccountList(ctx)
		check(t, err)
		groups, err := i.GroupList(ctx)
		check(t, err)
		clients, err := i.ClientList(ctx)
		check(t, err)
		return fmt.Sprint(accounts, groups, clients)
	}
	before := look()
	for name, bad := range map[string]store.Declaration{
		"user added at run time":    users(declared("Zoe", "", "")),
		"address added at run time": users(declared("bob", "ZOE@example.com", "")),
		"subject added at run time": users(declared("bob", "", "zoe")),
		"group added at run time":   {Groups: []store.Group{{Name: "runtime"}}},
		"client added at run time":  {Clients: []clientregistry.Client{client("runtime")}},
		"unknown member":            {Groups: []store.Group{{Name: "g", Members: []string{"nobody"}}}},
	} {
		if err := i.Declare(ctx, bad, noon); err == nil {
			t.Errorf("%s: no error", name)
		}
		if got := look(); got != before {
			t.Errorf("%s: got\n%s\nwant\n%s", name, got, before)
		}
	}
	// What was added at run time outlives every declaration.
	check(t, i.Declare(ctx, store.Declaration{}, noon))
	a, err := i.AccountByLogin(ctx, "zoe")
	check(t, err)
	if diff := cmp.Diff(account("zoe"), a); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if _, err := i.AccountByLogin(ctx, "alice"); err == nil {
		t.Error("alice is there")
	} else {
		wantErr(t, "alice", err, identity.ErrNotFound)
	}
}

// A clash inside the file is not blamed on somebody who added things at run
// time.
func TestDeclareTellsWhoseSubjectItIs(t *testing.T) {
	t.Parallel()
	_, i, _ := fresh(t)
	err := i.Declare(t.Context(), users(declared("alice", "", "alice"), declared("bob", "", "alice")), noon)
	if err == nil || strings.Contains(err.Error(), "run time") {
		t.Errorf("got %v, want an error about two users with one subject", err)
	}
}
