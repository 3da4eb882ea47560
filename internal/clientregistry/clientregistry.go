// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

// Package clientregistry is the clients that may ask for tokens: who they
// are, how they prove it, and where answers to them may go.
//
//   - clientregistry.go: what a client is, and what it may do
//   - validate.go: which clients make sense
//   - redirecturi.go: which redirect URIs are the client's (RFC 8252, 9700)
//   - keyset.go, subjectname.go: its public keys, the name in its certificate
//   - authenticate.go: client authentication (RFC 6749, section 2.3)
//   - assertion.go, certificate.go: by a signed proof (RFC 7523), by a certificate (RFC 8705)
//
// Every endpoint that a client calls uses this package; it knows no endpoint.
package clientregistry

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/tegata/tegata/internal/oidc"
	"github.com/tegata/tegata/internal/secret"
)

// ErrNotFound means that no such client is registered at the issuer.
var ErrNotFound = errors.New("no such client")

var allScopes = oidc.Scopes{oidc.ScopeOpenID, oidc.ScopeProfile, oidc.ScopeEmail, oidc.ScopeGroups, oidc.ScopeOfflineAccess}

// AllScopes returns the scopes that a client may ask for unless it is limited
// to less.
func AllScopes() oidc.Scopes { return slices.Clone(allScopes) }

// Client is a registered client (RFC 6749, section 2). It is kept as JSON.
type Client struct {
	ID       oidc.ClientID `json:"id"`
	Name     string        `json:"name,omitempty"`     // what a person reads on the login page; empty: the ID
	Declared bool          `json:"declared,omitempty"` // stands in the configuration file and is changed there

	// How it proves itself at the endpoints that it calls.
	Authentication Method          `json:"authentication,omitempty"` // empty: by its secret if it has one, else none
	SecretHash     string          `json:"secret_hash,omitempty"`    // as HashSecret makes it
	JWKS           json.RawMessage `json:"jwks,omitempty"`           // its public keys (RFC 7523; RFC 8705, section 2.2)
	TLSSubject     string          `json:"tls_subject,omitempty"`    // of its certificate: a distinguished name, or dns:, uri:, email: and an alternative name (RFC 8705, section 2.1)

	// Where answers to it may go.
	RedirectURIs           []string `json:"redirect_uris"`
	PostLogoutRedirectURIs []string `json:"post_logout_redirect_uris,omitempty"` // RP-Initiated Logout 1.0
	BackChannelLogoutURI   string   `json:"backchannel_logout_uri,omitempty"`    // Back-Channel Logout 1.0
	Origins                []string `json:"origins,omitempty"`                   // of pages whose scripts may call us (CORS)

	// What it may ask for.
	Grants    []string    `json:"grants,omitempty"`    // grant types; empty: authorization_code and refresh_token
	Scopes    oidc.Scopes `json:"scopes,omitempty"`    // the most it may get; empty: all
	Audiences []string    `json:"audiences,omitempty"` // that a token exchange may narrow its tokens to (RFC 8693)
	Sources   []string    `json:"sources,omitempty"`   // whose end users may use it; empty: all
	Consent   string      `json:"consent,omitempty"`   // always, never; empty: asked of public clients on a loopback address
	// SecondFactor is needed of everybody who uses it.
	SecondFactor bool `json:"second_factor,omitempty"`

	// What its tokens say, and for how long.
	GroupsClaim    string           `json:"groups_claim,omitempty"`     // empty: the issuer's
	GroupsFilter   string           `json:"groups_filter,omitempty"`    // a regular expression that a group must match as a whole
	GroupsPrefix   string           `json:"groups_prefix,omitempty"`    // put before each group
	Claims         map[string]Claim `json:"claims,omitempty"`           // further claims of ID tokens and of userinfo
	SigningAlg     string           `json:"signing_alg,omitempty"`      // of its ID tokens; empty: the issuer's
	AccessTokenAlg string           `json:"access_token_alg,omitempty"` // of its access tokens; empty: ES256
	Lifetimes      Lifetimes        `json:"lifetimes,omitzero"`
}

// Method is a way of client authentication, by its name in the registry of
// OAuth (OpenID Connect Core 1.0, section 9; RFC 8705, section 2).
type Method string

