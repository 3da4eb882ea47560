// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package login_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-jose/go-jose/v4"
	"go.uber.org/goleak"

	"github.com/tegata/tegata/internal/login"
	"github.com/tegata/tegata/internal/oidc"
	"github.com/tegata/tegata/internal/oidctest"
	"github.com/tegata/tegata/internal/secret"
)

// noLeaks fails the test if a goroutine outlives it. It goes first, so that it
// looks last.
func noLeaks(t *testing.T) {
	before := goleak.IgnoreCurrent()
	t.Cleanup(func() { goleak.VerifyNone(t, before) })
}

// notebook is a notebook in memory.
type notebook struct{ text []byte }

func (n *notebook) Load() ([]byte, error) {
	if n.text == nil {
		return nil, errors.New("empty")
	}
	return n.text, nil
}

func (n *notebook) Save(text []byte) error {
	n.text = bytes.Clone(text)
	return nil
}

func newClient(t *testing.T, p *oidctest.Provider) *login.Client {
	t.Helper()
	transport, err := login.NewHTTPClient(login.Trust{Authorities: [][]byte{p.CA()}})
	if err != nil {
		t.Fatal(err)
	}
	c := &login.Client{Issuer: p.Issuer, ClientID: p.ClientID, HTTP: transport, Notebook: &notebook{}}
	t.Cleanup(c.Close)
	return c
}

// visit is an end user who logs in at once.
func visit(t *testing.T, p *oidctest.Provider) func(context.Context, string) error {
	return func(_ context.Context, address string) error {
		agent := oidctest.UserAgent(p.CA())
		done := make(chan struct{})
		t.Cleanup(func() { <-done })
		go func() {
			defer close(done)
			oidctest.Visit(context.Background(), agent, address, "") //nolint:errcheck // the login under test may refuse
		}()
		return nil
	}
}

func authorization(t *testing.T, p *oidctest.Provider) login.Authorization {
	return login.Authorization{ListenAddresses: []string{"127.0.0.1:0"}, Timeout: 10 * time.Second, Visit: visit(t, p)}
}

