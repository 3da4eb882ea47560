// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package token

import (
	"cmp"
	"fmt"
	"time"

	"github.com/tegata/tegata/internal/clientregistry"
	"github.com/tegata/tegata/internal/identity"
	"github.com/tegata/tegata/internal/oidc"
	"github.com/tegata/tegata/internal/provider/grant"
	"github.com/tegata/tegata/internal/secret"
	"github.com/tegata/tegata/internal/signingkey"
)

// Signer signs claims as a token of the type.
type Signer interface {
	Sign(alg, typ string, claims any) (secret.String, error)
}

// Mint makes the tokens of an issuer.
type Mint struct {
	Issuer              oidc.Issuer
	Signer              Signer
	SigningAlg          string        // of ID tokens, unless the client chose its own
	IDTokenLifetime     time.Duration // unless the client has its own, as below
	AccessTokenLifetime time.Duration
	Now                 func() time.Time
}

// tokens makes the tokens of one answer. told is what the ID token says of
// the user; nil means that there is none. tokenID is the jti that the log
// names: of the ID token, which API servers write into their audit logs, or
// else of the access token.
func (m *Mint) tokens(r request, o offer, user identity.User, told map[string]any) (response oidc.TokenResponse, tokenID string, err error) {
	now := m.Now()
	if o.narrowed != nil {
		return m.narrowed(r, o, user, told, now)
	}

	// Step 1: the access token. Only we read it, so it has the cheap signature
	// unless the client wants another.
	lifetime := cmp.Or(r.client.Lifetimes.AccessToken, m.AccessTokenLifetime)
	access := grant.AccessToken{
		Issuer:   m.Issuer,
		Audience: oidc.Audience{string(m.Issuer)},
		Subject:  user.Subject,
		Client:   r.client.ID,
		Scope:    o.scopes.String(),
		Grant:    o.grant.ID,
		TokenID:  grant.NewTokenID(o.grant.ID),
		IssuedAt: oidc.Date(now),
		Expiry:   oidc.Date(now.Add(lifetime)),
		AuthTime: oidc.Date(o.grant.AuthTime),
		ACR:      o.grant.Methods.ACR(),
		Methods:  o.grant.Methods,
	}
	if r.client.CertificateBound() {
		access.Confirmation = &grant.Confirmation{Certificate: clientregistry.CertificateThumbprint(r.Request)}
	}
	accessToken, err := m.Signer.Sign(cmp.Or(r.client.AccessTokenAlg, signingkey.ES256), grant.TypeAccessToken, access)
	if err != nil {
		return oidc.TokenResponse{}, "", fmt.Errorf("minting the access token: %w", err)
	}
	response = oidc.TokenResponse{AccessToken: accessToken, TokenType: "Bearer", ExpiresIn: lifetime, Scopes: o.scopes}
	if told == nil {
		return response, access.TokenID, nil
	}

	// Step 2: the ID token.
	idToken := m.idToken(r.client, o, user, told, now)
	idToken.Nonce = o.nonce
	idToken.AccessTokenHash = oidc.AccessTokenHash(m.alg(r.client), accessToken)
	response.IDToken, err = m.sign(r.client, idToken)
	return response, idToken.TokenID, err
}

// narrowed makes the answer to a token exchange (RFC 8693, section 2.2): one
// ID token, for one audience. It comes as access_token, whatever it is.
func (m *Mint) narrowed(r request, o offer, user identity.User, told map[string]any, now time.Time) (oidc.TokenResponse, string, error) {
	idToken := m.idToken(o.narrowed.like, o, user, told, now)
	idToken.Audience = oidc.Audience{o.narrowed.audience}
	idToken.AuthorizedParty = r.client.ID // OpenID Connect Core 1.0, section 2
	if idToken.Expiry.After(o.narrowed.until) {
		idToken.Expiry = oidc.Date(o.narrowed.until)
	}
	signed, err := m.sign(o.narrowed.like, idToken)
	return oidc.TokenResponse{
		AccessToken:     signed,
		IssuedTokenType: tokenTypeID,
		TokenType:       "N_A", // section 2.2.1: it is no access token
		ExpiresIn:       idToken.Expiry.Sub(now),
		Scopes:          o.scopes,
	}, idToken.TokenID, err
}

func (m *Mint) idToken(client clientregistry.Client, o offer, user identity.User, told map[string]any, now time.Time) oidc.Claims {
	return oidc.Claims{
		Issuer:    m.Issuer,
		Subject:   user.Subject,
		Audience:  oidc.Audience{string(client.ID)},
		Expiry:    oidc.Date(now.Add(cmp.Or(client.Lifetimes.IDToken, m.IDTokenLifetime))),
		IssuedAt:  oidc.Date(now),
		AuthTime:  oidc.Date(o.grant.AuthTime),
		ACR:       o.grant.Methods.ACR(),
		Methods:   o.grant.Methods,
		TokenID:   grant.NewTokenID(o.grant.ID),
		SessionID: o.grant.SessionID,
		Other:     told,
	}
}

// grantLifetime is how long a grant lasts whose first tokens are made here.
// Without a refresh token it ends with them.
func (m *Mint) grantLifetime(client clientregistry.Client, lifetime time.Duration) time.Duration {
	if client.AllowsGrant(oidc.GrantRefreshToken) {
		return cmp.Or(client.Lifetimes.RefreshAbsolute, lifetime)
	}
	return max(cmp.Or(client.Lifetimes.AccessToken, m.AccessTokenLifetime), cmp.Or(client.Lifetimes.IDToken, m.IDTokenLifetime))
}

func (m *Mint) alg(client clientregistry.Client) string {
	return cmp.Or(client.SigningAlg, m.SigningAlg)
}

func (m *Mint) sign(client clientregistry.Client, claims oidc.Claims) (secret.String, error) {
	signed, err := m.Signer.Sign(m.alg(client), grant.TypeIDToken, claims)
	if err != nil {
		return secret.String{}, fmt.Errorf("minting the ID token: %w", err)
	}
	return signed, nil
}
