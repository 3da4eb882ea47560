// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package identity

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

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
}

// Member is one of them. It takes passwords or it redirects.
type Member struct {
	Name         string // as in subjects and in the configuration
	Title        string // for people; empty: the name
	EmailDomains []string
	// UsernamePrefix and GroupsPrefix keep its names apart from those of
	// others.
	UsernamePrefix, GroupsPrefix string
	// KeepFor is how long a login goes on while the source cannot be asked.
	KeepFor time.Duration
	// OwnSecondFactor means that the source asks for one itself.
	OwnSecondFactor bool

	Passwords Source
	Redirect  Redirecting
}

// Redirecting is a source whose users prove who they are at another place, to
// which the browser is sent.
type Redirecting interface {
	// Begin returns where the browser goes.
	Begin(ctx context.Context, d Departure) (address string, err error)
	// Finish reads the answer. kept is with what the source can be asked
	// again; it may be empty. It returns a *DeniedError if the person, or a
	// rule, said no.
	Finish(ctx context.Context, redirectURI string, attempt secret.String, answer url.Values) (user User, kept secret.String, err error)
	// Refresh asks again. ErrNotFound means that the source does not vouch
	// for the subject any more; any other error, that it could not be asked.
	Refresh(ctx context.Context, subject oidc.Subject, kept secret.String) (user User, fresh secret.String, err error)
}

// Departure is how a browser is sent to a source.
type Departure struct {
	RedirectURI string // where the answer goes
	State       string // comes back with the answer
	// Attempt is new for each departure, and known to nobody else: nonce and
	// PKCE verifier are derived from it. It has at least 128 bits of chance.
	Attempt   secret.String
	LoginHint string // may be empty
	UILocales string // may be empty
	Fresh     bool   // the credential must be given again
}

// Asked is one question to a source.
type Asked struct {
	Source string
	What   string // login or lookup
	Took   time.Duration
	Failed bool // it could not answer
}

// DeniedError means that a source knows who it is and does not let them in.
// Reason is for the person.
type DeniedError struct{ Reason string }

// Error implements [error].
func (e *DeniedError) Error() string { return "the source refused: " + e.Reason }

// UnavailableError means that a source could not be asked.
type UnavailableError struct {
	Source string
	Cause  error
}

// Error implements [error].
func (e *UnavailableError) Error() string {
	return fmt.Sprintf("the source %s cannot be asked: %v", e.Source, e.Cause)
}

// Unwrap returns the cause.
func (e *UnavailableError) Unwrap() error { return e.Cause }

// Temporary reports true: it is worth trying again.
func (e *UnavailableError) Temporary() bool { return true }

// ElsewhereError means that no password is taken for this login: its users
// prove who they are at the place to which the source redirects.
type ElsewhereError struct{ Source string }

