// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package identity_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tegata/tegata/internal/identity"
	"github.com/tegata/tegata/internal/oidc"
)

func TestClaimsFollowTheScopes(t *testing.T) {
	alice := identity.User{
		Subject: "alice-1", Username: "alice", Email: "alice@example.com", EmailVerified: true, Name: "Alice", Groups: []string{"a", "b"},
	}
	for _, test := range []struct {
		name   string
		user   identity.User
		scopes oidc.Scopes
		want   map[string]any
	}{
		{"nothing asked", alice, nil, map[string]any{}},
		{"openid", alice, oidc.Scopes{"openid"}, map[string]any{}},
		{"profile", alice, oidc.Scopes{"profile"}, map[string]any{"preferred_username": "alice", "name": "Alice"}},
		{"email", alice, oidc.Scopes{"email"}, map[string]any{"email": "alice@example.com", "email_verified": true}},
		{"groups", alice, oidc.Scopes{"groups"}, map[string]any{"g": []string{"a", "b"}}},
		{"unverified", identity.User{Email: "a@example.com"}, oidc.Scopes{"email"}, map[string]any{"email": "a@example.com", "email_verified": false}},
		{"no e-mail address", identity.User{EmailVerified: true}, oidc.Scopes{"email"}, map[string]any{}},
		{"no groups", identity.User{}, oidc.Scopes{"groups"}, map[string]any{"g": []string{}}},
		{"no name", identity.User{Username: "bob"}, oidc.Scopes{"profile"}, map[string]any{"preferred_username": "bob"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, test.user.Claims(test.scopes, "g")); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}
