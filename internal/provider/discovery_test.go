// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package provider_test

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	peer "github.com/coreos/go-oidc/v3/oidc"
	"github.com/google/go-cmp/cmp"
	"golang.org/x/oauth2"

	"github.com/tegata/tegata/internal/identity"
	"github.com/tegata/tegata/internal/identity/local"
	"github.com/tegata/tegata/internal/oidc"
	"github.com/tegata/tegata/internal/provider"
)

func sourceOf(i *issuer) identity.Source {
	return &local.Source{Accounts: i.rows, Hasher: i.hasher}
}

func TestMetadata(t *testing.T) {
	t.Parallel()
	for _, address := range []string{issuerURL, issuerURL + "/dex", issuerURL + "/a/b", "https://localhost:8443"} {
		t.Run(address, func(t *testing.T) {
			i := newIssuer(t, at(address))
			a := i.browser().get("/.well-known/openid-configuration")
			a.wantStatus(http.StatusOK)
			if got := a.header.Get("Content-Type"); got != "application/json" {
				t.Errorf("Content-Type: got %q, want application/json", got)
			}
			list := func(texts ...any) []any { return texts }
			want := map[string]any{
				"issuer":                                                   address,
				"authorization_endpoint":                                   address + "/authorize",
				"token_endpoint":                                           address + "/token",
				"userinfo_endpoint":                                        address + "/userinfo",
				"jwks_uri":                                                 address + "/keys",
				"scopes_supported":                                         list("openid", "profile", "email", "groups", "offline_access"),
				"response_types_supported":                                 list("code"),
				"response_modes_supported":                                 list("query", "fragment", "form_post"),
				"device_authorization_endpoint":                            address + "/device_authorization",
				"introspection_endpoint":                                   address + "/introspect",
				"revocation_endpoint":                                      address + "/revoke",
				"grant_types_supported":                                    list("authorization_code", "refresh_token", "client_credentials", "urn:ietf:params:oauth:grant-type:device_code", "urn:ietf:params:oauth:grant-type:token-exchange"),
				"subject_types_supported":                                  list("public"),
				"id_token_signing_alg_values_supported":                    list("RS256", "ES256"),
				"token_endpoint_auth_methods_supported":                    list("none", "client_secret_basic", "client_secret_post", "private_key_jwt"),
				"revocation_endpoint_auth_methods_supported":               list("none", "client_secret_basic", "client_secret_post", "private_key_jwt"),
				"introspection_endpoint_auth_methods_supported":            list("client_secret_basic", "client_secret_post", "private_key_jwt"),
				"token_endpoint_auth_signing_alg_values_supported":         list("RS256", "PS256", "ES256", "ES384", "EdDSA"),
				"revocation_endpoint_auth_signing_alg_values_supported":    list("RS256", "PS256", "ES256", "ES384", "EdDSA"),
				"introspection_endpoint_auth_signing_alg_values_supported": list("RS256", "PS256", "ES256", "ES384", "EdDSA"),
				"claims_supported":                                         list("iss", "sub", "aud", "exp", "iat", "auth_time", "nonce", "acr", "amr", "at_hash", "jti", "sid", "email", "email_verified", "name", "preferred_username", "groups"),
				"claim_types_supported":                                    list("normal"),
				"code_challenge_methods_supported":                         list("S256"),
				"prompt_values_supported":                                  list("none", "login", "consent", "select_account"),
				"ui_locales_supported":                                     list("en", "ja"),
				"authorization_response_iss_parameter_supported":           true,
				"claims_parameter_supported":                               true,
				"acr_values_supported":                                     list("urn:oasis:names:tc:SAML:2.0:ac:classes:PasswordProtectedTransport", "https://refeds.org/profile/mfa"),
				"display_values_supported":                                 list("page", "touch"),
				"pushed_authorization_request_endpoint":                    address + "/par",
				"end_session_endpoint":                                     address + "/logout",
				"backchannel_logout_supported":                             true,
				"backchannel_logout_session_supported":                     true,
				"request_parameter_supported":                              false,
				"request_uri_parameter_supported":                          false, // absent would mean true
			}
			if diff := cmp.Diff(want, jsonOf(t, a)); diff != "" {
				t.Errorf("the metadata (-want +got):\n%s", diff)
			}
			// What is named is there.
			for name, value := range jsonOf(t, a) {
				if place, ok := value.(string); ok && name != "issuer" {
					if got := i.browser().get(place); got.status == http.StatusNotFound && name != "token_endpoint" {
						t.Errorf("%s: nothing is at %s", name, place)
					}
				}
			}
		})
	}
}

