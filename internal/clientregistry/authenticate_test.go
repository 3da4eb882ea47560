// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package clientregistry_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"errors"
	"maps"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/tegata/tegata/internal/clientregistry"
	"github.com/tegata/tegata/internal/oidc"
	"github.com/tegata/tegata/internal/secret"
)

var noon = time.Date(2026, 12, 1, 12, 0, 0, 0, time.UTC)

// spent remembers identifiers like a storage.
type spent struct {
	mu    sync.Mutex // guards the field below
	known map[string]time.Time
	err   error
}

func (s *spent) Spend(_ context.Context, id string, until time.Time) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return false, s.err
	}
	if _, known := s.known[id]; known {
		return false, nil
	}
	if s.known == nil {
		s.known = map[string]time.Time{}
	}
	s.known[id] = until
	return true, nil
}

func newAuthenticator(clients clientregistry.Clients) *clientregistry.Authenticator {
	return &clientregistry.Authenticator{
		Clients: clients, Issuer: "https://id.example.com/dex", TokenEndpoint: "https://id.example.com/dex/token",
		Identifiers: &spent{}, Now: func() time.Time { return noon },
	}
}

// post makes a request to an endpoint whose form has been read.
func post(t testing.TB, path string, form url.Values) *http.Request {
	t.Helper()
	r := httptest.NewRequest(http.MethodPost, path, strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if err := r.ParseForm(); err != nil {
		t.Fatal(err)
	}
	return r
}

func wantRefused(t *testing.T, client clientregistry.Client, err error, why string) {
	t.Helper()
	problem, _ := errors.AsType[*oidc.Error](err)
	if problem == nil || problem.Code != oidc.InvalidClient || client.ID != "" {
		t.Fatalf("got %q, %v; want invalid_client", client.ID, err)
	}
	if problem.Description != "client authentication was refused" {
		t.Errorf("the client is told %q, want nothing that helps to guess", problem.Description)
	}
	if !strings.Contains(err.Error(), why) {
		t.Errorf("the log is told %q, want %q", err, why)
	}
}

func TestMethodThatIsStatedIsTheOnlyOne(t *testing.T) {
	t.Parallel()
	key := newKey(t)
	clients := registry{}
	for _, method := range clientregistry.Methods() {
		client := clientregistry.Client{ID: oidc.ClientID(method), Authentication: method}
		if method.NeedsSecret() {
			client.SecretHash = clientregistry.HashSecret(secret.New(webSecret))
		}
		if method == clientregistry.PrivateKeyJWT {
			client.JWKS = keySet(t, key.Public())
		}
		clients[client.ID] = client
	}
	clients["either"] = clientregistry.Client{ID: "either", SecretHash: clientregistry.HashSecret(secret.New(webSecret))}
	accepted := map[oidc.ClientID][]string{
		"none": {"alone", "empty basic"}, "client_secret_basic": {"basic"}, "client_secret_post": {"post"},
		"private_key_jwt": {"proof"}, "either": {"basic", "post"},
	}
	for id := range clients {
		for name, offer := range map[string]func() *http.Request{
			"alone": func() *http.Request { return post(t, "/dex/token", url.Values{"client_id": {string(id)}}) },
			"post": func() *http.Request {
				return post(t, "/dex/token", url.Values{"client_id": {string(id)}, "client_secret": {webSecret}})
			},
			"basic": func() *http.Request {
				r := post(t, "/dex/token", nil)
				r.SetBasicAuth(string(id), url.QueryEscape(webSecret))
				return r
			},
			"empty basic": func() *http.Request {
				r := post(t, "/dex/token", nil)
				r.SetBasicAuth(string(id), "")
				return r
			},
			"proof": func() *http.Request {
				return post(t, "/dex/token", proofForm(sign(t, key, "ES256", nil, claimsOf(id))))
			},
		} {
			t.Run(string(id)+" by "+name, func(t *testing.T) {
				got, err := newAuthenticator(clients).Authenticate(offer())
				if slices.Contains(accepted[id], name) {
					if err != nil || got.ID != id {
						t.Errorf("got %q, %v; want %q", got.ID, err, id)
					}
					return
				}
				wantRefused(t, got, err, "")
			})
		}
	}
}

// newKey makes a key of the kind that costs least.
func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

var rsaKey = sync.OnceValues(func() (*rsa.PrivateKey, error) { return rsa.GenerateKey(rand.Reader, 2048) })

func keySet(t testing.TB, keys ...any) json.RawMessage {
	t.Helper()
	set := jose.JSONWebKeySet{Keys: []jose.JSONWebKey{}}
	for _, key := range keys {
		jwk, ok := key.(jose.JSONWebKey)
		if !ok {
			jwk = jose.JSONWebKey{Key: key}
		}
		set.Keys = append(set.Keys, jwk)
	}
	text, err := json.Marshal(set)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// claimsOf are those of a good proof.
func claimsOf(client oidc.ClientID) map[string]any {
	return map[string]any{
		"iss": client, "sub": client, "aud": "https://id.example.com/dex/token", "jti": rand.Text(),
		"iat": noon.Unix(), "exp": noon.Add(time.Minute).Unix(),
	}
}

func sign(t testing.TB, key any, alg jose.SignatureAlgorithm, header map[jose.HeaderKey]any, claims map[string]any) string {
	t.Helper()
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: key}, &jose.SignerOptions{ExtraHeaders: header})
	if err != nil {
		t.Fatal(err)
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	jws, err := signer.Sign(payload)
	if err != nil {
		t.Fatal(err)
	}
	text, err := jws.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func proofForm(proof string) url.Values {
	return url.Values{
		"client_assertion":      {proof},
		"client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"},
	}
}

func TestProofs(t *testing.T) {
	t.Parallel()
	key, other := newKey(t), newKey(t)
	big, err := rsaKey()
	if err != nil {
		t.Fatal(err)
	}
	public, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	clients := registry{
		"ci":     {ID: "ci", Authentication: "private_key_jwt", JWKS: keySet(t, jose.JSONWebKey{Key: key.Public(), KeyID: "one"}, jose.JSONWebKey{Key: big.Public(), KeyID: "two", Algorithm: "RS256"}, public)},
		"other":  {ID: "other", Authentication: "private_key_jwt", JWKS: keySet(t, other.Public())},
		"crypt":  {ID: "crypt", Authentication: "private_key_jwt", JWKS: keySet(t, jose.JSONWebKey{Key: key.Public(), Use: "enc"}, other.Public())},
		"secret": {ID: "secret", SecretHash: clientregistry.HashSecret(secret.New(webSecret))},
	}
	type proof struct {
		key    any
		alg    jose.SignatureAlgorithm
		header map[jose.HeaderKey]any
		claims map[string]any
	}
	for _, test := range []struct {
		name   string
		change func(*proof)
		why    string // empty: it is accepted
	}{
		{"as the plugin makes them", func(p *proof) { p.header = map[jose.HeaderKey]any{"typ": "JWT"} }, ""},
		{"without a type", func(*proof) {}, ""},
		{"with the type of its own", func(p *proof) { p.header = map[jose.HeaderKey]any{"typ": "client-authentication+jwt"} }, ""},
		{"with the key's ID", func(p *proof) { p.key = jose.JSONWebKey{Key: key, KeyID: "one"} }, ""},
		{"RSA", func(p *proof) { p.key, p.alg = big, "RS256" }, ""},
		{"Ed25519, a key without an ID", func(p *proof) { p.key, p.alg = jose.JSONWebKey{Key: ed, KeyID: "whatever"}, "EdDSA" }, ""},
		{"for the issuer", func(p *proof) { p.claims["aud"] = "https://id.example.com/dex" }, ""},
		{"for the endpoint that is asked", func(p *proof) { p.claims["aud"] = "https://id.example.com/dex/introspect" }, ""},
		{"for two that are ours", func(p *proof) {
			p.claims["aud"] = []string{"https://id.example.com/dex", "https://id.example.com/dex/token"}
		}, ""},
		{"just not expired", func(p *proof) { p.claims["exp"] = noon.Unix() - 29 }, ""},
		{"good for ten minutes", func(p *proof) { p.claims["exp"] = noon.Add(10 * time.Minute).Unix() }, ""},

		{"expired", func(p *proof) { p.claims["exp"] = noon.Unix() - 30 }, "a proof that has expired"},
		{"good for an hour", func(p *proof) { p.claims["exp"] = noon.Add(time.Hour).Unix() }, "good for more than 10m0s"},
		{"without an end", func(p *proof) { delete(p.claims, "exp") }, "without exp"},
		{"not yet", func(p *proof) { p.claims["nbf"] = noon.Add(time.Minute).Unix() }, "not good yet"},
		{"from the future", func(p *proof) { p.claims["iat"] = noon.Add(time.Minute).Unix() }, "from the future"},
		{"without an ID", func(p *proof) { delete(p.claims, "jti") }, "jti is missing"},
		{"with a long ID", func(p *proof) { p.claims["jti"] = strings.Repeat("j", 513) }, "longer than 512"},
		{"for nobody", func(p *proof) { delete(p.claims, "aud") }, "for the audience"},
		{"for another", func(p *proof) { p.claims["aud"] = "https://other.example.com/token" }, "for the audience"},
		{"for us and another, who could play it to us", func(p *proof) {
			p.claims["aud"] = []string{"https://id.example.com/dex", "https://other.example.com"}
		}, "for the audience"},
		{"for an endpoint that is not asked", func(p *proof) { p.claims["aud"] = "https://id.example.com/dex/revoke" }, "for the audience"},
		{"by another", func(p *proof) { p.claims["iss"] = "other" }, "iss and sub are not the client"},
		{"signed by another", func(p *proof) { p.key = other }, "none of its keys signed"},
		{"with the ID of another key", func(p *proof) { p.key = jose.JSONWebKey{Key: key, KeyID: "two"} }, "none of its keys signed"},
		{"with an ID that is no key's", func(p *proof) { p.key = jose.JSONWebKey{Key: key, KeyID: "../../one"} }, "none of its keys signed"},
		{"RSA with an algorithm that the key is not for", func(p *proof) { p.key, p.alg = jose.JSONWebKey{Key: big, KeyID: "two"}, "PS256" }, "none of its keys signed"},
		{"an algorithm that is not taken", func(p *proof) { p.key, p.alg = big, "RS512" }, "algorithm that is not taken"},
		{"a secret key", func(p *proof) { p.key, p.alg = []byte("0123456789abcdef0123456789abcdef"), "HS256" }, "algorithm that is not taken"},
		{"a public key for a secret one", func(p *proof) { p.key, p.alg = []byte(keySet(t, key.Public())), "HS256" }, "algorithm that is not taken"},
		{"the type of an access token", func(p *proof) { p.header = map[jose.HeaderKey]any{"typ": "at+jwt"} }, `of the type "at+jwt"`},
		{"an extension", func(p *proof) { p.header = map[jose.HeaderKey]any{"crit": []string{"exp"}, "exp": 1} }, "a proof"},
		{"a key in the header", func(p *proof) {
			p.key, p.header = other, map[jose.HeaderKey]any{"jwk": jose.JSONWebKey{Key: other.Public()}}
		}, "none of its keys signed"},
		{"claims that are none", func(p *proof) { p.claims["aud"] = map[string]any{} }, "cannot be read"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			p := proof{key: key, alg: "ES256", claims: claimsOf("ci")}
			test.change(&p)
			form := proofForm(sign(t, p.key, p.alg, p.header, p.claims))
			client, err := newAuthenticator(clients).Authenticate(post(t, "/dex/introspect", form))
			if test.why == "" {
				if err != nil || client.ID != "ci" {
					t.Fatalf("got %q, %v; want it accepted", client.ID, err)
				}
				return
			}
			wantRefused(t, client, err, test.why)
		})
	}

	good := func() string { return sign(t, key, "ES256", nil, claimsOf("ci")) }
	about := claimsOf("ci")
	about["sub"] = "other"
	for name, test := range map[string]struct {
		form url.Values
		why  string
	}{
		"another type of assertion": {url.Values{"client_assertion": {good()}, "client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:saml2-bearer"}}, "client_assertion_type"},
		"no type of assertion":      {url.Values{"client_assertion": {good()}}, "client_assertion_type"},
		"about another":             {proofForm(sign(t, key, "ES256", nil, about)), "none of its keys signed"},
		"about another, by name":    {withID(proofForm(sign(t, key, "ES256", nil, about)), "ci"), "iss and sub are not the client"},
		"garbage":                   {proofForm("a.b.c"), "no JWT"},
		"no algorithm":              {proofForm(unsigned(t, claimsOf("ci"))), "not taken"},
		"large":                     {proofForm(strings.Repeat("a", 17<<10)), "more than 16384 bytes"},
		"another client's name":     {withID(proofForm(good()), "other"), "none of its keys signed"},
		"no such client":            {withID(proofForm(good()), "nobody"), "no such client"},
		"a client with a secret":    {withID(proofForm(good()), "secret"), "private_key_jwt, and client_secret_basic, client_secret_post is stated"},
		"an encryption key":         {proofForm(sign(t, key, "ES256", nil, claimsOf("crypt"))), "none of its keys signed"},
	} {
		t.Run(name, func(t *testing.T) {
			client, err := newAuthenticator(clients).Authenticate(post(t, "/dex/token", test.form))
			wantRefused(t, client, err, test.why)
		})
	}
}

