// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package provider_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/tegata/tegata/internal/clientregistry"
	"github.com/tegata/tegata/internal/oidc"
)

// pushed is the answer to a pushed authorization request.
type pushed struct {
	answered

	RequestURI  string         `json:"request_uri"`
	ExpiresIn   int            `json:"expires_in"`
	Code        oidc.ErrorCode `json:"error"`
	Description string         `json:"error_description"`
}

// push sends a request to the endpoint for pushed requests.
func (i *issuer) push(parameters url.Values, header http.Header) pushed {
	i.t.Helper()
	found := pushed{answered: i.browser().send("POST", "/par", parameters, header)}
	if err := json.Unmarshal([]byte(found.body), &found); err != nil {
		i.t.Fatalf("the answer is no JSON: %v: status %d, body:\n%s", err, found.status, found.body)
	}
	return found
}

func (p pushed) uri() string {
	p.t.Helper()
	if p.status != http.StatusCreated || !strings.HasPrefix(p.RequestURI, "urn:ietf:params:oauth:request_uri:") {
		p.t.Fatalf("got status %d with %s; want 201 and a request_uri", p.status, p.body)
	}
	return p.RequestURI
}

// use is the authorization request that names a pushed one.
func use(client, requestURI string) url.Values {
	return url.Values{"client_id": {client}, "request_uri": {requestURI}}
}

func TestPushedRequestLogsIn(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	const to = "https://web.example.com/callback"
	// All that an authorization request can say: the page and the answer have it.
	parameters := webRequest("state", "pushed & <kept>", "ui_locales", "ja", "login_hint", "alice", "claims", `{"userinfo":{"name":null}}`, "max_age", "60")
	p := i.push(parameters, basic("web", webSecret))
	if p.ExpiresIn != 90 || p.header.Get("Cache-Control") != "no-store" || p.header.Get("Content-Type") != "application/json" {
		t.Errorf("got %s with %v, want 90 seconds, in JSON that nobody keeps", p.body, p.header)
	}
	for _, part := range []string{"pushed", "web.example.com", challenge, url.QueryEscape(to)} {
		if strings.Contains(p.uri(), part) {
			t.Errorf("%q can be read in %s", part, p.RequestURI)
		}
	}
	b := i.browser()
	page := b.authorize(use("web", p.uri()))
	page.wantPage(http.StatusOK, `<html lang="ja">`)
	if got := page.form().fields.Get("login"); got != "alice" {
		t.Errorf("the login_hint: got %q, want alice", got)
	}
	a := b.submit(page, "alice", alicePassword)
	if a.query("state") != "pushed & <kept>" || a.query("iss") != issuerURL {
		t.Errorf("got %v, want state and issuer", a.location)
	}
	found := i.token(codeForm(a.code(), "client_id", "", "redirect_uri", to), basic("web", webSecret))
	found.wantTokens()
	if got := jsonOf(t, i.userinfo(found.AccessToken))["name"]; got != "Alice Archer" {
		t.Errorf("userinfo: got name %v, want the one that was asked for", got)
	}
}

func TestPublicClientsPushToo(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	b := i.browser()
	a := b.submit(b.authorize(use("kubernetes", i.push(request(), nil).uri())), "alice", alicePassword)
	i.token(codeForm(a.code()), nil).wantTokens()
}

// Only what was pushed counts (RFC 9126, section 4; RFC 9101, section 5).
func TestParametersBesideRequestURIAreIgnored(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	uri := i.push(webRequest("prompt", "none"), basic("web", webSecret)).uri()
	parameters := use("web", uri)
	for name, value := range map[string]string{
		"redirect_uri": "https://evil.example/", "state": "evil", "scope": "email", "response_mode": "fragment", "code_challenge": "evil", "prompt": "login",
	} {
		parameters.Set(name, value)
	}
	a := i.browser().authorize(parameters)
	a.wantError(oidc.LoginRequired)
	if a.location.Host != "web.example.com" || a.query("state") != "a-state" {
		t.Errorf("got %v, want the pushed redirect URI and state", a.location)
	}
}

