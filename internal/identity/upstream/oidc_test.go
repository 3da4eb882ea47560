// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package upstream_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"

	"github.com/tegata/tegata/internal/identity"
	"github.com/tegata/tegata/internal/identity/upstream"
	"github.com/tegata/tegata/internal/oidc"
	"github.com/tegata/tegata/internal/oidctest"
	"github.com/tegata/tegata/internal/secret"
)

const (
	callbackURI  = "https://tegata.example.com/callback"
	clientSecret = "the-secret-of-the-client"
)

// behaving is a provider without a fault, and the configuration of a source
// that knows it.
func behaving(t testing.TB) (*oidctest.Provider, upstream.OIDCConfig) {
	t.Helper()
	p := oidctest.New(t)
	p.Change(func(b *oidctest.Behaviour) {
		b.Secret = clientSecret
		b.ExtraClaims = map[string]any{"preferred_username": "alice", "email_verified": true, "groups": []string{"platform", "dev"}}
	})
	return p, upstream.OIDCConfig{
		Name: "corp", Issuer: p.Issuer, ClientID: p.ClientID, ClientSecret: secret.New(clientSecret), TLS: trust(p.CA()),
	}
}

func trust(ca []byte) *tls.Config {
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(ca)
	return &tls.Config{RootCAs: pool}
}

func newOIDC(t testing.TB, c upstream.OIDCConfig) *upstream.OIDC {
	t.Helper()
	source, err := upstream.NewOIDC(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(source.Close)
	return source
}

// logIn goes once around: to the provider with the browser, and back.
func logIn(ctx context.Context, source upstream.Provider, browser *http.Client) (identity.User, upstream.Tokens, error) {
	address, attempt, err := source.Begin(ctx, upstream.Login{RedirectURI: callbackURI, State: "our state"})
	if err != nil {
		return identity.User{}, upstream.Tokens{}, err
	}
	query, err := visit(browser, address)
	if err != nil {
		return identity.User{}, upstream.Tokens{}, err
	}
	return source.Finish(ctx, callbackURI, attempt, query)
}

// visit opens the address and returns what the browser is sent back with.
func visit(browser *http.Client, address string) (url.Values, error) {
	stopping := *browser
	stopping.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	response, err := stopping.Get(address)
	if err != nil {
		return nil, err
	}
	response.Body.Close()
	back, err := response.Location()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", response.Status, err)
	}
	if !strings.HasPrefix(back.String(), callbackURI+"?") || back.Query().Get("state") != "our state" {
		return nil, fmt.Errorf("the browser was sent to %s", back)
	}
	return back.Query(), nil
}

func TestLoginAndRefresh(t *testing.T) {
	t.Parallel()
	p, config := behaving(t)
	source := newOIDC(t, config)
	user, tokens, err := logIn(t.Context(), source, p.Client())
	if err != nil {
		t.Fatal(err)
	}
	want := identity.User{
		Subject: "corp:alice", Username: "alice", Email: "alice@example.com", EmailVerified: true, Name: "Alice",
		Groups: []string{"dev", "platform"}, Source: "corp",
	}
	if diff := cmp.Diff(want, user); diff != "" {
		t.Errorf("the login (-want +got):\n%s", diff)
	}

	// What is kept survives its journey through the store.
	text, err := tokens.Wire()
	if err != nil {
		t.Fatal(err)
	}
	if tokens, err = upstream.ReadTokens(text); err != nil {
		t.Fatal(err)
	}
	p.Change(func(b *oidctest.Behaviour) {
		b.ExtraClaims = map[string]any{"preferred_username": "alice.b", "groups": []string{"dev"}}
	})
	p.RotateKey(jose.RS256) // the key set is asked for again
	before := tokens.RefreshToken
	user, tokens, err = source.Refresh(t.Context(), "corp:alice", tokens)
	if err != nil {
		t.Fatal(err)
	}
	want.Username, want.EmailVerified, want.Groups = "alice.b", false, []string{"dev"}
	if diff := cmp.Diff(want, user); diff != "" {
		t.Errorf("the refresh (-want +got):\n%s", diff)
	}
	if tokens.RefreshToken.IsZero() || tokens.RefreshToken.Equal(before) {
		t.Error("the rotated refresh token was not kept")
	}

	p.Change(func(b *oidctest.Behaviour) { b.Subject = "mallory" })
	if _, kept, err := source.Refresh(t.Context(), "corp:alice", tokens); err == nil || kept.RefreshToken.Equal(tokens.RefreshToken) || kept.IsZero() {
		t.Errorf("a refresh that brought somebody else: %v; the new tokens must be kept", err)
	}
	p.Change(func(b *oidctest.Behaviour) { b.TokenRefusal = oidc.InvalidGrant })
	if _, _, err := source.Refresh(t.Context(), "corp:alice", tokens); !errors.Is(err, identity.ErrNotFound) {
		t.Errorf("a grant that is gone: got %v, want %v", err, identity.ErrNotFound)
	}
	p.Change(func(b *oidctest.Behaviour) { b.TokenRefusal = ""; b.Secret = "another" })
	if _, _, err := source.Refresh(t.Context(), "corp:alice", tokens); err == nil || errors.Is(err, identity.ErrNotFound) || !strings.Contains(err.Error(), "client secret") {
		t.Errorf("a wrong secret takes nobody's login away: got %v", err)
	}
}

