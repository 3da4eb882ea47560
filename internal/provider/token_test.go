// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package provider_test

import (
	"context"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tegata/tegata/internal/clientregistry"
	"github.com/tegata/tegata/internal/identity/local"
	"github.com/tegata/tegata/internal/oidc"
	"github.com/tegata/tegata/internal/provider"
	"github.com/tegata/tegata/internal/provider/grant"
	"github.com/tegata/tegata/internal/seal"
	"github.com/tegata/tegata/internal/secret"
	"github.com/tegata/tegata/internal/signingkey"
)

func TestIDTokenClaims(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	b := i.browser()
	code := b.login(request(), "alice", alicePassword).code()
	i.clock.advance(30 * time.Second)
	got := i.token(codeForm(code), nil)
	got.wantTokens()
	found := claims(t, got.IDToken)
	for _, name := range []string{"jti", "sid"} {
		if text, _ := found[name].(string); len(text) < 16 {
			t.Errorf("%s: got %v, want something that cannot be met twice", name, found[name])
		}
		delete(found, name)
	}
	now := birth.Unix() + 30
	want := map[string]any{
		"iss": issuerURL, "sub": string(i.alice), "aud": "kubernetes",
		"iat": fmt.Sprint(now), "exp": fmt.Sprint(now + 900), "auth_time": fmt.Sprint(birth.Unix()),
		"nonce": "a-nonce", "acr": "urn:oasis:names:tc:SAML:2.0:ac:classes:PasswordProtectedTransport", "amr": []any{"pwd"}, "at_hash": oidc.AccessTokenHash("RS256", secret.New(got.AccessToken)),
		"email": "alice@example.com", "email_verified": true, "name": "Alice Archer", "preferred_username": "alice",
		"groups": []any{"platform-engineer", "readers"},
	}
	for _, name := range []string{"iat", "exp", "auth_time"} {
		found[name] = fmt.Sprint(found[name])
	}
	if diff := cmp.Diff(want, found); diff != "" {
		t.Errorf("the claims of the ID token (-want +got):\n%s", diff)
	}
	if got.ExpiresIn != 900 || got.Scope != "openid" || got.TokenType != "Bearer" {
		t.Errorf("got %s, want expires_in 900, scope openid and token_type Bearer", got.body)
	}
}

func TestIDTokenOfAUserWithoutAnything(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	code := i.browser().login(request("nonce", ""), "bob", bobPassword).code()
	found := claims(t, i.token(codeForm(code), nil).IDToken)
	for _, name := range []string{"email", "email_verified", "name", "nonce"} {
		if value, ok := found[name]; ok {
			t.Errorf("%s: got %v, want no such claim", name, value)
		}
	}
	if groups, ok := found["groups"].([]any); !ok || len(groups) != 0 {
		t.Errorf("groups: got %#v, want an empty list", found["groups"])
	}
}

func TestIDTokenCarriesTheNonce(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	for _, nonce := range []string{"n-0S6_WzA2Mj", `a "quoted" & <nonce>`, "日本", strings.Repeat("n", 2048)} {
		if got := claims(t, i.logIn("nonce", nonce).IDToken)["nonce"]; got != nonce {
			t.Errorf("got %q, want %q", got, nonce)
		}
	}
}

func TestAuthTimeIsOfTheLogin(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	b := i.browser()
	b.login(request(), "alice", alicePassword)
	i.clock.advance(time.Hour)
	first := i.token(codeForm(b.again(request()).code()), nil)
	i.clock.advance(time.Hour)
	second := i.refresh(first.RefreshToken)
	for name, token := range map[string]string{"session": first.IDToken, "refresh": second.IDToken} {
		if got, want := fmt.Sprint(claims(t, token)["auth_time"]), fmt.Sprint(birth.Unix()); got != want {
			t.Errorf("%s: got auth_time %s, want %s", name, got, want)
		}
	}
}

