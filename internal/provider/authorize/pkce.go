// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package authorize

import (
	"github.com/tegata/tegata/internal/clientregistry"
	"github.com/tegata/tegata/internal/oidc"
)

// checkCodeChallenge is the first half of PKCE (RFC 7636, section 4.4.1; the
// second half is in package token): a public client must send an S256
// challenge; a client with a secret may. "plain" is refused, and so is a
// challenge without a method, which would mean plain.
func checkCodeChallenge(client clientregistry.Client, challenge, method string) error {
	switch {
	case challenge == "" && method == "" && !client.Public():
		return nil
	case challenge == "":
		return invalid("code_challenge is required (PKCE, RFC 7636)")
	case method != oidc.ChallengeS256:
		return invalid("code_challenge_method must be S256")
	case !oidc.ValidCodeChallenge(challenge):
		return invalid("code_challenge is not 32 bytes in base64url")
	}
	return nil
}
