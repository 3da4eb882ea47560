// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

// Package local is the source of users that the provider keeps itself, with
// their passwords and groups.
package local

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/mail"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/tegata/tegata/internal/identity"
	"github.com/tegata/tegata/internal/oidc"
	"github.com/tegata/tegata/internal/secret"
)

// Account is a local user as it is kept.
type Account struct {
	identity.User
	PasswordHash string // as Hasher writes it; empty: no password set, no login
	Declared     bool   // stands in the configuration file and is changed there
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
}

// SourceName is the name of this source, which clients may be limited to.
const SourceName = identity.Local

// Source authenticates local users. It implements [identity.Source].
type Source struct {
	Accounts Accounts
	Hasher   *Hasher
}

// Authenticate implements [identity.Source]. For an unknown user it does the
// work of one password check too, so that the time tells nothing.
func (s *Source) Authenticate(ctx context.Context, login string, password secret.String) (identity.User, error) {
	account, err := s.Accounts.AccountByLogin(ctx, strings.TrimSpace(login))
	if err == nil && account.Source != SourceName { // of another source, which knows the password
		account, err = Account{}, identity.ErrNotFound
	}
	unknown := errors.Is(err, identity.ErrNotFound)
	if err != nil && !unknown {
		return identity.User{}, fmt.Errorf("finding the user: %w", err)
	}
	hash := cmp.Or(account.PasswordHash, s.Hasher.decoy)
	match, err := s.Hasher.Check(ctx, hash, password)
	if err != nil {
		return identity.User{}, fmt.Errorf("checking the password: %w", err)
	}
	switch {
	case unknown || account.PasswordHash == "" || !match:
		return identity.User{}, identity.ErrWrongCredentials
	case account.Disabled:
		return identity.User{}, identity.ErrDisabled
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
