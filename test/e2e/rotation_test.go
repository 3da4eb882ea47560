// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tegata/tegata/internal/kubetest"
	"github.com/tegata/tegata/internal/secret"
)

// rotating is a provider whose signing keys change within seconds, as API
// servers see it: through a front that adds half a minute to the age of the
// key set. An API server fetches it again so long before its age is over; so
// it keeps it for the few seconds that the provider allows, and the test need
// not last minutes.
type rotating struct {
	*provider
	front  *httptest.Server
	target atomic.Pointer[url.URL]
}

var listening = regexp.MustCompile(`msg=serving issuer=\S+ listen=(\S+)`)

func serveRotating(t *testing.T, config string) *rotating {
	t.Helper()
	r := &rotating{}
	age := regexp.MustCompile(`max-age=(\d+)`)
	r.front = httptest.NewTLSServer(&httputil.ReverseProxy{
		Rewrite:   func(request *httputil.ProxyRequest) { request.SetURL(r.target.Load()) },
		Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}, //nolint:gosec // both are this test's
		ModifyResponse: func(response *http.Response) error {
			if strings.HasSuffix(response.Request.URL.Path, "/keys") {
				header := response.Header.Get("Cache-Control")
				seconds, err := strconv.Atoi(age.FindStringSubmatch(header)[1])
				response.Header.Set("Cache-Control", age.ReplaceAllString(header, fmt.Sprintf("max-age=%d", seconds+30)))
				return err
			}
			return nil
		},
	})
	t.Cleanup(r.front.Close)
	r.provider = serve(t, "issuer: "+r.front.URL+"\n"+config)
	r.said.mu.Lock()
	found := listening.FindStringSubmatch(r.said.text.String())
	r.said.mu.Unlock()
	if found == nil {
		t.Fatal("the provider does not say where it listens")
	}
	r.target.Store(&url.URL{Scheme: "https", Host: found[1]})
	return r
}

// frontCA is the certificate of the front, for API servers.
func (r *rotating) frontCA() string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: r.front.Certificate().Raw}))
}

// key runs tegata key with the provider's configuration.
func (r *rotating) key(args ...string) string {
	r.t.Helper()
	return r.tegata("", append(append([]string{"key"}, args...), r.flags...)...)
}

// minter renews the tokens of one client.
type minter struct {
	*agent
	held secret.String
}

func (r *rotating) minter(password secret.String, client string) *minter {
	r.t.Helper()
	m := &minter{agent: r.agent(r.t, client)}
	m.web.Transport = r.front.Client().Transport
	tokens, err := m.logIn(r.t.Context(), "alice", password)
	if err != nil {
		r.t.Fatal(err)
	}
	m.held = tokens.RefreshToken
	return m
}

// mint returns a new ID token and the ID of its key.
func (m *minter) mint(t *testing.T) (token, key string) {
	t.Helper()
	tokens, err := m.refresh(t.Context(), m.held)
	if err != nil {
		t.Fatal(err)
	}
	m.held = tokens.RefreshToken
	token = tokens.IDToken.Reveal()
	m.p.said.neverSay("ID token", token)
	return token, keyOf(t, token)
}

func keyOf(t *testing.T, token string) string {
	t.Helper()
	raw, err := base64.RawURLEncoding.DecodeString(token[:strings.IndexByte(token, '.')])
	if err != nil {
		t.Fatal(err)
	}
	var header struct {
		Key string `json:"kid"`
	}
	if err := json.Unmarshal(raw, &header); err != nil {
		t.Fatal(err)
	}
	return header.Key
}

// guard is an API server that is shown tokens.
type guard struct {
	name  string
	plane *kubetest.ControlPlane
	web   *http.Client
	*minter
}

func newGuard(t *testing.T, name string, plane *kubetest.ControlPlane, m *minter) *guard {
	t.Helper()
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(plane.CA())
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}
	t.Cleanup(transport.CloseIdleConnections)
	return &guard{name, plane, &http.Client{Transport: transport, Timeout: 20 * time.Second}, m}
}

var errRefused = errors.New("the API server refuses the token")

// accepts asks the API server who the token's bearer is.
func (g *guard) accepts(ctx context.Context, token string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, g.plane.URL()+"/apis/authentication.k8s.io/v1/selfsubjectreviews",
		strings.NewReader(`{"apiVersion":"authentication.k8s.io/v1","kind":"SelfSubjectReview"}`))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Authorization", "Bearer "+token)
	response, err := g.web.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode == http.StatusUnauthorized {
		return errRefused
	}
	var r review
	if err := json.NewDecoder(response.Body).Decode(&r); err != nil {
		return err
	}
	if got := r.Status.UserInfo.Username; got != "oidc:alice@example.com" {
		return fmt.Errorf("the API server calls the bearer %q", got)
	}
	return nil
}

func (g *guard) mustAccept(t *testing.T, when, token string) {
	t.Helper()
	if err := g.accepts(t.Context(), token); err != nil {
		t.Errorf("%s, %s: %v", g.name, when, err)
	}
}

// strange is a token as a stranger can make it: under a key that is none. An
// API server fetches the key set for it, if it may.
func strange(token string) string {
	parts := strings.Split(token, ".")
	raw, _ := base64.RawURLEncoding.DecodeString(parts[0])
	parts[0] = base64.RawURLEncoding.EncodeToString([]byte(strings.Replace(string(raw), `"kid":"`, `"kid":"x`, 1)))
	return strings.Join(parts, ".")
}

