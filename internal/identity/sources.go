// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package identity

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/tegata/tegata/internal/oidc"
	"github.com/tegata/tegata/internal/seal"
	"github.com/tegata/tegata/internal/secret"
)

// Local is the name of the source that is ours. Its users need no memory.
const Local = "local"

// Sources are all sources of one issuer as one. It implements [Source].
//
// A subject of another source is NAME:ID. Whoever logs in from there is
// remembered, so that sessions, grants and second factors have something to
// stand on, and so that a source that cannot be asked for a while takes
// nobody's work away: its users go on for as long as KeepFor.
type Sources struct {
	Members []Member // in the order in which they are offered
	Memory  Memory   // needed for members other than Local
	Seal    seal.Key // for what a source is asked again with
	Now     func() time.Time
	Log     *slog.Logger
	Observe func(Asked) // called for each question to a member; nil: nobody counts

	mu     sync.Mutex           // guards the field below
	silent map[string]time.Time // members that could not be asked, and until when nobody tries
}

// Asked is one question to a source.
type Asked struct {
	Source string
	What   string // login or lookup
	Took   time.Duration
	Failed bool // it could not answer
}

// Only makes one source all that there is, under the name Local.
func Only(source Source) *Sources {
	return &Sources{Members: []Member{{Name: Local, Passwords: source}}, Now: time.Now, Log: slog.New(slog.DiscardHandler)}
}

// Of returns the member of that name.
func (s *Sources) Of(name string) (Member, bool) {
	for _, m := range s.Members {
		if m.Name == name {
			return m, true
		}
	}
	return Member{}, false
}

// WhoseLogin finds the member that a login belongs to: by the domain of an
// e-mail address, by what the person chose, or the first that takes
// passwords. It returns an *ElsewhereError, with the member, or
// ErrWrongCredentials for a choice that there is not.
func (s *Sources) WhoseLogin(chosen, login string) (Member, error) {
	if _, domain, ok := strings.Cut(login, "@"); ok {
		for _, m := range s.Members {
			if !slices.ContainsFunc(m.EmailDomains, func(d string) bool { return strings.EqualFold(d, strings.TrimSpace(domain)) }) {
				continue
			}
			if m.Passwords == nil {
				return m, &ElsewhereError{m.Name}
			}
			return m, nil
		}
	}
	if chosen != "" {
		if m, ok := s.Of(chosen); ok && m.Passwords != nil {
			return m, nil
		}
		return Member{}, ErrWrongCredentials
	}
	for _, m := range s.Members {
		if m.Passwords != nil {
			return m, nil
		}
	}
	return Member{}, ErrWrongCredentials
}

// Authenticate implements [Source].
func (s *Sources) Authenticate(ctx context.Context, login string, password secret.String) (User, error) {
	return s.AuthenticateAt(ctx, "", login, password)
}

// AuthenticateAt is Authenticate at the source that the person chose; empty:
// they had no choice. Besides the errors of a source it returns an
// *ElsewhereError, a *NameTakenError or an *UnavailableError.
func (s *Sources) AuthenticateAt(ctx context.Context, chosen, login string, password secret.String) (User, error) {
	m, err := s.WhoseLogin(chosen, login)
	if err != nil {
		return User{}, err
	}
	begun := s.Now()
	user, err := m.Passwords.Authenticate(ctx, login, password)
	s.asked(m, "login", begun, err)
	if err != nil {
		return User{}, m.failed(err)
	}
	return s.welcome(ctx, m, user, secret.String{})
}

func (s *Sources) asked(m Member, what string, begun time.Time, err error) {
	answered := err == nil || decides(err)
	// What somebody types, that a caller went away, and that the source cannot
	// tell about somebody must not keep others from being looked at.
	if reached := !unreachable(err); m.Name != Local && (reached || what == "lookup") && !errors.Is(err, context.Canceled) {
		s.heard(m, reached)
	}
	if s.Observe != nil && m.Name != Local {
		s.Observe(Asked{Source: m.Name, What: what, Took: s.Now().Sub(begun), Failed: !answered})
	}
}

// welcome remembers who has just logged in.
func (s *Sources) welcome(ctx context.Context, m Member, user User, kept secret.String) (User, error) {
	if m.Name == Local {
		return user, nil
	}
	user, err := s.remember(ctx, m, user, kept)
	if err == nil && user.Disabled {
		return User{}, ErrDisabled
	}
	return user, err
}

