// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package jws_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/asn1"
	"encoding/base64"
	"fmt"
	"math/big"
	"strings"
	"sync"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"github.com/tegata/tegata/internal/jws"
)

// The keys and the signed texts of RFC 7515, appendix A, and of RFC 7520,
// sections 3 and 4.
const (
	rsa7515 = `{"kty":"RSA","n":"ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ","e":"AQAB",` +
		`"d":"Eq5xpGnNCivDflJsRQBXHx1hdR1k6Ulwe2JZD50LpXyWPEAeP88vLNO97IjlA7_GQ5sLKMgvfTeXZx9SE-7YwVol2NXOoAJe46sui395IW_GO-pWJ1O0BkTGoVEn2bKVRUCgu-GjBVaYLU6f3l9kJfFNS3E0QbVdxzubSu3Mkqzjkn439X0M_V51gfpRLI9JYanrC4D4qAdGcopV_0ZHHzQlBjudU2QvXt4ehNYTCBr6XCLQUShb1juUO1ZdiYoFaFQT5Tw8bGUl_x_jTj3ccPDVZFD9pIuhLhBOneufuBiB4cS98l2SR_RQyGWSeWjnczT0QU91p1DhOVRuOopznQ",` +
		`"p":"4BzEEOtIpmVdVEZNCqS7baC4crd0pqnRH_5IB3jw3bcxGn6QLvnEtfdUdiYrqBdss1l58BQ3KhooKeQTa9AB0Hw_Py5PJdTJNPY8cQn7ouZ2KKDcmnPGBY5t7yLc1QlQ5xHdwW1VhvKn-nXqhJTBgIPgtldC-KDV5z-y2XDwGUc",` +
		`"q":"uQPEfgmVtjL0Uyyx88GZFF1fOunH3-7cepKmtH4pxhtCoHqpWmT8YAmZxaewHgHAjLYsp1ZSe7zFYHj7C6ul7TjeLQeZD_YwD66t62wDmpe_HlB-TnBA-njbglfIsRLtXlnDzQkv5dTltRJ11BKBBypeeF6689rjcJIDEz9RWdc"}`
	p256 = `{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0","d":"jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI"}`
	p521 = `{"kty":"EC","crv":"P-521","x":"AekpBQ8ST8a8VcfVOTNl353vSrDCLLJXmPk06wTjxrrjcBpXp5EOnYG_NjFZ6OvLFV1jSfS9tsz4qUxcWceqwQGk","y":"ADSmRA43Z1DSNx_RvcLI87cdL07l6jQyyBXMoxVg_l2Th-x3S1WDhjDly79ajL4Kkd0AZMaZmh9ubmf63e3kyMj2","d":"AY5pb7A0UFiB3RELSD64fTLOSV_jazdF7fLYyuTw8lOfRhWg6Y6rUrPAxerEzgdRhajnu0ferB0d53vM9mE15j2C"}`

	rsa7520 = `{"kty":"RSA","kid":"bilbo.baggins@hobbiton.example","use":"sig","n":"n4EPtAOCc9AlkeQHPzHStgAbgs7bTZLwUBZdR8_KuKPEHLd4rHVTeT-O-XV2jRojdNhxJWTDvNd7nqQ0VEiZQHz_AJmSCpMaJMRBSFKrKb2wqVwGU_NsYOYL-QtiWN2lbzcEe6XC0dApr5ydQLrHqkHHig3RBordaZ6Aj-oBHqFEHYpPe7Tpe-OfVfHd1E6cS6M1FZcD1NNLYD5lFHpPI9bTwJlsde3uhGqC0ZCuEHg8lhzwOHrtIQbS0FVbb9k3-tVTU4fg_3L_vniUFAKwuCLqKnS2BYwdq_mzSnbLY7h_qixoR7jig3__kRhuaxwUkRz5iaiQkqgc5gHdrNP5zw","e":"AQAB"}`
	ec7520  = `{"kty":"EC","kid":"bilbo.baggins@hobbiton.example","use":"sig","crv":"P-521","x":"AHKZLLOsCOzz5cY97ewNUajB957y-C-U88c3v13nmGZx6sYl_oJXu9A5RkTKqjqvjyekWF-7ytDyRXYgCF5cj0Kt","y":"AdymlHvOiLxXkEhayXQnNCvDX4h9htZaCJN34kfmC6pV5OhQHiraVySsUdaQkAgDPrwQrJmbnX9cwlGfP-HqHZR1"}`

	joe   = "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ"
	frodo = "SXTigJlzIGEgZGFuZ2Vyb3VzIGJ1c2luZXNzLCBGcm9kbywgZ29pbmcgb3V0IHlvdXIgZG9vci4gWW91IHN0ZXAgb250byB0aGUgcm9hZCwgYW5kIGlmIHlvdSBkb24ndCBrZWVwIHlvdXIgZmVldCwgdGhlcmXigJlzIG5vIGtub3dpbmcgd2hlcmUgeW91IG1pZ2h0IGJlIHN3ZXB0IG9mZiB0by4"

	rs256 = "eyJhbGciOiJSUzI1NiJ9." + joe + ".cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw"
	es256 = "eyJhbGciOiJFUzI1NiJ9." + joe + ".DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q"
	es512 = "eyJhbGciOiJFUzUxMiJ9.UGF5bG9hZA.AdwMgeerwtHoh-l192l60hp9wAHZFVJbLfD_UxMi70cwnZOYaRI1bKPWROc-mZZqwqT2SI-KGDKB34XO0aw_7XdtAG8GaSwFKdCAPZgoXD2YBJZCPEX3xKpRwcdOO8KpEHwJjyqOgzDO7iKvU8vcnwNrmxYbSW9ERBXukOXolLzeO_Jn"

	bilboRS256 = "eyJhbGciOiJSUzI1NiIsImtpZCI6ImJpbGJvLmJhZ2dpbnNAaG9iYml0b24uZXhhbXBsZSJ9." + frodo + ".MRjdkly7_-oTPTS3AXP41iQIGKa80A0ZmTuV5MEaHoxnW2e5CZ5NlKtainoFmKZopdHM1O2U4mwzJdQx996ivp83xuglII7PNDi84wnB-BDkoBwA78185hX-Es4JIwmDLJK3lfWRa-XtL0RnltuYv746iYTh_qHRD68BNt1uSNCrUCTJDt5aAE6x8wW1Kt9eRo4QPocSadnHXFxnt8Is9UzpERV0ePPQdLuW3IS_de3xyIrDaLGdjluPxUAhb6L2aXic1U12podGU0KLUQSE_oI-ZnmKJ3F4uOZDnd6QZWJushZ41Axf_fcIe8u9ipH84ogoree7vjbU5y18kDquDg"
	bilboPS384 = "eyJhbGciOiJQUzM4NCIsImtpZCI6ImJpbGJvLmJhZ2dpbnNAaG9iYml0b24uZXhhbXBsZSJ9." + frodo + ".cu22eBqkYDKgIlTpzDXGvaFfz6WGoz7fUDcfT0kkOy42miAh2qyBzk1xEsnk2IpN6-tPid6VrklHkqsGqDqHCdP6O8TTB5dDDItllVo6_1OLPpcbUrhiUSMxbbXUvdvWXzg-UD8biiReQFlfz28zGWVsdiNAUf8ZnyPEgVFn442ZdNqiVJRmBqrYRXe8P_ijQ7p8Vdz0TTrxUeT3lm8d9shnr2lfJT8ImUjvAA2Xez2Mlp8cBE5awDzT0qI0n6uiP1aCN_2_jLAeQTlqRHtfa64QQSUmFAAjVKPbByi7xho0uTOcbH510a6GYmJUAfmWjwZ6oD4ifKo8DYM-X72Eaw"
	bilboES512 = "eyJhbGciOiJFUzUxMiIsImtpZCI6ImJpbGJvLmJhZ2dpbnNAaG9iYml0b24uZXhhbXBsZSJ9." + frodo + ".AE_R_YZCChjn4791jSQCrdPZCNYqHXCTZH0-JZGYNlaAjP2kqaluUIIUnC9qvbu9Plon7KRTzoNEuT4Va2cmL1eJAQy3mtPBu_u_sDDyYjnAMDxXPn7XrT0lw-kvAD890jl8e2puQens_IEKBpHABlsbEPX6sFY8OcGDqoRuBomu9xQ2"
)

