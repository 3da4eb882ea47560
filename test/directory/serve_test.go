// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package directory_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/tegata/tegata/internal/admin"
	"github.com/tegata/tegata/internal/audit"
	"github.com/tegata/tegata/internal/exit"
	"github.com/tegata/tegata/internal/oidc"
	"github.com/tegata/tegata/internal/secret"
	"github.com/tegata/tegata/test/directory"
	"github.com/tegata/tegata/test/process"
)

// TestMain lets the test binary play tegata, in a process of its own.
func TestMain(m *testing.M) {
	// With -race each process would wait a second before it ends.
	os.Setenv("GORACE", "atexit_sleep_ms=0")
	testscript.Main(m, map[string]func(){
		"tegata": func() {
			ctx, stop := exit.OnSignal(context.Background())
			code := admin.Main(ctx, admin.Env{
				Args: os.Args[1:], Lookup: os.LookupEnv, Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr,
				Version: "v0.0.0-test",
			})
			stop()
			os.Exit(code)
		},
	})
}

// settings are a section of the configuration file.
type settings map[string]any

// of is a section inside, made if need be.
func (s settings) of(names ...string) settings {
	for _, name := range names {
		if s[name] == nil {
			s[name] = settings{}
		}
		s = s[name].(settings)
	}
	return s
}

// corp is a directory as the configuration file has it.
func corp(s *directory.Server) settings {
	return settings{"name": "corp", "title": "Example Corp", "ldap": settings{
		"servers": []string{s.LDAPS}, "ca": s.CAFile,
		"bind_dn": directory.SearcherDN, "bind_password_environment": "TEST_BIND_PASSWORD",
		"users":  settings{"base_dn": directory.People, "login": []string{"uid", "mail"}},
		"groups": settings{"base_dn": directory.GroupsBase},
	}}
}

// tegata is a running "tegata serve" with its clients: kubernetes is public,
// terminal sends passwords itself.
type tegata struct {
	t           testing.TB
	dir, file   string // its data and its configuration
	issuer      string
	process     *process.Process
	authorities *x509.CertPool
	configured  settings
}

// serve starts the server with these sources.
func serve(t testing.TB, sources ...settings) *tegata {
	t.Helper()
	return serveWith(t, settings{"sources": sources})
}

