// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package login

import (
	"context"
	"encoding/json"
	"time"

	"github.com/tegata/tegata/internal/jws"
	"github.com/tegata/tegata/internal/oidc"
	"github.com/tegata/tegata/internal/secret"
)

// leeway is how far the clocks of the provider and of this machine may be
// apart (RFC 7519, section 4.1.4: "usually no more than a few minutes").
const leeway = time.Minute

// Expected is what an ID token must say beside the issuer and the client.
type Expected struct {
	Nonce       string        // of the authorization request; empty after a refresh
	Subject     oidc.Subject  // who logged in at first; empty at a first login
	AccessToken secret.String // that came with it
}

// Verify checks an ID token (OpenID Connect Core 1.0, sections 3.1.3.7 and
// 12.2) and returns its claims.
func (c *Client) Verify(ctx context.Context, idToken secret.String, expected Expected) (oidc.Claims, error) {
	// 1. The signature, under the provider's keys.
	signed, err := jws.Parse(idToken.Reveal())
	if err != nil {
		return oidc.Claims{}, problem(BadIDToken, "the ID token is of no use: %s", plain(err.Error()))
	}
	payload, err := c.signedPayload(ctx, signed)
	if err != nil {
		return oidc.Claims{}, err
	}
	var claims oidc.Claims
	if err := json.Unmarshal(payload, &claims); err != nil {
		return oidc.Claims{}, problem(BadIDToken, "the claims of the ID token cannot be read: %s", plain(err.Error()))
	}
	return claims, c.check(claims, signed.Algorithm, expected)
}

// signedPayload returns the payload if one of the provider's keys signed it.
// The keys are fetched again, once, if none of the known ones did: the
// provider may have rotated them.
func (c *Client) signedPayload(ctx context.Context, signed jws.Signed) ([]byte, error) {
	if err := c.haveKeys(ctx); err != nil {
		return nil, err
	}
	for {
		keys := c.keys(signed)
		for _, key := range keys {
			if payload, err := signed.Verify(key); err == nil {
				return payload, nil
			}
		}
		switch {
		case !c.known.keysFresh:
			if err := c.fetchKeys(ctx); err != nil {
				return nil, err
			}
		case len(keys) == 0:
			return nil, problem(BadIDToken, "the ID token is signed with the key %q, which is not in the provider's key set", plain(signed.KeyID))
		default:
			return nil, problem(BadIDToken, "the signature of the ID token is wrong")
		}
	}
}

// check applies the rules of OpenID Connect Core 1.0, section 3.1.3.7.
func (c *Client) check(claims oidc.Claims, algorithm string, expected Expected) error {
	now := c.now()
	bad := func(format string, args ...any) error { return problem(BadIDToken, format, args...) }
	skew := func(format string, args ...any) error { return problem(ClockSkew, format, args...) }
	at := func(t time.Time) string { return t.UTC().Format(time.RFC3339) }
	switch {
	case claims.Issuer != c.Issuer: // rule 2
		return bad("the ID token is from %q, not from %q", plain(string(claims.Issuer)), c.Issuer)
	case !claims.Audience.Has(c.ClientID): // rule 3
		return bad("the ID token is for %q, not for the client %q", claims.Audience, c.ClientID)
	case claims.AuthorizedParty != "" && claims.AuthorizedParty != c.ClientID: // rule 5
		return bad("the ID token was issued to %q, not to the client %q", plain(string(claims.AuthorizedParty)), c.ClientID)
	case claims.Subject == "": // section 2
		return bad("the ID token has no subject")
	case claims.Expiry.IsZero(): // section 2
		return bad("the ID token has no expiry")
	case now.After(claims.Expiry.Add(leeway)): // rule 9
		return skew("the ID token expired at %s, before it arrived; it is %s here", at(claims.Expiry.Time), at(now))
	case claims.IssuedAt.After(now.Add(leeway)): // rule 10
		return skew("the ID token was issued at %s, but it is only %s here", at(claims.IssuedAt.Time), at(now))
	case claims.NotBefore.After(now.Add(leeway)): // RFC 7519, section 4.1.5
		return skew("the ID token is not valid before %s, but it is only %s here", at(claims.NotBefore.Time), at(now))
	case expected.Nonce != "" && claims.Nonce != expected.Nonce: // rule 11
		return bad("the ID token answers another login: its nonce is not ours")
	case expected.Subject != "" && claims.Subject != expected.Subject: // section 12.2
		return problem(SubjectChanged, "the provider renewed the tokens of another end user (subject %q, not %q)", plain(string(claims.Subject)), expected.Subject)
	}
	// Section 3.1.3.8: optional in this flow, binding when it is there.
	if claims.AccessTokenHash != "" && !expected.AccessToken.IsZero() &&
		claims.AccessTokenHash != oidc.AccessTokenHash(algorithm, expected.AccessToken) {
		return bad("the ID token does not belong to the access token beside it")
	}
	return nil
}
