// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package ldap

import (
	"cmp"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/go-ldap/ldap/v3"

	"github.com/tegata/tegata/internal/secret"
)

// Config is where the directory is, and how it is laid out.
type Config struct {
	// Name tells the sources of an issuer apart. It begins the subjects of
	// its users, NAME:ID, and must not change.
	Name string

	// Servers are tried in this order: ldaps://HOST[:PORT], or
	// ldap://HOST[:PORT]. The ports are 636 and 389.
	Servers []string
	// StartTLS secures ldap:// connections (RFC 4511, section 4.14). Without
	// it they are refused, unless Plain allows passwords in the clear.
	StartTLS bool
	Plain    bool
	TLS      *tls.Config // nil: the system's authorities

	// The account that searches; both empty: anonymous.
	BindDN       string
	BindPassword secret.String

	Timeout     time.Duration // of one request and of one connection attempt; 0: 5 seconds
	Connections int           // at the most, of each kind; 0: 8

	Users     Users
	Groups    Groups
	Passwords PasswordChange

	Now func() time.Time
}

// PasswordChange is how people change their own password.
type PasswordChange string

// The ways; empty: they cannot.
const (
	Extended PasswordChange = "extended" // the operation of RFC 3062
	Unicode  PasswordChange = "unicode"  // Active Directory's attribute
)

// Layout is a kind of directory, whose names are the defaults.
type Layout string

// The layouts.
const (
	OpenLDAP        Layout = "openldap"
	ActiveDirectory Layout = "active-directory"
	FreeIPA         Layout = "freeipa"
)

// Users is where users are found.
type Users struct {
	BaseDN   string
	OneLevel bool     // only directly below BaseDN
	Filter   string   // must match too; empty: every entry
	Login    []string // attributes that hold what people type
	ID       string   // attribute that never changes and is never given to another
	Username string   // attribute
	Name     string   // attribute; may be absent from an entry

	Email           string // attribute; may be absent from an entry
	EmailSuffix     string // then the address is USERNAME@EmailSuffix
	EmailUnverified bool

	Attributes []string // for the claims of clients
}

// Groups is where groups are found. An empty BaseDN and an empty MemberOf
// mean that nobody has any.
type Groups struct {
	BaseDN   string
	OneLevel bool
	Filter   string
	Name     string // attribute, or dn for the whole name
	// Matchers are pairs of attributes that are equal in a user and in the
	// groups of the user; any of them makes a member.
	Matchers []Matcher
	// MemberOf is the attribute of a user that lists the names of the
	// groups, so that no search is needed for the direct ones.
	MemberOf string
	Nested   Nesting
}

// Matcher says when a user is a member of a group.
type Matcher struct {
	User  string // attribute of the user, or dn
	Group string // attribute of the group
}

// Nesting says how the groups of groups are found.
type Nesting string

// The ways.
const (
	NotNested Nesting = ""
	Walk      Nesting = "walk"     // one query for each level
	InChain   Nesting = "in-chain" // one query; only Active Directory knows it
)

// Defaults are the names that a layout uses. The base names are nobody's.
func Defaults(layout Layout) (Users, Groups, error) {
	switch layout {
	case OpenLDAP, "":
		return Users{
			Filter: "(objectClass=person)", Login: []string{"uid"},
			ID: "entryUUID", Username: "uid", Email: "mail", Name: "cn",
		}, Groups{
			Filter: "(|(objectClass=groupOfNames)(objectClass=posixGroup)(objectClass=groupOfUniqueNames))", Name: "cn",
			Matchers: []Matcher{{"dn", "member"}, {"dn", "uniqueMember"}, {"uid", "memberUid"}},
		}, nil
	case ActiveDirectory:
		return Users{
			Filter: "(&(objectCategory=person)(objectClass=user))", Login: []string{"sAMAccountName", "userPrincipalName"},
			ID: "objectGUID", Username: "sAMAccountName", Email: "mail", Name: "displayName",
		}, Groups{
			Filter: "(objectCategory=group)", Name: "cn",
			Matchers: []Matcher{{"dn", "member"}}, Nested: InChain,
		}, nil
	case FreeIPA:
		return Users{
			Filter: "(objectClass=posixAccount)", Login: []string{"uid"},
			ID: "ipaUniqueID", Username: "uid", Email: "mail", Name: "cn",
		}, Groups{
			Filter: "(objectClass=ipausergroup)", Name: "cn",
			Matchers: []Matcher{{"dn", "member"}}, Nested: Walk,
		}, nil
	}
	return Users{}, Groups{}, fmt.Errorf("there is no layout %q; openldap, active-directory and freeipa are known", layout)
}

