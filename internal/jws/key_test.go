// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package jws_test

import (
	"encoding/base64"
	"math/big"
	"strings"
	"testing"

	"github.com/tegata/tegata/internal/jws"
)

// number writes a number as a JWK has it.
func number(n *big.Int) string { return base64.RawURLEncoding.EncodeToString(n.Bytes()) }

// odd is a number of so many bits.
func odd(bits uint) *big.Int {
	n := new(big.Int).Lsh(big.NewInt(1), bits-1)
	return n.SetBit(n, 0, 1)
}

func TestParseKey(t *testing.T) {
	modulus := func(n *big.Int) string { return `{"kty":"RSA","n":"` + number(n) + `","e":"AQAB"}` }
	exponent := func(e string) string {
		return strings.Replace(public(rsa7515), `"AQAB"`, `"`+e+`"`, 1)
	}
	with := func(key, members string) string { return strings.Replace(public(key), "{", "{"+members+",", 1) }
	point := func(crv, x, y string) string {
		return `{"kty":"EC","crv":"` + crv + `","x":"` + x + `","y":"` + y + `"}`
	}
	const x, y = "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU", "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"
	zeros := strings.Repeat("A", 43)
	for _, test := range []struct{ name, text, want string }{
		{"RSA", public(rsa7515), ""},
		{"P-256", public(p256), ""},
		{"P-521", public(p521), ""},
		{"2048 bits", modulus(odd(2048)), ""},
		{"8192 bits", modulus(odd(8192)), ""},
		{"a zero before the modulus", strings.Replace(modulus(odd(2048)), `"n":"`, `"n":"AAAA`, 1), ""},
		{"exponent 3", exponent("Aw"), ""},
		{"exponent in four bytes", exponent("AAEAAQ"), ""},
		{"largest exponent", exponent("f____w"), ""},
		{"for signatures", with(rsa7515, `"use":"sig"`), ""},
		{"to verify", with(rsa7515, `"key_ops":["verify"]`), ""},
		{"to sign and verify", with(rsa7515, `"key_ops":["sign","verify"]`), ""},
		{"for PS512", with(rsa7515, `"alg":"PS512"`), ""},
		{"null for what it has not", with(rsa7515, `"d":null,"use":null,"alg":null,"kid":null,"key_ops":null,"x5c":null`), ""},
		{"what nobody knows", with(rsa7515, `"x5t":"?","x5c":["?"],"ext":true`), ""},

		{"nothing", ``, "the key is no JSON object"},
		{"list", `[]`, "the key is no JSON object"},
		{"no kind", `{}`, "the key is of a kind that is not known here"},
		{"symmetric", `{"kty":"oct","k":"AA"}`, "the key is not public"},
		{"Ed25519", `{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}`, "the key is of a kind that is not known here"},
		{"another case of the kind", strings.Replace(public(rsa7515), `"RSA"`, `"rsa"`, 1), "the key is of a kind that is not known here"},
		{"twice", with(rsa7515, `"n":"AQAB"`), `the key has "n" twice`},
		{"kind twice", with(rsa7515, `"kty":"EC"`), `the key has "kty" twice`},
		{"private RSA", rsa7515, "the key is not public"},
		{"private EC", p256, "the key is not public"},
		{"half private", with(rsa7515, `"qi":"AQ"`), "the key is not public"},
		{"for encryption", with(rsa7515, `"use":"enc"`), "the key is not for signatures"},
		{"for nothing", with(rsa7515, `"use":""`), "the key is not for signatures"},
		{"to sign", with(rsa7515, `"key_ops":["sign"]`), "the key is not to verify with"},
		{"to do nothing", with(rsa7515, `"key_ops":[]`), "the key is not to verify with"},
		{"to do a text", with(rsa7515, `"key_ops":"verify"`), "the key is not to verify with"},
		{"for RSA-OAEP", with(rsa7515, `"alg":"RSA-OAEP"`), "the key says that it is for another algorithm"},
		{"RSA for ES256", with(rsa7515, `"alg":"ES256"`), "the key says that it is for another algorithm"},
		{"RSA for HS256", with(rsa7515, `"alg":"HS256"`), "the key says that it is for another algorithm"},
		{"RSA for none", with(rsa7515, `"alg":"none"`), "the key says that it is for another algorithm"},
		{"P-256 for ES384", with(p256, `"alg":"ES384"`), "the key says that it is for another algorithm"},
		{"algorithm list", with(rsa7515, `"alg":["RS256"]`), `the key has a "alg" that is no string`},
		{"number as its ID", with(rsa7515, `"kid":7`), `the key has a "kid" that is no string`},

		{"2047 bits", modulus(odd(2047)), "the key has only 2047 bits"},
		{"8193 bits", modulus(odd(8193)), "the key has more than 8192 bits"},
		{"zeros for bits", `{"kty":"RSA","n":"` + strings.Repeat("A", 400) + `","e":"AQAB"}`, "the key has only 0 bits"},
		{"even modulus", modulus(new(big.Int).Lsh(big.NewInt(1), 2048)), "the key has an even modulus"},
		{"no modulus", `{"kty":"RSA","e":"AQAB"}`, `the key has no "n"`},
		{"no exponent", `{"kty":"RSA","n":"AQAB"}`, `the key has no "e"`},
		{"exponent 1", exponent("AQ"), "the key has an exponent that is even, or not between 3 and 2147483647"},
		{"exponent 0", exponent("AA"), "the key has an exponent that is even, or not between 3 and 2147483647"},
		{"exponent 65536", exponent("AQAA"), "the key has an exponent that is even, or not between 3 and 2147483647"},
		{"exponent of 32 bits", exponent("gAAAAQ"), "the key has an exponent that is even, or not between 3 and 2147483647"},
		{"exponent of 64 bits", exponent("AQAAAAAAAAAB"), "the key has an exponent that is even, or not between 3 and 2147483647"},
		{"padded exponent", exponent("AQAB="), `the key has a "e" that is no base64url`},
		{"exponent with a line end", exponent(`AQ\nAB`), `the key has a "e" that is no base64url`},
		{"exponent in two ways", exponent("AR"), `the key has a "e" that is no base64url`},
		{"exponent as a number", strings.Replace(public(rsa7515), `"AQAB"`, `65537`, 1), `the key has a "e" that is no string`},

		{"curve that is not here", point("secp256k1", x, y), "the key is on a curve that is not known here"},
		{"another curve", point("P-384", x, y), "the key has coordinates of another size than its curve"},
		{"not on the curve", point("P-256", y, x), "the key is no point on its curve"},
		{"infinity", point("P-256", zeros, zeros), "the key is no point on its curve"},
		{"no y", `{"kty":"EC","crv":"P-256","x":"` + x + `"}`, `the key has no "y"`},
		{"a zero before x", point("P-256", "AA"+x, y), `the key has a "x" that is no base64url`},
		{"33 and 31 bytes", point("P-256", base64.RawURLEncoding.EncodeToString(make([]byte, 33)), base64.RawURLEncoding.EncodeToString(make([]byte, 31))), "the key has coordinates of another size than its curve"},
		{"coordinates beyond the field", point("P-256", strings.Repeat("_", 42)+"8", y), "the key is no point on its curve"},
		{"too long", `{"kty":"` + strings.Repeat("x", 1<<20) + `"}`, "the key has more than 1048576 bytes"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			_, err := jws.ParseKey([]byte(test.text))
			if err == nil && test.want != "" || err != nil && err.Error() != test.want {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
}

// RFC 7517, section 5: what is not understood is passed over.
func TestParseKeySet(t *testing.T) {
	t.Parallel()
	keys, err := jws.ParseKeySet([]byte(`{"keys":[
		{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo","kid":"another kind"},
		` + rsa7520 + `, 7, null, {}, {"kty":"RSA","n":"AQAB","e":"AQAB","kid":"short"},
		` + p256 + `,
		` + ec7520 + `],"more":true}`))
	if err != nil {
		t.Fatal(err)
	}
	if len(keys) != 2 || keys[0].ID != "bilbo.baggins@hobbiton.example" || !keys[0].Fits("PS384") || keys[0].Fits("ES512") || !keys[1].Fits("ES512") {
		t.Errorf("got %+v, want the RSA and the P-521 key", keys)
	}
	for name, text := range map[string]string{
		"nothing": "", "list": "[]", "no keys": "{}", "null": `{"keys":null}`, "object": `{"keys":{}}`,
		"twice": `{"keys":[],"keys":[` + rsa7520 + `]}`, "too long": `{"keys":["` + strings.Repeat("x", 1<<20) + `"]}`,
	} {
		if keys, err := jws.ParseKeySet([]byte(text)); err == nil {
			t.Errorf("%s: got %v, want an error", name, keys)
		}
	}
}
