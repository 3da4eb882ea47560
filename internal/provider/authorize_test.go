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

	"github.com/tegata/tegata/internal/clientregistry"
	"github.com/tegata/tegata/internal/oidc"
)

func TestAuthorizeTakesGetAndPost(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	for _, method := range []string{"GET", "POST"} {
		t.Run(method, func(t *testing.T) {
			i := i.in(t)
			b := i.browser()
			page := b.get("/authorize?" + request().Encode())
			if method == "POST" {
				page = b.post("/authorize", request(), nil)
			}
			page.wantPage(http.StatusOK, "Production cluster")
			a := b.submit(page, "alice", alicePassword)
			if got := a.location.String(); !strings.HasPrefix(got, "http://localhost:8000?") {
				t.Errorf("got %s, want a redirect to the client", got)
			}
			i.token(codeForm(a.code()), nil).wantTokens()
		})
	}
}

func TestAuthorizeRefusals(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	long := strings.Repeat("x", 2049)
	for _, test := range []struct {
		name string
		url.Values
		want oidc.ErrorCode
	}{
		{"no response type", request("response_type", ""), oidc.InvalidRequest},
		{"implicit", request("response_type", "token"), oidc.UnsupportedResponseType},
		{"implicit ID token", request("response_type", "id_token"), oidc.UnsupportedResponseType},
		{"hybrid", request("response_type", "code id_token"), oidc.UnsupportedResponseType},
		{"no scope", request("scope", ""), oidc.InvalidScope},
		{"scope without openid", request("scope", "profile email"), oidc.InvalidScope},
		{"unknown response mode", request("response_mode", "web_message"), oidc.InvalidRequest},
		{"response mode in capitals", request("response_mode", "QUERY"), oidc.InvalidRequest},
		{"form_post to a private-use scheme", request("response_mode", "form_post", "redirect_uri", "com.example.app:/callback"), oidc.InvalidRequest},
		{"unknown prompt", request("prompt", "create"), oidc.InvalidRequest},
		{"prompt none and login", request("prompt", "none login"), oidc.InvalidRequest},
		{"max_age of letters", request("max_age", "soon"), oidc.InvalidRequest},
		{"negative max_age", request("max_age", "-1"), oidc.InvalidRequest},
		{"max_age with a fraction", request("max_age", "1.5"), oidc.InvalidRequest},
		{"max_age beyond all numbers", request("max_age", "99999999999999999999"), oidc.InvalidRequest},
		{"state too long", request("state", long), oidc.InvalidRequest},
		{"nonce too long", request("nonce", long), oidc.InvalidRequest},
		{"unknown parameter too long", request("foo", long), oidc.InvalidRequest},
	} {
		t.Run(test.name, func(t *testing.T) {
			i := i.in(t)
			a := i.browser().authorize(test.Values)
			a.wantError(test.want)
			if got, want := a.query("state"), test.Get("state"); got != want {
				t.Errorf("state: got %.80q, want %.80q", got, want)
			}
		})
	}
}

func TestAuthorizeRequiresOpenID(t *testing.T) {
	t.Parallel()
	newIssuer(t).browser().authorize(request("scope", "profile openidx")).wantError(oidc.InvalidScope)
}

func TestAuthorizeTakesOnlyCode(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	for _, responseType := range []string{"token", "id_token", "none", "code token", "code id_token token", "CODE"} {
		t.Run(responseType, func(t *testing.T) {
			i := i.in(t)
			i.browser().authorize(request("response_type", responseType)).wantError(oidc.UnsupportedResponseType)
		})
	}
}

func TestRequestObjectsAreRefused(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	i.browser().authorize(request("request", "eyJhbGciOiJub25lIn0.e30.")).wantError(oidc.RequestNotSupported)
	i.browser().authorize(request("request_uri", "https://evil.example/object")).wantError(oidc.RequestURINotSupported)
	i.browser().authorize(request("registration", `{"client_name":"x"}`)).wantError(oidc.RegistrationNotSupported)
}

func TestUnknownParametersAreIgnored(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	i.browser().login(request("display", "popup", "acr_values", "1", "claims_locales", "de", "resource", "x", "unheard-of", "yes"), "alice", alicePassword).code()
}