func TestGroupsClaimHasItsName(t *testing.T) {
	t.Parallel()
	i := newIssuer(t, func(i *issuer) { i.config.GroupsClaim = "cognito:groups" })
	i.addClient(clientregistry.Client{ID: "roles", RedirectURIs: []string{"http://localhost:8000"}, GroupsClaim: "https://example.com/roles"}, "")
	for client, want := range map[string]string{"kubernetes": "cognito:groups", "roles": "https://example.com/roles"} {
		code := i.browser().login(request("client_id", client, "scope", "openid groups"), "alice", alicePassword).code()
		found := i.token(codeForm(code, "client_id", client), nil)
		for where, claims := range map[string]map[string]any{"ID token": claims(t, found.IDToken), "userinfo": jsonOf(t, i.userinfo(found.AccessToken))} {
			if diff := cmp.Diff([]any{"platform-engineer", "readers"}, claims[want]); diff != "" {
				t.Errorf("%s of %s: %s (-want +got):\n%s", where, client, want, diff)
			}
			if claims["groups"] != nil {
				t.Errorf("%s of %s: got the claim groups too", where, client)
			}
		}
	}
}

func TestClientChoosesTheAlgorithm(t *testing.T) {
	t.Parallel()
	i := newIssuer(t, func(i *issuer) { i.config.SigningAlg = "ES256" })
	for _, alg := range signingkey.Algorithms() {
		i.addClient(clientregistry.Client{ID: oidc.ClientID(alg), RedirectURIs: []string{"http://localhost:8000"}, SigningAlg: alg}, "")
	}
	for client, want := range map[string]string{"RS256": "RS256", "ES256": "ES256", "kubernetes": "ES256"} {
		code := i.browser().login(request("client_id", client), "alice", alicePassword).code()
		found := i.token(codeForm(code, "client_id", client), nil)
		if got := header(t, found.IDToken)["alg"]; got != want {
			t.Errorf("%s: got alg %v, want %s", client, got, want)
		}
		if got, want := claims(t, found.IDToken)["at_hash"], oidc.AccessTokenHash(want, secret.New(found.AccessToken)); got != want {
			t.Errorf("%s: got at_hash %v, want %s", client, got, want)
		}
	}
	if got := header(t, newIssuer(t).logIn().IDToken)["alg"]; got != "RS256" {
		t.Errorf("by default: got alg %v, want RS256", got)
	}
}

func TestTokensNameTheirKindAndKey(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	found := i.logIn()
	kids := map[any]bool{}
	keys, _ := jsonOf(t, i.browser().get("/keys"))["keys"].([]any)
	for _, key := range keys {
		kids[key.(map[string]any)["kid"]] = true
	}
	for name, test := range map[string]struct{ token, typ string }{
		"ID token": {found.IDToken, "JWT"}, "access token": {found.AccessToken, "at+jwt"},
	} {
		h := header(t, test.token)
		if h["typ"] != test.typ || !kids[h["kid"]] || len(h) != 3 {
			t.Errorf("%s: got header %v, want typ %s, a kid of the key set and an alg", name, h, test.typ)
		}
	}
}

func TestTokenTakesOnlyPost(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	code := i.browser().login(request(), "alice", alicePassword).code()
	for _, method := range []string{"GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS"} {
		a := i.browser().send(method, "/token?"+codeForm(code).Encode(), nil, nil)
		if a.status != http.StatusMethodNotAllowed {
			t.Errorf("%s: got status %d, want 405", method, a.status)
		}
		if got := a.header.Get("Allow"); !strings.Contains(got, "POST") {
			t.Errorf("%s: got Allow %q, want POST in it", method, got)
		}
	}
	i.token(codeForm(code), nil).wantTokens()
}

func TestTokenReadsTheBodyAlone(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	code := i.browser().login(request(), "alice", alicePassword).code()
	b := i.browser()
	for _, contentType := range []string{"", "application/json", "text/plain", "multipart/form-data; boundary=x", "application/x-www-form-urlencodedx"} {
		r, err := http.NewRequestWithContext(t.Context(), "POST", issuerURL+"/token?"+codeForm(code).Encode(), strings.NewReader(codeForm(code).Encode()))
		check(t, err)
		if contentType != "" {
			r.Header.Set("Content-Type", contentType)
		}
		if a := b.do(r); a.status != http.StatusBadRequest || !strings.Contains(a.body, "invalid_request") {
			t.Errorf("Content-Type %q: got status %d, %s; want 400 invalid_request", contentType, a.status, a.body)
		}
	}
	b.token(url.Values{}, http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}).wantRefusal(oidc.InvalidClient)
	got := tokens{answered: b.send("POST", "/token?"+codeForm(code).Encode(), url.Values{}, nil)}
	if got.status != http.StatusUnauthorized {
		t.Errorf("parameters in the address: got status %d, %s; want a refusal", got.status, got.body)
	}
	i.token(codeForm(code), http.Header{"Content-Type": {"application/x-www-form-urlencoded; charset=UTF-8"}}).wantTokens()
}

