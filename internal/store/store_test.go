// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package store_test

import (
	"context"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/tegata/tegata/internal/clientregistry"
	"github.com/tegata/tegata/internal/identity"
	"github.com/tegata/tegata/internal/identity/local"
	"github.com/tegata/tegata/internal/oidc"
	"github.com/tegata/tegata/internal/provider/grant"
	"github.com/tegata/tegata/internal/provider/session"
	"github.com/tegata/tegata/internal/signingkey"
	"github.com/tegata/tegata/internal/store"
)

func TestMain(m *testing.M) {
	// With -race each process would wait a second before it ends.
	os.Setenv("GORACE", "atexit_sleep_ms=0")
	if dir := os.Getenv("STORE_TEST_WRITER"); dir != "" {
		writeForEver(dir)
	}
	goleak.VerifyTestMain(m)
}

// noon is when the tests happen; times are kept in milliseconds.
var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.Local)

func open(t testing.TB, path string) *store.DB {
	t.Helper()
	db, err := store.Open(context.Background(), store.Config{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	return db
}

// fresh opens a new database with one issuer.
func fresh(t testing.TB) (*store.DB, *store.Issuer, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "tegata.db")
	db := open(t, path)
	t.Cleanup(func() {
		if db.Ping(context.Background()) == nil { // a test may have closed it
			check(t, db.Close())
		}
	})
	return db, addIssuer(t, db, "one"), path
}

func addIssuer(t testing.TB, db *store.DB, id string) *store.Issuer {
	t.Helper()
	check(t, db.AddIssuer(context.Background(), store.IssuerRecord{ID: id, SealedSecret: "sealed"}, noon))
	return db.Issuer(id)
}

// raw opens the file beside the store, as another program would.
func raw(t testing.TB, path string) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+path+"?_txlock=immediate")
	check(t, err)
	t.Cleanup(func() { db.Close() })
	return db
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantErr(t testing.TB, what string, got, want error) {
	t.Helper()
	if !errors.Is(got, want) {
		t.Errorf("%s: got error %v, want %v", what, got, want)
	}
}

func unavailable(err error) bool {
	_, ok := errors.AsType[*store.UnavailableError](err)
	return ok
}

func account(name string) local.Account {
	return local.Account{User: identity.User{
		Subject: oidc.Subject(name + "-subject"), Username: name, Email: name + "@example.com", EmailVerified: true, Groups: []string{},
	}, PasswordHash: "hash of " + name}
}

func client(id string) clientregistry.Client {
	return clientregistry.Client{ID: oidc.ClientID(id), RedirectURIs: []string{"http://localhost:8000"}}
}

func newGrant(id, client, subject string) grant.Grant {
	return grant.Grant{
		ID: id, Client: oidc.ClientID(client), Subject: oidc.Subject(subject), Scopes: oidc.Scopes{"openid", "email"},
		AuthTime: noon, CreatedAt: noon, ExpiresAt: noon.Add(24 * time.Hour), RedirectURI: "http://localhost:8000", CodeChallenge: "challenge",
		Nonce: "nonce", CodeHash: "code hash of " + id, CodeExpiresAt: noon.Add(time.Minute),
	}
}

func newSession(id, subject string) session.Session {
	return session.Session{ID: id, SecretHash: "secret of " + id, Subject: oidc.Subject(subject), AuthTime: noon, ExpiresAt: noon.Add(time.Hour)}
}