func withID(form url.Values, id string) url.Values {
	form = maps.Clone(form)
	form.Set("client_id", id)
	return form
}

// unsigned is a JWS of the algorithm none.
func unsigned(t *testing.T, claims map[string]any) string {
	t.Helper()
	payload, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	encode := base64.RawURLEncoding.EncodeToString
	return encode([]byte(`{"alg":"none"}`)) + "." + encode(payload) + "."
}

func TestProofWorksOnce(t *testing.T) {
	t.Parallel()
	key := newKey(t)
	clients := registry{
		"ci":      {ID: "ci", Authentication: "private_key_jwt", JWKS: keySet(t, key.Public())},
		"another": {ID: "another", Authentication: "private_key_jwt", JWKS: keySet(t, key.Public())},
	}
	a := newAuthenticator(clients)
	memory := a.Identifiers.(*spent)
	claims := claimsOf("ci")
	proof := sign(t, key, "ES256", nil, claims)
	if _, err := a.Authenticate(post(t, "/dex/token", proofForm(proof))); err != nil {
		t.Fatal(err)
	}
	client, err := a.Authenticate(post(t, "/dex/token", proofForm(proof)))
	wantRefused(t, client, err, "used before")
	// It is the ID that counts, not the text.
	claims["iat"] = noon.Add(-time.Second).Unix()
	client, err = a.Authenticate(post(t, "/dex/revoke", proofForm(sign(t, key, "ES256", nil, claims))))
	wantRefused(t, client, err, "used before")
	// Each client counts its own.
	again := claimsOf("another")
	again["jti"] = claims["jti"]
	if _, err := a.Authenticate(post(t, "/dex/token", proofForm(sign(t, key, "ES256", nil, again)))); err != nil {
		t.Errorf("another client's proof of the same ID: %v", err)
	}
	// What is refused for another reason takes no memory.
	before := len(memory.known)
	claims = claimsOf("ci")
	claims["aud"] = "https://evil.example"
	client, err = a.Authenticate(post(t, "/dex/token", proofForm(sign(t, key, "ES256", nil, claims))))
	wantRefused(t, client, err, "audience")
	if len(memory.known) != before {
		t.Errorf("%d identifiers are kept, want %d", len(memory.known), before)
	}
	for id, until := range memory.known {
		if until.After(noon.Add(11 * time.Minute)) {
			t.Errorf("%s is kept until %v, want it forgotten soon", id, until)
		}
	}
	// What cannot be remembered is not the client's fault, and not accepted.
	memory.err = errBroken
	_, err = a.Authenticate(post(t, "/dex/token", proofForm(sign(t, key, "ES256", nil, claimsOf("ci")))))
	if _, blamed := errors.AsType[*oidc.Error](err); blamed || !errors.Is(err, errBroken) {
		t.Errorf("got %v, want the storage's error", err)
	}
}

