// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package provider_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tegata/tegata/internal/clientregistry"
	"github.com/tegata/tegata/internal/identity"
	"github.com/tegata/tegata/internal/oidc"
)

// attributed is a source that knows more of its users than the local one.
type attributed struct {
	identity.Source

	change func(*identity.User)
}

func (a attributed) Lookup(ctx context.Context, subject oidc.Subject) (identity.User, error) {
	user, err := a.Source.Lookup(ctx, subject)
	a.change(&user)
	return user, err
}

func knowing(change func(*identity.User)) func(*issuer) {
	return func(i *issuer) { i.config.Source = attributed{sourceOf(i), change} }
}

// told is what the ID token and userinfo say of alice to a client; they must
// say the same.
func (i *issuer) told(client clientregistry.Client) map[string]any {
	i.t.Helper()
	client.ID, client.RedirectURIs = "told", []string{"http://localhost:8000"}
	i.addClient(client, "")
	found := i.token(codeForm(i.browser().login(request("client_id", "told", "scope", "openid email profile groups"), "alice", alicePassword).code(), "client_id", "told"), nil)
	found.wantTokens()
	token, userinfo := claims(i.t, found.IDToken), jsonOf(i.t, i.userinfo(found.AccessToken))
	for name := range userinfo {
		if fmt.Sprint(token[name]) != fmt.Sprint(userinfo[name]) && !strings.Contains(fmt.Sprint(token[name]), "12345678901234567890") {
			i.t.Errorf("%s: the ID token says %v, userinfo %v", name, token[name], userinfo[name])
		}
	}
	return token
}

