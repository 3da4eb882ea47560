// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

// Package oidctest is an OpenID Provider for tests of clients: [New] starts
// one on a loopback port, over https, as httptest starts a server. It behaves:
// real keys and signatures, single-use codes bound to client, redirect URI and
// PKCE, refresh tokens that rotate and whose replay ends the family. It counts
// what it is asked, and it can be told to misbehave, one fault at a time.
//
// It asks nobody for a password: whoever visits the authorization endpoint is
// [Behaviour.Subject]. It is for tests only, of any package.
package oidctest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"encoding/json"
	"encoding/pem"
	"io"
	"log"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/tegata/tegata/internal/oidc"
	"github.com/tegata/tegata/internal/secret"
)

// Endpoint names one part of the provider.
type Endpoint string

// The endpoints.
const (
	Discovery     Endpoint = "discovery"
	JWKS          Endpoint = "jwks"
	Authorization Endpoint = "authorization"
	Token         Endpoint = "token"
)

// Behaviour is what the provider does. Its zero value, with the defaults
// below, is a provider without a fault.
type Behaviour struct {
	Subject       oidc.Subject  // who logs in; default "alice"
	Lifetime      time.Duration // of ID tokens; default one hour
	RefreshTokens bool          // default true
	Secret        string        // of the client; empty means a public client
	PostOnly      bool          // takes the secret in the form alone
	CodeMethods   []string      // code_challenge_methods_supported; default S256
	KeepRefresh   bool          // answers a refresh without a new refresh token
	ExtraClaims   map[string]any
	Departure     bool // has the endpoints at which a login ends

	Grants // in grants.go

	// Faults.
	Hang             map[Endpoint]bool // accepts and never answers
	HTML             map[Endpoint]bool // answers with a page
	Unavailable      map[Endpoint]int  // answers 503 so many times
	Gone             map[Endpoint]bool // answers 404
	SlashIssuer      bool              // calls itself by a name with a slash at the end
	Nonce            string            // this nonce instead of the client's
	Audience         oidc.Audience     // this audience instead of the client
	AuthorizedParty  oidc.ClientID     // this azp
	TokenIssuer      oidc.Issuer       // this iss in ID tokens
	ResponseIssuer   string            // this iss in authorization responses; "-" for none
	Skew             time.Duration     // how far its clock is ahead
	NoExpiry         bool              // ID tokens without exp
	FractionalExpiry bool              // exp with a fraction
	WrongTokenHash   bool              // at_hash of another access token
	NoIDToken        bool              // answers a code without an ID token
	NoIDOnRefresh    bool              // answers a refresh without an ID token
	ForeignKey       bool              // signs with a key that it does not publish
	Refusal          oidc.ErrorCode    // answers authorization requests with this error
	TokenRefusal     oidc.ErrorCode    // answers token requests with this error

	RevocationRefusal oidc.ErrorCode // answers revocation requests with this error
	PlainDeparture    bool           // says that the endpoints at which a login ends have no https

	OnToken     func(url.Values)    // looks at each token request
	OnAuthorize func(*http.Request) // looks at each authorization request
	OnDevice    func(url.Values)    // looks at each device authorization request
}

// Provider is a running provider.
type Provider struct {
	Issuer   oidc.Issuer
	ClientID oidc.ClientID

	server *httptest.Server
	caFile string

	mu        sync.Mutex // guards the fields below
	behaviour Behaviour
	counts    map[Endpoint]int
	refreshes int
	key       jose.JSONWebKey
	signs     jose.SignatureAlgorithm
	codes     map[string]code
	devices   map[string]*device
	families  map[string]*family // by each refresh token that was ever issued
	moved     string             // a prefix of all endpoints but discovery
	issued    []string           // all secrets that it gave out
	closing   chan struct{}
}

type code struct {
	redirectURI, challenge, nonce string
	subject                       oidc.Subject
}

// family is a chain of refresh tokens of which one is good.
type family struct {
	subject oidc.Subject
	current string
	revoked bool
}

