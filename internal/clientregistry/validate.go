// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package clientregistry

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/tegata/tegata/internal/clientregistry/expression"
	"github.com/tegata/tegata/internal/oidc"
)

// Validate tells why the client cannot be registered, or returns nil. What
// the fields mean to each other is part of it: a key that no method reads, or
// an audience without an exchange, is a mistake that nobody would notice.
func (c Client) Validate() error {
	return cmp.Or(
		c.checkID(),
		c.checkAuthentication(),
		c.checkGrants(),
		c.checkAddresses(),
		c.checkScopes(),
		c.checkTokens(),
		c.checkClaims(),
	)
}

func (c Client) checkID() error {
	switch {
	case c.ID == "":
		return errors.New("a client ID cannot be empty")
	case len(c.ID) > 255:
		return errors.New("a client ID has at most 255 bytes")
	}
	for _, r := range string(c.ID) {
		// RFC 6749, appendix A.1: VSCHAR; spaces would be lost in flags.
		if r <= ' ' || r > '~' {
			return fmt.Errorf("client ID %q contains a character outside printable ASCII", c.ID)
		}
	}
	return nil
}

// Methods lists the methods of client authentication.
func Methods() []Method {
	return []Method{None, SecretBasic, SecretPost, PrivateKeyJWT, TLS, SelfSignedTLS}
}

// NeedsSecret reports whether clients with the method have a secret.
func (m Method) NeedsSecret() bool { return m == SecretBasic || m == SecretPost }

func (c Client) checkAuthentication() error {
	needsKeys := c.Authentication == PrivateKeyJWT || c.Authentication == SelfSignedTLS
	switch {
	case c.Authentication == "client_secret_jwt":
		return errors.New("client_secret_jwt is not offered, because the secret is kept as a hash; use private_key_jwt")
	case c.Authentication != "" && !slices.Contains(Methods(), c.Authentication):
		return fmt.Errorf("unknown client authentication %q; known are %s", c.Authentication, list(Methods()))
	case c.SecretHash != "" && c.Authentication != "" && !c.Authentication.NeedsSecret():
		return fmt.Errorf("a client that authenticates with %s has no secret", c.Authentication)
	case c.Authentication.NeedsSecret() && c.SecretHash == "":
		return fmt.Errorf("a client that authenticates with %s needs a secret", c.Authentication)
	case needsKeys && len(c.JWKS) == 0:
		return fmt.Errorf("a client that authenticates with %s needs its public keys (JWKS)", c.Authentication)
	case !needsKeys && len(c.JWKS) > 0:
		return errors.New("public keys (JWKS) are for clients that authenticate with private_key_jwt or self_signed_tls_client_auth")
	case c.Authentication == TLS && c.TLSSubject == "":
		return errors.New("a client that authenticates with tls_client_auth needs the name in its certificate (TLS subject)")
	case c.Authentication != TLS && c.TLSSubject != "":
		return errors.New("a TLS subject is for clients that authenticate with tls_client_auth")
	case c.TLSSubject != "":
		_, err := parseSubjectName(c.TLSSubject)
		return err
	case needsKeys:
		return c.checkKeys()
	}
	return nil
}

// GrantTypes lists the grant types that a client can be allowed.
func GrantTypes() []string {
	return []string{
		oidc.GrantAuthorizationCode, oidc.GrantRefreshToken, oidc.GrantClientCredentials, oidc.GrantPassword,
		oidc.GrantDeviceCode, oidc.GrantTokenExchange,
	}
}

// shortGrants are names for people: those of the registry are long.
var shortGrants = map[string]string{"device_code": oidc.GrantDeviceCode, "token_exchange": oidc.GrantTokenExchange}

// GrantType returns the grant type of a name, which may be the short one.
func GrantType(name string) string { return cmp.Or(shortGrants[name], name) }

// ShortGrantType returns the short name of a grant type that has one.
func ShortGrantType(grantType string) string {
	for short, long := range shortGrants {
		if grantType == long {
			return short
		}
	}
	return grantType
}

