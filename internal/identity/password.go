// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package identity

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/tegata/tegata/internal/secret"
)

// What a source that knows more than right and wrong can say of a login.
var (
	// ErrLocked means that there were too many wrong passwords. It passes, or
	// somebody lifts it.
	ErrLocked = errors.New("this account is locked for now")
	// ErrPasswordExpired means that the password is right and must be changed
	// before it is good for anything else.
	ErrPasswordExpired = errors.New("the password must be changed")
	// ErrTemporaryExpired means that the password is right, was a temporary
	// one, and its time is over: an administrator has to set another.
	ErrTemporaryExpired = errors.New("the temporary password has expired")
	// ErrNoPasswordChange means that passwords of the source are changed
	// elsewhere.
	ErrNoPasswordChange = errors.New("passwords of this source are not changed here")
)

// PasswordRefusedError means that a new password breaks the rules of the
// source. Our own source names them in Flaws; of another one there is Reason,
// in its words, as far as it told one.
type PasswordRefusedError struct {
	Reason string
	Flaws  []Flaw
}

// Error implements [error].
func (e *PasswordRefusedError) Error() string {
	reasons := make([]string, 0, len(e.Flaws)+1)
	for _, flaw := range e.Flaws {
		reasons = append(reasons, flaw.String())
	}
	if e.Reason != "" {
		reasons = append(reasons, e.Reason)
	}
	return "the new password was refused: " + strings.Join(reasons, "; ")
}

// Flaw is a rule that a password breaks.
type Flaw struct {
	Rule  Rule
	Limit int // of a rule that has one
}

// Rule is what is demanded of a password.
type Rule string

// The rules.
const (
	LongEnough   Rule = "long-enough"  // Limit is the least number of characters
	ShortEnough  Rule = "short-enough" // Limit is the largest number of bytes
	HasLowercase Rule = "lowercase"
	HasUppercase Rule = "uppercase"
	HasDigit     Rule = "digit"
	HasSymbol    Rule = "symbol"
	Uncommon     Rule = "uncommon" // not what everybody tries first
	Impersonal   Rule = "impersonal"
	Fresh        Rule = "fresh" // Limit is how many before it count
)

// String is the rule in English, as what to do.
func (f Flaw) String() string {
	switch f.Rule {
	case LongEnough:
		return fmt.Sprintf("it needs at least %d characters", f.Limit)
	case ShortEnough:
		return fmt.Sprintf("it may have at most %d bytes", f.Limit)
	case HasLowercase:
		return "it needs a small letter"
	case HasUppercase:
		return "it needs a capital letter"
	case HasDigit:
		return "it needs a digit"
	case HasSymbol:
		return "it needs a symbol, such as a hyphen or a space"
	case Uncommon:
		return "it is one of those that are guessed first"
	case Impersonal:
		return "it holds a name of its owner or of this service"
	case Fresh:
		if f.Limit > 1 {
			return fmt.Sprintf("it is one of the last %d passwords", f.Limit)
		}
		return "it is the present password"
	}
	return string(f.Rule)
}

// PasswordChanger is a source in which people can change their own password.
type PasswordChanger interface {
	// ChangesPasswords reports whether the source is set up for it.
	ChangesPasswords() bool
	// ChangePassword sets another password for whom login and the old
	// password are right, also if it has expired. It returns
	// ErrWrongCredentials, ErrDisabled, ErrLocked or ErrTemporaryExpired as a
	// login does, ErrNoPasswordChange, or a *PasswordRefusedError.
	ChangePassword(ctx context.Context, login string, old, replacement secret.String) error
}

// ErrLinkSpent means that a link on which people set a password is no good: it
// was used, its time is over, or it was not made here.
var ErrLinkSpent = errors.New("the link was used, or its time is over")

// Link is who may set a password by it.
type Link struct {
	User    User
	Purpose LinkPurpose
	Rules   []Flaw // what will be demanded of the password
}

// LinkPurpose is what a link was made for.
type LinkPurpose string

// The purposes.
const (
	Invitation LinkPurpose = "invitation" // to an account that has no password yet
	Reset      LinkPurpose = "reset"      // of a password that was forgotten
)