func TestClientsAreToldOfGroupsAsTheyWant(t *testing.T) {
	t.Parallel()
	groups := []string{"platform-engineer", "platform-admin", "readers", "system:masters", "ystem:masters"}
	for name, test := range map[string]struct {
		client clientregistry.Client
		claim  string
		want   []any
	}{
		"as they are":              {clientregistry.Client{}, "groups", []any{"platform-engineer", "platform-admin", "readers", "ystem:masters"}},
		"filtered":                 {clientregistry.Client{GroupsFilter: "platform-.*"}, "groups", []any{"platform-engineer", "platform-admin"}},
		"filtered to none":         {clientregistry.Client{GroupsFilter: "platform"}, "groups", []any{}},
		"with a prefix":            {clientregistry.Client{GroupsPrefix: "corp:", GroupsFilter: "read.*"}, "groups", []any{"corp:readers"}},
		"with a prefix that lies":  {clientregistry.Client{GroupsPrefix: "s", GroupsFilter: "ystem.*|readers"}, "groups", []any{"sreaders"}},
		"under another name":       {clientregistry.Client{GroupsClaim: "cognito:groups", GroupsFilter: "readers"}, "cognito:groups", []any{"readers"}},
		"those of Kubernetes only": {clientregistry.Client{GroupsFilter: "system:.*"}, "groups", []any{}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			i := newIssuer(t, knowing(func(u *identity.User) { u.Groups = groups }))
			if diff := cmp.Diff(test.want, i.told(test.client)[test.claim]); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestClientsHaveFurtherClaims(t *testing.T) {
	t.Parallel()
	i := newIssuer(t, knowing(func(u *identity.User) {
		u.Attributes = map[string][]string{"department": {"Platform"}, "phone": {"1", "2"}, "secret": {"never told"}}
	}))
	got := i.told(clientregistry.Client{Claims: map[string]clientregistry.Claim{
		"tenant":                   {Value: json.RawMessage(`{"id":12345678901234567890,"tags":["a"]}`)},
		"department":               {Attribute: "department"},
		"phone":                    {Attribute: "phone"},
		"car":                      {Attribute: "car"},
		"https://example.com/team": {Expression: `user.groups.filter(g, g.startsWith("platform-")).map(g, g.upperAscii())`},
		"email":                    {Expression: `user.username + "@" + client.id`},
		"name":                     {Expression: `null`},
		"unit":                     {Expression: `user.attributes[?"department"].orValue([""])[0].lowerAscii()`},
	}})
	for name, want := range map[string]any{
		"tenant": map[string]any{"id": json.Number("12345678901234567890"), "tags": []any{"a"}}, "department": "Platform", "phone": []any{"1", "2"}, "car": nil,
		"https://example.com/team": []any{"PLATFORM-ENGINEER"}, "email": "alice@told", "name": nil, "unit": "platform", "secret": nil,
		"preferred_username": "alice", "sub": string(i.alice), "aud": "told",
	} {
		if diff := cmp.Diff(want, got[name]); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// No attribute and no expression brings a name of Kubernetes into a token. What
// an administrator wrote as a value is theirs to say.
func TestFurtherClaimsBringNoNamesOfKubernetes(t *testing.T) {
	t.Parallel()
	i := newIssuer(t, knowing(func(u *identity.User) {
		u.Attributes = map[string][]string{
			"memberships": {"lab", "system:masters", "dev"}, "one": {"lab", "system:masters"}, "none": {"system:masters", "system:nodes"}, "alias": {"system:admin"},
		}
	}))
	got := i.told(clientregistry.Client{Claims: map[string]clientregistry.Claim{
		"groups":             {Attribute: "memberships"},
		"preferred_username": {Attribute: "alias"},
		"one":                {Attribute: "one"},
		"none":               {Attribute: "none"},
		"name":               {Expression: `"system:" + user.username`},
		"roles":              {Expression: `user.attributes["memberships"].map(m, m.replace("lab", "system:nodes"))`},
		"emptied":            {Expression: `user.attributes["none"]`},
		"deep":               {Expression: `{"groups": [user.attributes["memberships"]], "user": user.attributes["alias"][0], "system:masters": true, "n": 1}`},
		"near":               {Expression: `["System:masters", "ystem:masters", "oidc:system:masters", 7]`},
		"said":               {Value: json.RawMessage(`["system:authenticated"]`)},
	}})
	for name, want := range map[string]any{
		"groups": []any{"lab", "dev"}, "preferred_username": nil, "one": "lab", "none": nil, "name": nil, "roles": []any{"dev"}, "emptied": []any{},
		"deep": map[string]any{"groups": []any{[]any{"lab", "dev"}}, "n": json.Number("1")},
		"near": []any{"System:masters", "ystem:masters", "oidc:system:masters", json.Number("7")}, "said": []any{"system:authenticated"},
	} {
		if diff := cmp.Diff(want, got[name]); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	// The source's own values are as they were.
	again := i.token(codeForm(i.browser().login(request("client_id", "told", "scope", "openid"), "alice", alicePassword).code(), "client_id", "told"), nil)
	if diff := cmp.Diff([]any{"lab", "dev"}, claims(t, again.IDToken)["groups"]); diff != "" {
		t.Errorf("again (-want +got):\n%s", diff)
	}
}

// An expression that cannot be evaluated costs nobody a code or a refresh
// token, and nobody gets a token that lacks the claim.
func TestExpressionThatFailsTakesNothing(t *testing.T) {
	t.Parallel()
	log := &buffer{}
	i := newIssuer(t, logging(log))
	client := clientregistry.Client{
		ID: "told", RedirectURIs: []string{"http://localhost:8000"}, Claims: map[string]clientregistry.Claim{"team": {Expression: `user.groups[7]`}},
	}
	i.addClient(client, "")
	code := i.browser().login(request("client_id", "told"), "alice", alicePassword).code()
	failed := i.token(codeForm(code, "client_id", "told"), nil)
	if failed.status != http.StatusInternalServerError || failed.Code != "server_error" || strings.Contains(failed.body, "index") {
		t.Errorf("got %d %s, want a plain server_error", failed.status, failed.body)
	}
	if !strings.Contains(log.String(), `claim \"team\" for client \"told\": evaluating an expression: index out of bounds: 7`) {
		t.Errorf("the log does not say why:\n%s", log)
	}
	set := func(expression string) {
		_, err := i.rows.ChangeClient(t.Context(), "told", func(c *clientregistry.Client) error {
			c.Claims = map[string]clientregistry.Claim{"team": {Expression: expression}}
			return c.Validate()
		})
		check(t, err)
	}
	set(`user.groups[0]`)
	found := i.token(codeForm(code, "client_id", "told"), nil)
	found.wantTokens()
	set(`user.groups[7]`)
	if failed := i.refresh(found.RefreshToken, "client_id", "told"); failed.status != http.StatusInternalServerError {
		t.Errorf("refresh: got %d %s", failed.status, failed.body)
	}
	if a := i.userinfo(found.AccessToken); a.status != http.StatusInternalServerError {
		t.Errorf("userinfo: got %d %s", a.status, a.body)
	}
	set(`user.groups[1]`)
	again := i.refresh(found.RefreshToken, "client_id", "told")
	again.wantTokens()
	if got := claims(t, again.IDToken)["team"]; got != "readers" {
		t.Errorf("got %v, want the second group", got)
	}
}

// What was asked of userinfo by name comes with the client's own claims.
func TestUserinfoHasFurtherClaims(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	i.addClient(clientregistry.Client{
		ID: "told", RedirectURIs: []string{"http://localhost:8000"}, GroupsPrefix: "corp:", Claims: map[string]clientregistry.Claim{"tenant": {Value: json.RawMessage(`"a"`)}},
	}, "")
	code := i.browser().login(request("client_id", "told", "claims", `{"userinfo":{"groups":null}}`), "alice", alicePassword).code()
	got := jsonOf(t, i.userinfo(i.token(codeForm(code, "client_id", "told"), nil).AccessToken))
	want := map[string]any{"sub": string(i.alice), "tenant": "a", "groups": []any{"corp:platform-engineer", "corp:readers"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
