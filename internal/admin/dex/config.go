// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package dex

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"time"

	"github.com/goccy/go-yaml"
)

// Config is our configuration, docs/reference/configuration.md, as far as
// something of Dex becomes it. Package admin reads it back from YAML.
type Config struct {
	Issuer         string     `yaml:"issuer,omitempty"`
	Listen         string     `yaml:"listen,omitempty"`
	TrustedProxies []string   `yaml:"trusted_proxies,omitempty"`
	DataDir        string     `yaml:"data_dir,omitempty"`
	Storage        *Storage   `yaml:"storage,omitempty"`
	TLS            *TLS       `yaml:"tls,omitempty"`
	KEK            *KeySource `yaml:"key_encryption_key,omitempty"`
	Log            *Log       `yaml:"log,omitempty"`
	Metrics        *Metrics   `yaml:"metrics,omitempty"`
	SigningAlg     string     `yaml:"signing_alg,omitempty"`
	Keys           *Keys      `yaml:"keys,omitempty"`
	Lifetimes      *Lifetimes `yaml:"lifetimes,omitempty"`
	PasswordGrant  bool       `yaml:"password_grant,omitempty"`
	SecondFactor   *Required  `yaml:"second_factor,omitempty"`
	Sources        []Source   `yaml:"sources,omitempty"`
	Users          []User     `yaml:"users,omitempty"`
	Groups         []Group    `yaml:"groups,omitempty"`
	Clients        []Client   `yaml:"clients,omitempty"`
}

// Storage is the section storage.
type Storage struct {
	Postgres *Postgres `yaml:"postgres,omitempty"`
}

// Postgres is the section storage.postgres.
type Postgres struct {
	URL          string `yaml:"url,omitempty"`
	PasswordFile string `yaml:"password_file,omitempty"`
}

// TLS is the section tls.
type TLS struct {
	Certificate string `yaml:"certificate,omitempty"`
	Key         string `yaml:"key,omitempty"`
	ByProxy     bool   `yaml:"by_proxy,omitempty"`
}

// KeySource is the section key_encryption_key.
type KeySource struct {
	File string `yaml:"file,omitempty"`
}

// Log is the section log.
type Log struct {
	Level  string `yaml:"level,omitempty"`
	Format string `yaml:"format,omitempty"`
}

// Metrics is the section metrics.
type Metrics struct {
	Listen string `yaml:"listen,omitempty"`
}

// Keys is the section keys.
type Keys struct {
	RotateEvery  string `yaml:"rotate_every,omitempty"`
	PublishAhead string `yaml:"publish_ahead,omitempty"`
}

// Lifetimes is the section lifetimes.
type Lifetimes struct {
	LoginPage       string `yaml:"login_page,omitempty"`
	IDToken         string `yaml:"id_token,omitempty"`
	AccessToken     string `yaml:"access_token,omitempty"`
	DeviceCode      string `yaml:"device_code,omitempty"`
	Session         string `yaml:"session,omitempty"`
	SessionIdle     string `yaml:"session_idle,omitempty"`
	RefreshIdle     string `yaml:"refresh_idle,omitempty"`
	RefreshAbsolute string `yaml:"refresh_absolute,omitempty"`
	ReplayWindow    string `yaml:"replay_window,omitempty"`
}

// Required is the section second_factor.
type Required struct {
	Required bool `yaml:"required,omitempty"`
}

// Source is an entry of sources: local accounts, or one of the others.
type Source struct {
	Name         string `yaml:"name,omitempty"`
	Title        string `yaml:"title,omitempty"`
	GroupsPrefix string `yaml:"groups_prefix,omitempty"`

	SharedCallback bool `yaml:"shared_callback,omitempty"`

	LDAP   *LDAP   `yaml:"ldap,omitempty"`
	OIDC   *OIDC   `yaml:"oidc,omitempty"`
	GitHub *GitHub `yaml:"github,omitempty"`
}

