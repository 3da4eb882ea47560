// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package clientregistry_test

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/tegata/tegata/internal/clientregistry"
	"github.com/tegata/tegata/internal/oidc"
	"github.com/tegata/tegata/internal/secret"
)

func TestRedirectURIsAreExact(t *testing.T) {
	client := clientregistry.Client{RedirectURIs: []string{
		"https://app.example.com/callback", "https://app.example.com/query?a=b", "com.example.app:/callback",
		"http://localhost:8000/callback",
	}}
	for _, uri := range client.RedirectURIs {
		if !client.AllowsRedirectURI(uri) {
			t.Errorf("%q is registered and was refused", uri)
		}
	}
	for _, uri := range []string{
		"", "https://app.example.com", "https://app.example.com/callback/", "https://app.example.com/Callback", "https://app.example.com/callback?",
		"https://app.example.com/callback#", "https://app.example.com:443/callback", "https://app.example.com:8443/callback",
		"HTTPS://app.example.com/callback", "https://App.example.com/callback", "https://app.example.com//callback", "https://app.example.com/%63allback",
		"https://app.example.com/query?a=c", "https://app.example.com/query?a=b&c=d", "https://app.example.com/query",
		"com.example.app:/callback/", "com.example.app://callback", "com.example.app:callback",
		"https://localhost:8000/callback", "http://localhost:8000/", "http://localhost:8000/callback/", "http://localhost:8000/callback?a",
		"http://localhost:8000//callback", "http://localhost:8000/./callback", "http://127.0.0.1:8000/callback", "http://[::1]:8000/callback",
	} {
		if client.AllowsRedirectURI(uri) {
			t.Errorf("%q is not registered and was allowed", uri)
		}
	}
	if (clientregistry.Client{}).AllowsRedirectURI("") {
		t.Error("a client without redirect URIs allows the empty one")
	}
}

func TestLoopbackTakesAnyPort(t *testing.T) {
	for _, test := range []struct {
		registered, uri string
		want            bool
	}{
		{"http://localhost:8000", "http://localhost:18000", true},
		{"http://localhost:8000", "http://localhost", true},
		{"http://localhost", "http://localhost:8000", true},
		{"http://localhost/", "http://localhost:8000/", true},
		{"http://localhost", "http://localhost:8000/", false},
		{"http://localhost:8000/a", "http://localhost:1/a", true},
		{"http://localhost:8000/a?b=c", "http://localhost:65535/a?b=c", true},
		{"http://localhost:8000?b=c", "http://localhost:9?b=c", true},
		{"http://127.0.0.1:8000/a", "http://127.0.0.1:9/a", true},
		{"http://[::1]:8000/a", "http://[::1]:9/a", true},
		{"http://[::1]/a", "http://[::1]:9/a", true},
		// One loopback host is not another: who resolves localhost is not
		// who listens on 127.0.0.1.
		{"http://localhost:8000", "http://127.0.0.1:8000", false},
		{"http://127.0.0.1:8000", "http://localhost:8000", false},
		{"http://127.0.0.1:8000", "http://[::1]:8000", false},
		// What is no loopback URI has no freedom.
		{"https://app.example.com:8000", "https://app.example.com:9", false},
		{"https://localhost:8000", "https://localhost:9", false},
		{"https://localhost:8000", "https://localhost:8000", true},
		{"http://localhost:8000", "http://localhost:", false},
		{"http://localhost:8000", "http://localhost:port", false},
		{"http://localhost:8000", "http://localhost:+1", false},
		{"http://localhost:8000", "http://localhost: 1", false},
		{"http://localhost:8000", "http://localhost:100000", false},
		{"http://localhost:8000", "http://localhost:65536", false},
		{"http://localhost:8000", "http://localhost:99999", false},
		{"http://localhost:8000", "http://localhost:0", false},
		{"http://localhost:8000", "http://localhost:8000@evil.example", false},
		{"http://localhost:8000", "http://localhost@evil.example", false},
		{"http://localhost:8000", "http://localhost:@evil.example", false},
		{"http://localhost:8000", "http://localhost:8000:9000", false},
		{"http://localhost:8000", "http://localhost.evil.example:8000", false},
		{"http://localhost:8000", "http://localhostevil:8000", false},
		{"http://localhost:8000", "http://evil@localhost:8000", false},
		{"http://localhost:8000", `http://localhost:8000\@evil.example`, false},
		{"http://localhost:8000", `http://localhost\evil`, false},
		{"http://localhost:8000/a", "http://localhost:8000%2fa", false},
		{"http://localhost:8000", "http://localhost:8000#", false},
		{"http://localhost:8000", "http://localhost:8000\n", false},
		{"http://localhost:8000", "http://LOCALHOST:8000", false},
		{"http://localhost:8000", "HTTP://localhost:9", false},
		{"http://127.0.0.1:8000/", "http://127.0.0.1.nip.example:8000/", false},
		{"http://127.0.0.1:8000/", "http://127.0.0.11:8000/", false},
		{"http://127.0.0.1:8000/", "http://127.0.0.1.:8000/", false},
	} {
		client := clientregistry.Client{RedirectURIs: []string{test.registered}}
		if got := client.AllowsRedirectURI(test.uri); got != test.want {
			t.Errorf("registered %q, asked for %q: got %v, want %v", test.registered, test.uri, got, test.want)
		}
	}
}

