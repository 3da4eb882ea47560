// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package provider_test

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tegata/tegata/internal/clientregistry"
	"github.com/tegata/tegata/internal/identity"
	"github.com/tegata/tegata/internal/identity/local"
	"github.com/tegata/tegata/internal/oidc"
	"github.com/tegata/tegata/internal/provider"
	"github.com/tegata/tegata/internal/secret"
)

// withMachine adds the confidential client "ci", which acts for itself.
func withMachine(i *issuer) {
	i.addClient(clientregistry.Client{ID: "ci", Grants: []string{oidc.GrantClientCredentials}}, otherSecret)
}

func machineForm(changes ...string) url.Values {
	return change(url.Values{"grant_type": {"client_credentials"}, "client_id": {"ci"}, "client_secret": {otherSecret}}, changes...)
}

func TestClientActsForItself(t *testing.T) {
	t.Parallel()
	i := newIssuer(t, withMachine)
	found := i.token(machineForm("scope", "openid groups email offline_access unheard-of"), nil)
	found.wantStatus(http.StatusOK)
	if found.RefreshToken != "" || found.Scope != "openid groups email" || found.TokenType != "Bearer" || found.ExpiresIn != 900 {
		t.Errorf("got %s, want no refresh token and the scopes that are known", found.body)
	}
	got := claims(t, found.IDToken)
	if jti, _ := got["jti"].(string); len(jti) < 20 {
		t.Errorf("jti: got %q", jti)
	}
	delete(got, "jti")
	want := map[string]any{
		"iss": issuerURL, "sub": "ci", "aud": "ci", "iat": fmt.Sprint(birth.Unix()), "exp": fmt.Sprint(birth.Unix() + 900),
		"at_hash": oidc.AccessTokenHash("RS256", secret.New(found.AccessToken)), "groups": []any{},
	}
	for _, name := range []string{"iat", "exp"} {
		got[name] = fmt.Sprint(got[name])
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the ID token (-want +got):\n%s", diff)
	}
	access := claims(t, found.AccessToken)
	if access["sub"] != "ci" || access["client_id"] != "ci" || access["grant_id"] != nil || access["auth_time"] != nil {
		t.Errorf("the access token says %v", access)
	}
	if n := i.count("grants"); n != 0 {
		t.Errorf("%d grants are kept, want none: nobody granted anything", n)
	}
	// There is no end user to be told of.
	if a := i.userinfo(found.AccessToken); a.status != http.StatusUnauthorized || !strings.Contains(a.body, "no end user") {
		t.Errorf("userinfo: got %d %s", a.status, a.body)
	}
	// Without openid there is no ID token, which OpenID Connect has not here.
	if found := i.token(machineForm(), nil); found.status != http.StatusOK || found.IDToken != "" || found.Scope != "" {
		t.Errorf("without a scope: got %s", found.body)
	}
}

func TestClientActsForItselfOnlyIfItMay(t *testing.T) {
	t.Parallel()
	i := newIssuer(t, withMachine)
	i.token(machineForm("client_secret", "wrong"), nil).wantRefusal(oidc.InvalidClient)
	i.token(machineForm("client_id", "web", "client_secret", webSecret), nil).wantRefusal(oidc.UnauthorizedClient)
	i.token(machineForm("client_id", "kubernetes", "client_secret", ""), nil).wantRefusal(oidc.UnauthorizedClient)
	i.token(machineForm("grant_type", "authorization_code", "code", "x"), nil).wantRefusal(oidc.UnauthorizedClient)
	i.token(machineForm("grant_type", "refresh_token", "refresh_token", "x"), nil).wantRefusal(oidc.UnauthorizedClient)
	i.token(machineForm("grant_type", "unheard-of"), nil).wantRefusal(oidc.UnsupportedGrantType)
	i.token(machineForm("grant_type", ""), nil).wantRefusal(oidc.InvalidRequest)
	i.token(machineForm("grant_type", "implicit"), nil).wantRefusal(oidc.UnsupportedGrantType)
	// A client of that name is nobody's end user.
	i.addClient(clientregistry.Client{ID: oidc.ClientID(i.alice), Grants: []string{oidc.GrantClientCredentials}}, otherSecret)
	found := i.token(machineForm("client_id", string(i.alice), "scope", "openid email profile groups"), nil)
	if got := claims(t, found.IDToken); got["email"] != nil || got["preferred_username"] != nil || fmt.Sprint(got["groups"]) != "[]" {
		t.Errorf("a client that is called like alice says %v", got)
	}
	if a := i.userinfo(found.AccessToken); a.status != http.StatusUnauthorized {
		t.Errorf("userinfo: got %d %s", a.status, a.body)
	}
}

