// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/tegata/tegata/internal/exit"
	"github.com/tegata/tegata/internal/identity"
	"github.com/tegata/tegata/internal/identity/ldap"
	"github.com/tegata/tegata/internal/identity/local"
	"github.com/tegata/tegata/internal/identity/upstream"
	"github.com/tegata/tegata/internal/secret"
)

// sourceConfig is one source of users. The block that it has says what kind
// it is; without one it is the local accounts.
type sourceConfig struct {
	Name            string   `yaml:"name"`
	Title           string   `yaml:"title"`
	EmailDomains    []string `yaml:"email_domains"`
	UsernamePrefix  string   `yaml:"username_prefix"`
	GroupsPrefix    string   `yaml:"groups_prefix"`
	KeepFor         duration `yaml:"keep_for"`
	OwnSecondFactor bool     `yaml:"own_second_factor"`
	SharedCallback  bool     `yaml:"shared_callback"`

	LDAP   *ldapConfig   `yaml:"ldap"`
	OIDC   *oidcConfig   `yaml:"oidc"`
	GitHub *githubConfig `yaml:"github"`
}

// ldapConfig is a directory.
type ldapConfig struct {
	Layout                  string   `yaml:"layout"`
	Servers                 []string `yaml:"servers"`
	StartTLS                bool     `yaml:"start_tls"`
	Plaintext               bool     `yaml:"plaintext"`
	CA                      string   `yaml:"ca"`
	ClientCertificate       string   `yaml:"client_certificate"`
	ClientKey               string   `yaml:"client_key"`
	ServerName              string   `yaml:"server_name"`
	BindDN                  string   `yaml:"bind_dn"`
	BindPasswordFile        string   `yaml:"bind_password_file"`
	BindPasswordEnvironment string   `yaml:"bind_password_environment"`
	Timeout                 duration `yaml:"timeout"`
	Connections             int      `yaml:"connections"`
	PasswordChange          string   `yaml:"password_change"`

	Users  ldapUsers  `yaml:"users"`
	Groups ldapGroups `yaml:"groups"`
}

// ldapUsers and ldapGroups change what the layout has.
type ldapUsers struct {
	BaseDN          string   `yaml:"base_dn"`
	OneLevel        bool     `yaml:"one_level"`
	Filter          *string  `yaml:"filter"`
	Login           []string `yaml:"login"`
	ID              string   `yaml:"id"`
	Username        string   `yaml:"username"`
	Name            *string  `yaml:"name"`
	Email           *string  `yaml:"email"`
	EmailSuffix     string   `yaml:"email_suffix"`
	EmailUnverified bool     `yaml:"email_unverified"`
	Attributes      []string `yaml:"attributes"`
}

type ldapGroups struct {
	BaseDN   string        `yaml:"base_dn"`
	OneLevel bool          `yaml:"one_level"`
	Filter   *string       `yaml:"filter"`
	Name     string        `yaml:"name"`
	Matchers []ldapMatcher `yaml:"matchers"`
	MemberOf string        `yaml:"member_of"`
	Nested   *string       `yaml:"nested"`
}

type ldapMatcher struct {
	User  string `yaml:"user"`
	Group string `yaml:"group"`
}

// files are the paths that the source names.
func (c *sourceConfig) files() []*string {
	switch {
	case c.LDAP != nil:
		return []*string{&c.LDAP.CA, &c.LDAP.ClientCertificate, &c.LDAP.ClientKey, &c.LDAP.BindPasswordFile}
	case c.OIDC != nil:
		return []*string{&c.OIDC.CA, &c.OIDC.ClientSecretFile, &c.OIDC.ClientKeyFile}
	case c.GitHub != nil:
		return []*string{&c.GitHub.CA, &c.GitHub.ClientSecretFile}
	}
	return nil
}

