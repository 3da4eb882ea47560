// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package ldap

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/go-ldap/ldap/v3"

	"github.com/tegata/tegata/internal/identity"
	"github.com/tegata/tegata/internal/secret"
)

// bind proves that the password is the entry's, or returns
// identity.ErrWrongCredentials, ErrDisabled, ErrLocked or
// ErrPasswordExpired.
func (s *Source) bind(ctx context.Context, dn string, password secret.String) error {
	begun := s.config.Now()
	var result *ldap.SimpleBindResult
	var host string
	err := s.pool.do(ctx, &s.pool.binding, func(conn *connection) (err error) {
		host = conn.server.url.Host
		// The control asks for the reason of a refusal; who does not know it
		// ignores it.
		result, err = conn.SimpleBind(ldap.NewSimpleBindRequest(dn, password.Reveal(), []ldap.Control{ldap.NewControlBeheraPasswordPolicy()}))
		return err
	})
	err = judge(result, err)
	step := Step{What: "the password", Server: host, BaseDN: dn, Took: s.config.Now().Sub(begun)}
	if err != nil {
		step.Error = err.Error()
	}
	explain(ctx, step)
	return err
}

// The errors of draft-behera-ldap-password-policy-10, section 6.2.
const (
	policyNone       = -1 // nothing was said
	policyExpired    = 0
	policyLocked     = 1
	policyMustChange = 2
)

// judge turns the answer to a bind into what the provider decides on.
func judge(result *ldap.SimpleBindResult, err error) error {
	policy := int8(policyNone)
	if result != nil {
		if control, ok := ldap.FindControl(result.Controls, ldap.ControlTypeBeheraPasswordPolicy).(*ldap.ControlBeheraPasswordPolicy); ok {
			policy = control.Error
		}
	}
	failure, ok := errors.AsType[*ldap.Error](err)
	switch {
	case policy == policyLocked:
		return identity.ErrLocked
	case policy == policyExpired || policy == policyMustChange:
		return identity.ErrPasswordExpired
	case !ok:
		return err
	}
	switch failure.ResultCode {
	case ldap.LDAPResultInvalidCredentials:
		return activeDirectory(failure)
	case ldap.LDAPResultInvalidDNSyntax, ldap.LDAPResultNoSuchObject, ldap.LDAPResultInappropriateAuthentication:
		return identity.ErrWrongCredentials
	case ldap.LDAPResultUnwillingToPerform:
		return identity.ErrDisabled // 389 and FreeIPA, of accounts that are
	case ldap.LDAPResultConstraintViolation:
		return identity.ErrLocked // 389, after too many tries
	}
	return fmt.Errorf("binding: %w", err)
}

// dataCode is how Active Directory says more than "invalid credentials".
var dataCode = regexp.MustCompile(`, data ([0-9a-f]+),`)

func activeDirectory(failure *ldap.Error) error {
	match := dataCode.FindStringSubmatch(failure.Error())
	if match == nil {
		return identity.ErrWrongCredentials
	}
	switch match[1] {
	case "532", "773": // expired; must change
		return identity.ErrPasswordExpired
	case "533", "701": // disabled; the account has expired
		return identity.ErrDisabled
	case "775":
		return identity.ErrLocked
	}
	return identity.ErrWrongCredentials // 52e, and 525 for no such user
}

// accountAttributes tell of accounts that may not log in; a directory gives
// those that it has.
func accountAttributes() []string {
	return []string{"userAccountControl", "accountExpires", "pwdAccountLockedTime", "nsAccountLock", "krbPrincipalExpiration"}
}

// disabled reports whether the entry may not log in for good. A lock after
// wrong passwords passes by itself, and anybody can cause one: it ends no
// login that exists.
func disabled(entry *ldap.Entry, now time.Time) bool {
	const accountDisable = 0x2 // MS-ADTS, section 2.2.16
	if control, err := strconv.ParseInt(first(entry, "userAccountControl"), 10, 64); err == nil && control&accountDisable != 0 {
		return true
	}
	if expires, err := strconv.ParseInt(first(entry, "accountExpires"), 10, 64); err == nil && expired(expires, now) {
		return true
	}
	if strings.EqualFold(first(entry, "nsAccountLock"), "true") {
		return true
	}
	if first(entry, "pwdAccountLockedTime") == "000001010000Z" { // draft-behera, section 5.3.3: for good
		return true
	}
	if expires, err := time.Parse("20060102150405Z", first(entry, "krbPrincipalExpiration")); err == nil && !now.Before(expires) {
		return true
	}
	return false
}

// expired reads Active Directory's count of 100 nanoseconds since 1601; zero
// and the largest number mean never.
func expired(ticks int64, now time.Time) bool {
	const until1970 = 116444736000000000
	if ticks == 0 || ticks == 1<<63-1 {
		return false
	}
	ticks -= until1970
	return !now.Before(time.Unix(ticks/1e7, ticks%1e7*100))
}

// decoyDN is an entry that does not exist.
func (s *Source) decoyDN() string {
	return s.config.Users.Username + "=" + strings.ToLower(rand.Text()) + "," + s.config.Users.BaseDN
}