func TestLoginLeavesNothingRunning(t *testing.T) {
	for _, test := range []struct {
		name   string
		change func(*oidctest.Behaviour)
		visit  func(context.Context, string) error // nil: an end user who logs in
		cancel bool
		want   string // of the error
	}{
		{name: "success"},
		{name: "denied", change: func(b *oidctest.Behaviour) { b.Refusal = oidc.AccessDenied }, want: "access_denied"},
		{name: "failed exchange", change: func(b *oidctest.Behaviour) { b.TokenRefusal = oidc.InvalidGrant }, want: "invalid_grant"},
		{name: "ignored", visit: func(context.Context, string) error { return nil }, want: "nobody logged in within"},
		{name: "no way to ask", visit: func(context.Context, string) error { return errors.New("no way") }, want: "no way"},
		{name: "interrupted", visit: func(context.Context, string) error { return nil }, cancel: true, want: "context canceled"},
	} {
		t.Run(test.name, func(t *testing.T) {
			noLeaks(t)
			p := oidctest.New(t)
			if test.change != nil {
				p.Change(test.change)
			}
			a := authorization(t, p)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			if test.visit != nil {
				a.Visit, a.Timeout = test.visit, 50*time.Millisecond
				if test.cancel {
					a.Timeout = time.Minute
					a.Visit = func(context.Context, string) error { cancel(); return nil }
				}
			}
			_, err := newClient(t, p).Login(ctx, a)
			if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
}

func TestAuthorizationRequest(t *testing.T) {
	for _, test := range []struct {
		name    string
		methods []string // the provider's code_challenge_methods_supported
		change  func(*login.Authorization)
		want    map[string]string // of the request; "*" is anything, "" nothing
	}{
		{"the usual", []string{"S256"}, func(*login.Authorization) {}, map[string]string{
			"response_type": "code", "client_id": "kubernetes", "scope": "openid groups email", "state": "*", "nonce": "*",
			"access_type": "offline", "code_challenge": "*", "code_challenge_method": "S256",
		}},
		{"PKCE unless the provider knows others only", nil, func(*login.Authorization) {}, map[string]string{"code_challenge_method": "S256"}},
		{"no S256 there", []string{"plain"}, func(*login.Authorization) {}, map[string]string{"code_challenge": ""}},
		{"S256 all the same", []string{"plain"}, func(a *login.Authorization) { a.PKCE = login.PKCES256 }, map[string]string{"code_challenge_method": "S256"}},
		{"no PKCE", []string{"S256"}, func(a *login.Authorization) { a.PKCE = login.PKCEOff }, map[string]string{"code_challenge": ""}},
		{"extra parameters", nil, func(a *login.Authorization) {
			a.ExtraParams = map[string]string{"access_type": "online", "prompt": "login", "state": "mine"}
		}, map[string]string{"access_type": "online", "prompt": "login", "state": "*"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := oidctest.New(t)
			asked := make(chan url.Values, 1)
			p.Change(func(b *oidctest.Behaviour) {
				b.CodeMethods = test.methods
				b.OnAuthorize = func(r *http.Request) { asked <- r.URL.Query() }
			})
			c := newClient(t, p)
			c.Scopes = oidc.Scopes{"groups", "openid", "email", "groups"}
			a := authorization(t, p)
			test.change(&a)
			if _, err := c.Login(t.Context(), a); err != nil {
				t.Fatal(err)
			}
			query := <-asked
			for name, want := range test.want {
				if got := query.Get(name); got != want && (want != "*" || got == "" || got == "mine") {
					t.Errorf("%s: got %q, want %q", name, got, want)
				}
			}
		})
	}
}

// The callback over https, at a redirect URL with a path.
func TestLoginOverHTTPSCallback(t *testing.T) {
	noLeaks(t)
	p := oidctest.New(t)
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := free.Addr().String()
	free.Close()
	a := authorization(t, p)
	a.ListenAddresses = []string{address}
	a.RedirectURL = "https://" + address + "/oidc/callback"
	a.Certificate = p.Certificate()
	if _, err := newClient(t, p).Login(t.Context(), a); err != nil {
		t.Fatal(err)
	}
}

// A browser may resolve localhost to ::1 first. If another program listens
// there, the port is as good as taken: that program would get the code.
func TestPortWhoseTwinIsTakenIsPassedOver(t *testing.T) {
	noLeaks(t)
	other, err := net.Listen("tcp", "[::1]:0")
	if err != nil {
		t.Fatalf("this test needs IPv6 on the loopback interface: %v", err)
	}
	defer other.Close()
	taken := other.Addr().(*net.TCPAddr).Port
	p := oidctest.New(t)
	a := authorization(t, p)
	a.ListenAddresses = []string{fmt.Sprintf("127.0.0.1:%d", taken), "127.0.0.1:0"}
	visit := a.Visit
	a.Visit = func(ctx context.Context, address string) error {
		if strings.Contains(address, fmt.Sprintf("localhost%%3A%d", taken)) {
			t.Errorf("the answer goes to port %d, where another program listens", taken)
		}
		return visit(ctx, address)
	}
	if _, err := newClient(t, p).Login(t.Context(), a); err != nil {
		t.Fatal(err)
	}
}

func TestSecondAnswerComesTooLate(t *testing.T) {
	noLeaks(t)
	p := oidctest.New(t)
	statuses := make(chan int, 2)
	hold := make(chan struct{})
	p.Change(func(b *oidctest.Behaviour) { b.OnToken = func(url.Values) { <-hold } })
	a := authorization(t, p)
	a.Visit = func(_ context.Context, address string) error {
		for range 2 {
			go func() {
				page, err := oidctest.Visit(context.Background(), oidctest.UserAgent(p.CA()), address, "")
				if err != nil {
					page.Status = -1
				}
				statuses <- page.Status
				if page.Status == http.StatusBadRequest {
					close(hold) // the other one may go on
				}
			}()
		}
		return nil
	}
	if _, err := newClient(t, p).Login(t.Context(), a); err != nil {
		t.Fatal(err)
	}
	if one, two := <-statuses, <-statuses; one != http.StatusBadRequest || two != http.StatusOK {
		t.Errorf("got %d and %d, want 400 and then 200", one, two)
	}
}

func TestRefreshIsOneRequest(t *testing.T) {
	for _, algorithm := range []jose.SignatureAlgorithm{jose.RS256, jose.PS256, jose.ES256, jose.ES384, jose.ES512} {
		p := oidctest.New(t)
		p.RotateKey(algorithm)
		first := newClient(t, p)
		outcome, err := first.Login(t.Context(), authorization(t, p))
		if err != nil {
			t.Fatalf("%s: %v", algorithm, err)
		}
		first.Close()
		p.Forget()
		second := newClient(t, p)
		second.Notebook = first.Notebook
		answer, err := second.Refresh(t.Context(), outcome.Tokens.RefreshToken)
		if err != nil {
			t.Fatalf("%s: %v", algorithm, err)
		}
		if _, err := second.Verify(t.Context(), answer.IDToken, login.Expected{Subject: "alice", AccessToken: answer.AccessToken}); err != nil {
			t.Fatalf("%s: %v", algorithm, err)
		}
		if got := p.Counts(); len(got) != 1 || got[oidctest.Token] != 1 {
			t.Errorf("%s: got the requests %v, want one", algorithm, got)
		}
	}
}

func TestNotebookGrowsOld(t *testing.T) {
	p := oidctest.New(t)
	c := newClient(t, p)
	outcome, err := c.Login(t.Context(), authorization(t, p))
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
	for _, test := range []struct {
		name  string
		later time.Duration
		want  int // requests for the metadata
	}{
		{"an hour later", time.Hour, 0},
		{"two days later", 48 * time.Hour, 1},
		{"after the clock was set back by a year", -365 * 24 * time.Hour, 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			p.Forget()
			next := newClient(t, p)
			next.Notebook = c.Notebook
			next.Now = func() time.Time { return time.Now().Add(test.later) }
			next.Refresh(t.Context(), outcome.Tokens.RefreshToken) //nolint:errcheck // a replay; the requests count
			if got := p.Count(oidctest.Discovery); got != test.want {
				t.Errorf("got %d requests for the metadata, want %d", got, test.want)
			}
		})
	}
}

// roundTrip is a provider that answers within the bubble of a synctest.
type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

const metadata = `{"issuer":"https://id.example.com","token_endpoint":"https://id.example.com/token","jwks_uri":"https://id.example.com/keys"}`

func TestRefreshEndsWhateverTheProviderDoes(t *testing.T) {
	for _, test := range []struct {
		name   string
		token  func(context.Context) (*http.Response, error)
		within time.Duration
		kind   login.Kind
	}{
		{"unavailable", func(context.Context) (*http.Response, error) { return respond(503, "busy"), nil }, 10 * time.Second, login.Unavailable},
		{"never answers", func(ctx context.Context) (*http.Response, error) { <-ctx.Done(); return nil, ctx.Err() }, 31 * time.Second, login.TimedOut},
		{"connection lost", func(context.Context) (*http.Response, error) { return nil, io.ErrUnexpectedEOF }, 10 * time.Second, login.Unreachable},
		{"nonsense", func(context.Context) (*http.Response, error) { return respond(200, "nonsense"), nil }, time.Second, login.BadAnswer},
		{"forbidden", func(context.Context) (*http.Response, error) { return respond(403, "no"), nil }, time.Second, login.BadAnswer},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := &login.Client{Issuer: "https://id.example.com", ClientID: "kubernetes", HTTP: &http.Client{
					Timeout: 20 * time.Second,
					Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
						if strings.HasSuffix(r.URL.Path, "configuration") {
							return respond(200, metadata), nil
						}
						return test.token(r.Context())
					}),
				}}
				began := time.Now()
				_, err := c.Refresh(t.Context(), secret.New("token"))
				if !login.IsKind(err, test.kind) {
					t.Errorf("got %v, want kind %d", err, test.kind)
				}
				if took := time.Since(began); took > test.within {
					t.Errorf("it took %s, want at most %s", took, test.within)
				}
			})
		})
	}
}

