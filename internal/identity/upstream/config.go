// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package upstream

import (
	"crypto/tls"
	"time"

	"github.com/tegata/tegata/internal/oidc"
	"github.com/tegata/tegata/internal/secret"
)

// Admission says who may come from the source. Empty lists let everybody in.
type Admission struct {
	// AllowedGroups: the person must be in one of them, as the provider names
	// it.
	AllowedGroups []string `yaml:"allowed_groups"`
	// AllowedEmailDomains: the person must have a verified address in one of
	// them.
	AllowedEmailDomains []string `yaml:"allowed_email_domains"`
	// Anybody must be said of a provider at which the whole world has
	// accounts, if nothing else limits who comes.
	Anybody bool `yaml:"anybody"`
}

// OIDCConfig is an OpenID Provider. Its YAML names are those of the
// configuration file; what has none is a finished value that package admin
// fills in.
type OIDCConfig struct {
	// Name tells the sources of an issuer apart. It begins the subjects of its
	// users, NAME:ID, and must not change.
	Name string `yaml:"-"`

	Issuer   oidc.Issuer   `yaml:"issuer"`
	ClientID oidc.ClientID `yaml:"client_id"`
	// ClientSecret or ClientKey authenticate us (OpenID Connect Core 1.0,
	// section 9). Without both we are a public client.
	ClientSecret secret.String `yaml:"-"`
	ClientKey    *ClientKey    `yaml:"-"`

	// Scopes are what is asked for. Left out: openid, profile, email, and of
	// groups and offline_access what the provider says it has.
	Scopes []string `yaml:"scopes"`
	// Prompt is sent along (OpenID Connect Core 1.0, section 3.1.2.1), such as
	// consent where a refresh token takes that.
	Prompt string `yaml:"prompt"`
	// AuthorizationParameters are sent along as they are. Google gets
	// access_type=offline and prompt=consent if there are none.
	AuthorizationParameters map[string]string `yaml:"authorization_parameters"`

	Claims     Claims   `yaml:"claims"`
	Attributes []string `yaml:"attributes"` // claims that are kept for the claims of clients
	Userinfo   Userinfo `yaml:"userinfo"`
	// AssumeEmailVerified is for providers that verify addresses and do not
	// say so. A provider that says that one is not verified is believed.
	AssumeEmailVerified bool `yaml:"assume_email_verified"`
	// HostedDomains: the claim hd must be one of them (Google Workspace).
	HostedDomains []string     `yaml:"hosted_domains"`
	GroupOverage  GroupOverage `yaml:"group_overage"`
	Admission     `yaml:",inline"`

	Timeout time.Duration    `yaml:"timeout"` // of one call; 0: 10 seconds
	TLS     *tls.Config      `yaml:"-"`       // nil: the system's authorities
	Now     func() time.Time `yaml:"-"`
}

// Claims are the names of the claims that say who the user is. A name with
// dots is a path if there is no claim of the whole name:
// realm_access.roles.
type Claims struct {
	ID            string `yaml:"id"`             // sub
	Username      string `yaml:"username"`       // left out: preferred_username, or else a verified e-mail address
	Name          string `yaml:"name"`           // name
	Email         string `yaml:"email"`          // email
	EmailVerified string `yaml:"email_verified"` // email_verified
	Groups        string `yaml:"groups"`         // groups
}

// Userinfo says when the userinfo endpoint is asked.
type Userinfo string

// The ways.
const (
	UserinfoAuto   Userinfo = "auto"   // for what the ID token lacks; the default
	UserinfoAlways Userinfo = "always" // and it is believed before the ID token
	UserinfoNever  Userinfo = "never"  // the default at Microsoft
)

// GroupOverage says who is asked for the groups of a user who has more than
// fit into a token. Left out, and the provider is not Microsoft's: nobody, and
// such a user is refused.
type GroupOverage struct {
	// Endpoint is a member objects or member groups action of Microsoft Graph,
	// such as https://graph.microsoft.com/v1.0/me/getMemberObjects. It gets
	// the access token. An address that a token names is never asked.
	Endpoint           string `yaml:"endpoint"`
	SecurityGroupsOnly bool   `yaml:"security_groups_only"`
}

// GitHubConfig is an OAuth app or a GitHub app, at GitHub or at a GitHub
// Enterprise server.
type GitHubConfig struct {
	Name string `yaml:"-"` // as in OIDCConfig

	BaseURL      string        `yaml:"base_url"` // left out: https://github.com
	ClientID     oidc.ClientID `yaml:"client_id"`
	ClientSecret secret.String `yaml:"-"`

	// Organizations are those that count: a member of none is refused, and
	// groups of others are not told. Left out: nobody is refused for it, and
	// nobody has groups.
	Organizations []string `yaml:"organizations"`
	// TeamNames says how a team is named behind its organization.
	TeamNames TeamNames `yaml:"team_names"`
	Admission `yaml:",inline"`

	Timeout time.Duration    `yaml:"timeout"`
	TLS     *tls.Config      `yaml:"-"`
	Now     func() time.Time `yaml:"-"`
}

// TeamNames is one of the two names of a team.
type TeamNames string

// The names.
const (
	TeamSlug TeamNames = "slug" // platform-engineers; the default
	TeamName TeamNames = "name" // Platform Engineers
)
