// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

// Package ldap is the source of users in an LDAP directory or an Active
// Directory: OpenLDAP, 389, FreeIPA, Samba, Windows.
//
//   - ldap.go: what is asked at a login and at a refresh
//   - config.go: where the directory is and how it is laid out
//   - connections.go: few connections, kept; servers that are down are passed by
//   - groups.go: direct and nested groups, in few queries
//   - account.go: accounts that are disabled, locked or expired
//   - password.go: another password, set by the person
//   - explain.go: each question and what was found, for tegata ldap test
//
// A login costs two requests and one more for the groups, on connections that
// are open already. Every request has a deadline. What a person typed is
// escaped once, by the library's own function, where it enters a filter.
//
// Package admin makes a [Source] from the configuration; the provider's
// endpoints see it as an [identity.Source].
package ldap

import (
	"cmp"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/go-ldap/ldap/v3"

	"github.com/tegata/tegata/internal/identity"
	"github.com/tegata/tegata/internal/oidc"
	"github.com/tegata/tegata/internal/secret"
)

// Source is one directory. It implements [identity.Source] and is safe for
// concurrent use.
type Source struct {
	config Config
	pool   *pool
}

// New makes the source. It opens no connection: a directory that is down now
// may be up later.
func New(c Config) (*Source, error) {
	c, err := c.complete()
	if err != nil {
		return nil, err
	}
	return &Source{config: c, pool: newPool(c)}, nil
}

// Close closes the connections that nobody uses; the others close when they
// are given back.
func (s *Source) Close() { s.pool.close() }

// Authenticate implements [identity.Source]: it finds the one entry whose
// login attribute is what was typed, and binds as it.
func (s *Source) Authenticate(ctx context.Context, login string, password secret.String) (identity.User, error) {
	// An empty password is an anonymous bind, which succeeds (RFC 4513,
	// section 5.1.2).
	if login == "" || password.IsZero() {
		return identity.User{}, identity.ErrWrongCredentials
	}
	ctx, cancel := context.WithTimeout(ctx, s.config.deadline())
	defer cancel()
	entry, err := s.find(ctx, s.loginFilter(login))
	if errors.Is(err, identity.ErrNotFound) {
		// The same number of requests as for a user who exists. How long the
		// directory takes for each is its own affair.
		if err := s.bind(ctx, s.decoyDN(), password); err != nil && !errors.Is(err, identity.ErrWrongCredentials) {
			return identity.User{}, fmt.Errorf("binding as nobody: %w", err)
		}
		return identity.User{}, identity.ErrWrongCredentials
	}
	if err != nil {
		return identity.User{}, err
	}
	err = s.bind(ctx, entry.DN, password)
	if errors.Is(err, identity.ErrLocked) && disabled(entry, s.config.Now()) {
		err = identity.ErrDisabled // by an administrator, for good
	}
	if err != nil {
		return identity.User{}, err
	}
	user, err := s.user(ctx, entry)
	if err == nil && user.Disabled {
		return identity.User{}, identity.ErrDisabled
	}
	return user, err
}

// Lookup implements [identity.Source].
func (s *Source) Lookup(ctx context.Context, subject oidc.Subject) (identity.User, error) {
	filter, ok := s.subjectFilter(subject)
	if !ok {
		return identity.User{}, identity.ErrNotFound
	}
	ctx, cancel := context.WithTimeout(ctx, s.config.deadline())
	defer cancel()
	entry, err := s.find(ctx, filter)
	if err != nil {
		return identity.User{}, err
	}
	return s.user(ctx, entry)
}

// find returns the one entry below the users' base that the filter matches,
// or identity.ErrNotFound.
func (s *Source) find(ctx context.Context, filter string) (*ldap.Entry, error) {
	u := s.config.Users
	result, err := s.search(ctx, "the user", ldap.NewSearchRequest(
		u.BaseDN, scope(u.OneLevel), ldap.NeverDerefAliases, 2, s.config.seconds(), false,
		and(u.Filter, filter), s.userAttributes(), nil,
	))
	switch {
	case ldap.IsErrorWithCode(err, ldap.LDAPResultSizeLimitExceeded):
		return nil, ErrAmbiguous
	case ldap.IsErrorWithCode(err, ldap.LDAPResultNoSuchObject):
		return nil, fmt.Errorf("there is no users.base_dn %s in the directory, or %s may not see it", u.BaseDN, cmp.Or(s.config.BindDN, "nobody"))
	case err != nil:
		return nil, fmt.Errorf("searching for the user: %w", err)
	case len(result.Entries) == 0:
		return nil, identity.ErrNotFound
	case len(result.Entries) > 1:
		return nil, ErrAmbiguous
	}
	return result.Entries[0], nil
}

// ErrAmbiguous stops a login: it could be somebody else's.
var ErrAmbiguous error = &identity.DeniedError{Reason: "more than one entry of the directory matches"}