// RFC 6749, section 3.1: parameters sent without a value are treated as if
// they were omitted.
func TestParameterWithoutValueIsOmitted(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	for _, name := range []string{"request", "request_uri", "response_mode", "prompt", "max_age", "login_hint", "nonce", "display", "ui_locales", "id_token_hint"} {
		t.Run(name, func(t *testing.T) {
			i := i.in(t)
			parameters := request()
			parameters.Set(name, "")
			i.browser().login(parameters, "alice", alicePassword).code()
		})
	}
	t.Run("state", func(t *testing.T) {
		i := i.in(t)
		parameters := request()
		parameters.Set("state", "")
		if a := i.browser().login(parameters, "alice", alicePassword); a.location.Query().Has("state") {
			t.Errorf("got %v, want no state: an empty one was not sent", a.location)
		}
	})
	t.Run("required", func(t *testing.T) {
		i := i.in(t)
		parameters := request()
		parameters.Set("response_type", "")
		i.browser().authorize(parameters).wantError(oidc.InvalidRequest)
	})
}

func TestRepeatedParametersAreRefused(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	for _, name := range []string{"client_id", "redirect_uri"} {
		t.Run(name, func(t *testing.T) {
			i := i.in(t)
			parameters := request()
			parameters.Add(name, parameters.Get(name))
			i.browser().authorize(parameters).wantPage(http.StatusBadRequest, name)
		})
	}
	for _, name := range []string{"response_type", "scope", "state", "nonce", "code_challenge", "code_challenge_method", "prompt", "max_age", "unknown"} {
		t.Run(name, func(t *testing.T) {
			i := i.in(t)
			parameters := request()
			parameters[name] = []string{parameters.Get(name), parameters.Get(name)}
			i.browser().authorize(parameters).wantError(oidc.InvalidRequest)
		})
	}
	t.Run("once in the address and once in the form", func(t *testing.T) {
		i := i.in(t)
		i.browser().post("/authorize?client_id=laptop", request(), nil).wantPage(http.StatusBadRequest, "client_id")
		i.browser().post("/authorize?scope=openid", request(), nil).wantError(oidc.InvalidRequest)
	})
}

func TestUnknownClientGetsAPage(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	for _, test := range []struct{ name, client, part string }{
		{"unknown", "nobody", "The application that sent you here is not registered."},
		{"missing", "", "client_id must be given"},
		{"another case", "Kubernetes", "is not registered"},
		{"markup", "<script>alert(1)</script>", "&lt;script&gt;alert(1)&lt;/script&gt;"},
		{"SQL", "' OR 1=1 --", "is not registered"},
		{"NUL", "kubernetes\x00", "is not registered"},
		{"long", strings.Repeat("k", 8000), "is not registered"},
	} {
		t.Run(test.name, func(t *testing.T) {
			i := i.in(t)
			a := i.browser().authorize(request("client_id", test.client))
			a.wantPage(http.StatusBadRequest, test.part)
			if strings.Contains(a.body, "<script") || len(a.body) > 8000 {
				t.Errorf("the client's ID came through: %d bytes:\n%s", len(a.body), a.body)
			}
		})
	}
}

