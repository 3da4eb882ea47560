// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package token

import (
	"github.com/tegata/tegata/internal/oidc"
	"github.com/tegata/tegata/internal/secret"
)

// checkCodeVerifier is the second half of PKCE (RFC 7636, section 4.6; the
// first half is in package authorize). A verifier without a challenge is
// refused too: somebody took the challenge out (RFC 9700, section 4.8.2).
func checkCodeVerifier(challenge string, verifier secret.String) error {
	switch {
	case challenge == "" && verifier.IsZero():
		return nil
	case challenge == "":
		return invalidGrant("code_verifier was sent, but the authorization request had no code_challenge")
	case verifier.IsZero():
		return invalidGrant("code_verifier is missing (PKCE, RFC 7636)")
	case !oidc.MatchCodeChallenge(challenge, verifier):
		return invalidGrant("code_verifier does not match the code_challenge")
	}
	return nil
}
