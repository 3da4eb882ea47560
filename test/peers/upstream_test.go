// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package peers

import (
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tegata/tegata/internal/identity"
	"github.com/tegata/tegata/internal/identity/upstream"
	"github.com/tegata/tegata/internal/oidc"
	"github.com/tegata/tegata/internal/secret"
)

// house is an issuer of ours as far as its source is concerned: the source,
// and the address at which the browser comes back.
type house struct {
	*upstream.Source
	t        testing.TB
	desk     *desk
	callback string
	back     chan url.Values
}

// newHouse makes a source of the provider, whose client is of that kind.
func newHouse(t *testing.T, p *provider, k kind, change func(*upstream.OIDCConfig)) *house {
	t.Helper()
	h := &house{t: t, desk: newDesk(t, p), back: make(chan url.Values, 1)}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.back <- r.URL.Query()
		fmt.Fprint(w, "<title>Back at Tegata</title>")
	}))
	t.Cleanup(server.Close)
	h.callback = strings.Replace(server.URL, "127.0.0.1", "localhost", 1)

	authorities := x509.NewCertPool()
	authorities.AppendCertsFromPEM([]byte(read(t, p.caFile)))
	config := upstream.OIDCConfig{
		Name: "corp", Issuer: oidc.Issuer(p.issuer), ClientID: oidc.ClientID(k), TLS: &tls.Config{RootCAs: authorities},
		ClientSecret: secret.New(flagOf(p.clients[k], "--oidc-client-secret=")),
		Prompt:       "consent", // without which oidc-provider gives no refresh token
	}
	if file := flagOf(p.clients[k], "--oidc-client-assertion-key="); file != "" {
		keyID := ""
		if p.name == "oidc-provider" {
			keyID = "its-key"
		}
		var err error
		if config.ClientKey, err = upstream.ReadClientKey(secret.New(read(t, file)), keyID); err != nil {
			t.Fatal(err)
		}
	}
	if change != nil {
		change(&config)
	}
	made, err := upstream.NewOIDC(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(made.Close)
	h.Source = &upstream.Source{Provider: made, LogsOut: true}
	return h
}

// logIn sends the person to the provider and waits for what comes of it.
func (h *house) logIn() (identity.User, secret.String, error) {
	h.t.Helper()
	address, attempt, err := h.Begin(h.t.Context(), identity.Departure{RedirectURI: h.callback, LoginHint: "alice", UILocales: "en"})
	if err != nil {
		return identity.User{}, secret.String{}, err
	}
	h.desk.open(address + "&state=ours")
	select {
	case answer := <-h.back:
		if answer.Get("state") != "ours" {
			h.t.Errorf("the state came back as %q", answer.Get("state"))
		}
		return h.Finish(h.t.Context(), h.callback, attempt, answer)
	default:
		return identity.User{}, secret.String{}, fmt.Errorf("the browser did not come back: %q", h.desk.visited())
	}
}

// mustLogIn is logIn for a person whom nothing stops.
func (h *house) mustLogIn() (identity.User, secret.String) {
	h.t.Helper()
	user, kept, err := h.logIn()
	if err != nil {
		h.t.Fatal(err)
	}
	return user, kept
}

// accountOfAlice is what the provider says of her.
func accountOfAlice(groups ...string) map[string]any {
	return map[string]any{
		"preferred_username": "alice", "name": "Alice Liddell", "email": "alice@example.com", "email_verified": true, "groups": groups,
	}
}

