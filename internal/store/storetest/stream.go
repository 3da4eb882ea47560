// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package storetest

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tegata/tegata/internal/signingkey"
	"github.com/tegata/tegata/internal/store"
)

// Fill puts something of everything into a database.
func Fill(t testing.TB, db *store.DB) {
	t.Helper()
	ctx := t.Context()
	for _, id := range []string{"one", "two"} {
		i := AddIssuer(t, db, id)
		Check(t, i.ChangeSigningKeys(ctx, signingkey.Change{Add: []signingkey.Record{SigningKey("key of " + id)}}))
		Check(t, i.AddGroup(ctx, "管理者", Noon))
		Check(t, i.AddClient(ctx, Client("kubernetes"), Noon))
		for n := range 120 { // more than fit into one statement
			user := Account(fmt.Sprint("user", n))
			user.Name = "O'Neill \\ \"q\" <&>\u2028\n" + strings.Repeat("語", n)
			user.Groups = []string{"管理者"}
			Check(t, i.AddAccount(ctx, user, Noon))
		}
		Check(t, i.AddSession(ctx, Session("s", "user0-subject")))
		Check(t, i.AddGrant(ctx, Grant("g", "kubernetes", "user0-subject")))
		Check(t, i.RedeemCode(ctx, "g", Noon))
	}
}

// Export is what a database has, as a stream.
func Export(t testing.TB, db *store.DB) []byte {
	t.Helper()
	var stream bytes.Buffer
	_, err := db.Export(t.Context(), &stream, Noon)
	Check(t, err)
	return stream.Bytes()
}

// read reads a stream that must be good.
func read(t testing.TB, stream []byte) *store.Import {
	t.Helper()
	export, err := store.ReadExport(bytes.NewReader(stream))
	Check(t, err)
	return export
}

// Move takes everything from one database to another, and checks that both
// are the same to the last byte.
func Move(t testing.TB, from, to *store.DB) {
	t.Helper()
	stream := Export(t, from)
	Check(t, to.Import(t.Context(), read(t, stream), false))
	if diff := cmp.Diff(string(stream), string(Export(t, to))); diff != "" {
		t.Errorf("-exported +exported again:\n%s", diff)
	}
}

// Works checks that a database that Fill filled can be worked with.
func Works(t testing.TB, to *store.DB) {
	t.Helper()
	Check(t, to.Issuer("one").RotateRefreshToken(t.Context(), "g", 1, Noon))
	if _, err := to.Issuer("two").SessionBySecretHash(t.Context(), "secret of s"); err != nil {
		t.Errorf("the session: %v", err)
	}
	// What a row needs is still looked after.
	Check(t, to.Issuer("one").DeleteAccount(t.Context(), "user0-subject", Noon))
	if groups, err := to.Issuer("one").GroupList(t.Context()); err != nil || len(groups) != 1 || len(groups[0].Members) != 119 {
		t.Errorf("after a user was deleted: %d groups, %v", len(groups), err)
	}
}

func exportMovesEverything(t *testing.T, open Opener) {
	from, to := open(t), open(t)
	Fill(t, from)
	Move(t, from, to)
	Works(t, to)
}

// An export sees one moment, however much is written meanwhile: each grant
// that it has belongs to a user that it has.
func exportSeesOneMoment(t *testing.T, open Opener) {
	db := open(t)
	i := AddIssuer(t, db, "one")
	quit, done := make(chan struct{}), make(chan error, 1)
	go func() {
		for n := 0; ; n++ {
			user := Account(fmt.Sprint("user", n))
			user.Groups = []string{fmt.Sprint("group", n)}
			err := errors.Join(i.AddGroup(t.Context(), user.Groups[0], Noon), i.AddAccount(t.Context(), user, Noon))
			select {
			case <-quit:
				done <- err
				return
			default:
				if err != nil {
					done <- err
					return
				}
			}
		}
	}()
	for range 10 {
		stream := string(Export(t, db))
		users, members := strings.Count(stream, `-subject","local","user`), strings.Count(stream, `-subject","group`)
		if users != members {
			t.Errorf("%d users and %d members", users, members)
		}
	}
	close(quit)
	Check(t, <-done)
}

func importGoesIntoAnEmptyDatabase(t *testing.T, open Opener) {
	from, to := open(t), open(t)
	Fill(t, from)
	export := read(t, Export(t, from))
	AddIssuer(t, to, "there before")
	before := string(Export(t, to))
	WantErr(t, "not empty", to.Import(t.Context(), export, false), store.ErrNotEmpty)
	if diff := cmp.Diff(before, string(Export(t, to))); diff != "" {
		t.Errorf("the import was refused, but (-before +after):\n%s", diff)
	}
	Check(t, to.Import(t.Context(), export, true))
	if diff := cmp.Diff(string(Export(t, from)), string(Export(t, to))); diff != "" {
		t.Errorf("-exported +replaced:\n%s", diff)
	}
	Check(t, to.Import(t.Context(), export, true)) // once more
}

// A stream that is whole but holds what cannot be changes nothing, although
// the rows before the bad one had gone in.
func importIsWholeOrNotAtAll(t *testing.T, open Opener) {
	from := open(t)
	Fill(t, from)
	stream := string(Export(t, from))
	for name, bad := range map[string]string{
		"a member who is no user":      strings.Replace(stream, `["two","user7-subject","管理者"]`, `["two","nobody","管理者"]`, 1),
		"a user twice":                 strings.Replace(stream, `"user7-subject","local","user7","user7"`, `"user8-subject","local","user7","user7"`, 1),
		"a text for a number":          strings.Replace(stream, `"user7@example.com",1,`, `"user7@example.com","1",`, 1),
		"a number for a text":          strings.Replace(stream, `["two","user7-subject",`, `["two",7,`, 1),
		"a column that is not there":   strings.Replace(stream, `"columns":["id","url",`, `"columns":["id","address",`, 1),
		"a column fewer":               strings.Replace(stream, `"columns":["issuer","subject","group_name"]}`, `"columns":["issuer","subject"]}`, 1),
		"a text that cannot be kept":   strings.Replace(stream, `"user7-subject","local","user7"`, `"user7-subject","local","user\u00007"`, 1),
		"nothing where something must": strings.Replace(stream, `["two","user7-subject","管理者"]`, `["two",null,"管理者"]`, 1),
	} {
		if bad == stream {
			t.Errorf("%s: the stream is as it was", name)
			continue
		}
		export, err := store.ReadExport(strings.NewReader(Sum(bad)))
		if err != nil {
			continue // found before anything was touched
		}
		to := open(t)
		AddIssuer(t, to, "there before")
		before := string(Export(t, to))
		if err := to.Import(t.Context(), export, true); err == nil {
			t.Errorf("%s: no error", name)
		}
		if diff := cmp.Diff(before, string(Export(t, to))); diff != "" {
			t.Errorf("%s (-before +after):\n%s", name, diff)
		}
	}
}

// Sum puts the right checksum below a stream that was changed.
func Sum(stream string) string {
	end := strings.LastIndex(stream, `{"rows":`)
	count, _, _ := strings.Cut(stream[end:], ",")
	hash := sha256.Sum256([]byte(stream[:end]))
	return stream[:end] + count + `,"sha256":"` + hex.EncodeToString(hash[:]) + "\"}\n"
}
