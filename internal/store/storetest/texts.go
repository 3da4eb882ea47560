// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package storetest

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tegata/tegata/internal/clientregistry"
	"github.com/tegata/tegata/internal/identity"
	"github.com/tegata/tegata/internal/oidc"
	"github.com/tegata/tegata/internal/provider/grant"
	"github.com/tegata/tegata/internal/provider/session"
)

// A text comes back byte by byte. One that PostgreSQL cannot keep is found
// nowhere and kept nowhere, with an error and not a failure of the storage.
func textsComeBack(t *testing.T, open Opener) {
	i := fresh(t, open)
	ctx := t.Context()
	for n, text := range []string{"", " ", "'", `\`, `\x00`, "\n\r\t", "日本語", "e\u0301", "\u00e9", "\U0010ffff", "%_", "$1", "?", `"`, "--", "/*", "\x7f"} {
		g := Grant(fmt.Sprint(n), "c", "s")
		g.Nonce = text
		Check(t, i.AddGrant(ctx, g))
		if got, err := i.Grant(ctx, g.ID); err != nil || got.Nonce != text {
			t.Errorf("%q came back as %q, %v", text, got.Nonce, err)
		}
	}
	for _, text := range []string{"\x00", "a\x00b", "\xff", "a\xc3", "\xed\xa0\x80"} {
		_, err := i.AccountByLogin(ctx, text)
		WantErr(t, "login", err, identity.ErrNotFound)
		_, err = i.AccountBySubject(ctx, oidc.Subject(text))
		WantErr(t, "subject", err, identity.ErrNotFound)
		_, err = i.Client(ctx, oidc.ClientID(text))
		WantErr(t, "client", err, clientregistry.ErrNotFound)
		_, err = i.Grant(ctx, text)
		WantErr(t, "grant", err, grant.ErrNotFound)
		_, err = i.SessionBySecretHash(ctx, text)
		WantErr(t, "session", err, session.ErrNotFound)
		g := Grant("bad", "c", "s")
		g.Nonce = text
		if err := i.AddGrant(ctx, g); err == nil || Unavailable(err) {
			t.Errorf("keeping %q: %v, want an error that trying again does not mend", text, err)
		}
	}
}

// Lists are sorted by bytes, whatever the locale of the database.
func listsSortByBytes(t *testing.T, open Opener) {
	i := fresh(t, open)
	ctx := t.Context()
	sorted := []string{"-a", "A", "B", "_a", "a", "a-b", "a.b", "ab", "b", "z", "ä", "あ"}
	for n := range sorted {
		name := sorted[(n*5)%len(sorted)]
		Check(t, i.AddGroup(ctx, name, Noon))
		Check(t, i.AddClient(ctx, Client(name), Noon))
	}
	member := Account("member")
	Check(t, i.AddAccount(ctx, member, Noon))
	groups, err := i.GroupList(ctx)
	Check(t, err)
	clients, err := i.ClientList(ctx)
	Check(t, err)
	for _, name := range sorted {
		Check(t, i.AddMember(ctx, name, member.Subject))
	}
	member, err = i.AccountByLogin(ctx, "member")
	Check(t, err)
	var groupNames, clientNames []string
	for _, g := range groups {
		groupNames = append(groupNames, g.Name)
	}
	for _, c := range clients {
		clientNames = append(clientNames, string(c.ID))
	}
	for what, got := range map[string][]string{"groups": groupNames, "clients": clientNames, "groups of a user": member.Groups} {
		if diff := cmp.Diff(sorted, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", what, diff)
		}
	}
}
