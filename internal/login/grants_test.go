// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package login_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"

	"github.com/tegata/tegata/internal/login"
	"github.com/tegata/tegata/internal/oidc"
	"github.com/tegata/tegata/internal/oidctest"
	"github.com/tegata/tegata/internal/secret"
)

// wire answers requests in memory, so that time can be a bubble's.
type wire func(path string, form url.Values) (status int, body string)

func (w wire) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := r.ParseForm(); err != nil {
		return nil, err
	}
	status, body := w(r.URL.Path, r.PostForm)
	if status == 0 {
		return nil, errors.New("connection lost")
	}
	return &http.Response{
		StatusCode: status, Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(strings.NewReader(body)), Request: r,
	}, nil
}

// RFC 8628, section 3.5: the polls obey interval and slow_down, become rarer
// when the provider cannot be reached, and end with the code or the patience.
func TestDevicePolls(t *testing.T) {
	const tokens = `{"access_token":"a","token_type":"Bearer","expires_in":60}`
	refuse := func(code string) string { return `{"error":"` + code + `"}` }
	pending := refuse("authorization_pending")
	for _, test := range []struct {
		name    string
		begun   string // what is added to the device authorization response
		answers []string
		timeout time.Duration
		polls   []time.Duration // after the code was shown
		want    string          // of the error
	}{
		{"at once", ``, []string{tokens}, time.Hour, []time.Duration{0}, ""},
		{"five seconds by default", ``, []string{pending, pending, tokens}, time.Hour, []time.Duration{0, 5 * time.Second, 10 * time.Second}, ""},
		{"interval", `,"interval":2`, []string{pending, pending, tokens}, time.Hour, []time.Duration{0, 2 * time.Second, 4 * time.Second}, ""},
		{"interval as a string", `,"interval":"2"`, []string{pending, tokens}, time.Hour, []time.Duration{0, 2 * time.Second}, ""},
		{"slow_down is for all that follow", `,"interval":2`, []string{pending, refuse("slow_down"), pending, tokens}, time.Hour, []time.Duration{0, 2 * time.Second, 9 * time.Second, 16 * time.Second}, ""},
		{"slow_down with status 429", ``, []string{"429" + refuse("slow_down"), tokens}, time.Hour, []time.Duration{0, 10 * time.Second}, ""},
		{"unreachable for a while", ``, []string{"0", "503", pending, tokens}, time.Hour, []time.Duration{0, 10 * time.Second, 30 * time.Second, 50 * time.Second}, ""},
		{"expires_in", `,"expires_in":7`, []string{pending, pending}, time.Hour, []time.Duration{0, 5 * time.Second}, "the code WDJB-MJHT expired before anybody logged in with it"},
		{"expired_token", ``, []string{pending, refuse("expired_token")}, time.Hour, []time.Duration{0, 5 * time.Second}, "the code WDJB-MJHT expired before anybody logged in with it"},
		{"timeout", `,"expires_in":600`, []string{pending, pending}, 8 * time.Second, []time.Duration{0, 5 * time.Second}, "nobody logged in within 8s"},
		{"access_denied", ``, []string{refuse("access_denied")}, time.Hour, []time.Duration{0}, "the provider refused the login: access_denied"},
		{"another refusal", ``, []string{refuse("invalid_grant")}, time.Hour, []time.Duration{0}, "the provider refused the login: invalid_grant"},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var shown time.Time
				var polls []time.Duration
				client := &login.Client{Issuer: "https://id.example.com", ClientID: "kubernetes", UseAccessToken: true, HTTP: &http.Client{Transport: wire(func(path string, form url.Values) (int, string) {
					switch path {
					case "/.well-known/openid-configuration":
						return 200, `{"issuer":"https://id.example.com","token_endpoint":"https://id.example.com/token","jwks_uri":"https://id.example.com/jwks","device_authorization_endpoint":"https://id.example.com/device"}`
					case "/jwks":
						return 200, `{"keys":[]}`
					case "/device":
						return 200, `{"device_code":"d","user_code":"WDJB-MJHT","verification_uri":"https://id.example.com/enter"` + test.begun + `}`
					}
					polls = append(polls, time.Since(shown))
					answer := test.answers[len(polls)-1]
					status := 400
					switch {
					case answer == "0":
						return 0, ""
					case answer == tokens:
						status = 200
					case strings.HasPrefix(answer, "4"), strings.HasPrefix(answer, "5"):
						fmt.Sscan(answer[:3], &status) //nolint:errcheck // a literal above
						answer = answer[3:]
					}
					return status, answer
				})}}
				_, err := client.LoginOnDevice(t.Context(), login.Device{Timeout: test.timeout, Show: func(context.Context, login.DeviceCode) { shown = time.Now() }})
				if fmt.Sprint(err) != test.want && !(err == nil && test.want == "") {
					t.Errorf("got %v, want %q", err, test.want)
				}
				if diff := cmp.Diff(test.polls, polls); diff != "" {
					t.Errorf("polls (-want +got):\n%s", diff)
				}
			})
		})
	}
}

