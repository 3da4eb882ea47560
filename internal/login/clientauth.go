// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package login

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"net/url"
	"time"

	"github.com/go-jose/go-jose/v4"

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
type AssertionKey struct{ key jose.SigningKey }

// ReadAssertionKey reads a private key, in PEM or as a JWK. A JWK brings its
// key ID along, which some providers ask for.
func ReadAssertionKey(text []byte) (*AssertionKey, error) {
	jwk := jose.JSONWebKey{}
	if bytes.HasPrefix(bytes.TrimSpace(text), []byte("{")) {
		// Its own words are not repeated: they may hold the key.
		if jwk.UnmarshalJSON(text) != nil || !jwk.Valid() || jwk.IsPublic() {
			return nil, errors.New("it holds no private key in the form of a JWK")
		}
	} else {
		block, _ := pem.Decode(text)
		if block == nil {
			return nil, errors.New("it holds neither PEM nor a JWK")
		}
		if key, err := x509.ParsePKCS8PrivateKey(block.Bytes); err == nil {
			jwk.Key = key
		} else if key, err := x509.ParsePKCS1PrivateKey(block.Bytes); err == nil {
			jwk.Key = key
		} else if key, err := x509.ParseECPrivateKey(block.Bytes); err == nil {
			jwk.Key = key
		} else {
			return nil, errors.New("it holds no private key that can be read; one with a passphrase cannot")
		}
	}
	switch key := jwk.Key.(type) {
	case *rsa.PrivateKey:
		// RFC 7518, section 3.3: 2048 bits or more.
		if key.N.BitLen() >= 2048 {
			return &AssertionKey{jose.SigningKey{Algorithm: jose.RS256, Key: jwk}}, nil
		}
	case *ecdsa.PrivateKey:
		if key.Curve == elliptic.P256() {
			return &AssertionKey{jose.SigningKey{Algorithm: jose.ES256, Key: jwk}}, nil
		}
	}
	return nil, errors.New("it is neither RSA of at least 2048 bits nor ECDSA on P-256")
}

// assert adds a proof for one request to its form (RFC 7523, section 3).
func (c *Client) assert(form url.Values, endpoint string) error {
	signer, err := jose.NewSigner(c.AssertionKey.key, (&jose.SignerOptions{}).WithType("JWT"))
	if err != nil {
		return err
	}
	now := c.now()
	claims, err := json.Marshal(map[string]any{
		"iss": c.ClientID, "sub": c.ClientID, "aud": endpoint, "jti": rand.Text(),
		"iat": oidc.Date(now), "exp": oidc.Date(now.Add(assertionLifetime)),
	})
	if err != nil {
		return err
	}
	signed, err := signer.Sign(claims)
	if err != nil {
		return err
	}
	proof, err := signed.CompactSerialize()
	if err != nil {
		return err
	}
	form.Set("client_assertion_type", assertionType)
	form.Set("client_assertion", proof)
	return nil
}