func TestRequestURIIsBoundToItsClient(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	const void = "request_uri has expired, or is another client"
	web := i.push(webRequest(), basic("web", webSecret)).uri()
	i.browser().authorize(use("other", web)).wantPage(http.StatusBadRequest, void)
	i.browser().authorize(use("WEB", web)).wantPage(http.StatusBadRequest, void)
	i.browser().authorize(change(use("web", web), "client_id", "")).wantPage(http.StatusBadRequest, "must be given")
	i.browser().authorize(url.Values{"client_id": {"web"}, "request_uri": {web, web}}).wantPage(http.StatusBadRequest, "must be given")
	i.browser().authorize(url.Values{"client_id": {"web", "web"}, "request_uri": {web}}).wantPage(http.StatusBadRequest, "must be given")
	i.browser().authorize(use("web", web)).wantStatus(http.StatusOK)

	another := newIssuer(t)
	another.browser().authorize(use("web", web)).wantPage(http.StatusBadRequest, void)
}

func TestRequestURIThatWeDidNotMakeIsRefused(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	uri := i.push(webRequest(), basic("web", webSecret)).uri()
	const prefix = "urn:ietf:params:oauth:request_uri:"
	sealed := strings.TrimPrefix(uri, prefix)
	login := i.browser().authorize(webRequest()).form().fields.Get("request")
	other := "B"
	if sealed[:1] == other {
		other = "C"
	}
	for _, text := range []string{
		prefix, prefix + "x", prefix + sealed[:len(sealed)-4], prefix + sealed + "AAAA", prefix + other + sealed[1:], prefix + login, prefix + strings.Repeat("A", 60),
	} {
		if a := i.browser().authorize(use("web", text)); a.status != http.StatusBadRequest || a.location != nil {
			t.Errorf("%.60s: got status %d, location %v; want a page", text, a.status, a.location)
		}
	}
	// An address that somebody else serves is never fetched. Without a redirect
	// URI there is nobody to tell but the person.
	fetched := false
	server := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { fetched = true }))
	defer server.Close()
	i.browser().authorize(webRequest("request_uri", server.URL)).wantError(oidc.RequestURINotSupported)
	i.browser().authorize(use("web", server.URL)).wantPage(http.StatusBadRequest, "redirect_uri must be given")
	if fetched {
		t.Error("the provider fetched a request_uri")
	}
}

func TestRequestURIExpires(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	uri := i.push(webRequest(), basic("web", webSecret)).uri()
	b := i.browser()
	i.clock.advance(90*time.Second - time.Millisecond)
	page := b.authorize(use("web", uri))
	page.wantStatus(http.StatusOK)
	b.authorize(use("web", uri)).wantStatus(http.StatusOK) // a page that is loaded again
	i.clock.advance(time.Second)
	b.authorize(use("web", uri)).wantPage(http.StatusBadRequest, "has expired")
	b.submit(page, "alice", alicePassword).code() // the page has a life of its own
}

// Nothing that was true when it was pushed is taken for true later.
func TestPushedRequestIsCheckedAgain(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	uri := i.push(request("client_id", "laptop"), nil).uri()
	check(t, i.rows.DeleteClient(t.Context(), "laptop"))
	i.browser().authorize(use("laptop", uri)).wantPage(http.StatusBadRequest, "not registered")
	i.addClient(clientregistry.Client{ID: "laptop", RedirectURIs: []string{"https://laptop.example.com/new"}}, "")
	i.browser().authorize(use("laptop", uri)).wantPage(http.StatusBadRequest, "not registered")
}