// algorithms are all that there are here.
var algorithms = strings.Fields("RS256 RS384 RS512 PS256 PS384 PS512 ES256 ES384 ES512")

// signer is a private key of the tests, as the standard library has it, and
// its public half as a JWK.
type signer struct {
	name   string
	key    crypto.Signer
	public string
}

// signers are one key for each curve, and two RSA keys.
var signers = sync.OnceValue(func() []signer {
	small, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		panic(err)
	}
	large, err := rsa.GenerateKey(rand.Reader, 2056) // no multiple of 16
	if err != nil {
		panic(err)
	}
	var all []signer
	for _, s := range []struct {
		name string
		key  any
	}{{"RSA", private(rsa7515)}, {"RSA of 2056 bits", large}, {"P-256", private(p256)}, {"P-384", small}, {"P-521", private(p521)}} {
		key := s.key.(crypto.Signer)
		all = append(all, signer{s.name, key, jwk(jose.JSONWebKey{Key: key.Public()})})
	}
	return all
})

// private reads a private JWK with the library.
func private(text string) any {
	var key jose.JSONWebKey
	if err := key.UnmarshalJSON([]byte(text)); err != nil {
		panic(err)
	}
	return key.Key
}

// public is the public half of a JWK.
func public(text string) string {
	var key jose.JSONWebKey
	if err := key.UnmarshalJSON([]byte(text)); err != nil {
		panic(err)
	}
	return jwk(key.Public())
}