func TestLoginRefusesHostileAnswers(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name   string
		change func(*oidctest.Behaviour)
		want   string // in the error
	}{
		{"another nonce", func(b *oidctest.Behaviour) { b.Nonce = "theirs" }, "nonce is not ours"},
		{"no nonce", func(b *oidctest.Behaviour) { b.ExtraClaims["nonce"] = ""; b.Nonce = " " }, "nonce is not ours"},
		{"another audience", func(b *oidctest.Behaviour) { b.Audience = oidc.Audience{"theirs"} }, `not for the client "kubernetes"`},
		{"a second audience", func(b *oidctest.Behaviour) { b.Audience = oidc.Audience{"kubernetes", "theirs"} }, "for others too"},
		{"another authorized party", func(b *oidctest.Behaviour) { b.AuthorizedParty = "theirs" }, "made for"},
		{"another issuer", func(b *oidctest.Behaviour) { b.TokenIssuer = "https://evil.example" }, "is from"},
		{"an answer of another issuer", func(b *oidctest.Behaviour) { b.ResponseIssuer = "https://evil.example" }, "https://evil.example"},
		{"an answer of nobody", func(b *oidctest.Behaviour) { b.ResponseIssuer = "-" }, "the browser brought"},
		{"from the future", func(b *oidctest.Behaviour) { b.Skew = 10 * time.Minute }, "compare the clocks"},
		{"from the past", func(b *oidctest.Behaviour) { b.Skew = -2 * time.Hour }, "compare the clocks"},
		{"for ever", func(b *oidctest.Behaviour) { b.NoExpiry = true }, "when it expires"},
		{"hash of another access token", func(b *oidctest.Behaviour) { b.WrongTokenHash = true }, "does not belong to the access token"},
		{"a key of somebody", func(b *oidctest.Behaviour) { b.ForeignKey = true }, "signature of the ID token is wrong"},
		{"no ID token", func(b *oidctest.Behaviour) { b.NoIDToken = true }, "openid missing in scopes"},
		{"a subject that is not ASCII", func(b *oidctest.Behaviour) { b.ExtraClaims["sub"] = "josé" }, "claims.id"},
		{"a subject that is too long", func(b *oidctest.Behaviour) { b.ExtraClaims["sub"] = strings.Repeat("a", 254) }, "claims.id"},
		{"no subject", func(b *oidctest.Behaviour) { b.ExtraClaims["sub"] = "" }, "no subject"},
		{"a user name of two lines", func(b *oidctest.Behaviour) { b.ExtraClaims["preferred_username"] = "a\nb" }, "control characters"},
		{"groups of numbers", func(b *oidctest.Behaviour) { b.ExtraClaims["groups"] = []int{1} }, "something else than texts"},
		{"groups elsewhere", func(b *oidctest.Behaviour) { b.ExtraClaims["hasgroups"] = true }, "group_overage.endpoint"},
		{"a page instead of metadata", func(b *oidctest.Behaviour) { b.HTML = map[oidctest.Endpoint]bool{oidctest.Discovery: true} }, "check the issuer"},
		{"a page instead of keys", func(b *oidctest.Behaviour) { b.HTML = map[oidctest.Endpoint]bool{oidctest.JWKS: true} }, "not with a key set"},
		{"a page instead of tokens", func(b *oidctest.Behaviour) { b.HTML = map[oidctest.Endpoint]bool{oidctest.Token: true} }, "did not answer with tokens"},
		{"nothing there", func(b *oidctest.Behaviour) { b.Gone = map[oidctest.Endpoint]bool{oidctest.Discovery: true} }, "check the issuer"},
		{"a slash too many", func(b *oidctest.Behaviour) { b.SlashIssuer = true }, "write the issuer exactly so"},
		{"endpoints without TLS", func(b *oidctest.Behaviour) { b.Departure, b.PlainDeparture = true, true }, "without https"},
		{"another secret", func(b *oidctest.Behaviour) { b.Secret = "another" }, "the client secret of the source corp is wrong or has expired"},
		{"a code that is refused", func(b *oidctest.Behaviour) { b.TokenRefusal = oidc.InvalidGrant }, "register the redirect URI " + callbackURI},
		{"a client without the grant", func(b *oidctest.Behaviour) { b.TokenRefusal = oidc.UnauthorizedClient }, "authorization code grant"},
		{"a scope that is refused", func(b *oidctest.Behaviour) { b.Refusal = oidc.InvalidScope }, "invalid_scope"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			p, config := behaving(t)
			p.Change(test.change)
			_, tokens, err := logIn(t.Context(), newOIDC(t, config), p.Client())
			if err == nil || !strings.Contains(err.Error(), test.want) || !tokens.IsZero() {
				t.Fatalf("got %v, want an error with %q and no tokens", err, test.want)
			}
			for _, issued := range append(p.Issued(), clientSecret) {
				if strings.Contains(err.Error(), issued) {
					t.Errorf("the error tells a secret: %v", err)
				}
			}
		})
	}
}

