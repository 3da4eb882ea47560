// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package provider_test

import (
	"bytes"
	"encoding/base64"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/tegata/tegata/internal/clientregistry"
	"github.com/tegata/tegata/internal/oidc"
)

const (
	dashboardURI = "https://dashboard.example.com/callback"
	goodbyeURI   = "https://dashboard.example.com/goodbye?from=tegata"
)

// dashboard adds a client that may log out.
func (i *issuer) dashboard() {
	i.t.Helper()
	i.addClient(clientregistry.Client{
		ID: "dashboard", Name: "Dashboard", RedirectURIs: []string{dashboardURI}, PostLogoutRedirectURIs: []string{goodbyeURI, "http://localhost:8000/bye"},
	}, webSecret)
}

// dashboardTokens logs alice in at the dashboard.
func (b *browser) dashboardTokens(changes ...string) tokens {
	b.t.Helper()
	parameters := change(webRequest("client_id", "dashboard", "redirect_uri", dashboardURI), changes...)
	a := b.authorize(parameters)
	if a.location == nil {
		a = b.submit(a, "alice", alicePassword)
	}
	found := b.token(codeForm(a.code(), "client_id", "", "redirect_uri", dashboardURI), basic("dashboard", webSecret))
	found.wantTokens()
	return found
}

func (b *browser) logOut(parameters url.Values) answered {
	b.t.Helper()
	return b.get("/logout?" + parameters.Encode())
}

// gone checks that the browser has no session.
func (b *browser) gone() {
	b.t.Helper()
	b.authorize(webRequest("prompt", "none")).wantError(oidc.LoginRequired)
}

func (b *browser) still() {
	b.t.Helper()
	b.authorize(webRequest("prompt", "none")).code()
}

func TestLogOutByIDToken(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	i.dashboard()
	for _, test := range []struct {
		name string
		url.Values
		want string // where the browser goes; empty: to our page
	}{
		{"with everything", url.Values{"post_logout_redirect_uri": {goodbyeURI}, "state": {"a b&c"}, "client_id": {"dashboard"}, "logout_hint": {"alice"}, "ui_locales": {"de"}}, goodbyeURI + "&state=a+b%26c"},
		{"without state", url.Values{"post_logout_redirect_uri": {goodbyeURI}}, goodbyeURI},
		{"to a loopback port", url.Values{"post_logout_redirect_uri": {"http://localhost:18000/bye"}, "state": {"s"}}, "http://localhost:18000/bye?state=s"},
		{"alone", url.Values{}, ""},
		{"with state alone", url.Values{"state": {"s"}}, ""},
	} {
		for _, method := range []string{"GET", "POST"} {
			t.Run(test.name+" "+method, func(t *testing.T) {
				i := i.in(t)
				b := i.browser()
				idToken := b.dashboardTokens().IDToken
				i.clock.advance(time.Hour) // expired ones do
				parameters := url.Values{"id_token_hint": {idToken}}
				for name, values := range test.Values {
					parameters[name] = values
				}
				var a answered
				if method == "GET" {
					a = b.logOut(parameters)
				} else {
					hop := b.send("POST", "/logout", parameters, http.Header{"Sec-Fetch-Site": {"cross-site"}, "Origin": {"https://dashboard.example.com"}})
					hop.wantStatus(http.StatusSeeOther)
					if strings.Contains(hop.location.String(), idToken) || len(hop.cookies) > 0 {
						t.Errorf("got %v, %v; want the ID token kept out of the address and the cookies alone", hop.location, hop.cookies)
					}
					a = b.get(b.resolve(hop.location.String()))
				}
				if test.want == "" {
					a.wantPage(http.StatusOK, "You are logged out")
				} else if a.status != http.StatusSeeOther || a.header.Get("Location") != test.want {
					t.Errorf("got status %d to %v, want %s", a.status, a.location, test.want)
				}
				b.gone()
			})
		}
	}
}