// The device grant against a whole provider, with PKCE and parameters.
func TestDeviceRequest(t *testing.T) {
	for _, test := range []struct {
		name string
		pkce login.PKCE
		want map[string]bool
	}{
		{"PKCE", login.PKCEAuto, map[string]bool{"code_challenge": true, "code_challenge_method": true, "audience": true, "scope": true}},
		{"no PKCE", login.PKCEOff, map[string]bool{"code_challenge": false, "code_challenge_method": false, "audience": true}},
	} {
		t.Run(test.name, func(t *testing.T) {
			noLeaks(t)
			p := oidctest.New(t)
			asked := make(chan url.Values, 1)
			p.Change(func(b *oidctest.Behaviour) {
				b.DeviceApproves = 2
				b.OnDevice = func(form url.Values) { asked <- form }
			})
			outcome, err := newClient(t, p).LoginOnDevice(t.Context(), login.Device{
				PKCE: test.pkce, Timeout: 10 * time.Second, Show: func(context.Context, login.DeviceCode) {},
				ExtraParams: map[string]string{"audience": "x", "client_id": "mine", "grant_type": "mine"},
			})
			if err != nil || outcome.Claims.Subject != "alice" {
				t.Fatalf("got %v, %v", outcome.Claims.Subject, err)
			}
			form := <-asked
			for name, want := range test.want {
				if form.Has(name) != want {
					t.Errorf("%s: got %q in the request, want it there = %v", name, form.Get(name), want)
				}
			}
			if form.Get("client_id") != "kubernetes" || form.Has("grant_type") {
				t.Errorf("an extra parameter replaced one of ours: %v", form)
			}
		})
	}
}

// An interrupt ends the wait, and leaves nothing.
func TestDeviceIsInterrupted(t *testing.T) {
	noLeaks(t)
	p := oidctest.New(t)
	p.Change(func(b *oidctest.Behaviour) { b.DeviceInterval = 60 })
	ctx, cancel := context.WithCancel(t.Context())
	_, err := newClient(t, p).LoginOnDevice(ctx, login.Device{Timeout: time.Minute, Show: func(context.Context, login.DeviceCode) {
		time.AfterFunc(50*time.Millisecond, cancel)
	}})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want it canceled", err)
	}
}

// What is pasted beside the callback is waited for no longer than the login.
func TestPasteLeavesNothingRunning(t *testing.T) {
	noLeaks(t)
	p := oidctest.New(t)
	a := authorization(t, p)
	a.Complain = func(error) {}
	a.Paste = func(ctx context.Context) (string, error) {
		<-ctx.Done()
		return "", ctx.Err()
	}
	if _, err := newClient(t, p).Login(t.Context(), a); err != nil {
		t.Error(err)
	}
}

func TestClientCredentialsScopes(t *testing.T) {
	for _, test := range []struct {
		scopes         []string
		useAccessToken bool
		want           string
	}{
		{nil, false, "openid"},
		{[]string{"groups"}, false, "openid groups"},
		{nil, true, ""},
		{[]string{"api://x/.default"}, true, "api://x/.default"},
	} {
		noLeaks(t)
		p := oidctest.New(t)
		var form url.Values
		p.Change(func(b *oidctest.Behaviour) {
			b.Secret, b.ClientIDToken = "s3cr3t", true
			b.OnToken = func(f url.Values) { form = f }
		})
		client := newClient(t, p)
		client.ClientSecret, client.Scopes, client.UseAccessToken = secret.New("s3cr3t"), test.scopes, test.useAccessToken
		outcome, err := client.LoginAsClient(t.Context(), map[string]string{"audience": "x"})
		if err != nil || !outcome.Tokens.RefreshToken.IsZero() {
			t.Fatalf("got %v, a refresh token = %v", err, !outcome.Tokens.RefreshToken.IsZero())
		}
		if form.Get("scope") != test.want || form.Get("audience") != "x" {
			t.Errorf("got the scope %q, want %q", form.Get("scope"), test.want)
		}
	}
}

// privatePEM is a key in PKCS#8.
func privatePEM(t *testing.T, key any) []byte {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}