// checkSources finds what is wrong without looking at other files.
func (c IssuerConfig) checkSources() error {
	names, domains, hasLocal, shared := map[string]bool{}, map[string]string{}, len(c.Sources) == 0, false
	for n, source := range c.Sources {
		if err := source.check(names, domains); err != nil {
			return fmt.Errorf("sources[%d]: %w", n, err)
		}
		if source.SharedCallback && shared {
			return fmt.Errorf("sources[%d]: %s: only one source may have shared_callback: an answer must show by its address whose it is", n, source.Name)
		}
		shared = shared || source.SharedCallback
		names[source.Name] = true
		hasLocal = hasLocal || source.Name == identity.Local
	}
	if !hasLocal && len(c.Users) > 0 {
		return errors.New("users are declared, but sources does not list local: add `- name: local` to sources, or take the users out")
	}
	for _, user := range c.Users {
		if name, _, ok := strings.Cut(user.Subject, ":"); ok && names[name] {
			return fmt.Errorf("user %q has the subject %q, which would be one of the source %s", user.Username, user.Subject, name)
		}
	}
	for _, client := range c.Clients {
		for _, source := range client.Sources {
			if len(c.Sources) > 0 && !names[source] {
				return fmt.Errorf("client %q is for users of the source %q, which sources does not list", client.ID, source)
			}
		}
	}
	return nil
}

// sourceNotes is what whoever wrote the section should know.
func (c IssuerConfig) sourceNotes() []string {
	var alike []string
	for _, source := range c.Sources {
		if source.GroupsPrefix == "" {
			alike = append(alike, source.Name)
		}
	}
	if len(alike) < 2 {
		return nil
	}
	return []string{fmt.Sprintf("the sources %s give their groups without a prefix: groups of the same name are one group to a cluster, whoever made them; set groups_prefix for all but one",
		strings.Join(alike, ", "))}
}

func (c *sourceConfig) check(names map[string]bool, domains map[string]string) error {
	if c.Name == "" || len(c.Name) > 40 || strings.Trim(c.Name, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
		return fmt.Errorf("name %.60q is not of at most 40 small letters, digits and hyphens", c.Name)
	}
	if names[c.Name] {
		return fmt.Errorf("name %q is given twice", c.Name)
	}
	if c.Name == "system" {
		return errors.New("name \"system\" would begin subjects with system:, which Kubernetes keeps for itself")
	}
	for _, domain := range c.EmailDomains {
		domain = strings.ToLower(domain)
		switch other, taken := domains[domain]; {
		case domain == "" || strings.ContainsAny(domain, "@ /"):
			return fmt.Errorf("%s: email_domains: %q is no domain, such as example.com", c.Name, domain)
		case taken:
			return fmt.Errorf("%s: email_domains: %s belongs to the source %s already", c.Name, domain, other)
		}
		domains[domain] = c.Name
	}
	if strings.HasPrefix(c.UsernamePrefix, "system:") || strings.HasPrefix(c.GroupsPrefix, "system:") {
		return fmt.Errorf("%s: names that begin with system: belong to Kubernetes", c.Name)
	}
	if c.local() {
		if c.Name != identity.Local {
			return fmt.Errorf("%s: it has no block that says what it is; ldap, oidc and github are known, and the local accounts have the name local", c.Name)
		}
		if c.KeepFor != 0 || c.UsernamePrefix != "" || c.GroupsPrefix != "" || c.OwnSecondFactor || c.SharedCallback {
			return errors.New("local: it takes title and email_domains, and nothing else")
		}
		return nil
	}
	if c.Name == identity.Local {
		return errors.New("local: this is the name of the local accounts; call the source something else")
	}
	var kinds []string
	var err error
	if c.LDAP != nil {
		kinds, err = append(kinds, "ldap"), c.LDAP.check(c.Name)
	}
	if c.OIDC != nil {
		kinds, err = append(kinds, "oidc"), cmp.Or(err, c.OIDC.check(c.Name))
	}
	if c.GitHub != nil {
		kinds, err = append(kinds, "github"), cmp.Or(err, c.GitHub.check(c.Name))
	}
	if c.LDAP != nil && c.SharedCallback {
		return fmt.Errorf("%s: shared_callback is for sources to which a browser is sent", c.Name)
	}
	if len(kinds) > 1 {
		return fmt.Errorf("%s: a source is one thing, and has blocks for %s; make an entry of each", c.Name, strings.Join(kinds, " and "))
	}
	if err != nil {
		return fmt.Errorf("%s: %w", strings.Join(slices.Compact([]string{c.Name, kinds[0]}), ": "), err)
	}
	return nil
}

