// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package login

import (
	"cmp"
	"context"
	"encoding/json"
	"strings"
	"time"

	"github.com/tegata/tegata/internal/oidc"
)

// What was learnt about a provider is used for a day, or for as long as the
// provider said, up to a week. A withdrawn document does no harm in that
// time: an ID token comes from the token endpoint itself, over TLS, which
// alone would vouch for it (OpenID Connect Core 1.0, section 3.1.3.7, rule
// 6), and an unknown key or a missing endpoint makes us ask again.
const (
	keepAtLeast = 24 * time.Hour
	keepAtMost  = 7 * 24 * time.Hour
)

// knowledgeVersion is the version of the notebook's form.
const knowledgeVersion = 1

// knowledge is what a client knows of its provider.
type knowledge struct {
	Version       int             `json:"version"`
	Metadata      oidc.Metadata   `json:"metadata"`
	MetadataUntil time.Time       `json:"metadata_until"`
	Keys          json.RawMessage `json:"jwks,omitempty"` // as the provider wrote it
	KeysUntil     time.Time       `json:"jwks_until"`

	// ClientAuthentication is how the provider took the client's secret.
	ClientAuthentication string `json:"client_authentication,omitempty"`

	opened        bool // the notebook was looked at
	changed       bool // the notebook is behind
	metadataFresh bool // fetched in this run
	keysFresh     bool
}

// openNotebook reads what earlier runs learnt, once.
func (c *Client) openNotebook() {
	if c.known.opened {
		return
	}
	c.known.opened = true
	if c.Notebook == nil {
		return
	}
	text, err := c.Notebook.Load()
	if err != nil {
		return
	}
	noted := knowledge{opened: true}
	if json.Unmarshal(text, &noted) != nil || noted.Version != knowledgeVersion || noted.Metadata.Issuer != c.Issuer {
		return
	}
	// A clock that ran ahead for a moment must not keep a document for years.
	if noted.Metadata.Issuer != "" && c.checkEndpoints(noted.Metadata) != nil {
		return
	}
	if now := c.now(); now.After(noted.MetadataUntil) || noted.MetadataUntil.Sub(now) > keepAtMost {
		noted.Metadata = oidc.Metadata{}
	}
	if now := c.now(); now.After(noted.KeysUntil) || noted.KeysUntil.Sub(now) > keepAtMost {
		noted.Keys = nil
	}
	c.known = noted
}

func (c *Client) writeDown() {
	if c.Notebook == nil || !c.known.changed || c.known.Metadata.Issuer == "" {
		return
	}
	c.known.Version = knowledgeVersion
	if text, err := json.Marshal(c.known); err == nil && c.Notebook.Save(text) == nil {
		c.known.changed = false
	}
}

// keepUntil is when a document with this max-age is asked for again.
func (c *Client) keepUntil(age time.Duration) time.Time {
	return c.now().Add(min(max(age, keepAtLeast), keepAtMost))
}

// metadata returns what is known of the provider, or asks.
func (c *Client) metadata(ctx context.Context) (oidc.Metadata, error) {
	c.openNotebook()
	if c.known.Metadata.Issuer != "" {
		return c.known.Metadata, nil
	}
	return c.Discover(ctx)
}

// Discover asks the provider for its metadata (OpenID Connect Discovery 1.0,
// section 4).
func (c *Client) Discover(ctx context.Context) (oidc.Metadata, error) {
	c.openNotebook()
	var m oidc.Metadata
	header, err := c.get(ctx, c.Issuer.ConfigurationURL(), "OpenID metadata", &m)
	if err != nil {
		return oidc.Metadata{}, err
	}
	if m.Issuer == "" {
		return oidc.Metadata{}, problem(NotAnIssuer, "%s did not answer with OpenID metadata", c.Issuer.ConfigurationURL())
	}
	// Section 4.3: the issuer MUST be identical to the one that was asked.
	if m.Issuer != c.Issuer {
		return oidc.Metadata{}, &Problem{Kind: IssuerMismatch, Text: mismatch(c.Issuer, m.Issuer)}
	}
	if err := c.checkEndpoints(m); err != nil {
		return oidc.Metadata{}, err
	}
	c.known.Metadata, c.known.MetadataUntil = m, c.keepUntil(maxAge(header))
	c.known.metadataFresh, c.known.changed = true, true
	return m, nil
}

// checkEndpoints finds endpoints that are missing, or that are not as safe as
// the issuer: https, or http too if the issuer itself is on a loopback
// address. A browser is started with one of them, so it is no other scheme.
func (c *Client) checkEndpoints(m oidc.Metadata) error {
	m = c.aliased(m)
	for _, endpoint := range []struct {
		name, address string
		optional      bool
	}{
		{"token_endpoint", m.TokenEndpoint, false},
		{"jwks_uri", m.JWKSURI, false},
		{"authorization_endpoint", m.AuthorizationEndpoint, true}, // other grants do without
		{"device_authorization_endpoint", m.DeviceAuthorizationEndpoint, true},
	} {
		safe := strings.HasPrefix(endpoint.address, "https://") ||
			strings.HasPrefix(endpoint.address, "http://") && strings.HasPrefix(string(c.Issuer), "http://")
		switch {
		case endpoint.address == "" && !endpoint.optional:
			return problem(BadAnswer, "the metadata of %s has no %s", c.Issuer, endpoint.name)
		case endpoint.address != "" && !safe:
			return problem(BadAnswer, "the metadata of %s has a %s without https", c.Issuer, endpoint.name)
		}
	}
	return nil
}

// aliased has the endpoints that this client is to use. RFC 8705, section 5: a
// client that shows a certificate MUST prefer the aliases.
func (c *Client) aliased(m oidc.Metadata) oidc.Metadata {
	if aliases := m.MTLSEndpointAliases; aliases != nil && c.ShowsCertificate {
		m.TokenEndpoint = cmp.Or(aliases.TokenEndpoint, m.TokenEndpoint)
		m.DeviceAuthorizationEndpoint = cmp.Or(aliases.DeviceAuthorizationEndpoint, m.DeviceAuthorizationEndpoint)
		m.RevocationEndpoint = cmp.Or(aliases.RevocationEndpoint, m.RevocationEndpoint)
	}
	return m
}

// mismatch says in what two issuers differ.
func mismatch(asked, got oidc.Issuer) string {
	switch string(got) {
	case string(asked) + "/":
		return "the issuer calls itself " + plain(string(got)) + ", with a \"/\" at the end that is missing in " + string(asked)
	case strings.TrimSuffix(string(asked), "/"):
		return "the issuer calls itself " + plain(string(got)) + ", without the \"/\" at the end of " + string(asked)
	}
	return "the issuer calls itself " + plain(string(got)) + ", which is not " + string(asked)
}
