// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package provider_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"log/slog"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/tegata/tegata/internal/clientregistry"
	"github.com/tegata/tegata/internal/oidc"
)

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(t, err)
	return key
}

// proof is a client's proof for one request.
func proof(t testing.TB, key *ecdsa.PrivateKey, client, audience string, at time.Time) string {
	t.Helper()
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: key}, (&jose.SignerOptions{}).WithType("JWT"))
	check(t, err)
	payload, err := json.Marshal(map[string]any{
		"iss": client, "sub": client, "aud": audience, "jti": rand.Text(), "iat": at.Unix(), "exp": at.Add(time.Minute).Unix(),
	})
	check(t, err)
	jws, err := signer.Sign(payload)
	check(t, err)
	text, err := jws.CompactSerialize()
	check(t, err)
	return text
}

// Every endpoint that a client calls takes the same proofs: made out to the
// issuer, to the token endpoint or to itself, and each of them once.
func TestEveryEndpointTakesProofs(t *testing.T) {
	t.Parallel()
	i := newIssuer(t, at(issuerURL+"/dex"))
	key := newKey(t)
	keys, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: key.Public(), KeyID: "one"}}})
	check(t, err)
	i.addClient(clientregistry.Client{
		ID: "ci", Authentication: clientregistry.PrivateKeyJWT, JWKS: keys, RedirectURIs: []string{"https://ci.example.com/callback"},
		Grants: []string{"authorization_code", "refresh_token", oidc.GrantDeviceCode, oidc.GrantClientCredentials},
	}, "")
	b := i.browser()
	for path, form := range map[string]url.Values{
		"/token":                {"grant_type": {"client_credentials"}},
		"/introspect":           {"token": {"x"}},
		"/revoke":               {"token": {"x"}},
		"/device_authorization": {"scope": {"openid"}},
		"/par":                  request("client_id", "ci", "redirect_uri", "https://ci.example.com/callback"),
	} {
		for _, audience := range []string{issuerURL + "/dex", issuerURL + "/dex/token", issuerURL + "/dex" + path} {
			form.Set("client_assertion", proof(t, key, "ci", audience, i.clock.Now()))
			form.Set("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer")
			if a := b.send("POST", path, form, nil); a.status != http.StatusOK && a.status != http.StatusCreated {
				t.Errorf("%s, for %s: got %d %s", path, audience, a.status, a.body)
			}
			if a := b.send("POST", path, form, nil); a.status != http.StatusUnauthorized || !strings.Contains(a.body, `"invalid_client"`) {
				t.Errorf("%s, the second time: got %d %s", path, a.status, a.body)
			}
		}
		for _, audience := range []string{"https://other.example.com/dex", issuerURL, issuerURL + "/dex/other", ""} {
			form.Set("client_assertion", proof(t, key, "ci", audience, i.clock.Now()))
			if a := b.send("POST", path, form, nil); a.status != http.StatusUnauthorized {
				t.Errorf("%s, for %q: got %d %s", path, audience, a.status, a.body)
			}
		}
		form.Del("client_assertion")
		form.Del("client_assertion_type")
		form.Set("client_id", "ci")
		if a := b.send("POST", path, form, nil); a.status != http.StatusUnauthorized {
			t.Errorf("%s, without a proof: got %d %s", path, a.status, a.body)
		}
	}
	// At every replica, and after a restart.
	form := url.Values{
		"grant_type": {"client_credentials"}, "client_assertion": {proof(t, key, "ci", issuerURL+"/dex", i.clock.Now())},
		"client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"},
	}
	if found := i.token(form, nil); found.status != http.StatusOK {
		t.Fatalf("got %s", found.body)
	}
	i.restart()
	i.token(form, nil).wantRefusal(oidc.InvalidClient)
	if n := i.count("spent_identifiers"); n < 16 {
		t.Errorf("%d proofs are remembered, want each that was used", n)
	}
	i.clock.advance(2 * time.Minute)
	check(t, i.rows.Sweep(t.Context(), i.clock.Now()))
	if n := i.count("spent_identifiers"); n != 0 {
		t.Errorf("%d proofs are remembered after they have expired", n)
	}
}

// authority makes certificates for clients.
type authority struct {
	certificate *x509.Certificate
	key         crypto.Signer
}

