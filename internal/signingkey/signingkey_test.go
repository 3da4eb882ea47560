// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package signingkey_test

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"github.com/tegata/tegata/internal/seal"
	"github.com/tegata/tegata/internal/secret"
	"github.com/tegata/tegata/internal/signingkey"
)

// memory is a storage as the contract says.
type memory struct {
	mu      sync.Mutex // guards the fields below
	records []signingkey.Record
	broken  error // of both methods
	locked  error // of writing
	writes  int
}

func (m *memory) SigningKeys(context.Context) ([]signingkey.Record, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.records), m.broken
}

func (m *memory) ChangeSigningKeys(_ context.Context, change signingkey.Change) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := cmp.Or(m.broken, m.locked); err != nil {
		return err
	}
	m.writes++
	m.records = signingkey.Apply(m.records, change)
	slices.SortFunc(m.records, func(a, b signingkey.Record) int {
		return cmp.Or(-cmp.Compare(a.Algorithm, b.Algorithm), cmp.Compare(a.Generation, b.Generation))
	})
	return nil
}

func (m *memory) set(change func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	change()
}

// made is one set of keys for all tests: to make an RSA key takes long.
var made = sync.OnceValue(func() (m struct {
	storage *memory
	key     seal.Key
	keys    *signingkey.KeySet
	err     error
},
) {
	m.storage, m.key = &memory{}, seal.RandomKey()
	m.keys, m.err = signingkey.Open(context.Background(), signingkey.Custody{Storage: m.storage, Sealer: m.key})
	return m
})

func open(t testing.TB, storage signingkey.Storage, key seal.Key) (*signingkey.KeySet, error) {
	t.Helper()
	return signingkey.Open(t.Context(), signingkey.Custody{Storage: storage, Sealer: key})
}

func keySet(t testing.TB) *signingkey.KeySet {
	t.Helper()
	if err := made().err; err != nil {
		t.Fatal(err)
	}
	return made().keys
}

func TestTokenNamesItsKey(t *testing.T) {
	keys := keySet(t)
	var published jose.JSONWebKeySet
	if err := json.Unmarshal(keys.JWKS(), &published); err != nil {
		t.Fatal(err)
	}
	for _, alg := range signingkey.Algorithms() {
		token, err := keys.Sign(alg, "JWT", map[string]any{"sub": "alice"})
		if err != nil {
			t.Fatal(err)
		}
		jws, err := jose.ParseSignedCompact(token.Reveal(), []jose.SignatureAlgorithm{jose.SignatureAlgorithm(alg)})
		if err != nil {
			t.Fatal(err)
		}
		header := jws.Signatures[0].Header
		found := published.Key(header.KeyID)
		if len(found) != 1 || found[0].Algorithm != alg || found[0].Use != "sig" || !found[0].IsPublic() {
			t.Fatalf("%s: got kid %q with %d published keys, want one public key with its alg and use", alg, header.KeyID, len(found))
		}
		payload, err := jws.Verify(found[0].Key)
		if err != nil || string(payload) != `{"sub":"alice"}` {
			t.Errorf("%s: got %s, %v; want the claims", alg, payload, err)
		}
		// RFC 7638: the kid is the thumbprint, the same on each server.
		thumbprint, err := found[0].Thumbprint(5) // crypto.SHA256
		if err != nil || base64.RawURLEncoding.EncodeToString(thumbprint) != header.KeyID {
			t.Errorf("%s: got kid %q, want the thumbprint", alg, header.KeyID)
		}
	}
	if _, err := keys.Sign("EdDSA", "JWT", map[string]any{}); err == nil {
		t.Error("EdDSA: signed, want an error")
	}
	if _, err := keys.Sign("none", "JWT", map[string]any{}); err == nil {
		t.Error("none: signed, want an error")
	}
}

func TestKeysRestSealed(t *testing.T) {
	keySet(t)
	m := made()
	for _, record := range m.storage.records {
		if strings.Contains(record.SealedPrivate, "PRIVATE") || len(record.SealedPrivate) < 100 {
			t.Errorf("%s: got %.40q, want a sealed key", record.Algorithm, record.SealedPrivate)
		}
		pkcs8, err := m.key.Open(record.SealedPrivate, signingkey.Context(record.ID))
		if err != nil || len(pkcs8) == 0 {
			t.Errorf("%s: got %v, want it to open for its own ID", record.Algorithm, err)
		}
	}
	// Two records whose sealed keys were exchanged in the database.
	swapped := &memory{records: slices.Clone(m.storage.records)}
	swapped.records[0].SealedPrivate, swapped.records[1].SealedPrivate = swapped.records[1].SealedPrivate, swapped.records[0].SealedPrivate
	if _, err := open(t, swapped, m.key); !errors.Is(err, seal.ErrNotOurs) {
		t.Errorf("exchanged keys: got %v, want %v", err, seal.ErrNotOurs)
	}
	if _, err := open(t, m.storage, seal.RandomKey()); !errors.Is(err, seal.ErrNotOurs) {
		t.Errorf("another key-encryption key: got %v, want %v", err, seal.ErrNotOurs)
	}
}

func TestKeysAreMadeOnceAndKept(t *testing.T) {
	first := keySet(t)
	again, err := open(t, made().storage, made().key)
	if err != nil || string(again.JWKS()) != string(first.JWKS()) {
		t.Errorf("got another key set on the second start: %v", err)
	}
	// A server that starts beside another takes the keys of who was first:
	// here the second finds nothing, and its own are not kept.
	late := &latecomer{memory: &memory{}, other: made().storage.records}
	beside, err := open(t, late, made().key)
	if err != nil || string(beside.JWKS()) != string(first.JWKS()) {
		t.Errorf("two servers that start at once differ: %v", err)
	}
}

