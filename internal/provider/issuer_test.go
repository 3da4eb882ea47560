// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package provider_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"database/sql"
	"encoding/base64"
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	_ "modernc.org/sqlite"

	"github.com/tegata/tegata/internal/clientregistry"
	"github.com/tegata/tegata/internal/identity"
	"github.com/tegata/tegata/internal/identity/local"
	"github.com/tegata/tegata/internal/oidc"
	"github.com/tegata/tegata/internal/provider"
	"github.com/tegata/tegata/internal/seal"
	"github.com/tegata/tegata/internal/secret"
	"github.com/tegata/tegata/internal/signingkey"
	"github.com/tegata/tegata/internal/store"
)

// What every issuer of these tests knows.
const (
	issuerURL     = "https://id.example.com"
	alicePassword = "correct horse battery staple"
	bobPassword   = "another-long-password"
	webSecret     = "web-client-secret: 100% a+b/c=d&e" // needs form encoding inside Basic
	otherSecret   = "other-client-secret-0123456789"
)

// birth is when the clock of each test starts: a round second.
var birth = time.Date(2026, 12, 1, 9, 0, 0, 0, time.UTC)

// clock is the time as the provider sees it.
type clock struct {
	mu  sync.Mutex // guards the field below
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// signingKeys are made once: an RSA key takes longer than most tests.
type signingKeys struct {
	mu      sync.Mutex // guards the field below
	records []signingkey.Record
}

func (k *signingKeys) SigningKeys(context.Context) ([]signingkey.Record, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return slices.Clone(k.records), nil
}

func (k *signingKeys) ChangeSigningKeys(_ context.Context, change signingkey.Change) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.records = signingkey.Apply(k.records, change)
	return nil
}

var sharedKeys = sync.OnceValues(func() (*signingkey.KeySet, error) {
	return signingkey.Open(context.Background(), signingkey.Custody{Storage: &signingKeys{}, Sealer: seal.RandomKey()})
})

// issuer is a provider under test: real storage, a real listener, a clock.
type issuer struct {
	t       testing.TB
	url     string
	clock   *clock
	path    string // of the database file
	db      *store.DB
	close   func() error // of the database; once
	rows    *store.Issuer
	hasher  *local.Hasher
	config  provider.Config
	handler http.Handler
	server  *httptest.Server
	alice   oidc.Subject
	bob     oidc.Subject
}

// cheap is the cheapest password hash that is accepted, so that tests of the
// protocol do not spend their time on passwords.
var cheap = local.Cost{Memory: 8, Time: 1, Threads: 1}

// population is a database with two users and four clients: the public
// "kubernetes" and "laptop", and the confidential "web" and "other". It is made
// once; each issuer begins with a copy.
var population = sync.OnceValues(func() (populated, error) {
	var p populated
	dir, err := os.MkdirTemp("", "tegata-population-")
	if err != nil {
		return p, err
	}
	defer os.RemoveAll(dir)
	ctx, path := context.Background(), filepath.Join(dir, "tegata.db")
	db, err := store.Open(ctx, store.Config{Path: path})
	if err != nil {
		return p, err
	}
	rows := db.Issuer("main")
	err = db.AddIssuer(ctx, store.IssuerRecord{ID: "main", URL: issuerURL, SealedSecret: "-"}, birth)
	for _, group := range []string{"platform-engineer", "readers"} {
		err = errors.Join(err, rows.AddGroup(ctx, group, birth))
	}
	for _, user := range []struct {
		identity.User
		password string
		subject  *oidc.Subject
	}{
		{identity.User{Username: "alice", Email: "alice@example.com", EmailVerified: true, Name: "Alice Archer", Groups: []string{"platform-engineer", "readers"}}, alicePassword, &p.alice},
		{identity.User{Username: "bob"}, bobPassword, &p.bob},
	} {
		var addErr error
		*user.subject, addErr = addUser(ctx, rows, user.User, user.password)
		err = errors.Join(err, addErr)
	}
	for _, client := range []struct {
		clientregistry.Client
		secret string
	}{
		{clientregistry.Client{ID: "kubernetes", Name: "Production cluster", RedirectURIs: []string{"http://localhost:8000", "http://127.0.0.1:8000/callback", "http://[::1]:8000/callback", "https://app.example.com/callback", "https://app.example.com/query?tenant=a", "com.example.app:/callback"}}, ""},
		{clientregistry.Client{ID: "laptop", RedirectURIs: []string{"http://localhost:8000"}}, ""},
		{clientregistry.Client{ID: "web", Name: "Web console", RedirectURIs: []string{"https://web.example.com/callback"}}, webSecret},
		{clientregistry.Client{ID: "other", RedirectURIs: []string{"https://web.example.com/callback"}}, otherSecret},
	} {
		err = errors.Join(err, addClient(ctx, rows, client.Client, client.secret))
	}
	if err = errors.Join(err, db.Close()); err != nil {
		return p, err
	}
	p.file, err = os.ReadFile(path)
	if err != nil {
		return p, err
	}
	p.log, err = os.ReadFile(path + "-wal")
	if errors.Is(err, os.ErrNotExist) {
		err = nil
	}
	return p, err
})