func newAuthority(t testing.TB) authority {
	t.Helper()
	key := newKey(t)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Clients CA"}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign, NotBefore: birth.Add(-time.Hour), NotAfter: birth.Add(24 * time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	check(t, err)
	certificate, err := x509.ParseCertificate(der)
	check(t, err)
	return authority{certificate, key}
}

func (a authority) pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(a.certificate)
	return pool
}

func (a authority) issue(t testing.TB, name string) *tls.Certificate {
	t.Helper()
	key := newKey(t)
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: name}, NotBefore: birth.Add(-time.Hour), NotAfter: birth.Add(24 * time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}, a.certificate, key.Public(), a.key)
	check(t, err)
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// asking starts the issuer behind a listener that asks for certificates, and
// returns a browser that shows one.
func (i *issuer) asking(shown *tls.Certificate) *browser {
	i.t.Helper()
	server := httptest.NewUnstartedServer(i.handler)
	server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug)
	server.TLS = &tls.Config{ClientAuth: tls.RequestClientCert, ClientCAs: i.config.ClientAuthorities}
	server.StartTLS()
	i.t.Cleanup(server.Close)
	inner := *i
	inner.server = server
	b := inner.browser()
	if shown != nil {
		b.client.Transport.(*http.Transport).TLSClientConfig.Certificates = []tls.Certificate{*shown}
	}
	return b
}

func TestClientsShowCertificates(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t)
	i := newIssuer(t, func(i *issuer) { i.config.ClientAuthorities = ca.pool() })
	i.addClient(clientregistry.Client{
		ID: "agent", Authentication: clientregistry.TLS, TLSSubject: "CN=agent", RedirectURIs: []string{"http://localhost:8000"},
		Grants: []string{"authorization_code", "refresh_token", oidc.GrantClientCredentials},
	}, "")
	metadata := jsonOf(t, i.browser().get("/.well-known/openid-configuration"))
	if got := fmt.Sprint(metadata["token_endpoint_auth_methods_supported"]); !strings.Contains(got, "tls_client_auth self_signed_tls_client_auth") || metadata["tls_client_certificate_bound_access_tokens"] != true {
		t.Errorf("the metadata says %v, %v", got, metadata["tls_client_certificate_bound_access_tokens"])
	}
	mine, theirs := ca.issue(t, "agent"), ca.issue(t, "another")
	form := url.Values{"grant_type": {"client_credentials"}, "client_id": {"agent"}}
	i.asking(nil).token(form, nil).wantRefusal(oidc.InvalidClient)
	i.asking(theirs).token(form, nil).wantRefusal(oidc.InvalidClient)
	stranger := newAuthority(t).issue(t, "agent")
	b := i.asking(nil)
	b.client.Transport.(*http.Transport).TLSClientConfig.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return stranger, nil }
	b.token(form, nil).wantRefusal(oidc.InvalidClient)
	b = i.asking(mine)
	if found := b.token(form, nil); found.status != http.StatusOK {
		t.Fatalf("got %d %s", found.status, found.body)
	}
	b.token(change(form, "client_secret", "x"), nil).wantRefusal(oidc.InvalidClient)

	// The access token is good for who holds the key, and nobody else (RFC
	// 8705, section 3).
	code := i.browser().login(request("client_id", "agent"), "alice", alicePassword).code()
	found := b.token(codeForm(code, "client_id", "agent"), nil)
	found.wantTokens()
	bound, _ := claims(t, found.AccessToken)["cnf"].(map[string]any)
	if text, _ := bound["x5t#S256"].(string); len(text) != 43 {
		t.Errorf("cnf: got %v, want the thumbprint of the certificate", bound)
	}
	if claims(t, found.IDToken)["cnf"] != nil {
		t.Error("the ID token is bound too, which no API server could check")
	}
	b.send("GET", "/userinfo", nil, bearer(found.AccessToken)).wantStatus(http.StatusOK)
	for name, a := range map[string]answered{
		"without a certificate":      i.asking(nil).send("GET", "/userinfo", nil, bearer(found.AccessToken)),
		"with another":               i.asking(theirs).send("GET", "/userinfo", nil, bearer(found.AccessToken)),
		"where none is asked for":    i.browser().send("GET", "/userinfo", nil, bearer(found.AccessToken)),
		"a token of another, itself": i.asking(mine).send("GET", "/userinfo", nil, bearer(i.logIn().AccessToken+"x")),
	} {
		if a.status != http.StatusUnauthorized || !strings.Contains(a.header.Get("WWW-Authenticate"), "invalid_token") {
			t.Errorf("%s: got %d %s", name, a.status, a.body)
		}
	}
	// An access token that is not bound stays good with a certificate.
	b.send("GET", "/userinfo", nil, bearer(i.logIn().AccessToken)).wantStatus(http.StatusOK)
	// A resource server is told (section 3.2).
	a := b.send("POST", "/introspect", url.Values{"token": {found.AccessToken}, "client_id": {"agent"}}, nil)
	if cnf, _ := jsonOf(t, a)["cnf"].(map[string]any); cnf["x5t#S256"] != bound["x5t#S256"] {
		t.Errorf("introspection: got %s", a.body)
	}
	// A refresh needs the certificate as well.
	i.asking(nil).token(refreshForm(found.RefreshToken, "client_id", "agent"), nil).wantRefusal(oidc.InvalidClient)
	b.token(refreshForm(found.RefreshToken, "client_id", "agent"), nil).wantTokens()
}