// Of many requests with one proof at once, one is let in.
func TestProofWorksOnceOfManyAtOnce(t *testing.T) {
	t.Parallel()
	key := newKey(t)
	a := newAuthenticator(registry{"ci": {ID: "ci", Authentication: "private_key_jwt", JWKS: keySet(t, key.Public())}})
	form := proofForm(sign(t, key, "ES256", nil, claimsOf("ci")))
	results := make(chan error, 16)
	for range cap(results) {
		r := post(t, "/dex/token", form)
		go func() {
			_, err := a.Authenticate(r)
			results <- err
		}()
	}
	accepted := 0
	for range cap(results) {
		if <-results == nil {
			accepted++
		}
	}
	if accepted != 1 {
		t.Errorf("%d were let in, want 1", accepted)
	}
}

// certificate makes one of a key, signed by an authority or by itself.
func certificate(t testing.TB, change func(*x509.Certificate), authority *authority) (*x509.Certificate, crypto.Signer) {
	t.Helper()
	key := newKey(t)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(7), Subject: pkix.Name{CommonName: "ci", Organization: []string{"Example"}},
		NotBefore: noon.Add(-time.Hour), NotAfter: noon.Add(time.Hour), BasicConstraintsValid: true,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}, DNSNames: []string{"ci.example.com"},
	}
	if change != nil {
		change(template)
	}
	parent, signer := template, crypto.Signer(key)
	if authority != nil {
		parent, signer = authority.certificate, authority.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	made, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return made, key
}

