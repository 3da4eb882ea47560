// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package provider_test

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tegata/tegata/internal/clientregistry"
	"github.com/tegata/tegata/internal/seal"
	"github.com/tegata/tegata/internal/signingkey"
)

// keysOf gives an issuer keys of its own, in its storage. What it returns is a
// person who administers them beside the server.
func keysOf(t *testing.T, policy signingkey.Policy) (*issuer, signingkey.Custody) {
	t.Helper()
	var custody signingkey.Custody
	i := newIssuer(t, func(i *issuer) {
		custody = signingkey.Custody{Storage: i.rows, Sealer: seal.RandomKey(), Policy: policy, Now: i.clock.Now}
		keys, err := signingkey.Open(t.Context(), custody)
		check(t, err)
		i.config.Keys = keys
	})
	return i, custody
}

// keySet is the IDs of the keys that are published for an algorithm.
func (b *browser) keySet(alg string) (ids []string, a answered) {
	b.t.Helper()
	a = b.get("/keys")
	a.wantStatus(http.StatusOK)
	var set struct {
		Keys []struct {
			ID  string `json:"kid"`
			Alg string `json:"alg"`
		} `json:"keys"`
	}
	check(b.t, json.Unmarshal([]byte(a.body), &set))
	for _, key := range set.Keys {
		if key.Alg == alg {
			ids = append(ids, key.ID)
		}
	}
	return ids, a
}

// OpenID Connect Core 1.0, section 10.1.1. At no time does a token name a key
// that was not published long before, and each token is good until it expires.
func TestKeysRotateUnderUse(t *testing.T) {
	t.Parallel()
	i, custody := keysOf(t, signingkey.Policy{})
	b := i.browser()
	kid := func(token string) string { t.Helper(); return header(t, token)["kid"].(string) }

	before := i.logIn()
	for alg, token := range map[string]string{"RS256": before.IDToken, "ES256": before.AccessToken} {
		if ids, _ := b.keySet(alg); !slices.Equal(ids, []string{kid(token)}) {
			t.Fatalf("%s: the key set has %q, the token names %s", alg, ids, kid(token))
		}
	}
	_, first := b.keySet("RS256")

	// A day before the change the successors are in the key set.
	i.clock.advance(29 * 24 * time.Hour)
	check(t, i.config.Keys.Tend(t.Context()))
	next := map[string]string{}
	for _, alg := range signingkey.Algorithms() {
		ids, second := b.keySet(alg)
		if len(ids) != 2 {
			t.Fatalf("%s: the key set has %q, want two", alg, ids)
		}
		next[alg] = ids[1]
		if second.header.Get("Etag") == first.header.Get("Etag") || second.header.Get("Cache-Control") != "public, max-age=600" {
			t.Errorf("got ETag %s and Cache-Control %q, want another tag and ten minutes", second.header.Get("Etag"), second.header.Get("Cache-Control"))
		}
		if a := b.send("GET", "/keys", nil, http.Header{"If-None-Match": {first.header.Get("Etag")}}); a.status != http.StatusOK {
			t.Errorf("who has the old key set gets status %d, want the new one", a.status)
		}
	}
	i.clock.advance(24*time.Hour - 5*time.Minute)
	last := i.logIn()
	if kid(last.IDToken) != kid(before.IDToken) || kid(last.AccessToken) != kid(before.AccessToken) {
		t.Error("a successor signs early")
	}

	// After the change both sign, and what the old ones signed is good.
	i.clock.advance(5 * time.Minute)
	after := i.logIn()
	if kid(after.IDToken) != next["RS256"] || kid(after.AccessToken) != next["ES256"] {
		t.Error("the successors do not sign")
	}
	i.userinfo(last.AccessToken).wantStatus(http.StatusOK)
	i.userinfo(after.AccessToken).wantStatus(http.StatusOK)
	if ids, _ := b.keySet("RS256"); !slices.Contains(ids, kid(last.IDToken)) {
		t.Error("the old key is gone while its tokens live")
	}

	// The refresh token of a login before the change works after it.
	i.clock.advance(10 * time.Minute)
	renewed := i.refresh(last.RefreshToken)
	renewed.wantTokens()
	if kid(renewed.IDToken) != next["RS256"] {
		t.Error("a renewed token names the old key")
	}

	// When the last token must have expired, the old keys are gone.
	i.clock.advance(24 * time.Hour)
	check(t, i.config.Keys.Tend(t.Context()))
	for _, alg := range signingkey.Algorithms() {
		if ids, _ := b.keySet(alg); !slices.Equal(ids, []string{next[alg]}) {
			t.Errorf("%s: the key set has %q, want %s alone", alg, ids, next[alg])
		}
	}
	listed, err := custody.List(t.Context())
	check(t, err)
	if len(listed) != 2 {
		t.Errorf("%d keys are listed, want 2", len(listed))
	}
}