// user reads an entry, and asks for its groups.
func (s *Source) user(ctx context.Context, entry *ldap.Entry) (identity.User, error) {
	u := s.config.Users
	id, err := s.id(entry)
	if err != nil {
		return identity.User{}, err
	}
	username := first(entry, u.Username)
	if username == "" {
		return identity.User{}, fmt.Errorf("the entry %s has no %s, which users.username names", entry.DN, u.Username)
	}
	user := identity.User{
		Subject:  oidc.Subject(s.config.Name + ":" + id),
		Username: username,
		Email:    first(entry, u.Email), // may be absent: then there is no email claim
		Name:     first(entry, u.Name),
		Source:   s.config.Name,
		Disabled: disabled(entry, s.config.Now()),
	}
	if user.Email == "" && u.EmailSuffix != "" {
		user.Email = username + "@" + u.EmailSuffix
	}
	user.EmailVerified = user.Email != "" && !u.EmailUnverified
	for _, name := range u.Attributes {
		if values := entry.GetEqualFoldAttributeValues(name); len(values) > 0 {
			if user.Attributes == nil {
				user.Attributes = map[string][]string{}
			}
			user.Attributes[name] = values
		}
	}
	if user.Disabled {
		return user, nil // nobody asks for the groups
	}
	if user.Groups, err = s.groups(ctx, entry); err != nil {
		return identity.User{}, fmt.Errorf("searching for the groups: %w", err)
	}
	return user, nil
}

// loginFilter matches the entry that somebody means by what they typed.
func (s *Source) loginFilter(login string) string {
	var parts []string
	for _, attribute := range s.config.Users.Login {
		parts = append(parts, equal(attribute, login))
	}
	return or(parts)
}

// guid is the identifier of Active Directory, 16 bytes of which the first
// eight are in another order than they are written (RFC 4122 writes them; MS-DTYP,
// section 2.3.4).
const guid = "objectguid"

var guidOrder = [16]int{3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15}

// id is what identifies the entry for ever.
func (s *Source) id(entry *ldap.Entry) (string, error) {
	name := s.config.Users.ID
	if strings.EqualFold(name, guid) {
		raw := entry.GetEqualFoldRawAttributeValue(name)
		if len(raw) != 16 {
			return "", fmt.Errorf("the entry %s has an %s of %d bytes, not 16", entry.DN, name, len(raw))
		}
		var ordered [16]byte
		for to, from := range guidOrder {
			ordered[to] = raw[from]
		}
		text := hex.EncodeToString(ordered[:])
		return strings.Join([]string{text[:8], text[8:12], text[12:16], text[16:20], text[20:]}, "-"), nil
	}
	id := first(entry, name)
	if id == "" {
		return "", fmt.Errorf("the entry %s has no %s, which users.id names", entry.DN, name)
	}
	return id, nil
}

// subjectFilter matches the entry of the subject. It reports false for what is
// none of this source.
func (s *Source) subjectFilter(subject oidc.Subject) (string, bool) {
	id, ok := strings.CutPrefix(string(subject), s.config.Name+":")
	if !ok || id == "" {
		return "", false
	}
	return s.idFilter(id)
}

// idFilter matches the entry of the ID. It reports false for what is none.
func (s *Source) idFilter(id string) (string, bool) {
	name := s.config.Users.ID
	if !strings.EqualFold(name, guid) {
		return equal(name, id), true
	}
	written, err := hex.DecodeString(strings.ReplaceAll(id, "-", ""))
	if err != nil || len(written) != 16 {
		return "", false
	}
	var filter strings.Builder
	for _, from := range guidOrder { // the order is its own inverse
		fmt.Fprintf(&filter, `\%02x`, written[from])
	}
	return "(" + name + "=" + filter.String() + ")", true
}

func (s *Source) userAttributes() []string {
	u := s.config.Users
	names := append([]string{u.ID, u.Username, u.Email, u.Name}, u.Attributes...)
	names = append(names, accountAttributes()...)
	if s.config.Groups.MemberOf != "" {
		names = append(names, s.config.Groups.MemberOf)
	}
	for _, matcher := range s.config.Groups.Matchers {
		names = append(names, matcher.User)
	}
	names = slices.DeleteFunc(names, func(name string) bool { return name == "" || isDN(name) })
	slices.Sort(names)
	return slices.Compact(names)
}

// isDN reports whether an attribute's name stands for the entry's own name.
func isDN(name string) bool { return strings.EqualFold(name, "dn") }

// first is the first value of an attribute, in whatever case its name comes.
func first(entry *ldap.Entry, name string) string {
	if name == "" {
		return ""
	}
	return entry.GetEqualFoldAttributeValue(name)
}

func scope(oneLevel bool) int {
	if oneLevel {
		return ldap.ScopeSingleLevel
	}
	return ldap.ScopeWholeSubtree
}

// The parts of a filter (RFC 4515). Values are escaped here and nowhere else.

func equal(attribute, value string) string {
	return "(" + attribute + "=" + ldap.EscapeFilter(value) + ")"
}

func and(filters ...string) string {
	filters = slices.DeleteFunc(filters, func(filter string) bool { return filter == "" })
	if len(filters) == 1 {
		return filters[0]
	}
	return "(&" + strings.Join(filters, "") + ")"
}

func or(filters []string) string {
	if len(filters) == 1 {
		return filters[0]
	}
	return "(|" + strings.Join(filters, "") + ")"
}
