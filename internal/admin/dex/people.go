// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package dex

import (
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"

	"github.com/tegata/tegata/internal/identity/local"
)

// localConnector is the ID that Dex gives its own users.
const localConnector = "local"

// people are the static passwords, and the groups that they name.
func (c *conversion) people(root *section, enabled bool) {
	all := root.sections("staticPasswords")
	if len(all) > 0 && !enabled {
		root.file.refuse(root.lineOf("staticPasswords"), "set enablePasswordDB: true, or take them out", "staticPasswords need enablePasswordDB; Dex does not start with this file either")
		return
	}
	names, emails, subjects, groups := once{}, once{}, once{}, once{}
	var members []Group
	for _, s := range all {
		user, belongs, ok := c.person(s, names, emails, subjects)
		if !ok {
			continue
		}
		for _, group := range belongs {
			if groups.first(group) {
				members = append(members, Group{Name: group})
			}
			n := slices.IndexFunc(members, func(g Group) bool { return strings.EqualFold(g.Name, group) })
			if !slices.Contains(members[n].Members, user.Username) {
				members[n].Members = append(members[n].Members, user.Username)
			}
		}
	}
	for _, group := range members {
		c.putOr(root, "staticPasswords", "name the group in another way, in the roles of the clusters too", func(o *Config) { o.Groups = append(o.Groups, group) })
	}
}

func (c *conversion) person(s *section, names, emails, subjects once) (User, []string, bool) {
	email, username, full := s.text("email"), s.text("username"), s.text("name")
	preferred, id, belongs := s.text("preferredUsername"), s.text("userID"), s.texts("groups")
	user := User{Email: email, Name: full, PasswordHash: c.passwordHash(s)}
	if user.Name == "" {
		user.Name = username // the claim name, as it was
	}
	if s.find("emailVerified") != nil {
		if verified := s.flag("emailVerified"); !verified {
			user.EmailVerified = &verified
		}
	}
	if !emails.first(email) {
		c.missing(s, "email", fmt.Sprintf("%.100q is there already, so this user was left out", email), "")
		return user, nil, false
	}
	part, _, _ := strings.Cut(email, "@")
	user.Username = free(names, preferred, username, part)
	if wanted := preferred; wanted != "" && wanted != user.Username {
		c.changed(s, "preferredUsername", fmt.Sprintf("the claim preferred_username is the user name, which is %q", user.Username))
	}
	subject := Subject(id, localConnector)
	switch {
	case id == "":
		c.changed(s, "userID", "without one, the claim sub is new")
	case len(subject) > 255:
		c.missing(s, "userID", "it is too long for the claim sub, which is new", "look for bindings to the old one")
	case !subjects.first("=" + subject):
		c.missing(s, "userID", "another user has the same; the claim sub of this one is new", "look for bindings to the old one: they are the other user's")
	default:
		user.Subject = subject
	}
	ok := c.putOr(s, "", fmt.Sprintf("mend it, or: tegata user add %s", user.Username), func(o *Config) { o.Users = append(o.Users, user) })
	return user, belongs, ok
}

// free is the first name that a user may have and nobody has yet. What Dex
// calls a user name is often a full name.
func free(taken once, names ...string) string {
	for _, name := range names {
		if local.CheckUsername(name) == nil && !strings.Contains(name, " ") && taken.first(name) {
			return name
		}
	}
	base := "user"
	for _, name := range names {
		if made := fit(name); made != "" {
			base = made
		}
	}
	name := base
	for n := 2; !taken.first(name); n++ {
		name = fmt.Sprintf("%s-%d", base, n)
	}
	return name
}

// passwordHash is a bcrypt hash, which Dex also takes in base64.
func (c *conversion) passwordHash(s *section) string {
	hash, key := s.text("hash"), "hash"
	if name := s.text("hashFromEnv"); hash == "" && name != "" {
		key = "hashFromEnv"
		found, ok := c.options.Lookup(name)
		if !ok {
			c.next(s, key, fmt.Sprintf("the hash of the password is in the environment variable %q, which is not set now", name), "set it for this command, and import again")
			return ""
		}
		c.changed(s, key, "the hash of the password was read from the environment now; it is not read again when the server starts")
		hash = found
	}
	if decoded, err := base64.StdEncoding.DecodeString(hash); err == nil && local.CheckHash(hash) != nil {
		hash = string(decoded)
	}
	if err := local.CheckHash(hash); err != nil || !printable(hash) {
		c.next(s, key, "the hash of the password is none that can be used, so this user cannot log in", "make another: tegata user hash-password")
		return ""
	}
	return hash
}

// Subject is the claim sub that Dex makes of a user's ID and a connector's: a
// protocol buffer of two texts with the numbers 1 and 2, in base64url.
func Subject(userID, connector string) string {
	var message []byte
	for n, text := range []string{userID, connector} {
		if text != "" {
			message = append(message, byte(n+1)<<3|2)
			message = binary.AppendUvarint(message, uint64(len(text)))
			message = append(message, text...)
		}
	}
	return base64.RawURLEncoding.EncodeToString(message)
}
