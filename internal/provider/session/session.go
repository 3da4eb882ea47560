// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

// Package session is the browser session of an end user at the provider: the
// cookie that saves typing the password again for the next client.
//
// A session begins when a credential was accepted, never before, and gets a
// new secret at every login, so that none can be planted (session fixation).
// The endpoint authorize uses this package.
package session

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/tegata/tegata/internal/identity"
	"github.com/tegata/tegata/internal/oidc"
)

// Session is one browser in which an end user logged in.
type Session struct {
	ID         string // the sid claim; no secret
	SecretHash string // SHA-256 of the cookie's value
	Subject    oidc.Subject
	Epoch      int64     // of the user, as it was when the password was checked
	AuthTime   time.Time // when the password was last given
	ExpiresAt  time.Time
}

var (
	// ErrNotFound means that there is no such session, or no longer.
	ErrNotFound = errors.New("no such session")
	// ErrOvertaken means that all logins of the user were ended while this
	// one was under way: another password was set, or the user was disabled.
	ErrOvertaken = errors.New("all logins of the user were ended in the meantime")
)

// Storage keeps the sessions of one issuer.
type Storage interface {
	// AddSession returns ErrOvertaken if the user is not of that epoch any
	// more, or may not log in.
	AddSession(ctx context.Context, s Session) error
	// SessionBySecretHash returns ErrNotFound if there is none.
	SessionBySecretHash(ctx context.Context, hash string) (Session, error)
	EndSession(ctx context.Context, id string) error
}

// Sessions begins, finds and ends the sessions of one issuer.
type Sessions struct {
	Storage  Storage
	Cookie   string        // the cookie's name; with the prefix __Host-
	Lifetime time.Duration // from the login on, used or not
	Now      func() time.Time
}

// Begin starts a session for the user and gives its secret to the browser.
// A session that the browser already had is ended.
func (s *Sessions) Begin(ctx context.Context, w http.ResponseWriter, r *http.Request, user identity.User) (Session, error) {
	if err := s.End(ctx, w, r); err != nil {
		return Session{}, err
	}
	value, now := rand.Text()+rand.Text(), s.Now()
	begun := Session{
		ID:         strings.ToLower(rand.Text()),
		SecretHash: hash(value),
		Subject:    user.Subject,
		Epoch:      user.Epoch,
		AuthTime:   now,
		ExpiresAt:  now.Add(s.Lifetime),
	}
	if err := s.Storage.AddSession(ctx, begun); err != nil {
		return Session{}, fmt.Errorf("keeping the session: %w", err)
	}
	http.SetCookie(w, s.cookie(value, int(s.Lifetime/time.Second)))
	return begun, nil
}

// Find returns the live session of the browser, or ErrNotFound.
func (s *Sessions) Find(ctx context.Context, r *http.Request) (Session, error) {
	cookie, err := r.Cookie(s.Cookie)
	if err != nil {
		return Session{}, ErrNotFound
	}
	found, err := s.Storage.SessionBySecretHash(ctx, hash(cookie.Value))
	if err != nil {
		return Session{}, err
	}
	if !s.Now().Before(found.ExpiresAt) {
		return Session{}, ErrNotFound
	}
	return found, nil
}

// End ends the session of the browser, if there is one.
func (s *Sessions) End(ctx context.Context, w http.ResponseWriter, r *http.Request) error {
	found, err := s.Find(ctx, r)
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("finding the session: %w", err)
	}
	if err := s.Storage.EndSession(ctx, found.ID); err != nil {
		return fmt.Errorf("ending the session: %w", err)
	}
	http.SetCookie(w, s.cookie("", -1))
	return nil
}

// cookie has the strictest form that a login by redirect allows: Lax, because
// the browser comes from the client's page to the authorization endpoint.
func (s *Sessions) cookie(value string, maxAge int) *http.Cookie {
	return &http.Cookie{
		Name: s.Cookie, Value: value, Path: "/", MaxAge: maxAge,
		Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode,
	}
}

func hash(value string) string {
	sum := sha256.Sum256([]byte(value))
	return hex.EncodeToString(sum[:])
}
