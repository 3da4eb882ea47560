// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package identity

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"strings"
	"time"

	"github.com/tegata/tegata/internal/oidc"
	"github.com/tegata/tegata/internal/secret"
)

// Lookup implements [Source]. It returns an *UnavailableError if the source
// cannot be asked and what it said before is too old.
func (s *Sources) Lookup(ctx context.Context, subject oidc.Subject) (User, error) {
	for _, m := range s.Members {
		switch {
		case m.Name == Local || !strings.HasPrefix(string(subject), m.Name+":"):
			continue
		case m.Passwords != nil:
			return s.lookup(ctx, m, subject)
		}
		return s.refresh(ctx, m, subject)
	}
	if local, ok := s.Of(Local); ok {
		return local.Passwords.Lookup(ctx, subject)
	}
	return User{}, ErrNotFound
}

func (s *Sources) recall(ctx context.Context, m Member, subject oidc.Subject) (Remembered, error) {
	r, err := s.Memory.Recall(ctx, subject)
	if err == nil && r.User.Source != m.Name {
		return Remembered{}, ErrNotFound
	}
	return r, err
}

// lookup asks a source that needs no more than the subject: each time.
func (s *Sources) lookup(ctx context.Context, m Member, subject oidc.Subject) (User, error) {
	r, err := s.recall(ctx, m, subject)
	if err != nil || r.User.Disabled {
		return r.User, err
	}
	begun := s.Now()
	if !s.mayAsk(m) {
		return s.keep(ctx, m, r, errSilent)
	}
	found, err := m.Passwords.Lookup(ctx, subject)
	s.asked(m, "lookup", begun, err)
	if err == nil && !found.Disabled {
		found, err = s.named(m, found)
	}
	switch {
	case errors.Is(err, ErrNotFound) || err == nil && found.Disabled:
		return found, s.doubt(ctx, m, subject, err)
	case keepsOut(err):
		return User{}, s.doubt(ctx, m, subject, err)
	case err != nil:
		return s.keep(ctx, m, r, err)
	}
	found.Epoch = r.User.Epoch
	// A twentieth of KeepFor is as much as may be missing from it, so that not
	// every lookup writes.
	if reflect.DeepEqual(found, r.User) && s.Now().Sub(r.ConfirmedAt) < m.KeepFor/20 {
		return found, nil
	}
	found, err = s.Memory.Remember(ctx, Remembered{User: found, ConfirmedAt: s.Now(), OwnNames: true})
	if keepsOut(err) {
		return User{}, s.doubt(ctx, m, subject, err)
	}
	if err != nil {
		return User{}, fmt.Errorf("remembering a user of %s: %w", m.Name, err)
	}
	return found, nil
}

// doubt makes sure that a source that is down does not let the user in again.
// It returns ErrNotFound in the place of why, or nil if there is none.
func (s *Sources) doubt(ctx context.Context, m Member, subject oidc.Subject, why error) error {
	if err := s.Memory.Doubt(ctx, subject); err != nil {
		return fmt.Errorf("forgetting a user of %s: %w", m.Name, err)
	}
	if !keepsOut(why) {
		return why
	}
	s.Log.LogAttrs(ctx, slog.LevelWarn, "a user was let in before and may not be any more", slog.String("source", m.Name),
		slog.String("subject", string(subject)), slog.Any("error", why))
	return ErrNotFound
}

// keeps reports whether what the source said before still counts.
func (s *Sources) keeps(m Member, r Remembered) bool {
	return !r.ConfirmedAt.IsZero() && s.Now().Sub(r.ConfirmedAt) <= m.KeepFor
}

// silence is how long a source that did not answer a lookup is left alone:
// whoever asks waits until it is known to be down, and the others need not. Who
// types a password always gets a try.
const silence = 10 * time.Second

var errSilent = errors.New("it did not answer a moment ago")

// mayAsk reports whether a lookup may ask the source. Of those that come after
// a silence, one tries.
func (s *Sources) mayAsk(m Member) bool {
	now := s.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	until, was := s.silent[m.Name]
	if was && now.Before(until) {
		return false
	}
	if was {
		s.silent[m.Name] = now.Add(silence)
	}
	return true
}