// What the domain asks of a storage, one promise after the other.
func TestStorageKeepsItsPromises(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	for name, promise := range map[string]func(t *testing.T, i *store.Issuer){
		"an account comes back as it was": func(t *testing.T, i *store.Issuer) {
			check(t, i.AddGroup(ctx, "g", noon))
			want := account("alice")
			want.Name, want.Groups = "Alice Liddell", []string{"g"}
			check(t, i.AddAccount(ctx, want, noon))
			for _, login := range []string{"alice", "ALICE", "Alice@Example.com"} {
				got, err := i.AccountByLogin(ctx, login)
				check(t, err)
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("by %s (-want +got):\n%s", login, diff)
				}
			}
			got, err := i.AccountBySubject(ctx, want.Subject)
			check(t, err)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("by subject (-want +got):\n%s", diff)
			}
		},
		"nobody is found under nothing": func(t *testing.T, i *store.Issuer) {
			a := account("alice")
			a.Email = ""
			check(t, i.AddAccount(ctx, a, noon))
			for _, login := range []string{"", "@", "alice-subject", "ali%", "alice' OR '1'='1"} {
				_, err := i.AccountByLogin(ctx, login)
				wantErr(t, login, err, identity.ErrNotFound)
			}
		},
		"names and addresses are given once": func(t *testing.T, i *store.Issuer) {
			check(t, i.AddAccount(ctx, account("alice"), noon))
			same := account("ALICE")
			same.Email = ""
			wantErr(t, "name", i.AddAccount(ctx, same, noon), store.ErrExists)
			other := account("bob")
			other.Email = "Alice@EXAMPLE.com"
			wantErr(t, "address", i.AddAccount(ctx, other, noon), store.ErrExists)
			for _, name := range []string{"carol", "dave"} { // no address is no address twice
				a := account(name)
				a.Email = ""
				check(t, i.AddAccount(ctx, a, noon))
			}
		},
		"an account in a group that is not there is not added": func(t *testing.T, i *store.Issuer) {
			a := account("alice")
			a.Groups = []string{"none"}
			wantErr(t, "add", i.AddAccount(ctx, a, noon), store.ErrNoGroup)
			_, err := i.AccountByLogin(ctx, "alice")
			wantErr(t, "find", err, identity.ErrNotFound)
		},
		"a password hash is upgraded only from the one that was checked": func(t *testing.T, i *store.Issuer) {
			check(t, i.AddAccount(ctx, account("alice"), noon))
			check(t, i.UpgradePasswordHash(ctx, "alice-subject", "another", "late"))
			check(t, i.UpgradePasswordHash(ctx, "alice-subject", "hash of alice", "better"))
			got, err := i.AccountByLogin(ctx, "alice")
			check(t, err)
			if got.PasswordHash != "better" {
				t.Errorf("got %q, want better", got.PasswordHash)
			}
		},
		"a new password, a ban and a deletion end everything": func(t *testing.T, i *store.Issuer) {
			for name, act := range map[string]func(oidc.Subject) error{
				"password": func(s oidc.Subject) error { return i.SetPasswordHash(ctx, s, "new", noon) },
				"disable":  func(s oidc.Subject) error { return i.SetDisabled(ctx, s, true, noon) },
				"delete":   func(s oidc.Subject) error { return i.DeleteAccount(ctx, s, noon) },
			} {
				a := account(name)
				check(t, i.AddAccount(ctx, a, noon))
				check(t, i.AddSession(ctx, newSession(name, string(a.Subject))))
				check(t, i.AddGrant(ctx, newGrant(name, "c", string(a.Subject))))
				check(t, i.RedeemCode(ctx, name, noon))
				check(t, act(a.Subject))
				wantEnded(t, i, name)
			}
			wantErr(t, "nobody", i.SetPasswordHash(ctx, "nobody", "x", noon), identity.ErrNotFound)
			wantErr(t, "nobody", i.SetDisabled(ctx, "nobody", true, noon), identity.ErrNotFound)
			wantErr(t, "nobody", i.DeleteAccount(ctx, "nobody", noon), identity.ErrNotFound)
		},
		"groups": func(t *testing.T, i *store.Issuer) {
			check(t, i.AddAccount(ctx, account("bob"), noon))
			check(t, i.AddAccount(ctx, account("alice"), noon))
			check(t, i.AddGroup(ctx, "z", noon))
			check(t, i.AddGroup(ctx, "a", noon))
			wantErr(t, "again", i.AddGroup(ctx, "a", noon), store.ErrExists)
			for range 2 {
				check(t, i.AddMember(ctx, "z", "bob-subject"))
			}
			check(t, i.AddMember(ctx, "z", "alice-subject"))
			wantErr(t, "no group", i.AddMember(ctx, "none", "bob-subject"), store.ErrNoGroup)
			wantErr(t, "no user", i.AddMember(ctx, "z", "nobody"), identity.ErrNotFound)
			groups, err := i.GroupList(ctx)
			check(t, err)
			if diff := cmp.Diff([]store.Group{{Name: "a", Members: []string{}}, {Name: "z", Members: []string{"alice", "bob"}}}, groups); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			for _, want := range []bool{true, false} {
				was, err := i.RemoveMember(ctx, "z", "bob-subject")
				check(t, err)
				if was != want {
					t.Errorf("RemoveMember = %t, want %t", was, want)
				}
			}
			check(t, i.DeleteGroup(ctx, "z"))
			wantErr(t, "gone", i.DeleteGroup(ctx, "z"), store.ErrNoGroup)
			a, err := i.AccountByLogin(ctx, "alice")
			check(t, err)
			if len(a.Groups) != 0 {
				t.Errorf("alice is in %v, want nothing", a.Groups)
			}
		},
		"clients": func(t *testing.T, i *store.Issuer) {
			want := client("web")
			want.SecretHash, want.Scopes, want.GroupsClaim, want.SigningAlg, want.Name = "sha256:x", oidc.Scopes{"openid"}, "roles", "ES256", "Web"
			check(t, i.AddClient(ctx, want, noon))
			wantErr(t, "again", i.AddClient(ctx, want, noon), store.ErrExists)
			got, err := i.Client(ctx, "web")
			check(t, err)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			_, err = i.Client(ctx, "WEB") // RFC 6749: a client ID has a case
			wantErr(t, "case", err, clientregistry.ErrNotFound)
			check(t, i.AddGrant(ctx, newGrant("g", "web", "s")))
			check(t, i.DeleteClient(ctx, "web"))
			wantErr(t, "gone", i.DeleteClient(ctx, "web"), clientregistry.ErrNotFound)
			if g, err := i.Grant(ctx, "g"); err == nil && g.Live(noon) {
				t.Error("the grant of a deleted client lives")
			}
		},
		"sessions": func(t *testing.T, i *store.Issuer) {
			check(t, i.AddAccount(ctx, account("alice"), noon))
			want := newSession("s", "alice-subject")
			check(t, i.AddSession(ctx, want))
			got, err := i.SessionBySecretHash(ctx, want.SecretHash)
			check(t, err)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			for range 2 {
				check(t, i.EndSession(ctx, "s"))
			}
			_, err = i.SessionBySecretHash(ctx, want.SecretHash)
			wantErr(t, "ended", err, session.ErrNotFound)
		},
		"a login under way does not outlive what ends all logins": func(t *testing.T, i *store.Issuer) {
			check(t, i.AddAccount(ctx, account("alice"), noon))
			check(t, i.AddSession(ctx, newSession("before", "alice-subject")))
			standing := newGrant("standing", "c", "alice-subject")
			standing.SessionID = "before"
			check(t, i.AddGrant(ctx, standing))

			check(t, i.SetPasswordHash(ctx, "alice-subject", "another", noon))
			late := newSession("late", "alice-subject") // its password was checked before
			wantErr(t, "session", i.AddSession(ctx, late), session.ErrOvertaken)
			overtaken := newGrant("overtaken", "c", "alice-subject")
			overtaken.SessionID = "before"
			wantErr(t, "grant", i.AddGrant(ctx, overtaken), session.ErrOvertaken)

			now, err := i.AccountBySubject(ctx, "alice-subject")
			check(t, err)
			late.Epoch = now.Epoch
			check(t, i.AddSession(ctx, late))
			check(t, i.SetDisabled(ctx, "alice-subject", true, noon))
			check(t, i.SetDisabled(ctx, "alice-subject", false, noon))
			late.ID, late.SecretHash = "later", "later"
			wantErr(t, "after disabling and enabling", i.AddSession(ctx, late), session.ErrOvertaken)
		},
		"a grant comes back as it was": func(t *testing.T, i *store.Issuer) {
			want := newGrant("g", "c", "s")
			check(t, i.AddGrant(ctx, want))
			got, err := i.Grant(ctx, "g")
			check(t, err)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			_, err = i.Grant(ctx, "h")
			wantErr(t, "another", err, grant.ErrNotFound)
			if err := i.AddGrant(ctx, want); err == nil {
				t.Error("the same grant was added twice")
			}
		},
		"a code is used once, by one": func(t *testing.T, i *store.Issuer) {
			check(t, i.AddGrant(ctx, newGrant("g", "c", "s")))
			if won := race(16, func() error { return i.RedeemCode(ctx, "g", noon) }, grant.ErrCodeUsed, t); won != 1 {
				t.Errorf("%d of 16 redeemed the code, want 1", won)
			}
			g, err := i.Grant(ctx, "g")
			check(t, err)
			if g.Generation != 1 || !g.RedeemedAt.Equal(noon) || !g.RotatedAt.Equal(noon) {
				t.Errorf("got %+v", g)
			}
			wantErr(t, "no grant", i.RedeemCode(ctx, "none", noon), grant.ErrCodeUsed)
		},
		"a refresh token rotates once, by one": func(t *testing.T, i *store.Issuer) {
			check(t, i.AddGrant(ctx, newGrant("g", "c", "s")))
			check(t, i.RedeemCode(ctx, "g", noon))
			for from := 1; from <= 3; from++ {
				at := noon.Add(time.Duration(from) * time.Minute)
				if won := race(16, func() error { return i.RotateRefreshToken(ctx, "g", from, at) }, grant.ErrSuperseded, t); won != 1 {
					t.Errorf("%d of 16 rotated token %d, want 1", won, from)
				}
			}
			g, err := i.Grant(ctx, "g")
			check(t, err)
			if g.Generation != 4 || !g.RotatedAt.Equal(noon.Add(3*time.Minute)) {
				t.Errorf("got generation %d, rotated at %s", g.Generation, g.RotatedAt)
			}
		},
		"an ended grant stays ended": func(t *testing.T, i *store.Issuer) {
			check(t, i.AddGrant(ctx, newGrant("g", "c", "s")))
			check(t, i.EndGrant(ctx, "g", noon))
			check(t, i.EndGrant(ctx, "g", noon.Add(time.Hour)))
			wantErr(t, "redeem", i.RedeemCode(ctx, "g", noon), grant.ErrCodeUsed)
			wantErr(t, "rotate", i.RotateRefreshToken(ctx, "g", 0, noon), grant.ErrSuperseded)
			g, err := i.Grant(ctx, "g")
			check(t, err)
			if !g.EndedAt.Equal(noon) {
				t.Errorf("ended at %s, want the first time", g.EndedAt)
			}
		},
		"one signing key for each algorithm": func(t *testing.T, i *store.Issuer) {
			for _, id := range []string{"first", "second"} {
				for _, alg := range []string{"RS256", "ES256"} {
					check(t, i.AddSigningKey(ctx, signingkey.Record{ID: id + alg, Algorithm: alg, SealedPrivate: "sealed", CreatedAt: noon}))
				}
			}
			got, err := i.SigningKeys(ctx)
			check(t, err)
			want := []signingkey.Record{
				{ID: "firstRS256", Algorithm: "RS256", SealedPrivate: "sealed", CreatedAt: noon},
				{ID: "firstES256", Algorithm: "ES256", SealedPrivate: "sealed", CreatedAt: noon},
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		},
		"sweeping takes what has expired and keeps the evidence of a replay": func(t *testing.T, i *store.Issuer) {
			check(t, i.AddAccount(ctx, account("alice"), noon))
			check(t, i.AddSession(ctx, newSession("old", "alice-subject")))
			later := newSession("later", "alice-subject")
			later.ExpiresAt = noon.Add(48 * time.Hour)
			check(t, i.AddSession(ctx, later))
			for _, id := range []string{"forgotten", "redeemed", "ended"} {
				check(t, i.AddGrant(ctx, newGrant(id, "c", "s")))
			}
			check(t, i.RedeemCode(ctx, "redeemed", noon))
			check(t, i.RedeemCode(ctx, "ended", noon))
			check(t, i.EndGrant(ctx, "ended", noon))
			sweep := func(at time.Time, sessions, grants string) {
				t.Helper()
				check(t, i.Sweep(ctx, at))
				left := ""
				for _, id := range []string{"old", "later"} {
					if _, err := i.SessionBySecretHash(ctx, "secret of "+id); err == nil {
						left += id + " "
					}
				}
				if left != sessions {
					t.Errorf("after %s: sessions %q, want %q", at.Sub(noon), left, sessions)
				}
				left = ""
				for _, id := range []string{"forgotten", "redeemed", "ended"} {
					if _, err := i.Grant(ctx, id); err == nil {
						left += id + " "
					}
				}
				if left != grants {
					t.Errorf("after %s: grants %q, want %q", at.Sub(noon), left, grants)
				}
			}
			sweep(noon.Add(time.Second), "old later ", "forgotten redeemed ended ")
			sweep(noon.Add(2*time.Minute), "old later ", "redeemed ended ")
			sweep(noon.Add(2*time.Hour), "later ", "redeemed ended ")
			sweep(noon.Add(25*time.Hour), "later ", "")
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, i, _ := fresh(t)
			promise(t, i)
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
	if err == nil && g.Live(noon) {
		t.Errorf("%s: the grant lives", id)
	}
	if err := i.RotateRefreshToken(t.Context(), id, 1, noon); err == nil {
		t.Errorf("%s: a refresh token of it still rotates", id)
	}
}

func TestIssuersNeverSeeEachOther(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	db, one, _ := fresh(t)
	two := addIssuer(t, db, "two")
	fill := func(i *store.Issuer) {
		check(t, i.AddGroup(ctx, "g", noon))
		a := account("alice")
		a.Groups = []string{"g"}
		check(t, i.AddAccount(ctx, a, noon))
		check(t, i.AddClient(ctx, client("c"), noon))
		check(t, i.AddSession(ctx, newSession("s", "alice-subject")))
		check(t, i.AddGrant(ctx, newGrant("grant", "c", "alice-subject")))
		check(t, i.AddSigningKey(ctx, signingkey.Record{ID: "k", Algorithm: "RS256", SealedPrivate: "p", CreatedAt: noon}))
	}
	look := func(i *store.Issuer) string {
		accounts, err := i.AccountList(ctx)
		check(t, err)
		groups, err := i.GroupList(ctx)
		check(t, err)
		clients, err := i.ClientList(ctx)
		check(t, err)
		keys, err := i.SigningKeys(ctx)
		check(t, err)
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
	wantErr(t, "password", two.SetPasswordHash(ctx, "alice-subject", "x", noon), identity.ErrNotFound)
	wantErr(t, "disable", two.SetDisabled(ctx, "alice-subject", true, noon), identity.ErrNotFound)
	wantErr(t, "delete", two.DeleteAccount(ctx, "alice-subject", noon), identity.ErrNotFound)
	check(t, two.UpgradePasswordHash(ctx, "alice-subject", "hash of alice", "x"))
	wantErr(t, "member", two.AddMember(ctx, "g", "alice-subject"), store.ErrNoGroup)
	check(t, two.AddGroup(ctx, "mine", noon))
	wantErr(t, "member", two.AddMember(ctx, "mine", "alice-subject"), identity.ErrNotFound)
	if was, err := two.RemoveMember(ctx, "g", "alice-subject"); was || err != nil {
		t.Errorf("RemoveMember = %t, %v", was, err)
	}
	wantErr(t, "group", two.DeleteGroup(ctx, "g"), store.ErrNoGroup)
	wantErr(t, "client", two.DeleteClient(ctx, "c"), clientregistry.ErrNotFound)
	check(t, two.EndSession(ctx, "s"))
	wantErr(t, "redeem", two.RedeemCode(ctx, "grant", noon), grant.ErrCodeUsed)
	wantErr(t, "rotate", two.RotateRefreshToken(ctx, "grant", 0, noon), grant.ErrSuperseded)
	check(t, two.EndGrant(ctx, "grant", noon))
	check(t, two.Sweep(ctx, noon.Add(1000*time.Hour)))
	check(t, two.Declare(ctx, store.Declaration{}, noon))
	check(t, two.DeleteGroup(ctx, "mine"))
	if got := look(one); got != before {
		t.Errorf("the first issuer has\n%s\nwant\n%s", got, before)
	}

	// The same names, subjects and IDs may be in both.
	fill(two)
	check(t, two.DeleteAccount(ctx, "alice-subject", noon))
	if got := look(one); got != before {
		t.Errorf("after the twin was deleted the first issuer has\n%s\nwant\n%s", got, before)
	}
	if _, err := db.IssuerRecord(ctx, "three"); !errors.Is(err, store.ErrNoIssuer) {
		t.Errorf("a third issuer: %v, want ErrNoIssuer", err)
	}
}

func TestDatabaseFileIsOurs(t *testing.T) {
	t.Parallel()
	db, i, path := fresh(t)
	check(t, i.AddGroup(t.Context(), "g", noon))
	for _, suffix := range []string{"", "-wal", "-shm"} {
		info, err := os.Stat(path + suffix)
		check(t, err)
		if got := info.Mode().Perm(); got != 0o600 {
			t.Errorf("%s has mode %04o, want 0600", filepath.Base(path)+suffix, got)
		}
	}
	check(t, db.Close())
	again := open(t, path)
	defer again.Close()
	groups, err := again.Issuer("one").GroupList(t.Context())
	check(t, err)
	if len(groups) != 1 {
		t.Errorf("got %v after opening again, want one group", groups)
	}
}

// A closed database is one file: who copies it has everything.
func TestClosedDatabaseIsOneFile(t *testing.T) {
	t.Parallel()
	db, i, path := fresh(t)
	check(t, i.AddGroup(t.Context(), "g", noon))
	_, err := i.GroupList(t.Context())
	check(t, err)
	check(t, db.Close())
	if info, err := os.Stat(path + "-wal"); err == nil && info.Size() > 0 {
		t.Errorf("the log of %d bytes was left beside the closed database", info.Size())
	}
}

func TestDatabaseFoldersMayHaveAnyName(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "a b?c#d%20'é&mode=ro")
	check(t, os.Mkdir(dir, 0o700))
	db := open(t, filepath.Join(dir, "tegata.db"))
	check(t, db.Close())
	if _, err := os.Stat(filepath.Join(dir, "tegata.db")); err != nil {
		t.Error(err)
	}
}

// Two processes or servers that start at once both get a database with a
// schema, whoever makes it.
func TestOpenedByManyAtOnce(t *testing.T) {
	t.Parallel()
	for range 5 {
		path := filepath.Join(t.TempDir(), "tegata.db")
		var wait sync.WaitGroup
		for range 4 {
			wait.Go(func() {
				db, err := store.Open(context.Background(), store.Config{Path: path})
				if err != nil {
					t.Error(err)
					return
				}
				if err := db.Close(); err != nil {
					t.Error(err)
				}
			})
		}
		wait.Wait()
	}
}

func TestNewerSchemaIsRefusedAndLeftAlone(t *testing.T) {
	t.Parallel()
	db, i, path := fresh(t)
	check(t, i.AddGroup(t.Context(), "g", noon))
	check(t, db.Close())
	other := raw(t, path)
	_, err := other.Exec(`INSERT INTO goose_db_version (version_id, is_applied) VALUES (9999, 1)`)
	check(t, err)
	_, err = other.Exec(`PRAGMA wal_checkpoint(TRUNCATE)`)
	check(t, err)
	check(t, other.Close())
	before, err := os.ReadFile(path)
	check(t, err)
	db, err = store.Open(t.Context(), store.Config{Path: path})
	if err == nil {
		db.Close()
		t.Fatal("a database of a newer version was opened")
	}
	for _, want := range []string{"schema version 9999", "newer version"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("got %q, want %q in it", err, want)
		}
	}
	after, err := os.ReadFile(path)
	check(t, err)
	if string(before) != string(after) {
		t.Error("the file was changed")
	}
}

