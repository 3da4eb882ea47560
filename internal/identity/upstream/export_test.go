// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package upstream

import (
	"context"
	"encoding/json"

	"github.com/tegata/tegata/internal/identity"
	"github.com/tegata/tegata/internal/oidc"
	"github.com/tegata/tegata/internal/secret"
)

// The parsers of what others write, for their fuzz tests.
var (
	ParseKeySet        = parseKeySet
	ParseMemberObjects = parseMemberObjects
	NextPage           = nextPage
	SameOrigin         = sameOrigin
	Plain              = plain
	APIOf              = apiOf
)

// Complete is a configuration with its defaults.
func (c OIDCConfig) Complete() (OIDCConfig, error) { return c.complete() }

// AcceptsIssuer reports whether an ID token may be from there.
func (o *OIDC) AcceptsIssuer(issuer oidc.Issuer) bool { return o.isIssuer(issuer) }

// VerifyIDToken verifies an ID token of a login with that nonce.
func (o *OIDC) VerifyIDToken(ctx context.Context, text, nonce string) error {
	m, err := o.discover(ctx)
	if err == nil {
		_, err = o.verify(ctx, m, secret.New(text), expected{nonce: nonce, nonceMust: true})
	}
	return err
}

// MapClaims makes a user of claims in JSON, and tells whether the groups stand
// elsewhere.
func MapClaims(c OIDCConfig, text []byte) (identity.User, bool, error) {
	c, err := c.complete()
	if err != nil {
		return identity.User{}, false, err
	}
	claims, err := parseClaims(text)
	if err != nil {
		return identity.User{}, false, err
	}
	groups, _, err := claims.list(c.Claims.Groups)
	if err != nil {
		return identity.User{}, c.overage(claims), err
	}
	user, err := c.user(claims, groups)
	return user, c.overage(claims), err
}

// MapAccount makes a user of four answers of GitHub's API.
func MapAccount(c GitHubConfig, who, addresses, organizations, teams []byte) (identity.User, error) {
	var a account
	var b []address
	var o []organization
	var t []team
	for _, part := range []struct {
		text []byte
		into any
	}{{who, &a}, {addresses, &b}, {organizations, &o}, {teams, &t}} {
		if err := json.Unmarshal(part.text, part.into); err != nil {
			return identity.User{}, err
		}
	}
	c, err := c.complete()
	if err != nil {
		return identity.User{}, err
	}
	return c.user(a, b, o, t)
}
