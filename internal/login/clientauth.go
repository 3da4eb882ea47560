// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package login

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"net/url"
	"time"

	"github.com/tegata/tegata/internal/jws"
	"github.com/tegata/tegata/internal/oidc"
	"github.com/tegata/tegata/internal/secret"
)

// How a client shows who it is (OpenID Connect Core 1.0, section 9).
const (
	clientSecretBasic = "client_secret_basic"
	clientSecretPost  = "client_secret_post"
	privateKeyJWT     = "private_key_jwt"
)

// assertionType names a JWT as a client's proof (RFC 7523, section 2.2).
const assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

// assertionLifetime is how long a proof is good. It is made for one request.
const assertionLifetime = time.Minute

// clientSecret is the secret of a confidential client; absent without one.
func (c *Client) clientSecret(ctx context.Context) (secret.String, error) {
	if c.ClientSecret.IsZero() && c.ReadClientSecret != nil {
		var err error
		if c.ClientSecret, err = c.ReadClientSecret(ctx); err != nil {
			return secret.String{}, err
		}
	}
	return c.ClientSecret, nil
}

// AssertionKey signs a client's proofs of who it is.
type AssertionKey struct{ key *jws.PrivateKey }

// ReadAssertionKey reads a private key, in PEM or as a JWK. A JWK brings its
// key ID along, which some providers ask for.
func ReadAssertionKey(text []byte) (*AssertionKey, error) {
	key, err := jws.ParsePrivateKey(text)
	if err != nil {
		return nil, err
	}
	return &AssertionKey{key}, nil
}

// assert adds a proof for one request to its form (RFC 7523, section 3).
func (c *Client) assert(form url.Values, endpoint string) error {
	now := c.now()
	claims, err := json.Marshal(map[string]any{
		"iss": c.ClientID, "sub": c.ClientID, "aud": endpoint, "jti": rand.Text(),
		"iat": oidc.Date(now), "exp": oidc.Date(now.Add(assertionLifetime)),
	})
	if err != nil {
		return err
	}
	proof, err := c.AssertionKey.key.Sign("JWT", claims)
	if err != nil {
		return err
	}
	form.Set("client_assertion_type", assertionType)
	form.Set("client_assertion", proof)
	return nil
}
