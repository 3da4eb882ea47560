// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package upstream_test

import (
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tegata/tegata/internal/identity"
	"github.com/tegata/tegata/internal/identity/upstream"
	"github.com/tegata/tegata/internal/oidc"
	"github.com/tegata/tegata/internal/secret"
)

// hub has the shape of a GitHub Enterprise server's OAuth endpoints and API.
type hub struct {
	server *httptest.Server
	config upstream.GitHubConfig

	mu        sync.Mutex // guards the fields below
	challenge string
	token     map[string]any // the answer of the token endpoint
	pages     map[string][]string
	header    map[string]http.Header // by path
	status    map[string]int
	bodies    []string // of requests that change something
}

func newHub(t testing.TB) *hub {
	t.Helper()
	h := &hub{
		token:  map[string]any{"access_token": "gho_1", "token_type": "bearer", "scope": "read:org,user:email"},
		header: map[string]http.Header{}, status: map[string]int{},
		pages: map[string][]string{
			"/user":        {`{"id":583231,"login":"octocat","name":"The Octocat","email":"public@example.com","type":"User"}`},
			"/user/emails": {`[{"email":"old@example.org","primary":false,"verified":true},{"email":"octocat@example.com","primary":true,"verified":true,"visibility":"public"}]`},
			"/user/orgs":   {`[{"login":"acme","id":1}]`, `[{"login":"Tools","id":2}]`},
			"/user/teams": {
				`[{"slug":"platform-engineers","name":"Platform Engineers","organization":{"login":"acme"}}]`,
				`[{"slug":"all","name":"All","organization":{"login":"Tools"}},{"slug":"elsewhere","name":"Elsewhere","organization":{"login":"other"}}]`,
			},
		},
	}
	h.server = httptest.NewTLSServer(h)
	t.Cleanup(h.server.Close)
	h.config = upstream.GitHubConfig{
		Name: "github", BaseURL: h.server.URL, ClientID: "Iv1.abc", ClientSecret: secret.New(clientSecret),
		Organizations: []string{"acme", "tools"}, TLS: trust(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: h.server.Certificate().Raw})),
	}
	return h
}

func (h *hub) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h.mu.Lock()
	defer h.mu.Unlock()
	path, api := strings.CutPrefix(r.URL.Path, "/api/v3")
	switch {
	case r.URL.Path == "/login/oauth/access_token" && r.Method == http.MethodPost:
		_ = r.ParseForm()
		switch {
		case r.Header.Get("Accept") != "application/json": // else it answers with a form
			http.Error(w, "", http.StatusNotAcceptable)
		case r.PostForm.Get("client_id") != "Iv1.abc" || r.PostForm.Get("client_secret") != clientSecret:
			reply(w, map[string]any{"error": "incorrect_client_credentials", "error_description": "The client_id and/or client_secret passed are incorrect."})
		case r.PostForm.Get("grant_type") == oidc.GrantRefreshToken && r.PostForm.Get("refresh_token") != "ghr_1":
			reply(w, map[string]any{"error": "bad_refresh_token"})
		case r.PostForm.Get("grant_type") != oidc.GrantRefreshToken && oidc.CodeChallenge(secret.New(r.PostForm.Get("code_verifier"))) != h.challenge:
			reply(w, map[string]any{"error": "bad_verification_code", "error_description": "The code passed is incorrect or expired."})
		default:
			reply(w, h.token)
		}
	case api && r.Method == http.MethodDelete:
		body, _ := io.ReadAll(r.Body)
		id, password, _ := r.BasicAuth()
		h.bodies = append(h.bodies, fmt.Sprintf("%s %s %s %s", path, id, password, body))
		w.WriteHeader(http.StatusNoContent)
	case api && h.status[path] != 0:
		for name, values := range h.header[path] {
			w.Header()[name] = values
		}
		w.WriteHeader(h.status[path])
		fmt.Fprintf(w, `{"message":"as the test wants it (%d)"}`, h.status[path])
	case api && r.Header.Get("Authorization") != "Bearer "+h.token["access_token"].(string):
		w.WriteHeader(http.StatusUnauthorized)
		fmt.Fprint(w, `{"message":"Bad credentials"}`)
	case api && h.pages[path] != nil:
		page := len(r.URL.Query().Get("page"))
		if page+1 < len(h.pages[path]) {
			w.Header().Set("Link", fmt.Sprintf(`<%s%s?per_page=100&page=%s>; rel="next", <%s/x>; rel="last"`, h.server.URL, r.URL.Path, strings.Repeat("x", page+1), h.server.URL))
		}
		for name, values := range h.header[path] {
			w.Header()[name] = values
		}
		fmt.Fprint(w, h.pages[path][page])
	default:
		w.WriteHeader(http.StatusNotFound)
		fmt.Fprint(w, `{"message":"Not Found"}`)
	}
}