func TestMetadataOfAnIssuerWithAPath(t *testing.T) {
	t.Parallel()
	for address, places := range map[string][]string{
		issuerURL:          {"/.well-known/openid-configuration", "/.well-known/oauth-authorization-server"},
		issuerURL + "/dex": {"/dex/.well-known/openid-configuration", "/.well-known/oauth-authorization-server/dex"},
		issuerURL + "/a/b": {"/a/b/.well-known/openid-configuration", "/.well-known/oauth-authorization-server/a/b"},
	} {
		i := newIssuer(t, at(address))
		var bodies []string
		for _, place := range places {
			a := i.browser().get(issuerURL + place)
			a.wantStatus(http.StatusOK)
			bodies = append(bodies, a.body)
		}
		if bodies[0] != bodies[1] {
			t.Errorf("%s: the two documents differ:\n%s\n%s", address, bodies[0], bodies[1])
		}
		if address == issuerURL {
			continue
		}
		for _, place := range []string{"/.well-known/openid-configuration", "/.well-known/oauth-authorization-server", "/keys", "/authorize", "/"} {
			if a := i.browser().get(issuerURL + place); a.status != http.StatusNotFound {
				t.Errorf("%s: got status %d at %s, want 404: it is not the issuer's", address, a.status, place)
			}
		}
	}
}

func TestIssuerWithAPathServesItsPages(t *testing.T) {
	t.Parallel()
	i := newIssuer(t, at(issuerURL+"/dex"))
	b := i.browser()
	page := b.authorize(request())
	if got := page.form().action; got != "/dex/login" {
		t.Errorf("form action: got %q, want /dex/login", got)
	}
	for e := range elements(t, page.body) {
		if e.name == "link" && e.attributes["rel"] == "stylesheet" {
			a := b.get(b.resolve(e.attributes["href"]))
			if a.status != http.StatusOK || a.header.Get("Content-Type") != "text/css; charset=utf-8" {
				t.Errorf("style sheet: got status %d, %q", a.status, a.header.Get("Content-Type"))
			}
			if got := a.header.Get("Cache-Control"); !strings.Contains(got, "immutable") {
				t.Errorf("style sheet: got Cache-Control %q, want it kept for ever", got)
			}
		}
	}
	found := i.token(codeForm(b.submit(page, "alice", alicePassword).code()), nil)
	found.wantTokens()
	if got := claims(t, found.IDToken)["iss"]; got != issuerURL+"/dex" {
		t.Errorf("iss: got %v, want %s/dex", got, issuerURL)
	}
	if a := i.userinfo(found.AccessToken); a.status != http.StatusOK {
		t.Errorf("userinfo: got status %d, want 200", a.status)
	}
	b.get("/").wantPage(http.StatusOK, `action="/dex/logout/confirm"`)
}

// Two issuers behind one host: what one gives, the other does not take.
func TestIssuersDoNotMix(t *testing.T) {
	t.Parallel()
	staff := newIssuer(t, at(issuerURL+"/staff"))
	partners := newIssuer(t, at(issuerURL+"/partners"), func(i *issuer) { i.config.ID = "partners" })
	found := staff.logIn()
	partners.refresh(found.RefreshToken).wantRefusal(oidc.InvalidGrant)
	if a := partners.userinfo(found.AccessToken); a.status != http.StatusUnauthorized {
		t.Errorf("userinfo: got status %d, want 401", a.status)
	}
	b := staff.browser()
	cookie := sessionCookie(t, b.login(request(), "alice", alicePassword))
	other := partners.browser()
	other.header.Set("Cookie", cookie.Name+"="+cookie.Value)
	other.authorize(request("prompt", "none")).wantError(oidc.LoginRequired)
	staff.refresh(found.RefreshToken).wantTokens()
}

