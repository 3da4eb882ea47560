// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

// Package grant is what an end user gave a client on one device, and the
// codes and tokens that stand for it.
//
//	login ──► grant ──code──► first refresh token ──► second ──► …
//
// Every login makes a grant of its own, so a second laptop never logs out the
// first. The grant's row holds the hash of its one code and the number of its
// current refresh token; no token is stored in any form (docs/adr/0006).
// The endpoints authorize, token and userinfo use this package.
package grant

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/tegata/tegata/internal/oidc"
	"github.com/tegata/tegata/internal/provider/session"
	"github.com/tegata/tegata/internal/seal"
	"github.com/tegata/tegata/internal/secret"
)

// Grant is one login of an end user at a client.
type Grant struct {
	ID        string
	Client    oidc.ClientID
	Subject   oidc.Subject
	Scopes    oidc.Scopes // what was granted
	Claims    []string    // asked of the userinfo endpoint by name, beside the scopes'
	SessionID string      // the browser session's sid
	AuthTime  time.Time   // when the end user last proved who they are
	Methods   session.Methods
	Device    session.Device // at the login
	CreatedAt time.Time
	ExpiresAt time.Time // no refresh token works after this
	EndedAt   time.Time // zero while the grant lives

	// The authorization request that the code answers (RFC 6749, section
	// 4.1.3; RFC 7636, section 4.4).
	RedirectURI   string
	CodeChallenge string // empty only for a confidential client that sent none
	Nonce         string
	CodeHash      string // as HashCode makes it
	CodeExpiresAt time.Time
	RedeemedAt    time.Time // zero until the code is exchanged

	// The refresh token family (RFC 9700, section 4.14.2).
	Generation int       // the number of the newest refresh token
	RotatedAt  time.Time // when it became the newest: the last use
}

// The failures on which the token endpoint decides something.
var (
	ErrNotFound = errors.New("no such grant")
	// ErrCodeUsed means that the code was exchanged before.
	ErrCodeUsed = errors.New("the code was used before")
	// ErrSuperseded means that another request rotated the refresh token in
	// the meantime.
	ErrSuperseded = errors.New("the refresh token was rotated by another request")
)

// Filter says which grants are meant: those to which all that is set applies.
type Filter struct {
	Subject oidc.Subject
	Client  oidc.ClientID
}

// Live reports whether tokens of the grant still work.
func (g Grant) Live(now time.Time) bool { return g.EndedAt.IsZero() && now.Before(g.ExpiresAt) }

// NewID makes the ID of a grant. It is no secret.
func NewID() string { return strings.ToLower(rand.Text()) }

// NewCode makes an authorization code of the grant: its ID and 130 bits of
// chance (RFC 6749, section 10.10).
func NewCode(grantID string) secret.String { return secret.New(grantID + "." + rand.Text()) }

// CodeGrant returns the ID of the grant whose code this claims to be.
func CodeGrant(code secret.String) (grantID string, ok bool) {
	id, rest, ok := strings.Cut(code.Reveal(), ".")
	return id, ok && id != "" && rest != ""
}

// HashCode is what is kept of a code.
func HashCode(code secret.String) string {
	sum := sha256.Sum256([]byte(code.Reveal()))
	return hex.EncodeToString(sum[:])
}

// RefreshTokens makes and recognizes the refresh tokens of an issuer. A token
// is the grant's ID, its number in the family, and a MAC over both, so it can
// be computed again but not guessed.
type RefreshTokens struct{ Key seal.Key }

// Token is the refresh token number generation of the grant.
func (t RefreshTokens) Token(grantID string, generation int) secret.String {
	number := strconv.Itoa(generation)
	mac := base64.RawURLEncoding.EncodeToString(t.Key.MAC("refresh token", grantID, number))
	return secret.New(grantID + "." + number + "." + mac)
}

// Read takes a refresh token apart. ok means that this issuer made it, at
// some time, for that grant; whether it still is the newest says the grant.
func (t RefreshTokens) Read(token secret.String) (grantID string, generation int, ok bool) {
	grantID, rest, _ := strings.Cut(token.Reveal(), ".")
	number, _, _ := strings.Cut(rest, ".")
	generation, err := strconv.Atoi(number)
	if err != nil || generation < 1 {
		return "", 0, false
	}
	want := t.Token(grantID, generation).Reveal()
	return grantID, generation, hmac.Equal([]byte(want), []byte(token.Reveal()))
}
