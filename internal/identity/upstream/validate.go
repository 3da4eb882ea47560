// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package upstream

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/tegata/tegata/internal/oidc"
)

const (
	defaultTimeout = 10 * time.Second

	google          = oidc.Issuer("https://accounts.google.com")
	microsoft       = "https://login.microsoftonline.com/"
	microsoftGroups = "https://graph.microsoft.com/v1.0/me/getMemberObjects"
	cognito         = "https://cognito-idp."
	gitHub          = "https://github.com"
)

// Validate tells why the configuration cannot work, or returns nil. It asks
// nobody.
func (c OIDCConfig) Validate() error {
	_, err := c.complete()
	return err
}

// complete fills in what may be left out, and refuses what cannot work.
func (c OIDCConfig) complete() (OIDCConfig, error) {
	if err := checkName(c.Name); err != nil {
		return c, err
	}
	if err := checkAddress("issuer", string(c.Issuer)); err != nil {
		return c, err
	}
	if err := c.checkTenant(); err != nil {
		return c, err
	}
	switch {
	case c.ClientID == "":
		return c, errors.New("client_id is missing; register a client at the provider, with the redirect URI ISSUER/callback/NAME of this issuer")
	case !c.ClientSecret.IsZero() && c.ClientKey != nil:
		return c, errors.New("the client has a secret and a key; give one of them")
	case len(c.Scopes) > 0 && !slices.Contains(c.Scopes, "openid"):
		return c, errors.New("scopes must hold openid; without it there is no ID token")
	}
	for _, scope := range c.Scopes {
		if scope == "" || strings.ContainsAny(scope, " \t\n\"\\") {
			return c, fmt.Errorf("scopes: %q is no scope; give each as an entry of its own", scope)
		}
	}
	for name := range c.AuthorizationParameters {
		if slices.Contains(ownParameters, name) {
			return c, fmt.Errorf("authorization_parameters: %s is ours to set", name)
		}
	}
	if c.Prompt != "" && c.AuthorizationParameters["prompt"] != "" {
		return c, errors.New("prompt is given twice: by itself, and among authorization_parameters")
	}
	if prompts := strings.Fields(c.Prompt + " " + c.AuthorizationParameters["prompt"]); slices.Contains(prompts, "none") {
		return c, errors.New("prompt: none would let nobody log in who is not logged in there already")
	}
	if c.Issuer == google && c.AuthorizationParameters == nil && c.Prompt == "" {
		// Google has no scope offline_access; and it gives a refresh token only
		// with the consent.
		c.AuthorizationParameters = map[string]string{"access_type": "offline", "prompt": "consent"}
	}
	if strings.HasPrefix(string(c.Issuer), microsoft) {
		// Its userinfo endpoint knows neither groups nor user names, and tells
		// addresses that nobody verified.
		c.Userinfo = cmp.Or(c.Userinfo, UserinfoNever)
		c.GroupOverage.Endpoint = cmp.Or(c.GroupOverage.Endpoint, microsoftGroups)
	}
	c.Userinfo = cmp.Or(c.Userinfo, UserinfoAuto)
	if !slices.Contains([]Userinfo{UserinfoAuto, UserinfoAlways, UserinfoNever}, c.Userinfo) {
		return c, fmt.Errorf("userinfo is %q; auto, always and never are known", c.Userinfo)
	}
	if c.GroupOverage.Endpoint != "" {
		if err := checkAddress("group_overage.endpoint", c.GroupOverage.Endpoint); err != nil {
			return c, err
		}
	}
	if err := c.Claims.complete(); err != nil {
		return c, err
	}
	public := c.Issuer == google && len(c.HostedDomains) == 0
	if err := c.Admission.check(public, "hosted_domains, allowed_email_domains or allowed_groups"); err != nil {
		return c, err
	}
	if c.Timeout < 0 {
		return c, errors.New("timeout must be positive")
	}
	c.Timeout = cmp.Or(c.Timeout, defaultTimeout)
	if c.Now == nil {
		c.Now = time.Now
	}
	return c, nil
}

// ownParameters belong to the protocol.
var ownParameters = []string{
	"response_type", "response_mode", "client_id", "redirect_uri", "scope", "state", "nonce", "code_challenge", "code_challenge_method",
	"login_hint", "ui_locales", "request", "request_uri", "hd",
}

// checkTenant refuses the issuers under which Microsoft logs in everybody:
// each tenant has an issuer of its own, and anybody can make a tenant.
func (c OIDCConfig) checkTenant() error {
	rest, found := strings.CutPrefix(string(c.Issuer), microsoft)
	tenant, _, _ := strings.Cut(rest, "/")
	if found && slices.Contains([]string{"", "common", "organizations", "consumers"}, tenant) || strings.ContainsAny(string(c.Issuer), "{}") {
		return fmt.Errorf("the issuer %s stands for the users of any tenant; name yours: %sTENANT-ID/v2.0", c.Issuer, microsoft)
	}
	return nil
}

