// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package storetest

import (
	"errors"
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
	"github.com/tegata/tegata/internal/signingkey"
	"github.com/tegata/tegata/internal/store"
)

// What the domain asks of a storage, one promise after the other.
func keepsItsPromises(t *testing.T, open Opener) {
	ctx := t.Context()
	for name, promise := range map[string]func(t *testing.T, i *store.Issuer){
		"an account comes back as it was": func(t *testing.T, i *store.Issuer) {
			Check(t, i.AddGroup(ctx, "g", Noon))
			want := Account("alice")
			want.Name, want.Groups = "Alice Liddell", []string{"g"}
			want.Password.MustChange, want.Password.ExpiresAt = true, Noon.Add(time.Hour)
			Check(t, i.AddAccount(ctx, want, Noon))
			want.Password.ChangedAt = Noon
			for _, login := range []string{"alice", "ALICE", "Alice@Example.com"} {
				got, err := i.AccountByLogin(ctx, login)
				Check(t, err)
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("by %s (-want +got):\n%s", login, diff)
				}
			}
			got, err := i.AccountBySubject(ctx, want.Subject)
			Check(t, err)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("by subject (-want +got):\n%s", diff)
			}
		},
		"nobody is found under nothing": func(t *testing.T, i *store.Issuer) {
			a := Account("alice")
			a.Email = ""
			Check(t, i.AddAccount(ctx, a, Noon))
			for _, login := range []string{"", "@", "alice-subject", "ali%", "alice' OR '1'='1"} {
				_, err := i.AccountByLogin(ctx, login)
				WantErr(t, login, err, identity.ErrNotFound)
			}
		},
		"names and addresses are given once": func(t *testing.T, i *store.Issuer) {
			Check(t, i.AddAccount(ctx, Account("alice"), Noon))
			same := Account("ALICE")
			same.Email = ""
			WantErr(t, "name", i.AddAccount(ctx, same, Noon), store.ErrExists)
			other := Account("bob")
			other.Email = "Alice@EXAMPLE.com"
			WantErr(t, "address", i.AddAccount(ctx, other, Noon), store.ErrExists)
			for _, name := range []string{"carol", "dave"} { // no address is no address twice
				a := Account(name)
				a.Email = ""
				Check(t, i.AddAccount(ctx, a, Noon))
			}
		},
		"an account in a group that is not there is not added": func(t *testing.T, i *store.Issuer) {
			a := Account("alice")
			a.Groups = []string{"none"}
			WantErr(t, "add", i.AddAccount(ctx, a, Noon), store.ErrNoGroup)
			_, err := i.AccountByLogin(ctx, "alice")
			WantErr(t, "find", err, identity.ErrNotFound)
		},
		"a password hash is upgraded only from the one that was checked": func(t *testing.T, i *store.Issuer) {
			Check(t, i.AddAccount(ctx, Account("alice"), Noon))
			Check(t, i.UpgradePasswordHash(ctx, "alice-subject", "another", "late"))
			Check(t, i.UpgradePasswordHash(ctx, "alice-subject", "hash of alice", "better"))
			got, err := i.AccountByLogin(ctx, "alice")
			Check(t, err)
			if got.PasswordHash != "better" {
				t.Errorf("got %q, want better", got.PasswordHash)
			}
		},
		"a new password, a ban and a deletion end everything": func(t *testing.T, i *store.Issuer) {
			for name, act := range map[string]func(oidc.Subject) error{
				"password": func(s oidc.Subject) error { return i.SetPassword(ctx, s, local.NewPassword{Hash: "new"}, Noon) },
				"disable":  func(s oidc.Subject) error { return i.SetDisabled(ctx, s, true, Noon) },
				"delete":   func(s oidc.Subject) error { return i.DeleteAccount(ctx, s, Noon) },
			} {
				a := Account(name)
				Check(t, i.AddAccount(ctx, a, Noon))
				Check(t, i.AddSession(ctx, Session(name, string(a.Subject))))
				Check(t, i.AddGrant(ctx, Grant(name, "c", string(a.Subject))))
				Check(t, i.RedeemCode(ctx, name, Noon))
				Check(t, act(a.Subject))
				wantEnded(t, i, name)
			}
			WantErr(t, "nobody", i.SetPassword(ctx, "nobody", local.NewPassword{Hash: "x"}, Noon), identity.ErrNotFound)
			WantErr(t, "nobody", i.SetDisabled(ctx, "nobody", true, Noon), identity.ErrNotFound)
			WantErr(t, "nobody", i.DeleteAccount(ctx, "nobody", Noon), identity.ErrNotFound)
		},
		"groups": func(t *testing.T, i *store.Issuer) {
			Check(t, i.AddAccount(ctx, Account("bob"), Noon))
			Check(t, i.AddAccount(ctx, Account("alice"), Noon))
			Check(t, i.AddGroup(ctx, "z", Noon))
			Check(t, i.AddGroup(ctx, "a", Noon))
			WantErr(t, "again", i.AddGroup(ctx, "a", Noon), store.ErrExists)
			for range 2 {
				Check(t, i.AddMember(ctx, "z", "bob-subject"))
			}
			Check(t, i.AddMember(ctx, "z", "alice-subject"))
			WantErr(t, "no group", i.AddMember(ctx, "none", "bob-subject"), store.ErrNoGroup)
			WantErr(t, "no user", i.AddMember(ctx, "z", "nobody"), identity.ErrNotFound)
			groups, err := i.GroupList(ctx)
			Check(t, err)
			if diff := cmp.Diff([]store.Group{{Name: "a", Members: []string{}}, {Name: "z", Members: []string{"alice", "bob"}}}, groups); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			for _, want := range []bool{true, false} {
				was, err := i.RemoveMember(ctx, "z", "bob-subject")
				Check(t, err)
				if was != want {
					t.Errorf("RemoveMember = %t, want %t", was, want)
				}
			}
			Check(t, i.DeleteGroup(ctx, "z"))
			WantErr(t, "gone", i.DeleteGroup(ctx, "z"), store.ErrNoGroup)
			a, err := i.AccountByLogin(ctx, "alice")
			Check(t, err)
			if len(a.Groups) != 0 {
				t.Errorf("alice is in %v, want nothing", a.Groups)
			}
		},
		"clients": func(t *testing.T, i *store.Issuer) {
			want := Client("web")
			want.SecretHash, want.Scopes, want.GroupsClaim, want.SigningAlg, want.Name = "sha256:x", oidc.Scopes{"openid"}, "roles", "ES256", "Web"
			Check(t, i.AddClient(ctx, want, Noon))
			WantErr(t, "again", i.AddClient(ctx, want, Noon), store.ErrExists)
			got, err := i.Client(ctx, "web")
			Check(t, err)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			_, err = i.Client(ctx, "WEB") // RFC 6749: a client ID has a case
			WantErr(t, "case", err, clientregistry.ErrNotFound)
			Check(t, i.AddGrant(ctx, Grant("g", "web", "s")))
			Check(t, i.DeleteClient(ctx, "web"))
			WantErr(t, "gone", i.DeleteClient(ctx, "web"), clientregistry.ErrNotFound)
			if g, err := i.Grant(ctx, "g"); err == nil && g.Live(Noon) {
				t.Error("the grant of a deleted client lives")
			}
		},
		"sessions": func(t *testing.T, i *store.Issuer) {
			Check(t, i.AddAccount(ctx, Account("alice"), Noon))
			want := Session("s", "alice-subject")
			Check(t, i.AddSession(ctx, want))
			got, err := i.SessionBySecretHash(ctx, want.SecretHash)
			Check(t, err)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			for range 2 {
				Check(t, i.EndSession(ctx, "s"))
			}
			_, err = i.SessionBySecretHash(ctx, want.SecretHash)
			WantErr(t, "ended", err, session.ErrNotFound)
		},
		"a login under way does not outlive what ends all logins": func(t *testing.T, i *store.Issuer) {
			Check(t, i.AddAccount(ctx, Account("alice"), Noon))
			Check(t, i.AddSession(ctx, Session("before", "alice-subject")))
			standing := Grant("standing", "c", "alice-subject")
			standing.SessionID = "before"
			Check(t, i.AddGrant(ctx, standing))

			Check(t, i.SetPassword(ctx, "alice-subject", local.NewPassword{Hash: "another"}, Noon))
			late := Session("late", "alice-subject") // its password was checked before
			WantErr(t, "session", i.AddSession(ctx, late), session.ErrOvertaken)
			overtaken := Grant("overtaken", "c", "alice-subject")
			overtaken.SessionID = "before"
			WantErr(t, "grant", i.AddGrant(ctx, overtaken), session.ErrOvertaken)

			now, err := i.AccountBySubject(ctx, "alice-subject")
			Check(t, err)
			late.Epoch = now.Epoch
			Check(t, i.AddSession(ctx, late))
			Check(t, i.SetDisabled(ctx, "alice-subject", true, Noon))
			Check(t, i.SetDisabled(ctx, "alice-subject", false, Noon))
			late.ID, late.SecretHash = "later", "later"
			WantErr(t, "after disabling and enabling", i.AddSession(ctx, late), session.ErrOvertaken)
		},
		"a grant comes back as it was": func(t *testing.T, i *store.Issuer) {
			want := Grant("g", "c", "s")
			Check(t, i.AddGrant(ctx, want))
			got, err := i.Grant(ctx, "g")
			Check(t, err)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			_, err = i.Grant(ctx, "h")
			WantErr(t, "another", err, grant.ErrNotFound)
			if err := i.AddGrant(ctx, want); err == nil {
				t.Error("the same grant was added twice")
			}
		},
		"a code is used once, by one": func(t *testing.T, i *store.Issuer) {
			Check(t, i.AddGrant(ctx, Grant("g", "c", "s")))
			if won := race(16, func() error { return i.RedeemCode(ctx, "g", Noon) }, grant.ErrCodeUsed, t); won != 1 {
				t.Errorf("%d of 16 redeemed the code, want 1", won)
			}
			g, err := i.Grant(ctx, "g")
			Check(t, err)
			if g.Generation != 1 || !g.RedeemedAt.Equal(Noon) || !g.RotatedAt.Equal(Noon) {
				t.Errorf("got %+v", g)
			}
			WantErr(t, "no grant", i.RedeemCode(ctx, "none", Noon), grant.ErrCodeUsed)
		},
		"a refresh token rotates once, by one": func(t *testing.T, i *store.Issuer) {
			Check(t, i.AddGrant(ctx, Grant("g", "c", "s")))
			Check(t, i.RedeemCode(ctx, "g", Noon))
			for from := 1; from <= 3; from++ {
				at := Noon.Add(time.Duration(from) * time.Minute)
				if won := race(16, func() error { return i.RotateRefreshToken(ctx, "g", from, at) }, grant.ErrSuperseded, t); won != 1 {
					t.Errorf("%d of 16 rotated token %d, want 1", won, from)
				}
			}
			g, err := i.Grant(ctx, "g")
			Check(t, err)
			if g.Generation != 4 || !g.RotatedAt.Equal(Noon.Add(3*time.Minute)) {
				t.Errorf("got generation %d, rotated at %s", g.Generation, g.RotatedAt)
			}
		},
		"an ended grant stays ended": func(t *testing.T, i *store.Issuer) {
			Check(t, i.AddGrant(ctx, Grant("g", "c", "s")))
			Check(t, i.EndGrant(ctx, "g", Noon))
			Check(t, i.EndGrant(ctx, "g", Noon.Add(time.Hour)))
			WantErr(t, "redeem", i.RedeemCode(ctx, "g", Noon), grant.ErrCodeUsed)
			WantErr(t, "rotate", i.RotateRefreshToken(ctx, "g", 0, Noon), grant.ErrSuperseded)
			g, err := i.Grant(ctx, "g")
			Check(t, err)
			if !g.EndedAt.Equal(Noon) {
				t.Errorf("ended at %s, want the first time", g.EndedAt)
			}
		},
		"one signing key of each generation of an algorithm": func(t *testing.T, i *store.Issuer) {
			want := []signingkey.Record{}
			for _, alg := range []string{"RS256", "ES256"} {
				for _, id := range []string{"first", "second"} {
					key := SigningKey(id + alg)
					key.Algorithm = alg
					Check(t, i.ChangeSigningKeys(ctx, signingkey.Change{Add: []signingkey.Record{key}}))
					if id == "first" {
						want = append(want, key)
					}
				}
			}
			got, err := i.SigningKeys(ctx)
			Check(t, err)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		},
		"sweeping takes what has expired and keeps the evidence of a replay": func(t *testing.T, i *store.Issuer) {
			Check(t, i.AddAccount(ctx, Account("alice"), Noon))
			Check(t, i.AddSession(ctx, Session("old", "alice-subject")))
			later := Session("later", "alice-subject")
			later.ExpiresAt = Noon.Add(48 * time.Hour)
			Check(t, i.AddSession(ctx, later))
			for _, id := range []string{"forgotten", "redeemed", "ended"} {
				Check(t, i.AddGrant(ctx, Grant(id, "c", "s")))
			}
			Check(t, i.RedeemCode(ctx, "redeemed", Noon))
			Check(t, i.RedeemCode(ctx, "ended", Noon))
			Check(t, i.EndGrant(ctx, "ended", Noon))
			sweep := func(at time.Time, sessions, grants string) {
				t.Helper()
				Check(t, i.Sweep(ctx, at))
				left := ""
				for _, id := range []string{"old", "later"} {
					if _, err := i.SessionBySecretHash(ctx, "secret of "+id); err == nil {
						left += id + " "
					}
				}
				if left != sessions {
					t.Errorf("after %s: sessions %q, want %q", at.Sub(Noon), left, sessions)
				}
				left = ""
				for _, id := range []string{"forgotten", "redeemed", "ended"} {
					if _, err := i.Grant(ctx, id); err == nil {
						left += id + " "
					}
				}
				if left != grants {
					t.Errorf("after %s: grants %q, want %q", at.Sub(Noon), left, grants)
				}
			}
			sweep(Noon.Add(time.Second), "old later ", "forgotten redeemed ended ")
			sweep(Noon.Add(2*time.Minute), "old later ", "redeemed ended ")
			sweep(Noon.Add(2*time.Hour), "later ", "redeemed ended ")
			sweep(Noon.Add(25*time.Hour), "later ", "")
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			promise(t, fresh(t, open))
		})
	}
}

// race runs act n times at once and returns how often it succeeded.
func race(n int, act func() error, otherwise error, t *testing.T) (won int) {
	var mu sync.Mutex
	var wait sync.WaitGroup
	for range n {
		wait.Go(func() {
			err := act()
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				won++
			} else if !errors.Is(err, otherwise) {
				t.Errorf("got error %v, want %v", err, otherwise)
			}
		})
	}
	wait.Wait()
	return won
}

func wantEnded(t *testing.T, i *store.Issuer, id string) {
	t.Helper()
	if _, err := i.SessionBySecretHash(t.Context(), "secret of "+id); !errors.Is(err, session.ErrNotFound) {
		t.Errorf("%s: the session is there: %v", id, err)
	}
	g, err := i.Grant(t.Context(), id)
	if err == nil && g.Live(Noon) {
		t.Errorf("%s: the grant lives", id)
	}
	if err := i.RotateRefreshToken(t.Context(), id, 1, Noon); err == nil {
		t.Errorf("%s: a refresh token of it still rotates", id)
	}
}