func TestRevokedKeyOpensNothing(t *testing.T) {
	t.Parallel()
	i, custody := keysOf(t, signingkey.Policy{})
	b := i.browser()
	stolen := i.logIn()
	id := header(t, stolen.AccessToken)["kid"].(string)
	_, err := custody.Revoke(t.Context(), id)
	check(t, err)
	check(t, i.config.Keys.Tend(t.Context()))

	a := i.userinfo(stolen.AccessToken)
	a.wantStatus(http.StatusUnauthorized)
	if got := a.header.Get("WWW-Authenticate"); !strings.Contains(got, `error="invalid_token"`) {
		t.Errorf("WWW-Authenticate: %q, want invalid_token", got)
	}
	if ids, _ := b.keySet("ES256"); len(ids) != 1 || ids[0] == id {
		t.Errorf("the key set has %q, want a new key alone", ids)
	}
	// Nobody has to log in again.
	renewed := i.refresh(stolen.RefreshToken)
	renewed.wantTokens()
	i.userinfo(renewed.AccessToken).wantStatus(http.StatusOK)
}

// A client cannot have tokens that outlive the keys in the key set.
func TestTokensDoNotOutliveTheirKeys(t *testing.T) {
	t.Parallel()
	if clientregistry.MaxTokenLifetime > signingkey.MaxTokenLifetime {
		t.Errorf("a client's tokens may live for %s, a key stays for %s", clientregistry.MaxTokenLifetime, signingkey.MaxTokenLifetime)
	}
}

// Others may keep the key set for less than half of the time that a key is
// published before it signs.
func TestKeySetIsKeptForAsLongAsKeysAreKnownAhead(t *testing.T) {
	t.Parallel()
	i, _ := keysOf(t, signingkey.Policy{PublishAhead: time.Minute})
	if _, a := i.browser().keySet("ES256"); a.header.Get("Cache-Control") != "public, max-age=27" {
		t.Errorf("Cache-Control: %q, want 27 seconds", a.header.Get("Cache-Control"))
	}
}

func TestReadinessTellsOfTheKeys(t *testing.T) {
	t.Parallel()
	i, custody := keysOf(t, signingkey.Policy{})
	b := i.browser()
	if a := b.get(issuerURL + "/readyz"); a.status != http.StatusOK || a.body != "ok\n" {
		t.Errorf("got status %d, %q; want ok", a.status, a.body)
	}
	// A key that is too old is no reason to stop.
	i.clock.advance(31 * 24 * time.Hour)
	if a := b.get(issuerURL + "/readyz"); a.status != http.StatusOK || !strings.HasPrefix(a.body, "ok\nwarning: the RS256 signing key ") || strings.Count(a.body, "\n") != 3 {
		t.Errorf("got status %d, %q; want ok and two warnings", a.status, a.body)
	}
	// A key of the others that this server cannot open is.
	custody.Sealer = seal.NewRing(seal.RandomKey(), custody.Sealer.(seal.Key))
	_, err := custody.Rotate(t.Context(), signingkey.ES256, false)
	check(t, err)
	if err := i.config.Keys.Tend(t.Context()); err == nil {
		t.Error("a key that was sealed with another key was opened")
	}
	if a := b.get(issuerURL + "/readyz"); a.status != http.StatusServiceUnavailable || a.body != "the signing keys cannot be read\n" {
		t.Errorf("got status %d, %q; want 503", a.status, a.body)
	}
}