func TestTokenErrors(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	twice := codeForm("x.y")
	twice["code"] = []string{"x.y", "x.y"}
	clientTwice := codeForm("x.y")
	clientTwice["client_id"] = []string{"kubernetes", "kubernetes"}
	for _, test := range []struct {
		name string
		form url.Values
		want oidc.ErrorCode
	}{
		{"nothing", url.Values{}, oidc.InvalidClient},
		{"no grant type", codeForm("x.y", "grant_type", ""), oidc.InvalidRequest},
		{"unknown grant type", codeForm("x.y", "grant_type", "password"), oidc.UnsupportedGrantType},
		{"grant type in another case", codeForm("x.y", "grant_type", "Authorization_Code"), oidc.UnsupportedGrantType},
		{"grant type of others", codeForm("x.y", "grant_type", "client_credentials"), oidc.UnauthorizedClient},
		{"no code", codeForm(""), oidc.InvalidRequest},
		{"code of nobody", codeForm("x.y"), oidc.InvalidGrant},
		{"code without its parts", codeForm("x"), oidc.InvalidGrant},
		{"code of dots", codeForm("..."), oidc.InvalidGrant},
		{"code with markup", codeForm("<script>.x"), oidc.InvalidGrant},
		{"code twice", twice, oidc.InvalidRequest},
		{"client twice", clientTwice, oidc.InvalidRequest},
		{"no refresh token", refreshForm(""), oidc.InvalidRequest},
		{"unknown client", codeForm("x.y", "client_id", "nobody"), oidc.InvalidClient},
		{"no client", codeForm("x.y", "client_id", ""), oidc.InvalidClient},
	} {
		t.Run(test.name, func(t *testing.T) { i.in(t).token(test.form, nil).wantRefusal(test.want) })
	}
}

func TestTokenAnswersAreNotStored(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	found := i.logIn()
	for name, a := range map[string]answered{
		"tokens": found.answered, "refresh": i.refresh(found.RefreshToken).answered,
		"refusal": i.refresh("x").answered, "client refusal": i.token(codeForm("x", "client_id", "nobody"), nil).answered,
		"userinfo": i.userinfo(found.AccessToken), "userinfo refusal": i.userinfo("x"),
	} {
		if a.header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: got Cache-Control %q, want no-store", name, a.header.Get("Cache-Control"))
		}
		if got := a.header.Get("Content-Type"); got != "application/json" {
			t.Errorf("%s: got Content-Type %q, want application/json", name, got)
		}
	}
}

func TestSecondUseOfACodeEndsItsGrant(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	bystander := i.logIn()
	code := i.browser().login(request(), "alice", alicePassword).code()
	first := i.token(codeForm(code), nil)
	first.wantTokens()
	second := i.refresh(first.RefreshToken)
	second.wantTokens()
	i.token(codeForm(code), nil).wantRefusal(oidc.InvalidGrant)
	i.refresh(second.RefreshToken).wantRefusal(oidc.InvalidGrant)
	i.refresh(first.RefreshToken).wantRefusal(oidc.InvalidGrant)
	for _, accessToken := range []string{first.AccessToken, second.AccessToken} {
		if a := i.userinfo(accessToken); a.status != http.StatusUnauthorized || !strings.Contains(a.header.Get("WWW-Authenticate"), "invalid_token") {
			t.Errorf("userinfo: got status %d, %q; want 401 invalid_token", a.status, a.header.Get("WWW-Authenticate"))
		}
	}
	i.token(codeForm(code), nil).wantRefusal(oidc.InvalidGrant)
	// Another login of the same person has nothing to do with it.
	i.refresh(bystander.RefreshToken).wantTokens()
	bystander.wantTokens()
}

func TestCodeIsExchangedOnceOfManyAtOnce(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	b := i.browser()
	for range 5 {
		code := i.browser().login(request(), "alice", alicePassword).code()
		results := make([]tokens, 8)
		var exchanging sync.WaitGroup
		for n := range results {
			exchanging.Go(func() { results[n] = b.token(codeForm(code), nil) })
		}
		exchanging.Wait()
		won := 0
		for _, result := range results {
			if result.status == http.StatusOK {
				won++
				// Somebody else had the code too, so what it gave has ended.
				i.refresh(result.RefreshToken).wantRefusal(oidc.InvalidGrant)
			} else {
				result.wantRefusal(oidc.InvalidGrant)
			}
		}
		if won != 1 {
			t.Errorf("got %d exchanges of one code, want 1", won)
		}
	}
}