func TestPublicDocumentsAreCached(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	b := i.browser()
	for _, path := range []string{"/.well-known/openid-configuration", "/.well-known/oauth-authorization-server", "/keys"} {
		t.Run(path, func(t *testing.T) {
			b := i.in(t).browser()
			a := b.get(path)
			etag := a.header.Get("Etag")
			if got := a.header.Get("Cache-Control"); got != "public, max-age=600" || etag == "" {
				t.Errorf("got Cache-Control %q, ETag %q; want both", got, etag)
			}
			if got := a.header.Get("Access-Control-Allow-Origin"); got != "*" {
				t.Errorf("Access-Control-Allow-Origin: got %q, want *", got)
			}
			same := b.send("GET", path, nil, http.Header{"If-None-Match": {etag}})
			if same.status != http.StatusNotModified || same.body != "" || same.header.Get("Etag") != etag || same.header.Get("Cache-Control") == "" {
				t.Errorf("If-None-Match: got status %d, ETag %q, Cache-Control %q; want 304 with both", same.status, same.header.Get("Etag"), same.header.Get("Cache-Control"))
			}
			b.send("GET", path, nil, http.Header{"If-None-Match": {`"another"`}}).wantStatus(http.StatusOK)
			head := b.send("HEAD", path, nil, nil)
			if head.status != http.StatusOK || head.body != "" || head.header.Get("Content-Length") != a.header.Get("Content-Length") || head.header.Get("Etag") != etag {
				t.Errorf("HEAD: got status %d, header %v; want GET's without its body", head.status, head.header)
			}
			if len(a.cookies) > 0 {
				t.Errorf("got cookies %v", a.cookies)
			}
		})
	}
	one, two := b.get("/keys").header.Get("Etag"), b.get("/.well-known/openid-configuration").header.Get("Etag")
	if one == two {
		t.Errorf("different documents have the ETag %s", one)
	}
}

// RFC 9110, section 13.1.2: the header is a list, compared weakly; proxies
// that compress make the tag weak.
func TestIfNoneMatchIsAList(t *testing.T) {
	t.Parallel()
	b := newIssuer(t).browser()
	etag := b.get("/keys").header.Get("Etag")
	for _, value := range []string{`"x", ` + etag, "W/" + etag, "*", etag + `, "y"`} {
		if a := b.send("GET", "/keys", nil, http.Header{"If-None-Match": {value}}); a.status != http.StatusNotModified {
			t.Errorf("If-None-Match %s: got status %d, want 304", value, a.status)
		}
	}
}

func TestKeySetHoldsNothingPrivate(t *testing.T) {
	t.Parallel()
	found, _ := jsonOf(t, newIssuer(t).browser().get("/keys"))["keys"].([]any)
	algorithms := []string{}
	for _, key := range found {
		members := key.(map[string]any)
		for name := range members {
			if !slices.Contains([]string{"kty", "use", "alg", "kid", "n", "e", "crv", "x", "y"}, name) {
				t.Errorf("the key set has the member %s", name)
			}
		}
		if members["use"] != "sig" || members["kid"] == "" {
			t.Errorf("got %v, want use and kid", members)
		}
		algorithms = append(algorithms, members["alg"].(string))
	}
	if diff := cmp.Diff([]string{"RS256", "ES256"}, algorithms); diff != "" {
		t.Errorf("algorithms (-want +got):\n%s", diff)
	}
}