func TestUnregisteredRedirectURIIsNeverFollowed(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	for _, test := range []struct{ name, uri string }{
		{"missing", ""},
		{"another host", "https://evil.example/callback"},
		{"another scheme", "http://app.example.com/callback"},
		{"scheme in capitals", "HTTPS://app.example.com/callback"},
		{"host in capitals", "https://APP.example.com/callback"},
		{"path in capitals", "https://app.example.com/Callback"},
		{"slash at the end", "https://app.example.com/callback/"},
		{"slash at the end of the host", "http://localhost:8000/"},
		{"path below", "https://app.example.com/callback/x"},
		{"path above", "https://app.example.com/callback/../evil"},
		{"encoded slash", "https://app.example.com%2Fcallback"},
		{"encoded letter", "https://app.example.com/%63allback"},
		{"semicolon", "https://app.example.com/callback;a=b"},
		{"query", "https://app.example.com/callback?x=y"},
		{"another query", "https://app.example.com/query?tenant=b"},
		{"query with more", "https://app.example.com/query?tenant=a&x=y"},
		{"empty query", "https://app.example.com/callback?"},
		{"fragment", "https://app.example.com/callback#evil"},
		{"empty fragment", "https://app.example.com/callback#"},
		{"port", "https://app.example.com:444/callback"},
		{"the default port", "https://app.example.com:443/callback"},
		{"user name", "https://evil@app.example.com/callback"},
		{"host as user name", "https://app.example.com@evil.example/callback"},
		{"host as prefix", "https://app.example.com.evil.example/callback"},
		{"dot at the end of the host", "https://app.example.com./callback"},
		{"space before", " https://app.example.com/callback"},
		{"space after", "https://app.example.com/callback "},
		{"tab inside", "https://app.exam\tple.com/callback"},
		{"line break", "https://app.example.com/callback\r\nSet-Cookie: a=b"},
		{"NUL", "https://app.example.com/callback\x00"},
		{"backslash", `https://app.example.com\callback`},
		{"backslash user name", `https://evil.example\@app.example.com/callback`},
		{"no scheme", "//app.example.com/callback"},
		{"relative", "/callback"},
		{"javascript", "javascript:alert(1)//https://app.example.com/callback"},
		{"data", "data:text/html,<script>alert(1)</script>"},
		{"invalid escape", "https://app.example.com/callback%zz"},
		{"out of band", "urn:ietf:wg:oauth:2.0:oob"},
		{"long", "https://app.example.com/" + strings.Repeat("a", 5000)},

		{"loopback with a path", "http://localhost:8000/callback"},
		{"loopback with https", "https://localhost:8000"},
		{"loopback path on another loopback host", "http://localhost:8000/callback"},
		{"loopback host as prefix", "http://localhost.evil:8000"},
		{"loopback host as user name", "http://localhost:8000@evil.example"},
		{"loopback host as user name without a port", "http://localhost@evil.example"},
		{"user name on a loopback host", "http://evil@localhost:8000"},
		{"loopback address as prefix", "http://127.0.0.1.nip.example:8000/callback"},
		{"loopback address as prefix without a dot", "http://127.0.0.10:8000/callback"},
		{"another loopback address", "http://127.0.0.2:8000/callback"},
		{"short loopback address", "http://127.1:8000/callback"},
		{"loopback address as a number", "http://2130706433:8000/callback"},
		{"long IPv6 loopback address", "http://[0:0:0:0:0:0:0:1]:8000/callback"},
		{"IPv6 loopback address with a zone", "http://[::1%25eth0]:8000/callback"},
		{"mapped loopback address", "http://[::ffff:127.0.0.1]:8000/callback"},
		{"no port digits", "http://localhost:"},
		{"port of letters", "http://localhost:http"},
		{"negative port", "http://localhost:-1"},
		{"port of six digits", "http://localhost:655360"},
		{"port in other digits", "http://localhost:８０００"},
		{"two ports", "http://localhost:8000:9000"},
		{"backslash after the port", `http://localhost:8000\@evil.example`},
		{"backslash for the slash", `http://localhost:8000\evil`},
		{"semicolon after the port", "http://localhost:8000;@evil.example"},
		{"escape after the port", "http://localhost:8000%2f@evil.example"},
		{"loopback in capitals", "http://LOCALHOST:8000"},
		{"loopback with a dot", "http://localhost.:8000"},
		{"loopback with a fragment", "http://localhost:8000#evil"},
		{"loopback with a query", "http://localhost:8000?x"},
		{"wildcard address", "http://0.0.0.0:8000/callback"},

		{"private-use scheme with a host", "com.example.app://callback"},
		{"private-use scheme with another path", "com.example.app:/other"},
	} {
		t.Run(test.name, func(t *testing.T) {
			i := i.in(t)
			for _, parameters := range []url.Values{
				request("redirect_uri", test.uri),
				request("redirect_uri", test.uri, "prompt", "none"),
				request("redirect_uri", test.uri, "response_type", "token"),
			} {
				a := i.browser().authorize(parameters)
				if a.location != nil || a.status != http.StatusBadRequest || strings.Contains(a.body, "<script") {
					t.Errorf("got status %d, location %v; want a page and no redirect for %q; body:\n%s", a.status, a.location, test.uri, a.body)
				}
				if policy := a.header.Get("Content-Security-Policy"); strings.Contains(policy, "evil") {
					t.Errorf("the refused address stands in the policy: %s", policy)
				}
			}
		})
	}
}

