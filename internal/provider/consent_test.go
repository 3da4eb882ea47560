// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package provider_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/tegata/tegata/internal/clientregistry"
	"github.com/tegata/tegata/internal/oidc"
)

// A program on the person's machine can say that it is any public client, so a
// session alone gives it nothing (RFC 8252, section 8.6).
func TestSessionDoesNotSilentlyServeNativeClients(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	i.addClient(clientregistry.Client{ID: "asks-never", Consent: "never", RedirectURIs: []string{"http://localhost:8000"}}, "")
	i.addClient(clientregistry.Client{ID: "asks-always", Consent: "always", RedirectURIs: []string{"https://web.example.com/callback"}}, otherSecret)
	i.addClient(clientregistry.Client{ID: "confidential", RedirectURIs: []string{"http://localhost:8000"}}, webSecret)
	b := i.browser()
	b.login(webRequest(), "alice", alicePassword)
	for _, test := range []struct {
		name string
		url.Values
		asks bool
	}{
		{"public, localhost", request(), true},
		{"public, loopback address", request("redirect_uri", "http://127.0.0.1:1234/callback"), true},
		{"public, IPv6 loopback address", request("redirect_uri", "http://[::1]:1234/callback"), true},
		{"public, private-use scheme", request("redirect_uri", "com.example.app:/callback"), true},
		{"public, https", request("redirect_uri", "https://app.example.com/callback"), false},
		{"public, never", request("client_id", "asks-never"), false},
		{"confidential, https", webRequest(), false},
		{"confidential, localhost", request("client_id", "confidential"), false},
		{"confidential, always", webRequest("client_id", "asks-always"), true},
		{"prompt=consent", webRequest("prompt", "consent"), true},
		{"prompt=consent, never", request("client_id", "asks-never", "prompt", "consent"), true},
		{"prompt=select_account", webRequest("prompt", "select_account"), true},
		{"prompt=select_account, never", request("client_id", "asks-never", "prompt", "select_account"), true},
	} {
		t.Run(test.name, func(t *testing.T) {
			b := *b
			b.t = t
			before := i.count("grants")
			a := b.authorize(test.Values)
			if !test.asks {
				if a.query("code") == "" {
					t.Errorf("got status %d, location %v; want a code", a.status, a.location)
				}
				return
			}
			a.wantPage(http.StatusOK, "Continue as Alice Archer?")
			if got := i.count("grants"); got != before {
				t.Errorf("got %d grants, want %d as before: nobody has agreed yet", got, before)
			}
			if test.Get("prompt") == "" {
				b.authorize(change(test.Values, "prompt", "none")).wantError(oidc.ConsentRequired)
			}
		})
	}
}

func TestPersonAnswersTheConsentPage(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	b := i.browser()
	b.login(request(), "alice", alicePassword)
	i.clock.advance(time.Minute)
	t.Run("continue", func(t *testing.T) {
		i := i.in(t)
		page := b.authorize(request("scope", "openid email"))
		page.wantPage(http.StatusOK, "<strong>Production cluster</strong> wants to use your login.")
		page.wantPage(http.StatusOK, "Continue only if you have just started it yourself.")
		a := b.press(page, "continue")
		a.wantStatus(http.StatusSeeOther)
		found := i.token(codeForm(a.code()), nil)
		if found.Scope != "openid email" || a.query("state") != "a-state" || a.query("iss") != issuerURL {
			t.Errorf("got %v and scope %q, want what was asked", a.location, found.Scope)
		}
	})
	t.Run("cancel", func(t *testing.T) {
		before := i.count("grants")
		b.press(b.authorize(request()), "cancel").wantError(oidc.AccessDenied)
		if got := i.count("grants"); got != before {
			t.Errorf("got %d grants, want %d as before", got, before)
		}
	})
	t.Run("somebody else", func(t *testing.T) {
		i := i.in(t)
		page := b.press(b.authorize(request()), "other")
		page.wantPage(http.StatusOK, `name="password"`)
		if got := page.form().fields.Get("login"); got != "" {
			t.Errorf("the name in the form: got %q, want none", got)
		}
		idToken := i.token(codeForm(b.submit(page, "bob", bobPassword).code()), nil).IDToken
		if got := claims(t, idToken)["sub"]; got != string(i.bob) {
			t.Errorf("sub: got %v, want %s", got, i.bob)
		}
		b.authorize(request()).wantPage(http.StatusOK, "Continue as bob?")
	})
	t.Run("neither", func(t *testing.T) {
		for _, answer := range []string{"", "yes", "CONTINUE"} {
			if a := b.press(b.authorize(request()), answer); a.status != http.StatusBadRequest || a.location != nil {
				t.Errorf("%q: got status %d, location %v; want a page", answer, a.status, a.location)
			}
		}
	})
}

