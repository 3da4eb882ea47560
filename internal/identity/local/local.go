// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

// Package local is the source of users that the provider keeps itself, with
// their passwords and groups.
//
//   - local.go: who is who, and what a wrong password costs
//   - password.go: hashes
//   - policy.go, common.txt: what a password must be like
//   - change.go: setting a password
//   - link.go: links on which people set one themselves
package local

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/mail"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/tegata/tegata/internal/audit"
	"github.com/tegata/tegata/internal/identity"
	"github.com/tegata/tegata/internal/oidc"
	"github.com/tegata/tegata/internal/seal"
	"github.com/tegata/tegata/internal/secret"
)

// Account is a user as it is kept. Only those of this source have a password.
type Account struct {
	identity.User
	PasswordHash string // as Hasher writes it; empty: no password set, no login
	Password     PasswordState
	Declared     bool // stands in the configuration file and is changed there
}

// PasswordState is what is known of a password besides its hash.
type PasswordState struct {
	ChangedAt   time.Time // zero: none was ever set
	MustChange  bool      // before it is good for anything else
	ExpiresAt   time.Time // of a temporary one; zero: never
	Former      []string  // hashes of those before it, the newest first
	Failures    int       // wrong ones since the last right one
	LockedUntil time.Time // zero: not at all
}

// State is how an account is, in one word.
type State string

// The states. Of several that apply, the first is named.
const (
	Disabled   State = "disabled"
	Locked     State = "locked" // for now, after too many wrong passwords
	NoPassword State = "no-password"
	Expired    State = "expired" // the temporary password
	MustChange State = "must-change"
	Active     State = "active"
)

// State is how the account is now.
func (a Account) State(now time.Time) State {
	switch p := a.Password; {
	case a.Disabled:
		return Disabled
	case a.Source != SourceName:
		return Active
	case p.LockedUntil.After(now):
		return Locked
	case a.PasswordHash == "":
		return NoPassword
	case p.expired(now):
		return Expired
	case p.MustChange:
		return MustChange
	}
	return Active
}

func (p PasswordState) expired(now time.Time) bool {
	return !p.ExpiresAt.IsZero() && !now.Before(p.ExpiresAt)
}

// NewPassword is a password that takes the place of another. The storage keeps
// the Former newest hashes before it.
type NewPassword struct {
	Hash       string
	MustChange bool
	ExpiresAt  time.Time
	Former     int
}

// Accounts is the storage that a Source needs.
type Accounts interface {
	// AccountByLogin finds the account by user name or e-mail address, both
	// without regard to case, or returns identity.ErrNotFound.
	AccountByLogin(ctx context.Context, login string) (Account, error)
	// AccountBySubject returns identity.ErrNotFound if there is none.
	AccountBySubject(ctx context.Context, subject oidc.Subject) (Account, error)
	// UpgradePasswordHash replaces the hash if it still is the old one.
	UpgradePasswordHash(ctx context.Context, subject oidc.Subject, old, upgraded string) error
	// SetPassword ends all sessions and grants, which stand on the password
	// before, and forgets failures. It returns identity.ErrNotFound if there
	// is no such account.
	SetPassword(ctx context.Context, subject oidc.Subject, p NewPassword, now time.Time) error
	// ReplacePassword is SetPassword for an account that is still of the
	// epoch; if not, it returns ErrOvertaken.
	ReplacePassword(ctx context.Context, subject oidc.Subject, epoch int64, p NewPassword, now time.Time) error
	// CountFailure counts a wrong password, and locks the account until then
	// when there are so many. It reports whether this one did. An account that
	// is locked counts nothing; one whose time is over begins anew.
	CountFailure(ctx context.Context, subject oidc.Subject, most int, now, until time.Time) (locked bool, err error)
	// ForgetFailures ends a lock too.
	ForgetFailures(ctx context.Context, subject oidc.Subject) error
}

// ErrOvertaken means that the password was changed by somebody else meanwhile.
var ErrOvertaken = errors.New("the password was changed in the meantime")

// ErrKeptOut means that a user of another source is disabled, and is not
// deleted for that: with the next login they would be known again, and not as
// disabled.
var ErrKeptOut = errors.New("the user is disabled here; deleting would let them in again at their next login")