func TestCodeIsBoundToItsRequest(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	for _, test := range []struct {
		name   string
		form   func(code string) url.Values
		header http.Header
		want   oidc.ErrorCode
	}{
		{"another public client", func(code string) url.Values { return codeForm(code, "client_id", "laptop") }, nil, oidc.InvalidGrant},
		{"a confidential client", func(code string) url.Values { return codeForm(code, "client_id", "") }, basic("web", webSecret), oidc.InvalidGrant},
		{"no redirect URI", func(code string) url.Values { return codeForm(code, "redirect_uri", "") }, nil, oidc.InvalidGrant},
		{"another port", func(code string) url.Values { return codeForm(code, "redirect_uri", "http://localhost:8001") }, nil, oidc.InvalidGrant},
		{"another slash", func(code string) url.Values { return codeForm(code, "redirect_uri", "http://localhost:8000/") }, nil, oidc.InvalidGrant},
		{"another redirect URI of the client", func(code string) url.Values {
			return codeForm(code, "redirect_uri", "https://app.example.com/callback")
		}, nil, oidc.InvalidGrant},
		{"code with another end", func(code string) url.Values { return codeForm(code[:len(code)-1] + "_") }, nil, oidc.InvalidGrant},
		{"code in another case", func(code string) url.Values { return codeForm(strings.ToLower(code)) }, nil, oidc.InvalidGrant},
		{"code with a space", func(code string) url.Values { return codeForm(code + " ") }, nil, oidc.InvalidGrant},
		{"grant's ID alone", func(code string) url.Values { id, _, _ := strings.Cut(code, "."); return codeForm(id + ".") }, nil, oidc.InvalidGrant},
	} {
		t.Run(test.name, func(t *testing.T) {
			i := i.in(t)
			code := i.browser().login(request(), "alice", alicePassword).code()
			i.token(test.form(code), test.header).wantRefusal(test.want)
			// The refusal did not use the code up: nobody but its owner can.
			i.token(codeForm(code), nil).wantTokens()
		})
	}
}

func TestCodeNeedsItsVerifier(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	for _, test := range []struct{ name, verifier string }{
		{"missing", ""},
		{"wrong", strings.Replace(verifier, "d", "e", 1)},
		{"the challenge itself", challenge},
		{"too short", verifier[:42]},
		{"too long", strings.Repeat("a", 129)},
		{"padded", verifier + "="},
		{"with a space", verifier + " "},
	} {
		t.Run(test.name, func(t *testing.T) {
			i := i.in(t)
			code := i.browser().login(request(), "alice", alicePassword).code()
			i.token(codeForm(code, "code_verifier", test.verifier), nil).wantRefusal(oidc.InvalidGrant)
			i.token(codeForm(code), nil).wantTokens()
		})
	}
	t.Run("confidential client that sent a challenge", func(t *testing.T) {
		i := i.in(t)
		code := i.browser().login(webRequest(), "alice", alicePassword).code()
		form := codeForm(code, "client_id", "", "redirect_uri", "https://web.example.com/callback", "code_verifier", "")
		i.token(form, basic("web", webSecret)).wantRefusal(oidc.InvalidGrant)
	})
}

func TestVerifierWithoutChallengeIsRefused(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	code := i.browser().login(webRequest("code_challenge", "", "code_challenge_method", ""), "alice", alicePassword).code()
	form := codeForm(code, "client_id", "", "redirect_uri", "https://web.example.com/callback")
	i.token(form, basic("web", webSecret)).wantRefusal(oidc.InvalidGrant)
}

func TestCodeExpires(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	code := i.browser().login(request(), "alice", alicePassword).code()
	i.clock.advance(time.Minute)
	i.token(codeForm(code), nil).wantRefusal(oidc.InvalidGrant)
	code = i.browser().login(request(), "alice", alicePassword).code()
	i.clock.advance(time.Minute - time.Millisecond)
	i.token(codeForm(code), nil).wantTokens()
}

