// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package provider_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tegata/tegata/internal/oidc"
	"github.com/tegata/tegata/internal/provider/grant"
)

func jsonOf(t testing.TB, a answered) map[string]any {
	t.Helper()
	var found map[string]any
	if err := json.Unmarshal([]byte(a.body), &found); err != nil {
		t.Fatalf("status %d, no JSON: %v: %s", a.status, err, a.body)
	}
	return found
}

func TestUserinfoTakesGetAndPost(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	accessToken := i.logIn().AccessToken
	b := i.browser()
	for name, a := range map[string]answered{
		"GET":                b.send("GET", "/userinfo", nil, bearer(accessToken)),
		"POST":               b.send("POST", "/userinfo", nil, bearer(accessToken)),
		"POST form":          b.send("POST", "/userinfo", url.Values{"access_token": {accessToken}}, nil),
		"POST empty form":    b.send("POST", "/userinfo", url.Values{}, bearer(accessToken)),
		"scheme in any case": b.send("GET", "/userinfo", nil, http.Header{"Authorization": {"bEARER " + accessToken}}),
	} {
		if a.status != http.StatusOK || jsonOf(t, a)["sub"] != string(i.alice) {
			t.Errorf("%s: got status %d, %s; want alice", name, a.status, a.body)
		}
	}
	for _, method := range []string{"PUT", "DELETE", "PATCH"} {
		if a := b.send(method, "/userinfo", nil, bearer(accessToken)); a.status != http.StatusMethodNotAllowed {
			t.Errorf("%s: got status %d, want 405", method, a.status)
		}
	}
}

func TestTokenInTheAddressIsNotRead(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	accessToken := i.logIn().AccessToken
	for _, method := range []string{"GET", "POST"} {
		a := i.browser().send(method, "/userinfo?access_token="+accessToken, nil, nil)
		if a.status != http.StatusUnauthorized {
			t.Errorf("%s: got status %d, want 401", method, a.status)
		}
	}
	// Nor does a form in a GET count.
	if a := i.browser().send("GET", "/userinfo", url.Values{"access_token": {accessToken}}, nil); a.status != http.StatusUnauthorized {
		t.Errorf("form in a GET: got status %d, want 401", a.status)
	}
}

func TestUserinfoRefusals(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	found := i.logIn()
	sign := func(change func(*grant.AccessToken)) string {
		claims := grant.AccessToken{
			Issuer: issuerURL, Audience: oidc.Audience{issuerURL}, Subject: i.alice, Client: "kubernetes", Scope: "openid",
			Grant: claimsOf(t, found.AccessToken).Grant, Expiry: oidc.Date(birth.Add(time.Hour)),
		}
		typ := grant.TypeAccessToken
		change(&claims)
		if claims.TokenID == "typ" {
			typ = "JWT"
		}
		signed, err := i.config.Keys.Sign("ES256", typ, claims)
		check(t, err)
		return signed.Reveal()
	}
	signature := strings.LastIndex(found.AccessToken, ".")
	foreign := newIssuer(t, at("https://other.example.com")).logIn().AccessToken // the same keys
	for _, test := range []struct{ name, authorization, code string }{
		{"no token", "", ""},
		{"another scheme", "Basic YTpi", ""},
		{"scheme alone", "Bearer", ""},
		{"scheme and a space", "Bearer ", ""},
		{"garbage", "Bearer garbage", "invalid_token"},
		{"spaces inside", "Bearer a b", "invalid_token"},
		{"ID token", "Bearer " + found.IDToken, "invalid_token"},
		{"refresh token", "Bearer " + found.RefreshToken, "invalid_token"},
		{"no signature", "Bearer " + found.AccessToken[:signature+1], "invalid_token"},
		{"another signature", "Bearer " + found.AccessToken[:signature+2] + "AAAA" + found.AccessToken[signature+6:], "invalid_token"},
		{"algorithm none", "Bearer eyJhbGciOiJub25lIiwidHlwIjoiYXQrand0In0." + strings.Split(found.AccessToken, ".")[1] + ".", "invalid_token"},
		{"of another issuer", "Bearer " + foreign, "invalid_token"},
		{"of another type", "Bearer " + sign(func(a *grant.AccessToken) { a.TokenID = "typ" }), "invalid_token"},
		{"for another audience", "Bearer " + sign(func(a *grant.AccessToken) { a.Audience = oidc.Audience{"kubernetes"} }), "invalid_token"},
		{"of no grant", "Bearer " + sign(func(a *grant.AccessToken) { a.Grant = "" }), "invalid_token"},
		{"of an unknown grant", "Bearer " + sign(func(a *grant.AccessToken) { a.Grant = "x" }), "invalid_token"},
		{"of an unknown client", "Bearer " + sign(func(a *grant.AccessToken) { a.Client = "nobody" }), "invalid_token"},
		{"of an unknown subject", "Bearer " + sign(func(a *grant.AccessToken) { a.Subject = "nobody" }), "invalid_token"},
		{"expired", "Bearer " + sign(func(a *grant.AccessToken) { a.Expiry = oidc.Date(birth) }), "invalid_token"},
		{"without an expiry", "Bearer " + sign(func(a *grant.AccessToken) { a.Expiry = oidc.Date(time.Unix(0, 0)) }), "invalid_token"},
	} {
		t.Run(test.name, func(t *testing.T) {
			i := i.in(t)
			sent := http.Header{}
			if test.authorization != "" {
				sent.Set("Authorization", test.authorization)
			}
			a := i.browser().send("GET", "/userinfo", nil, sent)
			got := a.header.Get("WWW-Authenticate")
			if a.status != http.StatusUnauthorized || !strings.HasPrefix(got, "Bearer ") {
				t.Errorf("got status %d, WWW-Authenticate %q; want 401 Bearer; body: %s", a.status, got, a.body)
			}
			if named := strings.Contains(got, "error="); named != (test.code != "") || !strings.Contains(got, test.code) {
				t.Errorf("WWW-Authenticate: got %q, want the error %q", got, test.code)
			}
		})
	}
	if a := i.userinfo(sign(func(*grant.AccessToken) {})); a.status != http.StatusOK {
		t.Errorf("got status %d, want 200: the tokens above differ in one thing each", a.status)
	}
}

