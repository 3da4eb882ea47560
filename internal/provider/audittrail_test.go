// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package provider_test

import (
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tegata/tegata/internal/audit"
	"github.com/tegata/tegata/internal/clientregistry"
	"github.com/tegata/tegata/internal/oidc"
)

// Each decision of the pages is told, with whom it is about; what was typed by
// somebody who was not let in is not.
func TestLoginsAndLogoutsAreTold(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var events []audit.Event
	i := newIssuer(t, func(i *issuer) {
		i.config.Audit = &audit.Trail{Issuer: issuerURL, Now: i.clock.Now, Sinks: []func(audit.Event){func(event audit.Event) {
			mu.Lock()
			defer mu.Unlock()
			events = append(events, event)
		}}}
	})
	i.addClient(clientregistry.Client{ID: "elsewhere", Sources: []string{"directory"}, RedirectURIs: []string{"https://web.example.com/callback"}}, otherSecret)
	b := i.browser()
	b.header.Set("User-Agent", "a browser")
	page := b.submit(b.authorize(request()), "alice", "typed-by-mistake")
	b.submit(page, "alice", alicePassword).code()
	b.again(request()).code()
	b.press(b.authorize(request()), "cancel").wantError(oidc.AccessDenied)
	b.submit(b.authorize(webRequest("client_id", "elsewhere")), "bob", bobPassword).wantError(oidc.AccessDenied)
	b.press(b.logOut(nil), "stay").wantStatus(http.StatusSeeOther)
	b.press(b.logOut(nil), "logout").wantStatus(http.StatusOK)

	type told struct {
		Act     audit.Act
		Client  oidc.ClientID
		Subject oidc.Subject
		Reason  string
	}
	want := []told{
		{audit.LoginRefused, "kubernetes", "", "wrong-credentials"},
		{audit.LoggedIn, "kubernetes", i.alice, ""},
		{audit.Granted, "kubernetes", i.alice, ""},
		{audit.Granted, "kubernetes", i.alice, ""},
		{audit.Denied, "kubernetes", "", "the end user did not agree"},
		{audit.Denied, "elsewhere", i.bob, "end users of this source may not use the client"},
		{audit.LoggedOut, "", i.alice, ""},
	}
	got := []told{}
	sessions := map[string]bool{}
	for _, event := range events {
		got = append(got, told{event.Act, event.Client, event.Subject, event.Reason})
		if event.Session != "" {
			sessions[event.Session] = true
		}
		if !strings.HasPrefix(event.Remote, "127.0.0.1:") || event.Agent != "a browser" || event.Issuer != issuerURL || !event.Time.Equal(birth) {
			t.Errorf("%+v: want where it came from", event)
		}
		if event.Act == audit.Granted && (event.Grant == "" || event.GrantType != oidc.GrantAuthorizationCode) {
			t.Errorf("%+v: want the grant", event)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" || len(sessions) != 1 {
		t.Errorf("sessions %v, events (-want +got):\n%s", sessions, diff)
	}
}

// A client may be for the end users of some sources only.
func TestSourcesOfAClient(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	const to = "https://web.example.com/callback"
	i.addClient(clientregistry.Client{ID: "elsewhere", Sources: []string{"directory"}, RedirectURIs: []string{to}}, otherSecret)
	i.addClient(clientregistry.Client{ID: "here", Sources: []string{"directory", "local"}, RedirectURIs: []string{to}}, otherSecret)
	b := i.browser()
	b.login(webRequest("client_id", "here"), "alice", alicePassword).code()
	b.authorize(webRequest("client_id", "elsewhere", "prompt", "none")).wantError(oidc.LoginRequired)
	sessions, grants := i.count("sessions"), i.count("grants")
	b.submit(b.authorize(webRequest("client_id", "elsewhere")), "bob", bobPassword).wantError(oidc.AccessDenied)
	if i.count("sessions") != sessions || i.count("grants") != grants {
		t.Error("a login that was denied left a row")
	}
	page := b.authorize(webRequest("client_id", "here", "prompt", "consent"))
	page.wantPage(http.StatusOK, "Continue as")
	check(t, i.rows.DeleteClient(t.Context(), "here"))
	i.addClient(clientregistry.Client{ID: "here", Sources: []string{"directory"}, RedirectURIs: []string{to}}, otherSecret)
	b.press(page, "continue").wantPage(http.StatusOK, `name="password"`)
}

// The trail says what an administrator did to whom, and in which group or with
// which key. Its page shows it.
func TestAdministrationNamesItsObject(t *testing.T) {
	t.Parallel()
	var told acts
	i := newIssuer(t, administered, told.told)
	b := i.administrator()
	b.act("/admin/groups", "name", "cluster-admins").wantText("cluster-admins")
	b.act("/admin/users/add", "username", "dave", "group", "cluster-admins").wantText("dave")
	b.act("/admin/group", "name", "cluster-admins", "act", "add-member", "member", "bob").wantText("bob is in the group")
	b.act("/admin/group", "name", "cluster-admins", "act", "remove-member", "member", "bob").wantText("bob is no longer in the group")
	b.act("/admin/group", "name", "cluster-admins", "act", "delete", "confirm", "cluster-admins").wantText("is gone")
	b.act("/admin/keys", "act", "rotate", "alg", "ES256").wantText("Successors are published: ES256")
	keys, err := i.config.Administration.Keys.List(t.Context())
	check(t, err)
	dave := i.account("dave").Subject
	want := []string{
		"tegata group add, , cluster-admins",
		"tegata user add, " + string(dave) + ", ",
		"tegata group add-member, " + string(dave) + ", cluster-admins",
		"tegata group add-member, " + string(i.bob) + ", cluster-admins",
		"tegata group remove-member, " + string(i.bob) + ", cluster-admins",
		"tegata group delete, , cluster-admins",
		"tegata key rotate, , " + keys[len(keys)-1].ID,
	}
	var got []string
	for _, e := range told.all {
		got = append(got, e.Reason+", "+string(e.Subject)+", "+e.Object)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
