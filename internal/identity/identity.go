// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

// Package identity is who logs in: the end user, the groups, and the sources
// that know them.
//
// A [Source] answers two questions: is this the person (at a login), and what
// is true of the person now (at every refresh). Its subpackages are the
// sources; the provider's endpoints see this package alone.
//
//   - identity.go: the user, and what a source is
//   - sources.go, member.go: all sources of an issuer as one
//   - lookup.go: what is true now, and what counts while a source is down
//   - names.go: the names that a user of another source has here
//   - memory.go: what is kept of them
//   - password.go, failure.go: what can be wrong
package identity

import (
	"context"
	"errors"

	"github.com/tegata/tegata/internal/oidc"
	"github.com/tegata/tegata/internal/secret"
)

// User is an end user as a source knows it at one moment.
type User struct {
	Subject       oidc.Subject // stable, never assigned to somebody else
	Username      string       // what the person types and others see
	Email         string       // may be empty
	EmailVerified bool
	Name          string              // the full name, for display; may be empty
	Groups        []string            // sorted
	Attributes    map[string][]string // what else the source knows, for the claims of clients
	Source        string              // by its name: local, or as it is configured
	Disabled      bool                // may not log in, and no token is renewed
	Epoch         int64               // another one after all logins of the user were ended
}

// The failures on which the provider decides something. Any other error of a
// source means that it could not answer.
var (
	// ErrWrongCredentials means that there is no such user or that the
	// password is another. A source takes the same time for both.
	ErrWrongCredentials = errors.New("wrong user name or password")
	// ErrDisabled means that the credentials are right and the user may not
	// log in.
	ErrDisabled = errors.New("this user is disabled")
	// ErrNotFound means that the subject does not exist, or no longer.
	ErrNotFound = errors.New("no such user")
	// ErrTooManyAttempts means that the password was not looked at: there
	// were too many failures before it.
	ErrTooManyAttempts = errors.New("too many attempts to log in")
)

// Source is where users come from. Each call may ask a network, so it is
// never made inside a database transaction.
type Source interface {
	// Authenticate returns the user whose user name or e-mail address and
	// password these are, or ErrWrongCredentials or ErrDisabled.
	Authenticate(ctx context.Context, login string, password secret.String) (User, error)
	// Lookup returns what is true of the subject now, or ErrNotFound. A
	// disabled user is returned, with Disabled set.
	Lookup(ctx context.Context, subject oidc.Subject) (User, error)
}

// Claims are what is said about the user in an ID token and at the userinfo
// endpoint (OpenID Connect Core 1.0, section 5.1), as far as the scopes go.
// groupsClaim is the name under which the groups appear; API servers accept
// any name.
func (u User) Claims(scopes oidc.Scopes, groupsClaim string) map[string]any {
	claims := map[string]any{}
	if scopes.Has(oidc.ScopeProfile) {
		claims["preferred_username"] = u.Username
		if u.Name != "" {
			claims["name"] = u.Name
		}
	}
	if scopes.Has(oidc.ScopeEmail) && u.Email != "" {
		claims["email"] = u.Email
		claims["email_verified"] = u.EmailVerified
	}
	if scopes.Has(oidc.ScopeGroups) {
		// An empty list, not a missing claim: a claim mapping that reads it
		// must find it for everybody.
		claims[groupsClaim] = append([]string{}, u.Groups...)
	}
	return claims
}
