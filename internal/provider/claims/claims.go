// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

// Package claims is what a client is told of an end user: the claims of the
// scopes (OpenID Connect Core 1.0, section 5.4), the groups as the client
// wants them, and further claims that an administrator set for it.
//
// The endpoints token and userinfo use it, so that an ID token and userinfo
// say the same. Claims of the protocol are none of its business.
package claims

import (
	"cmp"
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/tegata/tegata/internal/clientregistry"
	"github.com/tegata/tegata/internal/clientregistry/expression"
	"github.com/tegata/tegata/internal/identity"
	"github.com/tegata/tegata/internal/oidc"
)

// Claims makes the claims of one issuer. It is safe for concurrent use.
type Claims struct {
	GroupsClaim string // unless the client has its own

	expressions expression.Cache
}

// Of is what the client is told of the user, as far as the scopes go. Further
// claims belong to no scope. An error means that an expression cannot be
// evaluated for this user: then the client gets no token rather than one that
// lacks what somebody's access is decided by.
func (c *Claims) Of(ctx context.Context, user identity.User, client clientregistry.Client, scopes oidc.Scopes) (map[string]any, error) {
	groups, err := groupsFor(client, user.Groups)
	if err != nil {
		return nil, fmt.Errorf("the groups for client %q: %w", client.ID, err)
	}
	user.Groups = groups
	all := user.Claims(scopes, cmp.Or(client.GroupsClaim, c.GroupsClaim))
	return c.further(ctx, all, user, client)
}

// OfClient is what a client is told of itself (RFC 6749, section 4.4): it has
// no name, no address and no groups but those that its further claims give it.
// So a client that is called like a person is not taken for the person.
func (c *Claims) OfClient(ctx context.Context, client clientregistry.Client) (map[string]any, error) {
	all := map[string]any{cmp.Or(client.GroupsClaim, c.GroupsClaim): []string{}}
	return c.further(ctx, all, identity.User{Subject: oidc.Subject(client.ID)}, client)
}

// further adds the further claims. One of the name of a scope's claim takes
// its place, also if nothing is left of it.
func (c *Claims) further(ctx context.Context, all map[string]any, user identity.User, client clientregistry.Client) (map[string]any, error) {
	for name, claim := range client.Claims {
		value, err := c.value(ctx, claim, user, client)
		if err != nil {
			return nil, fmt.Errorf("claim %q for client %q: %w", name, client.ID, err)
		}
		if value == nil {
			delete(all, name)
		} else {
			all[name] = value
		}
	}
	return all, nil
}

// value is one further claim. nil means that there is none.
func (c *Claims) value(ctx context.Context, claim clientregistry.Claim, user identity.User, client clientregistry.Client) (any, error) {
	switch {
	case len(claim.Value) > 0: // the administrator's own word
		return claim.Value, nil
	case claim.Attribute != "":
		switch values := slices.DeleteFunc(slices.Clone(user.Attributes[claim.Attribute]), reserved); len(values) {
		case 0:
			return nil, nil
		case 1:
			return values[0], nil
		default:
			return values, nil
		}
	}
	program, err := c.expressions.Compile(claim.Expression)
	if err != nil {
		return nil, err
	}
	value, err := program.Evaluate(ctx, expression.User{
		Subject:       string(user.Subject),
		Username:      user.Username,
		Email:         user.Email,
		EmailVerified: user.EmailVerified,
		Name:          user.Name,
		Groups:        user.Groups,
		Attributes:    user.Attributes,
	}, string(client.ID))
	if err != nil {
		return nil, err
	}
	return withoutReserved(value), nil
}

// reserved reports whether Kubernetes keeps the name for itself. An API server
// that sets no prefix would believe it: no source, no prefix, no attribute and
// no expression brings one into a token.
func reserved(name string) bool { return strings.HasPrefix(name, "system:") }

// withoutReserved leaves names of Kubernetes out of what an expression gave,
// however deep they stand: an API server may read claims by an expression of
// its own.
func withoutReserved(value any) any {
	isReserved := func(part any) bool { name, ok := part.(string); return ok && reserved(name) }
	switch v := value.(type) {
	case string:
		if reserved(v) {
			return nil
		}
	case []any:
		v = slices.DeleteFunc(v, isReserved)
		for n, part := range v {
			v[n] = withoutReserved(part)
		}
		return v
	case map[string]any:
		for name, part := range v {
			if isReserved(part) || reserved(name) {
				delete(v, name)
			} else {
				v[name] = withoutReserved(part)
			}
		}
	}
	return value
}

// groupsFor are the groups that the client is told of: those that its filter
// lets through, with its prefix, and none that is [reserved].
func groupsFor(client clientregistry.Client, groups []string) ([]string, error) {
	var filter *regexp.Regexp
	if client.GroupsFilter != "" {
		var err error
		if filter, err = clientregistry.CompileGroupsFilter(client.GroupsFilter); err != nil {
			return nil, err
		}
	}
	told := make([]string, 0, len(groups))
	for _, group := range groups {
		if filter != nil && !filter.MatchString(group) {
			continue
		}
		if name := client.GroupsPrefix + group; !reserved(name) {
			told = append(told, name)
		}
	}
	return told, nil
}