func (h *hub) logIn(t testing.TB) (*upstream.GitHub, identity.User, upstream.Tokens, error) {
	t.Helper()
	source, err := upstream.NewGitHub(h.config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(source.Close)
	address, attempt, err := source.Begin(t.Context(), upstream.Login{RedirectURI: callbackURI, State: "our state", LoginHint: "octocat"})
	if err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	query := u.Query()
	want := url.Values{
		"response_type": {"code"}, "client_id": {"Iv1.abc"}, "redirect_uri": {callbackURI}, "scope": {"user:email read:org"}, "state": {"our state"},
		"code_challenge": {oidc.CodeChallenge(attempt.Verifier)}, "code_challenge_method": {"S256"}, "login": {"octocat"},
	}
	if diff := cmp.Diff(want, query); diff != "" || u.Path != "/login/oauth/authorize" {
		t.Errorf("%s (-want +got):\n%s", address, diff)
	}
	h.mu.Lock()
	h.challenge = query.Get("code_challenge")
	h.mu.Unlock()
	user, tokens, err := source.Finish(t.Context(), callbackURI, attempt, url.Values{"code": {"c"}})
	return source, user, tokens, err
}

func TestGitHub(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	source, user, tokens, err := h.logIn(t)
	if err != nil {
		t.Fatal(err)
	}
	want := identity.User{
		Subject: "github:583231", Username: "octocat", Email: "octocat@example.com", EmailVerified: true, Name: "The Octocat", Source: "github",
		Groups: []string{"Tools", "Tools:all", "acme", "acme:platform-engineers"},
	}
	if diff := cmp.Diff(want, user); diff != "" {
		t.Errorf("the login (-want +got):\n%s", diff)
	}

	h.mu.Lock()
	h.pages["/user/orgs"] = []string{`[{"login":"acme"}]`}
	h.pages["/user/teams"] = []string{`[]`}
	h.mu.Unlock()
	user, kept, err := source.Refresh(t.Context(), user.Subject, tokens)
	if err != nil || !slices.Equal(user.Groups, []string{"acme"}) || !kept.AccessToken.Equal(tokens.AccessToken) {
		t.Errorf("the refresh: got %q, %v", user.Groups, err)
	}
	if _, _, err := source.Refresh(t.Context(), "github:1", tokens); !errors.Is(err, identity.ErrNotFound) {
		t.Errorf("another user: got %v", err)
	}

	if err := source.Revoke(t.Context(), tokens); err != nil {
		t.Error(err)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if want := []string{"/applications/Iv1.abc/token Iv1.abc " + clientSecret + ` {"access_token":"gho_1"}`}; !slices.Equal(h.bodies, want) {
		t.Errorf("revoked with %q, want %q", h.bodies, want)
	}
}

func TestGitHubSaysNo(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name   string
		change func(*hub)
		want   string
		gone   bool // at a refresh
	}{
		{"a wrong secret", func(h *hub) { h.config.ClientSecret = secret.New("another") }, "the client secret of the source github is wrong or has expired", false},
		{"a scope that was not granted", func(h *hub) { h.token["scope"] = "user:email" }, "read:org is needed", false},
		{"a token that was revoked", func(h *hub) { h.status["/user"] = 401 }, "does not take the access token", true},
		{"too many questions", func(h *hub) {
			h.status["/user/teams"], h.header["/user/teams"] = 403, http.Header{"X-Ratelimit-Remaining": {"0"}}
		}, "try again later", false},
		{"no permission", func(h *hub) { h.status["/user/emails"] = 404 }, "permissions to read e-mail addresses", false},
		{"no organization that counts", func(h *hub) { h.config.Organizations = []string{"evil"} }, "certain organizations", true},
		{"no team that counts", func(h *hub) { h.config.AllowedGroups = []string{"acme:others"} }, "certain groups", true},
		{"no address that counts", func(h *hub) { h.config.AllowedEmailDomains = []string{"example.net"} }, "certain domains", true},
		{"an account without an ID", func(h *hub) { h.pages["/user"] = []string{`{"login":"octocat"}`} }, "did not say who", false},
		{"a page elsewhere", func(h *hub) {
			h.header["/user/orgs"] = http.Header{"Link": {`<https://evil.example/api/v3/user/orgs?page=2>; rel="next"`}}
		}, "which is elsewhere", false},
		{"a page outside of the API", func(h *hub) {
			h.header["/user/orgs"] = http.Header{"Link": {`</logout>; rel="next"`}}
		}, "which is elsewhere", false},
		{"an organization left out that counts", func(h *hub) {
			h.header["/user/orgs"] = http.Header{"X-Github-Sso": {"partial-results; organizations=21955855"}}
			h.config.Organizations = []string{"acme", "secret"}
			h.status["/user/memberships/orgs/secret"] = 403
		}, "/orgs/secret/sso", false},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			h := newHub(t)
			source, user, tokens, err := h.logIn(t)
			if err != nil {
				t.Fatal(err)
			}
			source.Close()
			h.mu.Lock()
			test.change(h)
			h.mu.Unlock()
			changed, _, _, err := h.logIn(t)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Fatalf("got %v, want an error with %q", err, test.want)
			}
			if _, _, err := changed.Refresh(t.Context(), user.Subject, tokens); errors.Is(err, identity.ErrNotFound) != test.gone {
				t.Errorf("at a refresh: got %v, want the user gone: %v", err, test.gone)
			}
		})
	}
}