// SourceName is the name of this source, which clients may be limited to.
const SourceName = identity.Local

// Source authenticates local users. It implements [identity.Source] and
// [identity.PasswordChanger].
type Source struct {
	Accounts Accounts
	Hasher   *Hasher
	Policy   Policy
	LinkKey  seal.Key // for links on which a password is set
	// RefusalStep hides what a refusal cost: it is answered after a multiple
	// of it, so that the write that counts a wrong password does not tell
	// that the account exists. Zero answers at once.
	RefusalStep time.Duration
	Audit       *audit.Trail
	Now         func() time.Time // nil: time.Now
}

func (s *Source) now() time.Time {
	clock := s.Now
	if clock == nil {
		clock = time.Now
	}
	return clock()
}

// Authenticate implements [identity.Source]. Nobody can tell an unknown user,
// a wrong password and a locked account apart, by the answer or by its time.
// If who knows the password were told of the lock, a guesser would be too, and
// could go on guessing.
func (s *Source) Authenticate(ctx context.Context, login string, password secret.String) (identity.User, error) {
	account, err := s.authenticate(ctx, login, password)
	switch p := account.Password; {
	case err != nil:
		return identity.User{}, err
	case p.expired(s.now()):
		return identity.User{}, identity.ErrTemporaryExpired
	case p.MustChange:
		return identity.User{}, identity.ErrPasswordExpired
	}
	// A hash that is weaker than what is set now (another cost, bcrypt from
	// an import) is replaced while the password is at hand. A declared hash
	// stays as the file has it.
	if !account.Declared && s.Hasher.Outdated(account.PasswordHash) {
		upgraded, err := s.Hasher.Hash(ctx, password)
		if err != nil {
			return identity.User{}, fmt.Errorf("hashing the password: %w", err)
		}
		if err := s.Accounts.UpgradePasswordHash(ctx, account.Subject, account.PasswordHash, upgraded); err != nil {
			return identity.User{}, fmt.Errorf("keeping the new password hash: %w", err)
		}
	}
	return account.User, nil
}

// authenticate finds the account whose password it is, which may have to be
// changed.
func (s *Source) authenticate(ctx context.Context, login string, password secret.String) (Account, error) {
	begun := s.now()
	account, err := s.Accounts.AccountByLogin(ctx, strings.TrimSpace(login))
	if err == nil && account.Source != SourceName { // of another source, which knows the password
		account, err = Account{}, identity.ErrNotFound
	}
	if err != nil && !errors.Is(err, identity.ErrNotFound) {
		return Account{}, fmt.Errorf("finding the user: %w", err)
	}
	// Who does not exist, and who has no password, costs the same work.
	match, err := s.Hasher.Check(ctx, cmp.Or(account.PasswordHash, s.Hasher.decoy), password)
	if err != nil {
		return Account{}, fmt.Errorf("checking the password: %w", err)
	}
	if account.PasswordHash != "" && !match {
		err = s.failed(ctx, account)
	} else if match {
		match, err = s.unlocked(ctx, account)
	}
	switch {
	case err != nil:
		return Account{}, err
	case !match || account.PasswordHash == "":
		return Account{}, s.refuse(ctx, begun)
	case account.Disabled:
		return Account{}, identity.ErrDisabled
	}
	return account, nil
}

// failed counts a wrong password.
func (s *Source) failed(ctx context.Context, account Account) error {
	now, lockout := s.now(), s.Policy.Lockout
	if lockout.Failures == 0 || account.Password.LockedUntil.After(now) {
		return nil
	}
	locked, err := s.Accounts.CountFailure(ctx, account.Subject, lockout.Failures, now, now.Add(lockout.For))
	if err != nil {
		return fmt.Errorf("counting a wrong password: %w", err)
	}
	if locked {
		s.Audit.Record(audit.Event{
			Act: audit.Locked, Subject: account.Subject, Source: SourceName,
			Reason: fmt.Sprintf("%d wrong passwords; until %s", lockout.Failures, now.Add(lockout.For).UTC().Format(time.RFC3339)),
		})
	}
	return nil
}