func TestLoopbackRedirectTakesAnyPort(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	for _, uri := range []string{
		"http://localhost:8000", "http://localhost:18000", "http://localhost:1", "http://localhost:65535", "http://localhost",
		"http://127.0.0.1:54321/callback", "http://127.0.0.1/callback", "http://[::1]:54321/callback",
	} {
		t.Run(uri, func(t *testing.T) {
			i := i.in(t)
			a := i.browser().login(request("redirect_uri", uri), "alice", alicePassword)
			if got := a.location.String(); !strings.HasPrefix(got, uri+"?") {
				t.Errorf("got a redirect to %s, want %s", got, uri)
			}
			i.token(codeForm(a.code(), "redirect_uri", uri), nil).wantTokens()
		})
	}
}

// A port that no socket has leads nowhere; the person is better served by a
// page that says so.
func TestLoopbackPortBeyond65535IsRefused(t *testing.T) {
	t.Parallel()
	newIssuer(t).browser().authorize(request("redirect_uri", "http://localhost:99999")).wantPage(http.StatusBadRequest, "not registered")
}

func TestRedirectKeepsTheRegisteredQuery(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	a := i.browser().login(request("redirect_uri", "https://app.example.com/query?tenant=a"), "alice", alicePassword)
	if got := a.location.String(); !strings.HasPrefix(got, "https://app.example.com/query?tenant=a&") || a.code() == "" {
		t.Errorf("got %s, want the registered query and a code after it", got)
	}
}

func TestRedirectToAPrivateUseScheme(t *testing.T) {
	t.Parallel()
	a := newIssuer(t).browser().login(request("redirect_uri", "com.example.app:/callback"), "alice", alicePassword)
	if got := a.location.String(); !strings.HasPrefix(got, "com.example.app:/callback?code=") {
		t.Errorf("got %s, want the app's address", got)
	}
}

func TestErrorsGoWhereTheyMay(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	// The same mistake, with and without an address that can be told of it.
	i.browser().authorize(request("scope", "")).wantError(oidc.InvalidScope)
	i.browser().authorize(request("scope", "", "redirect_uri", "https://evil.example")).wantPage(http.StatusBadRequest, "not registered")
	i.browser().authorize(request("scope", "", "client_id", "nobody")).wantPage(http.StatusBadRequest, "not registered")
}

func TestStateComesBackUnchanged(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	for _, test := range []struct{ name, state string }{
		{"plain", "abc123"},
		{"spaces", " a  b "},
		{"plus and percent", "a+b%20c%2B%"},
		{"separators", "a&b=c;d?e#f/g"},
		{"quotes", `"'<>&\`},
		{"markup", `"><script>alert(1)</script>`},
		{"line breaks", "a\r\nb"},
		{"Japanese", "状態"},
		{"JSON", `{"return":"/a?b=c"}`},
		{"emoji", "🔑"},
		{"the separators that JSON escapes", "a\u2028b\u2029c"},
		{"control characters", "a\x01\x7fb"},
		{"as long as allowed", strings.Repeat("s", 2048)},
	} {
		t.Run(test.name, func(t *testing.T) {
			i := i.in(t)
			b := i.browser()
			for _, step := range []struct {
				name string
				answered
			}{
				{"error", b.authorize(request("state", test.state, "scope", "email"))},
				{"prompt=none", b.authorize(request("state", test.state, "prompt", "none"))},
				{"code", b.login(request("state", test.state), "alice", alicePassword)},
				{"session", b.again(request("state", test.state))},
				{"cancel", b.press(b.authorize(request("state", test.state)), "cancel")},
			} {
				if got := step.query("state"); got != test.state {
					t.Errorf("%s: got %q, want %q", step.name, got, test.state)
				}
			}
		})
	}
}

// RFC 6749, appendix A.5, allows printable ASCII alone, so what is not even
// UTF-8 may be refused; it must not come back as something else.
func TestStateOfInvalidUTF8IsNotChanged(t *testing.T) {
	t.Parallel()
	b := newIssuer(t).browser()
	page := b.get("/authorize?" + request("state", "").Encode() + "&state=%ff%fe")
	if page.status == http.StatusBadRequest || page.query("error") == string(oidc.InvalidRequest) {
		return
	}
	a := b.submit(page, "alice", alicePassword)
	if got, want := a.query("state"), "\xff\xfe"; got != want {
		t.Errorf("got %q, want %q or a refusal", got, want)
	}
}

// A database keeps parameters as text, which PostgreSQL does not take with
// NUL in it; that is the client's mistake and not a failure of ours.
func TestParametersWithNULAreRefused(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"nonce", "state", "ui_locales"} {
		a := newIssuer(t).browser().authorize(webRequest(name, "a\x00b"))
		if got := a.query("error"); got != "invalid_request" {
			t.Errorf("%s: got the error %q, want invalid_request", name, got)
		}
	}
}