// planes are two API servers that trust the provider: one by flags, which
// takes RS256 alone, and one by a structured file, whose client has ES256.
func (r *rotating) planes(t *testing.T, password secret.String) []*guard {
	t.Helper()
	ca := filepath.Join(t.TempDir(), "front.crt")
	if err := os.WriteFile(ca, []byte(r.frontCA()), 0o600); err != nil {
		t.Fatal(err)
	}
	r.tegata("", "client", "add", "flags", "--public", "--redirect-uri", "http://localhost:8000")
	r.tegata("", "client", "add", "structured", "--public", "--redirect-uri", "http://localhost:8000", "--signing-alg", "ES256")
	flags := kubetest.New(t, kubetest.Config{ServerFlags: []string{
		"--oidc-issuer-url=" + r.issuer, "--oidc-ca-file=" + ca, "--oidc-client-id=flags",
		"--oidc-username-claim=email", "--oidc-username-prefix=oidc:",
	}})
	structured := kubetest.New(t, kubetest.Config{AuthenticationConfiguration: fmt.Appendf(nil, `apiVersion: apiserver.config.k8s.io/v1
kind: AuthenticationConfiguration
jwt:
- issuer:
    url: %s
    audiences: [structured]
    certificateAuthority: |
%s
  claimMappings:
    username: {claim: email, prefix: "oidc:"}
`, r.issuer, indent(r.frontCA(), "      "))})
	guards := []*guard{
		newGuard(t, "flags, RS256", flags, r.minter(password, "flags")),
		newGuard(t, "structured, ES256", structured, r.minter(password, "structured")),
	}
	for _, g := range guards {
		if err := g.plane.WaitIssuer(t.Context(), r.issuer); err != nil {
			t.Fatal(err)
		}
	}
	return guards
}

// Issue 4, proof: the API server accepts every token before, during and after
// a rotation, and no token of a key that was revoked.
func TestAPIServersFollowARotation(t *testing.T) {
	r := serveRotating(t, "keys: {publish_ahead: 11s, rotate_every: 1h}\npassword_hash: {memory_kib: 8, time: 1}\n")
	password := r.alice()
	guards := r.planes(t, password)

	// Tokens all the time, and strangers' too, so that the API servers have
	// fetched the key set at the worst moment.
	before, first, changed := map[*guard]string{}, map[*guard]string{}, map[*guard]time.Time{}
	for _, g := range guards {
		before[g], first[g] = g.mint(t)
	}
	r.key("rotate")
	for deadline := time.Now().Add(40 * time.Second); len(changed) < len(guards) || time.Since(changed[guards[0]]) < 4*time.Second; time.Sleep(100 * time.Millisecond) {
		for _, g := range guards {
			token, key := g.mint(t)
			if key != first[g] && changed[g].IsZero() {
				changed[g] = time.Now()
			}
			if err := g.accepts(t.Context(), token); err != nil {
				t.Fatalf("%s: %v; signed by the old key = %v", g.name, err, key == first[g])
			}
			if err := g.accepts(t.Context(), strange(token)); !errors.Is(err, errRefused) {
				t.Fatalf("%s: a token under a key that is none: %v", g.name, err)
			}
		}
		if time.Now().After(deadline) {
			t.Fatalf("the keys do not change: %s", r.key("list"))
		}
	}
	for _, g := range guards {
		g.mustAccept(t, "a token from before the rotation", before[g])
	}

	// A stolen key is revoked. An API server takes its tokens until it meets
	// the key that signs instead, and none of them after that.
	for _, g := range guards {
		second, key := g.mint(t)
		third, _ := g.mint(t)
		r.key("revoke", key, "--yes")
		g.mustAccept(t, "before the API server has met the new key", second)
		eventually(t, 20*time.Second, func() error {
			token, next := g.mint(t)
			if next == key {
				return errors.New("the revoked key still signs")
			}
			return g.accepts(t.Context(), token)
		})
		if err := g.accepts(t.Context(), third); !errors.Is(err, errRefused) {
			t.Errorf("%s: a token of the revoked key, after the new key was met: %v", g.name, err)
		}
		g.mustAccept(t, "a token of the key before the revoked one", before[g])
	}
}

// Why a key is published long before it signs (docs/adr/0005): an API server
// does not fetch the key set for a key that it does not know, as long as it
// may keep the one that it has. If this test breaks, that has changed.
func TestAPIServerRefusesAKeyThatSignsTooEarly(t *testing.T) {
	r := serveRotating(t, "password_hash: {memory_kib: 8, time: 1}\n")
	password := r.alice()
	guards := r.planes(t, password)
	first := map[*guard]string{}
	for _, g := range guards {
		var token string
		token, first[g] = g.mint(t)
		g.mustAccept(t, "before", token)
	}
	r.key("rotate", "--now")
	for _, g := range guards {
		var token string
		eventually(t, 20*time.Second, func() error {
			var key string
			if token, key = g.mint(t); key == first[g] {
				return errors.New("the old key signs")
			}
			return nil
		})
		if err := g.accepts(t.Context(), token); !errors.Is(err, errRefused) {
			t.Errorf("%s: a key that was published a moment ago: %v, want it refused", g.name, err)
		}
	}
	r.said.mu.Lock()
	defer r.said.mu.Unlock()
	if n := strings.Count(r.said.text.String(), "warning: an API server that fetched the key set before"); n != 2 {
		t.Errorf("the command warned %d times, want once for each key", n)
	}
}