// Whoever cannot show that they mean this session gets no logout without the
// person: otherwise any page could log anybody out.
func TestLogOutAsksUnlessItIsThisSession(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	i.dashboard()
	others := i.browser().dashboardTokens().IDToken // alice's, of another browser
	b := i.browser()
	b.dashboardTokens()
	for _, test := range []struct {
		name string
		url.Values
		part string
		want string // after the answer; empty: our page
	}{
		{"nothing", url.Values{}, "You are logged in as <strong>Alice Archer</strong>", ""},
		{"hints", url.Values{"logout_hint": {"bob"}, "state": {"s"}}, "Log out?", ""},
		{"client", url.Values{"client_id": {"dashboard"}}, "<strong>Dashboard</strong> asks to log you out", ""},
		{"client and redirect URI", url.Values{"client_id": {"dashboard"}, "post_logout_redirect_uri": {goodbyeURI}, "state": {"s"}}, "Dashboard", goodbyeURI + "&state=s"},
		{"redirect URI of nobody", url.Values{"post_logout_redirect_uri": {goodbyeURI}, "state": {"s"}}, "Log out?", ""},
		{"foreign redirect URI of nobody", url.Values{"post_logout_redirect_uri": {"https://evil.example/"}}, "Log out?", ""},
		{"ID token of another session", url.Values{"id_token_hint": {others}, "post_logout_redirect_uri": {goodbyeURI}}, "Dashboard", goodbyeURI},
	} {
		t.Run(test.name, func(t *testing.T) {
			b := *b
			b.t = t
			page := b.logOut(test.Values)
			page.wantPage(http.StatusOK, test.part)
			b.still()
			stay := b.press(page, "stay")
			if stay.status != http.StatusSeeOther || stay.location.String() != issuerURL {
				t.Errorf("stay: got status %d to %v, want our own page", stay.status, stay.location)
			}
			b.still()
			a := b.press(page, "logout")
			if test.want == "" {
				a.wantPage(http.StatusOK, "You are logged out")
			} else if a.header.Get("Location") != test.want {
				t.Errorf("got status %d to %v, want %s", a.status, a.location, test.want)
			}
			b.gone()
			b.dashboardTokens() // for the next
		})
	}
}