// LDAP is a directory.
type LDAP struct {
	Servers           []string `yaml:"servers,omitempty"`
	StartTLS          bool     `yaml:"start_tls,omitempty"`
	Plaintext         bool     `yaml:"plaintext,omitempty"`
	CA                string   `yaml:"ca,omitempty"`
	ClientCertificate string   `yaml:"client_certificate,omitempty"`
	ClientKey         string   `yaml:"client_key,omitempty"`
	BindDN            string   `yaml:"bind_dn,omitempty"`
	BindPasswordFile  string   `yaml:"bind_password_file,omitempty"`
	BindPasswordEnv   string   `yaml:"bind_password_environment,omitempty"`
	Users             Users    `yaml:"users,omitempty"`
	Groups            *Groups  `yaml:"groups,omitempty"`
}

// Users is where a directory has its users.
type Users struct {
	BaseDN      string   `yaml:"base_dn,omitempty"`
	OneLevel    bool     `yaml:"one_level,omitempty"`
	Filter      string   `yaml:"filter"` // left out, it would be that of the layout
	Login       []string `yaml:"login,omitempty,flow"`
	ID          string   `yaml:"id,omitempty"`
	Username    string   `yaml:"username,omitempty"`
	Name        string   `yaml:"name,omitempty"`
	Email       *string  `yaml:"email,omitempty"`
	EmailSuffix string   `yaml:"email_suffix,omitempty"`
}

// Groups is where a directory has its groups.
type Groups struct {
	BaseDN   string    `yaml:"base_dn,omitempty"`
	OneLevel bool      `yaml:"one_level,omitempty"`
	Filter   string    `yaml:"filter"`
	Name     string    `yaml:"name,omitempty"`
	Matchers []Matcher `yaml:"matchers,omitempty"`
	Nested   string    `yaml:"nested,omitempty"`
}

// Matcher says when a user is a member.
type Matcher struct {
	User  string `yaml:"user"`
	Group string `yaml:"group"`
}

// OIDC is another OpenID Provider.
type OIDC struct {
	Issuer                  string            `yaml:"issuer,omitempty"`
	ClientID                string            `yaml:"client_id,omitempty"`
	ClientSecretFile        string            `yaml:"client_secret_file,omitempty"`
	ClientSecretEnv         string            `yaml:"client_secret_environment,omitempty"`
	CA                      string            `yaml:"ca,omitempty"`
	Scopes                  []string          `yaml:"scopes,omitempty,flow"`
	Prompt                  string            `yaml:"prompt,omitempty"`
	AuthorizationParameters map[string]string `yaml:"authorization_parameters,omitempty"`
	Claims                  *Claims           `yaml:"claims,omitempty"`
	Userinfo                string            `yaml:"userinfo,omitempty"`
	AssumeEmailVerified     bool              `yaml:"assume_email_verified,omitempty"`
	HostedDomains           []string          `yaml:"hosted_domains,omitempty"`
	GroupOverage            *GroupOverage     `yaml:"group_overage,omitempty"`
	AllowedGroups           []string          `yaml:"allowed_groups,omitempty"`
	Anybody                 bool              `yaml:"anybody,omitempty"`
}

// Claims are the names of its claims.
type Claims struct {
	ID       string `yaml:"id,omitempty"`
	Username string `yaml:"username,omitempty"`
	Name     string `yaml:"name,omitempty"`
	Email    string `yaml:"email,omitempty"`
	Groups   string `yaml:"groups,omitempty"`
}

// GroupOverage is about users with more groups than fit into a token.
type GroupOverage struct {
	SecurityGroupsOnly bool `yaml:"security_groups_only,omitempty"`
}

// GitHub is GitHub, or a server of GitHub Enterprise.
type GitHub struct {
	BaseURL          string   `yaml:"base_url,omitempty"`
	ClientID         string   `yaml:"client_id,omitempty"`
	ClientSecretFile string   `yaml:"client_secret_file,omitempty"`
	ClientSecretEnv  string   `yaml:"client_secret_environment,omitempty"`
	CA               string   `yaml:"ca,omitempty"`
	Organizations    []string `yaml:"organizations,omitempty"`
	TeamNames        string   `yaml:"team_names,omitempty"`
	AllowedGroups    []string `yaml:"allowed_groups,omitempty"`
	Anybody          bool     `yaml:"anybody,omitempty"`
}