type authority struct {
	certificate *x509.Certificate
	key         crypto.Signer
}

func newAuthority(t *testing.T, name string, above *authority) *authority {
	made, key := certificate(t, func(c *x509.Certificate) {
		c.Subject, c.IsCA, c.KeyUsage, c.ExtKeyUsage, c.DNSNames = pkix.Name{CommonName: name}, true, x509.KeyUsageCertSign, nil, nil
	}, above)
	return &authority{made, key}
}

func TestCertificates(t *testing.T) {
	t.Parallel()
	root, foreign := newAuthority(t, "Example CA", nil), newAuthority(t, "Foreign CA", nil)
	middle := newAuthority(t, "Example Issuing CA", root)
	pool := x509.NewCertPool()
	pool.AddCert(root.certificate)
	self, _ := certificate(t, nil, nil)
	old, _ := certificate(t, func(c *x509.Certificate) { c.NotAfter = noon.Add(-time.Minute) }, nil)
	good, _ := certificate(t, nil, root)
	clients := registry{
		"dn":   {ID: "dn", Authentication: "tls_client_auth", TLSSubject: "CN=ci, O=Example"},
		"dns":  {ID: "dns", Authentication: "tls_client_auth", TLSSubject: "dns:CI.example.com"},
		"self": {ID: "self", Authentication: "self_signed_tls_client_auth", JWKS: keySet(t, jose.JSONWebKey{Key: self.PublicKey, Certificates: []*x509.Certificate{self}}, jose.JSONWebKey{Key: old.PublicKey, Certificates: []*x509.Certificate{old}})},
		"none": {ID: "none"},
	}
	with := func(change func(*x509.Certificate), by *authority) []*x509.Certificate {
		made, _ := certificate(t, change, by)
		return []*x509.Certificate{made}
	}
	for _, test := range []struct {
		name   string
		client string
		shown  []*x509.Certificate
		why    string // empty: accepted
	}{
		{"by an authority, by its distinguished name", "dn", []*x509.Certificate{good}, ""},
		{"by an authority, by a name of its host", "dns", []*x509.Certificate{good}, ""},
		{"by an authority between", "dn", append(with(nil, middle), middle.certificate), ""},
		{"self-signed and registered", "self", []*x509.Certificate{self}, ""},
		{"a public client may show what it likes", "none", []*x509.Certificate{self}, ""},

		{"no certificate", "dn", nil, "no certificate"},
		{"no certificate of a self-signed one", "self", nil, "no certificate"},
		{"by an authority that is not trusted", "dn", with(nil, foreign), "no trusted authority"},
		{"by itself", "dn", []*x509.Certificate{self}, "no trusted authority"},
		{"without the authority between", "dn", with(nil, middle), "no trusted authority"},
		{"the authority's own", "dn", []*x509.Certificate{root.certificate}, "the certificate of an authority"},
		{"expired", "dn", with(func(c *x509.Certificate) { c.NotAfter = noon.Add(-time.Minute) }, root), "no trusted authority"},
		{"for servers", "dn", with(func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} }, root), "no trusted authority"},
		{"of another name", "dn", with(func(c *x509.Certificate) { c.Subject.CommonName = "ci2" }, root), "not the one that is registered"},
		{"of a longer name", "dn", with(func(c *x509.Certificate) { c.Subject.OrganizationalUnit = []string{"x"} }, root), "not the one that is registered"},
		{"of a name with a comma in it", "dn", with(func(c *x509.Certificate) { c.Subject = pkix.Name{CommonName: "ci,O=Example"} }, root), "not the one that is registered"},
		{"of another host", "dns", with(func(c *x509.Certificate) { c.DNSNames = []string{"*.example.com"} }, root), "not the one that is registered"},
		{"self-signed and registered, and expired", "self", []*x509.Certificate{old}, "not good now"},
		{"self-signed and not registered", "self", with(nil, nil), "not registered"},
		{"by an authority, for one that is self-signed", "self", []*x509.Certificate{good}, "not registered"},
		{"nobody's", "nobody", []*x509.Certificate{good}, "no such client"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			a := newAuthenticator(clients)
			a.Authorities = pool
			r := post(t, "/dex/token", url.Values{"client_id": {test.client}})
			r.TLS = &tls.ConnectionState{PeerCertificates: test.shown}
			client, err := a.Authenticate(r)
			if test.why == "" {
				if err != nil || string(client.ID) != test.client {
					t.Fatalf("got %q, %v; want it accepted", client.ID, err)
				}
				return
			}
			wantRefused(t, client, err, test.why)
		})
	}
	// Where no authority is trusted, or there is no TLS at all.
	r := post(t, "/dex/token", url.Values{"client_id": {"dn"}})
	client, err := newAuthenticator(clients).Authenticate(r)
	wantRefused(t, client, err, "no certificate")
	r.TLS = &tls.ConnectionState{PeerCertificates: []*x509.Certificate{good}}
	client, err = newAuthenticator(clients).Authenticate(r)
	wantRefused(t, client, err, "no authority is trusted")
	if got := clientregistry.CertificateThumbprint(r); len(got) != 43 {
		t.Errorf("thumbprint: got %q, want 43 characters", got)
	}
	if got := clientregistry.CertificateThumbprint(post(t, "/", nil)); got != "" {
		t.Errorf("thumbprint of nothing: got %q", got)
	}
}