func TestCodeEndsWithItsUser(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	one := i.browser().login(request(), "alice", alicePassword).code()
	check(t, i.rows.SetDisabled(t.Context(), i.alice, true, i.clock.Now()))
	i.token(codeForm(one), nil).wantRefusal(oidc.InvalidGrant)
	two := i.browser().login(request(), "bob", bobPassword).code()
	check(t, i.rows.DeleteAccount(t.Context(), i.bob, i.clock.Now()))
	i.token(codeForm(two), nil).wantRefusal(oidc.InvalidGrant)
}

func TestClientAuthenticatesAtTheTokenEndpoint(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	rawBasic := func(pair string) http.Header {
		return http.Header{"Authorization": {"Basic " + base64.StdEncoding.EncodeToString([]byte(pair))}}
	}
	for _, test := range []struct {
		name    string
		header  http.Header
		changes []string
		want    oidc.ErrorCode // empty: tokens
	}{
		{"basic", basic("web", webSecret), []string{"client_id", ""}, ""},
		{"basic and the same client_id", basic("web", webSecret), []string{"client_id", "web"}, ""},
		{"in lower case", http.Header{"Authorization": {strings.Replace(basic("web", webSecret).Get("Authorization"), "Basic", "basic", 1)}}, []string{"client_id", ""}, ""},
		{"post", nil, []string{"client_id", "web", "client_secret", webSecret}, ""},
		{"both", basic("web", webSecret), []string{"client_id", "web", "client_secret", webSecret}, oidc.InvalidRequest},
		{"basic and another client_id", basic("web", webSecret), []string{"client_id", "kubernetes"}, oidc.InvalidRequest},
		{"none", nil, []string{"client_id", "web"}, oidc.InvalidClient},
		{"wrong in the header", basic("web", "wrong"), []string{"client_id", ""}, oidc.InvalidClient},
		{"wrong in the body", nil, []string{"client_id", "web", "client_secret", "wrong"}, oidc.InvalidClient},
		{"another client's secret", basic("web", otherSecret), []string{"client_id", ""}, oidc.InvalidClient},
		{"the hash for the secret", basic("web", clientregistry.HashSecret(secret.New(webSecret))), []string{"client_id", ""}, oidc.InvalidClient},
		{"empty in the header", rawBasic("web:"), []string{"client_id", ""}, oidc.InvalidClient},
		{"secret of a public client in the header", basic("kubernetes", "anything"), []string{"client_id", ""}, oidc.InvalidClient},
		{"secret of a public client in the body", nil, []string{"client_secret", "anything"}, oidc.InvalidClient},
		{"not form-encoded", rawBasic("web:100%zz"), []string{"client_id", ""}, oidc.InvalidClient},
		{"no colon", rawBasic("web"), []string{"client_id", ""}, oidc.InvalidClient},
		{"no base64", http.Header{"Authorization": {"Basic !!"}}, []string{"client_id", "web", "client_secret", webSecret}, oidc.InvalidClient},
		{"bearer", bearer("x"), []string{"client_id", "web", "client_secret", webSecret}, oidc.InvalidClient},
	} {
		t.Run(test.name, func(t *testing.T) {
			i := i.in(t)
			code := i.browser().login(webRequest(), "alice", alicePassword).code()
			form := codeForm(code, append([]string{"redirect_uri", "https://web.example.com/callback"}, test.changes...)...)
			got := i.token(form, test.header)
			if test.want == "" {
				got.wantTokens()
				return
			}
			got.wantRefusal(test.want)
			if challenge := got.header.Get("WWW-Authenticate"); test.want == oidc.InvalidClient && !strings.HasPrefix(challenge, "Basic ") {
				t.Errorf("WWW-Authenticate: got %q, want Basic", challenge)
			}
			if strings.Contains(got.body, "wrong secret") || strings.Contains(got.body, "no such client") {
				t.Errorf("the answer says what was wrong: %s", got.body)
			}
			// A refused client used nothing up.
			i.token(codeForm(code, "client_id", "", "redirect_uri", "https://web.example.com/callback"), basic("web", webSecret)).wantTokens()
		})
	}
}

