// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package jws_test

import (
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"github.com/tegata/tegata/internal/jws"
)

// everyAlgorithm is what the library is told to accept.
func everyAlgorithm() []jose.SignatureAlgorithm {
	var all []jose.SignatureAlgorithm
	for _, algorithm := range algorithms {
		all = append(all, jose.SignatureAlgorithm(algorithm))
	}
	return all
}

// RSASSA-PKCS1-v1_5 has no chance in it, so the example of RFC 7515, A.2, can
// be made again.
func TestSignMakesTheExample(t *testing.T) {
	t.Parallel()
	key, err := jws.ParsePrivateKey([]byte(rsa7515))
	if err != nil {
		t.Fatal(err)
	}
	got, err := key.Sign("", []byte("{\"iss\":\"joe\",\r\n \"exp\":1300819380,\r\n \"http://example.com/is_root\":true}"))
	if err != nil || got != rs256 {
		t.Errorf("got %s, %v, want %s", got, err, rs256)
	}
}

// Whatever form a key comes in, the library verifies what it signs.
func TestSign(t *testing.T) {
	var p384 string
	for _, s := range signers() {
		if s.name == "P-384" {
			p384 = jwk(jose.JSONWebKey{Key: s.key})
		}
	}
	der := func(kind string, text []byte, err error) string {
		if err != nil {
			t.Fatal(err)
		}
		return "in front of it\n" + string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: text}))
	}
	pkcs8 := func(key any) string {
		text, err := x509.MarshalPKCS8PrivateKey(key)
		return der("PRIVATE KEY", text, err)
	}
	sec1 := func(key any) string {
		text, err := x509.MarshalECPrivateKey(key.(*ecdsa.PrivateKey))
		return der("EC PRIVATE KEY", text, err)
	}
	with := func(key, members string) string { return strings.Replace(key, "{", "{"+members+",", 1) }
	type test struct{ name, text, algorithm, keyID string }
	tests := []test{
		{"RSA", rsa7515, "RS256", ""},
		{"RSA in PKCS #8", pkcs8(private(rsa7515)), "RS256", ""},
		{"RSA in PKCS #1", der("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(private(rsa7515).(*rsa.PrivateKey)), nil), "RS256", ""},
		{"P-256 in PKCS #8", pkcs8(private(p256)), "ES256", ""},
		{"P-384 in SEC 1", sec1(private(p384)), "ES384", ""},
		{"P-521 in SEC 1", sec1(private(p521)), "ES512", ""},
		{"key ID", "\n" + with(p256, `"kid":"laptop","use":"sig","key_ops":["sign"]`), "ES256", "laptop"},
		{"the library's own", jwk(jose.JSONWebKey{Key: private(rsa7515), KeyID: "k", Use: "sig"}), "RS256", "k"},
	}
	for _, algorithm := range algorithms {
		key := map[string]string{"ES256": p256, "ES384": p384, "ES512": p521}[algorithm]
		if key == "" {
			key = rsa7515
		}
		tests = append(tests, test{"JWK for " + algorithm, with(key, `"alg":"`+algorithm+`"`), algorithm, ""})
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			key, err := jws.ParsePrivateKey([]byte(test.text))
			if err != nil {
				t.Fatal(err)
			}
			text, err := key.Sign("JWT", []byte("payload"))
			if err != nil {
				t.Fatal(err)
			}
			signed, err := jose.ParseSignedCompact(text, everyAlgorithm())
			if err != nil {
				t.Fatal(err)
			}
			header := signed.Signatures[0].Protected
			if header.Algorithm != test.algorithm || header.KeyID != test.keyID || header.ExtraHeaders["typ"] != "JWT" {
				t.Errorf("got the header %+v", header)
			}
			var public any
			if strings.Contains(test.text, "BEGIN") {
				block, _ := pem.Decode([]byte(test.text))
				public = readDER(t, block)
			} else {
				public = private(test.text)
			}
			switch key := public.(type) {
			case *rsa.PrivateKey:
				public = key.Public()
			case *ecdsa.PrivateKey:
				public = key.Public()
			}
			if payload, err := signed.Verify(public); err != nil || string(payload) != "payload" {
				t.Errorf("the library says: %q, %v", payload, err)
			}
		})
	}
}