func TestLoginThatIsCancelled(t *testing.T) {
	t.Parallel()
	p, config := behaving(t)
	p.Change(func(b *oidctest.Behaviour) { b.Refusal = oidc.AccessDenied })
	if _, _, err := logIn(t.Context(), newOIDC(t, config), p.Client()); !errors.Is(err, upstream.ErrCancelled) {
		t.Errorf("got %v, want %v", err, upstream.ErrCancelled)
	}
}

// A provider whose key is a secret that both sides know signs nothing.
func TestLoginRefusesSymmetricSignatures(t *testing.T) {
	t.Parallel()
	p, config := behaving(t)
	p.RotateKey(jose.HS256)
	if _, _, err := logIn(t.Context(), newOIDC(t, config), p.Client()); err == nil || !strings.Contains(err.Error(), "no JWT that is signed") {
		t.Errorf("got %v", err)
	}
}

func TestSlowProvider(t *testing.T) {
	t.Parallel()
	for _, endpoint := range []oidctest.Endpoint{oidctest.Discovery, oidctest.Token, oidctest.JWKS} {
		t.Run(string(endpoint), func(t *testing.T) {
			t.Parallel()
			p, config := behaving(t)
			config.Timeout = 300 * time.Millisecond
			p.Change(func(b *oidctest.Behaviour) { b.Hang = map[oidctest.Endpoint]bool{endpoint: true} })
			source := newOIDC(t, config)
			begun := time.Now()
			if _, _, err := logIn(t.Context(), source, p.Client()); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("got %v, want the end of the time", err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
			defer cancel()
			if _, _, err := logIn(ctx, source, p.Client()); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("got %v, want the end of the caller's time", err)
			}
			if took := time.Since(begun); took > 5*time.Second {
				t.Errorf("it took %s", took)
			}
		})
	}
}

// A provider that is down when we start is up later, and one that publishes
// nothing for a while is used as it was.
func TestProviderThatIsDownForAWhile(t *testing.T) {
	t.Parallel()
	p, config := behaving(t)
	clock := time.Now()
	config.Now = func() time.Time { return clock }
	p.Change(func(b *oidctest.Behaviour) { b.Unavailable = map[oidctest.Endpoint]int{oidctest.Discovery: 1} })
	source := newOIDC(t, config)
	begin := func() error {
		_, _, err := source.Begin(t.Context(), upstream.Login{RedirectURI: callbackURI})
		return err
	}
	if err := begin(); err == nil || !strings.Contains(err.Error(), "503") {
		t.Errorf("got %v", err)
	}
	if err := begin(); err == nil || p.Count(oidctest.Discovery) != 1 {
		t.Errorf("a moment later: got %v, and it was asked %d times", err, p.Count(oidctest.Discovery))
	}
	clock = clock.Add(3 * time.Second)
	if _, _, err := logIn(t.Context(), source, p.Client()); err != nil {
		t.Fatal(err)
	}
	p.Forget()
	p.Change(func(b *oidctest.Behaviour) {
		b.Gone = map[oidctest.Endpoint]bool{oidctest.Discovery: true, oidctest.JWKS: true}
		b.Skew = 2 * time.Hour
	})
	clock = clock.Add(2 * time.Hour)
	for range 2 {
		if _, _, err := logIn(t.Context(), source, p.Client()); err != nil {
			t.Error(err)
		}
	}
	if got := p.Count(oidctest.Discovery); got != 1 {
		t.Errorf("the metadata was asked for %d times, want once", got)
	}
	clock = clock.Add(30 * time.Hour)
	if err := begin(); err == nil {
		t.Error("a copy of more than a day serves nobody")
	}
}

