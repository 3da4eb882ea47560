// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package storetest

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tegata/tegata/internal/signingkey"
)

// generation is a key that was made at noon and signs an hour later.
func generation(n int, id, alg string) signingkey.Record {
	key := SigningKey(id)
	key.Algorithm, key.Generation, key.SignsFrom = alg, n, Noon.Add(time.Hour)
	return key
}

// A storage carries out a change as the domain does.
func signingKeysChangeAsOne(t *testing.T, open Opener) {
	i := fresh(t, open)
	ctx := t.Context()
	var want []signingkey.Record
	for _, change := range []signingkey.Change{
		{Add: []signingkey.Record{generation(1, "r1", "RS256"), generation(1, "e1", "ES256")}},
		{Add: []signingkey.Record{generation(1, "late", "ES256"), generation(2, "e2", "ES256")}}, // the first generation is taken
		{Start: []signingkey.Moment{{ID: "e2", At: Noon.Add(time.Minute)}}},
		{Start: []signingkey.Moment{{ID: "e2", At: Noon.Add(2 * time.Minute)}}}, // it signs by then
		{
			Revoke: []signingkey.Moment{{ID: "e2", At: Noon.Add(3 * time.Minute)}},
			Start:  []signingkey.Moment{{ID: "e2", At: Noon}, {ID: "nobody", At: Noon}},
			Add:    []signingkey.Record{generation(3, "e3", "ES256")},
			Remove: []string{"e1", "nobody"},
		},
		{Revoke: []signingkey.Moment{{ID: "e2", At: Noon.Add(time.Hour)}}}, // it stays revoked
		{},
	} {
		Check(t, i.ChangeSigningKeys(ctx, change))
		want = signingkey.Apply(want, change)
		got, err := i.SigningKeys(ctx)
		Check(t, err)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("after %+v (-want +got):\n%s", change, diff)
		}
	}
	if len(want) != 3 || want[1].SealedPrivate != "" {
		t.Errorf("the domain itself has come to %+v", want)
	}
}

// Of many servers that publish the next key, each for itself, one succeeds,
// and none is told of a failure.
func serversAgreeOnSigningKeys(t *testing.T, open Opener) {
	i := fresh(t, open)
	var wait sync.WaitGroup
	for n := range 16 {
		wait.Go(func() {
			err := i.ChangeSigningKeys(t.Context(), signingkey.Change{Add: []signingkey.Record{
				generation(1, fmt.Sprint("r", n), "RS256"), generation(1, fmt.Sprint("e", n), "ES256"),
			}})
			if err != nil {
				t.Error(err)
			}
		})
	}
	wait.Wait()
	keys, err := i.SigningKeys(t.Context())
	Check(t, err)
	if len(keys) != 2 || keys[0].Algorithm != "RS256" || keys[1].Algorithm != "ES256" || keys[0].ID[1:] != keys[1].ID[1:] {
		t.Errorf("got %+v, want the two of one server", keys)
	}
}

func sealedAnewAllOrNothing(t *testing.T, open Opener) {
	ctx := t.Context()
	db := open(t)
	one, two := AddIssuer(t, db, "one"), AddIssuer(t, db, "two")
	Check(t, one.ChangeSigningKeys(ctx, signingkey.Change{Add: []signingkey.Record{generation(1, "k", "RS256"), generation(2, "gone", "RS256")}}))
	Check(t, one.ChangeSigningKeys(ctx, signingkey.Change{Revoke: []signingkey.Moment{{ID: "gone", At: Noon}}}))
	Check(t, two.ChangeSigningKeys(ctx, signingkey.Change{Add: []signingkey.Record{generation(1, "l", "ES256")}}))
	look := func() string {
		t.Helper()
		var text []string
		for _, id := range []string{"one", "two"} {
			record, err := db.IssuerRecord(ctx, id)
			Check(t, err)
			text = append(text, record.SealedSecret)
			keys, err := db.Issuer(id).SigningKeys(ctx)
			Check(t, err)
			for _, key := range keys {
				text = append(text, key.SealedPrivate)
			}
		}
		return strings.Join(text, ", ")
	}

	before := look()
	broken := errors.New("cannot be opened")
	_, _, err := db.Reseal(ctx, func(box, context string) (string, error) {
		if context == "signing key l" {
			return "", broken
		}
		return "changed", nil
	})
	if WantErr(t, "one that cannot be opened", err, broken); look() != before {
		t.Errorf("a failure has changed %s to %s", before, look())
	}

	all, changed, err := db.Reseal(ctx, func(box, context string) (string, error) {
		if context == "issuer two" {
			return box, nil
		}
		return box + " for " + context, nil
	})
	Check(t, err)
	if got, want := look(), "sealed for issuer one, sealed k for signing key k, , sealed, sealed l for signing key l"; got != want || all != 4 || changed != 3 {
		t.Errorf("%d of %d were sealed anew: %q, want 3 of 4: %q", changed, all, got, want)
	}
}
