// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package storetest

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tegata/tegata/internal/oidc"
	"github.com/tegata/tegata/internal/provider/grant"
	"github.com/tegata/tegata/internal/provider/session"
	"github.com/tegata/tegata/internal/store"
)

// A session comes back with all that it says, and is renewed for its own user
// alone.
func sessionsAreKeptWhole(t *testing.T, open Opener) {
	i, ctx := fresh(t, open), t.Context()
	for _, name := range []string{"alice", "bob"} {
		Check(t, i.AddAccount(ctx, Account(name), Noon))
	}
	want := session.Session{
		ID: "s", SecretHash: "first", Subject: "alice-subject", AuthTime: Noon, Methods: session.Methods{"pwd", "otp"},
		Device: session.Device{Name: "Firefox on Linux", Address: "192.0.2.7"}, UsedAt: Noon, ExpiresAt: Noon.Add(time.Hour), EndsAt: Noon.Add(2 * time.Hour),
	}
	Check(t, i.AddSession(ctx, want))
	read := func(hash string) session.Session {
		t.Helper()
		got, err := i.SessionBySecretHash(ctx, hash)
		Check(t, err)
		return got
	}
	if diff := cmp.Diff(want, read("first")); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}

	used := want
	used.UsedAt, used.ExpiresAt = Noon.Add(time.Minute), Noon.Add(61*time.Minute)
	Check(t, i.UseSession(ctx, used))
	Check(t, i.UseSession(ctx, want)) // an older use comes too late
	Check(t, i.UseSession(ctx, session.Session{ID: "nobody's", UsedAt: Noon.Add(time.Hour)}))
	if diff := cmp.Diff(used, read("first")); diff != "" {
		t.Errorf("after a use (-want +got):\n%s", diff)
	}

	renewed := want
	renewed.SecretHash, renewed.AuthTime, renewed.Methods, renewed.Device = "second", Noon.Add(time.Hour), session.Methods{"pwd"}, session.Device{}
	Check(t, i.AddSession(ctx, renewed))
	if diff := cmp.Diff(renewed, read("second")); diff != "" {
		t.Errorf("renewed (-want +got):\n%s", diff)
	}
	_, err := i.SessionBySecretHash(ctx, "first")
	WantErr(t, "the secret before", err, session.ErrNotFound)

	others := renewed
	others.Subject, others.SecretHash = "bob-subject", "third"
	WantErr(t, "somebody else takes the session", i.AddSession(ctx, others), session.ErrOvertaken)
	if diff := cmp.Diff(renewed, read("second")); diff != "" {
		t.Errorf("after somebody else (-want +got):\n%s", diff)
	}
}