func jwk(key jose.JSONWebKey) string {
	text, err := key.MarshalJSON()
	if err != nil {
		panic(err)
	}
	return string(text)
}

func encode(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) }

// sign signs header and payload, whatever they say, as the algorithm has it;
// "" if the key cannot.
func sign(key crypto.Signer, algorithm, header, payload string) string {
	input := encode(header) + "." + encode(payload)
	hash := map[string]crypto.Hash{"256": crypto.SHA256, "384": crypto.SHA384, "512": crypto.SHA512}[algorithm[2:]]
	h := hash.New()
	h.Write([]byte(input))
	digest := h.Sum(nil)
	var signature []byte
	var err error
	switch key := key.(type) {
	case *rsa.PrivateKey:
		switch algorithm[:2] {
		case "RS":
			signature, err = rsa.SignPKCS1v15(nil, key, hash, digest)
		case "PS":
			signature, err = rsa.SignPSS(rand.Reader, key, hash, digest, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash})
		default:
			return ""
		}
	case *ecdsa.PrivateKey:
		if algorithm[:2] != "ES" {
			return ""
		}
		var r, s *big.Int
		if r, s, err = ecdsa.Sign(rand.Reader, key, digest); err == nil {
			size := (key.Params().BitSize + 7) / 8
			signature = append(r.FillBytes(make([]byte, size)), s.FillBytes(make([]byte, size))...)
		}
	}
	if err != nil {
		return ""
	}
	return input + "." + base64.RawURLEncoding.EncodeToString(signature)
}

// verify reads and verifies.
func verify(text, key string) ([]byte, error) {
	k, err := jws.ParseKey([]byte(key))
	if err != nil {
		return nil, fmt.Errorf("key: %w", err)
	}
	s, err := jws.Parse(text)
	if err != nil {
		return nil, err
	}
	return s.Verify(k)
}

func TestVectorsOfTheSpecifications(t *testing.T) {
	vectors := []struct{ name, text, key, payload string }{
		{"RFC 7515, A.2", rs256, public(rsa7515), joe},
		{"RFC 7515, A.3", es256, public(p256), joe},
		{"RFC 7515, A.4", es512, public(p521), "UGF5bG9hZA"},
		{"RFC 7520, 4.1", bilboRS256, rsa7520, frodo},
		{"RFC 7520, 4.2", bilboPS384, rsa7520, frodo},
		{"RFC 7520, 4.3", bilboES512, ec7520, frodo},
	}
	for _, vector := range vectors {
		t.Run(vector.name, func(t *testing.T) {
			t.Parallel()
			payload, err := verify(vector.text, vector.key)
			if err != nil || encode(string(payload)) != vector.payload {
				t.Errorf("got %q, %v", payload, err)
			}
			for _, other := range vectors {
				if payload, err := verify(vector.text, other.key); err == nil && other.key != vector.key {
					t.Errorf("the key of %s verified it: %q", other.name, payload)
				}
			}
			// No part can be changed, not by one bit.
			for at := 0; at < len(vector.text); at += 1 + len(vector.text)/100 {
				changed := []byte(vector.text)
				changed[at] ^= 1
				if payload, err := verify(string(changed), vector.key); err == nil {
					t.Errorf("verified after a change at %d: %q", at, payload)
				}
			}
		})
	}
}

// Each algorithm under each key, and named by each header.
func TestKeyAndHeaderMustAgree(t *testing.T) {
	t.Parallel()
	for _, made := range algorithms {
		for _, by := range signers() {
			for _, named := range append([]string{"none", "HS256", "EdDSA", "rs256", ""}, algorithms...) {
				text := sign(by.key, made, `{"alg":"`+named+`"}`, "payload")
				if text == "" {
					continue
				}
				for _, key := range signers() {
					curve := map[string]string{"ES256": "P-256", "ES384": "P-384", "ES512": "P-521"}[made]
					want := made == named && key.name == by.name && (curve == "" || curve == by.name)
					payload, err := verify(text, key.public)
					if (err == nil) != want || want && string(payload) != "payload" {
						t.Errorf("made with %s by %s, named %q, under %s: got %q, %v, want it verified = %v", made, by.name, named, key.name, payload, err, want)
					}
				}
			}
		}
	}
}

