// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package identity

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"sync"
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

	mu     sync.Mutex           // guards the field below
	silent map[string]time.Time // members that could not be asked, and until when nobody tries
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
	// SharedCallback means that the source redirects back to the address that
	// names no source. Only one of them all may: an answer must show by its
	// address whose it is (RFC 9700, section 4.4).
	SharedCallback bool

	Passwords Source
	Redirect  Redirecting
}

// Redirecting is a source whose users prove who they are at another place, to
// which the browser is sent.
type Redirecting interface {
	// Begin returns where the browser goes, but for the state, which the
	// caller adds. attempt is what Finish needs, and nobody else may know it.
	Begin(ctx context.Context, d Departure) (address string, attempt secret.String, err error)
	// Finish reads the answer. kept is with what the source can be asked
	// again; it may be empty. It returns a *DeniedError if the person, or a
	// rule, said no.
	Finish(ctx context.Context, redirectURI string, attempt secret.String, answer url.Values) (user User, kept secret.String, err error)
	// Refresh asks again. ErrNotFound or a *DeniedError mean that the source
	// does not vouch for the subject any more; any other error, that it could
	// not be asked. fresh takes the place of kept if it is not empty, also
	// beside an error.
	Refresh(ctx context.Context, subject oidc.Subject, kept secret.String) (user User, fresh secret.String, err error)
	// LogOut returns where the browser ends its session at the source, and
	// from where it comes back to redirectURI with the state. Empty: the source
	// has no such place, or is not to be told.
	LogOut(ctx context.Context, kept secret.String, redirectURI, state string) (address string, err error)
}

// Departure is how a browser is sent to a source.
type Departure struct {
	RedirectURI string // where the answer goes
	LoginHint   string // may be empty
	UILocales   string // may be empty
	Fresh       bool   // the credential must be given again
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

// UnreachableError means that no server of a source answered.
type UnreachableError struct{ Cause error }

// Error implements [error].
func (e *UnreachableError) Error() string { return e.Cause.Error() }

// Unwrap returns the cause.
func (e *UnreachableError) Unwrap() error { return e.Cause }

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
	for _, answer := range []error{ErrWrongCredentials, ErrDisabled, ErrLocked, ErrPasswordExpired, ErrTemporaryExpired, ErrNotFound, ErrNoPasswordChange} {
		if errors.Is(err, answer) {
			return true
		}
	}
	_, refused := errors.AsType[*PasswordRefusedError](err)
	_, denied := errors.AsType[*DeniedError](err)
	return refused || denied
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

// unreachable reports whether the source did not answer at all. One that
// cannot answer about somebody can be asked about others.
func unreachable(err error) bool {
	_, said := errors.AsType[*UnreachableError](err)
	_, network := errors.AsType[net.Error](err)
	return said || network
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

// named gives a user the names that they have here, and tells of the groups
// that are left out.
func (s *Sources) named(m Member, user User) (User, error) {
	user, leftOut, err := m.Named(user)
	if owner, taken := s.ownerOf(user.Email); taken && owner != m.Name && user.EmailVerified {
		s.Log.Warn("an e-mail address does not count as verified: its domain belongs to another source", "source", m.Name,
			"subject", string(user.Subject), "owner", owner)
		user.EmailVerified = false
	}
	for _, group := range leftOut {
		s.Log.Warn("a group was left out: its name belongs to Kubernetes, or is none", "source", m.Name, "subject", string(user.Subject), "group", group)
	}
	return user, err
}

// ownerOf is the source that has the domain of an e-mail address. No other one
// can vouch for it.
func (s *Sources) ownerOf(email string) (name string, taken bool) {
	_, domain, _ := strings.Cut(email, "@")
	for _, m := range s.Members {
		if slices.ContainsFunc(m.EmailDomains, func(d string) bool { return strings.EqualFold(d, domain) }) {
			return m.Name, true
		}
	}
	return "", false
}

// Named gives a user of the source the names that they have here. Names that
// Kubernetes keeps for itself would make anybody an administrator who can
// write into the source: such a group is left out, such a user is not let in
// (a *DeniedError).
func (m Member) Named(user User) (named User, leftOut []string, err error) {
	if !strings.HasPrefix(string(user.Subject), m.Name+":") {
		return User{}, nil, fmt.Errorf("the source %s returned the subject %q, which is not its own", m.Name, user.Subject)
	}
	user.Source = m.Name
	user.Username = m.UsernamePrefix + user.Username
	for what, name := range map[string]string{"user name": user.Username, "e-mail address": user.Email, "name": user.Name} {
		if !readable(name) || len(name) > 1024 {
			return User{}, nil, &DeniedError{"its " + what + " has characters that no name has, or is too long"}
		}
	}
	if reserved(user.Username) || reserved(user.Email) {
		return User{}, nil, &DeniedError{"names that begin with system: belong to Kubernetes"}
	}
	groups := make([]string, 0, len(user.Groups))
	for _, group := range user.Groups {
		group = m.GroupsPrefix + group
		if group == "" || reserved(group) || !readable(group) {
			leftOut = append(leftOut, group)
			continue
		}
		groups = append(groups, group)
	}
	slices.Sort(groups)
	user.Groups = slices.Compact(groups)
	return user, leftOut, nil
}

// readable reports whether a name shows what it is: neither control characters
// nor such that change the direction of a text or cannot be seen.
func readable(name string) bool {
	return utf8.ValidString(name) && !strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsPrint(r) && !unicode.Is(unicode.Zs, r) })
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

// keepsOut reports whether somebody who was let in before may not be any more,
// because of a rule of the source or a name that they have now. The login page
// tells them why.
func keepsOut(err error) bool {
	_, denied := errors.AsType[*DeniedError](err)
	_, taken := errors.AsType[*NameTakenError](err)
	return denied || taken
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