func (c Client) checkGrants() error {
	for n, grantType := range c.Grants {
		switch {
		case !slices.Contains(GrantTypes(), grantType):
			var known []string
			for _, name := range GrantTypes() {
				known = append(known, ShortGrantType(name))
			}
			return fmt.Errorf("unknown grant %q; known are %s", grantType, strings.Join(known, ", "))
		case slices.Contains(c.Grants[:n], grantType):
			return fmt.Errorf("grant %q is given twice", ShortGrantType(grantType))
		}
	}
	code, exchange := c.AllowsGrant(oidc.GrantAuthorizationCode), c.AllowsGrant(oidc.GrantTokenExchange)
	switch {
	case code && len(c.RedirectURIs) == 0:
		return errors.New("a client needs at least one redirect URI")
	case !code && len(c.RedirectURIs) > 0:
		return errors.New("redirect URIs are for the grant authorization_code, which the client may not use")
	case c.AllowsGrant(oidc.GrantRefreshToken) && !code && !c.AllowsGrant(oidc.GrantDeviceCode) && !c.AllowsGrant(oidc.GrantPassword):
		return errors.New("the grant refresh_token needs one that a refresh token comes from: authorization_code, device_code or password")
	case c.AllowsGrant(oidc.GrantClientCredentials) && c.Public():
		// RFC 6749, section 4.4.
		return errors.New("the grant client_credentials needs a client that proves who it is; this one is public")
	case exchange && len(c.Audiences) == 0:
		return errors.New("the grant token_exchange needs the audiences that tokens may be narrowed to")
	case !exchange && len(c.Audiences) > 0:
		return errors.New("audiences are for the grant token_exchange, which the client may not use")
	}
	for n, audience := range c.Audiences {
		switch {
		case audience == "" || len(audience) > 255 || strings.ContainsFunc(audience, func(r rune) bool { return r <= ' ' || r > '~' }):
			return fmt.Errorf("audience %.40q is not of at most 255 printable ASCII characters", audience)
		case slices.Contains(c.Audiences[:n], audience):
			return fmt.Errorf("audience %q is given twice", audience)
		}
	}
	return nil
}

func (c Client) checkAddresses() error {
	for _, uri := range c.RedirectURIs {
		if err := CheckRedirectURI(uri); err != nil {
			return err
		}
	}
	if len(c.PostLogoutRedirectURIs) > 0 && !c.AllowsGrant(oidc.GrantAuthorizationCode) {
		return errors.New("post-logout redirect URIs are for the grant authorization_code, which the client may not use")
	}
	for _, uri := range c.PostLogoutRedirectURIs {
		if err := checkReturnURI("post-logout redirect URI", uri); err != nil {
			return err
		}
	}
	if uri := c.BackChannelLogoutURI; uri != "" {
		if err := checkServedURI("back-channel logout URI", uri); err != nil {
			return err
		}
	}
	for _, origin := range c.Origins {
		if err := checkOrigin(origin); err != nil {
			return err
		}
	}
	return nil
}

func (c Client) checkScopes() error {
	for _, scope := range c.Scopes {
		if !allScopes.Has(scope) {
			return fmt.Errorf("unknown scope %q; known are %s", scope, allScopes)
		}
	}
	// A client that acts for itself alone needs no ID token.
	onlyItself := len(c.Grants) == 1 && c.Grants[0] == oidc.GrantClientCredentials
	if len(c.Scopes) > 0 && !c.Scopes.Has(oidc.ScopeOpenID) && !onlyItself {
		return errors.New("the scopes of a client must include openid")
	}
	if !slices.Contains([]string{"", ConsentAlways, ConsentNever}, c.Consent) {
		return fmt.Errorf("unknown consent %q; known are %s and %s", c.Consent, ConsentAlways, ConsentNever)
	}
	if slices.Contains(c.Sources, "") {
		return errors.New("a source needs a name")
	}
	return nil
}

// When consent is asked; anything else decides by what the client is.
const (
	ConsentAlways = "always"
	ConsentNever  = "never"
)

// MaxTokenLifetime is the longest that an ID token or an access token may
// live: for so long a key that has stopped signing stays in the key set.
const MaxTokenLifetime = 24 * time.Hour