// User is an entry of users.
type User struct {
	Username      string `yaml:"username,omitempty"`
	Subject       string `yaml:"subject,omitempty"`
	Email         string `yaml:"email,omitempty"`
	EmailVerified *bool  `yaml:"email_verified,omitempty"`
	Name          string `yaml:"name,omitempty"`
	PasswordHash  string `yaml:"password_hash,omitempty"`
}

// Group is an entry of groups.
type Group struct {
	Name    string   `yaml:"name,omitempty"`
	Members []string `yaml:"members,omitempty,flow"`
}

// Client is an entry of clients.
type Client struct {
	ID                     string   `yaml:"id,omitempty"`
	Name                   string   `yaml:"name,omitempty"`
	Public                 bool     `yaml:"public,omitempty"`
	SecretEnv              string   `yaml:"secret_environment,omitempty"`
	SecretHash             string   `yaml:"secret_hash,omitempty"`
	RedirectURIs           []string `yaml:"redirect_uris,omitempty"`
	PostLogoutRedirectURIs []string `yaml:"post_logout_redirect_uris,omitempty"`
	Origins                []string `yaml:"origins,omitempty"`
	Grants                 []string `yaml:"grants,omitempty,flow"`
	Audiences              []string `yaml:"audiences,omitempty,flow"`
	Sources                []string `yaml:"sources,omitempty,flow"`
	Consent                string   `yaml:"consent,omitempty"`
	SecondFactor           bool     `yaml:"second_factor,omitempty"`
}

// YAML is the configuration as text.
func (c Config) YAML() ([]byte, error) {
	text, err := yaml.MarshalWithOptions(c, yaml.IndentSequence(true))
	if err != nil {
		return nil, fmt.Errorf("writing the configuration: %w", err)
	}
	return text, nil
}

// YAML is a whole file: the configuration, and the suggestions as comments.
// It reads back as what it is: a value that a reader takes for another one
// would be found by nobody.
func (r *Result) YAML() ([]byte, error) {
	text, err := r.Config.YAML()
	if err != nil {
		return nil, err
	}
	var back Config
	if err := yaml.UnmarshalWithOptions(text, &back, yaml.Strict()); err != nil || !reflect.DeepEqual(back, r.Config) {
		return nil, errors.New("the configuration does not read back as it was written, which is a mistake of tegata; please report it with a file that shows it")
	}
	for _, s := range r.Suggestions {
		suggested, err := s.Config.YAML()
		if err != nil {
			return nil, err
		}
		text = fmt.Appendf(text, "\n# %s\n", s.Why)
		for line := range bytes.Lines(suggested) {
			text = append(append(text, "# "...), line...)
		}
	}
	return text, nil
}

// inWords writes a duration as our file has it.
func inWords(d time.Duration) string {
	switch {
	case d%(24*time.Hour) == 0 && d > 24*time.Hour:
		return fmt.Sprintf("%dd", d/(24*time.Hour))
	case d%time.Hour == 0:
		return fmt.Sprintf("%dh", d/time.Hour)
	case d%time.Minute == 0:
		return fmt.Sprintf("%dm", d/time.Minute)
	}
	return d.String()
}

// fit makes a name of small letters, digits and hyphens.
func fit(name string) string {
	var b strings.Builder
	for _, r := range strings.ToLower(name) {
		switch {
		case 'a' <= r && r <= 'z' || '0' <= r && r <= '9':
			b.WriteRune(r)
		case b.Len() > 0 && !strings.HasSuffix(b.String(), "-"):
			b.WriteByte('-')
		}
		if b.Len() >= 30 {
			break
		}
	}
	return strings.TrimRight(b.String(), "-")
}
