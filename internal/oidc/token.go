// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package oidc

import (
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"strconv"
	"strings"
	"time"

	"github.com/tegata/tegata/internal/secret"
)

// The grant types that have a name in the specifications.
const (
	GrantAuthorizationCode = "authorization_code"
	GrantRefreshToken      = "refresh_token"
	GrantPassword          = "password"
	GrantClientCredentials = "client_credentials"
	GrantDeviceCode        = "urn:ietf:params:oauth:grant-type:device_code"
	GrantTokenExchange     = "urn:ietf:params:oauth:grant-type:token-exchange"
)

// TokenResponse is the token endpoint's answer (RFC 6749, section 5.1;
// OpenID Connect Core 1.0, section 3.1.3.3).
type TokenResponse struct {
	AccessToken  secret.String
	TokenType    string
	ExpiresIn    time.Duration // zero if the provider did not say
	RefreshToken secret.String // absent if none was issued
	IDToken      secret.String // absent in answers to some refresh requests
	Scopes       Scopes

	// IssuedTokenType says what AccessToken is after a token exchange (RFC
	// 8693, section 2.2.1), and is empty otherwise.
	IssuedTokenType string
}

type tokenResponseWire struct {
	AccessToken  string      `json:"access_token"`
	TokenType    string      `json:"token_type"`
	ExpiresIn    json.Number `json:"expires_in,omitempty"`
	RefreshToken string      `json:"refresh_token,omitempty"`
	IDToken      string      `json:"id_token,omitempty"`
	Scope        string      `json:"scope,omitempty"`
	IssuedType   string      `json:"issued_token_type,omitempty"`
}

// Wire returns the answer as it is sent, secrets included.
func (r TokenResponse) Wire() ([]byte, error) {
	wire := tokenResponseWire{
		AccessToken:  r.AccessToken.Reveal(),
		TokenType:    r.TokenType,
		RefreshToken: r.RefreshToken.Reveal(),
		IDToken:      r.IDToken.Reveal(),
		Scope:        r.Scopes.String(),
		IssuedType:   r.IssuedTokenType,
	}
	if r.ExpiresIn > 0 {
		wire.ExpiresIn = json.Number(strconv.FormatInt(int64(r.ExpiresIn/time.Second), 10))
	}
	return json.Marshal(wire)
}

// UnmarshalJSON implements [json.Unmarshaler]. Some providers write
// expires_in as a string; both forms are read.
func (r *TokenResponse) UnmarshalJSON(data []byte) error {
	var wire tokenResponseWire
	if err := json.Unmarshal(data, &wire); err != nil {
		return err
	}
	*r = TokenResponse{
		AccessToken:  secret.New(wire.AccessToken),
		TokenType:    wire.TokenType,
		RefreshToken: secret.New(wire.RefreshToken),
		IDToken:      secret.New(wire.IDToken),
		Scopes:       ParseScopes(wire.Scope),

		IssuedTokenType: wire.IssuedType,
	}
	if seconds, err := wire.ExpiresIn.Float64(); err == nil && seconds > 0 && seconds < 1e9 {
		r.ExpiresIn = time.Duration(seconds * float64(time.Second))
	}
	return nil
}

// AccessTokenHash is the at_hash of an access token beside an ID token that
// is signed with alg: the left half of the hash that alg uses (OpenID Connect
// Core 1.0, section 3.1.3.6). It is empty for an algorithm without one.
func AccessTokenHash(alg string, accessToken secret.String) string {
	token := []byte(accessToken.Reveal())
	var sum []byte
	switch {
	case strings.HasSuffix(alg, "256"):
		full := sha256.Sum256(token)
		sum = full[:]
	case strings.HasSuffix(alg, "384"):
		full := sha512.Sum384(token)
		sum = full[:]
	case strings.HasSuffix(alg, "512"):
		full := sha512.Sum512(token)
		sum = full[:]
	}
	return base64.RawURLEncoding.EncodeToString(sum[:len(sum)/2])
}