// unlocked reports whether a right password counts, and forgets the wrong ones
// before it. It looks again: of many that are tried at once, the right one may
// have been read before the wrong ones were counted.
func (s *Source) unlocked(ctx context.Context, account Account) (bool, error) {
	if s.Policy.Lockout.Failures == 0 {
		return true, nil
	}
	again, err := s.Accounts.AccountBySubject(ctx, account.Subject)
	switch {
	case errors.Is(err, identity.ErrNotFound): // deleted meanwhile
		return false, nil
	case err != nil:
		return false, fmt.Errorf("finding the user again: %w", err)
	case again.Password.LockedUntil.After(s.now()):
		return false, nil
	case again.Password.Failures == 0:
		return true, nil
	}
	if err := s.Accounts.ForgetFailures(ctx, account.Subject); err != nil {
		return false, fmt.Errorf("forgetting wrong passwords: %w", err)
	}
	return true, nil
}

// refuse waits for the next step.
func (s *Source) refuse(ctx context.Context, begun time.Time) error {
	if s.RefusalStep > 0 {
		timer := time.NewTimer(s.RefusalStep - s.now().Sub(begun)%s.RefusalStep)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return identity.ErrWrongCredentials
}

// Lookup implements [identity.Source].
func (s *Source) Lookup(ctx context.Context, subject oidc.Subject) (identity.User, error) {
	account, err := s.Accounts.AccountBySubject(ctx, subject)
	if err != nil {
		return identity.User{}, err
	}
	if account.Source != SourceName {
		return identity.User{}, identity.ErrNotFound
	}
	return account.User, nil
}

// NewSubject makes the subject of a new user: readable, because it stands in
// audit logs, and never made twice, because a name may come back as another
// person.
//
// OpenID Connect Core 1.0, section 2: at most 255 ASCII characters.
func NewSubject(username string) oidc.Subject {
	readable := strings.Map(func(r rune) rune {
		if r <= ' ' || r > '~' {
			return -1
		}
		return r
	}, strings.ToLower(username))
	return oidc.Subject(strings.TrimPrefix(readable+"-"+strings.ToLower(rand.Text()[:10]), "-"))
}

// CheckUsername tells why a user name cannot be used, or returns nil.
func CheckUsername(name string) error {
	switch {
	case name == "":
		return errors.New("a user name cannot be empty")
	case len(name) > 128:
		return errors.New("a user name has at most 128 bytes")
	case strings.HasPrefix(name, "system:"):
		return fmt.Errorf("user name %q begins with system:, which Kubernetes keeps for itself", name)
	case strings.ContainsAny(name, "@/:"):
		return fmt.Errorf("user name %q contains @, / or :, which a user name may not; the e-mail address has a place of its own", name)
	}
	return checkPrintable("user name", name)
}

// CheckGroup tells why a group name cannot be used, or returns nil.
func CheckGroup(name string) error {
	switch {
	case name == "":
		return errors.New("a group name cannot be empty")
	case len(name) > 256:
		return errors.New("a group name has at most 256 bytes")
	case strings.HasPrefix(name, "system:"):
		return fmt.Errorf("group name %q begins with system:, which Kubernetes keeps for itself", name)
	}
	return checkPrintable("group name", name)
}

// CheckEmail tells why an e-mail address cannot be used, or returns nil. An
// empty one can.
func CheckEmail(address string) error {
	if address == "" {
		return nil
	}
	parsed, err := mail.ParseAddress(address)
	if err != nil || parsed.Address != address {
		return fmt.Errorf("%q is not an e-mail address", address)
	}
	return nil
}

func checkPrintable(what, name string) error {
	if strings.TrimSpace(name) != name {
		return fmt.Errorf("%s %q begins or ends with a space", what, name)
	}
	if !utf8.ValidString(name) {
		return fmt.Errorf("%s %q is not UTF-8", what, name)
	}
	for _, r := range name {
		if !unicode.IsPrint(r) {
			return fmt.Errorf("%s %q contains a character that cannot be printed", what, name)
		}
	}
	return nil
}
