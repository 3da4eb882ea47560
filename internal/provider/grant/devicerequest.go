// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package grant

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"strings"
	"time"

	"github.com/tegata/tegata/internal/oidc"
	"github.com/tegata/tegata/internal/provider/session"
	"github.com/tegata/tegata/internal/seal"
	"github.com/tegata/tegata/internal/secret"
)

// DeviceRequest is a device that waits until its end user, at another one,
// lets it in (RFC 8628). Neither of its two codes is kept.
type DeviceRequest struct {
	ID            string
	Client        oidc.ClientID
	Scopes        oidc.Scopes
	CodeHash      string // as HashCode makes it
	UserCodeHash  string // as UserCodes.Hash makes it
	CodeChallenge string // RFC 7636; may be empty
	From          session.Device
	CreatedAt     time.Time
	ExpiresAt     time.Time
	DecidedAt     time.Time // zero while nobody has decided
	Grant         string    // what it was given; empty while there is nothing, or it was refused
}

// Waits reports whether somebody may still decide.
func (d DeviceRequest) Waits(now time.Time) bool {
	return d.DecidedAt.IsZero() && now.Before(d.ExpiresAt)
}

// The failures of which an endpoint tells the client or the person.
var (
	// ErrTooMany means that too many devices of a client wait.
	ErrTooMany = errors.New("too many devices wait")
	// ErrTaken means that another device waits with the same user code.
	ErrTaken = errors.New("the user code is taken")
	// ErrDecided means that somebody has decided already, or that it is too
	// late.
	ErrDecided = errors.New("the device does not wait any more")
)

// NewDeviceCode makes a device code: 260 bits of chance. It has no period, so
// it is no authorization code.
func NewDeviceCode() secret.String { return secret.New(rand.Text() + rand.Text()) }

// UserCodes makes and recognizes the codes that people type (RFC 8628,
// section 6.1). They are short, so what is kept of one is a MAC and not a
// hash that could be tried out.
type UserCodes struct{ Key seal.Key }

// userCodeLetters has no vowels, so that no word comes about, and nothing that
// looks like something else: 20 letters, 34 bits in eight of them.
const (
	userCodeLetters = "BCDFGHJKLMNPQRSTVWXZ"
	userCodeLength  = 8
)

// New makes a user code: XXXX-XXXX.
func (UserCodes) New() string {
	var code strings.Builder
	for code.Len() < userCodeLength {
		var chance [16]byte
		rand.Read(chance[:])
		for _, b := range chance {
			// 240 is a multiple of 20: each letter is as likely.
			if b < 240 && code.Len() < userCodeLength {
				code.WriteByte(userCodeLetters[int(b)%len(userCodeLetters)])
			}
		}
	}
	return showUserCode(code.String())
}

func showUserCode(letters string) string { return letters[:4] + "-" + letters[4:] }

// Read takes what a person typed for a user code, in any case and with any
// punctuation, and returns it as it is shown. ok is false for what cannot be
// one.
func (UserCodes) Read(typed string) (code string, ok bool) {
	if len(typed) > 64 {
		return "", false
	}
	letters := strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z':
			return r - 'a' + 'A'
		case r == ' ' || r == '-' || r == '\t' || r == '.' || r == '_':
			return -1
		}
		return r
	}, typed)
	if len(letters) != userCodeLength || strings.Trim(letters, userCodeLetters) != "" {
		return "", false
	}
	return showUserCode(letters), true
}

// Hash is what is kept of a user code.
func (c UserCodes) Hash(code string) string {
	return base64.RawURLEncoding.EncodeToString(c.Key.MAC("user code", code))
}
