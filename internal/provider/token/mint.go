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
	"github.com/tegata/tegata/internal/provider/grant"
	"github.com/tegata/tegata/internal/secret"
	"github.com/tegata/tegata/internal/signingkey"
)

// typeIDToken is the type in the header of an ID token. Access tokens have
// another, so that neither passes for the other (RFC 8725, section 3.11).
const typeIDToken = "JWT"

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

// tokens makes the tokens of one answer. tokenID is the jti of the ID token,
// which API servers write into their audit logs.
func (m *Mint) tokens(client clientregistry.Client, user identity.User, r redemption) (response oidc.TokenResponse, tokenID string, err error) {
	now := m.Now()
	// Only we read the access token, so it has the cheap signature.
	accessToken, err := m.Signer.Sign(signingkey.ES256, grant.TypeAccessToken, grant.AccessToken{
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
		return oidc.TokenResponse{}, "", fmt.Errorf("minting the access token: %w", err)
	}
	tokenID = rand.Text()
	alg := cmp.Or(client.SigningAlg, m.SigningAlg)
	idToken, err := m.Signer.Sign(alg, typeIDToken, oidc.Claims{
		Issuer:          m.Issuer,
		Subject:         user.Subject,
		Audience:        oidc.Audience{string(client.ID)},
		Expiry:          oidc.Date(now.Add(m.IDTokenLifetime)),
		IssuedAt:        oidc.Date(now),
		AuthTime:        oidc.Date(r.grant.AuthTime),
		Nonce:           r.nonce,
		AccessTokenHash: oidc.AccessTokenHash(alg, accessToken),
		TokenID:         tokenID,
		SessionID:       r.grant.SessionID,
		// What the client may get at all, whether it asked for the scope or
		// not: API servers read ID tokens and nothing else, and kubeconfigs
		// rarely name scopes.
		Other: user.Claims(client.AllowedScopes(), cmp.Or(client.GroupsClaim, m.GroupsClaim)),
	})
	if err != nil {
		return oidc.TokenResponse{}, "", fmt.Errorf("minting the ID token: %w", err)
	}
	return oidc.TokenResponse{
		AccessToken: accessToken,
		TokenType:   "Bearer",
		ExpiresIn:   m.AccessTokenLifetime,
		IDToken:     idToken,
		Scopes:      r.scopes,
	}, tokenID, nil
}