func TestFileThatIsNoDatabaseIsRefusedAndLeftAlone(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "tegata.db")
	text := strings.Repeat("Dear diary. ", 1000)
	check(t, os.WriteFile(path, []byte(text), 0o600))
	db, err := store.Open(t.Context(), store.Config{Path: path})
	if err == nil {
		db.Close()
		t.Fatal("a diary was opened")
	}
	if !strings.Contains(err.Error(), "this is no SQLite database, or it is damaged") {
		t.Errorf("got %q", err)
	}
	got, err := os.ReadFile(path)
	check(t, err)
	if string(got) != text {
		t.Error("the file was changed")
	}
	if _, err := store.Open(t.Context(), store.Config{Path: filepath.Join(t.TempDir(), "none", "tegata.db")}); err == nil {
		t.Error("a database in a folder that does not exist was opened")
	}
}

// commits counts the commits in the write-ahead log: a frame whose header
// holds the size of the database ends one (SQLite file format, section 4.1).
func commits(t *testing.T, path string) (n int) {
	t.Helper()
	wal, err := os.ReadFile(path + "-wal")
	check(t, err)
	page := int(binary.BigEndian.Uint32(wal[8:]))
	salt := string(wal[16:24])
	for at := 32; at+24+page <= len(wal) && string(wal[at+8:at+16]) == salt; at += 24 + page {
		if binary.BigEndian.Uint32(wal[at+4:]) != 0 {
			n++
		}
	}
	return n
}