// People log in at another provider with each kind of client, and it is asked
// again who they are.
func TestUpstreamLogin(t *testing.T) {
	onBoth(t, func(t *testing.T, p *provider) {
		for _, k := range []kind{public, secretBasic, secretPost, keyRSA, keyEC, es256, ps256} {
			if p.clients[k] == nil {
				continue
			}
			t.Run(string(k), func(t *testing.T) {
				t.Parallel()
				h := newHouse(t, p, k, func(c *upstream.OIDCConfig) { c.Claims.Username, c.AssumeEmailVerified = "email", true })
				user, kept := h.mustLogIn()
				want := identity.User{
					Subject: user.Subject, Username: "alice@example.com", Email: "alice@example.com", EmailVerified: true,
					Groups: []string{"platform-engineer"}, Source: "corp",
				}
				if diff := cmp.Diff(want, user); diff != "" || !strings.HasPrefix(string(user.Subject), "corp:") {
					t.Errorf("the login (-want +got):\n%s", diff)
				}
				for range 2 { // the second time with what the first one brought
					again, fresh, err := h.Refresh(t.Context(), user.Subject, kept)
					if err != nil {
						t.Fatal(err)
					}
					if diff := cmp.Diff(user, again); diff != "" || fresh.Equal(kept) {
						t.Errorf("the refresh (-want +got):\n%s", diff)
					}
					kept = fresh
				}
			})
		}
	})
}

// What changes at the provider is seen at the next refresh.
func TestUpstreamRefresh(t *testing.T) {
	t.Parallel()
	o := newOIDCProvider(t)
	accounts := func(all map[string]map[string]any) {
		o.settings.Accounts = all
		o.configure()
	}
	accounts(map[string]map[string]any{"alice": accountOfAlice("dev", "platform")})
	now := time.Now()
	h := newHouse(t, o.provider, secretBasic, func(c *upstream.OIDCConfig) { c.Now = func() time.Time { return now } })
	user, first := h.mustLogIn()
	want := identity.User{
		Subject: "corp:alice", Username: "alice", Name: "Alice Liddell", Email: "alice@example.com", EmailVerified: true,
		Groups: []string{"dev", "platform"}, Source: "corp",
	}
	if diff := cmp.Diff(want, user); diff != "" {
		t.Errorf("the login (-want +got):\n%s", diff)
	}

	// A group less, and other keys.
	accounts(map[string]map[string]any{"alice": accountOfAlice("dev")})
	o.newKeys()
	user, second, err := h.Refresh(t.Context(), user.Subject, first)
	if err != nil || !slices.Equal(user.Groups, []string{"dev"}) {
		t.Fatalf("got %q, %v", user.Groups, err)
	}

	// Another token of the same person, who is not to be taken for her.
	if _, _, err := h.Refresh(t.Context(), "corp:bob", second); !errors.Is(err, identity.ErrNotFound) {
		t.Errorf("another user: got %v", err)
	}

	// oidc-provider ends a grant of which a used refresh token is shown.
	_, third := h.mustLogIn()
	_, fourth, err := h.Refresh(t.Context(), user.Subject, third)
	if err != nil {
		t.Fatal(err)
	}
	for _, kept := range []secret.String{third, fourth} {
		if _, _, err := h.Refresh(t.Context(), user.Subject, kept); !errors.Is(err, identity.ErrNotFound) {
			t.Errorf("a refresh token that is void: got %v", err)
		}
	}

	// The account is gone.
	_, fifth := h.mustLogIn()
	accounts(map[string]map[string]any{"bob": accountOfAlice("dev")})
	if _, _, err := h.Refresh(t.Context(), user.Subject, fifth); !errors.Is(err, identity.ErrNotFound) {
		t.Errorf("an account that is gone: got %v", err)
	}

	// And then the provider: nobody is gone for that.
	accounts(map[string]map[string]any{"alice": accountOfAlice("dev")})
	_, sixth := h.mustLogIn()
	o.process.Kill()
	for range 2 {
		if _, kept, err := h.Refresh(t.Context(), user.Subject, sixth); err == nil || errors.Is(err, identity.ErrNotFound) || !kept.IsZero() {
			t.Errorf("a provider that is down: got %v", err)
		}
		now = now.Add(2 * time.Hour) // its metadata is kept for less
	}
}

