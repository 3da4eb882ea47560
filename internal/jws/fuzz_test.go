// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package jws_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"math"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"github.com/tegata/tegata/internal/jws"
)

// These compare with go-jose, which the provider and the API server use. The
// rule is: what is taken here, it takes too and understands in the same way.
// What it takes and this package does not is named, one reason each.

// stricter is why this package may refuse a text that the library takes.
func stricter(text string) string {
	parts := strings.Split(text, ".")
	for _, part := range parts {
		value, err := base64.RawURLEncoding.DecodeString(part)
		if err != nil || base64.RawURLEncoding.EncodeToString(value) != part {
			return "it is written in a second way"
		}
	}
	header, _ := base64.RawURLEncoding.DecodeString(parts[0])
	var m map[string]any
	if len(parts) != 3 || json.Unmarshal(header, &m) != nil {
		return "it has no header"
	}
	switch {
	case !bytes.Equal(bytes.ToValidUTF8(header, nil), header):
		return "its header is no UTF-8"
	case has(m, "crit", "b64"):
		return "it asks for an extension"
	case has(m, "kid") && m["kid"] == nil:
		return "its key ID is null"
	case bytes.Contains(header, []byte(`\u`)):
		return "two of its names may be one"
	case len(header) > 24000 || len(text) > 1<<20:
		return "it is too long"
	}
	return ""
}

// looser is why the library may refuse a text that this package takes: it
// looks at members that nobody here needs.
func looser(text string) string {
	header, _, _ := strings.Cut(text, ".")
	value, _ := base64.RawURLEncoding.DecodeString(header)
	var m map[string]any
	if json.Unmarshal(value, &m) != nil {
		return "a number that is too large"
	}
	if has(m, "jwk", "nonce", "x5c") {
		return "a key, or what goes with one"
	}
	for _, value := range m {
		switch value.(type) {
		case map[string]any, []any:
			return "an object within, whose names it counts"
		}
	}
	return ""
}

func has(m map[string]any, names ...string) bool {
	for _, name := range names {
		if _, ok := m[name]; ok {
			return true
		}
	}
	return false
}

// FuzzParse reads any text at all.
func FuzzParse(f *testing.F) {
	for _, text := range []string{rs256, es256, es512, bilboRS256, bilboPS384, bilboES512, "", "..", "e30..", encode(`{"alg":"RS256","kid":"k","typ":"JWT","x":[1]}`) + ".e30.AA"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		ours, err := jws.Parse(text)
		theirs, their := jose.ParseSignedCompact(text, everyAlgorithm())
		switch {
		case err == nil && their == nil:
			header := theirs.Signatures[0].Protected
			if ours.Algorithm != header.Algorithm || ours.KeyID != header.KeyID {
				t.Errorf("got %q and %q, the library reads %q and %q", ours.Algorithm, ours.KeyID, header.Algorithm, header.KeyID)
			}
			if why := stricter(text); why == "it is written in a second way" || why == "it asks for an extension" {
				t.Errorf("it was read, although %s", why)
			}
		case err == nil && looser(text) == "":
			t.Errorf("it was read; the library says: %v", their)
		case their == nil && stricter(text) == "":
			t.Errorf("the library reads it; here: %v", err)
		}
	})
}

