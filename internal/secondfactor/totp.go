// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package secondfactor

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha1" //nolint:gosec // RFC 6238's default, and all that most apps know; HMAC does not need collisions to be hard
	"crypto/subtle"
	"encoding/base32"
	"encoding/binary"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/tegata/tegata/internal/secret"
)

const (
	step   = 30 * time.Second
	digits = 6
	// drift is how many steps the clock of a phone may be off, each way (RFC
	// 6238, section 5.2).
	drift = 1
	// keySize is that of the hash (RFC 4226, section 4, R6).
	keySize = sha1.Size
)

var encoding = base32.StdEncoding.WithPadding(base32.NoPadding)

// TOTP is the key that an app and the provider share.
type TOTP struct{ key secret.String }

// NewTOTP makes a key.
func NewTOTP() TOTP {
	key := make([]byte, keySize)
	rand.Read(key) // never fails
	return TOTP{secret.New(string(key))}
}

// ParseTOTP reads a key as Text writes it. Spaces, hyphens and lower case,
// which people type, are understood.
func ParseTOTP(text secret.String) (TOTP, error) {
	plain := strings.ToUpper(strings.NewReplacer(" ", "", "-", "").Replace(strings.TrimRight(text.Reveal(), "=")))
	key, err := encoding.DecodeString(plain)
	if err != nil || len(key) < 16 { // RFC 4226, section 4, R6: 128 bits
		return TOTP{}, errors.New("the key is not base32 of at least 16 bytes")
	}
	return TOTP{secret.New(string(key))}, nil
}

// Text is the key in base32, for whoever cannot scan the code.
func (t TOTP) Text() secret.String {
	return secret.New(encoding.EncodeToString([]byte(t.key.Reveal())))
}

// URI is what the code holds that an app scans: the key under the names of
// the issuer and of the account.
func (t TOTP) URI(issuer, account string) secret.String {
	// Apps differ in what they make of "+", so spaces are written as %20.
	escape := func(text string) string { return strings.ReplaceAll(url.QueryEscape(text), "+", "%20") }
	label := escape(strings.ReplaceAll(issuer, ":", " ")) + ":" + escape(account)
	query := "secret=" + t.Text().Reveal() + "&issuer=" + escape(issuer) + fmt.Sprintf("&algorithm=SHA1&digits=%d&period=%d", digits, int(step.Seconds()))
	return secret.New("otpauth://totp/" + label + "?" + query)
}

// Check reports whether the code is right at this time, and its step. A code
// is good once: last is the step of the one that was accepted before (RFC
// 6238, section 5.2), and the new step is to be kept in the same write that
// lets the person in.
func (t TOTP) Check(code secret.String, now time.Time, last int64) (accepted int64, ok bool) {
	given := []byte(strings.ReplaceAll(strings.TrimSpace(code.Reveal()), " ", ""))
	current := now.Unix() / int64(step.Seconds())
	// Each is looked at, so that the time tells nothing.
	for at := current - drift; at <= current+drift; at++ {
		if subtle.ConstantTimeCompare(given, []byte(t.at(at))) == 1 && at > last {
			accepted, ok = at, true
		}
	}
	return accepted, ok
}

// Code is the one-time password at a time, as an app shows it.
func (t TOTP) Code(now time.Time) secret.String {
	return secret.New(t.at(now.Unix() / int64(step.Seconds())))
}

// at is the one-time password of a step (RFC 4226, section 5.3).
func (t TOTP) at(counter int64) string {
	mac := hmac.New(sha1.New, []byte(t.key.Reveal()))
	mac.Write(binary.BigEndian.AppendUint64(nil, uint64(counter))) //nolint:gosec // the bits are what counts
	sum := mac.Sum(nil)
	offset := sum[len(sum)-1] & 0xf
	value := binary.BigEndian.Uint32(sum[offset:]) & 0x7fffffff
	return fmt.Sprintf("%0*d", digits, value%1_000_000)
}
