// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package identity

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// named gives a user the names that they have here, and tells of the groups
// that are left out.
func (s *Sources) named(m Member, user User) (User, error) {
	user, leftOut, err := m.Named(user)
	if owner, taken := s.ownerOf(user.Email); taken && owner != m.Name && user.EmailVerified {
		s.Log.Warn("an e-mail address does not count as verified: its domain belongs to another source", "source", m.Name,
			"subject", string(user.Subject), "owner", owner)
		user.EmailVerified = false
	}
	for _, group := range leftOut {
		s.Log.Warn("a group was left out: its name belongs to Kubernetes, or is none", "source", m.Name, "subject", string(user.Subject), "group", group)
	}
	return user, err
}

// ownerOf is the source that has the domain of an e-mail address. No other one
// can vouch for it.
func (s *Sources) ownerOf(email string) (name string, taken bool) {
	_, domain, _ := strings.Cut(email, "@")
	for _, m := range s.Members {
		if slices.ContainsFunc(m.EmailDomains, func(d string) bool { return strings.EqualFold(d, domain) }) {
			return m.Name, true
		}
	}
	return "", false
}

// Named gives a user of the source the names that they have here. Names that
// Kubernetes keeps for itself would make anybody an administrator who can
// write into the source: such a group is left out, such a user is not let in
// (a *DeniedError).
func (m Member) Named(user User) (named User, leftOut []string, err error) {
	if !strings.HasPrefix(string(user.Subject), m.Name+":") {
		return User{}, nil, fmt.Errorf("the source %s returned the subject %q, which is not its own", m.Name, user.Subject)
	}
	user.Source = m.Name
	user.Username = m.UsernamePrefix + user.Username
	for what, name := range map[string]string{"user name": user.Username, "e-mail address": user.Email, "name": user.Name} {
		if !readable(name) || len(name) > 1024 {
			return User{}, nil, &DeniedError{"its " + what + " has characters that no name has, or is too long"}
		}
	}
	if reserved(user.Username) || reserved(user.Email) {
		return User{}, nil, &DeniedError{"names that begin with system: belong to Kubernetes"}
	}
	groups := make([]string, 0, len(user.Groups))
	for _, group := range user.Groups {
		group = m.GroupsPrefix + group
		if group == "" || reserved(group) || !readable(group) {
			leftOut = append(leftOut, group)
			continue
		}
		groups = append(groups, group)
	}
	slices.Sort(groups)
	user.Groups = slices.Compact(groups)
	return user, leftOut, nil
}

// readable reports whether a name shows what it is: neither control characters
// nor such that change the direction of a text or cannot be seen.
func readable(name string) bool {
	return utf8.ValidString(name) && !strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsPrint(r) && !unicode.Is(unicode.Zs, r) })
}

func reserved(name string) bool { return strings.HasPrefix(name, "system:") }