// FuzzVerify makes a text with a header and a payload of the fuzzer's, signs
// it with a real key, and changes it in one place.
func FuzzVerify(f *testing.F) {
	for i, algorithm := range algorithms {
		f.Add(`{"alg":"`+algorithm+`"}`, []byte("payload"), uint8(i), uint8(i), uint8(i), uint16(0), uint8(0))
		f.Add(`{"alg":"`+algorithm+`","kid":"k","typ":"JWT"}`, []byte(`{"sub":"alice"}`), uint8(i), uint8(i+1), uint8(i+2), uint16(70), uint8(1))
	}
	f.Add(`{"alg":"RS256","b64":false,"crit":["b64"]}`, []byte("payload"), uint8(0), uint8(0), uint8(0), uint16(0), uint8(0))
	keys := signers()
	f.Fuzz(func(t *testing.T, header string, payload []byte, algorithm, by, under uint8, at uint16, change uint8) {
		key, other := keys[int(by)%len(keys)], keys[int(under)%len(keys)]
		text := sign(key.key, algorithms[int(algorithm)%len(algorithms)], header, string(payload))
		if text == "" {
			return
		}
		changed := []byte(text)
		changed[int(at)%len(changed)] ^= change
		text = string(changed)

		var library jose.JSONWebKey
		if err := library.UnmarshalJSON([]byte(other.public)); err != nil {
			t.Fatal(err)
		}
		var theirs []byte
		signed, their := jose.ParseSignedCompact(text, everyAlgorithm())
		if their == nil {
			theirs, their = signed.Verify(library)
		}
		ours, err := verify(text, other.public)
		switch {
		case err == nil && their == nil:
			if !bytes.Equal(ours, theirs) {
				t.Errorf("got %q, the library reads %q", ours, theirs)
			}
			if key.name != other.name {
				t.Errorf("signed by %s, verified under %s", key.name, other.name)
			}
		case err == nil && looser(text) == "":
			t.Errorf("%s is verified; the library says: %v", text, their)
		case their == nil && stricter(text) == "":
			t.Errorf("the library verifies %s; here: %v", text, err)
		}
	})
}

// FuzzParseKey reads any text as a public key.
func FuzzParseKey(f *testing.F) {
	for _, text := range []string{rsa7515, public(rsa7515), p256, public(p256), public(p521), rsa7520, ec7520, "{}", `{"kty":"oct","k":"AA"}`, `{"kty":"RSA","n":"AQAB","e":"AQAB"}`, strings.Replace(public(p256), "{", `{"alg":"ES256","use":"sig","key_ops":["verify"],`, 1)} {
		f.Add([]byte(text))
	}
	jose.MaxRSAModulusBits = 8192
	f.Fuzz(func(t *testing.T, text []byte) {
		ours, err := jws.ParseKey(text)
		var theirs jose.JSONWebKey
		their := theirs.UnmarshalJSON(text)
		if err == nil {
			var m map[string]json.RawMessage
			if json.Unmarshal(text, &m) != nil {
				t.Fatal("it was read, but it is no object")
			}
			for name := range m {
				switch name {
				case "kty", "kid", "alg", "use", "n", "e", "crv", "x", "y":
				default:
					return // the library may look at it: x5c, x5t, an object within
				}
			}
			if their != nil {
				t.Fatalf("it was read; the library says: %v", their)
			}
			if ours.ID != theirs.KeyID || !theirs.IsPublic() {
				t.Errorf("got the ID %q, the library reads %q", ours.ID, theirs.KeyID)
			}
		}
		if their != nil || !theirs.IsPublic() {
			return
		}
		// What the library makes of it, written by the library, is read here
		// too, unless the key itself is refused.
		good := false
		switch key := theirs.Key.(type) {
		case *rsa.PublicKey:
			good = key.N.BitLen() >= 2048 && key.N.Bit(0) == 1 && key.E >= 3 && key.E <= math.MaxInt32 && key.E%2 == 1
		case *ecdsa.PublicKey:
			good = true
		}
		_, err = jws.ParseKey([]byte(jwk(jose.JSONWebKey{Key: theirs.Key, KeyID: theirs.KeyID})))
		if good != (err == nil) {
			t.Errorf("a key that the library wrote: got %v, want it read = %v", err, good)
		}
	})
}

// FuzzParsePrivateKey reads any text as a private key: what is read can sign,
// and the library verifies it.
func FuzzParsePrivateKey(f *testing.F) {
	for _, text := range []string{rsa7515, p256, p521, "", "{}", "-----BEGIN PRIVATE KEY-----\nAA==\n-----END PRIVATE KEY-----\n", strings.Replace(rsa7515, "{", `{"alg":"PS512","kid":"k",`, 1)} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		key, err := jws.ParsePrivateKey(text)
		if err != nil {
			return
		}
		signed, err := key.Sign("JWT", []byte("payload"))
		if err != nil {
			t.Fatal(err)
		}
		parsed, err := jws.Parse(signed)
		if err != nil {
			t.Fatal(err)
		}
		if payload, err := parsed.Verify(key.Key); err != nil || string(payload) != "payload" {
			t.Errorf("its own signature: %q, %v", payload, err)
		}
		if _, err := jose.ParseSignedCompact(signed, everyAlgorithm()); err != nil {
			t.Errorf("the library says: %v", err)
		}
	})
}
