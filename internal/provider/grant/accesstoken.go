// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package grant

import (
	"crypto/rand"
	"strings"

	"github.com/tegata/tegata/internal/oidc"
)

// The types in the headers of tokens, which keep one kind from passing for
// another (RFC 8725, section 3.11).
const (
	TypeAccessToken = "at+jwt" // RFC 9068, section 2.1
	TypeIDToken     = "JWT"
)

// AccessToken is what an access token says (RFC 9068, section 2.2). Its
// audience is the issuer: it opens the userinfo endpoint, and no API server.
type AccessToken struct {
	Issuer       oidc.Issuer      `json:"iss"`
	Audience     oidc.Audience    `json:"aud"`
	Subject      oidc.Subject     `json:"sub"` // the client itself, if it acts for itself
	Client       oidc.ClientID    `json:"client_id"`
	Scope        string           `json:"scope,omitempty"`
	Grant        string           `json:"grant_id,omitempty"` // empty if the client acts for itself
	TokenID      string           `json:"jti"`
	IssuedAt     oidc.NumericDate `json:"iat"`
	Expiry       oidc.NumericDate `json:"exp"`
	AuthTime     oidc.NumericDate `json:"auth_time,omitzero"`
	ACR          string           `json:"acr,omitempty"`
	Methods      []string         `json:"amr,omitempty"`
	Confirmation *Confirmation    `json:"cnf,omitempty"`
}

// Confirmation is who may use a token (RFC 8705, section 3.1): who holds the
// key of the certificate of this thumbprint.
type Confirmation struct {
	Certificate string `json:"x5t#S256"`
}

// NewTokenID makes the jti of a token. It begins with the ID of the grant, if
// there is one, so that a line in the audit log of an API server leads to the
// login.
func NewTokenID(grantID string) string {
	if grantID == "" {
		return strings.ToLower(rand.Text())
	}
	return grantID + "-" + strings.ToLower(rand.Text())[:16]
}

// GrantOf returns the ID of the grant in a jti, or empty.
func GrantOf(tokenID string) string {
	grantID, _, _ := strings.Cut(tokenID, "-")
	if grantID == tokenID {
		return ""
	}
	return grantID
}
