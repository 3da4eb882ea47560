// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package oidc

import (
	"slices"
	"strings"
)

// The scopes that have a meaning here (OpenID Connect Core 1.0, sections
// 3.1.2.1, 5.4 and 11). Groups is the usual extension of Kubernetes' issuers.
const (
	ScopeOpenID        = "openid"
	ScopeProfile       = "profile"
	ScopeEmail         = "email"
	ScopeGroups        = "groups"
	ScopeOfflineAccess = "offline_access"
)

// Scopes is a set of scope values in the order in which they were asked for
// (RFC 6749, section 3.3).
type Scopes []string

// ParseScopes reads the scope parameter; repeated values count once.
func ParseScopes(text string) Scopes {
	var scopes Scopes
	for scope := range strings.FieldsSeq(text) {
		if !slices.Contains(scopes, scope) {
			scopes = append(scopes, scope)
		}
	}
	return scopes
}

// Has reports whether the set holds the scope.
func (s Scopes) Has(scope string) bool { return slices.Contains(s, scope) }

// Only returns the scopes that are also in allowed, in the order of s.
func (s Scopes) Only(allowed Scopes) Scopes {
	var both Scopes
	for _, scope := range s {
		if allowed.Has(scope) {
			both = append(both, scope)
		}
	}
	return both
}

// String is the wire form.
func (s Scopes) String() string { return strings.Join(s, " ") }
