// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package provider_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/tegata/tegata/internal/oidc"
)

// The attacks of RFC 9700 and of RFC 6819, as requests. Those that concern one
// rule alone stand beside the tests of that rule.

// RFC 9700, section 4.5: a code that was stolen is put into the thief's own
// login at the same client. The nonce and the code challenge are the victim's,
// so the client, or we, notice.
func TestInjectedCodeIsNoticed(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	const thiefVerifier = "a-verifier-that-the-thief-has-made-for-itself-0"
	stolen := i.browser().login(webRequest("nonce", "of-the-victim"), "alice", alicePassword).code()
	form := codeForm(stolen, "client_id", "", "redirect_uri", "https://web.example.com/callback", "code_verifier", thiefVerifier)
	i.token(form, basic("web", webSecret)).wantRefusal(oidc.InvalidGrant)
	form.Del("code_verifier")
	i.token(form, basic("web", webSecret)).wantRefusal(oidc.InvalidGrant)
	// At another client of the same provider it is worth nothing either.
	i.token(codeForm(stolen, "client_id", "", "redirect_uri", "https://web.example.com/callback"), basic("other", otherSecret)).wantRefusal(oidc.InvalidGrant)
	// A guess at the verifier has not used the code up: its owner still gets the tokens.
	owner := i.token(codeForm(stolen, "client_id", "", "redirect_uri", "https://web.example.com/callback"), basic("web", webSecret))
	owner.wantTokens()
	if got := claims(t, owner.IDToken)["nonce"]; got != "of-the-victim" {
		t.Errorf("nonce: got %v, want the victim's, which the thief's login does not have", got)
	}
}

// RFC 9700, section 4.4: a client of two providers must be able to tell whose
// answer it has. Every answer says so, in every mode.
func TestEveryAnswerNamesTheIssuerInEveryMode(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	for _, mode := range []string{"query", "fragment", "form_post"} {
		b := i.browser()
		page := b.authorize(webRequest("response_mode", mode))
		for name, a := range map[string]answered{
			"error":   b.authorize(webRequest("response_mode", mode, "scope", "email")),
			"none":    b.authorize(webRequest("response_mode", mode, "prompt", "none")),
			"code":    b.submit(page, "alice", alicePassword),
			"session": b.authorize(webRequest("response_mode", mode)),
			"cancel":  b.press(b.authorize(webRequest("response_mode", mode, "prompt", "consent")), "cancel"),
			"pushed":  b.authorize(use("web", i.push(webRequest("response_mode", mode), basic("web", webSecret)).uri())),
		} {
			_, fragment, _ := strings.Cut(a.header.Get("Location"), "#")
			got := a.query("iss")
			switch mode {
			case "fragment":
				values, err := url.ParseQuery(fragment)
				check(t, err)
				got = values.Get("iss")
			case "form_post":
				got = a.posted("https://web.example.com/callback").Get("iss")
			}
			if got != issuerURL {
				t.Errorf("%s, %s: got iss=%q, want %s; status %d, %v", mode, name, got, issuerURL, a.status, a.location)
			}
		}
	}
}

