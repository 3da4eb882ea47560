// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package storetest

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tegata/tegata/internal/identity/local"
	"github.com/tegata/tegata/internal/oidc"
	"github.com/tegata/tegata/internal/provider/session"
	"github.com/tegata/tegata/internal/store"
)

// What administrators look at: how much there is, and who is in a group.
func groupsAreCounted(t *testing.T, open Opener) {
	db := open(t)
	i, other, ctx := AddIssuer(t, db, "one"), AddIssuer(t, db, "two"), t.Context()
	for _, issuer := range []*store.Issuer{i, other} {
		Check(t, issuer.AddGroup(ctx, "empty", Noon))
		Check(t, issuer.AddGroup(ctx, "full", Noon))
	}
	for _, name := range []string{"alice", "bob", "carol"} {
		Check(t, i.AddAccount(ctx, Account(name), Noon))
		Check(t, i.AddMember(ctx, "full", Account(name).Subject))
	}
	Check(t, i.Declare(ctx, store.Declaration{Groups: []store.Group{{Name: "declared", Members: []string{"bob"}}}}, Noon))
	sizes, err := i.GroupSizes(ctx)
	Check(t, err)
	want := []local.GroupSize{{Name: "declared", Members: 1, Declared: true}, {Name: "empty"}, {Name: "full", Members: 3}}
	if diff := cmp.Diff(want, sizes); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	for _, test := range []struct {
		filter local.Filter
		want   string
	}{
		{local.Filter{Group: "full"}, "alice bob carol "},
		{local.Filter{Group: "declared"}, "bob "},
		{local.Filter{Group: "full", Search: "BOB"}, "bob "},
		{local.Filter{Group: "none"}, ""},
	} {
		found, _, err := i.AccountPage(ctx, test.filter, store.Page{})
		Check(t, err)
		got := ""
		for _, account := range found {
			got += account.Username + " "
		}
		if got != test.want {
			t.Errorf("%+v: got %q, want %q", test.filter, got, test.want)
		}
	}
	names, err := i.Usernames(ctx, []oidc.Subject{"alice-subject", "carol-subject", "nobody"})
	Check(t, err)
	if diff := cmp.Diff(map[oidc.Subject]string{"alice-subject": "alice", "carol-subject": "carol"}, names); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if names, err := i.Usernames(ctx, nil); err != nil || len(names) != 0 {
		t.Errorf("of nobody: got %v, %v", names, err)
	}
	users, groups, clients, sessions, grants, err := i.Counts(ctx, Noon)
	Check(t, err)
	if got := []int{users, groups, clients, sessions, grants}; !cmp.Equal(got, []int{3, 3, 0, 0, 0}) {
		t.Errorf("got the counts %v", got)
	}
}

// All logins of a user end at once, also one that is about to begin.
func loginsEndTogether(t *testing.T, open Opener) {
	i, ctx := fresh(t, open), t.Context()
	Check(t, i.AddAccount(ctx, Account("alice"), Noon))
	Check(t, i.AddClient(ctx, Client("web"), Noon))
	Check(t, i.AddSession(ctx, Session("s", "alice-subject")))
	Check(t, i.AddGrant(ctx, Grant("g", "web", "alice-subject")))
	Check(t, i.RedeemCode(ctx, "g", Noon))
	_, _, clients, sessions, grants, err := i.Counts(ctx, Noon)
	Check(t, err)
	if clients != 1 || sessions != 1 || grants != 1 {
		t.Errorf("got %d clients, %d sessions and %d grants, want one each", clients, sessions, grants)
	}
	Check(t, i.EndLogins(ctx, "alice-subject", Noon.Add(time.Minute)))
	if _, _, _, sessions, grants, err = i.Counts(ctx, Noon); err != nil || sessions != 0 || grants != 0 {
		t.Errorf("got %d sessions and %d grants, %v; want none", sessions, grants, err)
	}
	WantErr(t, "a login that was under way", i.AddSession(ctx, Session("late", "alice-subject")), session.ErrOvertaken)
	Check(t, i.EndLogins(ctx, "nobody", Noon)) // there is nothing to end
}
