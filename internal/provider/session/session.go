// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

// Package session is the browser session of an end user at the provider: the
// cookie that saves typing the password again for the next client.
//
// A session begins when a credential was accepted, never before, and gets a
// new secret at every login, so that none can be planted (session fixation).
// It ends by itself when nobody uses it for a while, and at the latest some
// hours after the login. The endpoints authorize and logout use this package.
//
//   - session.go: beginning, finding and ending
//   - device.go: which browser, and where
//   - methods.go: how the end user proved who they are
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
	Methods    Methods   // how the end user proved who they are
	Device     Device    // at the login
	UsedAt     time.Time // when it last answered for the password, to the nearest minutes
	ExpiresAt  time.Time // unless it is used again
	EndsAt     time.Time // used or not
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
	// AddSession replaces a session of the same ID and subject. It returns
	// ErrOvertaken if the user is not of that epoch any more, or may not log
	// in.
	AddSession(ctx context.Context, s Session) error
	// SessionBySecretHash returns ErrNotFound if there is none.
	SessionBySecretHash(ctx context.Context, hash string) (Session, error)
	// UseSession keeps UsedAt and ExpiresAt of a session that is still there.
	UseSession(ctx context.Context, s Session) error
	EndSession(ctx context.Context, id string) error
	// RaiseSession keeps the secret, the methods and the use of a session that
	// is still there and has the old secret; it returns ErrNotFound otherwise.
	RaiseSession(ctx context.Context, s Session, oldSecretHash string) error
}

// Sessions begins, finds and ends the sessions of one issuer.
type Sessions struct {
	Storage  Storage
	Cookie   string        // the cookie's name; with the prefix __Host-
	Lifetime time.Duration // from the login on, used or not
	Idle     time.Duration // from the last use on
	Now      func() time.Time
}

// Begin starts a session for the user and gives its secret to the browser. If
// the browser had a session of the same user, that one goes on under its ID,
// with another secret: what was granted in it still belongs to it. A session
// of somebody else is ended.
func (s *Sessions) Begin(ctx context.Context, w http.ResponseWriter, r *http.Request, user identity.User, how Methods) (Session, error) {
	value, now := rand.Text()+rand.Text(), s.Now()
	begun := Session{
		ID:         strings.ToLower(rand.Text()),
		SecretHash: hash(value),
		Subject:    user.Subject,
		Epoch:      user.Epoch,
		AuthTime:   now,
		Methods:    how,
		Device:     DeviceOf(r),
		EndsAt:     now.Add(s.Lifetime),
	}
	s.use(&begun, now)
	had, err := s.Find(ctx, r)
	switch {
	case err == nil && had.Subject == user.Subject:
		begun.ID = had.ID
	case err == nil:
		if err := s.Storage.EndSession(ctx, had.ID); err != nil {
			return Session{}, fmt.Errorf("ending the session of another user: %w", err)
		}
	case !errors.Is(err, ErrNotFound):
		return Session{}, fmt.Errorf("finding the session: %w", err)
	}
	if err := s.Storage.AddSession(ctx, begun); err != nil {
		return Session{}, fmt.Errorf("keeping the session: %w", err)
	}
	http.SetCookie(w, s.cookie(value, int(s.Lifetime/time.Second)))
	return begun, nil
}

// Raise adds a second factor to a session, which gets another secret. That the
// password was given then and then stays true.
func (s *Sessions) Raise(ctx context.Context, w http.ResponseWriter, found Session, second ...string) (Session, error) {
	value, now, old := rand.Text()+rand.Text(), s.Now(), found.SecretHash
	found.SecretHash, found.Methods = hash(value), found.Methods.Raised(second...)
	s.use(&found, now)
	if err := s.Storage.RaiseSession(ctx, found, old); err != nil {
		return Session{}, fmt.Errorf("keeping the session: %w", err)
	}
	http.SetCookie(w, s.cookie(value, int(found.EndsAt.Sub(now)/time.Second)))
	return found, nil
}

// Renew lets a session go on after all logins of its user have ended: it gets
// another secret, and the epoch of the user as they are now. Nothing was
// proven for it, so all else stays as it was, above all when and how the end
// user logged in.
func (s *Sessions) Renew(ctx context.Context, w http.ResponseWriter, found Session, user identity.User) (Session, error) {
	value, now := rand.Text()+rand.Text(), s.Now()
	found.SecretHash, found.Epoch = hash(value), user.Epoch
	s.use(&found, now)
	if err := s.Storage.AddSession(ctx, found); err != nil {
		return Session{}, fmt.Errorf("keeping the session: %w", err)
	}
	http.SetCookie(w, s.cookie(value, int(found.EndsAt.Sub(now)/time.Second)))
	return found, nil
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

// useInterval is how often at the most a use is written down. An idle
// lifetime that is shorter than ten of them makes it shorter too.
const useInterval = 5 * time.Minute

// Use puts off the end of a session that answered for the password. Most uses
// write nothing: the last one that was written is near enough.
func (s *Sessions) Use(ctx context.Context, found Session) error {
	now := s.Now()
	if now.Sub(found.UsedAt) < min(useInterval, s.Idle/10) {
		return nil
	}
	s.use(&found, now)
	if err := s.Storage.UseSession(ctx, found); err != nil {
		return fmt.Errorf("keeping the use of a session: %w", err)
	}
	return nil
}

func (s *Sessions) use(session *Session, now time.Time) {
	session.UsedAt, session.ExpiresAt = now, now.Add(s.Idle)
	if session.ExpiresAt.After(session.EndsAt) {
		session.ExpiresAt = session.EndsAt
	}
}

// Forget takes the cookie from the browser. The session itself is ended by
// who knows what else ends with it.
func (s *Sessions) Forget(w http.ResponseWriter) { http.SetCookie(w, s.cookie("", -1)) }

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