func TestRefreshRotates(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	current := i.logIn()
	seen := []string{current.RefreshToken}
	for n := range 5 {
		i.clock.advance(time.Hour)
		next := i.refresh(current.RefreshToken)
		next.wantTokens()
		if slices.Contains(seen, next.RefreshToken) {
			t.Errorf("refresh %d: got a refresh token that was given before", n+1)
		}
		seen = append(seen, next.RefreshToken)
		current = next
	}
}

func TestRefreshKeepsTheLogin(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	first := i.logIn()
	i.clock.advance(time.Hour)
	second := i.refresh(first.RefreshToken)
	before, after := claims(t, first.IDToken), claims(t, second.IDToken)
	for _, name := range []string{"iss", "sub", "aud", "auth_time", "sid"} {
		if before[name] == nil || fmt.Sprint(before[name]) != fmt.Sprint(after[name]) {
			t.Errorf("%s: got %v, want %v", name, after[name], before[name])
		}
	}
	if nonce, ok := after["nonce"]; ok {
		t.Errorf("nonce: got %v, want none at a refresh", nonce)
	}
	if before["jti"] == after["jti"] {
		t.Error("jti: got the same twice")
	}
	now := birth.Add(time.Hour).Unix()
	if got, want := fmt.Sprintf("%v %v", after["iat"], after["exp"]), fmt.Sprintf("%d %d", now, now+900); got != want {
		t.Errorf("iat and exp: got %s, want %s", got, want)
	}
	if got, want := after["at_hash"], oidc.AccessTokenHash("RS256", secret.New(second.AccessToken)); got != want {
		t.Errorf("at_hash: got %v, want %s", got, want)
	}
}

func TestRefreshAsksTheSourceAgain(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	first := i.logIn()
	_, err := i.rows.RemoveMember(t.Context(), "platform-engineer", i.alice)
	check(t, err)
	second := i.refresh(first.RefreshToken)
	if diff := cmp.Diff([]any{"readers"}, claims(t, second.IDToken)["groups"]); diff != "" {
		t.Errorf("groups after one was left (-want +got):\n%s", diff)
	}
}

func TestRefreshEndsWithItsUser(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name string
		end  func(*issuer) error
	}{
		{"disabled", func(i *issuer) error { return i.rows.SetDisabled(i.t.Context(), i.alice, true, i.clock.Now()) }},
		{"deleted", func(i *issuer) error { return i.rows.DeleteAccount(i.t.Context(), i.alice, i.clock.Now()) }},
		{"another password", func(i *issuer) error {
			return i.rows.SetPassword(i.t.Context(), i.alice, local.NewPassword{Hash: ""}, i.clock.Now())
		}},
		{"client deleted", func(i *issuer) error { return i.rows.DeleteClient(i.t.Context(), "kubernetes") }},
	} {
		t.Run(test.name, func(t *testing.T) {
			i := newIssuer(t)
			found := i.logIn()
			check(t, test.end(i))
			if got := i.refresh(found.RefreshToken); got.status != 400 && got.status != 401 || got.IDToken != "" {
				t.Errorf("got status %d, %s; want a refusal", got.status, got.body)
			}
			if a := i.userinfo(found.AccessToken); a.status != http.StatusUnauthorized {
				t.Errorf("userinfo: got status %d, want 401", a.status)
			}
		})
	}
}

func TestRefreshTokenIsBoundToItsClient(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	found := i.logIn()
	i.refresh(found.RefreshToken, "client_id", "laptop").wantRefusal(oidc.InvalidGrant)
	i.token(refreshForm(found.RefreshToken, "client_id", ""), basic("web", webSecret)).wantRefusal(oidc.InvalidGrant)
	i.refresh(found.RefreshToken).wantTokens() // and nobody else could end it

	code := i.browser().login(webRequest(), "alice", alicePassword).code()
	web := i.token(codeForm(code, "client_id", "", "redirect_uri", "https://web.example.com/callback"), basic("web", webSecret))
	i.token(refreshForm(web.RefreshToken, "client_id", "web"), nil).wantRefusal(oidc.InvalidClient)
	i.token(refreshForm(web.RefreshToken, "client_id", ""), basic("other", otherSecret)).wantRefusal(oidc.InvalidGrant)
	i.token(refreshForm(web.RefreshToken, "client_id", ""), basic("web", webSecret)).wantTokens()
}

