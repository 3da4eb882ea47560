// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package session

import "slices"

// Methods are how an end user proved who they are, by the names of RFC 8176:
// the amr claim.
//
// A one-time password of an app and a recovery code are otp. A passkey is hwk
// if its key stays in its device and swk if it is synchronized, and user,
// because it has asked for a fingerprint or a PIN.
type Methods []string

// The methods that this package knows.
const (
	Password    = "pwd" // of a login page, and of the password grant
	MultiFactor = "mfa"
)

// The authentication context classes of logins here. An acr should be a
// registered name or a URI (OpenID Connect Core 1.0, section 2); these URIs
// mean just that, and are known to many.
const (
	// ACRPassword is a login with a password, which came over TLS.
	ACRPassword = "urn:oasis:names:tc:SAML:2.0:ac:classes:PasswordProtectedTransport"
	// ACRMultiFactor is a login with two factors of different kinds (the
	// REFEDS multi-factor authentication profile).
	ACRMultiFactor = "https://refeds.org/profile/mfa"
)

// ACRs lists every acr that a login can have here.
func ACRs() []string { return []string{ACRPassword, ACRMultiFactor} }

// ACR is the authentication context class of the methods, or empty.
func (m Methods) ACR() string {
	switch {
	case m.MultiFactor():
		return ACRMultiFactor
	case slices.Contains(m, Password):
		return ACRPassword
	}
	return ""
}

// MultiFactor reports whether two factors of different kinds were proven.
func (m Methods) MultiFactor() bool { return slices.Contains(m, MultiFactor) }

// Raised are the methods with those of a second factor, which is of another
// kind than all that came before.
func (m Methods) Raised(second ...string) Methods {
	raised := slices.Clone(m)
	for _, method := range append(slices.Clone(second), MultiFactor) {
		if !slices.Contains(raised, method) {
			raised = append(raised, method)
		}
	}
	return raised
}