// A certificate that the client signed itself is registered as it is.
func TestClientsShowTheirOwnCertificates(t *testing.T) {
	t.Parallel()
	own, other := newAuthority(t), newAuthority(t)
	keys, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: own.certificate.PublicKey, Certificates: []*x509.Certificate{own.certificate}}}})
	check(t, err)
	i := newIssuer(t, func(i *issuer) { i.config.ClientAuthorities = x509.NewCertPool() })
	i.addClient(clientregistry.Client{
		ID: "box", Authentication: clientregistry.SelfSignedTLS, JWKS: keys, Grants: []string{oidc.GrantClientCredentials},
	}, "")
	form := url.Values{"grant_type": {"client_credentials"}, "client_id": {"box"}}
	show := func(a authority) tokens {
		return i.asking(&tls.Certificate{Certificate: [][]byte{a.certificate.Raw}, PrivateKey: a.key}).token(form, nil)
	}
	if found := show(own); found.status != http.StatusOK || claims(t, found.AccessToken)["cnf"] == nil {
		t.Errorf("got %d %s, want a bound access token", found.status, found.body)
	}
	show(other).wantRefusal(oidc.InvalidClient)
	i.asking(nil).token(form, nil).wantRefusal(oidc.InvalidClient)
}

// The attacks on the audience of tokens: what is one kind is never another.
func TestTokensOfOneKindAreNoOther(t *testing.T) {
	t.Parallel()
	i := newIssuer(t, withClusters)
	found := i.logInFleet()
	b := i.browser()
	for name, token := range map[string]string{"ID token": found.IDToken, "refresh token": found.RefreshToken} {
		if a := i.userinfo(token); a.status != http.StatusUnauthorized {
			t.Errorf("userinfo takes an %s", name)
		}
	}
	for name, token := range map[string]string{"access token": found.AccessToken, "refresh token": found.RefreshToken} {
		b.authorize(request("id_token_hint", token)).wantError(oidc.InvalidRequest)
		i.exchange(token, typeID, "cluster-a").wantRefusal(oidc.InvalidRequest)
		_ = name
	}
	// As a proof of a client, none of them is worth anything, whoever signed.
	for _, token := range []string{found.AccessToken, found.IDToken} {
		i.token(url.Values{
			"grant_type": {"client_credentials"}, "client_id": {"fleet"}, "client_assertion": {token},
			"client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"},
		}, nil).wantRefusal(oidc.InvalidClient)
	}
}

// RFC 9068, sections 2.1 and 2.2.
func TestAccessTokenProfile(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	found := i.logIn("scope", "openid email")
	if h := header(t, found.AccessToken); h["typ"] != "at+jwt" || h["alg"] != "ES256" || h["kid"] == nil {
		t.Errorf("header: got %v", h)
	}
	told := claims(t, found.AccessToken)
	for name, want := range map[string]string{
		"iss": issuerURL, "aud": issuerURL, "sub": string(i.alice), "client_id": "kubernetes", "scope": "openid email",
		"iat": fmt.Sprint(birth.Unix()), "exp": fmt.Sprint(birth.Unix() + 900), "auth_time": fmt.Sprint(birth.Unix()),
		"acr": "urn:oasis:names:tc:SAML:2.0:ac:classes:PasswordProtectedTransport", "amr": "[pwd]",
	} {
		if got := fmt.Sprint(told[name]); got != want {
			t.Errorf("%s: got %s, want %s", name, got, want)
		}
	}
	for _, name := range []string{"email", "groups", "name", "nonce", "at_hash", "azp", "cnf"} {
		if told[name] != nil {
			t.Errorf("%s: got %v, want nothing of it", name, told[name])
		}
	}
	// Its jti and that of the ID token lead to the grant, and are not the same.
	id := claims(t, found.IDToken)["jti"].(string)
	if access := told["jti"].(string); access == id || !strings.HasPrefix(access, told["grant_id"].(string)+"-") || !strings.HasPrefix(id, told["grant_id"].(string)+"-") {
		t.Errorf("jti: got %s and %s of the grant %s", access, id, told["grant_id"])
	}
}

