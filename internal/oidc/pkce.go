// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package oidc

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"

	"github.com/tegata/tegata/internal/secret"
)

// ChallengeS256 is the only code challenge method that is spoken here.
// RFC 7636, section 4.2: "plain" is for those who cannot hash.
const ChallengeS256 = "S256"

// NewCodeVerifier makes the client's secret of one authorization request
// (RFC 7636, section 4.1): 52 characters, 256 bits and more.
func NewCodeVerifier() secret.String { return secret.New(rand.Text() + rand.Text()) }

// CodeChallenge derives what the authorization request shows of a verifier
// (RFC 7636, section 4.2, S256).
func CodeChallenge(verifier secret.String) string {
	sum := sha256.Sum256([]byte(verifier.Reveal()))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// ValidCodeChallenge reports whether the text can be an S256 challenge:
// exactly 32 bytes in base64url without padding.
func ValidCodeChallenge(challenge string) bool {
	sum, err := base64.RawURLEncoding.Strict().DecodeString(challenge)
	// The length too: the decoder passes over line breaks.
	return err == nil && len(sum) == sha256.Size && len(challenge) == 43
}

// ValidCodeVerifier reports whether the text obeys RFC 7636, section 4.1:
// 43 to 128 unreserved characters.
func ValidCodeVerifier(verifier secret.String) bool {
	text := verifier.Reveal()
	if len(text) < 43 || len(text) > 128 {
		return false
	}
	for i := range len(text) {
		switch c := text[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		case c == '-' || c == '.' || c == '_' || c == '~':
		default:
			return false
		}
	}
	return true
}

// MatchCodeChallenge reports whether the verifier belongs to the challenge
// (RFC 7636, section 4.6). The comparison takes equal time.
func MatchCodeChallenge(challenge string, verifier secret.String) bool {
	return ValidCodeVerifier(verifier) &&
		subtle.ConstantTimeCompare([]byte(CodeChallenge(verifier)), []byte(challenge)) == 1
}