func TestReplayEndsTheGrant(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name string
		wait time.Duration
		old  func(first, second tokens) string
		uses int // of the chain after the first token
	}{
		{"the one before, outside the window", 31 * time.Second, func(first, _ tokens) string { return first.RefreshToken }, 1},
		{"two before, inside the window", 0, func(first, _ tokens) string { return first.RefreshToken }, 2},
	} {
		t.Run(test.name, func(t *testing.T) {
			i := newIssuer(t)
			bystander := i.logIn()
			first := i.logIn()
			current := first
			for range test.uses {
				current = i.refresh(current.RefreshToken)
				current.wantTokens()
			}
			i.clock.advance(test.wait)
			i.refresh(test.old(first, current)).wantRefusal(oidc.InvalidGrant)
			i.refresh(current.RefreshToken).wantRefusal(oidc.InvalidGrant)
			if a := i.userinfo(current.AccessToken); a.status != http.StatusUnauthorized {
				t.Errorf("userinfo: got status %d, want 401", a.status)
			}
			i.refresh(bystander.RefreshToken).wantTokens() // another device
		})
	}
}

func TestRefreshRejectsReusedTokenOfAThief(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	stolen := i.logIn()
	// The thief is first; the owner comes later with the same token.
	thief := i.refresh(stolen.RefreshToken)
	i.clock.advance(time.Hour)
	i.refresh(stolen.RefreshToken).wantRefusal(oidc.InvalidGrant)
	i.refresh(thief.RefreshToken).wantRefusal(oidc.InvalidGrant)
}

func TestLostAnswerIsGivenAgain(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	first := i.logIn()
	lost := i.refresh(first.RefreshToken)
	i.clock.advance(30 * time.Second)
	again := i.refresh(first.RefreshToken)
	again.wantTokens()
	if again.RefreshToken != lost.RefreshToken {
		t.Error("got another successor, want the one that was lost")
	}
	i.refresh(again.RefreshToken).wantTokens()
}

func TestManyRefreshesAtOnceGetOneSuccessor(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	b := i.browser()
	current := i.logIn()
	for range 20 { // rounds: once in some hundred refreshes two went apart
		results := make([]tokens, 20)
		var refreshing sync.WaitGroup
		for n := range results {
			refreshing.Go(func() { results[n] = b.token(refreshForm(current.RefreshToken), nil) })
		}
		refreshing.Wait()
		for _, result := range results {
			result.wantTokens()
			if result.RefreshToken != results[0].RefreshToken {
				t.Fatal("two of the simultaneous refreshes got different successors")
			}
		}
		current = results[0]
		i.clock.advance(time.Hour)
	}
	i.refresh(current.RefreshToken).wantTokens()
}

// staleStorage tells that a refresh token was rotated by somebody else before
// that can be read: what a storage must not do, and one did.
type staleStorage struct {
	provider.Storage
	stale bool
}

func (s *staleStorage) RotateRefreshToken(ctx context.Context, id string, from int, now time.Time) error {
	if s.stale {
		return grant.ErrSuperseded
	}
	return s.Storage.RotateRefreshToken(ctx, id, from, now)
}

// Whatever the storage says: a client never gets back the refresh token that
// it sent, as if it were new. To use it later would end the grant.
func TestRefreshNeverGivesTheSameTokenBack(t *testing.T) {
	t.Parallel()
	storage := &staleStorage{}
	i := newIssuer(t, func(i *issuer) {
		storage.Storage = i.config.Storage
		i.config.Storage = storage
	})
	found := i.logIn()
	storage.stale = true
	if got := i.refresh(found.RefreshToken); got.RefreshToken == found.RefreshToken || got.status == http.StatusOK {
		t.Errorf("got status %d with the token that was sent, want it refused for now", got.status)
	}
	storage.stale = false
	i.refresh(found.RefreshToken).wantTokens()
}