// New starts a provider and stops it when the test ends.
func New(t testing.TB) *Provider {
	t.Helper()
	p := &Provider{
		ClientID:  "kubernetes",
		counts:    map[Endpoint]int{},
		codes:     map[string]code{},
		devices:   map[string]*device{},
		families:  map[string]*family{},
		behaviour: Behaviour{Subject: "alice", Lifetime: time.Hour, RefreshTokens: true, CodeMethods: []string{oidc.ChallengeS256}, Grants: newGrants()},
		closing:   make(chan struct{}),
	}
	p.RotateKey(jose.ES256)
	p.server = httptest.NewUnstartedServer(p)
	// A client that does not trust us is what some tests are about.
	p.server.Config.ErrorLog = log.New(io.Discard, "", 0)
	p.server.TLS = &tls.Config{ClientAuth: tls.RequestClientCert}
	p.server.StartTLS()
	p.Issuer = oidc.Issuer(p.server.URL)
	p.caFile = filepath.Join(t.TempDir(), "ca.crt")
	if err := os.WriteFile(p.caFile, p.CA(), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

// Close stops the provider; whoever tries to reach it finds nobody.
func (p *Provider) Close() {
	p.mu.Lock()
	select {
	case <-p.closing:
	default:
		close(p.closing)
	}
	p.mu.Unlock()
	p.server.CloseClientConnections()
	p.server.Close()
}

// CA is the authority that signed the provider's certificate, in PEM.
func (p *Provider) CA() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: p.server.Certificate().Raw})
}

// CAFile is a file that holds [Provider.CA].
func (p *Provider) CAFile() string { return p.caFile }

// Certificate is the provider's own, with its key, for a client that needs
// one on a loopback address.
func (p *Provider) Certificate() *tls.Certificate { return &p.server.TLS.Certificates[0] }

// Client is an HTTP client that trusts the provider.
func (p *Provider) Client() *http.Client { return p.server.Client() }

// Change changes the behaviour.
func (p *Provider) Change(change func(*Behaviour)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change(&p.behaviour)
}

// Count is how often an endpoint was asked.
func (p *Provider) Count(e Endpoint) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.counts[e]
}

// Counts is how often each endpoint was asked.
func (p *Provider) Counts() map[Endpoint]int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return maps.Clone(p.counts)
}

// Refreshes is how often a refresh token was redeemed.
func (p *Provider) Refreshes() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.refreshes
}

// Forget sets all counts to zero.
func (p *Provider) Forget() {
	p.mu.Lock()
	defer p.mu.Unlock()
	clear(p.counts)
	p.refreshes = 0
}

// Issued are all codes and tokens that were given out, for a test that no
// output holds one.
func (p *Provider) Issued() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.issued)
}

// RotateKey signs with a new key from now on, and publishes only that.
func (p *Provider) RotateKey(algorithm jose.SignatureAlgorithm) {
	p.mu.Lock()
	defer p.mu.Unlock()
	var key any
	var err error
	switch algorithm {
	case jose.ES256:
		key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case jose.ES384:
		key, err = ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	case jose.ES512:
		key, err = ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	case jose.HS256:
		key = []byte(rand.Text() + rand.Text())
	default:
		key, err = rsa.GenerateKey(rand.Reader, 2048)
	}
	if err != nil {
		panic(err) // only if the system has no randomness
	}
	p.key = jose.JSONWebKey{Key: key, KeyID: rand.Text()[:8], Algorithm: string(algorithm), Use: "sig"}
	p.signs = algorithm
}

// Move gives all endpoints but discovery another address.
func (p *Provider) Move() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.moved += "/moved"
}

// RevokeAll makes each refresh token worthless.
func (p *Provider) RevokeAll() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, f := range p.families {
		f.revoked = true
	}
}

// ServeHTTP implements [http.Handler].
func (p *Provider) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	endpoints := map[string]Endpoint{
		"/.well-known/openid-configuration": Discovery,
		p.moved + "/jwks":                   JWKS,
		p.moved + "/authorize":              Authorization,
		p.moved + "/token":                  Token,
		p.moved + "/device/begin":           DeviceAuthorization,
		p.moved + "/device":                 DevicePage,
		p.moved + "/revoke":                 Revocation,
		p.moved + "/logout":                 EndSession,
	}
	endpoint, ok := endpoints[r.URL.Path]
	if !ok {
		p.mu.Unlock()
		http.NotFound(w, r)
		return
	}
	p.counts[endpoint]++
	b := p.behaviour
	unavailable := b.Unavailable[endpoint] > 0
	if unavailable {
		b.Unavailable[endpoint]--
	}
	p.mu.Unlock()

	switch {
	case b.Hang[endpoint]:
		select {
		case <-r.Context().Done():
		case <-p.closing:
		}
		// A return would be an answer, for which a client that is about to go
		// may still have an ear.
		panic(http.ErrAbortHandler)
	case b.HTML[endpoint]:
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Write([]byte("<!DOCTYPE html><title>Welcome</title>")) //nolint:errcheck // a test's peer
	case unavailable:
		http.Error(w, "upstream connect error", http.StatusServiceUnavailable)
	case b.Gone[endpoint]:
		http.NotFound(w, r)
	case endpoint == Discovery:
		p.discovery(w, b)
	case endpoint == JWKS:
		p.mu.Lock()
		public := p.key.Public()
		p.mu.Unlock()
		answer(w, http.StatusOK, jose.JSONWebKeySet{Keys: []jose.JSONWebKey{public}})
	case endpoint == Authorization:
		p.authorize(w, r, b)
	case endpoint == Token:
		p.token(w, r, b)
	case endpoint == DeviceAuthorization && !b.NoDevice:
		p.beginDevice(w, r, b)
	case endpoint == DevicePage && !b.NoDevice:
		p.devicePage(w, r)
	case endpoint == DeviceAuthorization, endpoint == DevicePage:
		http.NotFound(w, r)
	case endpoint == Revocation:
		p.revoke(w, r, b)
	case endpoint == EndSession:
		answer(w, http.StatusOK, "You are logged out.")
	}
}

