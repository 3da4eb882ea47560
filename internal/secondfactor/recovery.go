// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package secondfactor

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"strings"

	"github.com/tegata/tegata/internal/secret"
)

// recoveryCodes is how many a person gets at a time.
const recoveryCodes = 10

// NewRecoveryCodes makes codes for when the phone is lost, each good once:
// XXXXX-XXXXX-XXXXX of letters and digits that are not mistaken for each
// other, 75 bits of chance.
func NewRecoveryCodes() []secret.String {
	codes := make([]secret.String, recoveryCodes)
	for i := range codes {
		text := rand.Text() // base32: no 0, 1, 8, 9
		codes[i] = secret.New(text[:5] + "-" + text[5:10] + "-" + text[10:15])
	}
	return codes
}

// HashRecoveryCode is what is kept of a code. A fast hash will do for what
// cannot be guessed.
func HashRecoveryCode(code secret.String) string {
	plain := strings.ToUpper(strings.Map(func(r rune) rune {
		if r == '-' || r == ' ' {
			return -1
		}
		return r
	}, code.Reveal()))
	sum := sha256.Sum256([]byte("recovery code " + plain))
	return hex.EncodeToString(sum[:])
}

// FindRecoveryCode returns which of the hashes the code has, or -1. Each is
// looked at, so that the time tells nothing.
func FindRecoveryCode(code secret.String, hashes []string) int {
	given, found := []byte(HashRecoveryCode(code)), -1
	for i, hash := range hashes {
		if subtle.ConstantTimeCompare(given, []byte(hash)) == 1 {
			found = i
		}
	}
	return found
}
