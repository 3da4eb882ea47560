// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package session

import "slices"

// Methods are how an end user proved who they are, by the names of RFC 8176:
// the amr claim.
type Methods []string

// Password is the method of a login page, and of the password grant.
const Password = "pwd"

// ACRPassword is the acr of a login with a password, which came over TLS. An
// acr should be a registered name or a URI (OpenID Connect Core 1.0, section
// 2); this URI means just that, and is known to many.
const ACRPassword = "urn:oasis:names:tc:SAML:2.0:ac:classes:PasswordProtectedTransport"

// ACRs lists every acr that a login can have here.
func ACRs() []string { return []string{ACRPassword} }

// ACR is the authentication context class of the methods, or empty.
func (m Methods) ACR() string {
	if slices.Contains(m, Password) {
		return ACRPassword
	}
	return ""
}