func readDER(t *testing.T, block *pem.Block) (key any) {
	t.Helper()
	var err error
	switch block.Type {
	case "RSA PRIVATE KEY":
		key, err = x509.ParsePKCS1PrivateKey(block.Bytes)
	case "EC PRIVATE KEY":
		key, err = x509.ParseECPrivateKey(block.Bytes)
	default:
		key, err = x509.ParsePKCS8PrivateKey(block.Bytes)
	}
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func TestParsePrivateKeyRefuses(t *testing.T) {
	generate := func(key any, err error) string {
		if err != nil {
			t.Fatal(err)
		}
		text, err := x509.MarshalPKCS8PrivateKey(key)
		if err != nil {
			t.Fatal(err)
		}
		return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: text}))
	}
	short, err := rsa.GenerateKey(rand.Reader, 1024) //nolint:gosec // that it is refused is the test
	if err != nil {
		t.Fatal(err)
	}
	p224, err := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	_, edwards, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	agreement, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	// change is the private JWK with other members; null takes one away.
	change := func(key string, members map[string]any) string {
		m := map[string]any{}
		if err := json.Unmarshal([]byte(key), &m); err != nil {
			t.Fatal(err)
		}
		for name, value := range members {
			m[name] = value
		}
		text, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	const (
		noJWK = "it holds no private key in the form of a JWK"
		kind  = "it is neither RSA of at least 2048 bits nor ECDSA on P-256, P-384 or P-521"
		noPEM = "it holds neither PEM nor a JWK"
		noKey = "it holds no private key that can be read; one with a passphrase cannot"
	)
	for _, test := range []struct{ name, text, want string }{
		{"nothing", "", noPEM},
		{"text", "hello", noPEM},
		{"certificate", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte("x")})), noKey},
		{"short RSA", generate(short, nil), kind},
		{"P-224", generate(p224, nil), kind},
		{"Ed25519", generate(edwards, nil), kind},
		{"X25519", generate(agreement, nil), kind},
		{"short RSA as a JWK", jwk(jose.JSONWebKey{Key: short}), kind},
		{"Ed25519 as a JWK", jwk(jose.JSONWebKey{Key: edwards}), kind},
		{"symmetric", `{"kty":"oct","k":"c2VjcmV0"}`, kind},
		{"empty JWK", "{}", kind},
		{"public RSA", public(rsa7515), noJWK},
		{"public EC", public(p256), noJWK},
		{"for encryption", change(rsa7515, map[string]any{"use": "enc"}), noJWK},
		{"to verify with", change(rsa7515, map[string]any{"key_ops": []string{"verify"}}), noJWK},
		{"for another algorithm", change(rsa7515, map[string]any{"alg": "ES256"}), kind},
		{"no p", change(rsa7515, map[string]any{"p": nil}), noJWK},
		{"q for p", change(rsa7515, map[string]any{"p": "uQPEfgmVtjL0Uyyx88GZFF1fOunH3-7cepKmtH4pxhtCoHqpWmT8YAmZxaewHgHAjLYsp1ZSe7zFYHj7C6ul7TjeLQeZD_YwD66t62wDmpe_HlB-TnBA-njbglfIsRLtXlnDzQkv5dTltRJ11BKBBypeeF6689rjcJIDEz9RWdc"}), noJWK},
		{"p is one", change(rsa7515, map[string]any{"p": "AQ"}), noJWK},
		{"p is zero", change(rsa7515, map[string]any{"p": "AA"}), noJWK},
		{"even p", change(rsa7515, map[string]any{"p": "Ag"}), noJWK},
		{"p is huge", change(rsa7515, map[string]any{"p": strings.Repeat("A", 4000)}), noJWK},
		{"another d", change(rsa7515, map[string]any{"d": "Aw"}), noJWK},
		{"another n", change(rsa7515, map[string]any{"n": number(odd(2048))}), noJWK},
		{"three primes", change(rsa7515, map[string]any{"oth": []any{}}), noJWK},
		{"another point", change(p256, map[string]any{"d": "AY5pb7A0UFiB3RELSD64fTLOSV_jazdF7fLYyuTw8lM"}), noJWK},
		{"short d", change(p256, map[string]any{"d": "AQ"}), noJWK},
		{"d is zero", change(p256, map[string]any{"d": strings.Repeat("A", 43)}), noJWK},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if key, err := jws.ParsePrivateKey([]byte(test.text)); err == nil || err.Error() != test.want {
				t.Errorf("got %v, %v, want %q", key != nil, err, test.want)
			}
		})
	}
}
