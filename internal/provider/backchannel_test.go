// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package provider_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tegata/tegata/internal/clientregistry"
	"github.com/tegata/tegata/internal/oidc"
	"github.com/tegata/tegata/internal/provider"
	"github.com/tegata/tegata/internal/secret"
)

// receiver is clients that are told of logouts: each request by its path.
type receiver struct {
	*httptest.Server

	mu   sync.Mutex // guards the field below
	seen map[string][]*http.Request
}

func newReceiver(t *testing.T) *receiver {
	t.Helper()
	r := &receiver{seen: map[string][]*http.Request{}}
	r.Server = httptest.NewTLSServer(http.HandlerFunc(func(_ http.ResponseWriter, got *http.Request) {
		check(t, got.ParseForm())
		r.mu.Lock()
		defer r.mu.Unlock()
		r.seen[got.URL.Path] = append(r.seen[got.URL.Path], got)
	}))
	t.Cleanup(r.Close)
	return r
}

func TestBackChannelTellsTheClientsOfTheSession(t *testing.T) {
	t.Parallel()
	log := &buffer{}
	told := newReceiver(t)
	i := newIssuer(t, logging(log), func(i *issuer) { i.config.BackChannel = told.Client() })
	const to = "https://web.example.com/callback"
	for _, client := range []clientregistry.Client{
		{ID: "wiki", RedirectURIs: []string{to}, BackChannelLogoutURI: told.URL + "/wiki?tenant=a"},
		{ID: "chat", RedirectURIs: []string{to}, BackChannelLogoutURI: told.URL + "/chat", SigningAlg: "ES256"},
		{ID: "mail", RedirectURIs: []string{to}, BackChannelLogoutURI: told.URL + "/mail"},
		{ID: "news", RedirectURIs: []string{to}, BackChannelLogoutURI: told.URL + "/news"},
		{ID: "plain", RedirectURIs: []string{to}},
	} {
		i.addClient(client, webSecret)
	}
	b, other := i.browser(), i.browser()
	at := func(b *browser, id string, changes ...string) tokens {
		t.Helper()
		a := b.authorize(webRequest(append([]string{"client_id", id}, changes...)...))
		if a.location == nil {
			a = b.submit(a, "alice", alicePassword)
		}
		found := i.token(codeForm(a.code(), "client_id", "", "redirect_uri", to), basic(id, webSecret))
		found.wantTokens()
		return found
	}
	wiki := at(b, "wiki")
	at(b, "wiki") // twice in the session, told once
	chat := at(b, "chat", "scope", "openid offline_access")
	at(b, "plain")
	b.authorize(webRequest("client_id", "mail")).code() // never came for its tokens
	at(other, "news")                                   // in another browser

	b.logOut(url.Values{"id_token_hint": {wiki.IDToken}}).wantPage(http.StatusOK, "You are logged out")
	check(t, i.handler.(*provider.Provider).Close(t.Context()))

	if diff := cmp.Diff(map[string]int{"/wiki": 1, "/chat": 1}, map[string]int{"/wiki": len(told.seen["/wiki"]), "/chat": len(told.seen["/chat"])}); diff != "" || len(told.seen) != 2 {
		t.Fatalf("told %v, want wiki and chat once each\n%s", told.seen, diff)
	}
	ids := map[string]bool{}
	for client, want := range map[string]struct{ alg, idToken string }{"wiki": {"RS256", wiki.IDToken}, "chat": {"ES256", chat.IDToken}} {
		r := told.seen["/"+client][0]
		if got := r.Header.Get("Content-Type"); r.Method != "POST" || got != "application/x-www-form-urlencoded" {
			t.Errorf("%s: got %s with %s, want a form", client, r.Method, got)
		}
		if client == "wiki" && r.URL.RawQuery != "tenant=a" {
			t.Errorf("got the query %q, want the registered one", r.URL.RawQuery)
		}
		if len(r.PostForm) != 1 || len(r.PostForm["logout_token"]) != 1 {
			t.Fatalf("%s: got %v, want the logout token alone", client, r.PostForm)
		}
		token := r.PostForm.Get("logout_token")
		head := header(t, token)
		if head["typ"] != "logout+jwt" || head["alg"] != want.alg || head["kid"] == "" {
			t.Errorf("%s: got the header %v", client, head)
		}
		var verified map[string]any
		check(t, i.config.Keys.Verify(secret.New(token), "logout+jwt", &verified))
		said := claims(t, token)
		now := i.clock.Now().Unix()
		for name, value := range map[string]int64{"iat": now, "exp": now + 120} {
			if got := verified[name]; got != float64(value) {
				t.Errorf("%s: %s: got %v, want %d", client, name, got, value)
			}
			delete(said, name)
		}
		ids[said["jti"].(string)] = true
		delete(said, "jti")
		wantClaims := map[string]any{
			"iss": issuerURL, "sub": string(i.alice), "aud": client, "sid": claims(t, want.idToken)["sid"],
			"events": map[string]any{"http://schemas.openid.net/event/backchannel-logout": map[string]any{}},
		}
		if diff := cmp.Diff(wantClaims, said); diff != "" { // above all: no nonce
			t.Errorf("%s (-want +got):\n%s", client, diff)
		}
		if strings.Contains(log.String(), token) {
			t.Errorf("%s: the logout token stands in the log", client)
		}
	}
	if len(ids) != 2 {
		t.Errorf("got the identifiers %v, want one for each token", ids)
	}
}