func TestGuessedRefreshTokenEndsNothing(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	found := i.logIn()
	parts := strings.Split(found.RefreshToken, ".")
	if len(parts) != 3 {
		t.Fatalf("got a refresh token of %d parts, want 3", len(parts))
	}
	// Another issuer's token for the same grant.
	foreign := newIssuer(t, func(i *issuer) { i.config.Secret = seal.RandomKey() }).logIn().RefreshToken
	foreignMAC := strings.Split(foreign, ".")[2]
	for name, guess := range map[string]string{
		"garbage": "garbage", "dots": "..", "no MAC": parts[0] + "." + parts[1] + ".", "foreign": foreign,
		"foreign MAC": parts[0] + "." + parts[1] + "." + foreignMAC,
		"zero":        parts[0] + ".0." + parts[2], "next": parts[0] + ".2." + parts[2], "negative": parts[0] + ".-1." + parts[2],
		"leading zero": parts[0] + ".01." + parts[2], "sign": parts[0] + ".+1." + parts[2],
		"huge": parts[0] + ".99999999999999999999." + parts[2], "fourth part": found.RefreshToken + ".x",
		"padded": found.RefreshToken + "=", "line break": found.RefreshToken + "\n", "space": " " + found.RefreshToken,
		"upper case": strings.ToUpper(found.RefreshToken), "another grant": "x" + found.RefreshToken, "NUL": found.RefreshToken + "\x00",
		"access token": found.AccessToken, "ID token": found.IDToken,
	} {
		if got := i.refresh(guess); got.Code != string(oidc.InvalidGrant) {
			t.Errorf("%s: got status %d, %s; want invalid_grant", name, got.status, got.body)
		}
	}
	i.refresh(found.RefreshToken).wantTokens()
}

func TestIdleGrantExpires(t *testing.T) {
	t.Parallel()
	i := newIssuer(t, lasting(provider.Lifetimes{RefreshIdle: time.Hour}))
	current := i.logIn()
	for range 3 {
		i.clock.advance(time.Hour)
		current = i.refresh(current.RefreshToken)
		current.wantTokens()
	}
	i.clock.advance(time.Hour + time.Millisecond)
	i.refresh(current.RefreshToken).wantRefusal(oidc.InvalidGrant)
}

func TestGrantExpiresEvenIfItIsUsed(t *testing.T) {
	t.Parallel()
	i := newIssuer(t, lasting(provider.Lifetimes{RefreshAbsolute: 3 * time.Hour}))
	current := i.logIn()
	for range 2 {
		i.clock.advance(time.Hour)
		current = i.refresh(current.RefreshToken)
		current.wantTokens()
	}
	i.clock.advance(time.Hour)
	i.refresh(current.RefreshToken).wantRefusal(oidc.InvalidGrant)
	if a := i.userinfo(current.AccessToken); a.status != http.StatusUnauthorized {
		t.Errorf("userinfo: got status %d, want 401", a.status)
	}
}

func TestRefreshCannotWidenTheScope(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	current := i.logIn("scope", "openid email groups")
	for _, wide := range []string{"openid profile", "profile", "openid email groups offline_access", "unheard-of"} {
		i.refresh(current.RefreshToken, "scope", wide).wantRefusal(oidc.InvalidScope)
	}
	narrow := i.refresh(current.RefreshToken, "scope", "openid email")
	narrow.wantTokens()
	if narrow.Scope != "openid email" {
		t.Errorf("scope: got %q, want openid email", narrow.Scope)
	}
	if found := jsonOf(t, i.userinfo(narrow.AccessToken)); found["groups"] != nil || found["email"] == nil {
		t.Errorf("userinfo: got %v, want the e-mail address and no groups", found)
	}
	// RFC 6749, section 6: the refresh token keeps the scope that was granted.
	whole := i.refresh(narrow.RefreshToken)
	if whole.Scope != "openid email groups" {
		t.Errorf("scope: got %q, want all that was granted", whole.Scope)
	}
}

func TestEachLoginIsAGrantOfItsOwn(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	laptop, desktop := i.logIn(), i.logIn()
	for range 3 {
		i.clock.advance(time.Hour)
		laptop = i.refresh(laptop.RefreshToken)
		desktop = i.refresh(desktop.RefreshToken)
		laptop.wantTokens()
		desktop.wantTokens()
	}
}

// A restart loses nothing and starts nothing: keys, grants and sessions are
// those of before.
func TestRestartLosesNothing(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	b := i.browser()
	found := i.token(codeForm(b.login(request(), "alice", alicePassword).code()), nil)
	code := b.again(request()).code()
	page := b.authorize(request("prompt", "login"))
	i.restart()
	if a := i.userinfo(found.AccessToken); a.status != http.StatusOK {
		t.Errorf("userinfo: got status %d, want 200", a.status)
	}
	i.refresh(found.RefreshToken).wantTokens()
	i.token(codeForm(code), nil).wantTokens()
	b.again(request()).code()
	b.submit(page, "alice", alicePassword).code()
}