// heard keeps whether a source could be asked.
func (s *Sources) heard(m Member, answered bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case answered:
		delete(s.silent, m.Name)
	case s.silent == nil:
		s.silent = map[string]time.Time{}
		fallthrough
	default:
		s.silent[m.Name] = s.Now().Add(silence)
	}
}

// keep goes on with what the source said before, for a while.
func (s *Sources) keep(ctx context.Context, m Member, r Remembered, why error) (User, error) {
	if !s.keeps(m, r) {
		return User{}, &UnavailableError{m.Name, why}
	}
	if errors.Is(why, errSilent) {
		return r.User, nil // it has been said
	}
	age := s.Now().Sub(r.ConfirmedAt)
	s.Log.LogAttrs(ctx, slog.LevelWarn, "the source cannot be asked; what it said before is used", slog.String("source", m.Name),
		slog.String("subject", string(r.User.Subject)), slog.Duration("age", age), slog.Duration("keep_for", m.KeepFor), slog.Any("error", why))
	return r.User, nil
}

const (
	// askInterval is how often a source is asked at the most whose answers
	// use up what it is asked with.
	askInterval = time.Minute
	// askTimeout is how long such a question may take. It does not end with
	// the request: the answer may hold the only good refresh token.
	askTimeout = 15 * time.Second
)

// refresh asks a source that wants its refresh token: one question at a time.
func (s *Sources) refresh(ctx context.Context, m Member, subject oidc.Subject) (User, error) {
	r, err := s.recall(ctx, m, subject)
	now := s.Now()
	age := now.Sub(r.ConfirmedAt)
	switch {
	case err != nil || r.User.Disabled:
		return r.User, err
	case r.ConfirmedAt.IsZero():
		return User{}, ErrNotFound
	case age < askInterval:
		return r.User, nil
	case r.Sealed == "" && age <= m.KeepFor:
		return r.User, nil
	case r.Sealed == "": // it cannot be asked but by another login
		return User{}, ErrNotFound
	}
	if !s.mayAsk(m) {
		return s.keep(ctx, m, r, errSilent)
	}
	mine, err := s.Memory.Ask(ctx, subject, now, now.Add(2*askTimeout))
	if err != nil {
		return User{}, err
	}
	if !mine {
		return s.keep(ctx, m, r, errors.New("another request is asking"))
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), askTimeout)
	defer cancel()
	kept, err := s.open(r)
	if err != nil {
		return User{}, err
	}
	found, fresh, err := m.Redirect.Refresh(ctx, subject, kept)
	s.asked(m, "lookup", now, err)
	if err == nil && found.Subject != subject {
		err = ErrNotFound // somebody else's tokens
	}
	_, denied := errors.AsType[*DeniedError](err)
	switch {
	case errors.Is(err, ErrNotFound) || denied:
		if err := s.Memory.Doubt(ctx, subject); err != nil {
			return User{}, fmt.Errorf("forgetting a user of %s: %w", m.Name, err)
		}
		return User{}, ErrNotFound
	case err != nil && !fresh.IsZero():
		r.Sealed = s.close(subject, fresh)
		if _, lost := s.Memory.Remember(ctx, r); lost != nil {
			return User{}, fmt.Errorf("keeping what %s gave: %w", m.Name, lost)
		}
		return s.keep(ctx, m, r, err)
	case err != nil:
		return s.keep(ctx, m, r, err)
	case fresh.IsZero():
		fresh = kept
	}
	user, err := s.remember(ctx, m, found, fresh)
	if keepsOut(err) {
		return User{}, s.doubt(ctx, m, subject, err)
	}
	return user, err
}

// open reads with what a source can be asked again.
func (s *Sources) open(r Remembered) (secret.String, error) {
	plain, err := s.Seal.Open(r.Sealed, string(r.User.Subject))
	if err != nil {
		return secret.String{}, fmt.Errorf("opening what is kept for %s: %w", r.User.Subject, err)
	}
	return secret.New(string(plain)), nil
}

// close seals it.
func (s *Sources) close(subject oidc.Subject, kept secret.String) string {
	if kept.IsZero() {
		return ""
	}
	return s.Seal.Seal([]byte(kept.Reveal()), string(subject))
}
