// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package dex

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

const (
	googleIssuer    = "https://accounts.google.com"
	microsoftIssuer = "https://login.microsoftonline.com/"

	// noGroups is a claim that no provider has.
	noGroups = "no_groups_are_taken"
)

// redirectURI is where the provider sends the browser back to: for the first
// one the same as in Dex, so that nothing changes there. Two must not have the
// same.
func (c *conversion) redirectURI(s *section, source *Source) {
	uri, want := c.expanded(s, "redirectURI"), c.result.Config.Issuer
	if want == "" {
		want = "ISSUER"
	}
	want += "/callback"
	if c.shared {
		want += "/" + source.Name
	}
	source.SharedCallback, c.shared = !c.shared, true
	if uri != want && (uri != "" || !source.SharedCallback) {
		c.next(s, "redirectURI", "the browser comes back to "+want, "register that at the provider")
	}
}

func (c *conversion) clientAt(s *section, source *Source) (id, secretFile, environment string) {
	c.redirectURI(s, source)
	secretFile, environment = c.kept(s, "clientSecret", source.Name+".client-secret", "the client secret that the provider gave out")
	return c.expanded(s, "clientID"), secretFile, environment
}

func (c *conversion) oidc(s *section, source *Source) {
	o := c.openID(s, source)
	o.Issuer = c.expanded(s, "issuer")
	o.HostedDomains = c.expandedList(s, "hostedDomains")
	c.anybodyAtGoogle(s, o)
	if roots := c.expandedList(s, "rootCAs"); len(roots) > 0 {
		o.CA = roots[0]
		if len(roots) > 1 {
			c.missing(s, "rootCAs", "one file names the authorities, and the first was taken", "put all of them into one file, one below the other")
		}
	}
	if s.flag("insecureSkipVerify") {
		c.missing(s, "insecureSkipVerify", "the certificate of the provider is always verified", "put the certificate of its authority into a file, and name that in ca")
	}
	for _, key := range []string{"issuerAlias", "providerDiscoveryOverrides"} {
		if s.has(key) {
			c.missing(s, key, "the addresses and the issuer are those that the provider publishes", "let the provider publish what is right")
		}
	}
	if s.has("basicAuthUnsupported") {
		c.changed(s, "basicAuthUnsupported", "how the client secret is sent is what the provider says in its discovery document")
	}
	if s.has("pkceChallenge") {
		c.changed(s, "pkceChallenge", "PKCE with S256 is always used")
	}
	if values := c.expandedList(s, "acrValues"); len(values) > 0 {
		o.AuthorizationParameters = map[string]string{"acr_values": strings.Join(values, " ")}
	}
	if s.flag("getUserInfo") {
		o.Userinfo = "always"
	}
	o.AssumeEmailVerified = s.flag("insecureSkipEmailVerified")
	c.claims(s, o)
	c.groupChanges(s.section("claimModifications"), source)
}

// openID is what the kinds of OpenID Providers have in common.
func (c *conversion) openID(s *section, source *Source) *OIDC {
	o := &OIDC{Prompt: s.text("promptType")}
	source.OIDC = o
	o.ClientID, o.ClientSecretFile, o.ClientSecretEnv = c.clientAt(s, source)
	if scopes := s.texts("scopes"); len(scopes) > 0 {
		o.Scopes = []string{"openid"} // which Dex adds
		for _, scope := range scopes {
			if !slices.Contains(o.Scopes, scope) {
				o.Scopes = append(o.Scopes, scope)
			}
		}
	}
	return o
}