// A whole life without a browser, with mistakes, at the most talkative level;
// then the log and the files of the database are searched for every secret.
func TestNothingSecretIsWrittenWithoutABrowser(t *testing.T) {
	t.Parallel()
	log := &buffer{}
	i := newIssuer(t, logging(log), withDevices, withMachine, withPasswords, withClusters)
	key := newKey(t)
	keys, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: key.Public()}}})
	check(t, err)
	i.addClient(clientregistry.Client{ID: "prover", Authentication: clientregistry.PrivateKeyJWT, JWKS: keys, Grants: []string{oidc.GrantClientCredentials}}, "")
	secrets := map[string]string{
		"alice's password": alicePassword, "a wrong password": "this-was-a-wrong-password", "the client's secret": otherSecret,
		"a wrong client secret": "this-was-a-wrong-client-secret",
	}
	keep := func(name string, found tokens) tokens {
		for kind, token := range map[string]string{"access": found.AccessToken, "ID": found.IDToken, "refresh": found.RefreshToken} {
			if token != "" {
				secrets[name+": "+kind+" token"] = token
			}
		}
		return found
	}
	keep("machine", i.token(machineForm("scope", "openid"), nil)).wantStatus(http.StatusOK)
	i.token(machineForm("client_secret", "this-was-a-wrong-client-secret"), nil)
	found := keep("password", i.token(passwordForm("alice", alicePassword), nil))
	i.token(passwordForm("alice", "this-was-a-wrong-password"), nil)
	i.token(passwordForm("this-was-a-wrong-password", "x"), nil)
	d := i.beginDevice()
	secrets["device code"], secrets["user code"] = d.DeviceCode, d.UserCode
	i.poll(d)
	i.browser().send("POST", "/device", url.Values{"user_code": {"BCDF-GHJK"}}, nil)
	i.browser().decideDevice(d, "allow")
	keep("device", i.poll(d)).wantTokens()
	i.poll(d)
	fleet := keep("fleet", i.logInFleet())
	keep("narrow", i.exchange(fleet.IDToken, typeID, "cluster-a").tokens)
	i.exchange(fleet.AccessToken, typeAccess, "nowhere")
	i.introspect(fleet.AccessToken, basic("web", webSecret))
	i.revoke(found.AccessToken, "client_id", "shell")
	i.revoke(found.RefreshToken, "client_id", "shell")
	text := proof(t, key, "prover", issuerURL, i.clock.Now())
	secrets["proof"] = text
	form := url.Values{"grant_type": {"client_credentials"}, "client_assertion": {text}, "client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"}}
	i.token(form, nil).wantStatus(http.StatusOK)
	i.token(form, nil).wantRefusal(oidc.InvalidClient)

	var database strings.Builder
	files, err := filepath.Glob(i.path + "*")
	check(t, err)
	for _, file := range files {
		content, err := os.ReadFile(file)
		check(t, err)
		database.Write(content)
	}
	if !strings.Contains(database.String(), string(i.alice)) || !strings.Contains(log.String(), "token revoked") {
		t.Fatal("the search looks in the wrong place: what must be there is not")
	}
	for name, value := range secrets {
		if len(value) < 9 {
			t.Errorf("%s is missing: got %q", name, value)
		}
		for _, form := range []string{value, url.QueryEscape(value), base64.StdEncoding.EncodeToString([]byte(value)), value[strings.LastIndex(value, ".")+1:]} {
			for where, text := range map[string]string{"the log": log.String(), "the database": database.String()} {
				if strings.Contains(text, form) {
					t.Errorf("%s stands in %s", name, where)
				}
			}
		}
	}
}