func TestLogOutRefusals(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	i.dashboard()
	b := i.browser()
	found := b.dashboardTokens()
	none := func(token string) string {
		parts := strings.Split(token, ".")
		return base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none","typ":"JWT"}`)) + "." + parts[1] + "."
	}
	changed := func(token string) string {
		parts := strings.Split(token, ".")
		payload, err := base64.RawURLEncoding.DecodeString(parts[1])
		check(t, err)
		payload = bytes.Replace(payload, []byte(`"dashboard"`), []byte(`"kubernetes"`), 1)
		return parts[0] + "." + base64.RawURLEncoding.EncodeToString(payload) + "." + parts[2]
	}
	for _, test := range []struct {
		name string
		url.Values
		part string
	}{
		{"hint of alg none", url.Values{"id_token_hint": {none(found.IDToken)}, "post_logout_redirect_uri": {goodbyeURI}}, "is not an ID token of this issuer"},
		{"changed hint", url.Values{"id_token_hint": {changed(found.IDToken)}}, "is not an ID token of this issuer"},
		{"no JWT", url.Values{"id_token_hint": {"hint"}, "post_logout_redirect_uri": {goodbyeURI}}, "is not an ID token of this issuer"},
		{"access token", url.Values{"id_token_hint": {found.AccessToken}}, "is not an ID token of this issuer"},
		{"another client", url.Values{"id_token_hint": {found.IDToken}, "client_id": {"web"}}, "is not the client of id_token_hint"},
		{"unknown client", url.Values{"client_id": {"nobody"}}, "is not registered"},
		{"another address", url.Values{"id_token_hint": {found.IDToken}, "post_logout_redirect_uri": {"https://evil.example/"}}, "is not registered for it"},
		{"redirect URI of a login", url.Values{"id_token_hint": {found.IDToken}, "post_logout_redirect_uri": {dashboardURI}}, "is not registered for it"},
		{"query added", url.Values{"id_token_hint": {found.IDToken}, "post_logout_redirect_uri": {goodbyeURI + "&more=1"}}, "is not registered for it"},
		{"path added", url.Values{"id_token_hint": {found.IDToken}, "post_logout_redirect_uri": {"https://dashboard.example.com/goodbye/../evil"}}, "is not registered for it"},
		{"script", url.Values{"client_id": {"dashboard"}, "post_logout_redirect_uri": {"javascript:alert(1)"}}, "is not registered for it"},
		{"line break", url.Values{"client_id": {"dashboard"}, "post_logout_redirect_uri": {goodbyeURI + "\r\nSet-Cookie: a=b"}}, "is not registered for it"},
		{"repeated", url.Values{"state": {"a", "b"}}, "more than once"},
		{"not UTF-8", url.Values{"state": {"\xff"}}, "not UTF-8"},
		{"long", url.Values{"state": {strings.Repeat("s", 2049)}}, "longer than"},
		{"request that is none", url.Values{"request": {"x"}}, "expired"},
	} {
		t.Run(test.name, func(t *testing.T) {
			b := *b
			b.t = t
			a := b.logOut(test.Values)
			a.wantPage(http.StatusBadRequest, test.part)
			a.wantPage(http.StatusBadRequest, "This logout cannot go on")
			b.still()
			if test.Get("request") == "" {
				b.send("POST", "/logout", test.Values, nil).wantPage(http.StatusBadRequest, test.part)
			}
		})
	}
	t.Run("a hint of another issuer", func(t *testing.T) {
		other := newIssuer(t, at(issuerURL+"/other")) // the same keys
		b := *b
		b.t = t
		b.logOut(url.Values{"id_token_hint": {other.logIn().IDToken}}).wantPage(http.StatusBadRequest, "is not an ID token of this issuer")
	})
	t.Run("undecodable", func(t *testing.T) {
		b := *b
		b.t = t
		b.get("/logout?a=b;c=d").wantPage(http.StatusBadRequest, "cannot be decoded")
	})
}

// RP-Initiated Logout 1.0, section 2: the OP that has no session for it any
// more goes on as if it had just ended.
func TestLogOutWithoutASession(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	i.dashboard()
	idToken := i.browser().dashboardTokens().IDToken
	b := i.browser()
	b.logOut(url.Values{}).wantPage(http.StatusOK, "You are logged out")
	a := b.logOut(url.Values{"id_token_hint": {idToken}, "post_logout_redirect_uri": {goodbyeURI}, "state": {"s"}})
	if a.header.Get("Location") != goodbyeURI+"&state=s" {
		t.Errorf("got %v, want %s with the state", a.location, goodbyeURI)
	}
}

func TestLogOutButtonEndsTheSession(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	b := i.browser()
	old := sessionCookie(t, b.login(request(), "alice", alicePassword))
	home := b.get("/")
	home.wantPage(http.StatusOK, "You are logged in")
	for _, part := range []string{"alice", "Alice Archer", "alice@example.com", "platform-engineer", "readers"} {
		if !strings.Contains(home.body, part) {
			t.Errorf("got no %q on the page:\n%s", part, home.body)
		}
	}
	b.press(home, "logout").wantPage(http.StatusOK, "You are logged out")
	b.get("/").wantPage(http.StatusOK, `name="password"`)
	thief := i.browser()
	thief.header.Set("Cookie", old.Name+"="+old.Value)
	thief.authorize(webRequest("prompt", "none")).wantError(oidc.LoginRequired)
	if got := i.count("sessions"); got != 0 {
		t.Errorf("got %d sessions, want none", got)
	}
	b.press(home, "logout").wantPage(http.StatusOK, "You are logged out") // twice is no error
}