type populated struct {
	file, log  []byte // the log is empty if closing took it into the file
	alice, bob oidc.Subject
}

// newIssuer starts an issuer with the population.
func newIssuer(t testing.TB, options ...func(*issuer)) *issuer {
	t.Helper()
	i := &issuer{t: t, url: issuerURL, clock: &clock{now: birth}}
	keys, err := sharedKeys()
	check(t, err)
	people, err := population()
	check(t, err)
	i.alice, i.bob = people.alice, people.bob
	i.hasher, err = local.NewHasher(cheap)
	check(t, err)
	i.config = provider.Config{ID: "main", Keys: keys, Secret: seal.RandomKey(), Now: i.clock.Now}
	i.path = filepath.Join(t.TempDir(), "tegata.db")
	check(t, os.WriteFile(i.path, people.file, 0o600))
	check(t, os.WriteFile(i.path+"-wal", people.log, 0o600))
	i.db, err = store.Open(t.Context(), store.Config{Path: i.path})
	check(t, err)
	i.close = sync.OnceValue(i.db.Close)
	t.Cleanup(func() { check(t, i.close()) })
	i.rows = i.db.Issuer("main")
	i.config.Storage, i.config.Ready = i.rows, i.db.Ping
	for _, option := range options {
		option(i)
	}
	i.config.Issuer = oidc.Issuer(i.url)
	if i.config.Source == nil {
		i.config.Source = &local.Source{Accounts: i.rows, Hasher: i.hasher, LinkKey: i.config.Secret.Derive("account link"), Now: i.clock.Now}
	}
	i.restart()
	return i
}

// restart makes the provider anew from the configuration.
func (i *issuer) restart() {
	i.t.Helper()
	p, err := provider.New(i.config)
	check(i.t, err)
	i.handler = p
	if i.server == nil {
		i.server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { i.handler.ServeHTTP(w, r) }))
		i.server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug)
		i.server.StartTLS()
		i.t.Cleanup(i.server.Close)
	}
}

// in is the same issuer for a subtest, which then fails by itself.
func (i *issuer) in(t testing.TB) *issuer {
	inner := *i
	inner.t = t
	return &inner
}

func at(address string) func(*issuer) { return func(i *issuer) { i.url = address } }

func lasting(l provider.Lifetimes) func(*issuer) {
	return func(i *issuer) { i.config.Lifetimes = l }
}

