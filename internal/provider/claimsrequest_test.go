// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package provider_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tegata/tegata/internal/clientregistry"
	"github.com/tegata/tegata/internal/oidc"
)

const acrPassword = "urn:oasis:names:tc:SAML:2.0:ac:classes:PasswordProtectedTransport"

func TestClaimsChooseTheEndUser(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	b := i.browser()
	b.login(webRequest(), "bob", bobPassword)
	for _, test := range []struct {
		name, claims string
		answers      bool // bob's session does
	}{
		{"bob", `{"id_token":{"sub":{"value":"%[2]s"}}}`, true},
		{"alice", `{"id_token":{"sub":{"value":"%[1]s"}}}`, false},
		{"alice, of userinfo", `{"userinfo":{"sub":{"value":"%[1]s"}}}`, false},
		{"one of two", `{"id_token":{"sub":{"values":["%[1]s","%[2]s"]}}}`, true},
		{"anybody", `{"id_token":{"sub":null}}`, true},
		{"anybody, essential", `{"id_token":{"sub":{"essential":true}}}`, true},
		{"nobody", `{"id_token":{"sub":{"value":"nobody"}}}`, false},
		{"another case", `{"ID_TOKEN":{"sub":{"value":"%[1]s"}}}`, true},
		{"another place", `{"sub":{"value":"%[1]s"}}`, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			claims := fmt.Sprintf(test.claims+"%.0[1]s%.0[2]s", i.alice, i.bob)
			a := b.authorize(webRequest("prompt", "none", "claims", claims))
			if test.answers != (a.query("code") != "") || !test.answers && a.query("error") != "login_required" {
				t.Errorf("%s: got %v, want answered = %v", claims, a.location, test.answers)
			}
		})
	}
	// Who logs in instead must be the one.
	page := b.authorize(webRequest("claims", fmt.Sprintf(`{"id_token":{"sub":{"value":"%s"}}}`, i.alice)))
	b.submit(page, "bob", bobPassword).wantError(oidc.LoginRequired)
	b.submit(page, "alice", alicePassword).code()
	// Two names for the one end user cannot both be right.
	hint := i.logIn().IDToken
	b.authorize(webRequest("id_token_hint", hint, "claims", fmt.Sprintf(`{"id_token":{"sub":{"value":"%s"}}}`, i.bob))).wantError(oidc.InvalidRequest)
	b.authorize(webRequest("claims", fmt.Sprintf(`{"id_token":{"sub":{"value":"%s"}},"userinfo":{"sub":{"value":"%s"}}}`, i.alice, i.bob))).wantError(oidc.InvalidRequest)
}

func TestEssentialACRIsMetOrRefused(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	for _, test := range []struct {
		name, claims string
		want         oidc.ErrorCode
	}{
		{"ours", `{"id_token":{"acr":{"essential":true,"value":"` + acrPassword + `"}}}`, ""},
		{"ours among others", `{"id_token":{"acr":{"essential":true,"values":["urn:mfa","` + acrPassword + `"]}}}`, ""},
		{"whatever", `{"id_token":{"acr":{"essential":true}}}`, ""},
		{"another, voluntary", `{"id_token":{"acr":{"value":"urn:mfa"}}}`, ""},
		{"another", `{"id_token":{"acr":{"essential":true,"value":"urn:mfa"}}}`, oidc.UnmetAuthenticationRequirements},
		{"others", `{"id_token":{"acr":{"essential":true,"values":["urn:mfa","2",3]}}}`, oidc.UnmetAuthenticationRequirements},
		{"no text", `{"id_token":{"acr":{"essential":true,"value":1}}}`, oidc.UnmetAuthenticationRequirements},
	} {
		t.Run(test.name, func(t *testing.T) {
			i := i.in(t)
			b := i.browser()
			a := b.authorize(request("claims", test.claims))
			if test.want != "" {
				a.wantError(test.want)
				return
			}
			idToken := i.token(codeForm(b.submit(a, "alice", alicePassword).code()), nil).IDToken
			if got := claims(t, idToken)["acr"]; got != acrPassword {
				t.Errorf("acr: got %v, want %s", got, acrPassword)
			}
		})
	}
}