// Somebody else's client finds us, logs in, verifies and refreshes.
func TestAnotherClientLibraryLogsIn(t *testing.T) {
	t.Parallel()
	for _, address := range []string{issuerURL, issuerURL + "/dex"} {
		for _, alg := range []string{"RS256", "ES256"} {
			t.Run(address+" "+alg, func(t *testing.T) {
				i := newIssuer(t, at(address), func(i *issuer) { i.config.SigningAlg = alg })
				b := i.browser()
				ctx := peer.ClientContext(t.Context(), i.client(nil))
				found, err := peer.NewProvider(ctx, address)
				check(t, err)
				config := oauth2.Config{
					ClientID: "web", ClientSecret: webSecret, Endpoint: found.Endpoint(),
					RedirectURL: "https://web.example.com/callback", Scopes: []string{"openid", "email", "groups"},
				}
				secretVerifier := oauth2.GenerateVerifier()
				page := b.get(config.AuthCodeURL("s", oauth2.S256ChallengeOption(secretVerifier), peer.Nonce("n")))
				code := b.submit(page, "alice@example.com", alicePassword).code()
				answer, err := config.Exchange(ctx, code, oauth2.VerifierOption(secretVerifier))
				check(t, err)
				raw, _ := answer.Extra("id_token").(string)
				idToken, err := found.Verifier(&peer.Config{ClientID: "web", Now: i.clock.Now}).Verify(ctx, raw)
				check(t, err)
				check(t, idToken.VerifyAccessToken(answer.AccessToken))
				var said struct {
					Email    string   `json:"email"`
					Verified bool     `json:"email_verified"`
					Groups   []string `json:"groups"`
				}
				check(t, idToken.Claims(&said))
				if idToken.Nonce != "n" || idToken.Subject != string(i.alice) || said.Email != "alice@example.com" || !said.Verified || len(said.Groups) != 2 {
					t.Errorf("got %+v, %+v; want alice, her e-mail address and groups, and the nonce", idToken, said)
				}
				info, err := found.UserInfo(ctx, oauth2.StaticTokenSource(answer))
				check(t, err)
				if info.Subject != idToken.Subject || info.Email != said.Email {
					t.Errorf("userinfo: got %+v, want the same person", info)
				}
				answer.Expiry = time.Now().Add(-time.Hour)
				renewed, err := config.TokenSource(ctx, answer).Token()
				check(t, err)
				if renewed.RefreshToken == answer.RefreshToken || renewed.RefreshToken == "" {
					t.Error("the refresh token did not rotate")
				}
			})
		}
	}
}

func TestReadinessTellsTheTruth(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	b := i.browser()
	for _, path := range []string{"/healthz", "/readyz"} {
		if a := b.get(issuerURL + path); a.status != http.StatusOK {
			t.Errorf("%s: got status %d, want 200", path, a.status)
		}
	}
	found := i.logIn()
	check(t, i.close())
	if a := b.get(issuerURL + "/readyz"); a.status != http.StatusServiceUnavailable || strings.Contains(a.body, "sql") {
		t.Errorf("closed storage: got status %d, %q; want 503 and no word of ours", a.status, a.body)
	}
	if a := b.get(issuerURL + "/healthz"); a.status != http.StatusOK {
		t.Errorf("closed storage: healthz: got status %d, want 200: the process lives", a.status)
	}
	// What needs the storage says so; what does not goes on.
	if a := b.get("/keys"); a.status != http.StatusOK {
		t.Errorf("keys: got status %d, want 200", a.status)
	}
	b.authorize(request()).wantPage(http.StatusServiceUnavailable, "The login service cannot answer right now.")
	for name, a := range map[string]answered{"refresh": i.refresh(found.RefreshToken).answered, "userinfo": i.userinfo(found.AccessToken)} {
		if a.status < 500 || strings.Contains(a.body, "sql") {
			t.Errorf("%s: got status %d, %s; want 5xx and no word of ours", name, a.status, a.body)
		}
	}
}

func TestReadinessHasADeadline(t *testing.T) {
	t.Parallel()
	i := newIssuer(t, func(i *issuer) {
		i.config.Ready = func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
	})
	// A storage that never answers: the client waits less than ten seconds.
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, "GET", issuerURL+"/readyz", nil)
	check(t, err)
	if a := i.browser().do(r); a.status != http.StatusServiceUnavailable {
		t.Errorf("got status %d, want 503", a.status)
	}
}