func TestCheckRedirectURI(t *testing.T) {
	for _, test := range []struct {
		uri string
		ok  bool
	}{
		{"https://app.example.com", true},
		{"https://app.example.com/a?b=c", true},
		{"https://app.example.com:8443/a", true},
		{"https://[2001:db8::1]/a", true},
		{"http://localhost", true},
		{"http://localhost:8000/a", true},
		{"http://127.0.0.1:8000", true},
		{"http://[::1]:8000", true},
		{"com.example.app:/callback", true},
		{"com.example.app://callback", true},
		{"", false},
		{"/callback", false},
		{"//app.example.com/callback", false},
		{"app.example.com/callback", false},
		{"http://app.example.com", false},
		{"http://127.0.0.2:8000", false},
		{"http://localhost.evil.example", false},
		{"https://", false},
		{"https:///callback", false},
		{"https:callback", false},
		{"https://app.example.com#", false},
		{"https://app.example.com/a#b", false},
		{"https://user@app.example.com", false},
		{"https://user:password@app.example.com", false},
		{"https://*.example.com", false},
		{"https://app.example.com/*", false},
		{"https://app.example.com/a b", false},
		{"https://app.example.com/\r\nx", false},
		{"https://app.example.com/é", false},
		{`https://app.example.com\a`, false},
		{"https://app.example.com/<a>", false},
		{"https://app.example.com/%zz", false},
		{"https://app.example.com:port", false},
		{"https://[::1", false},
		{"javascript:alert(1)", false},
		{"data:text/html,x", false},
		{"vbscript:x", false},
		{"file:///etc/passwd", false},
		{"urn:ietf:wg:oauth:2.0:oob", false},
		{"myapp:/callback", false},
	} {
		if err := clientregistry.CheckRedirectURI(test.uri); (err == nil) != test.ok {
			t.Errorf("%q: got %v, want accepted = %v", test.uri, err, test.ok)
		}
	}
}

// The host of a redirect URI comes to stand in a Content-Security-Policy,
// where ; and , end what they stand in. No host name has either.
func TestHostThatCannotBeOneIsRefused(t *testing.T) {
	for _, uri := range []string{
		"https://a.example;script-src/", "https://a.example,default-src/", "https://a.example'unsafe-inline'/",
		"https://a.example=b/", "https://$a.example/", "https://a.example!/", "https://(a).example/", "https://%41.example/",
	} {
		if err := clientregistry.CheckRedirectURI(uri); err == nil {
			t.Errorf("%q was accepted", uri)
		}
	}
}

// Whatever is allowed leads to the host that was registered, by the reading
// of the standard library, which is not the one of the matcher.
func FuzzRedirectURI(f *testing.F) {
	registered := []string{"http://localhost:8000/callback", "http://127.0.0.1:8000", "http://[::1]/a?b=c", "https://app.example.com/callback"}
	for _, uri := range append(registered,
		"http://localhost:1/callback", "http://localhost:8000@evil.example/callback", `http://localhost\@evil.example`, "http://localhost.evil.example/callback",
		"http://[::1]:99999/a?b=c", "http://localhost:8000/callback#", "http://localhost:\n8000/callback") {
		f.Add(uri)
	}
	client := clientregistry.Client{RedirectURIs: registered}
	f.Fuzz(func(t *testing.T, uri string) {
		if !client.AllowsRedirectURI(uri) {
			return
		}
		u, err := url.Parse(uri)
		if err != nil {
			t.Fatalf("%q was allowed and cannot be parsed: %v", uri, err)
		}
		same := slices.ContainsFunc(registered, func(text string) bool {
			want, err := url.Parse(text)
			return err == nil && u.Scheme == want.Scheme && u.Hostname() == want.Hostname() && u.EscapedPath() == want.EscapedPath() &&
				u.RawQuery == want.RawQuery && (u.Port() == want.Port() || want.Scheme == "http")
		})
		if !same || u.User != nil || strings.ContainsAny(uri, "#\\@\r\n") {
			t.Errorf("%q was allowed: host %q, path %q", uri, u.Hostname(), u.Path)
		}
		if port, err := strconv.Atoi(u.Port()); u.Port() != "" && (err != nil || port < 1 || port > 65535) {
			t.Errorf("%q was allowed with the port %q", uri, u.Port())
		}
	})
}

