// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package dex

import (
	"fmt"
	"net"
	"slices"
	"strings"

	"github.com/tegata/tegata/internal/secret"
)

// inChain is Active Directory's rule for groups in groups (MS-ADTS, section
// 3.1.1.3.4.4.3).
const inChain = ":1.2.840.113556.1.4.1941:"

func (c *conversion) ldap(s *section, source *Source) {
	l := &LDAP{ClientCertificate: c.path(s, "clientCert"), ClientKey: c.path(s, "clientKey"), CA: c.path(s, "rootCA"), BindDN: c.expanded(s, "bindDN")}
	source.LDAP = l
	c.directory(s, l, source.Name)
	if content := s.bytes("rootCAData"); len(content) > 0 {
		l.CA = source.Name + ".ca.pem"
		c.beside(s, "rootCAData", l.CA, "the authority of the directory, in PEM", secret.New(string(content)))
	}
	l.BindPasswordFile, l.BindPasswordEnv = c.kept(s, "bindPW", source.Name+".bind-password", "the password of the account that searches")
	if s.has("usernamePrompt") {
		c.changed(s, "usernamePrompt", "the field of the login page has a label of its own")
	}
	if s.has("kerberos") {
		c.missing(s, "kerberos", "nobody is logged in by a Kerberos ticket", "people type their password; a browser asks again when its session ends")
	}
	c.directoryUsers(s.section("userSearch"), l)
	if groups := s.section("groupSearch"); groups.has("baseDN") {
		c.directoryGroups(groups, l)
	}
}

// directory is where the server is, and how it is spoken to.
func (c *conversion) directory(s *section, l *LDAP, name string) {
	named := c.expanded(s, "host")
	host, port, err := net.SplitHostPort(named)
	if err != nil {
		host, port = strings.Trim(named, "[]"), ""
	}
	plain, startTLS := s.flag("insecureNoSSL"), s.flag("startTLS")
	scheme, usual := "ldaps", "636"
	switch {
	case plain && startTLS:
		c.changed(s, "insecureNoSSL", "Dex sends passwords in the clear, although startTLS is there; here startTLS counts")
		plain = false
	case startTLS && port == "":
		c.changed(s, "startTLS", "Dex speaks it at port 636 if none is named; it is 389")
	}
	if plain || startTLS {
		scheme, usual = "ldap", "389"
	}
	l.StartTLS, l.Plaintext = startTLS, plain
	if port == usual {
		port = ""
	}
	address := host
	switch {
	case port != "":
		address = net.JoinHostPort(host, port)
	case strings.Contains(host, ":"):
		address = "[" + host + "]"
	}
	l.Servers = []string{scheme + "://" + address}
	if s.flag("insecureSkipVerify") && !plain {
		if port == "" {
			port = usual
		}
		look := fmt.Sprintf("openssl s_client -connect %s -showcerts", net.JoinHostPort(host, port))
		if startTLS {
			look += " -starttls ldap"
		}
		c.missing(s, "insecureSkipVerify", "the certificate of the directory is always verified", fmt.Sprintf("%s shows it; put the certificate of its authority into %s.ca.pem, and name that in ca", look, name))
	}
}

func (c *conversion) directoryUsers(s *section, l *LDAP) {
	u := &l.Users
	u.BaseDN, u.OneLevel, u.Filter = c.expanded(s, "baseDN"), c.oneLevel(s), c.expanded(s, "filter")
	if s.isList("username") {
		u.Login = s.texts("username")
	} else if login := c.expanded(s, "username"); login != "" {
		u.Login = []string{login}
	}
	u.Name = c.expanded(s, "nameAttr")
	if email := c.expanded(s, "emailAttr"); email != "" {
		u.Email = &email
	}
	windows := slices.ContainsFunc(u.Login, func(login string) bool {
		return strings.EqualFold(login, "sAMAccountName") || strings.EqualFold(login, "userPrincipalName")
	})
	id, username := "entryUUID", "uid"
	if windows {
		id, username = "objectGUID", "sAMAccountName"
	}
	if u.ID = c.expanded(s, "idAttr"); u.ID == "" || strings.EqualFold(u.ID, "dn") {
		c.changed(s, "idAttr", fmt.Sprintf("the name of an entry can change, so people are told apart by %s", id))
		u.ID = id
	}
	if u.Username = c.expanded(s, "preferredUsernameAttr"); u.Username == "" {
		u.Username = username
		if len(u.Login) > 0 && !addresses(u.Login[0]) {
			u.Username = u.Login[0]
		}
		c.changed(s, "preferredUsernameAttr", fmt.Sprintf("the claim preferred_username is there, with what %s holds; so everybody needs that attribute", u.Username))
	}
	if suffix := c.expanded(s, "emailSuffix"); suffix != "" {
		u.EmailSuffix, u.Email = suffix, new(string)
		if !strings.EqualFold(u.Name, u.Username) {
			c.missing(s, "emailSuffix", fmt.Sprintf("addresses are made of %s, in Dex of %s: people get another address", u.Username, orNothing(u.Name)), "look at bindings by e-mail address")
		}
	}
}

// addresses reports whether an attribute holds e-mail addresses.
func addresses(attribute string) bool {
	return strings.EqualFold(attribute, "mail") || strings.EqualFold(attribute, "email") || strings.EqualFold(attribute, "userPrincipalName")
}

func orNothing(attribute string) string {
	if attribute == "" {
		return "nothing"
	}
	return attribute
}

func (c *conversion) oneLevel(s *section) bool {
	scope := s.text("scope")
	if scope != "" && scope != "one" && scope != "sub" {
		s.file.refuse(s.lineOf("scope"), "", "%s must be sub or one", s.path("scope"))
	}
	return scope == "one"
}

func (c *conversion) directoryGroups(s *section, l *LDAP) {
	g := &Groups{BaseDN: c.expanded(s, "baseDN"), OneLevel: c.oneLevel(s), Filter: c.expanded(s, "filter"), Name: entryName(c.expanded(s, "nameAttr"))}
	l.Groups = g
	matchers := s.sections("userMatchers")
	flat := Matcher{c.expanded(s, "userAttr"), c.expanded(s, "groupAttr")}
	if len(matchers) == 0 || matchers[0].text("userAttr") == "" {
		c.matcher(g, flat)
		return
	}
	for _, m := range matchers {
		matcher := Matcher{c.expanded(m, "userAttr"), c.expanded(m, "groupAttr")}
		c.matcher(g, matcher)
		switch above := c.expanded(m, "recursionGroupAttr"); {
		case above == "" || g.Nested != "":
		case strings.EqualFold(above, matcher.Group):
			g.Nested = "walk"
		default:
			g.Nested = "walk"
			c.missing(m, "recursionGroupAttr", fmt.Sprintf("groups of groups are found by the attributes of the matchers, not by %s", above), "add a matcher, {user: dn, group: ATTRIBUTE}, and look who gets which groups: tegata ldap test")
		}
	}
}

func (c *conversion) matcher(g *Groups, m Matcher) {
	m.User = entryName(m.User)
	if attribute, ok := strings.CutSuffix(m.Group, inChain); ok {
		m.Group, g.Nested = attribute, "in-chain"
	}
	g.Matchers = append(g.Matchers, m)
}

// entryName is how an attribute is called here that stands for the name of
// the entry itself.
func entryName(attribute string) string {
	if strings.EqualFold(attribute, "dn") {
		return "dn"
	}
	return attribute
}