// attributeName is what RFC 4512, section 1.4, calls a descr.
var attributeName = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9-]*$`)

// Validate tells what cannot work, or returns nil.
func (c Config) Validate() error {
	_, err := c.complete()
	return err
}

// complete fills in what may be left out, and refuses what cannot work.
func (c Config) complete() (Config, error) {
	if c.Name == "" || strings.ContainsAny(c.Name, ": \t\n") {
		return c, fmt.Errorf("a source needs a name without spaces and colons, not %q", c.Name)
	}
	if len(c.Servers) == 0 {
		return c, errors.New("servers must name at least one, such as ldaps://ldap.example.com")
	}
	for _, server := range c.Servers {
		if err := c.checkServer(server); err != nil {
			return c, err
		}
	}
	if c.BindDN == "" && !c.BindPassword.IsZero() || c.BindDN != "" && c.BindPassword.IsZero() {
		return c, errors.New("bind_dn and its password go together; leave out both to search anonymously")
	}
	names := map[string]string{
		"users.base_dn": c.Users.BaseDN, "groups.base_dn": c.Groups.BaseDN, "bind_dn": c.BindDN,
	}
	for key, name := range names {
		if key == "bind_dn" && !strings.Contains(name, "=") {
			continue // Active Directory also takes alice@example.com
		}
		if _, err := ldap.ParseDN(name); err != nil {
			return c, fmt.Errorf("%s: %q is no distinguished name: %w", key, name, err)
		}
	}
	if c.Users.BaseDN == "" {
		return c, errors.New("users.base_dn says below which entry the users are, such as ou=people,dc=example,dc=com")
	}
	if len(c.Users.Login) == 0 || c.Users.ID == "" || c.Users.Username == "" {
		return c, errors.New("users.login, users.id and users.username must name attributes")
	}
	if isDN(c.Users.ID) {
		return c, errors.New("users.id must name an attribute: a user who moves to another place in the tree is still the same, and a name is given again")
	}
	for key, filter := range map[string]string{"users.filter": c.Users.Filter, "groups.filter": c.Groups.Filter} {
		if filter == "" {
			continue
		}
		if _, err := ldap.CompileFilter(filter); err != nil {
			return c, fmt.Errorf("%s: %q is no filter: %w", key, filter, err)
		}
	}
	if err := c.Groups.check(); err != nil {
		return c, err
	}
	attributes := slices.Concat(c.Users.Login, c.Users.Attributes, []string{c.Users.ID, c.Users.Username, c.Users.Email, c.Users.Name, c.Groups.Name, c.Groups.MemberOf})
	for _, matcher := range c.Groups.Matchers {
		attributes = append(attributes, matcher.User, matcher.Group)
	}
	for _, name := range attributes {
		if name != "" && !attributeName.MatchString(name) {
			return c, fmt.Errorf("%q is no name of an attribute", name)
		}
	}
	c.Timeout = cmp.Or(c.Timeout, 5*time.Second)
	c.Connections = cmp.Or(c.Connections, 8)
	if c.Passwords != "" && c.Passwords != Extended && c.Passwords != Unicode {
		return c, fmt.Errorf("password_change: there is no way %q; extended and unicode are known", c.Passwords)
	}
	if c.Timeout < 0 || c.Connections < 0 {
		return c, errors.New("timeout and connections must be positive")
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.TLS == nil {
		c.TLS = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	return c, nil
}

func (c Config) checkServer(server string) error {
	u, err := url.Parse(server)
	switch {
	case err != nil || u.Hostname() == "" || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.User != nil:
		return fmt.Errorf("%q is no server; ldaps://HOST or ldap://HOST is, with a port if need be", server)
	case u.Scheme == "ldaps":
		return nil
	case u.Scheme != "ldap":
		return fmt.Errorf("%q is no server; it must begin with ldaps:// or ldap://", server)
	case !c.StartTLS && !c.Plain:
		return fmt.Errorf("%s would carry passwords in the clear; use ldaps://, or start_tls: true", server)
	}
	return nil
}

func (g Groups) check() error {
	search := len(g.Matchers) > 0
	switch {
	case g.BaseDN == "" && g.MemberOf == "":
		return nil // no groups
	case g.Name == "":
		return errors.New("groups.name must name the attribute that holds a group's name, or be dn")
	case g.BaseDN == "" && g.Nested != NotNested:
		return errors.New("groups.nested needs groups.base_dn, below which groups are searched")
	case g.BaseDN != "" && !search && g.MemberOf == "":
		return errors.New("groups.matchers must say which attributes make a user a member")
	case g.Nested != NotNested && g.Nested != Walk && g.Nested != InChain:
		return fmt.Errorf("groups.nested is %q; walk and in-chain are known", g.Nested)
	}
	for _, matcher := range g.Matchers {
		if matcher.User == "" || matcher.Group == "" {
			return errors.New("each of groups.matchers needs user and group")
		}
	}
	if g.Nested != NotNested && g.memberAttribute() == "" {
		return errors.New("groups.nested needs a matcher with user: dn, because groups hold each other by their names")
	}
	return nil
}

// memberAttribute is the attribute by which a group holds entries by name.
func (g Groups) memberAttribute() string {
	for _, matcher := range g.Matchers {
		if isDN(matcher.User) {
			return matcher.Group
		}
	}
	return ""
}

// deadline is how long a login or a lookup may take in all: enough to find
// one server stalled and to ask the next.
func (c Config) deadline() time.Duration { return 3 * c.Timeout }

// seconds is the limit that the server is told, so that it does not go on
// for nobody.
func (c Config) seconds() int { return max(1, int(c.Timeout/time.Second)) }

// address is where to dial.
func address(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = "636"
		if u.Scheme == "ldap" {
			port = "389"
		}
	}
	return net.JoinHostPort(u.Hostname(), port)
}
