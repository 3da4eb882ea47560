// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package dex

import (
	"fmt"
	"slices"
	"strings"

	"github.com/tegata/tegata/internal/clientregistry"
	"github.com/tegata/tegata/internal/oidc"
	"github.com/tegata/tegata/internal/secret"
)

const (
	deviceCallback = "/device/callback" // in Dex, the mark of a client that shows a code
	outOfBand      = "urn:ietf:wg:oauth:2.0:oob"
)

// clients are the static clients.
func (c *conversion) clients(root *section) {
	all := root.sections("staticClients")
	shared := c.oauth2(root)
	peers := map[string][]string{} // what a client may ask tokens for, by its ID
	for _, s := range all {
		for _, peer := range s.texts("trustedPeers") {
			peers[peer] = append(peers[peer], c.clientID(s, false))
		}
	}
	ids := once{}
	for _, s := range all {
		switch id := c.clientID(s, true); {
		case id == "":
			s.passBy()
		case !ids.first(id):
			c.missing(s, "id", fmt.Sprintf("the client %.100q is there already, so this one was left out", id), "")
			s.passBy()
		case !c.client(s, id, shared, peers[id]):
			s.passBy()
		}
	}
}

func (c *conversion) clientID(s *section, tell bool) string {
	id, name := s.text("id"), s.text("idEnv")
	if id != "" || name == "" {
		if id == "" && tell {
			c.missing(s, "id", "a client without an ID was left out", "")
		}
		return id
	}
	value, ok := c.options.Lookup(name)
	switch {
	case !tell:
	case !ok || !printable(value):
		c.next(s, "idEnv", fmt.Sprintf("the client ID is in the environment variable %q, which is not set now, so the client was left out", name), "set it for this command, and import again")
		return ""
	default:
		c.changed(s, "idEnv", fmt.Sprintf("the client ID in %s was read now; it is not read again when the server starts", name))
	}
	return value
}

// client reports false if it was left out.
func (c *conversion) client(s *section, id string, shared oauth2, audiences []string) bool {
	client := Client{ID: id, Name: s.text("name"), Consent: shared.consent, Origins: shared.origins}
	public := s.flag("public")
	if !c.clientSecret(s, &client) && !public {
		c.missing(s, "secret", "Dex refuses a client without a secret that is not public, so it was left out", "")
		return false
	}
	client.Public = client.SecretHash == "" && client.SecretEnv == ""
	if public && !client.Public {
		c.changed(s, "public", "it has a secret, so it is a client with a secret, whose kubeconfigs keep it; take the secret away from both to make it public")
	}
	device := c.redirectURIs(s, &client, public)
	c.grants(&client, shared, device)
	for _, audience := range audiences {
		if audience != "" && audience != id && !slices.Contains(client.Audiences, audience) {
			client.Audiences = append(client.Audiences, audience)
		}
	}
	if len(client.Audiences) > 0 {
		client.Grants = append(client.Grants, "token_exchange")
		c.missing(s, "id", fmt.Sprintf("other clients trust %q: it may ask for tokens for %s, but with a token exchange; the scope audience:server:client_id: is not known", id, strings.Join(client.Audiences, ", ")),
			"change what the client asks for: grant_type urn:ietf:params:oauth:grant-type:token-exchange, with audience")
	}
	if allowed := s.texts("allowedConnectors"); len(allowed) > 0 && !c.clientSources(s, &client, allowed) {
		return false
	}
	client.SecondFactor = len(s.texts("mfaChain")) > 0
	c.clientRest(s)
	if slices.Equal(client.Grants, []string{oidc.GrantAuthorizationCode, oidc.GrantRefreshToken}) {
		client.Grants = nil // the default
	}
	return c.putOr(s, "", fmt.Sprintf("the client was left out; add it: tegata client add %q", id), func(o *Config) { o.Clients = append(o.Clients, client) })
}

// clientSecret takes over the secret as a hash, or the name of its variable.
// It reports whether there is one.
func (c *conversion) clientSecret(s *section, client *Client) bool {
	value, name := secret.New(s.text("secret")), s.text("secretEnv")
	switch {
	case !value.IsZero():
		client.SecretHash = clientregistry.HashSecret(value)
		if err := clientregistry.CheckSecret(value); err != nil {
			c.next(s, "secret", err.Error()+"; it still works, but whoever reads the hash can guess it", "make a longer one, in the client too, when there is time")
		}
	case name != "":
		client.SecretEnv = name
		found, ok := c.options.Lookup(name)
		if err := clientregistry.CheckSecret(secret.New(found)); ok && err != nil {
			c.next(s, "secretEnv", err.Error(), "make a longer one, in the client too: the server does not start with this one")
		}
	default:
		return false
	}
	return true
}