// The methods.
const (
	None          Method = "none"
	SecretBasic   Method = "client_secret_basic"
	SecretPost    Method = "client_secret_post"
	PrivateKeyJWT Method = "private_key_jwt"
	TLS           Method = "tls_client_auth"
	SelfSignedTLS Method = "self_signed_tls_client_auth"
)

// Claim is where the value of a claim comes from: exactly one of the three.
type Claim struct {
	Value      json.RawMessage `json:"value,omitempty"`      // the same for everybody
	Attribute  string          `json:"attribute,omitempty"`  // of the end user
	Expression string          `json:"expression,omitempty"` // in CEL; package expression
}

// Lifetimes are a client's own; zero means the issuer's.
type Lifetimes struct {
	IDToken         time.Duration `json:"id_token,omitempty"`
	AccessToken     time.Duration `json:"access_token,omitempty"`
	RefreshIdle     time.Duration `json:"refresh_idle,omitempty"`
	RefreshAbsolute time.Duration `json:"refresh_absolute,omitempty"`
}

// Public reports whether the client cannot prove who it is (RFC 6749, section
// 2.1), so that PKCE is required of it.
func (c Client) Public() bool {
	return c.Authentication == None || c.Authentication == "" && c.SecretHash == ""
}

// AcceptedMethods lists the methods by which the client may prove itself.
func (c Client) AcceptedMethods() []Method {
	switch {
	case c.Authentication != "":
		return []Method{c.Authentication}
	case c.SecretHash != "":
		return []Method{SecretBasic, SecretPost}
	}
	return []Method{None}
}

// CertificateBound reports whether the client's access tokens are bound to
// the certificate that it shows (RFC 8705, section 3).
func (c Client) CertificateBound() bool {
	return c.Authentication == TLS || c.Authentication == SelfSignedTLS
}

// DisplayName is what a person reads.
func (c Client) DisplayName() string {
	if c.Name != "" {
		return c.Name
	}
	return string(c.ID)
}

// AllowedScopes is the most that the client may get.
func (c Client) AllowedScopes() oidc.Scopes {
	if len(c.Scopes) == 0 {
		return allScopes
	}
	return c.Scopes
}

// AllowedGrants is the grant types that the client may use.
func (c Client) AllowedGrants() []string {
	if len(c.Grants) == 0 {
		return []string{oidc.GrantAuthorizationCode, oidc.GrantRefreshToken}
	}
	return c.Grants
}

// AllowsGrant reports whether the client may use the grant type.
func (c Client) AllowsGrant(grantType string) bool {
	return slices.Contains(c.AllowedGrants(), grantType)
}

// AllowsSource reports whether end users of the source may use the client.
func (c Client) AllowsSource(source string) bool {
	return len(c.Sources) == 0 || slices.Contains(c.Sources, source)
}

// AllowsOrigin reports whether scripts of pages of the origin may read what
// the client is answered (the Fetch standard: CORS).
func (c Client) AllowsOrigin(origin string) bool {
	return origin != "" && slices.Contains(c.Origins, origin)
}

// NewSecret makes a client secret with 260 bits of chance.
func NewSecret() secret.String { return secret.New(rand.Text() + rand.Text()) }

// minSecretLength is the least number of characters of a client secret that
// somebody else made. Secrets are kept as a fast hash, which is only right
// for what cannot be guessed (RFC 6749, section 10.10: 128 bits).
const minSecretLength = 22

// CheckSecret tells why a client secret cannot be used, or returns nil.
func CheckSecret(s secret.String) error {
	if n := len(s.Reveal()); n < minSecretLength {
		return fmt.Errorf("the client secret has %d characters; at least %d are needed", n, minSecretLength)
	}
	return nil
}

// HashSecret is what is kept of a client secret.
func HashSecret(s secret.String) string {
	sum := sha256.Sum256([]byte(s.Reveal()))
	return "sha256:" + hex.EncodeToString(sum[:])
}

// HasSecret reports, in equal time, whether this is the client's secret.
func (c Client) HasSecret(s secret.String) bool {
	return subtle.ConstantTimeCompare([]byte(HashSecret(s)), []byte(c.SecretHash)) == 1
}