// A logout ends what was granted in the session, but for what may go on
// offline; and nothing of another session.
func TestLogOutEndsTheGrantsOfItsSession(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	i.dashboard()
	kubectl := func(b *browser, scope string) tokens {
		t.Helper()
		found := i.token(codeForm(b.again(request("scope", scope)).code()), nil)
		found.wantTokens()
		return found
	}
	b, other := i.browser(), i.browser()
	online := b.dashboardTokens()
	offline := b.dashboardTokens("scope", "openid offline_access")
	laptop, server := kubectl(b, "openid email"), kubectl(b, "offline_access openid")
	pending := b.again(request()).code()
	elsewhere := other.dashboardTokens()
	dashboard := func(token string) tokens {
		return i.token(refreshForm(token, "client_id", ""), basic("dashboard", webSecret))
	}

	b.logOut(url.Values{"id_token_hint": {online.IDToken}}).wantPage(http.StatusOK, "You are logged out")

	dashboard(online.RefreshToken).wantRefusal(oidc.InvalidGrant)
	i.refresh(laptop.RefreshToken).wantRefusal(oidc.InvalidGrant)
	i.token(codeForm(pending), nil).wantRefusal(oidc.InvalidGrant)
	if a := i.userinfo(online.AccessToken); a.status != http.StatusUnauthorized {
		t.Errorf("userinfo: got status %d, want 401", a.status)
	}
	dashboard(offline.RefreshToken).wantTokens()
	i.refresh(server.RefreshToken).wantTokens()
	dashboard(elsewhere.RefreshToken).wantTokens()
}

// Neither the end of a session by age nor another login in the same browser is
// a logout: nobody asked for kubectl to stop.
func TestGrantsOutliveTheirSession(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	b := i.browser()
	first := i.token(codeForm(b.login(request(), "alice", alicePassword).code()), nil)
	b.login(request("prompt", "login"), "bob", bobPassword) // alice's session ends
	first = i.refresh(first.RefreshToken)
	first.wantTokens()
	i.clock.advance(24 * time.Hour)
	check(t, i.rows.Sweep(t.Context(), i.clock.Now()))
	if got := i.count("sessions"); got != 0 {
		t.Errorf("got %d sessions, want none after a day", got)
	}
	i.refresh(first.RefreshToken).wantTokens()
}

func TestConfirmationIsForTheSessionThatWasShown(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	b := i.browser()
	b.login(webRequest(), "alice", alicePassword)
	page := b.logOut(url.Values{})
	b.login(webRequest("prompt", "login"), "bob", bobPassword)
	b.press(page, "logout").wantPage(http.StatusOK, "You are logged in as <strong>bob</strong>")
	b.still()
	i.clock.advance(time.Hour)
	b.press(page, "logout").wantPage(http.StatusBadRequest, "expired")
	b.still()
}

func TestHeadLogsNobodyOut(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	i.dashboard()
	b := i.browser()
	hint := url.Values{"id_token_hint": {b.dashboardTokens().IDToken}}
	b.send("HEAD", "/logout?"+hint.Encode(), nil, nil).wantStatus(http.StatusOK)
	b.still()
}

func TestLogOutSpeaksTheLanguageOfTheRequest(t *testing.T) {
	t.Parallel()
	b := newIssuer(t).browser()
	b.login(webRequest(), "alice", alicePassword)
	page := b.logOut(url.Values{"ui_locales": {"ja"}})
	page.wantPage(http.StatusOK, "ログアウトしますか？")
	posted := b.post("/logout", url.Values{"ui_locales": {"ja"}}, nil)
	posted.wantPage(http.StatusOK, "ログアウトしますか？")
	b.press(page, "logout").wantPage(http.StatusOK, "ログアウトしました")
}