func (c *sourceConfig) local() bool { return c.LDAP == nil && c.OIDC == nil && c.GitHub == nil }

func (c *ldapConfig) check(name string) error {
	switch {
	case c.BindPasswordFile != "" && c.BindPasswordEnvironment != "":
		return errors.New("give bind_password_file or bind_password_environment, not both")
	case (c.BindDN == "") != (c.BindPasswordFile == "" && c.BindPasswordEnvironment == ""):
		return errors.New("bind_dn and its password (bind_password_file or bind_password_environment) go together; leave out both to search anonymously")
	case (c.ClientCertificate == "") != (c.ClientKey == ""):
		return errors.New("client_certificate and client_key go together")
	case c.StartTLS && c.Plaintext:
		return errors.New("start_tls secures the connection and plaintext does not: leave out one of them")
	}
	if err := checkEnvironment("bind_password_environment", c.BindPasswordEnvironment); err != nil {
		return err
	}
	_, err := c.shape(name)
	return err
}

// shape is the directory as the file describes it, without what stands in
// other files.
func (c *ldapConfig) shape(name string) (ldap.Config, error) {
	users, groups, err := ldap.Defaults(ldap.Layout(c.Layout))
	if err != nil {
		return ldap.Config{}, fmt.Errorf("layout: %w", err)
	}
	set := func(to *string, value *string) {
		if value != nil {
			*to = *value
		}
	}
	users.BaseDN, users.OneLevel = c.Users.BaseDN, c.Users.OneLevel
	users.ID, users.Username = cmp.Or(c.Users.ID, users.ID), cmp.Or(c.Users.Username, users.Username)
	set(&users.Filter, c.Users.Filter)
	set(&users.Name, c.Users.Name)
	set(&users.Email, c.Users.Email)
	if len(c.Users.Login) > 0 {
		users.Login = c.Users.Login
	}
	users.EmailSuffix, users.EmailUnverified, users.Attributes = c.Users.EmailSuffix, c.Users.EmailUnverified, c.Users.Attributes

	groups.BaseDN, groups.OneLevel, groups.MemberOf = c.Groups.BaseDN, c.Groups.OneLevel, c.Groups.MemberOf
	groups.Name = cmp.Or(c.Groups.Name, groups.Name)
	set(&groups.Filter, c.Groups.Filter)
	if c.Groups.Nested != nil {
		groups.Nested = ldap.Nesting(*c.Groups.Nested)
	}
	if len(c.Groups.Matchers) > 0 {
		groups.Matchers = nil
		for _, m := range c.Groups.Matchers {
			groups.Matchers = append(groups.Matchers, ldap.Matcher{User: m.User, Group: m.Group})
		}
	}
	if groups.BaseDN == "" {
		groups.Nested, groups.Matchers = ldap.NotNested, nil
		if c.Groups.Nested != nil || len(c.Groups.Matchers) > 0 || c.Groups.Filter != nil {
			return ldap.Config{}, errors.New("groups.base_dn says below which entry the groups are, such as ou=groups,dc=example,dc=com")
		}
	}
	shape := ldap.Config{
		Name: name, Servers: c.Servers, StartTLS: c.StartTLS, Plain: c.Plaintext, Timeout: time.Duration(c.Timeout),
		Connections: c.Connections, Users: users, Groups: groups, Passwords: ldap.PasswordChange(c.PasswordChange),
	}
	checked := shape
	if c.BindDN != "" {
		checked.BindDN, checked.BindPassword = c.BindDN, secret.New("as it will be")
	}
	return shape, checked.Validate()
}