func serveWith(t testing.TB, more settings) *tegata {
	t.Helper()
	p := &tegata{t: t, dir: t.TempDir(), file: filepath.Join(t.TempDir(), "tegata.yaml")}
	configured := settings{
		"password_hash":  settings{"memory_kib": 8, "time": 1},
		"audit":          settings{"file": filepath.Join(p.dir, "audit.jsonl")},
		"password_grant": true,
		"clients": []settings{
			{"id": "kubernetes", "public": true, "redirect_uris": []string{redirectURI}},
			{"id": "terminal", "public": true, "grants": []string{"password", "refresh_token"}},
		},
	}
	for key, value := range more {
		configured[key] = value
	}
	p.configure(configured)
	args := []string{"serve", "--dev", "--config", p.file, "--data-dir", p.dir, "--listen", "127.0.0.1:0"}
	if _, measured := t.(*testing.B); !measured {
		args = append(args, "--log-level", "debug")
	}
	started, err := process.Start(p.command(args...), filepath.Join(p.dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	p.process = started
	t.Cleanup(p.stop)
	err = started.WaitFor(30*time.Second, func() error {
		if found := issuerLine.FindStringSubmatch(read(t, started.Log)); found != nil {
			p.issuer = found[1]
			return nil
		}
		return errors.New("it does not say its issuer")
	})
	if err != nil {
		t.Fatalf("tegata serve: %v", err)
	}
	p.authorities = x509.NewCertPool()
	p.authorities.AppendCertsFromPEM([]byte(read(t, filepath.Join(p.dir, "ca.crt"))))
	return p
}

const redirectURI = "http://localhost:8000"

var issuerLine = regexp.MustCompile(`(?m)^issuer: (https://\S+)$`)

// configure writes the configuration file. JSON is YAML.
func (p *tegata) configure(all settings) {
	p.t.Helper()
	text, err := json.MarshalIndent(all, "", "  ")
	if err == nil {
		err = os.WriteFile(p.file, text, 0o600)
	}
	if err != nil {
		p.t.Fatal(err)
	}
	p.configured = all
}

// reload makes the server read its configuration, and waits until the log has
// a new line that says so.
func (p *tegata) reload(t testing.TB, said string) {
	t.Helper()
	before := len(read(t, p.process.Log))
	p.configure(p.configured)
	p.process.Signal(syscall.SIGHUP)
	eventually(t, 20*time.Second, func() error {
		fresh := read(t, p.process.Log)[before:]
		if !strings.Contains(fresh, said) || !strings.Contains(fresh, "taken over") {
			return fmt.Errorf("the log says, and not %q:\n%s", said, fresh)
		}
		return nil
	})
}

// stop ends the server, and looks whether it has told a password. Here each
// of them ends alike.
func (p *tegata) stop() {
	p.process.Signal(syscall.SIGTERM)
	select {
	case <-p.process.Gone():
	case <-time.After(20 * time.Second):
		p.process.Kill()
		p.t.Error("the server does not end")
	}
	for _, file := range []string{p.process.Log, filepath.Join(p.dir, "audit.jsonl")} {
		if text := read(p.t, file); strings.Contains(text, "-password") {
			at := strings.Index(text, "-password")
			p.t.Errorf("%s holds a password: …%s…", filepath.Base(file), text[max(0, at-200):min(len(text), at+50)])
		}
	}
}

func (p *tegata) command(args ...string) *exec.Cmd {
	command := exec.Command("tegata", args...)
	command.Env = append(os.Environ(), "TEST_BIND_PASSWORD="+directory.SearcherPassword)
	return command
}

// admin runs a command of the administrator.
func (p *tegata) admin(stdin string, args ...string) string {
	p.t.Helper()
	command := p.command(append(args, "--config", p.file, "--data-dir", p.dir)...)
	command.Stdin = strings.NewReader(stdin)
	out, err := command.CombinedOutput()
	if err != nil {
		p.t.Fatalf("tegata %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// recorded are the events of the audit trail that are of an act.
func (p *tegata) recorded(act audit.Act) (events []audit.Event) {
	p.t.Helper()
	for line := range strings.Lines(read(p.t, filepath.Join(p.dir, "audit.jsonl"))) {
		var event audit.Event
		if err := json.Unmarshal([]byte(line), &event); err != nil {
			p.t.Fatal(err)
		}
		if event.Act == act {
			events = append(events, event)
		}
	}
	return events
}

// browser is the browser of a person, and the client that sent them there.
type browser struct {
	p        *tegata
	web      *http.Client
	body     string // of the page that it shows
	verifier secret.String
}

func (p *tegata) browser() *browser {
	p.t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		p.t.Fatal(err)
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: p.authorities}, ForceAttemptHTTP2: true}
	p.t.Cleanup(transport.CloseIdleConnections)
	return &browser{p: p, web: &http.Client{
		Jar: jar, Transport: transport, Timeout: time.Minute,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// page is what the browser got.
type page struct {
	status  int
	problem string // what the page says went wrong
	title   string
	text    string // what can be read on it
	code    string // that the client gets
	refused string // the error that the client gets
	took    time.Duration
}

var (
	sealedTag  = regexp.MustCompile(`name="request" value="([^"]+)"`)
	problemTag = regexp.MustCompile(`(?s)<(p|div) class="problem".*?</(p|div)>`)
	titleTag   = regexp.MustCompile(`<title>(.*?)</title>`)
	markup     = regexp.MustCompile(`(?s)<(head|style)\b.*?</(head|style)>|<[^>]*>`)
)

func readable(text string) string {
	return strings.Join(strings.Fields(html.UnescapeString(markup.ReplaceAllString(text, " "))), " ")
}

func (b *browser) send(method, address string, form url.Values) (page, error) {
	request, err := http.NewRequestWithContext(b.p.t.Context(), method, address, strings.NewReader(form.Encode()))
	if err != nil {
		return page{}, err
	}
	if form != nil {
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	begun := time.Now()
	response, err := b.web.Do(request)
	if err != nil {
		return page{}, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return page{}, err
	}
	b.body = string(body)
	got := page{status: response.StatusCode, problem: readable(problemTag.FindString(b.body)), text: readable(b.body), took: time.Since(begun)}
	if found := titleTag.FindStringSubmatch(b.body); found != nil {
		got.title = html.UnescapeString(found[1])
	}
	if back, err := response.Location(); err == nil && strings.HasPrefix(back.String(), redirectURI) {
		got.code, got.refused = back.Query().Get("code"), back.Query().Get("error")
	}
	return got, nil
}

// open goes where the client sends the browser.
func (b *browser) open(client string) (page, error) {
	b.verifier = oidc.NewCodeVerifier()
	return b.send(http.MethodGet, b.p.issuer+"/authorize?"+url.Values{
		"response_type": {"code"}, "client_id": {client}, "redirect_uri": {redirectURI},
		"scope": {"openid profile email groups offline_access"}, "prompt": {"login"},
		"code_challenge": {oidc.CodeChallenge(b.verifier)}, "code_challenge_method": {"S256"},
	}.Encode(), nil)
}

// submit sends the form of the page.
func (b *browser) submit(path string, fields url.Values) (page, error) {
	sealed := sealedTag.FindStringSubmatch(b.body)
	if sealed == nil {
		return page{}, fmt.Errorf("there is no form on the page: %s", readable(b.body))
	}
	fields.Set("request", html.UnescapeString(sealed[1]))
	return b.send(http.MethodPost, b.p.issuer+path, fields)
}

// tryLogIn opens the login page and fills it in; source is chosen if it is
// not empty.
func (b *browser) tryLogIn(source, login, password string) (page, error) {
	if _, err := b.open("kubernetes"); err != nil {
		return page{}, err
	}
	fields := url.Values{"login": {login}, "password": {password}}
	if source != "" {
		fields.Set("source", source)
	}
	return b.submit("/login", fields)
}

func (b *browser) logIn(source, login, password string) page {
	b.p.t.Helper()
	got, err := b.tryLogIn(source, login, password)
	if err != nil {
		b.p.t.Fatal(err)
	}
	return got
}

// answer is what the token endpoint says.
type answer struct {
	oidc.TokenResponse
	status  int
	refused oidc.Error
	took    time.Duration
}

// claims are those of the ID token.
type claims struct {
	Subject       oidc.Subject `json:"sub"`
	Username      string       `json:"preferred_username"`
	Name          string       `json:"name"`
	Email         *string      `json:"email"`
	EmailVerified *bool        `json:"email_verified"`
	Groups        []string     `json:"groups"`
}

func (a answer) claims(t testing.TB) (read claims) {
	t.Helper()
	parts := strings.Split(a.IDToken.Reveal(), ".")
	if len(parts) != 3 {
		t.Fatalf("there is no ID token: %d %s %s", a.status, a.refused.Code, a.refused.Description)
	}
	text, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err == nil {
		err = json.Unmarshal(text, &read)
	}
	if err != nil {
		t.Fatal(err)
	}
	return read
}

func (b *browser) tryToken(form url.Values) (a answer, err error) {
	got, err := b.send(http.MethodPost, b.p.issuer+"/token", form)
	if err != nil {
		return a, err
	}
	a.status, a.took = got.status, got.took
	if a.status != http.StatusOK {
		return a, json.Unmarshal([]byte(b.body), &a.refused)
	}
	return a, json.Unmarshal([]byte(b.body), &a.TokenResponse)
}

func (b *browser) token(form url.Values) answer {
	b.p.t.Helper()
	a, err := b.tryToken(form)
	if err != nil {
		b.p.t.Fatal(err)
	}
	return a
}

func (b *browser) redemption(got page) url.Values {
	return url.Values{
		"grant_type": {"authorization_code"}, "client_id": {"kubernetes"}, "redirect_uri": {redirectURI},
		"code": {got.code}, "code_verifier": {b.verifier.Reveal()},
	}
}

// redeem is the client's request for tokens after a login.
func (b *browser) redeem(got page) answer {
	b.p.t.Helper()
	if got.code == "" {
		b.p.t.Fatalf("the login ended with %d %s: %s", got.status, got.refused, got.text)
	}
	a := b.token(b.redemption(got))
	if a.status != http.StatusOK {
		b.p.t.Fatalf("the code was refused: %d %s %s", a.status, a.refused.Code, a.refused.Description)
	}
	return a
}

// login is a client on which somebody is logged in.
type login struct {
	*browser
	newest secret.String // the refresh token
}

// logIn logs in on a client of its own.
func (p *tegata) logIn(source, name, password string) (*login, claims) {
	p.t.Helper()
	b := p.browser()
	a := b.redeem(b.logIn(source, name, password))
	return &login{b, a.RefreshToken}, a.claims(p.t)
}

func (l *login) tryRefresh() (answer, error) {
	a, err := l.tryToken(url.Values{"grant_type": {"refresh_token"}, "client_id": {"kubernetes"}, "refresh_token": {l.newest.Reveal()}})
	if err == nil && a.status == http.StatusOK {
		l.newest = a.RefreshToken
	}
	return a, err
}

func (l *login) refresh() answer {
	l.p.t.Helper()
	a, err := l.tryRefresh()
	if err != nil {
		l.p.t.Fatal(err)
	}
	return a
}

// mustRefresh is refresh, and what the new ID token says.
func (l *login) mustRefresh() claims {
	l.p.t.Helper()
	return l.refresh().claims(l.p.t)
}

// eventually polls until do succeeds; the last error is the test's.
func eventually(t testing.TB, limit time.Duration, do func() error) {
	t.Helper()
	for deadline := time.Now().Add(limit); ; time.Sleep(10 * time.Millisecond) {
		err := do()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("not within %s: %v", limit, err)
		}
	}
}

func read(t testing.TB, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
