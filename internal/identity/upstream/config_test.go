// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package upstream_test

import (
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/google/go-cmp/cmp"

	"github.com/tegata/tegata/internal/identity/upstream"
	"github.com/tegata/tegata/internal/oidc"
	"github.com/tegata/tegata/internal/secret"
)

func TestConfiguration(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name string
		kind string
		text string
		want string // in the error; empty: it is good
	}{
		{"Keycloak", "oidc", "{issuer: https://id.example.com/realms/corp, client_id: tegata, claims: {groups: realm_access.roles}, timeout: 5s}", ""},
		{"Google", "oidc", "{issuer: https://accounts.google.com, client_id: tegata, hosted_domains: [example.com]}", ""},
		{"Google for everybody", "oidc", "{issuer: https://accounts.google.com, client_id: tegata}", "hosted_domains"},
		{"Google for anybody", "oidc", "{issuer: https://accounts.google.com, client_id: tegata, anybody: true}", ""},
		{"Entra", "oidc", "{issuer: 'https://login.microsoftonline.com/6babcaad-604b-40ac-a9d7-9fd97c0b779f/v2.0', client_id: t, claims: {id: oid}}", ""},
		{"Entra for all tenants", "oidc", "{issuer: 'https://login.microsoftonline.com/common/v2.0', client_id: t}", "TENANT-ID"},
		{"Entra for all organizations", "oidc", "{issuer: 'https://login.microsoftonline.com/organizations/v2.0', client_id: t}", "TENANT-ID"},
		{"Entra's template", "oidc", "{issuer: 'https://login.microsoftonline.com/{tenantid}/v2.0', client_id: t}", "TENANT-ID"},
		{"on this machine", "oidc", "{issuer: 'http://127.0.0.1:5556/dex', client_id: t}", ""},
		{"in the clear", "oidc", "{issuer: 'http://id.example.com', client_id: t}", "must begin with https://"},
		{"no address", "oidc", "{issuer: id.example.com, client_id: t}", "no address"},
		{"an issuer with a query", "oidc", "{issuer: 'https://id.example.com?a=b', client_id: t}", "no address"},
		{"no client", "oidc", "{issuer: https://id.example.com}", "client_id is missing"},
		{"scopes without openid", "oidc", "{issuer: https://id.example.com, client_id: t, scopes: [email]}", "must hold openid"},
		{"scopes in one", "oidc", "{issuer: https://id.example.com, client_id: t, scopes: [openid, email groups]}", "no scope"},
		{"a parameter of ours", "oidc", "{issuer: https://id.example.com, client_id: t, authorization_parameters: {state: x}}", "state is ours"},
		{"two prompts", "oidc", "{issuer: https://id.example.com, client_id: t, prompt: login, authorization_parameters: {prompt: consent}}", "given twice"},
		{"no prompt", "oidc", "{issuer: https://id.example.com, client_id: t, prompt: none}", "nobody log in"},
		{"userinfo sometimes", "oidc", "{issuer: https://id.example.com, client_id: t, userinfo: sometimes}", "auto, always and never"},
		{"overage in the clear", "oidc", "{issuer: https://id.example.com, client_id: t, group_overage: {endpoint: 'http://graph.example.com'}}", "group_overage.endpoint"},
		{"an address for a domain", "oidc", "{issuer: https://id.example.com, client_id: t, allowed_email_domains: [a@example.com]}", "no domain"},
		{"a long claim", "oidc", "{issuer: https://id.example.com, client_id: t, claims: {id: " + strings.Repeat("a.", 200) + "}}", "claims.id"},

		{"GitHub", "github", "{client_id: t, organizations: [acme], team_names: name}", ""},
		{"GitHub Enterprise", "github", "{client_id: t, base_url: 'https://github.example.com/'}", ""},
		{"GitHub for everybody", "github", "{client_id: t}", "organizations"},
		{"GitHub without a client", "github", "{organizations: [acme]}", "client_id and client_secret_file"},
		{"a team among the organizations", "github", "{client_id: t, organizations: ['acme:dev']}", "allowed_groups"},
		{"teams by number", "github", "{client_id: t, organizations: [acme], team_names: id}", "slug and name"},
		{"GitHub in the clear", "github", "{client_id: t, base_url: 'http://github.example.com'}", "base_url"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var sections struct {
				OIDC   upstream.OIDCConfig   `yaml:"oidc"`
				GitHub upstream.GitHubConfig `yaml:"github"`
			}
			if err := yaml.UnmarshalWithOptions([]byte(test.kind+": "+test.text), &sections, yaml.Strict()); err != nil {
				t.Fatal(err)
			}
			sections.OIDC.Name, sections.GitHub.Name = "corp", "corp"
			sections.GitHub.ClientSecret = secret.New("s")
			err := sections.OIDC.Validate()
			if test.kind == "github" {
				err = sections.GitHub.Validate()
			}
			switch {
			case test.want == "" && err != nil:
				t.Errorf("got %v", err)
			case test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)):
				t.Errorf("got %v, want an error with %q", err, test.want)
			}
		})
	}
}

// What is so at the providers that everybody knows.
func TestDefaultsOfKnownProviders(t *testing.T) {
	t.Parallel()
	google, err := upstream.OIDCConfig{Name: "g", Issuer: "https://accounts.google.com", ClientID: "t", HostedDomains: []string{"example.com"}}.Complete()
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"access_type": "offline", "prompt": "consent"}
	if diff := cmp.Diff(want, google.AuthorizationParameters); diff != "" || google.Userinfo != upstream.UserinfoAuto {
		t.Errorf("Google (-want +got):\n%s", diff)
	}
	for issuer, want := range map[oidc.Issuer]bool{"https://accounts.google.com": true, "accounts.google.com": true, "https://accounts.google.com/": false, "": false} {
		if got := newOIDC(t, google).AcceptsIssuer(issuer); got != want {
			t.Errorf("an ID token of Google that is from %q: %v, want %v", issuer, got, want)
		}
	}

	entra, err := upstream.OIDCConfig{Name: "e", Issuer: "https://login.microsoftonline.com/6babcaad-604b-40ac-a9d7-9fd97c0b779f/v2.0", ClientID: "t"}.Complete()
	if err != nil {
		t.Fatal(err)
	}
	if got := entra.GroupOverage.Endpoint; got != "https://graph.microsoft.com/v1.0/me/getMemberObjects" || entra.Userinfo != upstream.UserinfoNever {
		t.Errorf("Entra: got %s, userinfo %s", got, entra.Userinfo)
	}
	if newOIDC(t, entra).AcceptsIssuer("accounts.google.com") {
		t.Error("what Google may say is Google's alone")
	}
}
