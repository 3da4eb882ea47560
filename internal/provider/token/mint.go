// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package token

import (
	"cmp"
	"crypto/rand"
	"fmt"
	"time"

	"github.com/tegata/tegata/internal/clientregistry"
	"github.com/tegata/tegata/internal/identity"
	"github.com/tegata/tegata/internal/oidc"
	"github.com/tegata/tegata/internal/secret"
	"github.com/tegata/tegata/internal/signingkey"
)

// The types in the header, which keep the two kinds of token apart (RFC 8725,
// section 3.11; RFC 9068, section 2.1).
const (
	TypeIDToken     = "JWT"
	TypeAccessToken = "at+jwt"
)

// Signer signs claims as a token of the type.
type Signer interface {
	Sign(alg, typ string, claims any) (secret.String, error)
}

// Mint makes the tokens of an issuer.
type Mint struct {
	Issuer              oidc.Issuer
	Signer              Signer
	SigningAlg          string // of ID tokens, unless the client chose its own
	GroupsClaim         string // unless the client has its own
	IDTokenLifetime     time.Duration
	AccessTokenLifetime time.Duration
	Now                 func() time.Time
}

// AccessToken is what an access token says (RFC 9068, section 2.2). Its
// audience is the issuer: it opens the userinfo endpoint, and no API server.
type AccessToken struct {
	Issuer   oidc.Issuer      `json:"iss"`
	Audience oidc.Audience    `json:"aud"`
	Subject  oidc.Subject     `json:"sub"`
	Client   oidc.ClientID    `json:"client_id"`
	Scope    string           `json:"scope"`
	Grant    string           `json:"grant_id"`
	TokenID  string           `json:"jti"`
	IssuedAt oidc.NumericDate `json:"iat"`
	Expiry   oidc.NumericDate `json:"exp"`
	AuthTime oidc.NumericDate `json:"auth_time"`
}

func (m *Mint) tokens(client clientregistry.Client, user identity.User, r redemption) (oidc.TokenResponse, error) {
	now := m.Now()
	// Only we read the access token, so it has the cheap signature.
	accessToken, err := m.Signer.Sign(signingkey.ES256, TypeAccessToken, AccessToken{
		Issuer:   m.Issuer,
		Audience: oidc.Audience{string(m.Issuer)},
		Subject:  user.Subject,
		Client:   client.ID,
		Scope:    r.scopes.String(),
		Grant:    r.grant.ID,
		TokenID:  rand.Text(),
		IssuedAt: oidc.Date(now),
		Expiry:   oidc.Date(now.Add(m.AccessTokenLifetime)),
		AuthTime: oidc.Date(r.grant.AuthTime),
	})
	if err != nil {
		return oidc.TokenResponse{}, fmt.Errorf("minting the access token: %w", err)
	}
	alg := cmp.Or(client.SigningAlg, m.SigningAlg)
	idToken, err := m.Signer.Sign(alg, TypeIDToken, oidc.Claims{
		Issuer:          m.Issuer,
		Subject:         user.Subject,
		Audience:        oidc.Audience{string(client.ID)},
		Expiry:          oidc.Date(now.Add(m.IDTokenLifetime)),
		IssuedAt:        oidc.Date(now),
		AuthTime:        oidc.Date(r.grant.AuthTime),
		Nonce:           r.nonce,
		AccessTokenHash: oidc.AccessTokenHash(alg, accessToken),
		TokenID:         rand.Text(),
		SessionID:       r.grant.SessionID,
		// What the client may get at all, whether it asked for the scope or
		// not: API servers read ID tokens and nothing else, and kubeconfigs
		// rarely name scopes.
		Other: user.Claims(client.AllowedScopes(), cmp.Or(client.GroupsClaim, m.GroupsClaim)),
	})
	if err != nil {
		return oidc.TokenResponse{}, fmt.Errorf("minting the ID token: %w", err)
	}
	return oidc.TokenResponse{
		AccessToken: accessToken,
		TokenType:   "Bearer",
		ExpiresIn:   m.AccessTokenLifetime,
		IDToken:     idToken,
		Scopes:      r.scopes,
	}, nil
}