// RFC 9700, section 4.11: no place of ours sends a browser where nobody has
// registered an address, whatever it is sent.
func TestNoEndpointIsAnOpenRedirector(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	b := i.browser()
	b.login(webRequest(), "alice", alicePassword)
	hint := i.token(codeForm(b.authorize(webRequest()).code(), "client_id", "", "redirect_uri", "https://web.example.com/callback"), basic("web", webSecret)).IDToken
	page := b.authorize(webRequest("prompt", "login")).form().fields
	consent := b.authorize(webRequest("prompt", "consent")).form().fields
	for _, evil := range []string{"https://evil.example/", "//evil.example", "javascript:alert(1)", "https:evil.example", `\\evil.example`, "https://web.example.com@evil.example/"} {
		for name, a := range map[string]answered{
			"authorize":      b.authorize(webRequest("redirect_uri", evil)),
			"prompt=none":    b.authorize(webRequest("redirect_uri", evil, "prompt", "none")),
			"form_post":      b.authorize(webRequest("redirect_uri", evil, "response_mode", "form_post")),
			"fragment":       b.authorize(webRequest("redirect_uri", evil, "response_mode", "fragment")),
			"request_uri":    b.authorize(url.Values{"client_id": {"web"}, "request_uri": {evil}}),
			"request":        b.get("/authorize?client_id=web&request=" + url.QueryEscape(evil)),
			"post":           b.post("/authorize", webRequest("redirect_uri", evil), nil),
			"login":          b.send("POST", "/login?redirect_uri="+url.QueryEscape(evil), change(url.Values{"request": page["request"]}, "redirect_uri", evil, "login", "alice", "password", "wrong"), nil),
			"consent":        b.send("POST", "/consent?redirect_uri="+url.QueryEscape(evil), url.Values{"request": consent["request"], "redirect_uri": {evil}, "answer": {"x"}}, nil),
			"logout":         b.logOut(url.Values{"post_logout_redirect_uri": {evil}}),
			"logout, client": b.logOut(url.Values{"post_logout_redirect_uri": {evil}, "client_id": {"web"}}),
			"logout, hint":   b.logOut(url.Values{"post_logout_redirect_uri": {evil}, "id_token_hint": {hint}}),
			"logout, other":  b.logOut(url.Values{"redirect_uri": {evil}, "return_to": {evil}, "request": {evil}}),
			"confirm":        b.send("POST", "/logout/confirm?post_logout_redirect_uri="+url.QueryEscape(evil), url.Values{"request": {evil}, "answer": {"logout"}}, nil),
			"stay":           b.send("POST", "/logout/confirm", url.Values{"post_logout_redirect_uri": {evil}, "answer": {"stay"}}, nil),
			"home":           b.get("/?redirect_uri=" + url.QueryEscape(evil) + "&next=" + url.QueryEscape(evil)),
			"push":           i.push(webRequest("redirect_uri", evil), basic("web", webSecret)).answered,
		} {
			if a.location != nil && a.location.Host != "id.example.com" {
				t.Errorf("%s: %q: got a redirect to %v", name, evil, a.location)
			}
			if strings.Contains(a.body, `action="`+evil) || strings.Contains(a.body, `href="`+evil) || strings.Contains(a.header.Get("Refresh"), evil) {
				t.Errorf("%s: %q came into the page:\n%s", name, evil, a.body)
			}
		}
	}
	b.still()
}

// No form of ours does anything for another site, whatever it can know: it
// does not see our pages, and cannot make the browser send our cookies along.
func TestFormsOfOtherSitesDoNothing(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	i.dashboard()
	victim, thief := i.browser(), i.browser()
	victim.dashboardTokens()
	thief.login(webRequest(), "bob", bobPassword)
	crossSite := http.Header{"Sec-Fetch-Site": {"cross-site"}, "Origin": {"https://evil.example"}}
	for _, test := range []struct {
		path string
		url.Values
	}{
		// What the thief has seen on pages of its own.
		{"/login", change(thief.authorize(webRequest("prompt", "login")).form().fields, "login", "bob", "password", bobPassword)},
		{"/consent", change(thief.authorize(webRequest("prompt", "consent")).form().fields, "answer", "continue")},
		{"/logout/confirm", change(thief.logOut(nil).form().fields, "answer", "logout")},
		{"/logout/confirm", url.Values{"answer": {"logout"}}},
	} {
		before := i.count("grants") + i.count("sessions")
		victim.send("POST", test.path, test.Values, crossSite).wantPage(http.StatusForbidden, "belongs to another browser")
		// A browser that says nothing of where a form comes from still keeps
		// what is SameSite=Lax at home; without it there is nobody to act for.
		jar := victim.client.Jar
		victim.client.Jar = nil
		victim.send("POST", test.path, test.Values, nil)
		victim.client.Jar = jar
		if got := i.count("grants") + i.count("sessions"); got != before {
			t.Errorf("%s: got %d rows, want %d as before", test.path, got, before)
		}
		idToken := i.token(codeForm(victim.authorize(webRequest("prompt", "none")).code(), "client_id", "", "redirect_uri", "https://web.example.com/callback"), basic("web", webSecret)).IDToken
		if got := claims(t, idToken)["sub"]; got != string(i.alice) {
			t.Errorf("%s: the victim is now %v", test.path, got)
		}
	}
	// An image, or a form of another site, brings no cookie, and logs nobody out.
	victim.client.Jar, thief.client.Jar = thief.client.Jar, victim.client.Jar
	thief.still()
}