func TestPushRefusals(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	web := basic("web", webSecret)
	for _, test := range []struct {
		name string
		url.Values
		http.Header
		status int
		want   oidc.ErrorCode
	}{
		{"no client", change(webRequest(), "client_id", ""), nil, 401, oidc.InvalidClient},
		{"no secret", webRequest(), nil, 401, oidc.InvalidClient},
		{"wrong secret", webRequest(), basic("web", "not-the-secret"), 401, oidc.InvalidClient},
		{"unknown client", request("client_id", "nobody"), nil, 401, oidc.InvalidClient},
		{"public client with a secret", request("client_secret", "x"), nil, 401, oidc.InvalidClient},
		{"two clients", webRequest("client_id", "other"), web, 400, oidc.InvalidRequest},
		{"request_uri", webRequest("request_uri", "urn:ietf:params:oauth:request_uri:x"), web, 400, oidc.InvalidRequest},
		{"request object", webRequest("request", "e30.e30."), web, 400, oidc.RequestNotSupported},
		{"no redirect URI", webRequest("redirect_uri", ""), web, 400, oidc.InvalidRequest},
		{"foreign redirect URI", webRequest("redirect_uri", "https://evil.example/"), web, 400, oidc.InvalidRequest},
		{"response type", webRequest("response_type", "token"), web, 400, oidc.UnsupportedResponseType},
		{"scope", webRequest("scope", "email"), web, 400, oidc.InvalidScope},
		{"no PKCE", request("code_challenge", ""), nil, 400, oidc.InvalidRequest},
		{"repeated", url.Values{"client_id": {"kubernetes"}, "scope": {"openid", "openid"}}, nil, 400, oidc.InvalidRequest},
		{"long parameter", webRequest("state", strings.Repeat("s", 2049)), web, 400, oidc.InvalidRequest},
		{"long request", webRequest("state", strings.Repeat("s", 2048), "nonce", strings.Repeat("n", 2048), "login_hint", strings.Repeat("h", 1024)), web, 413, oidc.InvalidRequest},
		{"huge request", webRequest("state", strings.Repeat("s", 70<<10)), web, 413, oidc.InvalidRequest},
		{"hint of nobody", webRequest("id_token_hint", "x.y.z"), web, 400, oidc.InvalidRequest},
		{"no form", nil, web, 400, oidc.InvalidRequest},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := i.in(t).push(test.Values, test.Header)
			if p.status != test.status || p.Code != test.want || p.RequestURI != "" {
				t.Errorf("got status %d with %s; want %d %s", p.status, p.body, test.status, test.want)
			}
			if (p.status == 401) != (p.header.Get("WWW-Authenticate") != "") {
				t.Errorf("got status %d, WWW-Authenticate %q", p.status, p.header.Get("WWW-Authenticate"))
			}
		})
	}
}

// The longest request that is taken makes an address that gets through the
// proxies of this world.
func TestRequestURIFitsIntoARequestLine(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	fits := 0
	for n := 2048; n > 1024; n -= 64 {
		p := i.push(webRequest("state", strings.Repeat("s", 2048), "nonce", strings.Repeat("n", n)), basic("web", webSecret))
		if p.status == http.StatusCreated {
			fits = len("GET /authorize?" + use("web", p.RequestURI).Encode() + " HTTP/1.1\r\n")
			break
		}
	}
	if fits == 0 || fits > 8<<10 {
		t.Errorf("the longest request line has %d bytes, want one of at most 8 KiB", fits)
	}
}

func TestPushedClientCredentialsDoNotTravel(t *testing.T) {
	t.Parallel()
	log := &buffer{}
	i := newIssuer(t, logging(log))
	p := i.push(webRequest("client_secret", webSecret, "scope", "email"), nil)
	if p.Code != oidc.InvalidScope || strings.Contains(log.String(), webSecret) {
		t.Errorf("got %s, log:\n%s", p.body, log)
	}
	long := i.push(webRequest("client_secret", webSecret), nil).uri()
	short := i.push(webRequest(), basic("web", webSecret)).uri()
	if len(long) != len(short) {
		t.Errorf("the request with the secret is %d bytes longer", len(long)-len(short))
	}
}

// A page of a registered client may push, and the pages of others may not read
// the answer.
func TestPushAllowsTheOriginsOfItsClient(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	i.addClient(clientregistry.Client{ID: "page", RedirectURIs: []string{"https://page.example.com/"}, Origins: []string{"https://page.example.com"}}, "")
	parameters := request("client_id", "page", "redirect_uri", "https://page.example.com/")
	for origin, want := range map[string]string{"https://page.example.com": "https://page.example.com", "https://evil.example": "", "null": ""} {
		p := i.push(parameters, http.Header{"Origin": {origin}})
		if got := p.header.Get("Access-Control-Allow-Origin"); p.status != http.StatusCreated || got != want {
			t.Errorf("%s: got status %d, Access-Control-Allow-Origin %q; want %q", origin, p.status, got, want)
		}
		asked := i.browser().send("OPTIONS", "/par", nil, http.Header{"Origin": {origin}, "Access-Control-Request-Method": {"POST"}})
		if got := asked.header.Get("Access-Control-Allow-Origin"); got != want {
			t.Errorf("%s asks: got Access-Control-Allow-Origin %q, want %q", origin, got, want)
		}
	}
}
