// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package upstream

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/tegata/tegata/internal/identity"
)

// merged are the claims of two documents; those of the later one win. Whether
// the address is verified is said by the document that has the address: the
// other one may speak of another.
func (c OIDCConfig) merged(first, then claimSet) claimSet {
	all := claimSet{}
	maps.Copy(all, first)
	maps.Copy(all, then)
	speaker := first
	if then.has(c.Claims.Email) {
		speaker = then
	}
	for _, name := range []string{c.Claims.Email, c.Claims.EmailVerified} {
		all[name], _ = speaker.value(name) // nil is a claim that is missing
	}
	return all
}

// value is the claim of that name; or, if there is none, what lies at the end
// of the path. A name with a dot in it is tried whole before it is cut, so
// that resource_access.my.client.roles finds the client my.client.
func (c claimSet) value(name string) (any, bool) {
	if value, ok := c[name]; ok {
		return value, value != nil
	}
	for i, letter := range name {
		if letter != '.' {
			continue
		}
		if inner, ok := c[name[:i]].(map[string]any); ok {
			if value, ok := claimSet(inner).value(name[i+1:]); ok {
				return value, true
			}
		}
	}
	return nil, false
}

func (c claimSet) has(name string) bool {
	_, ok := c.value(name)
	return ok
}

// text is a claim that is a text; empty if it is missing or something else.
func (c claimSet) text(name string) string {
	value, _ := c.value(name)
	text, _ := value.(string)
	return text
}

// list reads a claim that is a list of texts, or one text. It reports false if
// the claim is missing, and fails if it is something else: nobody logs in with
// half of their groups.
func (c claimSet) list(name string) ([]string, bool, error) {
	value, ok := c.value(name)
	if !ok {
		return nil, false, nil
	}
	switch value := value.(type) {
	case string:
		return tidy([]string{value}), true, nil
	case []any:
		texts := make([]string, len(value))
		for i, entry := range value {
			if texts[i], ok = entry.(string); !ok {
				return nil, true, fmt.Errorf("the claim %s holds something else than texts; name another one under claims", plain(name))
			}
		}
		return tidy(texts), true, nil
	}
	return nil, true, fmt.Errorf("the claim %s is no list of texts; name another one under claims", plain(name))
}

// tidy sorts, and drops what is empty or twice there.
func tidy(texts []string) []string {
	slices.Sort(texts)
	return slices.DeleteFunc(slices.Compact(texts), func(text string) bool { return text == "" })
}

// truth reads a claim that is true or false. Some providers write it as a
// text.
func (c claimSet) truth(name string) (value, known bool) {
	found, _ := c.value(name)
	switch found := found.(type) {
	case bool:
		return found, true
	case string:
		return strings.EqualFold(found, "true"), true
	}
	return false, false
}

// integer is a number that a user's ID may be.
var integer = regexp.MustCompile(`^[0-9]+$`)

// id is a claim that identifies the user: a text, or a whole number.
func (c claimSet) id(name string) (string, error) {
	value, ok := c.value(name)
	switch value := value.(type) {
	case string:
		return value, nil
	case json.Number:
		if integer.MatchString(value.String()) {
			return value.String(), nil
		}
	}
	if !ok {
		return "", fmt.Errorf("the provider says nothing of the claim %s, which claims.id names", plain(name))
	}
	return "", fmt.Errorf("the claim %s, which claims.id names, is neither a text nor a whole number", plain(name))
}

// user maps claims to a user, and refuses who may not come. The groups have
// been found already.
func (c OIDCConfig) user(claims claimSet, groups []string) (identity.User, error) {
	// 1. Who.
	id, err := claims.id(c.Claims.ID)
	if err != nil {
		return identity.User{}, err
	}
	user := identity.User{
		Name: claims.text(c.Claims.Name), Email: claims.text(c.Claims.Email), Groups: groups, Source: c.Name,
	}
	if user.Subject, err = subject(c.Name, id); err != nil {
		return identity.User{}, err
	}
	verified, known := claims.truth(c.Claims.EmailVerified)
	user.EmailVerified = user.Email != "" && (verified || !known && c.AssumeEmailVerified)

	// 2. By which name. An address that nobody verified is no name: people
	// could take each other's.
	switch c.Claims.Username {
	case "":
		user.Username = claims.text("preferred_username")
		if user.Username == "" && user.EmailVerified {
			user.Username = user.Email
		}
	case c.Claims.Email:
		if !user.EmailVerified && user.Email != "" {
			return identity.User{}, errors.New("the user name is the e-mail address, and the provider does not say that it is verified; have it say email_verified, or set assume_email_verified if it verifies all")
		}
		user.Username = user.Email
	default:
		user.Username = claims.text(c.Claims.Username)
	}
	if user.Username == "" {
		name := c.Claims.Username
		if name == "" {
			name = "preferred_username, and no verified e-mail address"
		}
		return identity.User{}, fmt.Errorf("the provider gave no user name: there is no claim %s; name another claim with claims.username", name)
	}
	if strings.ContainsFunc(user.Username+user.Email+user.Name, func(letter rune) bool { return letter < 0x20 || letter == 0x7f }) {
		return identity.User{}, errors.New("the user name, the e-mail address or the name has control characters in it")
	}

	// 3. What else.
	for _, name := range c.Attributes {
		values, ok, err := claims.list(name)
		if err != nil {
			return identity.User{}, err
		}
		if ok {
			if user.Attributes == nil {
				user.Attributes = map[string][]string{}
			}
			user.Attributes[name] = values
		}
	}

	// 4. Whether they may come.
	if len(c.HostedDomains) > 0 {
		hosted := claims.text("hd")
		if !slices.ContainsFunc(c.HostedDomains, func(domain string) bool { return hosted != "" && strings.EqualFold(domain, hosted) }) {
			return identity.User{}, &NotAllowedError{"only accounts of certain organizations may log in from there, and this account is of none of them"}
		}
	}
	return user, c.Admission.refuse(user.Email, user.EmailVerified, user.Groups)
}
