// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package identity

import (
	"context"
	"errors"

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
	// ErrNoPasswordChange means that passwords of the source are changed
	// elsewhere.
	ErrNoPasswordChange = errors.New("passwords of this source are not changed here")
)

// PasswordRefusedError means that a new password breaks the rules of the
// source. Reason is for the person, as far as the source told one.
type PasswordRefusedError struct{ Reason string }

// Error implements [error].
func (e *PasswordRefusedError) Error() string { return "the new password was refused: " + e.Reason }

// PasswordChanger is a source in which people can change their own password.
type PasswordChanger interface {
	// ChangesPasswords reports whether the source is set up for it.
	ChangesPasswords() bool
	// ChangePassword sets another password for whom login and the old
	// password are right, also if it has expired. It returns
	// ErrWrongCredentials, ErrDisabled or ErrLocked as a login does, and a
	// *PasswordRefusedError.
	ChangePassword(ctx context.Context, login string, old, replacement secret.String) error
}
