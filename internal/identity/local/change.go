// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package local

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"time"

	"github.com/tegata/tegata/internal/identity"
	"github.com/tegata/tegata/internal/oidc"
	"github.com/tegata/tegata/internal/secret"
)

// ChangesPasswords implements [identity.PasswordChanger].
func (s *Source) ChangesPasswords() bool { return true }

// PasswordRules is what the policy demands of another password of the user,
// or identity.ErrNoPasswordChange for one who stands in the configuration.
func (s *Source) PasswordRules(ctx context.Context, subject oidc.Subject) ([]identity.Flaw, error) {
	account, err := s.Accounts.AccountBySubject(ctx, subject)
	if err != nil {
		return nil, fmt.Errorf("finding the user: %w", err)
	}
	if account.Declared {
		return nil, identity.ErrNoPasswordChange
	}
	return s.Policy.Rules(), nil
}

// ChangePassword implements [identity.PasswordChanger]. Wrong passwords count
// as they do at a login.
func (s *Source) ChangePassword(ctx context.Context, login string, old, replacement secret.String) error {
	begun := s.now()
	account, err := s.authenticate(ctx, login, old)
	switch {
	case err != nil:
		return err
	case account.Declared:
		return identity.ErrNoPasswordChange
	case account.Password.expired(s.now()):
		return identity.ErrTemporaryExpired
	}
	refused := &identity.PasswordRefusedError{Flaws: s.Policy.Check(replacement, account.User)}
	if old.Equal(replacement) { // whatever the history: a change changes something
		refused.Flaws = append(refused.Flaws, identity.Flaw{Rule: identity.Fresh, Limit: max(s.Policy.History, 1)})
	}
	if len(refused.Flaws) > 0 {
		return refused
	}
	err = s.replace(ctx, account, replacement)
	if errors.Is(err, ErrOvertaken) {
		return s.refuse(ctx, begun) // the old one is wrong by now
	}
	return err
}

// replace sets a password that its owner has chosen.
func (s *Source) replace(ctx context.Context, account Account, password secret.String) error {
	p, err := s.prepare(ctx, account, password)
	if err != nil {
		return err
	}
	if err := s.Accounts.ReplacePassword(ctx, account.Subject, account.Epoch, p, s.now()); err != nil {
		return fmt.Errorf("keeping the new password: %w", err)
	}
	return nil
}

// Prepare makes of a password what is kept, or returns a
// *identity.PasswordRefusedError. The account may be a new one.
func (s *Source) Prepare(ctx context.Context, account Account, password secret.String) (NewPassword, error) {
	if flaws := s.Policy.Check(password, account.User); len(flaws) > 0 {
		return NewPassword{}, &identity.PasswordRefusedError{Flaws: flaws}
	}
	return s.prepare(ctx, account, password)
}

// prepare takes a password that Policy.Check takes.
func (s *Source) prepare(ctx context.Context, account Account, password secret.String) (NewPassword, error) {
	had := slices.Concat([]string{account.PasswordHash}, account.Password.Former)
	for _, hash := range had[:min(len(had), s.Policy.History)] {
		if hash == "" {
			continue
		}
		match, err := s.Hasher.Check(ctx, hash, password)
		if err != nil {
			return NewPassword{}, fmt.Errorf("checking a former password: %w", err)
		}
		if match {
			return NewPassword{}, &identity.PasswordRefusedError{Flaws: []identity.Flaw{{Rule: identity.Fresh, Limit: s.Policy.History}}}
		}
	}
	hash, err := s.Hasher.Hash(ctx, password)
	if err != nil {
		return NewPassword{}, fmt.Errorf("hashing the password: %w", err)
	}
	return NewPassword{Hash: hash, Former: max(s.Policy.History-1, 0)}, nil
}

// SetPassword sets the password of a user on behalf of an administrator, who
// is told nothing of the one before. A temporary one must be changed at the
// first login, and expires.
func (s *Source) SetPassword(ctx context.Context, account Account, password secret.String, temporary bool) (NewPassword, error) {
	p, err := s.Prepare(ctx, account, password)
	if err != nil {
		return NewPassword{}, err
	}
	if temporary {
		p = s.Temporary(p)
	}
	if err := s.Accounts.SetPassword(ctx, account.Subject, p, s.now()); err != nil {
		return NewPassword{}, fmt.Errorf("keeping the new password: %w", err)
	}
	return p, nil
}

// Temporary makes a password one that must be changed in time.
func (s *Source) Temporary(p NewPassword) NewPassword {
	p.MustChange, p.ExpiresAt = true, s.now().Add(s.Policy.TemporaryFor).Truncate(time.Second)
	return p
}

// The characters of a generated password: none that is taken for another when
// it is read aloud or typed from paper.
const (
	lowercase = "abcdefghijkmnpqrstuvwxyz"
	uppercase = "ABCDEFGHJKLMNPQRSTUVWXYZ"
	digits    = "23456789"
)

// Generate makes a password that the policy takes: of groups of five
// characters, four of them at the least, which is 110 bits.
func (s *Source) Generate(owner identity.User) secret.String {
	const alphabet = lowercase + uppercase + digits
	for {
		var text strings.Builder
		for n := 0; n < max(23, s.Policy.MinLength); n++ {
			if n%6 == 5 {
				text.WriteByte('-')
				continue
			}
			at, err := rand.Int(rand.Reader, big.NewInt(int64(len(alphabet))))
			if err != nil {
				panic(err) // crypto/rand.Reader never fails
			}
			text.WriteByte(alphabet[at.Int64()])
		}
		// Once in a while a class is missing, or a name came out.
		password := secret.New(text.String())
		if everything := (Policy{MinLength: s.Policy.MinLength, Require: Classes(), Site: s.Policy.Site}); len(everything.Check(password, owner)) == 0 {
			return password
		}
	}
}