func TestGitHubFilters(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	h.config.Organizations, h.config.TeamNames = []string{"ACME", "absent"}, upstream.TeamName
	h.config.AllowedEmailDomains = []string{"example.org"}
	// Nobody is in the absent organization, whatever is left out.
	h.header["/user/orgs"] = http.Header{"X-Github-Sso": {"partial-results; organizations=21955855"}}
	_, user, _, err := h.logIn(t)
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"acme", "acme:Platform Engineers"}; !slices.Equal(user.Groups, want) || user.Email != "old@example.org" {
		t.Errorf("got %q and %s, want %q", user.Groups, user.Email, want)
	}
}

// The tokens of a GitHub app expire, and it has permissions in place of
// scopes.
func TestGitHubApp(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	now := time.Now()
	h.config.Now = func() time.Time { return now }
	h.token = map[string]any{"access_token": "ghu_1", "token_type": "bearer", "scope": "", "expires_in": 28800, "refresh_token": "ghr_1"}
	source, user, tokens, err := h.logIn(t)
	if err != nil {
		t.Fatal(err)
	}
	now = now.Add(9 * time.Hour)
	h.token = map[string]any{"access_token": "ghu_2", "token_type": "bearer", "scope": "", "expires_in": 28800, "refresh_token": "ghr_2"}
	_, kept, err := source.Refresh(t.Context(), user.Subject, tokens)
	if err != nil || kept.AccessToken.Reveal() != "ghu_2" || kept.RefreshToken.Reveal() != "ghr_2" {
		t.Fatalf("the refresh: %v", err)
	}
	now = now.Add(9 * time.Hour)
	if _, _, err := source.Refresh(t.Context(), user.Subject, kept); !errors.Is(err, identity.ErrNotFound) {
		t.Errorf("a refresh token that is refused: got %v", err)
	}
	kept.RefreshToken = secret.String{}
	if _, _, err := source.Refresh(t.Context(), user.Subject, kept); err == nil || errors.Is(err, identity.ErrNotFound) {
		t.Errorf("nothing to ask with: got %v", err)
	}
}

func TestGitHubCallback(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	source, _, _, err := h.logIn(t)
	if err != nil {
		t.Fatal(err)
	}
	attempt := upstream.Attempt{Verifier: secret.New("v")}
	for _, test := range []struct {
		query url.Values
		want  string
	}{
		{url.Values{"error": {"access_denied"}}, upstream.ErrCancelled.Error()},
		{url.Values{"error": {"redirect_uri_mismatch"}}, "redirect_uri_mismatch"},
		{url.Values{}, "no code"},
		{url.Values{"code": {"a", "b"}}, "more than one code"},
		{url.Values{"code": {"a"}, "iss": {"https://evil.example"}}, "evil.example"},
		{url.Values{"code": {"a"}, "iss": {h.server.URL + ".evil.example"}}, "evil.example"},
		{url.Values{"code": {"a"}, "iss": {h.server.URL + "/login/oauth"}}, "register the redirect URI " + callbackURI}, // the verifier is wrong
	} {
		if _, _, err := source.Finish(t.Context(), callbackURI, attempt, test.query); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%v: got %v, want an error with %q", test.query, err, test.want)
		}
	}
}

func TestWhereTheAPIIs(t *testing.T) {
	t.Parallel()
	for base, want := range map[string]string{
		"https://github.com":             "https://api.github.com",
		"https://acme.ghe.com":           "https://api.acme.ghe.com",
		"https://github.acme.example":    "https://github.acme.example/api/v3",
		"https://acme.example/on/a/path": "https://acme.example/on/a/path/api/v3",
	} {
		if got := upstream.APIOf(base); got != want {
			t.Errorf("%s: got %s, want %s", base, got, want)
		}
	}
}

// Anybody can make an organization of any free name at GitHub. Where none is
// named, none of them is a group here: else a person of an allowed domain makes
// the organization "platform-admins", and is one.
func TestOrganizationsThatNobodyNamedAreNoGroups(t *testing.T) {
	t.Parallel()
	user, err := upstream.MapAccount(upstream.GitHubConfig{
		Name: "github", ClientID: "Iv1.abc", ClientSecret: secret.New("s"),
		Admission: upstream.Admission{AllowedEmailDomains: []string{"example.com"}},
	},
		[]byte(`{"id":583231,"login":"mallory"}`),
		[]byte(`[{"email":"mallory@example.com","primary":true,"verified":true}]`),
		[]byte(`[{"login":"platform-admins"}]`), []byte(`[]`))
	if err != nil {
		t.Fatal(err)
	}
	if slices.Contains(user.Groups, "platform-admins") {
		t.Errorf("mallory made the organization platform-admins and has the groups %q", user.Groups)
	}
}
