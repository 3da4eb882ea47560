// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/tegata/tegata/internal/exit"
	"github.com/tegata/tegata/internal/oidc"
)

// namePrefix keeps the names of the provider apart from those of the cluster:
// without it, a group "system:masters" would be the cluster's own.
const namePrefix = "oidc:"

// apiServerSide is what the API server must be told.
type apiServerSide struct {
	Flags         []string             `json:"flags"`
	Configuration authenticationConfig `json:"authentication_configuration"`

	user, group string // seen, with their prefix; group may be empty
	notes       []string
}

// authenticationConfig is AuthenticationConfiguration of apiserver.config.k8s.io,
// as far as it is needed here.
type authenticationConfig struct {
	APIVersion string          `json:"apiVersion"`
	Kind       string          `json:"kind"`
	JWT        []authenticator `json:"jwt"`
}

type authenticator struct {
	Issuer struct {
		URL                  oidc.Issuer     `json:"url"`
		Audiences            []oidc.ClientID `json:"audiences"`
		CertificateAuthority string          `json:"certificateAuthority,omitempty"`
	} `json:"issuer"`
	ClaimMappings struct {
		Username prefixedClaim  `json:"username"`
		Groups   *prefixedClaim `json:"groups,omitempty"`
	} `json:"claimMappings"`
}

type prefixedClaim struct {
	Claim  string `json:"claim"`
	Prefix string `json:"prefix"`
}

// apiServerFor chooses the claims by what was seen.
func apiServerFor(r request, seen seenToken) apiServerSide {
	var s apiServerSide
	note := func(format string, args ...any) { s.notes = append(s.notes, fmt.Sprintf(format, args...)) }

	// 1. Who the token is for.
	audience := r.identity.ClientID
	if len(seen.claims.Audience) > 0 && !seen.claims.Audience.Has(audience) {
		audience = oidc.ClientID(seen.claims.Audience[0])
		note("The token is for %q, not for the client %q, so that is what the API server must expect.", audience, r.identity.ClientID)
	}

	// 2. The name. With email as the claim, an API server refuses a token whose
	// email_verified is there and not true.
	username, name := "sub", string(seen.claims.Subject)
	verified, said := seen.claims.Other["email_verified"]
	switch email, _ := seen.claims.Other["email"].(string); {
	case email == "":
		note("There is no claim email, so the name is sub: it never changes, and says little. --oidc-extra-scope=email may bring it.")
	case said && verified != true:
		note("email_verified is not true, and an API server then refuses email as the name; so the name is sub.")
	default:
		username, name = "email", email
	}

	// 3. The groups. Without the flag there are none, whatever the token says.
	groups, names := groupsClaim(seen.claims)
	if groups == "" {
		note("No claim looks like groups. If the provider knows some, --oidc-extra-scope=groups may bring them.")
	}

	// 4. As flags.
	s.Flags = []string{
		"--oidc-issuer-url=" + string(r.identity.Issuer),
		"--oidc-client-id=" + string(audience),
		"--oidc-username-claim=" + username,
		"--oidc-username-prefix=" + namePrefix,
	}
	if groups != "" {
		s.Flags = append(s.Flags, "--oidc-groups-claim="+groups, "--oidc-groups-prefix="+namePrefix)
	}
	if seen.algorithm != "" && seen.algorithm != "RS256" {
		s.Flags = append(s.Flags, "--oidc-signing-algs="+seen.algorithm)
		note("The token is signed with %s; without the flag for it an API server takes RS256 alone.", seen.algorithm)
	}
	authorities := ""
	for _, text := range r.identity.Authorities {
		if pem := strings.TrimSpace(strings.ReplaceAll(string(text), "\r\n", "\n")) + "\n"; !strings.Contains(authorities, pem) {
			authorities += pem
		}
	}
	switch {
	case authorities != "":
		file := "/etc/kubernetes/pki/oidc-ca.crt"
		s.Flags = append(s.Flags, "--oidc-ca-file="+file)
		note("Copy the certificate authority to %s of each control-plane node; it is in the other form, too.", file)
	case r.identity.InsecureSkipTLSVerify:
		note("An API server always checks the provider's certificate: give it the authority that signed it, with --oidc-ca-file.")
	}
	if !strings.HasPrefix(string(r.identity.Issuer), "https://") {
		note("An API server takes https issuers alone, and this one is not.")
	}

	// 5. As a file.
	var a authenticator
	a.Issuer.URL, a.Issuer.Audiences, a.Issuer.CertificateAuthority = r.identity.Issuer, []oidc.ClientID{audience}, authorities
	a.ClaimMappings.Username = prefixedClaim{username, namePrefix}
	if groups != "" {
		a.ClaimMappings.Groups = &prefixedClaim{groups, namePrefix}
	}
	s.Configuration = authenticationConfig{"apiserver.config.k8s.io/v1", "AuthenticationConfiguration", []authenticator{a}}
	note("MicroK8s allows everything to everybody who can log in until you run: microk8s enable rbac")
	note("The flags and the file exclude each other. Before Kubernetes 1.34 the file's apiVersion ends in v1beta1.")

	// 6. Who gets a role.
	s.user = namePrefix + name
	if len(names) > 0 {
		s.group = namePrefix + names[0]
	}
	return s
}

// groupsClaim is the claim that holds groups, and what they are called.
func groupsClaim(claims oidc.Claims) (claim string, names []string) {
	candidates := []string{"groups", "cognito:groups"}
	for _, name := range slices.Sorted(maps.Keys(claims.Other)) {
		if strings.HasSuffix(name, "groups") {
			candidates = append(candidates, name)
		}
	}
	for _, claim := range append(candidates, "roles") {
		switch value := claims.Other[claim].(type) {
		case string:
			return claim, []string{value}
		case []any:
			for _, one := range value {
				if name, ok := one.(string); ok {
					names = append(names, name)
				}
			}
			return claim, names
		}
	}
	return "", nil
}

// binding is a command that gives a group that was seen, or else the person, a
// first role.
func (s apiServerSide) binding() string {
	subject := "--group=" + s.group
	if s.group == "" {
		subject = "--user=" + s.user
	}
	return "kubectl create clusterrolebinding oidc-view --clusterrole=view " + exit.Quote(subject)
}

// yaml is the file. Words stand in quotes, which mean the same to each parser.
func (s apiServerSide) yaml() string {
	quote := func(text string) string {
		quoted, _ := json.Marshal(text)
		return string(quoted)
	}
	a := s.Configuration.JWT[0]
	var out strings.Builder
	fmt.Fprintf(&out, "apiVersion: %s\nkind: %s\njwt:\n- issuer:\n    url: %s\n    audiences: [%s]\n",
		s.Configuration.APIVersion, s.Configuration.Kind, quote(string(a.Issuer.URL)), quote(string(a.Issuer.Audiences[0])))
	if a.Issuer.CertificateAuthority != "" {
		out.WriteString("    certificateAuthority: |\n")
		for line := range strings.Lines(a.Issuer.CertificateAuthority) {
			out.WriteString("      " + line)
		}
	}
	fmt.Fprintf(&out, "  claimMappings:\n    username: {claim: %s, prefix: %s}\n", quote(a.ClaimMappings.Username.Claim), quote(a.ClaimMappings.Username.Prefix))
	if groups := a.ClaimMappings.Groups; groups != nil {
		fmt.Fprintf(&out, "    groups: {claim: %s, prefix: %s}\n", quote(groups.Claim), quote(groups.Prefix))
	}
	return out.String()
}