func TestAnswersNameTheIssuer(t *testing.T) {
	t.Parallel()
	for _, address := range []string{issuerURL, issuerURL + "/dex"} {
		t.Run(address, func(t *testing.T) {
			i := newIssuer(t, at(address))
			b := i.browser()
			for name, a := range map[string]answered{
				"error":          b.authorize(request("scope", "email")),
				"login required": b.authorize(request("prompt", "none")),
				"code":           b.login(request(), "alice", alicePassword),
			} {
				if got := a.query("iss"); got != address {
					t.Errorf("%s: got iss=%q, want %q", name, got, address)
				}
			}
		})
	}
}

func TestPublicClientNeedsPKCE(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	for _, test := range []struct{ name, challenge, method string }{
		{"nothing", "", ""},
		{"method alone", "", "S256"},
		{"too short", challenge[:42], "S256"},
		{"too long", challenge + "A", "S256"},
		{"standard base64", strings.ReplaceAll(challenge, "-", "+"), "S256"},
		{"padded", challenge + "=", "S256"},
		{"line break inside", challenge[:20] + "\n" + challenge[20:], "S256"},
		{"hexadecimal", strings.Repeat("ab", 32), "S256"},
		{"method in another case", challenge, "s256"},
		{"S512", challenge, "S512"},
	} {
		t.Run(test.name, func(t *testing.T) {
			i := i.in(t)
			i.browser().authorize(request("code_challenge", test.challenge, "code_challenge_method", test.method)).wantError(oidc.InvalidRequest)
		})
	}
}

func TestPlainChallengeIsRefused(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	for _, test := range []struct {
		name string
		url.Values
	}{
		{"named", request("code_challenge", verifier, "code_challenge_method", "plain")},
		{"by omission", request("code_challenge_method", "")},
		{"confidential, named", webRequest("code_challenge", verifier, "code_challenge_method", "plain")},
		{"confidential, by omission", webRequest("code_challenge_method", "")},
	} {
		t.Run(test.name, func(t *testing.T) {
			i := i.in(t)
			i.browser().authorize(test.Values).wantError(oidc.InvalidRequest)
		})
	}
}

func TestConfidentialClientMayLeaveOutPKCE(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	code := i.browser().login(webRequest("code_challenge", "", "code_challenge_method", ""), "alice", alicePassword).code()
	form := codeForm(code, "client_id", "", "code_verifier", "", "redirect_uri", "https://web.example.com/callback")
	i.token(form, basic("web", webSecret)).wantTokens()
	i.browser().authorize(webRequest("code_challenge", "")).wantError(oidc.InvalidRequest) // the method alone
}

func TestPromptNoneNeverShowsAPage(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	b := i.browser()
	a := b.authorize(request("prompt", "none"))
	a.wantError(oidc.LoginRequired)
	if len(a.cookies) > 0 || i.count("grants") > 0 {
		t.Errorf("got cookies %v and %d grants, want neither", a.cookies, i.count("grants"))
	}
	b.login(webRequest(), "alice", alicePassword)
	b.authorize(webRequest("prompt", "none")).code()
	b.post("/authorize", webRequest("prompt", "none"), nil).code()
	i.clock.advance(time.Minute)
	b.authorize(webRequest("prompt", "none", "max_age", "30")).wantError(oidc.LoginRequired)
	check(t, i.rows.SetDisabled(t.Context(), i.alice, true, i.clock.Now()))
	b.authorize(webRequest("prompt", "none")).wantError(oidc.LoginRequired)
}

func TestPromptNoneStandsAlone(t *testing.T) {
	t.Parallel()
	b := newIssuer(t).browser()
	b.login(request(), "alice", alicePassword)
	for _, prompt := range []string{"none login", "consent none", "none select_account"} {
		b.authorize(request("prompt", prompt)).wantError(oidc.InvalidRequest)
	}
}