// RFC 7523: a proof for each request, made with an RSA or a P-256 key, in each
// grant; the provider takes no proof twice.
func TestPrivateKeyJWT(t *testing.T) {
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	ecKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	jwk, err := json.Marshal(jose.JSONWebKey{Key: ecKey, KeyID: "mine"})
	if err != nil {
		t.Fatal(err)
	}
	sec1, err := x509.MarshalECPrivateKey(ecKey)
	if err != nil {
		t.Fatal(err)
	}
	pss, err := json.Marshal(jose.JSONWebKey{Key: rsaKey, Algorithm: "PS256"})
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name   string
		text   []byte
		public any
		header map[string]string
	}{
		{"RSA", privatePEM(t, rsaKey), rsaKey.Public(), map[string]string{"alg": "RS256"}},
		{"RSA in PKCS#1", pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(rsaKey)}), rsaKey.Public(), map[string]string{"alg": "RS256"}},
		{"P-256", privatePEM(t, ecKey), ecKey.Public(), map[string]string{"alg": "ES256"}},
		{"P-256 in SEC 1", pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: sec1}), ecKey.Public(), map[string]string{"alg": "ES256"}},
		{"JWK for PS256", pss, rsaKey.Public(), map[string]string{"alg": "PS256"}},
		{"JWK", jwk, ecKey.Public(), map[string]string{"alg": "ES256", "kid": "mine"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			noLeaks(t)
			p := oidctest.New(t)
			var form url.Values
			p.Change(func(b *oidctest.Behaviour) {
				b.AssertionKey, b.DeviceApproves = test.public, 2
				b.OnToken = func(f url.Values) { form = f }
			})
			client := newClient(t, p)
			if client.AssertionKey, err = login.ReadAssertionKey(test.text); err != nil {
				t.Fatal(err)
			}
			outcome, err := client.LoginOnDevice(t.Context(), login.Device{Timeout: 10 * time.Second, Show: func(context.Context, login.DeviceCode) {}})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := client.Refresh(t.Context(), outcome.Tokens.RefreshToken); err != nil {
				t.Error(err)
			}
			header, _, _ := strings.Cut(form.Get("client_assertion"), ".")
			text, err := base64.RawURLEncoding.DecodeString(header)
			if err != nil {
				t.Fatal(err)
			}
			got := map[string]string{}
			if err := json.Unmarshal(text, &got); err != nil {
				t.Fatal(err)
			}
			for name, want := range test.header {
				if got[name] != want {
					t.Errorf("%s: got %q, want %q", name, got[name], want)
				}
			}
		})
	}
}

func TestReadAssertionKeyRefuses(t *testing.T) {
	small, err := rsa.GenerateKey(rand.Reader, 1024) //nolint:gosec // that it is refused is the test
	if err != nil {
		t.Fatal(err)
	}
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	_, edwards, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	public, err := json.Marshal(jose.JSONWebKey{Key: p384.Public()})
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string][]byte{
		"nothing": nil, "text": []byte("hello"), "short RSA": privatePEM(t, small), "Ed25519": privatePEM(t, edwards),
		"public JWK": public, "JWK without a key": []byte("{}"), "symmetric JWK": []byte(`{"kty":"oct","k":"c2VjcmV0"}`),
		"certificate": pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte("x")}),
	} {
		if key, err := login.ReadAssertionKey(text); err == nil {
			t.Errorf("%s: got %v, want an error", name, key)
		}
	}
}

// RFC 8705, section 2: the certificate is the proof.
func TestMutualTLS(t *testing.T) {
	noLeaks(t)
	p := oidctest.New(t)
	own := oidctest.New(t).Certificate() // any certificate with its key
	p.Change(func(b *oidctest.Behaviour) { b.Certificate = own.Certificate[0] })
	transport, err := login.NewHTTPClient(login.Trust{Authorities: [][]byte{p.CA()}, Certificate: own, Renegotiation: tls.RenegotiateOnceAsClient})
	if err != nil {
		t.Fatal(err)
	}
	for _, client := range []*login.Client{newClient(t, p), {Issuer: p.Issuer, ClientID: p.ClientID, HTTP: transport}} {
		client.UseAccessToken = true
		_, err := client.LoginAsClient(t.Context(), nil)
		if client.HTTP == transport != (err == nil) {
			t.Errorf("with its certificate = %v: got %v", client.HTTP == transport, err)
		}
		client.Close()
	}
}