// hold keeps the writer busy inside a transaction until release is called,
// which waits for its answer.
func hold(t *testing.T, db *store.DB) (release func()) {
	t.Helper()
	whatever := holdWhatever(db)
	return func() {
		if err := whatever(); err != nil {
			t.Errorf("the write that held the others: %v", err)
		}
	}
}

// holdWhatever is hold for those who expect an error.
func holdWhatever(db *store.DB) (release func() error) {
	begun, end, done := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	go func() {
		done <- db.Write(context.Background(), func(func(string, ...any) error) error {
			close(begun)
			<-end
			return nil
		})
	}()
	<-begun
	return func() error {
		close(end)
		return <-done
	}
}

func awaitQueue(db *store.DB, n int) {
	for db.Queued() < n {
		runtime.Gosched()
	}
}

func TestConcurrentWritesShareACommit(t *testing.T) {
	t.Parallel()
	db, i, path := fresh(t)
	release := hold(t, db)
	before := commits(t, path)
	const writes = 100
	results := make(chan error, writes)
	for n := range writes {
		go func() { results <- i.AddGroup(context.Background(), fmt.Sprint("group", n), noon) }()
	}
	awaitQueue(db, writes)
	release()
	for range writes {
		check(t, <-results)
	}
	if got := commits(t, path) - before; got != 1 {
		t.Errorf("%d writes took %d commits, want 1", writes, got)
	}
	groups, err := i.GroupList(t.Context())
	check(t, err)
	if len(groups) != writes {
		t.Errorf("got %d groups, want %d", len(groups), writes)
	}
}