// A provider that keeps to the letter says who it is at its userinfo endpoint
// alone (OpenID Connect Core 1.0, section 5.4).
func TestUpstreamUserinfo(t *testing.T) {
	t.Parallel()
	o := newOIDCProvider(t)
	o.settings.Conform, o.settings.Accounts = true, map[string]map[string]any{"alice": accountOfAlice("dev")}
	o.newKeys()
	for _, prompt := range []string{"consent", ""} { // with a refresh token, and without
		h := newHouse(t, o.provider, secretBasic, func(c *upstream.OIDCConfig) { c.Prompt = prompt })
		user, kept := h.mustLogIn()
		if user.Username != "alice" || !slices.Equal(user.Groups, []string{"dev"}) {
			t.Errorf("got %+v", user)
		}
		o.settings.Accounts["alice"] = accountOfAlice("ops")
		o.configure()
		user, _, err := h.Refresh(t.Context(), user.Subject, kept)
		if err != nil || !slices.Equal(user.Groups, []string{"ops"}) {
			t.Errorf("the refresh: got %+v, %v", user, err)
		}
		o.settings.Accounts["alice"] = accountOfAlice("dev")
		o.configure()
	}

	h := newHouse(t, o.provider, secretBasic, func(c *upstream.OIDCConfig) { c.Userinfo = upstream.UserinfoNever })
	if _, _, err := h.logIn(); err == nil || !strings.Contains(err.Error(), "claims.username") {
		t.Errorf("without the userinfo endpoint: got %v", err)
	}
}

// The person changes their mind, or is not the one who may come.
func TestUpstreamRefusals(t *testing.T) {
	t.Parallel()
	o := newOIDCProvider(t)
	o.settings.Accounts = map[string]map[string]any{"alice": accountOfAlice("dev")}
	o.configure()

	h := newHouse(t, o.provider, secretBasic, func(c *upstream.OIDCConfig) { c.AllowedGroups = []string{"ops"} })
	_, _, err := h.logIn()
	if _, ok := errors.AsType[*identity.DeniedError](err); !ok {
		t.Errorf("of another group: got %v", err)
	}
	h = newHouse(t, o.provider, secretBasic, nil)
	h.desk.habit = cancels
	_, _, err = h.logIn()
	if _, ok := errors.AsType[*identity.DeniedError](err); !ok {
		t.Errorf("cancelled: got %v", err)
	}
	h = newHouse(t, o.provider, secretBasic, func(c *upstream.OIDCConfig) { c.ClientSecret = secret.New("another") })
	if _, _, err = h.logIn(); err == nil || !strings.Contains(err.Error(), "client secret of the source corp is wrong or has expired") {
		t.Errorf("a wrong secret: got %v", err)
	}
	h = newHouse(t, o.provider, secretBasic, func(c *upstream.OIDCConfig) { c.TLS = nil })
	if _, _, err = h.logIn(); err == nil || !strings.Contains(err.Error(), "name its authority in ca") {
		t.Errorf("an authority that nobody knows: got %v", err)
	}
	h = newHouse(t, o.provider, secretBasic, func(c *upstream.OIDCConfig) { c.Issuer += "/" })
	if _, _, err = h.logIn(); err == nil || !strings.Contains(err.Error(), "write the issuer exactly so") {
		t.Errorf("a slash too many: got %v", err)
	}
}

// Whoever logs out here may log out there, and what is kept is handed back.
func TestUpstreamLogout(t *testing.T) {
	onBoth(t, func(t *testing.T, p *provider) {
		h := newHouse(t, p, secretBasic, func(c *upstream.OIDCConfig) { c.Claims.Username, c.AssumeEmailVerified = "email", true })
		user, kept := h.mustLogIn()
		address, err := h.LogOut(t.Context(), kept, "", "")
		if err != nil || !strings.Contains(address, "id_token_hint=") {
			t.Fatalf("got %q, %v", address, err)
		}
		before := len(h.desk.visited())
		h.desk.open(address)
		h.mustLogIn()
		visits := h.desk.visited()
		if first, again := h.desk.visit(1), visits[len(visits)-1]; len(visits) != before+2 || first != again {
			t.Errorf("after the logout the browser showed %q, want a login as the first one, %q", again, first)
		}

		tokens, err := upstream.ReadTokens([]byte(kept.Reveal()))
		if err != nil {
			t.Fatal(err)
		}
		if err := h.Revoke(t.Context(), tokens); err != nil {
			t.Fatal(err)
		}
		if _, _, err := h.Refresh(t.Context(), user.Subject, kept); !errors.Is(err, identity.ErrNotFound) {
			t.Errorf("tokens that were handed back: got %v", err)
		}
	})
}

