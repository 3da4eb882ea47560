// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package grant

import "github.com/tegata/tegata/internal/oidc"

// TypeAccessToken is the type in the header of an access token (RFC 9068,
// section 2.1).
const TypeAccessToken = "at+jwt"

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