// redirectURIs takes over what can be registered here. It reports whether the
// client may show codes for another device.
func (c *conversion) redirectURIs(s *section, client *Client, public bool) (device bool) {
	given := s.texts("redirectURIs")
	for _, uri := range given {
		switch {
		case uri == deviceCallback || strings.HasSuffix(uri, deviceCallback) && strings.TrimSuffix(uri, deviceCallback) == c.result.Config.Issuer:
			device = true
		case uri == outOfBand:
			c.missing(s, "redirectURIs", "a code is never shown for copying", "let the client use the grant device_code")
		default:
			if err := clientregistry.CheckRedirectURI(uri); err != nil {
				c.missing(s, "redirectURIs", "left out: "+err.Error(), "change it, in the client too")
			} else if !slices.Contains(client.RedirectURIs, uri) {
				client.RedirectURIs = append(client.RedirectURIs, uri)
			}
		}
	}
	if public && len(given) == 0 {
		client.RedirectURIs = []string{"http://localhost", "http://127.0.0.1", "http://[::1]"}
		c.changed(s, "redirectURIs", "Dex lets it use any path of this machine; here it is any port, as kubectl's plugins use it, without a path; add http://localhost/PATH for a client that has one")
		device = true
	}
	var after []string
	for _, uri := range s.texts("postLogoutRedirectURIs") {
		if err := clientregistry.CheckRedirectURI(uri); err != nil {
			c.missing(s, "postLogoutRedirectURIs", "left out: "+err.Error(), "change it, in the client too")
		} else if !slices.Contains(after, uri) {
			after = append(after, uri)
		}
	}
	if len(client.RedirectURIs) > 0 {
		client.PostLogoutRedirectURIs = after
	}
	return device
}

// grants are those that Dex offers the client; here each client names its own.
func (c *conversion) grants(client *Client, shared oauth2, device bool) {
	add := func(grant, grantType string) {
		if shared.allows(grantType) {
			client.Grants = append(client.Grants, grant)
		}
	}
	if len(client.RedirectURIs) > 0 {
		add(oidc.GrantAuthorizationCode, oidc.GrantAuthorizationCode)
	}
	if device {
		add("device_code", oidc.GrantDeviceCode)
	}
	if shared.typed {
		add(oidc.GrantPassword, oidc.GrantPassword)
	}
	if len(client.Grants) > 0 {
		add(oidc.GrantRefreshToken, oidc.GrantRefreshToken)
	}
	// Dex offers this one only if it is named.
	if !client.Public && slices.Contains(shared.grants, oidc.GrantClientCredentials) {
		client.Grants = append(client.Grants, oidc.GrantClientCredentials)
	}
	if !slices.Contains(client.Grants, oidc.GrantAuthorizationCode) {
		client.RedirectURIs, client.PostLogoutRedirectURIs = nil, nil
	}
}

// clientSources reports false if nobody could use the client.
func (c *conversion) clientSources(s *section, client *Client, allowed []string) bool {
	for _, id := range allowed {
		name, ok := c.sources[strings.ToLower(id)]
		switch {
		case !ok:
			c.missing(s, "allowedConnectors", fmt.Sprintf("the connector %.60q is none of those that were carried over", id), "")
		case !slices.Contains(client.Sources, name):
			client.Sources = append(client.Sources, name)
		}
	}
	if len(client.Sources) == 0 {
		c.missing(s, "allowedConnectors", "no connector is left that may use this client, so it was left out", "add it with the sources that may: clients[].sources")
	}
	return len(client.Sources) > 0
}

// clientRest is what has no equivalent.
func (c *conversion) clientRest(s *section) {
	if s.has("logoURL") {
		c.changed(s, "logoURL", "the login page names the client, and shows no logo")
	}
	if s.has("allowedGroups") {
		c.missing(s, "allowedGroups", "no client is for some groups alone", "let the roles of the cluster decide; clients[].groups_filter says which groups are told")
	}
	if s.has("ssoSharedWith") {
		c.missing(s, "ssoSharedWith", "who has logged in is known to every client of the issuer", "set consent: always for a client that must ask")
	}
	if s.has("clientCredentialsClaims") {
		c.missing(s, "clientCredentialsClaims", "a claim of a client is the same for people who use it, so its groups were not carried over", "if no person uses the client: clients[].claims, {name: groups, value: […]}")
	}
}