func TestUnknownKeyIsSearchedOnce(t *testing.T) {
	t.Parallel()
	p, config := behaving(t)
	source := newOIDC(t, config)
	if _, _, err := logIn(t.Context(), source, p.Client()); err != nil {
		t.Fatal(err)
	}
	p.Change(func(b *oidctest.Behaviour) { b.ForeignKey = true })
	p.Forget()
	for range 5 {
		if _, _, err := logIn(t.Context(), source, p.Client()); err == nil {
			t.Fatal("a token of a foreign key was taken")
		}
	}
	if got := p.Count(oidctest.JWKS); got > 1 {
		t.Errorf("the keys were asked for %d times", got)
	}
}

func TestAuthorizationRequest(t *testing.T) {
	t.Parallel()
	p, config := behaving(t)
	config.Prompt = "consent"
	config.AuthorizationParameters = map[string]string{"access_type": "offline"}
	config.HostedDomains = []string{"example.com"}
	address, attempt, err := newOIDC(t, config).Begin(t.Context(), upstream.Login{
		RedirectURI: callbackURI, State: "s", LoginHint: "alice@example.com", UILocales: "ja en", Fresh: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	want := url.Values{
		"response_type": {"code"}, "client_id": {"kubernetes"}, "redirect_uri": {callbackURI}, "scope": {"openid profile email"},
		"state": {"s"}, "nonce": {attempt.Nonce}, "code_challenge": {oidc.CodeChallenge(attempt.Verifier)}, "code_challenge_method": {"S256"},
		"login_hint": {"alice@example.com"}, "ui_locales": {"ja en"}, "prompt": {"login consent"}, "access_type": {"offline"}, "hd": {"example.com"},
	}
	if diff := cmp.Diff(want, u.Query()); diff != "" || !strings.HasPrefix(address, string(p.Issuer)+"/authorize?") {
		t.Errorf("%s (-want +got):\n%s", address, diff)
	}
}

func TestSecretInTheForm(t *testing.T) {
	t.Parallel()
	p, config := behaving(t)
	p.Change(func(b *oidctest.Behaviour) { b.PostOnly = true })
	source := newOIDC(t, config)
	for want := range 2 { // it is found out once
		p.Forget()
		if _, _, err := logIn(t.Context(), source, p.Client()); err != nil {
			t.Fatal(err)
		}
		if got := p.Count(oidctest.Token); got != 2-want {
			t.Errorf("login %d: the token endpoint was asked %d times", want+1, got)
		}
	}
}

func TestNoSecretIsPrinted(t *testing.T) {
	t.Parallel()
	tokens := upstream.Tokens{AccessToken: secret.New("hush-1"), RefreshToken: secret.New("hush-2"), IDToken: secret.New("hush-3")}
	attempt := upstream.Attempt{Nonce: "n", Verifier: secret.New("hush-4")}
	encoded, err := json.Marshal(map[string]any{"tokens": tokens})
	if err != nil {
		t.Fatal(err)
	}
	said := fmt.Sprintf("%s %v %+v %#v %v %+v %#v %s %s", encoded, tokens, tokens, tokens, attempt, attempt, attempt, tokens.LogValue(), attempt.LogValue())
	if strings.Contains(said, "hush") {
		t.Error(said)
	}
	if _, err := upstream.ReadTokens(encoded[len(`{"tokens":`) : len(encoded)-1]); err == nil {
		t.Error("tokens that were redacted are no tokens")
	}

	text, err := json.Marshal(attempt)
	if err != nil {
		t.Fatal(err)
	}
	var back upstream.Attempt
	if err := json.Unmarshal(text, &back); err != nil || back.Nonce != "n" || !back.Verifier.Equal(attempt.Verifier) {
		t.Errorf("an attempt that travels comes back as %+v, %v", back, err)
	}
}