// The browser comes back from the logout, if that was agreed on.
func TestUpstreamLogoutComesBack(t *testing.T) {
	t.Parallel()
	o := newOIDCProvider(t)
	o.settings.Accounts = map[string]map[string]any{"alice": accountOfAlice("dev")}
	h := newHouse(t, o.provider, secretBasic, nil)
	for _, client := range o.settings.Clients {
		client["post_logout_redirect_uris"] = []string{h.callback}
	}
	o.newKeys()
	_, kept := h.mustLogIn()
	address, err := h.LogOut(t.Context(), kept, h.callback, "the way back")
	if err != nil {
		t.Fatal(err)
	}
	h.desk.open(address)
	select {
	case answer := <-h.back:
		if answer.Get("state") != "the way back" {
			t.Errorf("came back with %v", answer)
		}
	default:
		t.Errorf("the browser did not come back: %q", h.desk.visited())
	}
}

// newFront is a Tegata whose people log in at p.
func newFront(t *testing.T, p *provider) *provider {
	t.Helper()
	front := prepareTegata(t)
	hush := rand.Text() + rand.Text()
	source := fmt.Sprintf(`sources:
- name: corp
  title: The other one
  oidc:
    issuer: %s
    client_id: front
    client_secret_file: %s
    ca: %s
    prompt: consent
    claims: {username: email}
    assume_email_verified: true
    log_out: true
`, p.issuer, write(t, filepath.Join(front.dir, "front.secret"), hush), p.caFile)
	write(t, front.configuration, read(t, front.configuration)+source)
	front.serve("127.0.0.1:0")
	p.register("front", hush, front.issuer+"/callback/corp", front.issuer+"/logout/done")
	// The person's machine trusts both, and types what the other one wants.
	front.caFile = write(t, filepath.Join(t.TempDir(), "both.crt"), read(t, front.caFile)+read(t, p.caFile))
	front.provider.password = p.password
	front.secrets = func() []string { return []string{hush, p.password} }
	return front.provider
}

// kubectl's plugin logs in at a Tegata that sends the person elsewhere.
func TestLoginThroughAnotherProvider(t *testing.T) {
	onBoth(t, func(t *testing.T, p *provider) {
		front := newFront(t, p)
		d := newDesk(t, front)
		first := d.getToken(public, front.scopes...)
		if c := first.claims; !strings.HasPrefix(c.Subject, "corp:") || c.Email != "alice@example.com" || !slices.Equal(c.Groups, []string{"platform-engineer"}) {
			t.Errorf("got %+v", c)
		}

		// Nobody is asked again: not by us, and not by the other one.
		visits := len(d.visited())
		d.expire()
		again := d.getToken(public, front.scopes...)
		if diff := cmp.Diff(first.claims, again.claims); diff != "" || again.raw == first.raw || len(d.visited()) != visits {
			t.Errorf("the refresh (-want +got):\n%s", diff)
		}

		// Who logs out here has logged out there.
		if e := d.run(d.command("logout", public)); e.code != 0 {
			t.Fatalf("logout ended with %d: %s", e.code, e.stderr)
		}
		if departure := d.visit(visits + 1); !strings.Contains(departure, "You are logged out") {
			t.Errorf("the logout ended with %q", departure)
		}
		d.getToken(public, front.scopes...)
		if login, again := d.visit(1), d.visit(visits+2); login != again {
			t.Errorf("after the logout the browser showed %q, want a login as the first one, %q", again, login)
		}
	})
}