// The key's own word binds (RFC 7517, section 4.4).
func TestKeyForAnotherAlgorithm(t *testing.T) {
	t.Parallel()
	for _, algorithm := range algorithms {
		key := strings.Replace(public(rsa7515), "{", `{"alg":"`+algorithm+`",`, 1)
		_, err := verify(rs256, key)
		if (err == nil) != (algorithm == "RS256") {
			t.Errorf("a key for %s: got %v", algorithm, err)
		}
	}
}

// A public key is no secret, so nothing may take it for one.
func TestPublicKeyIsNoSecret(t *testing.T) {
	t.Parallel()
	input := encode(`{"alg":"HS256"}`) + "." + joe
	mac := hmac.New(sha256.New, []byte(public(rsa7515)))
	mac.Write([]byte(input))
	text := input + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
	if _, err := verify(text, public(rsa7515)); err == nil || err.Error() != `it is signed with "HS256", which no API server accepts` {
		t.Errorf("got %v", err)
	}
}

func TestParseRefuses(t *testing.T) {
	signature := rs256[strings.LastIndexByte(rs256, '.'):]
	header := func(text string) string { return encode(text) + "." + joe + signature }
	for _, test := range []struct{ name, text, want string }{
		{"nothing", "", "it has not the three parts of a signed token"},
		{"two parts", "eyJhbGciOiJSUzI1NiJ9." + joe, "it has not the three parts of a signed token"},
		{"four parts", rs256 + ".", "it has not the three parts of a signed token"},
		{"encrypted", "eyJhbGciOiJSU0EtT0FFUCIsImVuYyI6IkExMjhHQ00ifQ.dGVzdA.dGVzdA.dGVzdA.dGVzdA", "it has not the three parts of a signed token"},
		{"JSON serialization", `{"payload":"` + joe + `","protected":"eyJhbGciOiJSUzI1NiJ9","signature":"cC4h"}`, "it has not the three parts of a signed token"},
		{"too long", rs256 + strings.Repeat("A", 1<<20), "it has more than 1048576 bytes"},
		{"header too long", header(`{"alg":"RS256","x":"` + strings.Repeat("x", 32<<10) + `"}`), "its header has more than 32768 bytes"},

		{"none (RFC 7515, A.5)", "eyJhbGciOiJub25lIn0." + joe + ".", `it is signed with "none", which no API server accepts`},
		{"HS256 (RFC 7515, A.1)", "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9." + joe + ".dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk", `it is signed with "HS256", which no API server accepts`},
		{"no algorithm", header(`{}`), `it is signed with "", which no API server accepts`},
		{"another case", header(`{"ALG":"RS256"}`), `it is signed with "", which no API server accepts`},
		{"another case of its value", header(`{"alg":"rs256"}`), `it is signed with "rs256", which no API server accepts`},
		{"algorithm null", header(`{"alg":null}`), `its header has a "alg" that is no string`},
		{"algorithm list", header(`{"alg":["RS256"]}`), `its header has a "alg" that is no string`},
		{"key ID number", header(`{"alg":"RS256","kid":1}`), `its header has a "kid" that is no string`},

		{"algorithm twice", header(`{"alg":"RS256","alg":"RS256"}`), `its header has "alg" twice`},
		{"algorithm twice, once escaped", header(`{"alg":"none","\u0061lg":"RS256"}`), `its header has "alg" twice`},
		{"anything twice", header(`{"alg":"RS256","x":1,"x":1}`), `its header has "x" twice`},
		{"no object", header(`["alg"]`), "its header is no JSON object"},
		{"string", header(`"alg"`), "its header is no JSON object"},
		{"empty header", header(``), "its header is no JSON object"},
		{"cut short", header(`{"alg":"RS256"`), "its header is no JSON object"},
		{"no JSON", header(`{"alg":"RS256",}`), "its header is no JSON object"},
		{"something behind", header(`{"alg":"RS256"}{}`), "its header has something behind its JSON object"},
		{"not UTF-8", header("{\"alg\":\"RS256\",\"\xff\":1}"), "its header is not in UTF-8"},

		{"critical extension", header(`{"alg":"RS256","crit":["exp"],"exp":1}`), "its header asks for an extension"},
		{"no critical extension", header(`{"alg":"RS256","crit":[]}`), "its header asks for an extension"},
		{"critical extension null", header(`{"alg":"RS256","crit":null}`), "its header asks for an extension"},
		{"payload that is not encoded (RFC 7797)", header(`{"alg":"RS256","b64":false}`), "its header asks for an extension"},

		{"padding", "eyJhbGciOiJSUzI1NiJ9." + joe + signature + "==", "it is no base64url"},
		{"base64 of the other kind", strings.ReplaceAll(rs256, "_", "/"), "it is no base64url"},
		{"line end in the header", "eyJhbGciOiJSUzI1\nNiJ9." + joe + signature, "it is no base64url"},
		{"line end in the payload", "eyJhbGciOiJSUzI1NiJ9.\r" + joe + signature, "it is no base64url"},
		{"line end behind", rs256 + "\n", "it is no base64url"},
		{"blank in front", " " + rs256, "it is no base64url"},
		{"bits that count for nothing", rs256[:len(rs256)-1] + "x", "it is no base64url"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if s, err := jws.Parse(test.text); err == nil || err.Error() != test.want {
				t.Errorf("got %+v, %v, want %q", s, err, test.want)
			}
		})
	}
}