// A logout by somebody else's ID token is theirs to confirm, not ours to do.
func TestForeignIDTokenLogsNobodyOut(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	i.dashboard()
	victim, thief := i.browser(), i.browser()
	victim.dashboardTokens()
	a := thief.login(webRequest("client_id", "dashboard", "redirect_uri", dashboardURI), "bob", bobPassword)
	bobs := i.token(codeForm(a.code(), "client_id", "", "redirect_uri", dashboardURI), basic("dashboard", webSecret)).IDToken
	victim.logOut(url.Values{"id_token_hint": {bobs}}).wantPage(http.StatusOK, "Log out?")
	hop := thief.send("POST", "/logout", url.Values{"id_token_hint": {bobs}}, nil)
	victim.get(victim.resolve(hop.location.String())).wantPage(http.StatusOK, "Log out?")
	victim.still()
}

// Clickjacking (RFC 6819, section 4.4.1.9): no page of a login can be framed.
func TestNoPageCanBeFramed(t *testing.T) {
	t.Parallel()
	b := newIssuer(t).browser()
	login := b.authorize(webRequest())
	b.submit(login, "alice", alicePassword)
	for name, a := range map[string]answered{
		"login": login, "consent": b.authorize(webRequest("prompt", "consent")), "form_post": b.authorize(webRequest("response_mode", "form_post")),
		"log out": b.logOut(nil), "home": b.get("/"), "failure": b.authorize(url.Values{}), "logout failure": b.logOut(url.Values{"id_token_hint": {"x"}}),
		"logged out": b.press(b.get("/"), "logout"),
	} {
		if a.header.Get("X-Frame-Options") != "DENY" || !strings.Contains(a.header.Get("Content-Security-Policy"), "frame-ancestors 'none'") {
			t.Errorf("%s: got %v, want frames forbidden", name, a.header)
		}
		if a.header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: got Cache-Control %q, want no-store", name, a.header.Get("Cache-Control"))
		}
	}
}

// What a request says comes back in an address, a form or a page, never as a
// header or an element of its own.
func TestParametersStayParameters(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	i.dashboard()
	for _, text := range []string{
		"a\r\nSet-Cookie: evil=1", "a\nLocation: https://evil.example", "\r\n\r\n<script>alert(1)</script>", "a#b&code=evil&iss=evil",
		`"><script>alert(1)</script>`, "\u2028\u2029", "%0d%0aSet-Cookie:%20evil=1",
	} {
		b := i.browser()
		parameters := webRequest("state", text, "nonce", text, "ui_locales", text, "login_hint", text, "display", text, "acr_values", text, "unheard-of", text)
		page := b.authorize(parameters)
		for name, a := range map[string]answered{
			"page":         page,
			"error":        b.authorize(change(webRequest("state", text), "scope", text)),
			"code":         b.submit(page, "alice", alicePassword),
			"form_post":    b.authorize(webRequest("state", text, "response_mode", "form_post")),
			"fragment":     b.authorize(webRequest("state", text, "response_mode", "fragment")),
			"post":         b.send("POST", "/authorize", parameters, nil),
			"client":       b.authorize(webRequest("client_id", text)),
			"logout page":  b.logOut(url.Values{"state": {text}, "client_id": {"dashboard"}, "post_logout_redirect_uri": {goodbyeURI}, "logout_hint": {text}}),
			"logout":       b.press(b.logOut(url.Values{"state": {text}, "client_id": {"dashboard"}, "post_logout_redirect_uri": {goodbyeURI}}), "logout"),
			"logout error": b.logOut(url.Values{"client_id": {text}}),
		} {
			for _, cookie := range a.cookies {
				if cookie.Name == "evil" {
					t.Errorf("%s: %q became a cookie", name, text)
				}
			}
			if strings.Count(a.body, "<script") > strings.Count(a.body, "<script>document.forms[0].submit()</script>") {
				t.Errorf("%s: %q became an element:\n%s", name, text, a.body)
			}
			if a.location != nil {
				if got := a.location.Query().Get("iss"); got != "" && got != issuerURL {
					t.Errorf("%s: %q became another issuer: %v", name, text, a.location)
				}
				if strings.Contains(a.location.Host, "evil") || strings.ContainsAny(a.header.Get("Location"), "\r\n") {
					t.Errorf("%s: %q became an address: %v", name, text, a.location)
				}
			}
		}
	}
}