func (c *conversion) claims(s *section, o *OIDC) {
	mapping, override := s.section("claimMapping"), s.flag("overrideClaimMapping")
	claims := Claims{
		ID: s.text("userIDKey"), Name: s.text("userNameKey"),
		Username: mapping.text("preferred_username"), Email: mapping.text("email"), Groups: mapping.text("groups"),
	}
	if !override && (claims.Username != "" || claims.Email != "" || claims.Groups != "") {
		c.changed(s, "claimMapping", "Dex reads these claims only where the usual ones are missing; here they are read and no others")
	}
	o.AllowedGroups = c.expandedList(s, "allowedGroups")
	if !s.flag("insecureEnableGroups") && len(o.AllowedGroups) == 0 {
		claims.Groups = noGroups
		c.changed(s, "insecureEnableGroups", "Dex does not take the groups of this provider, so claims.groups names a claim that it does not have; take that out to have them")
	}
	if claims != (Claims{}) {
		o.Claims = &claims
	}
}

func (c *conversion) groupChanges(s *section, source *Source) {
	names := s.section("modifyGroupNames")
	source.GroupsPrefix = names.text("prefix")
	if names.text("suffix") != "" {
		c.missing(names, "suffix", "nothing is put behind the names of groups", "put something in front: groups_prefix of the source; and change the roles of the clusters")
	}
	if s.section("filterGroupClaims").text("groupsFilter") != "" {
		c.missing(s, "filterGroupClaims", "groups are not filtered where they come from", "clients[].groups_filter says which groups a client is told")
	}
	if s.has("newGroupFromClaims") {
		c.missing(s, "newGroupFromClaims", "no groups are made of other claims", "keep them with attributes, and compute a claim: clients[].claims, with an expression")
	}
}

func (c *conversion) google(s *section, source *Source) {
	o := c.openID(s, source)
	o.Issuer = googleIssuer
	if issuer := s.text("issuer"); issuer != "" && issuer != googleIssuer {
		c.changed(s, "issuer", "it is "+googleIssuer)
	}
	o.HostedDomains = c.expandedList(s, "hostedDomains")
	o.AllowedGroups = c.expandedList(s, "groups")
	if len(o.AllowedGroups) > 0 {
		c.missing(s, "groups", "Google's groups cannot be asked for, so nobody is in any of these and nobody can log in", "limit who comes with hosted_domains or allowed_email_domains instead, and take allowed_groups out")
	}
	for _, key := range []string{"serviceAccountFilePath", "adminEmail", "domainToAdminEmail", "fetchTransitiveGroupMembership"} {
		if s.has(key) {
			c.missing(s, key, "Google's groups cannot be asked for", "declare groups in the file, or bind roles to people")
		}
	}
	c.anybodyAtGoogle(s, o)
}

// anybodyAtGoogle says what is true in Dex already.
func (c *conversion) anybodyAtGoogle(s *section, o *OIDC) {
	if strings.TrimRight(o.Issuer, "/") == googleIssuer && len(o.HostedDomains) == 0 && len(o.AllowedGroups) == 0 {
		o.Anybody = true
		c.anybody(s, "hostedDomains", "Google", "hosted_domains or allowed_email_domains")
	}
}

func (c *conversion) anybody(s *section, key, provider, limits string) {
	c.next(s, key, fmt.Sprintf("everybody who has an account at %s may log in, as in Dex", provider), fmt.Sprintf("say who may with %s, and take anybody out", limits))
}

var tenantID = regexp.MustCompile(`^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$`)