func TestIssuerURLIsChecked(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		issuer oidc.Issuer
		ok     bool
	}{
		{"https://id.example.com", true},
		{"https://id.example.com:8443", true},
		{"https://id.example.com/dex", true},
		{"https://id.example.com/a/b-c_d.e", true},
		{"https://localhost:8443", true},
		{"https://127.0.0.1:8443", true},
		{"https://[::1]:8443", true},
		{"", false},
		{"id.example.com", false},
		{"http://id.example.com", false},
		{"http://localhost:8080", false},
		{"HTTPS://id.example.com", false},
		{"https://", false},
		{"https:///dex", false},
		{"https:id.example.com", false},
		{"https://id.example.com/", false},
		{"https://id.example.com/dex/", false},
		{"https://id.example.com/?", false},
		{"https://id.example.com?a=b", false},
		{"https://id.example.com#", false},
		{"https://id.example.com#a", false},
		{"https://user@id.example.com", false},
		{"https://ID.example.com", false},
		{"https://id.example.com/a//b", false},
		{"https://id.example.com/a/../b", false},
		{"https://id.example.com/./a", false},
		{"https://id.example.com/%41", false},
		{"https://id.example.com/a b", false},
		{"https://id.example.com/{a}", false},
		{"https://id.example.com/日本", false},
		{"https://id.example.com:port", false},
		{" https://id.example.com", false},
		{"https://id.example.com\n", false},
	} {
		if err := provider.CheckIssuer(test.issuer); (err == nil) != test.ok {
			t.Errorf("%q: got %v, want accepted = %v", test.issuer, err, test.ok)
		}
	}
}

// A path that is accepted as an issuer's must be one that can be served.
func TestIssuerPathMeetsNoOtherRoute(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	for _, path := range []string{"/dex", "/healthz", "/readyz", "/keys", "/token", "/login", "/assets", "/authorize/keys"} {
		config := i.config
		config.Issuer = oidc.Issuer(issuerURL + path)
		func() {
			defer func() {
				if found := recover(); found != nil {
					t.Errorf("%s: panic: %v", path, found)
				}
			}()
			if provider.CheckIssuer(config.Issuer) != nil {
				return
			}
			_, err := provider.New(config)
			check(t, err)
		}()
	}
}

func TestUnknownPathsAndMethods(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	b := i.browser()
	for _, path := range []string{"/nothing", "/authorize/", "/token/", "/keys/x", "/assets/", "/assets/tegata.css", "/.well-known/", "/admin", "/logout/", "/login/x", "/favicon.ico", "/robots.txt", "/%2e%2e/", "/debug/pprof/"} {
		b.get(path).wantPage(http.StatusNotFound, "There is no page at this address.")
	}
	for _, test := range []struct{ method, path string }{
		{"PUT", "/authorize"},
		{"DELETE", "/authorize"},
		{"GET", "/login"},
		{"PUT", "/login"},
		{"GET", "/logout/confirm"},
		{"GET", "/consent"},
		{"GET", "/par"},
		{"PUT", "/logout"},
		{"GET", "/token"},
		{"DELETE", "/token"},
		{"POST", "/keys"},
		{"POST", "/.well-known/openid-configuration"},
		{"POST", "/"},
		{"DELETE", "/userinfo"},
		{"POST", "/healthz"},
	} {
		if a := b.send(test.method, test.path, nil, nil); a.status != http.StatusMethodNotAllowed || a.header.Get("Allow") == "" {
			t.Errorf("%s %s: got status %d, Allow %q; want 405", test.method, test.path, a.status, a.header.Get("Allow"))
		}
	}
}

func TestHeadIsGetWithoutItsBody(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	b := i.browser()
	for path, want := range map[string]int{
		"/authorize?" + request().Encode(): 200, "/authorize?" + request("client_id", "x").Encode(): 400,
		"/": 200, "/nothing": 404, "/healthz": 200, "/readyz": 200, "/keys": 200,
	} {
		if a := b.send("HEAD", path, nil, nil); a.status != want || a.body != "" {
			t.Errorf("HEAD %s: got status %d, %d bytes; want %d and none", path, a.status, len(a.body), want)
		}
	}
}