// An unknown client is checked like a known one. What that costs is measured,
// and no test depends on it: go test -bench Unknown.
func BenchmarkUnknownClient(b *testing.B) {
	key := newKey(b)
	clients := registry{
		"secret": {ID: "secret", SecretHash: clientregistry.HashSecret(secret.New(webSecret))},
		"key":    {ID: "key", Authentication: "private_key_jwt", JWKS: keySet(b, jose.JSONWebKey{Key: key.Public(), KeyID: "one"})},
	}
	wrong := newKey(b)
	for name, form := range map[string]url.Values{
		"secret/known":   {"client_id": {"secret"}, "client_secret": {"wrong"}},
		"secret/unknown": {"client_id": {"nobody"}, "client_secret": {"wrong"}},
		"key/known":      proofForm(sign(b, wrong, "ES256", nil, claimsOf("key"))),
		"key/other kid":  proofForm(sign(b, jose.JSONWebKey{Key: wrong, KeyID: "two"}, "ES256", nil, claimsOf("key"))),
		"key/unknown":    proofForm(sign(b, wrong, "ES256", nil, claimsOf("nobody"))),
	} {
		a := newAuthenticator(clients)
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if _, err := a.Authenticate(post(b, "/dex/token", form)); err == nil {
					b.Fatal("accepted")
				}
			}
		})
	}
}

// Whatever is sent as a proof: it is refused, and nothing is remembered.
func FuzzProof(f *testing.F) {
	key := newKey(f)
	clients := registry{"ci": {ID: "ci", Authentication: "private_key_jwt", JWKS: keySet(f, key.Public())}}
	f.Add(sign(f, newKey(f), "ES256", nil, claimsOf("ci")), "")
	f.Add("eyJhbGciOiJub25lIn0.e30.", "ci")
	f.Add("..", "\x00")
	f.Add(`{"payload":"e30","signatures":[]}`, "ci")
	f.Fuzz(func(t *testing.T, proof, id string) {
		a := newAuthenticator(clients)
		form := proofForm(proof)
		if id != "" {
			form.Set("client_id", id)
		}
		client, err := a.Authenticate(post(t, "/dex/token", form))
		if err == nil && proof != "" {
			t.Fatalf("%q was accepted as a proof of %q", proof, client.ID)
		}
		if problem, ok := errors.AsType[*oidc.Error](err); err != nil && !ok || ok && problem.Code != oidc.InvalidClient {
			t.Errorf("got %v, want invalid_client", err)
		}
		if n := len(a.Identifiers.(*spent).known); n != 0 {
			t.Errorf("%d identifiers are kept", n)
		}
	})
}