// complete fills in the usual names.
func (c *Claims) complete() error {
	for _, claim := range []struct {
		name  *string
		key   string
		usual string
	}{
		{&c.ID, "id", "sub"},
		{&c.Username, "username", ""},
		{&c.Name, "name", "name"},
		{&c.Email, "email", "email"},
		{&c.EmailVerified, "email_verified", "email_verified"},
		{&c.Groups, "groups", "groups"},
	} {
		*claim.name = cmp.Or(*claim.name, claim.usual)
		if len(*claim.name) > maxSubject {
			return fmt.Errorf("claims.%s: the name of a claim has at most %d bytes", claim.key, maxSubject)
		}
	}
	return nil
}

// Validate tells why the configuration cannot work, or returns nil. It asks
// nobody.
func (c GitHubConfig) Validate() error {
	_, err := c.complete()
	return err
}

func (c GitHubConfig) complete() (GitHubConfig, error) {
	if err := checkName(c.Name); err != nil {
		return c, err
	}
	c.BaseURL = strings.TrimSuffix(cmp.Or(c.BaseURL, gitHub), "/")
	if err := checkAddress("base_url", c.BaseURL); err != nil {
		return c, err
	}
	if c.ClientID == "" || c.ClientSecret.IsZero() {
		return c, errors.New("client_id and client_secret_file are needed; register an OAuth app at GitHub, with the callback URL ISSUER/callback/NAME of this issuer")
	}
	for _, organization := range c.Organizations {
		if organization == "" || strings.ContainsAny(organization, " /:") {
			return c, fmt.Errorf("organizations: %q is no name of an organization; for its teams there is allowed_groups, as ORGANIZATION:TEAM", organization)
		}
	}
	c.TeamNames = cmp.Or(c.TeamNames, TeamSlug)
	if c.TeamNames != TeamSlug && c.TeamNames != TeamName {
		return c, fmt.Errorf("team_names is %q; slug and name are known", c.TeamNames)
	}
	if len(c.AllowedGroups) > 0 && len(c.Organizations) == 0 {
		return c, errors.New("allowed_groups needs organizations: anybody can make one, so only those that it names have groups")
	}
	public := c.BaseURL == gitHub && len(c.Organizations) == 0
	if err := c.Admission.check(public, "organizations or allowed_email_domains"); err != nil {
		return c, err
	}
	if c.Timeout < 0 {
		return c, errors.New("timeout must be positive")
	}
	c.Timeout = cmp.Or(c.Timeout, defaultTimeout)
	if c.Now == nil {
		c.Now = time.Now
	}
	return c, nil
}

func checkName(name string) error {
	if name == "" || strings.ContainsAny(name, ": \t\n") {
		return fmt.Errorf("a source needs a name without spaces and colons, not %q", name)
	}
	return nil
}

// checkAddress wants https, or http on this machine.
func checkAddress(key, address string) error {
	u, err := url.Parse(address)
	switch {
	case err != nil || u.Hostname() == "" || u.RawQuery != "" || u.Fragment != "" || u.User != nil:
		return fmt.Errorf("%s: %q is no address such as https://id.example.com", key, address)
	case u.Scheme == "https", u.Scheme == "http" && isLoopback(u.Hostname()):
		return nil
	}
	return fmt.Errorf("%s: %s must begin with https://; who listens on the way could log in as anybody", key, address)
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

func (a Admission) check(public bool, limits string) error {
	if public && !a.Anybody && len(a.AllowedGroups) == 0 && len(a.AllowedEmailDomains) == 0 {
		return fmt.Errorf("everybody in the world has an account there or can make one; say who may come with %s, or anybody: true", limits)
	}
	for _, domain := range a.AllowedEmailDomains {
		if domain == "" || strings.ContainsAny(domain, "@ ") {
			return fmt.Errorf("allowed_email_domains: %q is no domain such as example.com", domain)
		}
	}
	return nil
}

// refuse tells why the person may not come, or returns nil.
func (a Admission) refuse(email string, verified bool, groups []string) error {
	if len(a.AllowedGroups) > 0 && !slices.ContainsFunc(groups, func(group string) bool { return slices.Contains(a.AllowedGroups, group) }) {
		return &NotAllowedError{"only members of certain groups may log in from there, and this account is in none of them"}
	}
	if len(a.AllowedEmailDomains) > 0 && !(verified && a.hasDomain(email)) {
		return &NotAllowedError{"only accounts with a verified e-mail address of certain domains may log in from there"}
	}
	return nil
}

func (a Admission) hasDomain(email string) bool {
	domain := email[strings.LastIndexByte(email, '@')+1:]
	return slices.ContainsFunc(a.AllowedEmailDomains, func(allowed string) bool { return strings.EqualFold(allowed, domain) })
}