// page is a script of a web page at an origin.
func (i *issuer) page(origin string) *browser {
	b := i.browser()
	b.header.Set("Origin", origin)
	return b
}

func TestScriptsOfRegisteredPagesMayCall(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	const app, stranger = "https://app.example.com", "https://stranger.example.com"
	i.addClient(clientregistry.Client{ID: "spa", RedirectURIs: []string{app + "/callback"}, Origins: []string{app}}, "")
	i.addClient(clientregistry.Client{ID: "backend", RedirectURIs: []string{stranger + "/callback"}, Origins: []string{stranger}}, otherSecret)
	preflight := func(path, origin string) answered {
		return i.browser().send("OPTIONS", path, nil, http.Header{"Origin": {origin}, "Access-Control-Request-Method": {"POST"}, "Access-Control-Request-Headers": {"authorization"}})
	}
	for _, path := range []string{"/token", "/userinfo", "/revoke", "/introspect"} {
		a := preflight(path, app)
		if a.status != http.StatusNoContent || a.header.Get("Access-Control-Allow-Origin") != app || !strings.Contains(a.header.Get("Access-Control-Allow-Methods"), "POST") ||
			!strings.Contains(a.header.Get("Access-Control-Allow-Headers"), "Authorization") || a.header.Get("Vary") != "Origin" || a.header.Get("Access-Control-Allow-Credentials") != "" {
			t.Errorf("%s: got %d %v", path, a.status, a.header)
		}
		for _, origin := range []string{"https://evil.example", "null", app + ".evil.example", "http://app.example.com", app + ":8443"} {
			if a := preflight(path, origin); a.header.Get("Access-Control-Allow-Origin") != "" {
				t.Errorf("%s from %s: got %v", path, origin, a.header)
			}
		}
	}
	// The answer itself is for the pages of its client.
	found := i.token(codeForm(i.browser().login(request("client_id", "spa", "redirect_uri", app+"/callback"), "alice", alicePassword).code(), "client_id", "spa", "redirect_uri", app+"/callback"), nil)
	found.wantTokens()
	for name, test := range map[string]struct {
		a    answered
		want string
	}{
		"token":                          {i.page(app).send("POST", "/token", refreshForm("x", "client_id", "spa"), nil), app},
		"token of a stranger":            {i.page(stranger).send("POST", "/token", refreshForm("x", "client_id", "spa"), nil), ""},
		"token of nobody":                {i.page(app).send("POST", "/token", refreshForm("x", "client_id", "nobody"), nil), ""},
		"userinfo":                       {i.page(app).send("GET", "/userinfo", nil, bearer(found.AccessToken)), app},
		"userinfo of a stranger":         {i.page(stranger).send("GET", "/userinfo", nil, bearer(found.AccessToken)), ""},
		"revocation":                     {i.page(app).send("POST", "/revoke", url.Values{"client_id": {"spa"}, "token": {"x"}}, nil), app},
		"introspection":                  {i.page(stranger).send("POST", "/introspect", url.Values{"token": {"x"}}, basic("backend", otherSecret)), stranger},
		"introspection of a stranger":    {i.page(app).send("POST", "/introspect", url.Values{"token": {"x"}}, basic("backend", otherSecret)), ""},
		"discovery, which is everyone's": {i.page(stranger).get("/.well-known/openid-configuration"), "*"},
		"keys, which are everyone's":     {i.page(stranger).get("/keys"), "*"},
		"a page of ours":                 {i.page(app).get("/"), ""},
	} {
		if got := test.a.header.Get("Access-Control-Allow-Origin"); got != test.want || test.a.header.Get("Access-Control-Allow-Credentials") != "" {
			t.Errorf("%s: got %q, want %q", name, got, test.want)
		}
	}
	// A client that is taken away takes its pages along, within seconds.
	check(t, i.rows.DeleteClient(t.Context(), "spa"))
	i.clock.advance(6 * time.Second)
	if a := preflight("/token", app); a.header.Get("Access-Control-Allow-Origin") != "" {
		t.Errorf("after the client was deleted: got %v", a.header)
	}
	// What is no preflight is a method that is not taken.
	if a := i.browser().send("OPTIONS", "/token", nil, nil); a.status != http.StatusMethodNotAllowed || !strings.Contains(a.header.Get("Allow"), "POST") {
		t.Errorf("OPTIONS alone: got %d %v", a.status, a.header)
	}
}