func TestFailingWriteIsRolledBackAlone(t *testing.T) {
	t.Parallel()
	db, i, path := fresh(t)
	boom := errors.New("boom")
	release := hold(t, db)
	before := commits(t, path)
	type outcome struct {
		n   int
		err error
	}
	outcomes := make(chan outcome, 20)
	for n := range 20 {
		go func() {
			err := db.Write(context.Background(), func(exec func(string, ...any) error) error {
				if err := exec(`INSERT INTO user_groups (issuer, name, declared, created_at) VALUES ('one', $1, 0, 0)`, fmt.Sprintf("g%02d", n)); err != nil {
					return err
				}
				switch n % 4 {
				case 1:
					return boom
				case 2: // a unique row: the statement fails
					return exec(`INSERT INTO user_groups (issuer, name, declared, created_at) VALUES ('one', $1, 0, 0)`, fmt.Sprintf("g%02d", n))
				}
				return nil
			})
			outcomes <- outcome{n, err}
		}()
	}
	awaitQueue(db, 20)
	release()
	want := []string{}
	for range 20 {
		o := <-outcomes
		if fails := o.n%4 == 1 || o.n%4 == 2; fails != (o.err != nil) {
			t.Errorf("write %d: error %v, want one: %t", o.n, o.err, fails)
		}
		if o.n%4 == 1 && !errors.Is(o.err, boom) {
			t.Errorf("write %d: error %v, want boom", o.n, o.err)
		}
	}
	for n := range 20 {
		if n%4 == 0 || n%4 == 3 {
			want = append(want, fmt.Sprintf("g%02d", n))
		}
	}
	groups, err := i.GroupList(t.Context())
	check(t, err)
	got := []string{}
	for _, g := range groups {
		got = append(got, g.Name)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if got := commits(t, path) - before; got != 1 {
		t.Errorf("took %d commits, want 1", got)
	}
}

func TestWaitingWriteEndsWithItsContext(t *testing.T) {
	t.Parallel()
	db, i, _ := fresh(t)
	release := hold(t, db)
	ctx, cancel := context.WithCancel(t.Context())
	result := make(chan error, 1)
	go func() { result <- i.AddGroup(ctx, "g", noon) }()
	awaitQueue(db, 1)
	cancel()
	wantErr(t, "while waiting", <-result, context.Canceled) // although the writer is still held
	release()
	check(t, i.AddGroup(t.Context(), "next", noon))
	groups, err := i.GroupList(t.Context())
	check(t, err)
	if len(groups) != 1 || groups[0].Name != "next" {
		t.Errorf("got %v, want the second group alone: nobody waited for the first", groups)
	}
	wantErr(t, "before", i.AddGroup(ctx, "h", noon), context.Canceled)
}

// countdown is a context that is done for whoever waits, and whose Err says
// so only later: a request that ends while its write is being carried out.
type countdown struct {
	context.Context
	closed chan struct{}
}

func (c countdown) Done() <-chan struct{} { return c.closed }
func (c countdown) Err() error            { return nil }

// Whoever stops waiting must not share memory with the write that goes on.
// The race detector is the judge.
func TestAbandonedWriteSharesNothingWithItsCaller(t *testing.T) {
	t.Parallel()
	_, i, _ := fresh(t)
	check(t, i.AddGroup(t.Context(), "g", noon))
	check(t, i.AddAccount(t.Context(), account("alice"), noon))
	closed := make(chan struct{})
	close(closed)
	for range 200 {
		_, _ = i.RemoveMember(countdown{t.Context(), closed}, "g", "alice-subject") // either answer is right
	}
}

func TestCloseCarriesOutWhatIsQueued(t *testing.T) {
	t.Parallel()
	for range 20 {
		db, i, path := fresh(t)
		release := hold(t, db)
		const writes = 50
		type outcome struct {
			name string
			err  error
		}
		outcomes := make(chan outcome, writes)
		for n := range writes {
			go func() {
				name := fmt.Sprint("group", n)
				outcomes <- outcome{name, i.AddGroup(context.Background(), name, noon)}
			}()
		}
		awaitQueue(db, writes)
		closed := make(chan error, 1)
		go func() { closed <- db.Close() }()
		release()
		check(t, <-closed)
		kept := map[string]bool{}
		again := open(t, path)
		groups, err := again.Issuer("one").GroupList(t.Context())
		check(t, err)
		check(t, again.Close())
		for _, g := range groups {
			kept[g.Name] = true
		}
		for range writes {
			o := <-outcomes
			if !kept[o.name] {
				t.Errorf("%s was queued before Close and is not there (%v)", o.name, o.err)
			}
			if o.err != nil {
				t.Errorf("%s is there and its caller was told %v", o.name, o.err)
			}
		}
		wantErr(t, "after Close", i.AddGroup(t.Context(), "late", noon), store.ErrClosed)
		if t.Failed() {
			return
		}
	}
}

// Sixteen times as many workers as connections, each of them reading and
// writing: nobody waits for somebody who waits for a connection.
func TestMoreWorkersThanConnectionsNeverDeadlock(t *testing.T) {
	t.Parallel()
	_, i, _ := fresh(t)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Second)
	defer cancel()
	check(t, i.AddGroup(ctx, "g", noon))
	var wait sync.WaitGroup
	for n := range 16 * store.MaxReaders {
		wait.Go(func() {
			id := fmt.Sprint("worker", n)
			for _, act := range []func() error{
				func() error { return i.AddAccount(ctx, account(id), noon) },
				func() error { return i.AddGrant(ctx, newGrant(id, "c", id)) },
				func() error { return i.RedeemCode(ctx, id, noon) },
				func() error { _, err := i.AccountByLogin(ctx, id); return err },
				func() error { return i.AddMember(ctx, "g", account(id).Subject) },
				func() error { _, err := i.GroupList(ctx); return err },
				func() error { return i.RotateRefreshToken(ctx, id, 1, noon) },
				func() error { _, err := i.Grant(ctx, id); return err },
			} {
				if err := act(); err != nil {
					t.Errorf("%s: %v", id, err)
					return
				}
			}
		})
	}
	wait.Wait()
	accounts, err := i.AccountList(ctx)
	check(t, err)
	if len(accounts) != 16*store.MaxReaders {
		t.Errorf("got %d accounts, want %d", len(accounts), 16*store.MaxReaders)
	}
}

