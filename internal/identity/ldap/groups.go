// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package ldap

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/go-ldap/ldap/v3"
)

const (
	maxLevels     = 32   // of groups in groups
	maxGroups     = 5000 // of one user; an API server refuses a far smaller token
	namesPerQuery = 100  // of groups whose groups are asked for at once
)

// inChain makes Active Directory follow memberships to their end (MS-ADTS,
// section 3.1.1.3.4.4.2).
const inChain = ":1.2.840.113556.1.4.1941:"

// found is the groups of a user by their distinguished names.
type found struct {
	names map[string]string // normalized DN → name; empty until it is known
	order []string          // the DNs as the directory writes them, for the next level
}

func (f *found) add(dn, name string) bool {
	key := normalize(dn)
	if known, ok := f.names[key]; ok {
		if known == "" {
			f.names[key] = name
		}
		return false
	}
	f.names[key] = name
	f.order = append(f.order, dn)
	return true
}

// groups returns the names of the groups of the user, sorted, each once.
func (s *Source) groups(ctx context.Context, user *ldap.Entry) ([]string, error) {
	g := s.config.Groups
	groups := &found{names: map[string]string{}}
	if g.MemberOf != "" {
		for _, dn := range user.GetEqualFoldAttributeValues(g.MemberOf) {
			groups.add(dn, s.nameIn(dn))
		}
	}
	if g.BaseDN != "" && (g.MemberOf == "" || g.Nested == InChain) {
		if err := s.searchGroups(ctx, "the groups of the user", s.memberFilter(user), groups); err != nil {
			return nil, err
		}
	}
	if g.Nested == Walk {
		if err := s.walk(ctx, groups); err != nil {
			return nil, err
		}
	}
	if err := s.nameThem(ctx, groups); err != nil {
		return nil, err
	}
	var names []string
	for _, name := range groups.names {
		if name != "" {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}

// memberFilter matches the groups that hold the user, by any of the matchers.
func (s *Source) memberFilter(user *ldap.Entry) string {
	var parts []string
	for _, matcher := range s.config.Groups.Matchers {
		if isDN(matcher.User) {
			attribute := matcher.Group
			if s.config.Groups.Nested == InChain {
				attribute += inChain
			}
			parts = append(parts, equal(attribute, user.DN))
			continue
		}
		for _, value := range user.GetEqualFoldAttributeValues(matcher.User) {
			parts = append(parts, equal(matcher.Group, value))
		}
	}
	if len(parts) == 0 {
		return ""
	}
	return or(parts)
}

// searchGroups adds the groups that match. An empty filter matches none: a
// user without the attribute has no groups.
func (s *Source) searchGroups(ctx context.Context, what, filter string, groups *found) error {
	if filter == "" {
		return nil
	}
	g := s.config.Groups
	attributes := []string{g.Name}
	if isDN(g.Name) {
		attributes = []string{"1.1"} // none (RFC 4511, section 4.5.1.8)
	}
	result, err := s.searchAll(ctx, what, ldap.NewSearchRequest(
		g.BaseDN, scope(g.OneLevel), ldap.NeverDerefAliases, 0, s.config.seconds(), false,
		and(g.Filter, filter), attributes, nil,
	))
	if ldap.IsErrorWithCode(err, ldap.LDAPResultNoSuchObject) {
		return fmt.Errorf("there is no groups.base_dn %s in the directory", g.BaseDN)
	}
	if err != nil {
		return err
	}
	for _, entry := range result.Entries {
		name := entry.DN
		if !isDN(g.Name) {
			name = first(entry, g.Name)
		}
		groups.add(entry.DN, name)
	}
	if len(groups.names) > maxGroups {
		return fmt.Errorf("more than %d groups; narrow groups.filter", maxGroups)
	}
	return nil
}

// walk adds the groups of the groups, a level at a time.
func (s *Source) walk(ctx context.Context, groups *found) error {
	member := s.config.Groups.memberAttribute()
	for level, from := 1, 0; from < len(groups.order); level++ {
		if level > maxLevels {
			return fmt.Errorf("groups are nested more than %d deep", maxLevels)
		}
		names := groups.order[from:]
		from = len(groups.order)
		for chunk := range slices.Chunk(names, namesPerQuery) {
			var parts []string
			for _, dn := range chunk {
				parts = append(parts, equal(member, dn))
			}
			if err := s.searchGroups(ctx, fmt.Sprintf("groups of groups, level %d", level), or(parts), groups); err != nil {
				return err
			}
		}
	}
	return nil
}

// nameIn is the name of a group as far as its DN tells it.
func (s *Source) nameIn(dn string) string {
	if isDN(s.config.Groups.Name) {
		return dn
	}
	parsed, err := ldap.ParseDN(dn)
	if err != nil || len(parsed.RDNs) == 0 {
		return ""
	}
	for _, part := range parsed.RDNs[0].Attributes {
		if strings.EqualFold(part.Type, s.config.Groups.Name) {
			return part.Value
		}
	}
	return ""
}

// nameThem asks for the names of groups of which only the DN is known.
func (s *Source) nameThem(ctx context.Context, groups *found) error {
	for _, dn := range groups.order {
		if groups.names[normalize(dn)] != "" {
			continue
		}
		result, err := s.search(ctx, "the name of a group", ldap.NewSearchRequest(
			dn, ldap.ScopeBaseObject, ldap.NeverDerefAliases, 1, s.config.seconds(), false,
			"(objectClass=*)", []string{s.config.Groups.Name}, nil,
		))
		if ldap.IsErrorWithCode(err, ldap.LDAPResultNoSuchObject) {
			continue // deleted in the meantime
		}
		if err != nil {
			return err
		}
		if len(result.Entries) == 1 {
			groups.add(dn, first(result.Entries[0], s.config.Groups.Name))
		}
	}
	return nil
}

// normalize is one spelling for a DN: directories differ in case and in the
// spaces after commas.
func normalize(dn string) string {
	parsed, err := ldap.ParseDN(dn)
	if err != nil {
		return strings.ToLower(dn)
	}
	return strings.ToLower(parsed.String())
}
