// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package storetest

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/tegata/tegata/internal/clientregistry"
	"github.com/tegata/tegata/internal/identity"
	"github.com/tegata/tegata/internal/identity/local"
	"github.com/tegata/tegata/internal/provider/grant"
	"github.com/tegata/tegata/internal/signingkey"
	"github.com/tegata/tegata/internal/store"
)

func issuersNeverSeeEachOther(t *testing.T, open Opener) {
	ctx := t.Context()
	db := open(t)
	one := AddIssuer(t, db, "one")
	two := AddIssuer(t, db, "two")
	fill := func(i *store.Issuer) {
		Check(t, i.AddGroup(ctx, "g", Noon))
		a := Account("alice")
		a.Groups = []string{"g"}
		Check(t, i.AddAccount(ctx, a, Noon))
		Check(t, i.AddClient(ctx, Client("c"), Noon))
		Check(t, i.AddSession(ctx, Session("s", "alice-subject")))
		Check(t, i.AddGrant(ctx, Grant("grant", "c", "alice-subject")))
		Check(t, i.ChangeSigningKeys(ctx, signingkey.Change{Add: []signingkey.Record{SigningKey("k")}}))
	}
	look := func(i *store.Issuer) string {
		accounts, err := i.AccountList(ctx)
		Check(t, err)
		groups, err := i.GroupList(ctx)
		Check(t, err)
		clients, err := i.ClientList(ctx)
		Check(t, err)
		keys, err := i.SigningKeys(ctx)
		Check(t, err)
		_, bySubject := i.AccountBySubject(ctx, "alice-subject")
		_, byLogin := i.AccountByLogin(ctx, "alice")
		_, byAddress := i.AccountByLogin(ctx, "alice@example.com")
		_, c := i.Client(ctx, "c")
		_, s := i.SessionBySecretHash(ctx, "secret of s")
		g, err := i.Grant(ctx, "grant")
		return fmt.Sprint(accounts, groups, clients, keys, bySubject, byLogin, byAddress, c, s, g, err)
	}
	nothing := look(two)
	fill(one)
	if got := look(two); got != nothing {
		t.Errorf("the second issuer sees\n%s\nwant\n%s", got, nothing)
	}
	before := look(one)

	// Nothing that the second does reaches the first.
	WantErr(t, "password", two.SetPassword(ctx, "alice-subject", local.NewPassword{Hash: "x"}, Noon), identity.ErrNotFound)
	WantErr(t, "disable", two.SetDisabled(ctx, "alice-subject", true, Noon), identity.ErrNotFound)
	WantErr(t, "delete", two.DeleteAccount(ctx, "alice-subject", Noon), identity.ErrNotFound)
	Check(t, two.UpgradePasswordHash(ctx, "alice-subject", "hash of alice", "x"))
	WantErr(t, "member", two.AddMember(ctx, "g", "alice-subject"), store.ErrNoGroup)
	Check(t, two.AddGroup(ctx, "mine", Noon))
	WantErr(t, "member", two.AddMember(ctx, "mine", "alice-subject"), identity.ErrNotFound)
	if was, err := two.RemoveMember(ctx, "g", "alice-subject"); was || err != nil {
		t.Errorf("RemoveMember = %t, %v", was, err)
	}
	WantErr(t, "group", two.DeleteGroup(ctx, "g"), store.ErrNoGroup)
	WantErr(t, "client", two.DeleteClient(ctx, "c"), clientregistry.ErrNotFound)
	Check(t, two.EndSession(ctx, "s"))
	WantErr(t, "redeem", two.RedeemCode(ctx, "grant", Noon), grant.ErrCodeUsed)
	WantErr(t, "rotate", two.RotateRefreshToken(ctx, "grant", 0, Noon), grant.ErrSuperseded)
	Check(t, two.EndGrant(ctx, "grant", Noon))
	Check(t, two.Sweep(ctx, Noon.Add(1000*time.Hour)))
	Check(t, two.Declare(ctx, store.Declaration{}, Noon))
	Check(t, two.DeleteGroup(ctx, "mine"))
	if got := look(one); got != before {
		t.Errorf("the first issuer has\n%s\nwant\n%s", got, before)
	}

	// The same names, subjects and IDs may be in both.
	fill(two)
	Check(t, two.DeleteAccount(ctx, "alice-subject", Noon))
	if got := look(one); got != before {
		t.Errorf("after the twin was deleted the first issuer has\n%s\nwant\n%s", got, before)
	}
	if _, err := db.IssuerRecord(ctx, "three"); !errors.Is(err, store.ErrNoIssuer) {
		t.Errorf("a third issuer: %v, want ErrNoIssuer", err)
	}
}