// A parameter that comes twice, in the address, in the form or in both, is not
// taken for one of them (RFC 6749, section 3.1).
func TestParametersThatComeTwice(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	for _, name := range []string{"response_mode", "claims", "acr_values", "display", "ui_locales", "login_hint", "id_token_hint", "request", "request_uri", "registration"} {
		i.browser().authorize(change(webRequest(), name, "")).wantStatus(http.StatusOK)
		parameters := webRequest()
		parameters[name] = []string{"a", "b"}
		if a := i.browser().authorize(parameters); a.query("error") != "invalid_request" {
			t.Errorf("%s: got status %d, %v; want invalid_request", name, a.status, a.location)
		}
		if p := i.push(parameters, basic("web", webSecret)); p.Code != oidc.InvalidRequest {
			t.Errorf("%s pushed: got %s, want invalid_request", name, p.body)
		}
	}
	b := i.browser()
	b.post("/logout?state=a", url.Values{"state": {"b"}}, nil).wantPage(http.StatusBadRequest, "more than once")
	// The form of a page counts, not what the address adds to it.
	page := b.authorize(webRequest())
	b.login(webRequest(), "bob", bobPassword)
	form := page.form()
	b.send("POST", "/login?login=alice&password="+url.QueryEscape(alicePassword), url.Values{"request": form.fields["request"]}, nil).wantStatus(http.StatusForbidden)
	consent := b.authorize(webRequest("prompt", "consent")).form().fields
	b.send("POST", "/consent?answer=continue", url.Values{"request": consent["request"]}, nil).wantStatus(http.StatusBadRequest)
	b.send("POST", "/logout/confirm?answer=logout", url.Values{"x": {"y"}}, nil).wantStatus(http.StatusSeeOther)
	b.still()
}

// Whatever nobody has authenticated for costs no row: pushed requests, logout
// requests, pages of every kind.
func TestFloodsWriteNothing(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	i.dashboard()
	hint := i.browser().dashboardTokens().IDToken
	tables := []string{"sessions", "grants", "users", "clients", "signing_keys", "issuers"}
	before := map[string]int{}
	for _, table := range tables {
		before[table] = i.count(table)
	}
	b, anybody := i.browser(), i.browser()
	b.login(webRequest(), "alice", alicePassword)
	before["sessions"]++
	before["grants"]++
	for n := range 300 {
		state := fmt.Sprint(n)
		uri := i.push(request("state", state), nil).uri()
		for _, a := range []answered{
			anybody.authorize(use("kubernetes", uri)),
			anybody.authorize(webRequest("state", state, "response_mode", "form_post", "prompt", "none")),
			anybody.logOut(url.Values{"state": {state}, "client_id": {"dashboard"}}),
			anybody.send("POST", "/logout", url.Values{"state": {state}, "id_token_hint": {hint}}, nil),
			anybody.send("POST", "/consent", url.Values{"request": {uri}, "answer": {"continue"}}, nil),
			anybody.send("POST", "/logout/confirm", url.Values{"request": {uri}, "answer": {"logout"}}, nil),
			// With a session, but without an answer of the person.
			b.authorize(request("state", state)),
			b.logOut(url.Values{"state": {state}}),
		} {
			if a.status >= 500 {
				t.Fatalf("round %d: got status %d:\n%s", n, a.status, a.body)
			}
		}
	}
	for _, table := range tables {
		if got := i.count(table); got != before[table] {
			t.Errorf("%s: got %d rows, want %d as before", table, got, before[table])
		}
	}
}