// open makes the source of the directory, with the secrets that the file
// names read.
func (c *ldapConfig) open(env Env, name string) (*ldap.Source, error) {
	shape, err := c.shape(name)
	if err != nil {
		return nil, err
	}
	shape.Now = env.Now
	shape.BindDN = c.BindDN
	if shape.BindPassword, err = namedSecret(env, "bind_password", c.BindPasswordFile, c.BindPasswordEnvironment); err != nil {
		return nil, err
	}
	shape.TLS = &tls.Config{MinVersion: tls.VersionTLS12, ServerName: c.ServerName}
	if shape.TLS.RootCAs, err = certificatePool("ca", c.CA); err != nil {
		return nil, err
	}
	if c.ClientCertificate != "" {
		pair, err := tls.LoadX509KeyPair(c.ClientCertificate, c.ClientKey)
		if err != nil {
			return nil, fmt.Errorf("client_certificate: %w", err)
		}
		shape.TLS.Certificates = []tls.Certificate{pair}
	}
	return ldap.New(shape)
}

// namedSecret reads a secret from the file or the environment variable that
// the configuration names; neither: no secret.
func namedSecret(env Env, key, file, environment string) (secret.String, error) {
	var text string
	switch {
	case file != "":
		content, err := os.ReadFile(file)
		if err != nil {
			return secret.String{}, fmt.Errorf("%s_file: %w", key, err)
		}
		text = strings.TrimRight(string(content), "\r\n")
	case environment != "":
		text = env.getenv(environment)
	default:
		return secret.String{}, nil
	}
	if text == "" {
		return secret.String{}, fmt.Errorf("%s: %s is empty", key, cmp.Or(file, environment))
	}
	return secret.New(text), nil
}

// certificatePool reads certificates in PEM; an empty path means those of the
// system.
func certificatePool(key, path string) (*x509.CertPool, error) {
	if path == "" {
		return nil, nil
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", key, err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("%s: %s holds no certificate in PEM", key, path)
	}
	return pool, nil
}

// keepFor is how long a login goes on while the source cannot be asked.
func (c *sourceConfig) keepFor() time.Duration {
	if c.LDAP == nil && c.KeepFor == 0 {
		return 12 * time.Hour // some of them cannot be asked again at all
	}
	return cmp.Or(time.Duration(c.KeepFor), time.Hour)
}

// member makes the source, and says how it is closed. accounts are the local
// ones.
func (c *sourceConfig) member(env Env, accounts *local.Source) (identity.Member, func(), error) {
	m := identity.Member{
		Name: c.Name, Title: c.Title, EmailDomains: c.EmailDomains, UsernamePrefix: c.UsernamePrefix, GroupsPrefix: c.GroupsPrefix,
		KeepFor: c.keepFor(), OwnSecondFactor: c.OwnSecondFactor, SharedCallback: c.SharedCallback,
	}
	if c.local() {
		m.Passwords = accounts
		return m, func() {}, nil
	}
	var end func()
	var err error
	switch {
	case c.LDAP != nil:
		var source *ldap.Source
		if source, err = c.LDAP.open(env, c.Name); err == nil {
			m.Passwords, end = source, source.Close
		}
	default:
		var source *upstream.Source
		if c.OIDC != nil {
			source, err = c.OIDC.open(env, c.Name)
		} else {
			source, err = c.GitHub.open(env, c.Name)
		}
		if err == nil {
			m.Redirect, end = source, source.Close
		}
	}
	if err != nil {
		return m, nil, exit.Misuse("", "source %s: %w", c.Name, err)
	}
	return m, end, nil
}

// readSources opens what the sources name, and closes it again: for who only
// wants to know whether it can be.
func (c IssuerConfig) readSources(env Env) error {
	for _, source := range c.Sources {
		_, end, err := source.member(env, nil)
		if err != nil {
			return err
		}
		end()
	}
	return nil
}

// sources makes the sources of an issuer, and says how they are closed.
func (c IssuerConfig) sources(env Env, accounts *local.Source) (members []identity.Member, end func(), err error) {
	var ends []func()
	end = func() {
		for _, one := range ends {
			one()
		}
	}
	configured := c.Sources
	if len(configured) == 0 {
		configured = []sourceConfig{{Name: identity.Local}}
	}
	for _, source := range configured {
		m, done, err := source.member(env, accounts)
		if err != nil {
			end()
			return nil, nil, err
		}
		members, ends = append(members, m), append(ends, done)
	}
	return members, end, nil
}