// latecomer is a storage to which another server adds its keys first.
type latecomer struct {
	*memory
	other []signingkey.Record
}

func (l *latecomer) ChangeSigningKeys(ctx context.Context, change signingkey.Change) error {
	l.set(func() { l.records = slices.Clone(l.other) })
	return l.memory.ChangeSigningKeys(ctx, change)
}

func TestBrokenStorageIsToldAtStart(t *testing.T) {
	broken := errors.New("broken")
	if _, err := open(t, &memory{broken: broken}, made().key); !errors.Is(err, broken) {
		t.Errorf("got %v, want %v", err, broken)
	}
}

func TestVerifyTakesOurTokensAlone(t *testing.T) {
	keys := keySet(t)
	sign := func(alg, typ string) string {
		token, err := keys.Sign(alg, typ, map[string]string{"sub": "alice"})
		if err != nil {
			t.Fatal(err)
		}
		return token.Reveal()
	}
	good := sign("ES256", "at+jwt")
	parts := strings.Split(good, ".")
	header := func(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) }
	var published jose.JSONWebKeySet
	if err := json.Unmarshal(keys.JWKS(), &published); err != nil {
		t.Fatal(err)
	}
	kid := published.Keys[1].KeyID
	// The oldest trick: the public key as an HMAC secret.
	publicKey, err := json.Marshal(published.Keys[1])
	if err != nil {
		t.Fatal(err)
	}
	hmacSigner, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.HS256, Key: publicKey}, (&jose.SignerOptions{}).WithType("at+jwt").WithHeader("kid", kid))
	if err != nil {
		t.Fatal(err)
	}
	jws, err := hmacSigner.Sign([]byte(`{"sub":"alice"}`))
	if err != nil {
		t.Fatal(err)
	}
	hmacToken, err := jws.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name, token string
		ok          bool
	}{
		{"ours", good, true},
		{"ours by RSA", sign("RS256", "at+jwt"), true},
		{"of another type", sign("ES256", "JWT"), false},
		{"type in another case", sign("ES256", "AT+JWT"), false},
		{"without a type", sign("ES256", ""), false},
		{"empty", "", false},
		{"garbage", "garbage", false},
		{"two parts", parts[0] + "." + parts[1], false},
		{"no signature", parts[0] + "." + parts[1] + ".", false},
		{"other claims", parts[0] + "." + header(`{"sub":"mallory"}`) + "." + parts[2], false},
		{"algorithm none", header(`{"alg":"none","typ":"at+jwt"}`) + "." + parts[1] + ".", false},
		{"algorithm RS256 with the EC key", header(`{"alg":"RS256","typ":"at+jwt","kid":"`+kid+`"}`) + "." + parts[1] + "." + parts[2], false},
		{"algorithm HS256", hmacToken, false},
		{"unknown kid", header(`{"alg":"ES256","typ":"at+jwt","kid":"x"}`) + "." + parts[1] + "." + parts[2], false},
		{"no kid", header(`{"alg":"ES256","typ":"at+jwt"}`) + "." + parts[1] + "." + parts[2], false},
		{"JSON serialization", `{"payload":"` + parts[1] + `","protected":"` + parts[0] + `","signature":"` + parts[2] + `"}`, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			var got struct {
				Subject string `json:"sub"`
			}
			err := keys.Verify(secret.New(test.token), "at+jwt", &got)
			if test.ok != (err == nil) || test.ok != (got.Subject == "alice") || (err != nil && !errors.Is(err, signingkey.ErrInvalid)) {
				t.Errorf("got %q, %v; want accepted = %v", got.Subject, err, test.ok)
			}
		})
	}
}

func TestVerifyRefusesTheKeyInTheHeader(t *testing.T) {
	keys := keySet(t)
	foreign, err := open(t, &memory{records: foreignKeys(t)}, foreignKey)
	if err != nil {
		t.Fatal(err)
	}
	token, err := foreign.Sign("ES256", "at+jwt", map[string]string{"sub": "mallory"})
	if err != nil {
		t.Fatal(err)
	}
	var got map[string]string
	if err := keys.Verify(token, "at+jwt", &got); err == nil || got != nil {
		t.Errorf("got %v, %v; want a foreign signature refused", got, err)
	}
}

var foreignKey = seal.RandomKey()

// foreignKeys makes the keys of another issuer.
func foreignKeys(t *testing.T) []signingkey.Record {
	t.Helper()
	other := &memory{}
	if _, err := open(t, other, foreignKey); err != nil {
		t.Fatal(err)
	}
	return other.records
}

func TestCheckAlgorithm(t *testing.T) {
	for alg, ok := range map[string]bool{"RS256": true, "ES256": true, "EdDSA": false, "HS256": false, "none": false, "": false, "rs256": false, "RS512": false} {
		if err := signingkey.CheckAlgorithm(alg); (err == nil) != ok {
			t.Errorf("%q: got %v, want accepted = %v", alg, err, ok)
		}
	}
}

func FuzzVerify(f *testing.F) {
	keys := keySet(f)
	token, err := keys.Sign("ES256", "at+jwt", map[string]string{"sub": "alice"})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(token.Reveal())
	f.Add("eyJhbGciOiJub25lIn0.e30.")
	f.Fuzz(func(t *testing.T, text string) {
		var got map[string]any
		if keys.Verify(secret.New(text), "at+jwt", &got) == nil && got["sub"] != "alice" {
			t.Errorf("%q was accepted: %v", text, got)
		}
	})
}