// A logout token must open nothing: it is no ID token and no access token.
func TestLogoutTokenIsNoOtherToken(t *testing.T) {
	t.Parallel()
	told := newReceiver(t)
	i := newIssuer(t, func(i *issuer) { i.config.BackChannel = told.Client() })
	const to = "https://web.example.com/callback"
	i.addClient(clientregistry.Client{ID: "wiki", RedirectURIs: []string{to}, BackChannelLogoutURI: told.URL + "/wiki"}, webSecret)
	b := i.browser()
	code := b.login(webRequest("client_id", "wiki"), "alice", alicePassword).code()
	found := i.token(codeForm(code, "client_id", "", "redirect_uri", to), basic("wiki", webSecret))
	b.logOut(url.Values{"id_token_hint": {found.IDToken}}).wantStatus(http.StatusOK)
	check(t, i.handler.(*provider.Provider).Close(t.Context()))
	token := told.seen["/wiki"][0].PostForm.Get("logout_token")
	if a := i.userinfo(token); a.status != http.StatusUnauthorized {
		t.Errorf("userinfo: got status %d, want 401", a.status)
	}
	b.authorize(webRequest("id_token_hint", token)).wantError(oidc.InvalidRequest)
	b.logOut(url.Values{"id_token_hint": {token}}).wantPage(http.StatusBadRequest, "is not an ID token")
}

// The button on our own page, and the answer to the page that asks, tell the
// clients too; a refusal tells nobody.
func TestEveryLogoutTellsTheClients(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		do   func(*browser)
		want int
	}{
		"button":    {func(b *browser) { b.press(b.get("/"), "logout").wantStatus(http.StatusOK) }, 1},
		"confirmed": {func(b *browser) { b.press(b.logOut(nil), "logout").wantStatus(http.StatusOK) }, 1},
		"stayed":    {func(b *browser) { b.press(b.logOut(nil), "stay").wantStatus(http.StatusSeeOther) }, 0},
		"refused": {func(b *browser) {
			b.logOut(url.Values{"id_token_hint": {"x"}}).wantStatus(http.StatusBadRequest)
		}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			told := newReceiver(t)
			i := newIssuer(t, func(i *issuer) { i.config.BackChannel = told.Client() })
			const to = "https://web.example.com/callback"
			i.addClient(clientregistry.Client{ID: "wiki", RedirectURIs: []string{to}, BackChannelLogoutURI: told.URL + "/wiki"}, webSecret)
			b := i.browser()
			code := b.login(webRequest("client_id", "wiki"), "alice", alicePassword).code()
			i.token(codeForm(code, "client_id", "", "redirect_uri", to), basic("wiki", webSecret)).wantTokens()
			test.do(b)
			check(t, i.handler.(*provider.Provider).Close(t.Context()))
			if got := len(told.seen["/wiki"]); got != test.want {
				t.Errorf("told %d times, want %d", got, test.want)
			}
		})
	}
}