// What a header brings along is the word of a stranger.
func TestKeyInTheHeaderIsNotBelieved(t *testing.T) {
	t.Parallel()
	thief, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	own := jwk(jose.JSONWebKey{Key: thief.Public()})
	text := sign(thief, "RS256", `{"alg":"RS256","jwk":`+own+`}`, "payload")
	if _, err := verify(text, own); err != nil {
		t.Errorf("under the key in its header: %v", err)
	}
	if payload, err := verify(text, public(rsa7515)); err == nil {
		t.Errorf("under another key: verified %q", payload)
	}
}

// RFC 7518, section 3.4: R and S, each in its full size, and nothing else.
func TestECDSASignatureHasOneForm(t *testing.T) {
	t.Parallel()
	input, signature := es256[:strings.LastIndexByte(es256, '.')+1], es256[strings.LastIndexByte(es256, '.')+1:]
	raw, err := base64.RawURLEncoding.DecodeString(signature)
	if err != nil {
		t.Fatal(err)
	}
	r, s := new(big.Int).SetBytes(raw[:32]), new(big.Int).SetBytes(raw[32:])
	der, err := asn1.Marshal(struct{ R, S *big.Int }{r, s})
	if err != nil {
		t.Fatal(err)
	}
	order := elliptic.P256().Params().N
	over := new(big.Int).Add(s, order)
	for name, signature := range map[string][]byte{
		"empty":              nil,
		"ASN.1":              der,
		"one byte less":      raw[:63],
		"one byte more":      append(bytes.Clone(raw), 0),
		"a zero in front":    append([]byte{0}, raw...),
		"wider halves":       append(r.FillBytes(make([]byte, 33)), s.FillBytes(make([]byte, 33))...),
		"halves for P-384":   append(r.FillBytes(make([]byte, 48)), s.FillBytes(make([]byte, 48))...),
		"all zeros":          make([]byte, 64),
		"R is zero":          append(make([]byte, 32), raw[32:]...),
		"S is zero":          append(bytes.Clone(raw[:32]), make([]byte, 32)...),
		"R is the order":     append(order.FillBytes(make([]byte, 32)), raw[32:]...),
		"S and R exchanged":  append(bytes.Clone(raw[32:]), raw[:32]...),
		"S beyond the order": append(bytes.Clone(raw[:32]), over.FillBytes(make([]byte, 33))[1:]...),
	} {
		if _, err := verify(input+base64.RawURLEncoding.EncodeToString(signature), public(p256)); err == nil {
			t.Errorf("%s: verified", name)
		}
	}
	if _, err := verify(es256, public(p256)); err != nil {
		t.Errorf("as it is: %v", err)
	}
}

// RFC 7518, section 3.5: the salt is as long as the hash.
func TestPSSSaltHasOneLength(t *testing.T) {
	t.Parallel()
	input := encode(`{"alg":"PS256"}`) + "." + joe
	digest := sha256.Sum256([]byte(input))
	for salt, want := range map[int]bool{20: false, 31: false, 32: true, 48: false, 222: false} {
		signature, err := rsa.SignPSS(rand.Reader, private(rsa7515).(*rsa.PrivateKey), crypto.SHA256, digest[:], &rsa.PSSOptions{SaltLength: salt})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := verify(input+"."+base64.RawURLEncoding.EncodeToString(signature), public(rsa7515)); (err == nil) != want {
			t.Errorf("a salt of %d bytes: got %v, want it verified = %v", salt, err, want)
		}
	}
}