func TestAccessTokenExpiry(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	jwt := func(claims string) secret.String {
		return secret.New("e30." + base64.RawURLEncoding.EncodeToString([]byte(claims)) + ".c2ln")
	}
	for _, test := range []struct {
		name   string
		answer oidc.TokenResponse
		want   time.Duration
	}{
		{"opaque, with expires_in", oidc.TokenResponse{AccessToken: secret.New("opaque"), ExpiresIn: time.Hour}, time.Hour},
		{"JWT alone", oidc.TokenResponse{AccessToken: jwt(`{"exp":1800000600}`)}, 10 * time.Minute},
		{"fraction", oidc.TokenResponse{AccessToken: jwt(`{"exp":1800000600.5}`)}, 10*time.Minute + 500*time.Millisecond},
		{"the earlier of both", oidc.TokenResponse{AccessToken: jwt(`{"exp":1800000600}`), ExpiresIn: time.Hour}, 10 * time.Minute},
		{"the earlier of both, again", oidc.TokenResponse{AccessToken: jwt(`{"exp":1800000600}`), ExpiresIn: time.Minute}, time.Minute},
		{"nothing is known", oidc.TokenResponse{AccessToken: secret.New("opaque")}, 5 * time.Minute},
		{"no JWT in spite of the dots", oidc.TokenResponse{AccessToken: secret.New("a.b.c")}, 5 * time.Minute},
		{"JWT without exp", oidc.TokenResponse{AccessToken: jwt(`{}`)}, 5 * time.Minute},
	} {
		if got := login.AccessTokenExpiry(test.answer, now).Sub(now); got != test.want {
			t.Errorf("%s: got %s, want %s", test.name, got, test.want)
		}
	}
}

func TestReadPasted(t *testing.T) {
	for _, test := range []struct {
		text      string
		mayBeCode bool
		want      string // the code; empty for a refusal
	}{
		{"http://localhost:8000/?code=c&state=s", false, "c"},
		{"  \"http://localhost:8000/?code=c&state=s&iss=x#fragment\" ", false, "c"},
		{"localhost:8000/?state=s&code=c", false, "c"},
		{"code=c&state=s", false, "c"},
		{"http://localhost:8000/?code=c&state=other", false, ""},
		{"http://localhost:8000/?code=c", false, ""},
		{"http://localhost:8000/?code=c&code=d&state=s", false, ""},
		{"http://localhost:8000/?state=s", false, ""},
		{"http://localhost:8000/", true, ""},
		{"c", false, ""},
		{"c", true, "c"},
		{"4/0AX-abc_def", true, "4/0AX-abc_def"},
		{"two words", true, ""},
		{"\x1b[31m", true, ""},
		{"", true, ""},
	} {
		query, err := login.ReadPasted(test.text, "s", test.mayBeCode)
		if got := query.Get("code"); got != test.want || (err != nil) != (test.want == "") {
			t.Errorf("%q: got %q, %v; want %q", test.text, got, err, test.want)
		}
	}
}

func FuzzReadPasted(f *testing.F) {
	for _, seed := range []string{"http://localhost:8000/?code=c&state=s", "code=c", "c", "?", "a?b?c#d", "error=x&state=s", "%zz?%zz"} {
		f.Add(seed, true)
		f.Add(seed, false)
	}
	f.Fuzz(func(t *testing.T, text string, mayBeCode bool) {
		query, err := login.ReadPasted(text, "s", mayBeCode)
		if err != nil {
			return
		}
		bare := len(query) == 1 && query.Has("code")
		if query.Get("state") != "s" && !(mayBeCode && bare) {
			t.Errorf("%q: an answer of another state was taken: %v", text, slices.Sorted(maps.Keys(query)))
		}
		if query.Get("code") == "" && query.Get("error") == "" {
			t.Errorf("%q: there is no answer in %v", text, query)
		}
	})
}

func FuzzReadDevice(f *testing.F) {
	for _, seed := range []string{
		`{"device_code":"d","user_code":"WDJB-MJHT","verification_uri":"https://id.example.com","verification_uri_complete":"https://id.example.com?c=W","expires_in":1800,"interval":5}`,
		`{"device_code":"d","user_code":"x","verification_url":"http://a","expires_in":"1800","interval":-1}`,
		`{"device_code":"d","user_code":"x","verification_uri":"javascript:alert(1)"}`, `[]`, `{`,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		code, interval, err := login.ReadDevice([]byte(text))
		if err != nil {
			return
		}
		if code.UserCode == "" || code.UserCode != login.Plain(code.UserCode) || interval <= 0 {
			t.Errorf("%q: got the code %q and the interval %s", text, code.UserCode, interval)
		}
		for _, address := range []string{code.Address, code.Complete} {
			if address != "" && !strings.HasPrefix(strings.ToLower(address), "http") || address != login.Plain(address) {
				t.Errorf("%q: got the address %q", text, address)
			}
		}
	})
}