type registry map[oidc.ClientID]clientregistry.Client

var errBroken = errors.New("the storage is broken")

func (r registry) Client(_ context.Context, id oidc.ClientID) (clientregistry.Client, error) {
	if id == "broken" {
		return clientregistry.Client{}, errBroken
	}
	client, ok := r[id]
	if !ok {
		return client, clientregistry.ErrNotFound
	}
	return client, nil
}

const webSecret = "a secret: 100% +&/="

func TestClientAuthenticates(t *testing.T) {
	clients := registry{
		"public": {ID: "public"},
		"web":    {ID: "web", SecretHash: clientregistry.HashSecret(secret.New(webSecret))},
		"a:b c":  {ID: "a:b c", SecretHash: clientregistry.HashSecret(secret.New(webSecret))},
	}
	basic := func(id, value string) string {
		return "Basic " + base64.StdEncoding.EncodeToString([]byte(url.QueryEscape(id)+":"+url.QueryEscape(value)))
	}
	raw := func(pair string) string { return "Basic " + base64.StdEncoding.EncodeToString([]byte(pair)) }
	for _, test := range []struct {
		name, authorization string
		form                url.Values
		client              oidc.ClientID
		code                oidc.ErrorCode
	}{
		{"public by its ID", "", url.Values{"client_id": {"public"}}, "public", ""},
		{"public by Basic without a secret", basic("public", ""), nil, "public", ""},
		{"Basic", basic("web", webSecret), nil, "web", ""},
		{"Basic and the ID", basic("web", webSecret), url.Values{"client_id": {"web"}}, "web", ""},
		{"Basic with an ID that needs encoding", basic("a:b c", webSecret), nil, "a:b c", ""},
		{"form", "", url.Values{"client_id": {"web"}, "client_secret": {webSecret}}, "web", ""},
		{"nothing", "", nil, "", oidc.InvalidClient},
		{"secret alone", "", url.Values{"client_secret": {webSecret}}, "", oidc.InvalidClient},
		{"unknown", "", url.Values{"client_id": {"nobody"}}, "", oidc.InvalidClient},
		{"confidential without a secret", "", url.Values{"client_id": {"web"}}, "", oidc.InvalidClient},
		{"confidential with an empty secret", "", url.Values{"client_id": {"web"}, "client_secret": {""}}, "", oidc.InvalidClient},
		{"confidential by Basic without a secret", basic("web", ""), nil, "", oidc.InvalidClient},
		{"wrong secret", "", url.Values{"client_id": {"web"}, "client_secret": {webSecret + " "}}, "", oidc.InvalidClient},
		{"hash for the secret", "", url.Values{"client_id": {"web"}, "client_secret": {clients["web"].SecretHash}}, "", oidc.InvalidClient},
		{"public with a secret", "", url.Values{"client_id": {"public"}, "client_secret": {"x"}}, "", oidc.InvalidClient},
		{"public with a secret by Basic", basic("public", "x"), nil, "", oidc.InvalidClient},
		{"both methods", basic("web", webSecret), url.Values{"client_secret": {webSecret}}, "", oidc.InvalidRequest},
		{"Basic and another ID", basic("web", webSecret), url.Values{"client_id": {"public"}}, "", oidc.InvalidRequest},
		{"not encoded", raw("web:a%zz"), nil, "", oidc.InvalidClient},
		{"not encoded ID", raw("%zz:a"), nil, "", oidc.InvalidClient},
		{"no colon", raw("web"), nil, "", oidc.InvalidClient},
		{"no base64", "Basic ~~", url.Values{"client_id": {"public"}}, "", oidc.InvalidClient},
		{"another scheme", "Bearer x", url.Values{"client_id": {"public"}}, "", oidc.InvalidClient},
		{"empty Basic", basic("", ""), nil, "", oidc.InvalidClient},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := httptest.NewRequest(http.MethodPost, "/token", strings.NewReader(test.form.Encode()))
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			if test.authorization != "" {
				r.Header.Set("Authorization", test.authorization)
			}
			if err := r.ParseForm(); err != nil {
				t.Fatal(err)
			}
			got, err := newAuthenticator(clients).Authenticate(r)
			problem, _ := errors.AsType[*oidc.Error](err)
			switch {
			case test.code == "" && (err != nil || got.ID != test.client):
				t.Errorf("got %q, %v; want %q", got.ID, err, test.client)
			case test.code != "" && (problem == nil || problem.Code != test.code || got.ID != ""):
				t.Errorf("got %q, %v; want %s", got.ID, err, test.code)
			}
			if err != nil && strings.Contains(err.Error(), webSecret) {
				t.Errorf("the secret stands in the error: %v", err)
			}
		})
	}
}