// withPasswords lets the clients "shell" (public) and "batch" (no refresh
// token) send passwords.
func withPasswords(i *issuer) {
	i.config.PasswordGrant = true
	i.addClient(clientregistry.Client{ID: "shell", Grants: []string{oidc.GrantPassword, oidc.GrantRefreshToken}}, "")
	i.addClient(clientregistry.Client{ID: "batch", Grants: []string{oidc.GrantPassword}}, otherSecret)
}

func passwordForm(username, password string, changes ...string) url.Values {
	return change(url.Values{
		"grant_type": {"password"}, "client_id": {"shell"}, "username": {username}, "password": {password}, "scope": {"openid email"},
	}, changes...)
}

func TestPasswordGrant(t *testing.T) {
	t.Parallel()
	i := newIssuer(t, withPasswords)
	found := i.token(passwordForm("alice@example.com", alicePassword), nil)
	found.wantTokens()
	got := claims(t, found.IDToken)
	if got["sub"] != string(i.alice) || got["aud"] != "shell" || got["sid"] != nil || fmt.Sprint(got["amr"]) != "[pwd]" || fmt.Sprint(got["auth_time"]) != fmt.Sprint(birth.Unix()) {
		t.Errorf("the ID token says %v", got)
	}
	if found.Scope != "openid email" || jsonOf(t, i.userinfo(found.AccessToken))["email"] != "alice@example.com" {
		t.Errorf("got the scope %q", found.Scope)
	}
	i.clock.advance(time.Hour)
	second := i.refresh(found.RefreshToken, "client_id", "shell")
	second.wantTokens()
	if got := claims(t, second.IDToken)["auth_time"]; fmt.Sprint(got) != fmt.Sprint(birth.Unix()) {
		t.Errorf("after a refresh: auth_time %v, want that of the login", got)
	}
	if n := i.count("sessions"); n != 0 {
		t.Errorf("%d sessions: there is no browser", n)
	}
	// Another password ends it, as every login.
	check(t, i.rows.SetPassword(t.Context(), i.alice, local.NewPassword{Hash: ""}, i.clock.Now()))
	i.refresh(second.RefreshToken, "client_id", "shell").wantRefusal(oidc.InvalidGrant)

	// Without a refresh token the grant goes with its tokens.
	found = i.token(passwordForm("bob", bobPassword, "client_id", "batch", "client_secret", otherSecret), nil)
	if found.status != http.StatusOK || found.RefreshToken != "" || found.IDToken == "" {
		t.Fatalf("got %d %s, want no refresh token", found.status, found.body)
	}
	i.clock.advance(16 * time.Minute)
	check(t, i.rows.Sweep(t.Context(), i.clock.Now()))
	if n := i.count("grants"); n != 1 {
		t.Errorf("%d grants are kept, want alice's alone", n)
	}
	// Without openid it is no login of OpenID Connect: no ID token, no userinfo.
	found = i.token(passwordForm("bob", bobPassword, "scope", "email"), nil)
	if found.status != http.StatusOK || found.IDToken != "" || found.AccessToken == "" {
		t.Errorf("without openid: got %s", found.body)
	}
	a := i.userinfo(found.AccessToken)
	if got := a.header.Get("WWW-Authenticate"); a.status != http.StatusForbidden || !strings.Contains(got, `error="insufficient_scope", scope="openid"`) {
		t.Errorf("userinfo without openid: got %d, %q, %s", a.status, got, a.body)
	}
}

func TestPasswordGrantIsOffUnlessAskedFor(t *testing.T) {
	t.Parallel()
	off := newIssuer(t, withPasswords, func(i *issuer) { i.config.PasswordGrant = false })
	off.token(passwordForm("alice", alicePassword), nil).wantRefusal(oidc.UnsupportedGrantType)
	if strings.Contains(off.browser().get("/.well-known/openid-configuration").body, `"password"`) {
		t.Error("the metadata offers the password grant")
	}
	on := newIssuer(t, withPasswords)
	on.token(passwordForm("alice", alicePassword, "client_id", "kubernetes"), nil).wantRefusal(oidc.UnauthorizedClient)
	if !strings.Contains(on.browser().get("/.well-known/openid-configuration").body, `"password"`) {
		t.Error("the metadata does not offer the password grant")
	}
}