func respond(status int, body string) *http.Response {
	return &http.Response{StatusCode: status, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body))}
}

func TestDiscoveryRefusesWhatIsNoIssuer(t *testing.T) {
	for _, test := range []struct {
		name, answer string
		kind         login.Kind
		want         string
	}{
		{"another issuer", `{"issuer":"https://other.example.com"}`, login.IssuerMismatch, "the issuer calls itself https://other.example.com, which is not https://id.example.com"},
		{"a slash more", `{"issuer":"https://id.example.com/"}`, login.IssuerMismatch, `with a "/" at the end that is missing in https://id.example.com`},
		{"no issuer", `{}`, login.NotAnIssuer, "did not answer with OpenID metadata"},
		{"no token endpoint", `{"issuer":"https://id.example.com","jwks_uri":"https://id.example.com/k"}`, login.BadAnswer, "has no token_endpoint"},
		{"no TLS", `{"issuer":"https://id.example.com","jwks_uri":"http://id.example.com/k","token_endpoint":"https://id.example.com/t"}`, login.BadAnswer, "has a jwks_uri without https"},
		{"a list", `[]`, login.NotAnIssuer, "did not answer with OpenID metadata"},
		{"a page", `<html>`, login.NotAnIssuer, "answered with HTML, not with OpenID metadata"},
		{"too much", `{"issuer":"` + strings.Repeat("x", 2<<20) + `"}`, login.BadAnswer, "answered with more than 1048576 bytes"},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := &login.Client{Issuer: "https://id.example.com", HTTP: &http.Client{
				Transport: roundTrip(func(*http.Request) (*http.Response, error) { return respond(200, test.answer), nil }),
			}}
			_, err := c.Discover(t.Context())
			if !login.IsKind(err, test.kind) || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want kind %d and %q", err, test.kind, test.want)
			}
		})
	}
}