// Lists have what lives, the newest first, part by part, and nothing twice.
func loginsAreListed(t *testing.T, open Opener) {
	db, ctx := open(t), t.Context()
	i, other := AddIssuer(t, db, "one"), AddIssuer(t, db, "two")
	for _, rows := range []*store.Issuer{i, other} {
		for _, name := range []string{"alice", "bob"} {
			Check(t, rows.AddAccount(ctx, Account(name), Noon))
		}
	}
	add := func(rows *store.Issuer, id, user, client string, at time.Time) {
		t.Helper()
		s := Session(id, user+"-subject")
		s.AuthTime = at
		Check(t, rows.AddSession(ctx, s))
		g := Grant(id, client, user+"-subject")
		g.CreatedAt, g.SessionID = at, id
		Check(t, rows.AddGrant(ctx, g))
		Check(t, rows.RedeemCode(ctx, id, at))
	}
	for n := range 5 {
		add(i, fmt.Sprintf("a%d", n), "alice", "kubernetes", Noon.Add(time.Duration(n/2)*time.Second)) // some at the same time
		add(i, fmt.Sprintf("b%d", n), "bob", []string{"kubernetes", "web"}[n%2], Noon.Add(time.Duration(n)*time.Second))
	}
	add(other, "x", "alice", "kubernetes", Noon)
	// What does not live any more, or not yet.
	expired := Session("expired", "alice-subject")
	expired.ExpiresAt = Noon
	Check(t, i.AddSession(ctx, expired))
	for id, change := range map[string]func(*grant.Grant){
		"over": func(g *grant.Grant) { g.ExpiresAt, g.RedeemedAt = Noon, Noon }, "pending": func(*grant.Grant) {},
		"ended": func(g *grant.Grant) { g.EndedAt, g.RedeemedAt = Noon, Noon },
	} {
		g := Grant(id, "kubernetes", "alice-subject")
		change(&g)
		Check(t, i.AddGrant(ctx, g))
	}

	sessions := func(subject oidc.Subject, page store.Page) ([]string, string) {
		t.Helper()
		found, next, err := i.SessionList(ctx, subject, page, Noon)
		Check(t, err)
		ids := []string{}
		for _, s := range found {
			ids = append(ids, s.ID)
		}
		return ids, next
	}
	grants := func(filter store.GrantFilter, page store.Page) ([]string, string) {
		t.Helper()
		found, next, err := i.GrantList(ctx, filter, page, Noon)
		Check(t, err)
		ids := []string{}
		for _, g := range found {
			ids = append(ids, g.ID)
		}
		return ids, next
	}
	alices, bobs, all := []string{"a4", "a3", "a2", "a1", "a0"}, []string{"b4", "b3", "b2", "b1", "b0"}, []string{"b4", "b3", "b2", "a4", "b1", "a3", "a2", "b0", "a1", "a0"}
	want := func(what string, got, want []string) {
		t.Helper()
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", what, diff)
		}
	}
	got, _ := sessions("alice-subject", store.Page{})
	want("sessions of alice", got, alices)
	got, _ = sessions("", store.Page{})
	want("all sessions", got, all)
	got, _ = sessions("nobody", store.Page{})
	want("sessions of nobody", got, []string{})
	got, _ = grants(store.GrantFilter{}, store.Page{})
	want("all grants", got, all)
	got, _ = grants(store.GrantFilter{Subject: "bob-subject"}, store.Page{})
	want("grants of bob", got, bobs)
	got, _ = grants(store.GrantFilter{Subject: "bob-subject", Client: "web"}, store.Page{})
	want("grants of bob at web", got, []string{"b3", "b1"})
	got, _ = grants(store.GrantFilter{Client: "web"}, store.Page{})
	want("grants at web", got, []string{"b3", "b1"})

	for limit := 1; limit <= 11; limit++ {
		var parts, grantParts []string
		for page := (store.Page{Limit: limit}); ; {
			part, next := sessions("", page)
			grantPart, grantNext := grants(store.GrantFilter{}, page)
			if len(part) > limit || next != grantNext {
				t.Errorf("limit %d: got %q and %q, then %q and %q", limit, part, grantPart, next, grantNext)
			}
			parts, grantParts = append(parts, part...), append(grantParts, grantPart...)
			if page.After = next; next == "" {
				break
			}
		}
		want(fmt.Sprint("sessions, by ", limit), parts, all)
		want(fmt.Sprint("grants, by ", limit), grantParts, all)
	}
	for _, place := range []string{"x", ".a", "1.", "1", "'.'", "99999999999999999999.a"} {
		_, _, err := i.SessionList(ctx, "", store.Page{After: place}, Noon)
		WantErr(t, place, err, store.ErrPage)
		_, _, err = i.GrantList(ctx, store.GrantFilter{}, store.Page{After: place}, Noon)
		WantErr(t, place, err, store.ErrPage)
	}
}