func TestPasswordGrantRefusals(t *testing.T) {
	t.Parallel()
	i := newIssuer(t, withPasswords)
	i.token(passwordForm("", alicePassword), nil).wantRefusal(oidc.InvalidRequest)
	i.token(passwordForm("alice", ""), nil).wantRefusal(oidc.InvalidRequest)
	wrong, unknown := i.token(passwordForm("alice", "wrong"), nil), i.token(passwordForm("nobody", "wrong"), nil)
	wrong.wantRefusal(oidc.InvalidGrant)
	unknown.wantRefusal(oidc.InvalidGrant)
	if wrong.body != unknown.body {
		t.Errorf("a wrong password is answered %s, an unknown user %s", wrong.body, unknown.body)
	}
	check(t, i.rows.SetDisabled(t.Context(), i.bob, true, i.clock.Now()))
	if got := i.token(passwordForm("bob", bobPassword), nil); got.Description != "the end user is disabled" {
		t.Errorf("disabled: got %s", got.body)
	}
	if got := i.token(passwordForm("bob", "wrong"), nil); got.body != wrong.body {
		t.Errorf("disabled and a wrong password: got %s, want %s", got.body, wrong.body)
	}
	if n := i.count("grants"); n != 0 {
		t.Errorf("%d grants after refusals", n)
	}
}

// The login page and the password grant share one allowance of tries.
func TestPasswordGrantSharesTheThrottle(t *testing.T) {
	t.Parallel()
	i := newIssuer(t, withPasswords)
	b := i.browser()
	page := b.authorize(request())
	for n := range 10 {
		if n%2 == 0 {
			b.submit(page, "alice", "wrong").wantPage(http.StatusForbidden, "wrong")
		} else {
			i.token(passwordForm("alice", "wrong"), nil).wantRefusal(oidc.InvalidGrant)
		}
	}
	got := i.token(passwordForm("alice", alicePassword), nil)
	got.wantRefusal(oidc.InvalidGrant)
	if !strings.Contains(got.Description, "too many attempts") {
		t.Errorf("got %s", got.body)
	}
	b.submit(page, "alice", alicePassword).wantPage(http.StatusTooManyRequests, "too many attempts")
	i.token(passwordForm("bob", bobPassword), nil).wantTokens()
	i.clock.advance(6 * time.Second)
	i.token(passwordForm("alice", alicePassword), nil).wantTokens()
}

// One password for many users: the address is what is throttled.
func TestPasswordSprayingIsThrottled(t *testing.T) {
	t.Parallel()
	i := newIssuer(t, withPasswords)
	looked := 0
	for n := range 80 {
		got := i.token(passwordForm(fmt.Sprint("user", n), "Winter2026!"), nil)
		got.wantRefusal(oidc.InvalidGrant)
		if !strings.Contains(got.Description, "too many") {
			looked++
		}
	}
	if looked != 50 {
		t.Errorf("%d passwords were looked at, want 50", looked)
	}
}

// counting counts how often a password is checked at full cost.
type counting struct {
	identity.Source

	asked atomic.Int32
}

func (c *counting) Authenticate(ctx context.Context, login string, password secret.String) (identity.User, error) {
	c.asked.Add(1)
	return c.Source.Authenticate(ctx, login, password)
}

// An unknown user goes the whole way of one who is known: the source is asked
// once, and its own test says that it takes as long (BenchmarkUnknownUser
// measures it). Nothing about it is timed here.
func TestUnknownUserTakesTheSameWay(t *testing.T) {
	t.Parallel()
	source := &counting{}
	i := newIssuer(t, withPasswords, func(i *issuer) {
		source.Source = sourceOf(i)
		i.config.Source = source
	})
	for _, user := range []string{"alice", "nobody", "alice@example.com", "nobody@example.com", " "} {
		before := source.asked.Load()
		i.token(passwordForm(user, "wrong"), nil).wantRefusal(oidc.InvalidGrant)
		if got := source.asked.Load() - before; got != 1 {
			t.Errorf("%q: the source was asked %d times, want once", user, got)
		}
	}
}

// The distribution of both is compared by whoever runs the benchmark.
func BenchmarkUnknownUser(b *testing.B) {
	for name, user := range map[string]string{"known": "alice", "unknown": "nobody"} {
		b.Run(name, func(b *testing.B) {
			i := newIssuer(b, withPasswords)
			for b.Loop() {
				i.token(passwordForm(user, "wrong"), nil).wantRefusal(oidc.InvalidGrant)
				i.clock.advance(time.Minute)
			}
		})
	}
}

// overtaken is a source whose user is disabled while the password is checked.
type overtaken struct {
	identity.Source

	then func()
}

func (o *overtaken) Lookup(ctx context.Context, subject oidc.Subject) (identity.User, error) {
	user, err := o.Source.Lookup(ctx, subject)
	o.then()
	return user, err
}

