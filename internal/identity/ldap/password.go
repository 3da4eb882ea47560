// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package ldap

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"unicode/utf16"

	"github.com/go-ldap/ldap/v3"

	"github.com/tegata/tegata/internal/identity"
	"github.com/tegata/tegata/internal/oidc"
	"github.com/tegata/tegata/internal/secret"
)

// ChangesPasswords implements [identity.PasswordChanger].
func (s *Source) ChangesPasswords() bool { return s.config.Passwords != "" }

// ChangePassword implements [identity.PasswordChanger].
func (s *Source) ChangePassword(ctx context.Context, login string, old, replacement secret.String) error {
	return s.changePassword(ctx, s.loginFilter(login), login != "", old, replacement)
}

// ChangePasswordOf is ChangePassword for somebody whose login is known: what
// people log in with need not be the user name, and that may have changed.
func (s *Source) ChangePasswordOf(ctx context.Context, subject oidc.Subject, old, replacement secret.String) error {
	filter, ok := s.subjectFilter(subject)
	return s.changePassword(ctx, filter, ok, old, replacement)
}

// changePassword is for the entry that the filter matches; known is false for
// somebody whom no entry can be.
func (s *Source) changePassword(ctx context.Context, filter string, known bool, old, replacement secret.String) error {
	switch {
	case s.config.Passwords == "":
		return identity.ErrNoPasswordChange
	case !known || old.IsZero():
		return identity.ErrWrongCredentials
	case replacement.IsZero():
		return &identity.PasswordRefusedError{Reason: "it is empty"}
	}
	ctx, cancel := context.WithTimeout(ctx, s.config.deadline())
	defer cancel()
	entry, err := s.find(ctx, filter)
	if errors.Is(err, identity.ErrNotFound) {
		return identity.ErrWrongCredentials
	}
	if err != nil {
		return err
	}
	if s.config.Passwords == Unicode {
		return s.changeUnicode(ctx, entry.DN, old, replacement)
	}
	return s.pool.do(ctx, &s.pool.binding, func(conn *connection) error {
		result, err := conn.SimpleBind(ldap.NewSimpleBindRequest(entry.DN, old.Reveal(), []ldap.Control{ldap.NewControlBeheraPasswordPolicy()}))
		if broken(err) {
			return err
		}
		if err := judge(result, err); err != nil && (!errors.Is(err, identity.ErrPasswordExpired) || result == nil) {
			return err
		}
		// The old password goes along: a server whose bind was refused
		// because the password has expired still takes both together.
		_, err = conn.PasswordModify(ldap.NewPasswordModifyRequest(entry.DN, old.Reveal(), replacement.Reveal()))
		return judgeChange(err)
	})
}

// changeUnicode is Active Directory's way (MS-ADTS, section 3.1.1.3.1.5): the
// old value is deleted and the new one added, which everybody may do who
// knows the old one, also when it has expired.
func (s *Source) changeUnicode(ctx context.Context, dn string, old, replacement secret.String) error {
	request := ldap.NewModifyRequest(dn, nil)
	request.Delete("unicodePwd", []string{quotedUTF16(old)})
	request.Add("unicodePwd", []string{quotedUTF16(replacement)})
	return s.pool.do(ctx, &s.pool.searching, func(conn *connection) error {
		err := conn.Modify(request)
		if failure, ok := errors.AsType[*ldap.Error](err); ok && failure.ResultCode == ldap.LDAPResultConstraintViolation &&
			strings.Contains(failure.Error(), "00000056") { // ERROR_INVALID_PASSWORD: the old one is wrong
			return identity.ErrWrongCredentials
		}
		return judgeChange(err)
	})
}

// quotedUTF16 is the form in which Active Directory wants a password.
func quotedUTF16(password secret.String) string {
	var text []byte
	for _, unit := range utf16.Encode([]rune(`"` + password.Reveal() + `"`)) {
		text = binary.LittleEndian.AppendUint16(text, unit)
	}
	return string(text)
}

// judgeChange turns the answer to a change into what the provider decides on.
func judgeChange(err error) error {
	failure, ok := errors.AsType[*ldap.Error](err)
	if !ok || broken(err) {
		return err
	}
	switch failure.ResultCode {
	case ldap.LDAPResultConstraintViolation:
		reason := "it breaks the directory's rules"
		if failure.Err != nil && failure.Err.Error() != "" && !strings.Contains(failure.Err.Error(), "DSID") { // which helps nobody
			reason = failure.Err.Error()
		}
		return &identity.PasswordRefusedError{Reason: reason}
	case ldap.LDAPResultInvalidCredentials:
		return identity.ErrWrongCredentials
	case ldap.LDAPResultInsufficientAccessRights, ldap.LDAPResultUnwillingToPerform:
		return &identity.PasswordRefusedError{Reason: "the directory does not allow it"}
	}
	return fmt.Errorf("changing the password: %w", err)
}