func TestReadSeesTheWriteThatWasAnswered(t *testing.T) {
	t.Parallel()
	_, i, _ := fresh(t)
	check(t, i.AddGrant(t.Context(), newGrant("g", "c", "s")))
	check(t, i.RedeemCode(t.Context(), "g", noon))
	for n := 1; n < 200; n++ {
		check(t, i.RotateRefreshToken(t.Context(), "g", n, noon))
		if g, err := i.Grant(t.Context(), "g"); err != nil || g.Generation != n+1 {
			t.Fatalf("after rotation %d: generation %d, %v", n, g.Generation, err)
		}
	}
}

func TestLockedDatabaseIsUnavailableAndHeals(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "tegata.db")
	db, err := store.Open(t.Context(), store.Config{Path: path, BusyTimeout: 100 * time.Millisecond})
	check(t, err)
	defer db.Close()
	i := addIssuer(t, db, "one")
	other, err := raw(t, path).Begin()
	check(t, err)
	err = i.AddGroup(t.Context(), "g", noon)
	if !unavailable(err) || err.Error() != "the database is locked by another process" {
		t.Errorf("got %v, want an UnavailableError that says who", err)
	}
	if _, err := i.GroupList(t.Context()); err != nil {
		t.Errorf("reading while another process writes: %v", err)
	}
	check(t, other.Rollback())
	check(t, i.AddGroup(t.Context(), "g", noon))
}