func logging(to io.Writer) func(*issuer) {
	return func(i *issuer) {
		i.config.Log = slog.New(slog.NewJSONHandler(to, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
}

func (i *issuer) addUser(user identity.User, password string) oidc.Subject {
	i.t.Helper()
	subject, err := addUser(i.t.Context(), i.rows, user, password)
	check(i.t, err)
	return subject
}

func addUser(ctx context.Context, rows *store.Issuer, user identity.User, password string) (oidc.Subject, error) {
	hasher, err := local.NewHasher(cheap)
	if err != nil {
		return "", err
	}
	hash, err := hasher.Hash(ctx, secret.New(password))
	if err != nil {
		return "", err
	}
	user.Subject = local.NewSubject(user.Username)
	return user.Subject, rows.AddAccount(ctx, local.Account{User: user, PasswordHash: hash}, birth)
}

func (i *issuer) addClient(client clientregistry.Client, clientSecret string) {
	i.t.Helper()
	check(i.t, addClient(i.t.Context(), i.rows, client, clientSecret))
}

func addClient(ctx context.Context, rows *store.Issuer, client clientregistry.Client, clientSecret string) error {
	if clientSecret != "" {
		client.SecretHash = clientregistry.HashSecret(secret.New(clientSecret))
	}
	if err := client.Validate(); err != nil {
		return err
	}
	return rows.AddClient(ctx, client, birth)
}

// count asks the database file itself, past the code under test.
func (i *issuer) count(table string) int {
	i.t.Helper()
	db, err := sql.Open("sqlite", "file:"+i.path+"?_pragma=query_only(1)")
	check(i.t, err)
	defer db.Close()
	var n int
	check(i.t, db.QueryRowContext(i.t.Context(), "SELECT COUNT(*) FROM "+table).Scan(&n))
	return n
}

// browser is a user agent: cookies, and redirects that are looked at instead
// of followed. It goes to the server of these tests whatever the address says.
type browser struct {
	t      testing.TB
	issuer *issuer
	client *http.Client
	header http.Header // sent with each request
}

func (i *issuer) browser() *browser {
	jar, err := cookiejar.New(nil)
	check(i.t, err)
	return &browser{t: i.t, issuer: i, client: i.client(jar), header: http.Header{}}
}

func (i *issuer) client(jar http.CookieJar) *http.Client {
	roots := i.server.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs
	transport := &http.Transport{
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, i.server.Listener.Addr().String())
		},
		TLSClientConfig:     &tls.Config{RootCAs: roots, ServerName: "example.com"},
		MaxIdleConnsPerHost: 64,
	}
	i.t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{
		Transport: transport, Jar: jar,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// answered is an answer that was read to its end.
type answered struct {
	t        testing.TB
	status   int
	header   http.Header
	body     string
	cookies  []*http.Cookie
	location *url.URL // nil unless it is a redirect
}

func (b *browser) send(method, address string, form url.Values, header http.Header) answered {
	b.t.Helper()
	var body io.Reader
	if form != nil {
		body = strings.NewReader(form.Encode())
	}
	if strings.HasPrefix(address, "/") {
		address = b.issuer.url + address
	}
	r, err := http.NewRequestWithContext(b.t.Context(), method, address, body)
	check(b.t, err)
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for name, values := range b.header {
		r.Header[name] = values
	}
	for name, values := range header {
		r.Header[name] = values
	}
	return b.do(r)
}

func (b *browser) do(r *http.Request) answered {
	b.t.Helper()
	response, err := b.client.Do(r)
	check(b.t, err)
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	check(b.t, err)
	a := answered{t: b.t, status: response.StatusCode, header: response.Header, body: string(text), cookies: response.Cookies()}
	if place := response.Header.Get("Location"); place != "" {
		a.location, err = url.Parse(place)
		check(b.t, err)
	}
	return a
}

func (b *browser) get(address string) answered { b.t.Helper(); return b.send("GET", address, nil, nil) }

// post sends a form and follows the provider within itself, as a browser that
// is asked to come back by GET.
func (b *browser) post(address string, form url.Values, header http.Header) answered {
	b.t.Helper()
	a := b.send("POST", address, form, header)
	for a.location != nil && a.location.Host == "" && a.location.Opaque == "" {
		a = b.send("GET", b.resolve(a.location.String()), nil, nil)
	}
	return a
}

func (b *browser) authorize(parameters url.Values) answered {
	b.t.Helper()
	return b.get("/authorize?" + parameters.Encode())
}

// submit fills in the login page and sends its form.
func (b *browser) submit(loginPage answered, login, password string) answered {
	b.t.Helper()
	form := loginPage.form()
	form.fields.Set("login", login)
	form.fields.Set("password", password)
	return b.send("POST", b.resolve(form.action), form.fields, nil)
}

// press answers the page that asks whether to go on, or whether to log out,
// with one of its buttons.
func (b *browser) press(page answered, answer string) answered {
	b.t.Helper()
	form := page.form()
	form.fields.Set("answer", answer)
	return b.send("POST", b.resolve(form.action), form.fields, nil)
}

// again is a request that the session answers when the person agrees.
func (b *browser) again(parameters url.Values) answered {
	b.t.Helper()
	page := b.authorize(parameters)
	page.wantPage(http.StatusOK, "Continue as")
	return b.press(page, "continue")
}

// resolve makes an address of a page absolute; send takes those that begin
// with a slash as below the issuer's.
func (b *browser) resolve(reference string) string {
	b.t.Helper()
	base, err := url.Parse(b.issuer.url + "/authorize")
	check(b.t, err)
	to, err := base.Parse(reference)
	check(b.t, err)
	return to.String()
}

// login goes from the authorization request to the code.
func (b *browser) login(parameters url.Values, login, password string) answered {
	b.t.Helper()
	page := b.authorize(parameters)
	page.wantStatus(http.StatusOK)
	a := b.submit(page, login, password)
	a.wantStatus(http.StatusSeeOther)
	return a
}

func (a answered) wantStatus(want int) {
	a.t.Helper()
	if a.status != want {
		a.t.Fatalf("status: got %d, want %d; location %v; body:\n%s", a.status, want, a.location, a.body)
	}
}

func (a answered) code() string {
	a.t.Helper()
	code := a.query("code")
	if code == "" {
		a.t.Fatalf("no code in the answer: status %d, location %v, body:\n%s", a.status, a.location, a.body)
	}
	return code
}

func (a answered) query(name string) string {
	if a.location == nil {
		return ""
	}
	return a.location.Query().Get(name)
}

// wantError checks the error of a redirect to the client.
func (a answered) wantError(want oidc.ErrorCode) {
	a.t.Helper()
	if a.status != http.StatusSeeOther || a.query("error") != string(want) || a.query("code") != "" {
		a.t.Errorf("got status %d, location %v; want a redirect with error=%s", a.status, a.location, want)
	}
}

// wantPage checks that a page was shown, and nothing was redirected.
func (a answered) wantPage(status int, part string) {
	a.t.Helper()
	if a.location != nil {
		a.t.Errorf("got a redirect to %v, want a page", a.location)
	}
	if a.status != status || !strings.Contains(a.body, part) {
		a.t.Errorf("got status %d, want %d with %q in the page:\n%s", a.status, status, part, a.body)
	}
	if got := a.header.Get("Content-Type"); got != "text/html; charset=utf-8" {
		a.t.Errorf("Content-Type: got %q, want a page", got)
	}
}

type form struct {
	action string
	fields url.Values
}

// form reads the first form of a page, as a browser would.
func (a answered) form() form {
	a.t.Helper()
	found := form{fields: url.Values{}}
	for element := range elements(a.t, a.body) {
		switch element.name {
		case "form":
			found.action = element.attributes["action"]
		case "input":
			found.fields.Set(element.attributes["name"], element.attributes["value"])
		}
	}
	if found.action == "" {
		a.t.Fatalf("no form in the page: status %d, location %v, body:\n%s", a.status, a.location, a.body)
	}
	return found
}

type element struct {
	name       string
	attributes map[string]string
}

func elements(t testing.TB, html string) func(func(element) bool) {
	return func(yield func(element) bool) {
		decoder := xml.NewDecoder(strings.NewReader(html))
		decoder.Strict, decoder.AutoClose, decoder.Entity = false, xml.HTMLAutoClose, xml.HTMLEntity
		for {
			token, err := decoder.Token()
			if errors.Is(err, io.EOF) {
				return
			}
			check(t, err)
			start, ok := token.(xml.StartElement)
			if !ok {
				continue
			}
			e := element{start.Name.Local, map[string]string{}}
			for _, attribute := range start.Attr {
				e.attributes[attribute.Name.Local] = attribute.Value
			}
			if !yield(e) {
				return
			}
		}
	}
}

// RFC 7636, appendix B.
const (
	verifier  = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
	challenge = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
)

// request is an authorization request of the public client, with changes:
// pairs of name and value. An empty value takes the parameter out.
func request(changes ...string) url.Values {
	parameters := url.Values{
		"client_id": {"kubernetes"}, "redirect_uri": {"http://localhost:8000"}, "response_type": {"code"},
		"scope": {"openid"}, "state": {"a-state"}, "nonce": {"a-nonce"},
		"code_challenge": {challenge}, "code_challenge_method": {"S256"},
	}
	return change(parameters, changes...)
}

// webRequest is one of the confidential client.
func webRequest(changes ...string) url.Values {
	return change(request("client_id", "web", "redirect_uri", "https://web.example.com/callback"), changes...)
}

func change(values url.Values, changes ...string) url.Values {
	for pair := range slices.Chunk(changes, 2) {
		if pair[1] == "" {
			values.Del(pair[0])
		} else {
			values.Set(pair[0], pair[1])
		}
	}
	return values
}

// tokens is the answer of the token endpoint.
type tokens struct {
	answered

	AccessToken  string `json:"access_token"`
	TokenType    string `json:"token_type"`
	ExpiresIn    int    `json:"expires_in"`
	RefreshToken string `json:"refresh_token"`
	IDToken      string `json:"id_token"`
	Scope        string `json:"scope"`
	Code         string `json:"error"`
	Description  string `json:"error_description"`
}

// token sends a form to the token endpoint.
func (i *issuer) token(form url.Values, header http.Header) tokens {
	i.t.Helper()
	return i.browser().token(form, header)
}

func (b *browser) token(form url.Values, header http.Header) tokens {
	b.t.Helper()
	found := tokens{answered: b.send("POST", "/token", form, header)}
	if err := json.Unmarshal([]byte(found.body), &found); err != nil {
		b.t.Fatalf("the token endpoint's answer is no JSON: %v: status %d, body:\n%s", err, found.status, found.body)
	}
	return found
}

func codeForm(code string, changes ...string) url.Values {
	return change(url.Values{
		"grant_type": {"authorization_code"}, "client_id": {"kubernetes"}, "code": {code},
		"redirect_uri": {"http://localhost:8000"}, "code_verifier": {verifier},
	}, changes...)
}

func refreshForm(refreshToken string, changes ...string) url.Values {
	return change(url.Values{
		"grant_type": {"refresh_token"}, "client_id": {"kubernetes"}, "refresh_token": {refreshToken},
	}, changes...)
}

// basic is client authentication in the header, form-encoded as RFC 6749,
// section 2.3.1, wants it.
func basic(id, clientSecret string) http.Header {
	pair := url.QueryEscape(id) + ":" + url.QueryEscape(clientSecret)
	return http.Header{"Authorization": {"Basic " + base64.StdEncoding.EncodeToString([]byte(pair))}}
}

func bearer(accessToken string) http.Header {
	return http.Header{"Authorization": {"Bearer " + accessToken}}
}

// logIn logs alice in at the public client and exchanges the code.
func (i *issuer) logIn(changes ...string) tokens {
	i.t.Helper()
	code := i.browser().login(request(changes...), "alice", alicePassword).code()
	found := i.token(codeForm(code), nil)
	found.wantTokens()
	return found
}

func (i *issuer) refresh(refreshToken string, changes ...string) tokens {
	i.t.Helper()
	return i.token(refreshForm(refreshToken, changes...), nil)
}

func (i *issuer) userinfo(accessToken string) answered {
	i.t.Helper()
	return i.browser().send("GET", "/userinfo", nil, bearer(accessToken))
}

func (a tokens) wantTokens() {
	a.t.Helper()
	if a.status != http.StatusOK || a.AccessToken == "" || a.IDToken == "" || a.RefreshToken == "" || a.TokenType != "Bearer" {
		a.t.Fatalf("got status %d, want 200 with three tokens; body: %s", a.status, a.body)
	}
}

func (a tokens) wantRefusal(want oidc.ErrorCode) {
	a.t.Helper()
	status := http.StatusBadRequest
	if want == oidc.InvalidClient {
		status = http.StatusUnauthorized
	}
	if a.status != status || a.Code != string(want) || a.AccessToken+a.IDToken+a.RefreshToken != "" {
		a.t.Errorf("got status %d with %s; want %d %s", a.status, a.body, status, want)
	}
}

// part decodes one part of a JWS without a look at its signature.
func part(t testing.TB, token string, index int) map[string]any {
	t.Helper()
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		t.Fatalf("got %d parts, want a JWS", len(parts))
	}
	raw, err := base64.RawURLEncoding.DecodeString(parts[index])
	check(t, err)
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.UseNumber()
	var claims map[string]any
	check(t, decoder.Decode(&claims))
	return claims
}

func header(t testing.TB, token string) map[string]any { t.Helper(); return part(t, token, 0) }
func claims(t testing.TB, token string) map[string]any { t.Helper(); return part(t, token, 1) }

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
