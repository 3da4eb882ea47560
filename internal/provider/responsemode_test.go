// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package provider_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/tegata/tegata/internal/oidc"
)

// posted reads the answer out of the page that carries it to the client, and
// checks where it goes.
func (a answered) posted(to string) url.Values {
	a.t.Helper()
	a.wantPage(http.StatusOK, "Going back to the application")
	found := a.form()
	if found.action != to {
		a.t.Errorf("the form goes to %q, want %q", found.action, to)
	}
	return found.fields
}

func TestFormPostCarriesCodesAndErrors(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	const to = "https://web.example.com/callback"
	state := `a "state" & <more>`
	b := i.browser()
	page := b.authorize(webRequest("response_mode", "form_post", "state", state))
	a := b.submit(page, "alice", alicePassword)
	answer := a.posted(to)
	if answer.Get("state") != state || answer.Get("iss") != issuerURL || a.location != nil {
		t.Errorf("got %v, want the state and our issuer", answer)
	}
	form := codeForm(answer.Get("code"), "client_id", "", "redirect_uri", to)
	i.token(form, basic("web", webSecret)).wantTokens()
	// A session answers in the same way, and so does every error.
	if got := b.authorize(webRequest("response_mode", "form_post")).posted(to); got.Get("code") == "" {
		t.Errorf("got %v, want a code", got)
	}
	for name, test := range map[string]struct {
		url.Values
		want oidc.ErrorCode
	}{
		"response type": {webRequest("response_type", "token"), oidc.UnsupportedResponseType},
		"no type":       {webRequest("response_type", ""), oidc.InvalidRequest},
		"scope":         {webRequest("scope", "email"), oidc.InvalidScope},
		"request":       {webRequest("request", "e30.e30."), oidc.RequestNotSupported},
		"repeated":      {url.Values{"nonce": {"a", "b"}}, oidc.InvalidRequest},
		"PKCE":          {webRequest("code_challenge_method", "plain"), oidc.InvalidRequest},
		"prompt=none":   {webRequest("prompt", "none"), oidc.LoginRequired},
	} {
		parameters := webRequest("response_mode", "form_post")
		for key, values := range test.Values {
			parameters[key] = values
		}
		if test.Values.Get("response_type") == "" && name == "no type" {
			parameters.Del("response_type")
		}
		answer := i.in(t).browser().authorize(parameters).posted(to)
		if answer.Get("error") != string(test.want) || answer.Get("state") != "a-state" || answer.Get("iss") != issuerURL || answer.Has("code") {
			t.Errorf("%s: got %v, want the error %s with state and issuer", name, answer, test.want)
		}
	}
}

// Whoever has no script presses the button; the policy lets the form go to
// where clients are, and no script run but the one.
func TestFormPostPageIsStrict(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	a := i.browser().authorize(webRequest("response_mode", "form_post", "prompt", "none"))
	a.posted("https://web.example.com/callback")
	policy := a.header.Get("Content-Security-Policy")
	if !strings.Contains(policy, "default-src 'none'") || !strings.Contains(policy, "script-src 'sha256-") || strings.Contains(policy, "unsafe") ||
		!strings.Contains(policy, "frame-ancestors 'none'") || formAction(a) != " 'self' https:" {
		t.Errorf("got the policy %q", policy)
	}
	if strings.Count(a.body, "<script") != 1 || !strings.Contains(a.body, `<button type="submit"`) {
		t.Errorf("got %s, want one script and a button", a.body)
	}
	if a.header.Get("Cache-Control") != "no-store" || a.header.Get("Referrer-Policy") != "strict-origin" {
		t.Errorf("got Cache-Control %q, Referrer-Policy %q", a.header.Get("Cache-Control"), a.header.Get("Referrer-Policy"))
	}
}

func TestFragmentCarriesCodesAndErrors(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	b := i.browser()
	fragment := func(a answered, base string) url.Values {
		t.Helper()
		if a.location == nil || a.status != http.StatusSeeOther {
			t.Fatalf("got status %d, want a redirect", a.status)
		}
		// As it was sent: url.URL decodes the fragment once.
		before, after, _ := strings.Cut(a.header.Get("Location"), "#")
		values, err := url.ParseQuery(after)
		if err != nil || before != base {
			t.Errorf("got %s, %v; want %s and the answer behind #", a.header.Get("Location"), err, base)
		}
		return values
	}
	const to = "https://app.example.com/query?tenant=a"
	request := func(changes ...string) url.Values {
		return change(request("response_mode", "fragment", "redirect_uri", to, "state", "a b&c=d#e"), changes...)
	}
	refused := fragment(b.authorize(request("prompt", "none")), to)
	if refused.Get("error") != "login_required" || refused.Get("iss") != issuerURL || refused.Get("state") != "a b&c=d#e" {
		t.Errorf("got %v, want login_required", refused)
	}
	granted := fragment(b.submit(b.authorize(request()), "alice", alicePassword), to)
	if granted.Get("state") != "a b&c=d#e" || granted.Get("iss") != issuerURL {
		t.Errorf("got %v, want state and issuer", granted)
	}
	i.token(codeForm(granted.Get("code"), "redirect_uri", to), nil).wantTokens()
}

// The answer to a wrong response_mode goes the way that the response type has
// by itself.
func TestQueryIsTheDefaultResponseMode(t *testing.T) {
	t.Parallel()
	b := newIssuer(t).browser()
	for _, mode := range []string{"", "query"} {
		if a := b.authorize(request("response_mode", mode, "prompt", "none")); a.query("error") != "login_required" {
			t.Errorf("response_mode=%q: got %v, want the error in the query", mode, a.location)
		}
	}
	for _, mode := range []string{"jwt", "query.jwt", "fragment ", "form_post query"} {
		b.authorize(request("response_mode", mode)).wantError(oidc.InvalidRequest)
	}
}