// Forty requests that met a locked database are told so together. One after
// the other, the last would wait forty busy timeouts.
func TestLockedDatabaseTellsAllWhoWait(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "tegata.db")
	const timeout, writes = 200 * time.Millisecond, 40
	db, err := store.Open(t.Context(), store.Config{Path: path, BusyTimeout: timeout})
	check(t, err)
	defer db.Close()
	i := addIssuer(t, db, "one")
	other, err := raw(t, path).Begin()
	check(t, err)
	begun := time.Now()
	results := make(chan error, writes)
	for n := range writes {
		go func() { results <- i.AddGroup(context.Background(), fmt.Sprint("group", n), noon) }()
	}
	for range writes {
		if err := <-results; !unavailable(err) {
			t.Errorf("got %v, want an UnavailableError", err)
		}
	}
	if took := time.Since(begun); took > 10*timeout {
		t.Errorf("the last of %d was told after %s, want within a few busy timeouts of %s", writes, took.Round(10*time.Millisecond), timeout)
	}
	check(t, other.Rollback())
}

func TestIntegrityAfterEverything(t *testing.T) {
	t.Parallel()
	db, i, path := fresh(t)
	for n := range 300 {
		check(t, i.AddGrant(t.Context(), newGrant(fmt.Sprint(n), "c", "s")))
	}
	check(t, db.Close())
	wantIntegrity(t, path)
}

func wantIntegrity(t *testing.T, path string) {
	t.Helper()
	other := raw(t, path)
	var result string
	check(t, other.QueryRow(`PRAGMA integrity_check`).Scan(&result))
	if result != "ok" {
		t.Errorf("integrity_check: %s", result)
	}
	rows, err := other.Query(`PRAGMA foreign_key_check`)
	check(t, err)
	defer rows.Close()
	if rows.Next() {
		t.Error("foreign_key_check found something")
	}
	check(t, rows.Err())
	check(t, other.Close())
}