func TestPasswordGrantIsOvertaken(t *testing.T) {
	t.Parallel()
	i := newIssuer(t, withPasswords, func(i *issuer) {
		i.config.Source = &overtaken{sourceOf(i), func() { check(i.t, i.rows.SetDisabled(context.Background(), i.alice, true, birth)) }}
	})
	i.token(passwordForm("alice", alicePassword), nil).wantRefusal(oidc.InvalidGrant)
	if n := i.count("grants"); n != 0 {
		t.Errorf("%d grants of a user who was disabled in the meantime", n)
	}
}

func TestClientsAreLimitedToSources(t *testing.T) {
	t.Parallel()
	i := newIssuer(t, withPasswords)
	i.addClient(clientregistry.Client{ID: "staff", RedirectURIs: []string{"http://localhost:8000"}, Grants: []string{"authorization_code", "refresh_token", "password"}, Sources: []string{"ldap"}}, "")
	i.addClient(clientregistry.Client{ID: "home", RedirectURIs: []string{"http://localhost:8000"}, Sources: []string{"local"}}, "")
	i.browser().login(request("client_id", "staff"), "alice", alicePassword).wantError(oidc.AccessDenied)
	i.token(passwordForm("alice", alicePassword, "client_id", "staff"), nil).wantRefusal(oidc.InvalidGrant)
	found := i.token(codeForm(i.browser().login(request("client_id", "home"), "alice", alicePassword).code(), "client_id", "home"), nil)
	found.wantTokens()
	// What was granted before the limit ends with it.
	_, err := i.rows.ChangeClient(t.Context(), "home", func(c *clientregistry.Client) error { c.Sources = []string{"ldap"}; return nil })
	check(t, err)
	if a := i.userinfo(found.AccessToken); a.status != http.StatusUnauthorized {
		t.Errorf("userinfo: got %d %s", a.status, a.body)
	}
	i.refresh(found.RefreshToken, "client_id", "home").wantRefusal(oidc.InvalidGrant)
}

func TestClientHasItsOwnLifetimes(t *testing.T) {
	t.Parallel()
	i := newIssuer(t, withPasswords, lasting(provider.Lifetimes{IDToken: time.Hour, AccessToken: time.Hour, RefreshIdle: 2 * time.Hour, RefreshAbsolute: 4 * time.Hour}))
	i.addClient(clientregistry.Client{
		ID: "short", RedirectURIs: []string{"http://localhost:8000"}, Grants: []string{"authorization_code", "refresh_token", "password"}, AccessTokenAlg: "RS256", SigningAlg: "ES256",
		Lifetimes: clientregistry.Lifetimes{IDToken: 5 * time.Minute, AccessToken: 2 * time.Minute, RefreshIdle: 10 * time.Minute, RefreshAbsolute: 30 * time.Minute},
	}, "")
	logIn := func() tokens {
		found := i.token(codeForm(i.browser().login(request("client_id", "short"), "alice", alicePassword).code(), "client_id", "short"), nil)
		found.wantTokens()
		return found
	}
	span := func(token string) string {
		told := claims(t, token)
		var exp, iat int64
		_, err := fmt.Sscan(fmt.Sprint(told["exp"], " ", told["iat"]), &exp, &iat)
		check(t, err)
		return (time.Duration(exp-iat) * time.Second).String()
	}
	found := logIn()
	if span(found.IDToken) != "5m0s" || span(found.AccessToken) != "2m0s" || found.ExpiresIn != 120 {
		t.Errorf("ID token %s, access token %s, expires_in %d", span(found.IDToken), span(found.AccessToken), found.ExpiresIn)
	}
	if header(t, found.IDToken)["alg"] != "ES256" || header(t, found.AccessToken)["alg"] != "RS256" {
		t.Errorf("got %v and %v, want the client's algorithms", header(t, found.IDToken), header(t, found.AccessToken))
	}
	i.clock.advance(11 * time.Minute)
	i.refresh(found.RefreshToken, "client_id", "short").wantRefusal(oidc.InvalidGrant)
	for name, found := range map[string]tokens{"code": logIn(), "password": i.token(passwordForm("alice", alicePassword, "client_id", "short"), nil)} {
		for range 3 {
			found.wantTokens()
			i.clock.advance(9 * time.Minute)
			found = i.refresh(found.RefreshToken, "client_id", "short")
		}
		found.wantTokens()
		i.clock.advance(4 * time.Minute)
		if found = i.refresh(found.RefreshToken, "client_id", "short"); found.status == http.StatusOK {
			t.Errorf("%s: the login outlives its end", name)
		}
		i.clock.advance(-31 * time.Minute)
	}
}