func claimsOf(t testing.TB, accessToken string) (found grant.AccessToken) {
	t.Helper()
	text, err := json.Marshal(claims(t, accessToken))
	check(t, err)
	check(t, json.Unmarshal(text, &found))
	return found
}

func TestAccessTokenExpires(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	accessToken := i.logIn().AccessToken
	i.clock.advance(15*time.Minute - time.Second)
	if a := i.userinfo(accessToken); a.status != http.StatusOK {
		t.Errorf("before: got status %d, want 200", a.status)
	}
	i.clock.advance(time.Second)
	if a := i.userinfo(accessToken); a.status != http.StatusUnauthorized {
		t.Errorf("after: got status %d, want 401", a.status)
	}
}

func TestScopesChooseClaims(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	for _, test := range []struct {
		scope string
		want  map[string]any
	}{
		{"openid", map[string]any{}},
		{"openid email", map[string]any{"email": "alice@example.com", "email_verified": true}},
		{"openid profile", map[string]any{"name": "Alice Archer", "preferred_username": "alice"}},
		{"openid groups", map[string]any{"groups": []any{"platform-engineer", "readers"}}},
		{"openid offline_access", map[string]any{}},
	} {
		t.Run(test.scope, func(t *testing.T) {
			i := i.in(t)
			test.want["sub"] = string(i.alice)
			got := jsonOf(t, i.userinfo(i.logIn("scope", test.scope).AccessToken))
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestUserinfoSubjectIsTheIDTokens(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	found := i.logIn()
	if got, want := jsonOf(t, i.userinfo(found.AccessToken))["sub"], claims(t, found.IDToken)["sub"]; got != want {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestUserinfoAsksTheSource(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	accessToken := i.logIn("scope", "openid groups").AccessToken
	_, err := i.rows.RemoveMember(t.Context(), "readers", i.alice)
	check(t, err)
	if diff := cmp.Diff([]any{"platform-engineer"}, jsonOf(t, i.userinfo(accessToken))["groups"]); diff != "" {
		t.Errorf("groups (-want +got):\n%s", diff)
	}
}

// RFC 6750, section 2: a client must not send the token in two ways.
func TestUserinfoTakesOneTokenAtATime(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	accessToken := i.logIn().AccessToken
	a := i.browser().send("POST", "/userinfo", url.Values{"access_token": {accessToken}}, bearer(accessToken))
	if a.status != http.StatusBadRequest || !strings.Contains(a.body+a.header.Get("WWW-Authenticate"), "invalid_request") {
		t.Errorf("got status %d, %s; want 400 invalid_request (RFC 6750, section 3.1)", a.status, a.body)
	}
}