// A login page names the client, so typing the password is agreement enough,
// unless more is wanted.
func TestConsentAfterALogin(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	i.addClient(clientregistry.Client{ID: "careful", Consent: "always", RedirectURIs: []string{"https://web.example.com/callback"}, Scopes: oidc.Scopes{"openid", "email", "offline_access"}}, otherSecret)
	for _, test := range []struct {
		name string
		url.Values
		asks bool
	}{
		{"public", request(), false},
		{"select_account", request("prompt", "select_account"), false},
		{"login", request("prompt", "login"), false},
		{"prompt=consent", request("prompt", "consent"), true},
		{"prompt=login consent", webRequest("prompt", "login consent"), true},
		{"always", webRequest("client_id", "careful"), true},
	} {
		t.Run(test.name, func(t *testing.T) {
			i := i.in(t)
			b := i.browser()
			grants := i.count("grants")
			a := b.submit(b.authorize(test.Values), "alice", alicePassword)
			if !test.asks {
				a.code()
				return
			}
			a.wantPage(http.StatusOK, "Continue as Alice Archer?")
			if got := i.count("grants"); got != grants {
				t.Errorf("got %d grants, want %d: nobody has agreed yet", got, grants)
			}
			b.press(a, "continue").code()
		})
	}
	t.Run("says what the client gets", func(t *testing.T) {
		i := i.in(t)
		for scope, parts := range map[string][2]string{
			"openid":                {"e-mail address", "full name|groups|logged out"},
			"openid offline_access": {"logged out", "full name|groups"},
		} {
			b := i.browser()
			page := b.submit(b.authorize(webRequest("client_id", "careful", "scope", scope)), "alice", alicePassword)
			page.wantPage(http.StatusOK, parts[0])
			for part := range strings.SplitSeq(parts[1], "|") {
				if strings.Contains(page.body, part) {
					t.Errorf("%s: the page says %q, which the client does not get:\n%s", scope, part, page.body)
				}
			}
		}
	})
}

// What a person agreed to is one page, in one browser, for one session.
func TestConsentIsBoundToBrowserAndSession(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	mine := i.browser()
	mine.login(request(), "alice", alicePassword)
	page := mine.authorize(request())
	page.wantPage(http.StatusOK, "Continue as")
	const expired = "expired or belongs to another browser"

	t.Run("another browser", func(t *testing.T) {
		i := i.in(t)
		for _, who := range [][2]string{{"bob", bobPassword}, {"alice", alicePassword}} {
			b := i.browser()
			b.login(request(), who[0], who[1])
			b.press(page, "continue").wantPage(http.StatusBadRequest, expired)
		}
		i.browser().press(page, "continue").wantPage(http.StatusBadRequest, expired)
	})
	t.Run("a login page is no consent page", func(t *testing.T) {
		i := i.in(t)
		b := i.browser()
		login := b.authorize(request())
		b.login(request(), "alice", alicePassword)
		form := login.form()
		form.fields.Set("answer", "continue")
		b.send("POST", "/consent", form.fields, nil).wantPage(http.StatusOK, `name="password"`)
	})
	t.Run("another session in the same browser", func(t *testing.T) {
		i := i.in(t)
		b := i.browser()
		b.login(request(), "alice", alicePassword)
		page := b.authorize(request())
		b.login(request("prompt", "login"), "bob", bobPassword)
		b.press(page, "continue").wantPage(http.StatusOK, `name="password"`)
	})
	t.Run("a session that has ended", func(t *testing.T) {
		i := i.in(t)
		b := i.browser()
		b.login(request(), "alice", alicePassword)
		page := b.authorize(request())
		check(t, i.rows.SetDisabled(t.Context(), i.alice, true, i.clock.Now()))
		b.press(page, "continue").wantPage(http.StatusOK, `name="password"`)
		check(t, i.rows.SetDisabled(t.Context(), i.alice, false, i.clock.Now()))
	})
	t.Run("tampered", func(t *testing.T) {
		form := page.form()
		form.fields.Set("answer", "continue")
		sealed := form.fields.Get("request")
		for _, text := range []string{"", "x", sealed[:len(sealed)-2], "A" + sealed[1:]} {
			form.fields.Set("request", text)
			if a := mine.send("POST", "/consent", form.fields, nil); a.status != http.StatusBadRequest || a.location != nil {
				t.Errorf("got status %d, location %v; want a page", a.status, a.location)
			}
		}
	})
	t.Run("too late", func(t *testing.T) {
		i := newIssuer(t)
		b := i.browser()
		b.login(request(), "alice", alicePassword)
		page := b.authorize(request())
		i.clock.advance(30 * time.Minute)
		b.press(page, "continue").wantPage(http.StatusBadRequest, expired)
	})
	t.Run("a client that was taken away", func(t *testing.T) {
		i := i.in(t)
		b := i.browser()
		b.login(request(), "bob", bobPassword)
		page := b.authorize(request("client_id", "laptop"))
		check(t, i.rows.DeleteClient(t.Context(), "laptop"))
		b.press(page, "continue").wantPage(http.StatusBadRequest, "not registered")
		b.press(page, "cancel").wantPage(http.StatusBadRequest, "not registered")
	})
}

func TestConsentPageSpeaksTheLanguageOfTheRequest(t *testing.T) {
	t.Parallel()
	b := newIssuer(t).browser()
	b.login(request(), "alice", alicePassword)
	page := b.authorize(request("ui_locales", "ja"))
	page.wantPage(http.StatusOK, "Alice Archer のまま続けますか？")
	b.press(page, "other").wantPage(http.StatusOK, `<html lang="ja">`)
}

func TestConsentInFormPost(t *testing.T) {
	t.Parallel()
	b := newIssuer(t).browser()
	b.login(webRequest(), "alice", alicePassword)
	page := b.authorize(webRequest("prompt", "consent", "response_mode", "form_post"))
	const to = "https://web.example.com/callback"
	if got := b.press(page, "cancel").posted(to); got.Get("error") != "access_denied" || got.Get("state") != "a-state" {
		t.Errorf("got %v, want access_denied", got)
	}
	if got := b.press(page, "continue").posted(to); got.Get("code") == "" {
		t.Errorf("got %v, want a code", got)
	}
}