func TestPromptLoginAsksAgain(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	for _, prompt := range []string{"login", "login select_account", "login consent"} {
		t.Run(prompt, func(t *testing.T) {
			i := i.in(t)
			b := i.browser()
			b.login(request(), "alice", alicePassword)
			i.clock.advance(time.Minute)
			page := b.authorize(request("prompt", prompt))
			page.wantPage(http.StatusOK, `name="password"`)
			a := b.submit(page, "alice", alicePassword)
			if strings.Contains(prompt, "consent") {
				a = b.press(a, "continue")
			}
			idToken := i.token(codeForm(a.code()), nil).IDToken
			if got, want := claims(t, idToken)["auth_time"], fmt.Sprint(i.clock.Now().Unix()); fmt.Sprint(got) != want {
				t.Errorf("auth_time: got %v, want %s, the second login", got, want)
			}
		})
	}
}

func TestMaxAgeAsksAgain(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	b := i.browser()
	b.login(webRequest(), "alice", alicePassword)
	i.clock.advance(100 * time.Second)
	for _, test := range []struct {
		maxAge string
		asks   bool
	}{{"0", true}, {"1", true}, {"99", true}, {"100", false}, {"101", false}, {"2147483647", false}, {"", false}} {
		t.Run("max_age "+test.maxAge, func(t *testing.T) {
			a := b.authorize(webRequest("max_age", test.maxAge))
			if asked := a.status == http.StatusOK; asked != test.asks {
				t.Errorf("got status %d, location %v; want asked = %v", a.status, a.location, test.asks)
			}
		})
	}
	a := b.login(request("max_age", "1"), "alice", alicePassword)
	idToken := i.token(codeForm(a.code()), nil).IDToken
	if got, want := fmt.Sprint(claims(t, idToken)["auth_time"]), fmt.Sprint(i.clock.Now().Unix()); got != want {
		t.Errorf("auth_time: got %v, want %s", got, want)
	}
}

// OpenID Connect Core 1.0 (with errata), section 3.1.2.1: max_age=0 means
// prompt=login, so even a login of the same instant does not do.
func TestMaxAgeZeroAlwaysAsks(t *testing.T) {
	t.Parallel()
	b := newIssuer(t).browser()
	b.login(request(), "alice", alicePassword)
	b.authorize(request("max_age", "0")).wantPage(http.StatusOK, `name="password"`)
}

// OpenID Connect Core 1.0, section 3.1.2.2: if the request names an end user
// by id_token_hint, the answer must not be about another one.
func TestIDTokenHintOfAnotherUserGetsNoCode(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	hint := i.logIn().IDToken // alice's
	b := i.browser()
	b.login(request(), "bob", bobPassword)
	b.authorize(webRequest("prompt", "none")).code()
	b.authorize(webRequest("prompt", "none", "id_token_hint", hint)).wantError(oidc.LoginRequired)
	b.authorize(webRequest("id_token_hint", hint)).wantPage(http.StatusOK, `name="password"`)
}

func TestLoginHintFillsInTheName(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	for _, hint := range []string{"alice@example.com", `"><script>alert(1)</script>`, "a'b&c<d", "日本", `" autofocus onfocus="alert(1)`} {
		a := i.browser().authorize(request("login_hint", hint))
		a.wantStatus(http.StatusOK)
		if got := a.form().fields.Get("login"); got != hint {
			t.Errorf("got %q in the field, want %q", got, hint)
		}
		if strings.Contains(a.body, "<script") || strings.Contains(a.body, `" onfocus`) {
			t.Errorf("the hint came through unescaped:\n%s", a.body)
		}
	}
}

func TestRedirectAfterTheFormIs303(t *testing.T) {
	t.Parallel()
	a := newIssuer(t).browser().login(request(), "alice", alicePassword)
	if a.status != http.StatusSeeOther {
		t.Errorf("got %d, want 303: with 307 the password would be posted on", a.status)
	}
	if got := a.header.Get("Cache-Control"); got != "no-store" {
		t.Errorf("Cache-Control: got %q, want no-store", got)
	}
	if got := a.header.Get("Referrer-Policy"); got != "same-origin" && got != "no-referrer" {
		t.Errorf("Referrer-Policy: got %q; the code must not leave in a referrer", got)
	}
}