func (p *Provider) discovery(w http.ResponseWriter, b Behaviour) {
	p.mu.Lock()
	base := p.server.URL + p.moved
	p.mu.Unlock()
	issuer := p.Issuer
	if b.SlashIssuer {
		issuer += "/"
	}
	metadata := oidc.Metadata{
		Issuer:                            issuer,
		AuthorizationEndpoint:             base + "/authorize",
		TokenEndpoint:                     base + "/token",
		JWKSURI:                           base + "/jwks",
		ResponseTypesSupported:            []string{"code"},
		SubjectTypesSupported:             []string{"public"},
		IDTokenSigningAlgValuesSupported:  []string{"RS256", "ES256"},
		CodeChallengeMethodsSupported:     b.CodeMethods,
		AuthorizationResponseIssSupported: true,
	}
	if !b.NoDevice {
		metadata.DeviceAuthorizationEndpoint = base + "/device/begin"
	}
	if b.Departure {
		metadata.RevocationEndpoint, metadata.EndSessionEndpoint = base+"/revoke", base+"/logout"
		if b.PlainDeparture {
			plain := "http" + strings.TrimPrefix(base, "https")
			metadata.RevocationEndpoint, metadata.EndSessionEndpoint = plain+"/revoke", plain+"/logout"
		}
	}
	answer(w, http.StatusOK, metadata)
}

// authorize logs in whoever comes, and sends them back (RFC 6749, section 4.1.2).
func (p *Provider) authorize(w http.ResponseWriter, r *http.Request, b Behaviour) {
	if b.OnAuthorize != nil {
		b.OnAuthorize(r)
	}
	query := r.URL.Query()
	back, err := url.Parse(query.Get("redirect_uri"))
	shown := query.Get("redirect_uri") == "urn:ietf:wg:oauth:2.0:oob"
	if err != nil || back.Host == "" && !shown || query.Get("client_id") != string(p.ClientID) {
		http.Error(w, "unknown client or redirect URI", http.StatusBadRequest)
		return
	}
	response := url.Values{"state": {query.Get("state")}}
	switch b.ResponseIssuer {
	case "":
		response.Set("iss", string(p.Issuer))
	case "-":
	default:
		response.Set("iss", b.ResponseIssuer)
	}
	if b.Refusal != "" {
		response.Set("error", string(b.Refusal))
		response.Set("error_description", "the person said no")
	} else {
		text := rand.Text()
		p.mu.Lock()
		p.issued = append(p.issued, text)
		p.codes[text] = code{query.Get("redirect_uri"), query.Get("code_challenge"), query.Get("nonce"), b.Subject}
		p.mu.Unlock()
		response.Set("code", text)
	}
	if shown {
		showCode(w, response)
		return
	}
	back.RawQuery = response.Encode()
	http.Redirect(w, r, back.String(), http.StatusFound)
}

