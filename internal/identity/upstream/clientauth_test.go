// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package upstream_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"github.com/tegata/tegata/internal/identity/upstream"
	"github.com/tegata/tegata/internal/oidc"
	"github.com/tegata/tegata/internal/secret"
)

func newRSA(t testing.TB, bits int) *rsa.PrivateKey {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func newEC(t testing.TB, curve elliptic.Curve) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func newEd25519(t testing.TB) ed25519.PrivateKey {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func inPEM(t testing.TB, kind string, der []byte, err error) string {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

func inPKCS8(t testing.TB, key crypto.Signer) string {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	return inPEM(t, "PRIVATE KEY", der, err)
}

func inJWK(t testing.TB, key jose.JSONWebKey) string {
	t.Helper()
	text, err := json.Marshal(key)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// Each kind of key signs a proof that says what RFC 7523, section 3, wants.
func TestClientKeys(t *testing.T) {
	t.Parallel()
	rsaKey, ecKey, edKey := newRSA(t, 2048), newEC(t, elliptic.P256()), newEd25519(t)
	ecDER, err := x509.MarshalECPrivateKey(ecKey)
	for _, test := range []struct {
		name  string
		text  string
		keyID string // as it is configured
		want  jose.Header
		key   crypto.PublicKey
	}{
		{"RSA", inPKCS8(t, rsaKey), "", jose.Header{Algorithm: "RS256"}, rsaKey.Public()},
		{"RSA in the older form", inPEM(t, "RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(rsaKey), nil), "mine", jose.Header{Algorithm: "RS256", KeyID: "mine"}, rsaKey.Public()},
		{"EC", inPKCS8(t, ecKey), "", jose.Header{Algorithm: "ES256"}, ecKey.Public()},
		{"EC in the older form", inPEM(t, "EC PRIVATE KEY", ecDER, err), "", jose.Header{Algorithm: "ES256"}, ecKey.Public()},
		{"Ed25519", inPKCS8(t, edKey), "", jose.Header{Algorithm: "EdDSA"}, edKey.Public()},
		{"JWK", inJWK(t, jose.JSONWebKey{Key: rsaKey, KeyID: "its", Algorithm: "PS256"}), "", jose.Header{Algorithm: "PS256", KeyID: "its"}, rsaKey.Public()},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t, "")
			s.config.ClientSecret = secret.String{}
			key, err := upstream.ReadClientKey(secret.New(test.text), test.keyID)
			if err != nil {
				t.Fatal(err)
			}
			s.config.ClientKey = key
			forms := make(chan url.Values, 1)
			s.answers["/token"] = func(w http.ResponseWriter, r *http.Request) {
				_ = r.ParseForm()
				forms <- r.PostForm
				reply(w, map[string]any{"access_token": "a", "token_type": "Bearer", "id_token": s.sign(s.claims)})
			}
			if _, _, err := s.logIn(newOIDC(t, s.config)); err != nil {
				t.Fatal(err)
			}
			form := <-forms
			proof, err := jose.ParseSignedCompact(form.Get("client_assertion"), []jose.SignatureAlgorithm{jose.SignatureAlgorithm(test.want.Algorithm)})
			if err != nil || form.Get("client_assertion_type") != "urn:ietf:params:oauth:client-assertion-type:jwt-bearer" || form.Has("client_secret") {
				t.Fatalf("got the form %v: %v", form, err)
			}
			header := proof.Signatures[0].Header
			if header.KeyID == "" || test.want.KeyID != "" && header.KeyID != test.want.KeyID {
				t.Errorf("the key is called %q, want %q", header.KeyID, test.want.KeyID)
			}
			payload, err := proof.Verify(test.key)
			if err != nil {
				t.Fatal(err)
			}
			var claims oidc.Claims
			if err := json.Unmarshal(payload, &claims); err != nil {
				t.Fatal(err)
			}
			lifetime := claims.Expiry.Sub(claims.IssuedAt.Time).Minutes()
			if claims.Issuer != "tegata" || claims.Subject != "tegata" || len(claims.Audience) != 1 || !strings.HasSuffix(claims.Audience[0], "/token") || claims.TokenID == "" || lifetime != 1 {
				t.Errorf("got the proof %s", payload)
			}
		})
	}
}

func TestClientKeysThatAreRefused(t *testing.T) {
	t.Parallel()
	ecKey := newEC(t, elliptic.P256())
	public, err := x509.MarshalPKIXPublicKey(ecKey.Public())
	for name, text := range map[string]string{
		"nothing":        "",
		"a text":         "hush-hush",
		"a public key":   inPEM(t, "PUBLIC KEY", public, err),
		"a public JWK":   inJWK(t, jose.JSONWebKey{Key: ecKey.Public()}),
		"a secret":       `{"kty":"oct","k":"aHVzaC1odXNo"}`,
		"a locked key":   "-----BEGIN ENCRYPTED PRIVATE KEY-----\naHVzaC1odXNo\n-----END ENCRYPTED PRIVATE KEY-----\n",
		"P-224":          inPKCS8(t, newEC(t, elliptic.P224())),
		"HS256 with RSA": inJWK(t, jose.JSONWebKey{Key: newRSA(t, 2048), Algorithm: "HS256"}),
		"short RSA":      inPKCS8(t, newRSA(t, 1024)),
	} {
		key, err := upstream.ReadClientKey(secret.New(text), "")
		if err == nil || key != nil || strings.Contains(err.Error(), "hush") || strings.Contains(err.Error(), "aHVza") {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

// The algorithms with which providers sign.
func TestSignatures(t *testing.T) {
	t.Parallel()
	for algorithm, key := range map[jose.SignatureAlgorithm]crypto.Signer{
		jose.RS256: newRSA(t, 2048), jose.RS512: newRSA(t, 2048), jose.PS256: newRSA(t, 2048),
		jose.ES256: newEC(t, elliptic.P256()), jose.ES384: newEC(t, elliptic.P384()), jose.ES512: newEC(t, elliptic.P521()), jose.EdDSA: newEd25519(t),
	} {
		for _, fault := range []string{"", "not announced", "for encryption", "of another algorithm"} {
			s := newStage(t, "")
			s.metadata["id_token_signing_alg_values_supported"] = []string{string(algorithm)}
			s.key = jose.JSONWebKey{Key: key, KeyID: "k", Use: "sig"}
			switch fault {
			case "not announced":
				other := jose.ES256
				if algorithm == other {
					other = jose.RS256
				}
				s.metadata["id_token_signing_alg_values_supported"] = []string{string(other)}
			case "for encryption":
				s.key.Use = "enc"
			case "of another algorithm":
				s.key.Algorithm = "RSA-OAEP"
			}
			s.answers["/token"] = func(w http.ResponseWriter, _ *http.Request) {
				reply(w, map[string]any{"access_token": "a", "token_type": "Bearer", "id_token": s.signWith(algorithm, s.claims)})
			}
			if _, _, err := s.logIn(newOIDC(t, s.config)); (err == nil) != (fault == "") {
				t.Errorf("%s, %q: got %v", algorithm, fault, err)
			}
		}
	}
	// A provider that names none has RS256.
	s := newStage(t, "")
	delete(s.metadata, "id_token_signing_alg_values_supported")
	if _, _, err := s.logIn(newOIDC(t, s.config)); err == nil {
		t.Error("ES256 was taken from a provider that does not say that it has it")
	}
}