func (c *conversion) microsoft(s *section, source *Source) {
	o := c.openID(s, source)
	tenant := c.expanded(s, "tenant")
	if tenant == "" {
		tenant = "common" // Dex's default
	} else if !tenantID.MatchString(tenant) && tenant != "common" && tenant != "organizations" && tenant != "consumers" {
		c.next(s, "tenant", "the issuer must name the tenant by its ID, not by its name", "put the ID of the tenant into issuer")
	}
	o.Issuer = microsoftIssuer + tenant + "/v2.0"
	// What Dex asks Microsoft Graph for: the ID of the object, and the user
	// principal name as a verified address.
	o.Claims = &Claims{ID: "oid", Username: "preferred_username", Email: "preferred_username"}
	o.AssumeEmailVerified = true
	o.AllowedGroups = c.expandedList(s, "groups")
	byID := s.text("groupNameFormat") == "id"
	switch {
	case byID:
		c.next(s, "groupNameFormat", "the groups come in the ID token", "let the app registration at Microsoft put them there: token configuration, groups claim")
	case len(o.AllowedGroups) > 0:
		c.missing(s, "groups", "groups have their IDs as names here, so nobody is in any of these and nobody can log in", "write their IDs into allowed_groups, and into the roles of the clusters")
	default:
		c.missing(s, "groupNameFormat", "groups have their IDs as names here, in Dex what people call them", "let the app registration at Microsoft put the groups into the token, and write their IDs into the roles of the clusters")
	}
	if s.flag("onlySecurityGroups") {
		o.GroupOverage = &GroupOverage{SecurityGroupsOnly: true}
	}
	if s.flag("useGroupsAsWhitelist") {
		c.missing(s, "useGroupsAsWhitelist", "a source tells all groups of a user", "clients[].groups_filter says which groups a client is told")
	}
	if s.flag("emailToLowercase") {
		c.missing(s, "emailToLowercase", "an address keeps its capital letters", "look at bindings by e-mail address")
	}
	if hint := s.text("domainHint"); hint != "" {
		o.AuthorizationParameters = map[string]string{"domain_hint": hint}
	}
	for _, key := range []string{"apiURL", "graphURL"} {
		if s.has(key) {
			c.missing(s, key, "Microsoft's clouds of their own have other addresses", "put the issuer of that cloud into issuer")
		}
	}
	if s.has("preferredUsernameField") {
		c.changed(s, "preferredUsernameField", "the user name is the user principal name")
	}
}

func (c *conversion) github(s *section, source *Source) {
	g := &GitHub{CA: c.path(s, "rootCA"), TeamNames: "name"} // Dex's default
	source.GitHub = g
	g.ClientID, g.ClientSecretFile, g.ClientSecretEnv = c.clientAt(s, source)
	if host := c.expanded(s, "hostName"); host != "" {
		g.BaseURL = "https://" + host
	}
	c.organizations(s, g)
	switch field := s.text("teamNameField"); field {
	case "slug":
		g.TeamNames = field
	case "both":
		c.missing(s, "teamNameField", "a team is one group, with one name: the one that people read", "write that into the roles of the clusters, or say team_names: slug")
	}
	if s.flag("useLoginAsID") {
		c.changed(s, "useLoginAsID", "people are told apart by GitHub's number, because a login name can be given to somebody else")
	}
	if s.has("preferredEmailDomain") {
		c.missing(s, "preferredEmailDomain", "the address is the one that is primary at GitHub", "look at bindings by e-mail address")
	}
	if s.flag("loadAllGroups") && len(g.Organizations) == 0 {
		c.missing(s, "loadAllGroups", "nobody has groups: anybody can make an organization of any free name, so only those count that the file names", "list them in organizations")
	}
}

// organizations carries over who may come: a member of an organization
// without teams, or of a team that is named.
func (c *conversion) organizations(s *section, g *GitHub) {
	if name := c.expanded(s, "org"); name != "" {
		g.Organizations = []string{name}
	}
	limited := false
	for _, org := range s.sections("orgs") {
		name, teams := c.expanded(org, "name"), org.texts("teams")
		g.Organizations = append(g.Organizations, name)
		limited = limited || len(teams) > 0
		if len(teams) == 0 {
			g.AllowedGroups = append(g.AllowedGroups, name)
		}
		for _, team := range teams {
			g.AllowedGroups = append(g.AllowedGroups, name+":"+team)
		}
	}
	switch {
	case !limited:
		g.AllowedGroups = nil // being in one of the organizations is enough
	default:
		c.changed(s, "orgs", "of an organization with teams all teams of a person are told as groups, not only those that let them in")
	}
	if g.BaseURL == "" && len(g.Organizations) == 0 {
		g.Anybody = true
		c.anybody(s, "orgs", "GitHub", "organizations")
	}
}

func (c *conversion) expandedList(s *section, key string) []string {
	var values []string
	for _, text := range s.texts(key) {
		values = append(values, c.replaced(s, key, text))
	}
	return values
}
