// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/tegata/tegata/internal/oidc"
	"github.com/tegata/tegata/internal/secret"
)

// agent is an OAuth client and the browser of its end user in one, for many
// logins at once.
type agent struct {
	p        *provider
	web      *http.Client
	client   string
	redirect string
}

// agent makes one with an empty cookie jar.
func (p *provider) agent(t testing.TB, client string) *agent {
	t.Helper()
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM([]byte(read(t, p.ca()))) {
		t.Fatal("no certificate")
	}
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}, ForceAttemptHTTP2: true}
	t.Cleanup(transport.CloseIdleConnections)
	return &agent{p: p, client: client, redirect: "http://localhost:8000", web: &http.Client{
		Jar: jar, Transport: transport, Timeout: 20 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

var (
	sealedRequest = regexp.MustCompile(`name="request" value="([^"]+)"`)
	errNoForm     = errors.New("there is no login form on the page")
)

// logIn gets tokens with the authorization code grant.
func (a *agent) logIn(ctx context.Context, login string, password secret.String) (oidc.TokenResponse, error) {
	redemption, err := a.code(ctx, login, password)
	if err != nil {
		return oidc.TokenResponse{}, err
	}
	return a.tokens(ctx, redemption)
}

// code logs in at the login page, and returns the token request for the code
// that the browser brings back.
func (a *agent) code(ctx context.Context, login string, password secret.String) (url.Values, error) {
	verifier := oidc.NewCodeVerifier()
	sealed, err := a.loginPage(ctx, verifier)
	if err != nil {
		return nil, err
	}
	return a.submit(ctx, sealed, login, password, verifier)
}

// loginPage returns the sealed request of the page's form.
func (a *agent) loginPage(ctx context.Context, verifier secret.String) (sealed string, err error) {
	query := url.Values{
		"response_type": {"code"}, "client_id": {a.client}, "redirect_uri": {a.redirect}, "scope": {"openid"},
		"state": {"s"}, "prompt": {"login"}, "code_challenge": {oidc.CodeChallenge(verifier)}, "code_challenge_method": {"S256"},
	}
	_, body, err := a.send(ctx, http.MethodGet, "/authorize?"+query.Encode(), nil)
	if err != nil {
		return "", err
	}
	return sealedIn(body)
}

func sealedIn(body string) (string, error) {
	form := sealedRequest.FindStringSubmatch(body)
	if form == nil {
		return "", errNoForm
	}
	return html.UnescapeString(form[1]), nil
}

func (a *agent) submit(ctx context.Context, sealed, login string, password, verifier secret.String) (url.Values, error) {
	response, _, err := a.send(ctx, http.MethodPost, "/login", url.Values{"request": {sealed}, "login": {login}, "password": {password.Reveal()}})
	if err != nil {
		return nil, err
	}
	back, err := url.Parse(response.Header.Get("Location"))
	if err != nil || back.Query().Get("code") == "" {
		return nil, fmt.Errorf("the login answered %s without a code", response.Status)
	}
	return url.Values{
		"grant_type": {"authorization_code"}, "client_id": {a.client}, "redirect_uri": {a.redirect},
		"code": {back.Query().Get("code")}, "code_verifier": {verifier.Reveal()},
	}, nil
}

func (a *agent) refresh(ctx context.Context, token secret.String) (oidc.TokenResponse, error) {
	return a.tokens(ctx, url.Values{"grant_type": {"refresh_token"}, "client_id": {a.client}, "refresh_token": {token.Reveal()}})
}

func (a *agent) tokens(ctx context.Context, form url.Values) (oidc.TokenResponse, error) {
	response, body, err := a.send(ctx, http.MethodPost, "/token", form)
	if err != nil {
		return oidc.TokenResponse{}, err
	}
	if response.StatusCode != http.StatusOK {
		var refused oidc.Error
		if err := json.Unmarshal([]byte(body), &refused); err != nil {
			return oidc.TokenResponse{}, fmt.Errorf("the token endpoint answered %s", response.Status)
		}
		return oidc.TokenResponse{}, &refused
	}
	var tokens oidc.TokenResponse
	return tokens, json.Unmarshal([]byte(body), &tokens)
}

func (a *agent) send(ctx context.Context, method, path string, form url.Values) (*http.Response, string, error) {
	request, err := http.NewRequestWithContext(ctx, method, a.p.issuer+path, strings.NewReader(form.Encode()))
	if err != nil {
		return nil, "", err
	}
	if form != nil {
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	response, err := a.web.Do(request)
	if err != nil {
		return nil, "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return response, string(body), err
}

// kill -9 in the middle of logins and refreshes, again and again, of the
// provider and of what it keeps everything in: nothing that was answered is
// lost, and the provider serves again.
func TestKillLosesNothingThatWasAnswered(t *testing.T) {
	for _, storage := range storages() {
		t.Run(storage, func(t *testing.T) {
			p, server := serveOn(t, storage, "password_hash: {memory_kib: 8, time: 1}\n")
			password := p.alice()
			p.tegata("", "client", "add", "kubernetes", "--public", "--redirect-uri", "http://localhost:8000", "--signing-alg", "ES256")
			strikes := []func(){func() { p.stop(syscall.SIGKILL); p.start() }}
			if server != nil {
				strikes = append(strikes, func() {
					server.Kill()
					if err := server.Restart(); err != nil {
						t.Fatal(err)
					}
				})
			}
			l := p.load(t, 8, password)
			l.run(t)
			for round := range 6 {
				l.await(t, 40+rand.IntN(40))
				strikes[round%len(strikes)]()
				began := time.Now()
				l.await(t, 1)
				t.Logf("round %d: %d answers; answering again after %s", round, l.answers.Load(), time.Since(began).Round(time.Millisecond))
			}
			l.check(t)
		})
	}
}

// 64 logins, 16 at a time, then as many refreshes at once: none fails.
func TestManyLoginsAtOnceNeverFail(t *testing.T) {
	p := serve(t, "password_hash: {memory_kib: 8, time: 1}\n")
	password := p.alice()
	p.tegata("", "client", "add", "kubernetes", "--public", "--redirect-uri", "http://localhost:8000")
	places := make(chan struct{}, 16)
	var all sync.WaitGroup
	for range 64 {
		a := p.agent(t, "kubernetes")
		all.Go(func() {
			places <- struct{}{}
			defer func() { <-places }()
			tokens, err := a.logIn(t.Context(), "alice@example.com", password)
			if err != nil {
				t.Errorf("login: %v", err)
				return
			}
			if _, err := a.refresh(t.Context(), tokens.RefreshToken); err != nil {
				t.Errorf("refresh: %v", err)
			}
		})
	}
	all.Wait()
}
