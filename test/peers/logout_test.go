// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package peers

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/tegata/tegata/internal/oidc"
)

// logout revokes the refresh token (RFC 7009), opens the page that ends the
// session, and leaves nothing behind: the next login is asked for a password.
func TestLogoutEndsTheLoginAtTheProvider(t *testing.T) {
	onBoth(t, func(t *testing.T, p *provider) {
		for k := range p.clients {
			if !k.hasBrowser() {
				continue
			}
			t.Run(string(k), func(t *testing.T) {
				d := newDesk(t, p)
				d.getToken(k, p.scopes...)
				refreshToken := d.refreshToken()
				e := d.run(d.command("logout", k))
				if e.code != 0 || !strings.Contains(e.stdout, "logged out alice") || strings.Contains(e.stderr, "cannot revoke") {
					t.Fatalf("got %d: %s%s", e.code, e.stdout, e.stderr)
				}
				if len(d.entries()) > 0 {
					t.Error("tokens were left behind")
				}

				// The provider knows the refresh token no more.
				if k == public {
					if status := redeem(t, p, refreshToken); status != http.StatusBadRequest {
						t.Errorf("the revoked refresh token is answered with %d", status)
					}
				}

				// The person is asked whether to log out. Before, the session was
				// enough; now it is not.
				if pages, _, _ := strings.Cut(d.visit(2), " | "); !strings.Contains(pages, ", ") {
					t.Errorf("the browser showed %q, want a question and what came of it", pages)
				}
				d.getToken(k, p.scopes...)
				if first, third := d.visit(1), d.visit(3); first != third {
					t.Errorf("the browser showed %q, want a login as the first one, %q", third, first)
				}
			})
		}
	})
}

// redeem tries a refresh token of the public client.
func redeem(t testing.TB, p *provider, refreshToken string) int {
	t.Helper()
	agent := userAgent(t, p.caFile)
	response, err := agent.Get(p.issuer + "/.well-known/openid-configuration")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	var metadata oidc.Metadata
	if err := json.NewDecoder(response.Body).Decode(&metadata); err != nil {
		t.Fatal(err)
	}
	response, err = agent.PostForm(metadata.TokenEndpoint, url.Values{
		"grant_type": {"refresh_token"}, "refresh_token": {refreshToken}, "client_id": {string(public)},
	})
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	return response.StatusCode
}

// status shows a login, and none of its tokens.
func TestStatusShowsWhoIsLoggedIn(t *testing.T) {
	onBoth(t, func(t *testing.T, p *provider) {
		d := newDesk(t, p)
		d.getToken(public, p.scopes...)
		e := d.run(d.program("status"))
		for _, want := range []string{"alice", p.issuer, string(public), "platform-engineer", "yes"} {
			if e.code != 0 || !strings.Contains(e.stdout, want) {
				t.Errorf("status does not say %q: %d\n%s%s", want, e.code, e.stdout, e.stderr)
			}
		}
	})
}