// acr_values is a wish: what cannot be had is not an error, and the ID token
// says what was (OpenID Connect Core 1.0, section 3.1.2.1).
func TestACRIsAnsweredTruthfully(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	b := i.browser()
	for _, a := range []answered{
		b.login(request("acr_values", "urn:mfa 1"), "alice", alicePassword),
		b.again(request("acr_values", acrPassword)), // the session knows how it began
	} {
		found := i.token(codeForm(a.code()), nil)
		for _, token := range []string{found.IDToken, i.refresh(found.RefreshToken).IDToken} {
			said := claims(t, token)
			if diff := cmp.Diff([]any{acrPassword, []any{"pwd"}}, []any{said["acr"], said["amr"]}); diff != "" {
				t.Errorf("acr and amr (-want +got):\n%s", diff)
			}
		}
	}
}

func TestAuthTimeIsAlwaysThere(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	for _, parameters := range [][]string{{"claims", `{"id_token":{"auth_time":{"essential":true}}}`}, {"max_age", "10"}, {}} {
		if got, want := fmt.Sprint(claims(t, i.logIn(parameters...).IDToken)["auth_time"]), fmt.Sprint(birth.Unix()); got != want {
			t.Errorf("%v: got auth_time %s, want %s", parameters, got, want)
		}
	}
}

func TestUserinfoHasWhatWasAskedByName(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	i.addClient(clientregistry.Client{ID: "narrow", RedirectURIs: []string{"http://localhost:8000"}, Scopes: oidc.Scopes{"openid", "email"}}, "")
	sub := string(i.alice)
	for _, test := range []struct {
		name, client, scope, claims string
		want                        map[string]any
	}{
		{"nothing", "kubernetes", "openid", `{}`, map[string]any{"sub": sub}},
		{"one", "kubernetes", "openid", `{"userinfo":{"name":{"essential":true}}}`, map[string]any{"sub": sub, "name": "Alice Archer"}},
		{"beside a scope", "kubernetes", "openid email", `{"userinfo":{"groups":null,"email":null}}`, map[string]any{
			"sub": sub, "email": "alice@example.com", "email_verified": true, "groups": []any{"platform-engineer", "readers"},
		}},
		{"in an ID token", "kubernetes", "openid", `{"id_token":{"email":null}}`, map[string]any{"sub": sub}},
		{"unknown", "kubernetes", "openid", `{"userinfo":{"phone_number":{"essential":true},"a b":null,"":null,"iss":null,"acr":null}}`, map[string]any{"sub": sub}},
		{"beyond the client", "narrow", "openid", `{"userinfo":{"name":null,"groups":null,"email_verified":null}}`, map[string]any{"sub": sub, "email_verified": true}},
		{"a value that is another's", "kubernetes", "openid", `{"userinfo":{"email":{"value":"bob@example.com"}}}`, map[string]any{"sub": sub, "email": "alice@example.com"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			i := i.in(t)
			code := i.browser().login(request("client_id", test.client, "scope", test.scope, "claims", test.claims), "alice", alicePassword).code()
			found := i.token(codeForm(code, "client_id", test.client), nil)
			for name, token := range map[string]string{"first": found.AccessToken, "renewed": i.refresh(found.RefreshToken, "client_id", test.client).AccessToken} {
				if diff := cmp.Diff(test.want, jsonOf(t, i.userinfo(token))); diff != "" {
					t.Errorf("%s (-want +got):\n%s", name, diff)
				}
			}
		})
	}
}

func TestClaimsThatCannotBeReadAreRefused(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	for _, text := range []string{
		"x", "[]", "null", "1", `"a"`, "{", `{"id_token":[]}`, `{"id_token":1}`, `{"id_token":{"sub":"alice"}}`, `{"id_token":{"sub":[]}}`,
		`{"userinfo":{"name":{"essential":"yes"}}}`, `{"userinfo":{"name":{"values":"x"}}}`, `{"id_token":{"sub":{"value":7}}}`, `{}{}`,
		strings.Repeat("[", 2000),
	} {
		i.browser().authorize(request("claims", text)).wantError(oidc.InvalidRequest)
	}
	// What is understood is taken, and what is unknown left alone.
	for _, text := range []string{`{}`, `{"id_token":null,"userinfo":null}`, `{"vp_token":[1,2]}`, ` {"id_token" : {"x":{"y":[]}}} `} {
		i.browser().authorize(request("claims", text)).wantStatus(http.StatusOK)
	}
}
