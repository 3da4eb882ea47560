// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

// Package oidc holds what a client and a provider say to each other in
// OpenID Connect Core 1.0 and OAuth 2.0 (RFC 6749): provider metadata,
// claims, token responses, errors, scopes and PKCE.
//
// It is a leaf: values and their wire forms, no network, no keys, no policy.
// Both sides of a login import it, so what one writes the other reads.
package oidc

import "strings"

// Issuer is the URL in iss: it names one provider, with its own keys, clients
// and end users. Two issuers are the same only if they are equal byte by byte
// (OpenID Connect Discovery 1.0, section 4.3).
type Issuer string

// ClientID names a client at one issuer (RFC 6749, section 2.2).
type ClientID string

// Subject is the stable identifier of an end user at one issuer, never
// assigned to somebody else (OpenID Connect Core 1.0, section 2).
type Subject string

// ConfigurationURL is where the metadata of an issuer lies
// (OpenID Connect Discovery 1.0, section 4.1).
func (i Issuer) ConfigurationURL() string {
	return strings.TrimSuffix(string(i), "/") + "/.well-known/openid-configuration"
}
