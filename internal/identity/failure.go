// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package identity

import (
	"errors"
	"fmt"
	"net"
)

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

// unreachable reports whether the source did not answer at all. One that
// cannot answer about somebody can be asked about others.
func unreachable(err error) bool {
	_, said := errors.AsType[*UnreachableError](err)
	_, network := errors.AsType[net.Error](err)
	return said || network
}

// keepsOut reports whether somebody who was let in before may not be any more,
// because of a rule of the source or a name that they have now. The login page
// tells them why.
func keepsOut(err error) bool {
	_, denied := errors.AsType[*DeniedError](err)
	_, taken := errors.AsType[*NameTakenError](err)
	return denied || taken
}