// RFC 9110, section 9.2.1: HEAD is safe. A link checker or a mail filter that
// looks at an address must not make a code.
func TestHeadMakesNoGrant(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	b := i.browser()
	b.login(request(), "alice", alicePassword)
	before := i.count("grants")
	b.send("HEAD", "/authorize?"+request().Encode(), nil, nil)
	if got := i.count("grants"); got != before {
		t.Errorf("got %d grants, want %d as before", got, before)
	}
}

func TestPagesHaveStrictHeaders(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		address   string
		transport string
	}{{issuerURL, "max-age=31536000"}, {"https://localhost:8443", ""}, {"https://127.0.0.1:8443", ""}, {"https://[::1]:8443", ""}} {
		t.Run(test.address, func(t *testing.T) {
			i := newIssuer(t, at(test.address))
			b := i.browser()
			page := b.authorize(request())
			wrong := b.submit(page, "alice", "wrong")
			code := b.submit(page, "alice", alicePassword)
			found := i.token(codeForm(code.code()), nil)
			for name, a := range map[string]answered{
				"login page": page, "wrong password": wrong, "redirect": code, "home": b.get("/"), "error page": b.authorize(request("client_id", "x")),
				"error redirect": b.authorize(request("scope", "x")), "not found": b.get("/nothing"), "method": b.send("PUT", "/token", nil, nil),
				"metadata": b.get("/.well-known/openid-configuration"), "keys": b.get("/keys"), "tokens": found.answered, "token refusal": i.refresh("x").answered,
				"userinfo": i.userinfo(found.AccessToken), "userinfo refusal": i.userinfo("x"), "health": b.get("/healthz"), "ready": b.get("/readyz"),
				"foreign form": b.send("POST", "/login", url.Values{}, http.Header{"Sec-Fetch-Site": {"cross-site"}}),
				"cleaned path": b.get("//authorize"), "undecodable": b.get("/authorize?%zz"),
			} {
				policy := a.header.Get("Content-Security-Policy")
				for _, part := range []string{"default-src 'none'", "frame-ancestors 'none'"} {
					if !strings.Contains(policy, part) {
						t.Errorf("%s: got the policy %q, want %s in it", name, policy, part)
					}
				}
				if strings.Contains(policy, "unsafe") || strings.Contains(policy, "script-src") || strings.Contains(policy, "*") {
					t.Errorf("%s: got the policy %q, which allows too much", name, policy)
				}
				if a.header.Get("Content-Type") == "text/html; charset=utf-8" && a.location == nil &&
					(!strings.Contains(policy, "base-uri 'none'") || !strings.Contains(policy, "form-action 'self'")) {
					t.Errorf("%s: got the policy %q, want base-uri and form-action", name, policy)
				}
				for header, want := range map[string]string{
					"X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY", "Referrer-Policy": "same-origin",
					"Cross-Origin-Opener-Policy": "same-origin", "Strict-Transport-Security": test.transport,
				} {
					if got := a.header.Get(header); got != want {
						t.Errorf("%s: %s: got %q, want %q", name, header, got, want)
					}
				}
				if got := a.header.Get("Server") + a.header.Get("X-Powered-By"); got != "" {
					t.Errorf("%s: tells what it runs on: %q", name, got)
				}
			}
		})
	}
}

func TestConfigIsChecked(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	for name, spoil := range map[string]func(*provider.Config){
		"no ID":      func(c *provider.Config) { c.ID = "" },
		"no storage": func(c *provider.Config) { c.Storage = nil },
		"no source":  func(c *provider.Config) { c.Source = nil },
		"no check":   func(c *provider.Config) { c.Ready = nil },
		"no keys":    func(c *provider.Config) { c.Keys = nil },
		"no issuer":  func(c *provider.Config) { c.Issuer = "" },
		"bad issuer": func(c *provider.Config) { c.Issuer = "http://id.example.com" },
	} {
		config := i.config
		spoil(&config)
		if p, err := provider.New(config); err == nil || p != nil {
			t.Errorf("%s: got %v, %v; want an error", name, p, err)
		}
	}
}