// A logout ends a session and what stands on it alone, and tells which clients
// were there.
func logOutEndsWhatStandsOnTheSession(t *testing.T, open Opener) {
	i, ctx := fresh(t, open), t.Context()
	Check(t, i.AddAccount(ctx, Account("alice"), Noon))
	Check(t, i.AddSession(ctx, Session("s", "alice-subject")))
	Check(t, i.AddSession(ctx, Session("t", "alice-subject")))
	add := func(id, client, session string, redeemed bool, scopes ...string) {
		t.Helper()
		g := Grant(id, client, "alice-subject")
		g.SessionID, g.Scopes = session, scopes
		Check(t, i.AddGrant(ctx, g))
		if redeemed {
			Check(t, i.RedeemCode(ctx, id, Noon))
		}
	}
	add("online", "web", "s", true, "openid", "email")
	add("again", "web", "s", true, "openid")
	add("pending", "mail", "s", false, "openid")
	add("offline", "kubernetes", "s", true, "openid", "offline_access")
	add("offline-first", "kubernetes", "s", true, "offline_access", "openid")
	add("offline-alone", "kubernetes", "s", true, "offline_access")
	add("alike", "chat", "s", true, "openid", "offlineXaccess", "xoffline_access", "offline_accessx")
	add("elsewhere", "news", "t", true, "openid")
	add("none", "device", "", true, "openid")
	later := Noon.Add(time.Minute)
	clients, err := i.LogOut(ctx, "s", later)
	Check(t, err)
	if diff := cmp.Diff([]oidc.ClientID{"chat", "kubernetes", "web"}, clients); diff != "" {
		t.Errorf("clients (-want +got):\n%s", diff)
	}
	ended := []string{"online", "again", "pending", "alike"}
	for _, id := range []string{"online", "again", "pending", "offline", "offline-first", "offline-alone", "alike", "elsewhere", "none"} {
		g, err := i.Grant(ctx, id)
		Check(t, err)
		if got, want := g.EndedAt.Equal(later), slices.Contains(ended, id); got != want || !want && !g.EndedAt.IsZero() {
			t.Errorf("%s: ended at %s, want ended = %v", id, g.EndedAt, want)
		}
	}
	_, err = i.Session(ctx, "s")
	WantErr(t, "the session", err, session.ErrNotFound)
	_, err = i.Session(ctx, "t")
	Check(t, err)
	// Twice changes nothing.
	_, err = i.LogOut(ctx, "s", later.Add(time.Hour))
	Check(t, err)
	if g, err := i.Grant(ctx, "online"); err != nil || !g.EndedAt.Equal(later) {
		t.Errorf("the second logout: ended at %s, %v; want %s as before", g.EndedAt, err, later)
	}
}

func grantsAreEndedTogether(t *testing.T, open Opener) {
	i, ctx := fresh(t, open), t.Context()
	for n, g := range []grant.Grant{Grant("a1", "kubernetes", "a"), Grant("a2", "web", "a"), Grant("b1", "kubernetes", "b"), Grant("over", "kubernetes", "a")} {
		if n == 3 {
			g.ExpiresAt = Noon
		}
		Check(t, i.AddGrant(ctx, g))
	}
	for _, step := range []struct {
		filter store.GrantFilter
		want   int64
		ended  []string
	}{
		{store.GrantFilter{Subject: "nobody"}, 0, nil},
		{store.GrantFilter{Subject: "a", Client: "web"}, 1, []string{"a2"}},
		{store.GrantFilter{Subject: "a"}, 1, []string{"a1", "a2"}},
		{store.GrantFilter{Client: "kubernetes"}, 1, []string{"a1", "a2", "b1"}},
		{store.GrantFilter{}, 0, []string{"a1", "a2", "b1"}},
	} {
		got, err := i.EndGrants(ctx, step.filter, Noon)
		Check(t, err)
		if got != step.want {
			t.Errorf("%+v: ended %d, want %d", step.filter, got, step.want)
		}
		for _, id := range []string{"a1", "a2", "b1", "over"} {
			g, err := i.Grant(ctx, id)
			Check(t, err)
			if ended := !g.EndedAt.IsZero(); ended != slices.Contains(step.ended, id) {
				t.Errorf("%+v: %s ended = %v", step.filter, id, ended)
			}
		}
	}
	WantErr(t, "a code that nobody came for yet", i.RedeemCode(ctx, "a1", Noon), grant.ErrCodeUsed)
}