// Error implements [error].
func (e *ElsewhereError) Error() string {
	return fmt.Sprintf("users of the source %s do not log in with a password here", e.Source)
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

// Words is what people know the source by.
func (m Member) Words() string { return cmp.Or(m.Title, m.Name) }

// ChangesPasswords reports whether people can change their password here.
func (m Member) ChangesPasswords() bool {
	changer, ok := m.Passwords.(PasswordChanger)
	return ok && changer.ChangesPasswords()
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

// failed makes of an error that decides nothing an *UnavailableError.
func (m Member) failed(err error) error {
	if m.Name == Local || decides(err) {
		return err
	}
	return &UnavailableError{m.Name, err}
}

// decides reports whether the error is an answer of the source.
func decides(err error) bool {
	for _, answer := range []error{ErrWrongCredentials, ErrDisabled, ErrLocked, ErrPasswordExpired, ErrNotFound, ErrNoPasswordChange} {
		if errors.Is(err, answer) {
			return true
		}
	}
	_, refused := errors.AsType[*PasswordRefusedError](err)
	_, denied := errors.AsType[*DeniedError](err)
	return refused || denied
}

func (s *Sources) asked(m Member, what string, begun time.Time, err error) {
	if s.Observe != nil && m.Name != Local {
		s.Observe(Asked{Source: m.Name, What: what, Took: s.Now().Sub(begun), Failed: err != nil && !decides(err)})
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
	sealed := ""
	if !kept.IsZero() {
		sealed = s.Seal.Seal([]byte(kept.Reveal()), string(user.Subject))
	}
	user, err = s.Memory.Remember(ctx, Remembered{User: user, ConfirmedAt: s.Now(), Sealed: sealed})
	if err != nil {
		return User{}, fmt.Errorf("remembering a user of %s: %w", m.Name, err)
	}
	return user, nil
}

// named gives a user the names that they have here. Names that Kubernetes
// keeps for itself would make anybody an administrator who can write into the
// source: such a group is left out, such a user is not let in.
func (s *Sources) named(m Member, user User) (User, error) {
	if !strings.HasPrefix(string(user.Subject), m.Name+":") {
		return User{}, fmt.Errorf("the source %s returned the subject %q, which is not its own", m.Name, user.Subject)
	}
	user.Source = m.Name
	user.Username = m.UsernamePrefix + user.Username
	for what, name := range map[string]string{"user name": user.Username, "e-mail address": user.Email, "name": user.Name} {
		if !utf8.ValidString(name) || strings.ContainsFunc(name, unicode.IsControl) || len(name) > 1024 {
			return User{}, &DeniedError{"its " + what + " has characters that no name has, or is too long"}
		}
	}
	for _, name := range []string{user.Username, user.Email} {
		if reserved(name) {
			return User{}, &DeniedError{"names that begin with system: belong to Kubernetes"}
		}
	}
	groups := make([]string, 0, len(user.Groups))
	for _, group := range user.Groups {
		group = m.GroupsPrefix + group
		if group == "" || reserved(group) || !utf8.ValidString(group) || strings.ContainsFunc(group, unicode.IsControl) {
			s.Log.Warn("a group was left out: its name belongs to Kubernetes, or is none", "source", m.Name, "subject", string(user.Subject), "group", group)
			continue
		}
		groups = append(groups, group)
	}
	slices.Sort(groups)
	user.Groups = slices.Compact(groups)
	return user, nil
}

func reserved(name string) bool { return strings.HasPrefix(name, "system:") }

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
	found, err := m.Passwords.Lookup(ctx, subject)
	s.asked(m, "lookup", begun, err)
	switch {
	case errors.Is(err, ErrNotFound) || err == nil && found.Disabled:
		if doubt := s.Memory.Doubt(ctx, subject); doubt != nil { // or a server that is down would let them in again
			return User{}, fmt.Errorf("forgetting a user of %s: %w", m.Name, doubt)
		}
		return found, err
	case err != nil:
		return s.keep(ctx, m, r, err)
	}
	if found, err = s.named(m, found); err != nil {
		return User{}, err
	}
	found.Epoch = r.User.Epoch
	if reflect.DeepEqual(found, r.User) && s.Now().Sub(r.ConfirmedAt) < max(askInterval, m.KeepFor/20) {
		return found, nil
	}
	found, err = s.Memory.Remember(ctx, Remembered{User: found, ConfirmedAt: s.Now()})
	if err != nil {
		return User{}, fmt.Errorf("remembering a user of %s: %w", m.Name, err)
	}
	return found, nil
}

// keep goes on with what the source said before, for a while.
func (s *Sources) keep(ctx context.Context, m Member, r Remembered, why error) (User, error) {
	age := s.Now().Sub(r.ConfirmedAt)
	if r.ConfirmedAt.IsZero() || age > m.KeepFor {
		return User{}, &UnavailableError{m.Name, why}
	}
	s.Log.LogAttrs(ctx, slog.LevelWarn, "the source cannot be asked; what it said before is used", slog.String("source", m.Name),
		slog.String("subject", string(r.User.Subject)), slog.Duration("age", age), slog.Duration("keep_for", m.KeepFor), slog.Any("error", why))
	return r.User, nil
}

const (
	// askInterval is how often a source is asked at the most whose answers
	// use up what it is asked with, and how often at the least what is
	// remembered is dated anew.
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
	mine, err := s.Memory.Ask(ctx, subject, now, now.Add(2*askTimeout))
	if err != nil {
		return User{}, err
	}
	if !mine {
		return s.keep(ctx, m, r, errors.New("another request is asking"))
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), askTimeout)
	defer cancel()
	plain, err := s.Seal.Open(r.Sealed, string(subject))
	if err != nil {
		return User{}, fmt.Errorf("opening what is kept for %s: %w", subject, err)
	}
	found, fresh, err := m.Redirect.Refresh(ctx, subject, secret.New(string(plain)))
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
	case err != nil:
		return s.keep(ctx, m, r, err)
	}
	return s.remember(ctx, m, found, fresh)
}

// Begin sends a browser to a source that redirects.
func (s *Sources) Begin(ctx context.Context, name string, d Departure) (address string, err error) {
	m, ok := s.Of(name)
	if !ok || m.Redirect == nil {
		return "", ErrNotFound
	}
	address, err = m.Redirect.Begin(ctx, d)
	if err != nil {
		return "", &UnavailableError{name, err}
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
	if !m.ChangesPasswords() {
		return ErrNoPasswordChange
	}
	begun := s.Now()
	err = m.Passwords.(PasswordChanger).ChangePassword(ctx, login, old, replacement)
	s.asked(m, "password", begun, err)
	if err != nil {
		return m.failed(err)
	}
	return nil
}
