// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package provider_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tegata/tegata/internal/clientregistry"
	"github.com/tegata/tegata/internal/identity"
	"github.com/tegata/tegata/internal/oidc"
	"github.com/tegata/tegata/internal/secret"
)

// introspect asks as the client "web", unless the header says otherwise.
func (i *issuer) introspect(token string, authorization http.Header) answered {
	i.t.Helper()
	return i.browser().send("POST", "/introspect", url.Values{"token": {token}}, authorization)
}

func (i *issuer) logInWeb(changes ...string) tokens {
	i.t.Helper()
	code := i.browser().login(webRequest(changes...), "alice", alicePassword).code()
	found := i.token(codeForm(code, "client_id", "", "redirect_uri", "https://web.example.com/callback"), basic("web", webSecret))
	found.wantTokens()
	return found
}

func TestIntrospectionTellsWhatATokenIs(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	found := i.logInWeb("scope", "openid email")
	i.clock.advance(time.Minute)
	access, id := claims(t, found.AccessToken), claims(t, found.IDToken)
	number := func(at time.Time) any { return fmt.Sprint(at.Unix()) }
	for name, test := range map[string]struct {
		token string
		want  map[string]any
	}{
		"access token": {found.AccessToken, map[string]any{
			"active": true, "scope": "openid email", "client_id": "web", "username": "alice", "token_type": "Bearer", "sub": string(i.alice),
			"aud": issuerURL, "iss": issuerURL, "jti": access["jti"], "exp": number(birth.Add(15 * time.Minute)), "iat": number(birth), "auth_time": number(birth),
		}},
		"refresh token": {found.RefreshToken, map[string]any{
			"active": true, "scope": "openid email", "client_id": "web", "username": "alice", "sub": string(i.alice), "iss": issuerURL,
			"exp": number(birth.Add(30 * 24 * time.Hour)), "iat": number(birth), "auth_time": number(birth),
		}},
		"ID token": {found.IDToken, map[string]any{
			"active": true, "client_id": "web", "username": "alice", "sub": string(i.alice), "aud": "web", "iss": issuerURL, "jti": id["jti"],
			"exp": number(birth.Add(15 * time.Minute)), "iat": number(birth), "auth_time": number(birth),
		}},
	} {
		a := i.introspect(test.token, basic("web", webSecret))
		if a.status != http.StatusOK || a.header.Get("Cache-Control") != "no-store" || a.header.Get("Content-Type") != "application/json" {
			t.Errorf("%s: got %d, %v", name, a.status, a.header)
		}
		got := jsonOf(t, a)
		for _, date := range []string{"exp", "iat", "auth_time"} {
			got[date] = fmt.Sprintf("%.0f", got[date])
		}
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// guess is almost the token.
func guess(token string) string {
	at, other := len(token)-5, "A"
	if token[at:at+1] == other {
		other = "B"
	}
	return token[:at] + other + token[at+1:]
}

const inactive = `{"active":false}`

// Of a token that is not good, or not theirs, nobody learns anything.
func TestInactiveTokensSayNothing(t *testing.T) {
	t.Parallel()
	i := newIssuer(t, withMachine)
	mine, theirs := i.logInWeb(), i.logIn()
	own := i.token(machineForm("scope", "openid"), nil)
	rotated := i.token(refreshForm(mine.RefreshToken, "client_id", ""), basic("web", webSecret))
	for name, token := range map[string]string{
		"garbage": "garbage", "another client's access token": theirs.AccessToken, "another client's refresh token": theirs.RefreshToken,
		"another client's ID token": theirs.IDToken, "a client's own": own.AccessToken, "a rotated refresh token": mine.RefreshToken,
		"a guess": guess(rotated.RefreshToken), "no signature": strings.TrimRight(mine.AccessToken, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-"),
		"NUL": "a\x00b", "another encoding": "\xff",
	} {
		if a := i.introspect(token, basic("web", webSecret)); a.status != http.StatusOK || a.body != inactive {
			t.Errorf("%s: got %d %s, want %s", name, a.status, a.body, inactive)
		}
	}
	if a := i.introspect(own.AccessToken, basic("ci", otherSecret)); !strings.Contains(a.body, `"active":true`) || strings.Contains(a.body, "username") {
		t.Errorf("a client about its own token: got %s", a.body)
	}
	if a := i.introspect(rotated.RefreshToken, basic("web", webSecret)); !strings.Contains(a.body, `"active":true`) {
		t.Errorf("the newest refresh token: got %s", a.body)
	}
	// The audience may ask too.
	clusters := newIssuer(t, withClusters)
	_, err := clusters.rows.ChangeClient(t.Context(), "fleet", func(c *clientregistry.Client) error { c.Audiences = append(c.Audiences, "web"); return nil })
	check(t, err)
	narrow := clusters.exchange(clusters.logInFleet().IDToken, typeID, "web").AccessToken
	if a := clusters.introspect(narrow, basic("web", webSecret)); !strings.Contains(a.body, `"client_id":"fleet"`) {
		t.Errorf("the audience of a narrowed token: got %s", a.body)
	}
	if a := clusters.introspect(narrow, basic("other", otherSecret)); a.body != inactive {
		t.Errorf("somebody else: got %s", a.body)
	}
}

// An answer is newer than the token.
func TestIntrospectionIsAboutNow(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(*issuer, tokens){
		"disabled": func(i *issuer, _ tokens) { check(i.t, i.rows.SetDisabled(i.t.Context(), i.alice, true, i.clock.Now())) },
		"deleted":  func(i *issuer, _ tokens) { check(i.t, i.rows.DeleteAccount(i.t.Context(), i.alice, i.clock.Now())) },
		"expired":  func(i *issuer, _ tokens) { i.clock.advance(31 * 24 * time.Hour) },
		"revoked": func(i *issuer, found tokens) {
			i.browser().send("POST", "/revoke", url.Values{"token": {found.RefreshToken}}, basic("web", webSecret)).wantStatus(http.StatusOK)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			i := newIssuer(t)
			found := i.logInWeb()
			end(i, found)
			for _, token := range []string{found.AccessToken, found.RefreshToken, found.IDToken} {
				if a := i.introspect(token, basic("web", webSecret)); a.body != inactive {
					t.Errorf("got %s", a.body)
				}
			}
		})
	}
}

func TestIntrospectionAuthenticatesItsCaller(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	found := i.logIn()
	b := i.browser()
	for name, a := range map[string]answered{
		"nobody":       b.send("POST", "/introspect", url.Values{"token": {found.AccessToken}}, nil),
		"public":       b.send("POST", "/introspect", url.Values{"token": {found.AccessToken}, "client_id": {"kubernetes"}}, nil),
		"wrong secret": b.send("POST", "/introspect", url.Values{"token": {found.AccessToken}}, basic("web", "wrong")),
		"the token":    b.send("POST", "/introspect", url.Values{"token": {found.AccessToken}}, bearer(found.AccessToken)),
	} {
		if a.status != http.StatusUnauthorized || a.header.Get("WWW-Authenticate") == "" || strings.Contains(a.body, "active") {
			t.Errorf("%s: got %d %s", name, a.status, a.body)
		}
	}
	for name, a := range map[string]answered{
		"no token":  b.send("POST", "/introspect", url.Values{}, basic("web", webSecret)),
		"two":       b.send("POST", "/introspect", url.Values{"token": {"a", "b"}}, basic("web", webSecret)),
		"no form":   b.send("POST", "/introspect", nil, basic("web", webSecret)),
		"by mail":   b.send("GET", "/introspect?token=x", nil, basic("web", webSecret)),
		"unheard":   b.send("PUT", "/introspect", url.Values{"token": {"a"}}, basic("web", webSecret)),
		"too large": b.send("POST", "/introspect", url.Values{"token": {strings.Repeat("a", 70<<10)}}, basic("web", webSecret)),
	} {
		if a.status != http.StatusBadRequest && a.status != http.StatusMethodNotAllowed && a.status != http.StatusRequestEntityTooLarge || strings.Contains(a.body, "active") {
			t.Errorf("%s: got %d %s", name, a.status, a.body)
		}
	}
}

func (i *issuer) revoke(token string, changes ...string) answered {
	i.t.Helper()
	return i.browser().send("POST", "/revoke", change(url.Values{"client_id": {"kubernetes"}, "token": {token}}, changes...), nil)
}

func TestRevokedRefreshTokenEndsTheLogin(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	for name, hint := range map[string]string{"no hint": "", "right hint": "refresh_token", "wrong hint": "access_token", "unknown hint": "pixie_dust"} {
		found, another := i.logIn(), i.logIn()
		a := i.revoke(found.RefreshToken, "token_type_hint", hint)
		if a.status != http.StatusOK || a.body != "" {
			t.Errorf("%s: got %d %s, want 200 and nothing", name, a.status, a.body)
		}
		i.refresh(found.RefreshToken).wantRefusal(oidc.InvalidGrant)
		if got := i.userinfo(found.AccessToken); got.status != http.StatusUnauthorized {
			t.Errorf("%s: the access token still works", name)
		}
		i.refresh(another.RefreshToken).wantTokens() // on another device
		i.revoke(found.RefreshToken).wantStatus(http.StatusOK)
	}
	// One that was rotated is of the same login.
	found := i.logIn()
	next := i.refresh(found.RefreshToken)
	i.revoke(found.RefreshToken).wantStatus(http.StatusOK)
	i.refresh(next.RefreshToken).wantRefusal(oidc.InvalidGrant)
}

func TestRevokedAccessTokenEndsAlone(t *testing.T) {
	t.Parallel()
	i := newIssuer(t, withMachine)
	found := i.logIn()
	i.revoke(found.AccessToken).wantStatus(http.StatusOK)
	if a := i.userinfo(found.AccessToken); a.status != http.StatusUnauthorized {
		t.Errorf("userinfo: got %d", a.status)
	}
	i.revoke(found.AccessToken).wantStatus(http.StatusOK)
	next := i.refresh(found.RefreshToken)
	next.wantTokens()
	if a := i.userinfo(next.AccessToken); a.status != http.StatusOK {
		t.Errorf("the next access token: got %d", a.status)
	}
	// One that stands for no grant.
	own := i.token(machineForm(), nil).AccessToken
	i.revoke(own, "client_id", "ci", "client_secret", otherSecret).wantStatus(http.StatusOK)
	if a := i.introspect(own, basic("ci", otherSecret)); a.body != inactive {
		t.Errorf("a client's own, revoked: got %s", a.body)
	}
	// It is forgotten when it would have expired.
	i.clock.advance(16 * time.Minute)
	check(t, i.rows.Sweep(t.Context(), i.clock.Now()))
	if n := i.count("spent_identifiers"); n != 0 {
		t.Errorf("%d identifiers are kept of tokens that have expired", n)
	}
}

func TestRevocationRefusals(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	found, web := i.logIn(), i.logInWeb()
	for name, test := range map[string]struct {
		a      answered
		status int
		code   string
	}{
		"unknown token":                  {i.revoke("unheard-of"), 200, ""},
		"a guess":                        {i.revoke(guess(found.RefreshToken)), 200, ""},
		"NUL":                            {i.revoke("a\x00b"), 200, ""},
		"another client's refresh token": {i.revoke(web.RefreshToken), 400, "invalid_grant"},
		"another client's access token":  {i.revoke(web.AccessToken), 400, "invalid_grant"},
		"another client's ID token":      {i.revoke(web.IDToken), 200, ""},
		"an ID token":                    {i.revoke(found.IDToken), 400, "unsupported_token_type"},
		"no token":                       {i.revoke(""), 400, "invalid_request"},
		"no client":                      {i.revoke(found.RefreshToken, "client_id", ""), 401, "invalid_client"},
		"an unknown client":              {i.revoke(found.RefreshToken, "client_id", "nobody"), 401, "invalid_client"},
		"a client without its secret":    {i.revoke(web.RefreshToken, "client_id", "web"), 401, "invalid_client"},
	} {
		if test.a.status != test.status || test.code != "" && !strings.Contains(test.a.body, `"error":"`+test.code+`"`) || test.code == "" && test.a.body != "" {
			t.Errorf("%s: got %d %s, want %d %s", name, test.a.status, test.a.body, test.status, test.code)
		}
	}
	i.refresh(found.RefreshToken).wantTokens()
	i.token(refreshForm(web.RefreshToken, "client_id", ""), basic("web", webSecret)).wantTokens()
}

// Revocation works while the source of users does not.
func TestRevocationAsksNoSource(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	found := i.logIn()
	i.config.Source = silentSource{}
	i.restart()
	i.revoke(found.AccessToken).wantStatus(http.StatusOK)
	i.revoke(found.RefreshToken).wantStatus(http.StatusOK)
	i.config.Source = sourceOf(i)
	i.restart()
	i.refresh(found.RefreshToken).wantRefusal(oidc.InvalidGrant)
}

// silentSource does not answer.
type silentSource struct{}

func (silentSource) Authenticate(context.Context, string, secret.String) (identity.User, error) {
	return identity.User{}, errors.New("the source does not answer")
}

func (silentSource) Lookup(context.Context, oidc.Subject) (identity.User, error) {
	return identity.User{}, errors.New("the source does not answer")
}