// The cost of a request that is pending or not authenticated: no row.
func TestPendingRequestsWriteNothing(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	tables := []string{"sessions", "grants", "users", "clients", "signing_keys", "issuers"}
	before := map[string]int{}
	for _, table := range tables {
		before[table] = i.count(table)
	}
	b := i.browser()
	for n := range 1000 {
		parameters := request("state", fmt.Sprint(n))
		switch n % 10 {
		case 7:
			parameters.Set("client_id", fmt.Sprint("nobody-", n))
		case 8:
			parameters.Set("prompt", "none")
		case 9:
			parameters.Set("scope", "")
		}
		a := b.authorize(parameters)
		if a.status >= 500 {
			t.Fatalf("request %d: got status %d", n, a.status)
		}
		if n%100 == 0 && a.status == http.StatusOK {
			b.submit(a, "alice", "wrong-password")
			b.submit(a, fmt.Sprint("nobody-", n), "wrong-password")
		}
	}
	for _, form := range []url.Values{codeForm("x.y"), refreshForm("x.1.y"), refreshForm("x")} {
		i.token(form, nil).wantRefusal(oidc.InvalidGrant)
	}
	for _, table := range tables {
		if got := i.count(table); got != before[table] {
			t.Errorf("%s: got %d rows, want %d as before", table, got, before[table])
		}
	}
}

func TestOversizeRequestsAreRefused(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	huge := strings.Repeat("x", 70<<10)
	i.browser().send("POST", "/authorize", request("state", huge), nil).wantPage(http.StatusBadRequest, "cannot be understood")
	i.browser().send("POST", "/login", url.Values{"request": {huge}}, nil).wantPage(http.StatusBadRequest, "")
	for _, form := range []url.Values{codeForm(huge), refreshForm(huge)} {
		if found := i.token(form, nil); found.status != http.StatusRequestEntityTooLarge || found.Code != string(oidc.InvalidRequest) {
			t.Errorf("token: got status %d with %s, want 413 invalid_request", found.status, found.body)
		}
	}
	if a := i.browser().send("POST", "/userinfo", url.Values{"access_token": {huge}}, nil); a.status != http.StatusUnauthorized {
		t.Errorf("userinfo: got status %d, want 401", a.status)
	}
	i.token(refreshForm(huge[:60<<10]), nil).wantRefusal(oidc.InvalidGrant)
}

func TestUndecodableParametersGetAPage(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	i.browser().get("/authorize?client_id=%zz").wantPage(http.StatusBadRequest, "cannot be understood")
	i.browser().get("/authorize?a=b;c=d").wantPage(http.StatusBadRequest, "cannot be understood")
	i.browser().get("/authorize").wantPage(http.StatusBadRequest, "client_id")
	i.browser().post("/authorize", nil, http.Header{"Content-Type": {"multipart/form-data; boundary=x"}}).wantPage(http.StatusBadRequest, "client_id")
}

func TestUnknownScopesAreLeftOut(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	got := i.logIn("scope", "openid address email phone openid")
	if want := "openid email"; got.Scope != want {
		t.Errorf("scope: got %q, want %q", got.Scope, want)
	}
	i.addClient(clientregistry.Client{ID: "narrow", RedirectURIs: []string{"http://localhost:8000"}, Scopes: oidc.Scopes{"openid", "groups"}}, "")
	code := i.browser().login(request("client_id", "narrow", "scope", "openid email groups profile"), "alice", alicePassword).code()
	if got, want := i.token(codeForm(code, "client_id", "narrow"), nil).Scope, "openid groups"; got != want {
		t.Errorf("scope of a narrow client: got %q, want %q", got, want)
	}
}

// A redirect URI that was taken away while a login page was open must not get
// a code any more.
func TestRedirectURIRemovedMeanwhileGetsNoCode(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	b := i.browser()
	page := b.authorize(request("client_id", "laptop"))
	check(t, i.rows.DeleteClient(t.Context(), "laptop"))
	i.addClient(clientregistry.Client{ID: "laptop", RedirectURIs: []string{"https://laptop.example.com/new"}}, "")
	b.submit(page, "alice", alicePassword).wantPage(http.StatusBadRequest, "not registered")
}

func TestClientRemovedMeanwhileGetsNoCode(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	b := i.browser()
	page := b.authorize(request("client_id", "laptop"))
	check(t, i.rows.DeleteClient(t.Context(), "laptop"))
	b.submit(page, "alice", alicePassword).wantPage(http.StatusBadRequest, "not registered")
}