// Everything that is read has a bound.
func TestOversizeInputIsRefusedEverywhere(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	b := i.browser()
	b.login(webRequest(), "alice", alicePassword)
	huge := strings.Repeat("x", 70<<10)
	for _, path := range []string{"/authorize", "/login", "/consent", "/logout", "/logout/confirm"} {
		a := b.send("POST", path, url.Values{"client_id": {huge}, "request": {huge}, "claims": {huge}, "state": {huge}, "id_token_hint": {huge}}, nil)
		if a.status != http.StatusBadRequest || len(a.body) > 8<<10 {
			t.Errorf("%s: got status %d with %d bytes, want 400 and a page", path, a.status, len(a.body))
		}
	}
	for _, name := range []string{"claims", "acr_values", "display", "response_mode", "login_hint", "ui_locales", "nonce", "state", "prompt"} {
		if a := b.authorize(webRequest(name, strings.Repeat("x", 2049))); a.query("error") != "invalid_request" {
			t.Errorf("%s: got status %d, %v; want invalid_request", name, a.status, a.location)
		}
	}
	// The longest that is taken fits into the pages, and into the rows.
	long := strings.Repeat("n", 2000)
	names := make([]string, 0, 200)
	for n := range 100 {
		names = append(names, fmt.Sprintf(`"claim-%03d":null`, n))
	}
	parameters := webRequest("nonce", long, "state", long, "login_hint", long, "claims", `{"userinfo":{`+strings.Join(names, ",")+`}}`)
	b.authorize(parameters).code()
	if a := b.authorize(change(parameters, "prompt", "consent")); a.status != http.StatusOK || len(a.body) > 24<<10 {
		t.Errorf("got status %d with %d bytes, want a page", a.status, len(a.body))
	}
	if a := b.send("GET", "/", nil, http.Header{"User-Agent": {strings.Repeat("u", 8<<10)}}); a.status != http.StatusOK {
		t.Errorf("a long user agent: got status %d, want 200", a.status)
	}
}

// Session fixation: whatever cookies somebody plants, a login makes new ones,
// and no page that was open before is the person's now.
func TestPlantedCookiesAreWorthNothing(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	thief := i.browser()
	planted := sessionCookie(t, thief.login(webRequest(), "bob", bobPassword))
	address, err := url.Parse(issuerURL)
	check(t, err)
	victim := i.browser()
	victim.client.Jar.SetCookies(address, thief.client.Jar.Cookies(address)) // both, session and browser
	consent := thief.authorize(webRequest("prompt", "consent"))
	victim.login(webRequest("prompt", "login"), "alice", alicePassword)
	// The thief's session has ended, and its cookie opens nothing of alice's.
	thief.gone()
	stale := i.browser()
	stale.header.Set("Cookie", planted.Name+"="+planted.Value)
	stale.gone()
	// A page that the thief was shown before is about bob's session, not alice's.
	victim.press(consent, "continue").wantPage(http.StatusOK, `name="password"`)
	i.clock.advance(time.Minute)
	idToken := i.token(codeForm(victim.authorize(webRequest()).code(), "client_id", "", "redirect_uri", "https://web.example.com/callback"), basic("web", webSecret)).IDToken
	if got := claims(t, idToken)["sub"]; got != string(i.alice) {
		t.Errorf("sub: got %v, want alice's", got)
	}
}