func (c Client) checkTokens() error {
	for _, lifetime := range []struct {
		name  string
		value time.Duration
	}{
		{"ID token", c.Lifetimes.IDToken},
		{"access token", c.Lifetimes.AccessToken},
		{"idle refresh token", c.Lifetimes.RefreshIdle},
		{"refresh token", c.Lifetimes.RefreshAbsolute},
	} {
		if lifetime.value < 0 || lifetime.value > 0 && lifetime.value < time.Second {
			return fmt.Errorf("the lifetime of the %s must be a second or more", lifetime.name)
		}
	}
	if max(c.Lifetimes.IDToken, c.Lifetimes.AccessToken) > MaxTokenLifetime {
		return errors.New("an ID token and an access token live for 24 hours at the most; a refresh token is what lives longer")
	}
	if c.Lifetimes.RefreshAbsolute != 0 && c.Lifetimes.RefreshIdle > c.Lifetimes.RefreshAbsolute {
		return errors.New("refresh_idle is longer than refresh_absolute")
	}
	return nil
}

const (
	maxClaims     = 64
	maxClaimValue = 8 << 10
	maxPattern    = 1 << 10
)

func (c Client) checkClaims() error {
	if c.GroupsClaim != "" {
		if err := CheckGroupsClaim(c.GroupsClaim); err != nil {
			return err
		}
	}
	if _, err := CompileGroupsFilter(c.GroupsFilter); err != nil {
		return err
	}
	switch {
	case strings.HasPrefix(c.GroupsPrefix, "system:"):
		return fmt.Errorf("groups prefix %q begins with system:, which Kubernetes keeps for itself", c.GroupsPrefix)
	case len(c.GroupsPrefix) > 64 || strings.ContainsFunc(c.GroupsPrefix, func(r rune) bool { return r < ' ' || r == 0x7f }):
		return errors.New("a groups prefix has at most 64 bytes and no control characters")
	case len(c.Claims) > maxClaims:
		return fmt.Errorf("a client has at most %d claims of its own", maxClaims)
	}
	for _, name := range slices.Sorted(maps.Keys(c.Claims)) {
		if err := checkClaim(name, c.Claims[name]); err != nil {
			return err
		}
	}
	return nil
}

func checkClaim(name string, claim Claim) error {
	ways := 0
	for _, given := range []bool{len(claim.Value) > 0, claim.Attribute != "", claim.Expression != ""} {
		if given {
			ways++
		}
	}
	switch {
	case name == "" || len(name) > 255:
		return errors.New("a claim needs a name of at most 255 bytes")
	case oidc.IsProtocolClaim(name):
		return fmt.Errorf("claim %q belongs to the protocol and cannot be set", name)
	case name == "_claim_names" || name == "_claim_sources":
		// OpenID Connect Core 1.0, section 5.6.2: readers would go and fetch
		// what it points to; API servers do.
		return fmt.Errorf("claim %q would send readers of the token elsewhere and cannot be set", name)
	case ways != 1:
		return fmt.Errorf("claim %q needs one of value, attribute and expression", name)
	case len(claim.Value) > maxClaimValue:
		return fmt.Errorf("claim %q has a value of more than %d bytes", name, maxClaimValue)
	case len(claim.Value) > 0 && !json.Valid(claim.Value):
		return fmt.Errorf("claim %q has a value that is no JSON", name)
	}
	if claim.Expression != "" {
		if _, err := expression.Compile(claim.Expression); err != nil {
			return fmt.Errorf("claim %q: %w", name, err)
		}
	}
	return nil
}

// CheckGroupsClaim tells why groups cannot appear under this name, or
// returns nil.
func CheckGroupsClaim(name string) error {
	switch name {
	case "":
		return errors.New("the groups claim needs a name")
	case "name", "preferred_username", "email", "email_verified":
		return fmt.Errorf("claim %q has a meaning of its own and cannot hold the groups", name)
	}
	if oidc.IsProtocolClaim(name) {
		return fmt.Errorf("claim %q belongs to the protocol and cannot hold the groups", name)
	}
	return nil
}

// CompileGroupsFilter makes the regular expression that a group must match as
// a whole. It is one of RE2, so no group can make it slow.
func CompileGroupsFilter(pattern string) (*regexp.Regexp, error) {
	if len(pattern) > maxPattern {
		return nil, fmt.Errorf("a groups filter has at most %d bytes", maxPattern)
	}
	if _, err := regexp.Compile(pattern); err != nil { // by itself, or ")(" would pass
		return nil, fmt.Errorf("groups filter %q: %w", pattern, err)
	}
	return regexp.Compile(`^(?:` + pattern + `)$`)
}

func list[T ~string](values []T) string {
	var texts []string
	for _, value := range values {
		texts = append(texts, string(value))
	}
	return strings.Join(texts, ", ")
}