func (s *Sources) remember(ctx context.Context, m Member, user User, kept secret.String) (User, error) {
	user, err := s.named(m, user)
	if err != nil {
		return User{}, err
	}
	user, err = s.Memory.Remember(ctx, Remembered{
		User: user, ConfirmedAt: s.Now(), Sealed: s.close(user.Subject, kept), OwnNames: m.Passwords != nil,
	})
	if err != nil {
		return User{}, fmt.Errorf("remembering a user of %s: %w", m.Name, err)
	}
	return user, nil
}

// Begin sends a browser to a source that redirects, as [Redirecting] says.
func (s *Sources) Begin(ctx context.Context, name string, d Departure) (address string, attempt secret.String, err error) {
	m, ok := s.Of(name)
	if !ok || m.Redirect == nil {
		return "", secret.String{}, ErrNotFound
	}
	address, attempt, err = m.Redirect.Begin(ctx, d)
	if err != nil {
		return "", secret.String{}, &UnavailableError{name, err}
	}
	return address, attempt, nil
}

// LogOut returns where the browser of the subject ends its session at the
// source; empty: nowhere.
func (s *Sources) LogOut(ctx context.Context, subject oidc.Subject, redirectURI, state string) (address string, err error) {
	name, _, _ := strings.Cut(string(subject), ":")
	m, ok := s.Of(name)
	if !ok || m.Redirect == nil {
		return "", nil
	}
	r, err := s.recall(ctx, m, subject)
	if errors.Is(err, ErrNotFound) || err == nil && r.Sealed == "" {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	kept, err := s.open(r)
	if err != nil {
		return "", err
	}
	address, err = m.Redirect.LogOut(ctx, kept, redirectURI, state)
	if err != nil {
		return "", &UnavailableError{m.Name, err}
	}
	return address, nil
}

// Finish reads the answer of a source that redirected. It returns a
// *DeniedError, ErrDisabled, a *NameTakenError or an *UnavailableError.
func (s *Sources) Finish(ctx context.Context, name, redirectURI string, attempt secret.String, answer url.Values) (User, error) {
	m, ok := s.Of(name)
	if !ok || m.Redirect == nil {
		return User{}, ErrNotFound
	}
	begun := s.Now()
	user, kept, err := m.Redirect.Finish(ctx, redirectURI, attempt, answer)
	s.asked(m, "login", begun, err)
	if err != nil {
		return User{}, m.failed(err)
	}
	return s.welcome(ctx, m, user, kept)
}

// ChangePassword sets another password at the source whose login this is. It
// returns ErrNoPasswordChange where that is not possible, and otherwise what
// [PasswordChanger] returns.
func (s *Sources) ChangePassword(ctx context.Context, chosen, login string, old, replacement secret.String) error {
	m, err := s.WhoseLogin(chosen, login)
	if err != nil {
		return err
	}
	return s.changePassword(ctx, m, login, old, replacement)
}

// ChangePasswordOf is ChangePassword for somebody who has logged in.
func (s *Sources) ChangePasswordOf(ctx context.Context, user User, old, replacement secret.String) error {
	m, ok := s.Of(user.Source)
	if !ok {
		return ErrNoPasswordChange
	}
	if m.ChangesPasswords() {
		if source, ok := m.Passwords.(interface {
			ChangePasswordOf(ctx context.Context, subject oidc.Subject, old, replacement secret.String) error
		}); ok { // a user name need not be what its users log in with
			return s.change(m, func() error { return source.ChangePasswordOf(ctx, user.Subject, old, replacement) })
		}
	}
	return s.changePassword(ctx, m, strings.TrimPrefix(user.Username, m.UsernamePrefix), old, replacement)
}

func (s *Sources) changePassword(ctx context.Context, m Member, login string, old, replacement secret.String) error {
	if !m.ChangesPasswords() {
		return ErrNoPasswordChange
	}
	return s.change(m, func() error {
		return m.Passwords.(PasswordChanger).ChangePassword(ctx, login, old, replacement)
	})
}

func (s *Sources) change(m Member, ask func() error) error {
	begun := s.Now()
	err := ask()
	s.asked(m, "password", begun, err)
	if err != nil {
		return m.failed(err)
	}
	return nil
}

// PasswordRules is what a new password of the user must be like, as far as
// the source tells before it has seen one. It returns ErrNoPasswordChange for
// a user whose password is not changed here.
func (s *Sources) PasswordRules(ctx context.Context, user User) ([]Flaw, error) {
	m, ok := s.Of(user.Source)
	if !ok || !m.ChangesPasswords() {
		return nil, ErrNoPasswordChange
	}
	if telling, ok := m.Passwords.(interface {
		PasswordRules(context.Context, oidc.Subject) ([]Flaw, error)
	}); ok {
		return telling.PasswordRules(ctx, user.Subject)
	}
	return nil, nil
}