// token redeems codes and refresh tokens.
func (p *Provider) token(w http.ResponseWriter, r *http.Request, b Behaviour) {
	if err := r.ParseForm(); err != nil || r.Method != http.MethodPost {
		refuse(w, http.StatusBadRequest, oidc.InvalidRequest)
		return
	}
	if b.OnToken != nil {
		b.OnToken(maps.Clone(r.PostForm))
	}
	if b.TokenRefusal != "" {
		refuse(w, http.StatusBadRequest, b.TokenRefusal)
		return
	}
	if !p.knows(r, b) {
		refuse(w, http.StatusUnauthorized, oidc.InvalidClient)
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	switch r.PostForm.Get("grant_type") {
	case oidc.GrantAuthorizationCode:
		text := r.PostForm.Get("code")
		c, ok := p.codes[text]
		delete(p.codes, text)
		if !ok || c.redirectURI != r.PostForm.Get("redirect_uri") ||
			c.challenge != "" && !oidc.MatchCodeChallenge(c.challenge, secret.New(r.PostForm.Get("code_verifier"))) {
			refuse(w, http.StatusBadRequest, oidc.InvalidGrant)
			return
		}
		p.respond(w, b, &family{subject: c.subject}, c.nonce, b.NoIDToken)
	case oidc.GrantRefreshToken:
		p.refreshes++
		text := r.PostForm.Get("refresh_token")
		f := p.families[text]
		if f == nil || f.revoked || f.current != text {
			if f != nil {
				f.revoked = true // a replay ends the family
			}
			refuse(w, http.StatusBadRequest, oidc.InvalidGrant)
			return
		}
		f.subject = b.Subject
		p.respond(w, b, f, "", b.NoIDOnRefresh)
	case oidc.GrantDeviceCode:
		p.redeemDevice(w, r, b)
	case oidc.GrantPassword:
		p.redeemPassword(w, r, b)
	case oidc.GrantClientCredentials:
		p.redeemClient(w, b)
	default:
		refuse(w, http.StatusBadRequest, oidc.UnsupportedGrantType)
	}
}

// knows authenticates the client (RFC 6749, section 2.3.1).
func (p *Provider) knows(r *http.Request, b Behaviour) bool {
	id, given, basic := r.BasicAuth()
	switch {
	case b.AssertionKey != nil:
		return p.proves(r, b)
	case b.Certificate != nil:
		return p.shows(r, b)
	case b.Secret == "":
		return !basic && r.PostForm.Get("client_id") == string(p.ClientID)
	case basic:
		id, _ = url.QueryUnescape(id)
		given, _ = url.QueryUnescape(given)
		return !b.PostOnly && id == string(p.ClientID) && given == b.Secret
	}
	return r.PostForm.Get("client_id") == string(p.ClientID) && r.PostForm.Get("client_secret") == b.Secret
}

// respond writes a token response. The caller holds p.mu.
func (p *Provider) respond(w http.ResponseWriter, b Behaviour, f *family, nonce string, withoutIDToken bool) {
	response := oidc.TokenResponse{AccessToken: secret.New(rand.Text()), TokenType: "Bearer", ExpiresIn: b.Lifetime}
	if b.NoExpiresIn {
		response.ExpiresIn = 0
	}
	p.issued = append(p.issued, response.AccessToken.Reveal())
	if b.RefreshTokens && (f.current == "" || !b.KeepRefresh) {
		f.current = rand.Text()
		p.families[f.current] = f
		p.issued = append(p.issued, f.current)
		response.RefreshToken = secret.New(f.current)
	}
	if !withoutIDToken {
		idToken, err := p.idToken(b, f.subject, nonce, response.AccessToken)
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		p.issued = append(p.issued, idToken)
		response.IDToken = secret.New(idToken)
	}
	text, err := response.Wire()
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	answer(w, http.StatusOK, json.RawMessage(text))
}

func (p *Provider) idToken(b Behaviour, subject oidc.Subject, nonce string, accessToken secret.String) (string, error) {
	now := time.Now().Add(b.Skew)
	claims := map[string]any{
		"iss": p.Issuer, "sub": subject, "aud": p.ClientID, "iat": now.Unix(), "exp": now.Add(b.Lifetime).Unix(), "jti": rand.Text(),
		"at_hash": oidc.AccessTokenHash(string(p.signs), accessToken),
		"name":    strings.ToUpper(string(subject[:1])) + string(subject[1:]), "email": string(subject) + "@example.com",
	}
	maps.Copy(claims, b.ExtraClaims)
	if nonce != "" {
		claims["nonce"] = nonce
	}
	if b.Nonce != "" {
		claims["nonce"] = b.Nonce
	}
	if b.Audience != nil {
		claims["aud"] = b.Audience
	}
	if b.AuthorizedParty != "" {
		claims["azp"] = b.AuthorizedParty
	}
	if b.TokenIssuer != "" {
		claims["iss"] = b.TokenIssuer
	}
	if b.FractionalExpiry {
		claims["exp"] = float64(now.Add(b.Lifetime).UnixMilli()) / 1000
	}
	if b.NoExpiry {
		delete(claims, "exp")
	}
	if b.WrongTokenHash {
		claims["at_hash"] = oidc.AccessTokenHash(string(p.signs), secret.New("another"))
	}
	key := p.key
	if b.ForeignKey {
		foreign, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			return "", err
		}
		key.Key = foreign
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: p.signs, Key: key}, nil)
	if err != nil {
		return "", err
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		return "", err
	}
	signed, err := signer.Sign(payload)
	if err != nil {
		return "", err
	}
	return signed.CompactSerialize()
}

func refuse(w http.ResponseWriter, status int, code oidc.ErrorCode) {
	answer(w, status, oidc.Error{Code: code, Description: "as the test wants it"})
}

func answer(w http.ResponseWriter, status int, document any) {
	text, err := json.Marshal(document)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	w.Write(text) //nolint:errcheck // a test's peer
}
