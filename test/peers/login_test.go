// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package peers

import (
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// Each way for a client to show who it is: a login, then the cache, then
// refreshes, whose token is another one each time.
func TestEachClientLogsInAndRefreshes(t *testing.T) {
	onBoth(t, func(t *testing.T, p *provider) {
		for k := range p.clients {
			if !k.hasBrowser() {
				continue
			}
			t.Run(string(k), func(t *testing.T) {
				d := newDesk(t, p)
				first := d.getToken(k, p.scopes...)
				want := map[kind]string{es256: "ES256", ps256: "PS256"}[k]
				if want == "" {
					want = "RS256"
				}
				if first.header.Algorithm != want {
					t.Errorf("the ID token is signed with %s, want %s", first.header.Algorithm, want)
				}
				if first.claims.Email != "alice@example.com" || !slices.Equal(first.claims.Groups, []string{"platform-engineer"}) {
					t.Errorf("the ID token says %+v", first.claims)
				}
				if again := d.getToken(k, p.scopes...); again.raw != first.raw {
					t.Error("the cached token was not used")
				}
				last := first
				for range 3 {
					next := d.getToken(k, append(p.scopes, "--force-refresh")...)
					if next.raw == last.raw || next.claims.Subject != first.claims.Subject {
						t.Error("the token was not renewed")
					}
					last = next
				}
				if visits := d.visited(); len(visits) != 1 || !strings.Contains(visits[0], "You are logged in") {
					t.Errorf("the browser showed %q, want one login", visits)
				}
			})
		}
	})
}

// What a login costs the provider: its metadata, its keys and one token
// request. A provider that takes the secret in another way than expected is
// asked once more, and never again.
func TestLoginAsksNoMoreThanItMust(t *testing.T) {
	t.Parallel()
	o := newOIDCProvider(t)
	usual := []string{"GET /.well-known/openid-configuration OK", "GET /jwks OK", "POST /token OK"}
	for _, test := range []struct {
		kind kind
		want []string
	}{
		{public, usual},
		{secretBasic, usual},
		{secretPost, append([]string{"POST /token Unauthorized"}, usual...)},
		{keyEC, usual},
		{certificate, usual},
	} {
		t.Run(string(test.kind), func(t *testing.T) {
			o.forget()
			d := newDesk(t, o.provider)
			d.getToken(test.kind, o.scopes...)
			// The keys come while the person types, so at any time.
			got := o.requests()
			slices.Sort(got)
			slices.Sort(test.want)
			if !slices.Equal(got, test.want) {
				t.Errorf("the login asked %q, want %q", got, test.want)
			}
			methods := map[string]bool{}
			for _, line := range o.log() {
				if line.Path == "/auth" {
					methods[line.PKCE] = true
				}
			}
			if !methods["S256"] || len(methods) != 1 {
				t.Errorf("the authorization request had the PKCE methods %v, want S256", methods)
			}

			for range 2 {
				o.forget()
				d.getToken(test.kind, append(o.scopes, "--force-refresh")...)
				if got := o.requests(); !slices.Equal(got, []string{"POST /token OK"}) {
					t.Errorf("a refresh asked %q, want one request", got)
				}
			}
			o.forget()
			d.getToken(test.kind, o.scopes...)
			if got := o.log(); len(got) != 0 {
				t.Errorf("the cache asked %+v, want nothing", got)
			}
		})
	}
}

// --oidc-request-header goes with each request of the plugin, and with none of
// the browser's.
func TestRequestHeadersReachTheProvider(t *testing.T) {
	t.Parallel()
	o := newOIDCProvider(t)
	d := newDesk(t, o.provider)
	flags := append(o.scopes, "--oidc-request-header=X-Peer=hello,X-Other=1")
	d.getToken(public, flags...)
	d.getToken(public, append(flags, "--force-refresh")...)
	d.visited()
	plugins := o.requests()
	if len(plugins) != 4 {
		t.Errorf("the plugin asked %q", plugins)
	}
	for _, line := range o.log() {
		if line.Path == "" {
			continue
		}
		mine := slices.Contains(plugins, line.asked())
		if mine && line.Header != "hello" || !mine && line.Header != "" {
			t.Errorf("%s came with the header %q", line.asked(), line.Header)
		}
	}
}

// A client that shows something else than what is registered hears what the
// provider says, and what to look at.
func TestRefusedClientIsToldWhatToCheck(t *testing.T) {
	onBoth(t, func(t *testing.T, p *provider) {
		another := write(t, filepath.Join(t.TempDir(), "another.pem"), encodeKey(t, newEC(t)))
		for _, test := range []struct {
			kind  kind
			flags []string
		}{
			{secretBasic, []string{"--oidc-client-id=" + string(secretBasic), "--oidc-client-secret=not-its-secret"}},
			{secretPost, []string{"--oidc-client-id=" + string(secretPost), "--oidc-client-secret=not-its-secret"}},
			{secretBasic, []string{"--oidc-client-id=" + string(secretBasic)}},
			{keyEC, []string{"--oidc-client-id=" + string(keyEC), "--oidc-client-assertion-key=" + another}},
			{certificate, append([]string{"--oidc-client-id=" + string(certificate)}, p.clients[selfSigned][1:]...)},
			{selfSigned, append([]string{"--oidc-client-id=" + string(selfSigned)}, p.clients[certificate][1:]...)},
		} {
			t.Run(string(test.kind), func(t *testing.T) {
				wrong := *p
				wrong.clients = map[kind][]string{test.kind: test.flags}
				d := newDesk(t, &wrong)
				e := d.run(d.command("get-token", test.kind, p.scopes...))
				if e.code != 1 || e.stdout != "" || !strings.Contains(e.stderr, "error: the provider refused to exchange the code: invalid_client") ||
					!strings.Contains(e.stderr, "hint: check --oidc-client-id="+string(test.kind)) {
					t.Errorf("got %d: %s%s", e.code, e.stdout, e.stderr)
				}
				if entries := d.entries(); len(entries) > 0 {
					t.Errorf("something was kept: %q", entries)
				}
				if visits := d.visited(); len(visits) != 1 || !strings.Contains(visits[0], "You are not logged in") {
					t.Errorf("the page said %q", visits)
				}
			})
		}
	})
}

// A person who cancels: the terminal and the page say what the provider says.
func TestCancelledLogin(t *testing.T) {
	t.Parallel()
	o := newOIDCProvider(t)
	d := newDesk(t, o.provider)
	d.habit = cancels
	e := d.run(d.command("get-token", public, o.scopes...))
	const reason = "access_denied: End-User aborted interaction"
	if e.code != 1 || !strings.Contains(e.stderr, "error: the provider refused the login: "+reason) {
		t.Errorf("got %d: %s", e.code, e.stderr)
	}
	if visits := d.visited(); len(visits) != 1 || !strings.Contains(visits[0], reason) {
		t.Errorf("the page said %q", visits)
	}
}

// The device code grant: the code is shown, the person confirms it on the
// provider's page, and the refresh token that comes is as good as any.
func TestDeviceCode(t *testing.T) {
	onBoth(t, func(t *testing.T, p *provider) {
		d := newDesk(t, p)
		flags := p.scopes[:1] // no page asks for consent by a parameter
		e := d.run(d.command("get-token", device, flags...))
		if e.code != 0 {
			t.Fatalf("got %d: %sthe browser showed %q", e.code, e.stderr, d.visited())
		}
		if !regexp.MustCompile(`shows the code \S+:`).MatchString(e.stderr) {
			t.Errorf("the code was not shown:\n%s", e.stderr)
		}
		got, err := readCredential(e.stdout)
		if err != nil || got.claims.Email != "alice@example.com" {
			t.Errorf("got %+v, %v", got.claims, err)
		}
		if renewed := d.getToken(device, append(flags, "--force-refresh")...); renewed.raw == got.raw {
			t.Error("the token was not renewed")
		}
		if visits, refreshes := d.visited(), p.granted("refresh_token"); len(visits) != 1 || refreshes != 1 {
			t.Errorf("%d refreshes, and the browser showed %q; want one of each", refreshes, visits)
		}
	})
}

// A client's own tokens are access tokens.
func TestClientCredentials(t *testing.T) {
	onBoth(t, func(t *testing.T, p *provider) {
		d := newDesk(t, p)
		first := d.getToken(machine, "--oidc-use-access-token")
		if again := d.getToken(machine, "--oidc-use-access-token"); again.raw != first.raw {
			t.Error("the cached token was not used")
		}
		if n := p.granted("client_credentials"); n != 1 {
			t.Errorf("%d grants, want 1", n)
		}
		// Without the flag it is an ID token, if the provider gives one to a client.
		e := d.run(d.command("get-token", machine))
		if got, err := readCredential(e.stdout); e.code == 0 && (err != nil || got.claims.Subject == "") {
			t.Errorf("%v: %+v is no ID token", err, got.claims)
		}
		if e.code != 0 && !strings.Contains(e.stderr, "hint: a client is no end user; --oidc-use-access-token uses the access token instead") {
			t.Errorf("got %d: %s", e.code, e.stderr)
		}
		if visits := d.visited(); len(visits) > 0 {
			t.Errorf("a browser was opened: %q", visits)
		}
	})
}

// An access token that is opaque, beside an ID token that is verified.
func TestOpaqueAccessToken(t *testing.T) {
	onBoth(t, func(t *testing.T, p *provider) {
		d := newDesk(t, p)
		idToken := d.getToken(public, p.scopes...)
		access := d.getToken(public, append(p.scopes, "--oidc-use-access-token")...)
		if access.raw == idToken.raw {
			t.Error("the ID token was handed out")
		}
		renewed := d.getToken(public, append(p.scopes, "--oidc-use-access-token", "--force-refresh")...)
		if renewed.raw == access.raw {
			t.Error("the access token was not renewed")
		}
		if n := len(d.visited()); n != 2 {
			t.Errorf("%d logins, want 2: the two kinds are kept apart", n)
		}
	})
}

// A provider without the password grant: that is what is said, and the
// password is in no message.
func TestPasswordGrantThatIsNotOffered(t *testing.T) {
	onBoth(t, func(t *testing.T, p *provider) {
		d := newDesk(t, p)
		e := d.run(d.command("get-token", public, "--grant-type=password", "--username=alice", "--password=wonderland"))
		if e.code != 1 || !strings.Contains(e.stderr, "does not offer the password grant") || !strings.Contains(e.stderr, "hint: ") {
			t.Errorf("got %d: %s", e.code, e.stderr)
		}
		if strings.Contains(e.stderr, "wonderland") {
			t.Errorf("the password was said: %s", e.stderr)
		}
	})
}

// Somebody who never comes is waited for no longer than was asked.
func TestNobodyComes(t *testing.T) {
	onBoth(t, func(t *testing.T, p *provider) {
		d := newDesk(t, p)
		d.habit = ignores
		e := d.run(d.command("get-token", public, "--authentication-timeout-sec=1"))
		if e.code != 1 || !strings.Contains(e.stderr, "error: nobody logged in within 1s") || e.took > 30*time.Second {
			t.Errorf("got %d after %s: %s", e.code, e.took, e.stderr)
		}
		for call := range 4 { // kubectl's others
			e := d.run(d.command("get-token", public, "--authentication-timeout-sec=1"))
			if e.code != 1 || !strings.Contains(e.stderr, "nobody is asked again for") {
				t.Errorf("call %d: got %d: %s", call+2, e.code, e.stderr)
			}
		}
		if n := len(d.visited()); n != 1 {
			t.Errorf("%d browsers were opened, want one", n)
		}
	})
}