func TestBrokenStorageIsNotTheClientsFault(t *testing.T) {
	r := httptest.NewRequest(http.MethodPost, "/token", nil)
	r.PostForm = url.Values{"client_id": {"broken"}}
	_, err := newAuthenticator(registry{}).Authenticate(r)
	if _, blamed := errors.AsType[*oidc.Error](err); blamed || !errors.Is(err, errBroken) {
		t.Errorf("got %v, want the storage's error", err)
	}
}

func TestClientIsValidated(t *testing.T) {
	valid := func() clientregistry.Client {
		return clientregistry.Client{ID: "kubernetes", RedirectURIs: []string{"http://localhost:8000"}}
	}
	for _, test := range []struct {
		name   string
		change func(*clientregistry.Client)
		ok     bool
	}{
		{"as it is", func(*clientregistry.Client) {}, true},
		{"all scopes", func(c *clientregistry.Client) { c.Scopes = clientregistry.AllScopes() }, true},
		{"groups claim", func(c *clientregistry.Client) { c.GroupsClaim = "cognito:groups" }, true},
		{"no ID", func(c *clientregistry.Client) { c.ID = "" }, false},
		{"ID with a space", func(c *clientregistry.Client) { c.ID = "a b" }, false},
		{"ID with a line break", func(c *clientregistry.Client) { c.ID = "a\n" }, false},
		{"ID outside ASCII", func(c *clientregistry.Client) { c.ID = "日本" }, false},
		{"long ID", func(c *clientregistry.Client) { c.ID = oidc.ClientID(strings.Repeat("a", 256)) }, false},
		{"no redirect URI", func(c *clientregistry.Client) { c.RedirectURIs = nil }, false},
		{"bad redirect URI among good ones", func(c *clientregistry.Client) {
			c.RedirectURIs = []string{"http://localhost", "http://evil.example"}
		}, false},
		{"unknown scope", func(c *clientregistry.Client) { c.Scopes = oidc.Scopes{"openid", "admin"} }, false},
		{"scopes without openid", func(c *clientregistry.Client) { c.Scopes = oidc.Scopes{"email"} }, false},
		{"groups claim of the protocol", func(c *clientregistry.Client) { c.GroupsClaim = "sub" }, false},
		{"groups claim of the protocol in another case", func(c *clientregistry.Client) { c.GroupsClaim = "Sub" }, false},
		{"groups claim of another meaning", func(c *clientregistry.Client) { c.GroupsClaim = "email" }, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			client := valid()
			test.change(&client)
			if err := client.Validate(); (err == nil) != test.ok {
				t.Errorf("got %v, want accepted = %v", err, test.ok)
			}
		})
	}
}

func TestSecretsAreKeptAsHashes(t *testing.T) {
	one, two := clientregistry.NewSecret(), clientregistry.NewSecret()
	if one.Equal(two) || clientregistry.CheckSecret(one) != nil {
		t.Fatal("new secrets are equal or short")
	}
	client := clientregistry.Client{SecretHash: clientregistry.HashSecret(one)}
	if !client.HasSecret(one) || client.HasSecret(two) || client.HasSecret(secret.String{}) || client.Public() {
		t.Error("want the secret known, another and none refused, and the client confidential")
	}
	if strings.Contains(client.SecretHash, one.Reveal()) {
		t.Error("the hash holds the secret")
	}
	public := clientregistry.Client{}
	if !public.Public() || public.HasSecret(secret.String{}) || public.HasSecret(one) {
		t.Error("a public client has no secret, not even the empty one")
	}
	for length, ok := range map[int]bool{0: false, 21: false, 22: true, 100: true} {
		if err := clientregistry.CheckSecret(secret.New(strings.Repeat("s", length))); (err == nil) != ok {
			t.Errorf("a secret of %d characters: got %v, want accepted = %v", length, err, ok)
		}
	}
	if err := clientregistry.CheckSecret(secret.New("short-secret")); strings.Contains(fmt.Sprint(err), "short-secret") {
		t.Errorf("the secret stands in the error: %v", err)
	}
}

func TestScopesOfAllClientsCannotBeChangedByOne(t *testing.T) {
	clientregistry.AllScopes()[0] = "evil"
	if got := clientregistry.AllScopes()[0]; got != "openid" {
		t.Errorf("got %q, want openid", got)
	}
}
