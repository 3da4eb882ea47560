// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package provider_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tegata/tegata/internal/clientregistry"
	"github.com/tegata/tegata/internal/oidc"
	"github.com/tegata/tegata/internal/provider/grant"
	"github.com/tegata/tegata/internal/secondfactor"
)

const (
	typeID     = "urn:ietf:params:oauth:token-type:id_token"
	typeAccess = "urn:ietf:params:oauth:token-type:access_token"
)

// withClusters adds the client "fleet", whose tokens can be narrowed to
// "cluster-a", which is a client too, and to "cluster-b", which is none.
func withClusters(i *issuer) {
	i.addClient(clientregistry.Client{
		ID: "fleet", RedirectURIs: []string{"http://localhost:8000"}, Audiences: []string{"cluster-a", "cluster-b"},
		Grants: []string{"authorization_code", "refresh_token", oidc.GrantTokenExchange},
	}, "")
	i.addClient(clientregistry.Client{
		ID: "cluster-a", RedirectURIs: []string{"http://localhost:8000"}, SigningAlg: "ES256", GroupsClaim: "roles", GroupsFilter: "platform-.*", GroupsPrefix: "corp:",
		Scopes: oidc.Scopes{"openid", "groups"}, Lifetimes: clientregistry.Lifetimes{IDToken: 5 * time.Minute},
	}, "")
}

func (i *issuer) logInFleet() tokens {
	i.t.Helper()
	found := i.token(codeForm(i.browser().login(request("client_id", "fleet", "scope", "openid email"), "alice", alicePassword).code(), "client_id", "fleet"), nil)
	found.wantTokens()
	return found
}

// exchanged is the answer to a token exchange.
type exchanged struct {
	tokens

	IssuedType string `json:"issued_token_type"`
}

func (i *issuer) exchange(subjectToken, kind, audience string, changes ...string) exchanged {
	i.t.Helper()
	form := change(url.Values{
		"grant_type": {oidc.GrantTokenExchange}, "client_id": {"fleet"}, "subject_token": {subjectToken},
		"subject_token_type": {kind}, "audience": {audience},
	}, changes...)
	found := exchanged{tokens: i.token(form, nil)}
	check(i.t, json.Unmarshal([]byte(found.body), &found))
	return found
}

func TestExchangeNarrowsToOneAudience(t *testing.T) {
	t.Parallel()
	i := newIssuer(t, withClusters)
	first := i.logInFleet()
	i.clock.advance(time.Minute)
	for kind, token := range map[string]string{typeID: first.IDToken, typeAccess: first.AccessToken} {
		found := i.exchange(token, kind, "cluster-a")
		found.wantStatus(http.StatusOK)
		if found.IssuedType != typeID || found.TokenType != "N_A" || found.ExpiresIn != 300 || found.RefreshToken != "" || found.IDToken != "" {
			t.Errorf("%s: got %s", kind, found.body)
		}
		told := claims(t, found.AccessToken)
		for _, name := range []string{"jti", "sid", "iat", "acr", "amr"} {
			if told[name] == nil {
				t.Errorf("%s: no %s", kind, name)
			}
			delete(told, name)
		}
		for _, name := range []string{"exp", "auth_time"} {
			told[name] = fmt.Sprint(told[name])
		}
		want := map[string]any{
			"iss": issuerURL, "sub": string(i.alice), "aud": "cluster-a", "azp": "fleet", "roles": []any{"corp:platform-engineer"},
			"exp": fmt.Sprint(birth.Add(6 * time.Minute).Unix()), "auth_time": fmt.Sprint(birth.Unix()),
		}
		if diff := cmp.Diff(want, told); diff != "" {
			t.Errorf("%s (-want +got):\n%s", kind, diff)
		}
		if h := header(t, found.AccessToken); h["alg"] != "ES256" || h["typ"] != "JWT" {
			t.Errorf("%s: got header %v, want an ID token as cluster-a wants it", kind, h)
		}
	}
	// An audience that is no client gets what the client itself gets.
	found := i.exchange(first.IDToken, typeID, "cluster-b", "requested_token_type", typeID)
	told := claims(t, found.AccessToken)
	if told["aud"] != "cluster-b" || told["email"] != "alice@example.com" || fmt.Sprint(told["groups"]) != "[platform-engineer readers]" || header(t, found.AccessToken)["alg"] != "RS256" {
		t.Errorf("for cluster-b: got %v", told)
	}
}

func TestExchangeNeverWidens(t *testing.T) {
	t.Parallel()
	i := newIssuer(t, withClusters)
	first := i.logInFleet()

	// Not in time: the new token ends with the old one.
	i.clock.advance(13 * time.Minute)
	late := i.exchange(first.IDToken, typeID, "cluster-a")
	if got, want := fmt.Sprint(claims(t, late.AccessToken)["exp"]), fmt.Sprint(claims(t, first.IDToken)["exp"]); got != want || late.ExpiresIn != 120 {
		t.Errorf("it expires at %s after %d s, want %s", got, late.ExpiresIn, want)
	}

	// Not in audience: what is for one cluster stays for that one.
	narrow := late.AccessToken
	i.exchange(narrow, typeID, "cluster-b").wantRefusal(oidc.InvalidTarget)
	again := i.exchange(narrow, typeID, "cluster-a")
	again.wantStatus(http.StatusOK)
	if got, want := claims(t, again.AccessToken)["exp"], claims(t, narrow)["exp"]; got != want {
		t.Errorf("narrowed again: it expires at %v, want %v", got, want)
	}

	// Not in scope, nor in what a narrowed token says.
	i.exchange(first.AccessToken, typeAccess, "cluster-a", "scope", "openid groups").wantRefusal(oidc.InvalidScope)
	less := i.exchange(first.IDToken, typeID, "cluster-b", "scope", "openid")
	if told := claims(t, less.AccessToken); less.Scope != "openid" || told["email"] != nil || told["groups"] != nil || told["preferred_username"] != nil {
		t.Errorf("with less scope: got %v", told)
	}
	if told := claims(t, i.exchange(less.AccessToken, typeID, "cluster-b").AccessToken); told["email"] != nil || told["groups"] != nil {
		t.Errorf("narrowed again, without a scope: got %v", told)
	}

	i.clock.advance(3 * time.Minute)
	i.exchange(first.IDToken, typeID, "cluster-a").wantRefusal(oidc.InvalidRequest)
	i.exchange(first.AccessToken, typeAccess, "cluster-a").wantRefusal(oidc.InvalidRequest)
}

func TestExchangeRefusals(t *testing.T) {
	t.Parallel()
	i := newIssuer(t, withClusters, withMachine)
	i.addClient(clientregistry.Client{
		ID: "robot", Grants: []string{oidc.GrantClientCredentials, oidc.GrantTokenExchange}, Audiences: []string{"cluster-a"},
	}, otherSecret)
	i.addClient(clientregistry.Client{ID: "ldap-cluster", RedirectURIs: []string{"http://localhost"}, Sources: []string{"ldap"}}, "")
	_, err := i.rows.ChangeClient(t.Context(), "fleet", func(c *clientregistry.Client) error {
		c.Audiences = append(c.Audiences, "ldap-cluster")
		return nil
	})
	check(t, err)
	first, other := i.logInFleet(), i.logIn()
	robot := i.token(machineForm("client_id", "robot", "scope", "openid"), nil)
	forged, err := i.config.Keys.Sign("ES256", grant.TypeAccessToken, grant.AccessToken{
		Issuer: issuerURL, Audience: oidc.Audience{issuerURL}, Subject: i.bob, Client: "fleet", Grant: claimsOf(t, first.AccessToken).Grant, Expiry: oidc.Date(birth.Add(time.Hour)),
	})
	check(t, err)
	foreign := newIssuer(t, at("https://other.example.com"), withClusters).logInFleet() // the same keys
	for _, test := range []struct {
		name    string
		token   string
		kind    string
		changes []string
		want    oidc.ErrorCode
	}{
		{"an audience that is not the client's", first.IDToken, typeID, []string{"audience", "web"}, oidc.InvalidTarget},
		{"its own audience", first.IDToken, typeID, []string{"audience", "fleet"}, oidc.InvalidTarget},
		{"no audience", first.IDToken, typeID, []string{"audience", ""}, oidc.InvalidTarget},
		{"a resource", first.IDToken, typeID, []string{"resource", "https://cluster-a.example.com"}, oidc.InvalidTarget},
		{"a target that its user may not use", first.IDToken, typeID, []string{"audience", "ldap-cluster"}, oidc.InvalidTarget},
		{"no token", "", typeID, nil, oidc.InvalidRequest},
		{"no kind", first.IDToken, "", nil, oidc.InvalidRequest},
		{"an unknown kind", first.IDToken, "urn:ietf:params:oauth:token-type:jwt", nil, oidc.InvalidRequest},
		{"a refresh token", first.RefreshToken, "urn:ietf:params:oauth:token-type:refresh_token", nil, oidc.InvalidRequest},
		{"an ID token as an access token", first.IDToken, typeAccess, nil, oidc.InvalidRequest},
		{"an access token as an ID token", first.AccessToken, typeID, nil, oidc.InvalidRequest},
		{"another kind of answer", first.IDToken, typeID, []string{"requested_token_type", typeAccess}, oidc.InvalidRequest},
		{"an actor", first.IDToken, typeID, []string{"actor_token", first.IDToken, "actor_token_type", typeID}, oidc.InvalidRequest},
		{"another client's ID token", other.IDToken, typeID, nil, oidc.InvalidTarget},
		{"another client's access token", other.AccessToken, typeAccess, nil, oidc.InvalidRequest},
		{"another issuer's", foreign.IDToken, typeID, nil, oidc.InvalidRequest},
		{"one of another subject than its grant", forged.Reveal(), typeAccess, nil, oidc.InvalidRequest},
		{"garbage", "a.b.c", typeID, nil, oidc.InvalidRequest},
		{"an unsigned one", "eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0." + strings.Split(first.IDToken, ".")[1] + ".", typeID, nil, oidc.InvalidRequest},
		{"a client that may not", first.IDToken, typeID, []string{"client_id", "kubernetes"}, oidc.UnauthorizedClient},
		{"a client's own token", robot.IDToken, typeID, []string{"client_id", "robot", "client_secret", otherSecret}, oidc.InvalidRequest},
		{"a client's own access token", robot.AccessToken, typeAccess, []string{"client_id", "robot", "client_secret", otherSecret}, oidc.InvalidRequest},
		{"somebody's token by another client that may exchange", first.IDToken, typeID, []string{"client_id", "robot", "client_secret", otherSecret}, oidc.InvalidTarget},
	} {
		t.Run(test.name, func(t *testing.T) {
			i.in(t).exchange(test.token, test.kind, "cluster-a", test.changes...).wantRefusal(test.want)
		})
	}
	if diff := i.exchange(first.IDToken, typeID, "cluster-a"); diff.status != http.StatusOK {
		t.Errorf("after all that: got %s", diff.body)
	}
}

func TestExchangeEndsWithTheGrant(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(i *issuer, found tokens){
		"disabled user": func(i *issuer, _ tokens) { check(i.t, i.rows.SetDisabled(i.t.Context(), i.alice, true, i.clock.Now())) },
		"deleted user":  func(i *issuer, _ tokens) { check(i.t, i.rows.DeleteAccount(i.t.Context(), i.alice, i.clock.Now())) },
		"ended grant": func(i *issuer, found tokens) {
			check(i.t, i.rows.EndGrant(i.t.Context(), claimsOf(i.t, found.AccessToken).Grant, i.clock.Now()))
		},
		"revoked": func(i *issuer, found tokens) {
			i.browser().send("POST", "/revoke", url.Values{"client_id": {"fleet"}, "token": {found.RefreshToken}}, nil).wantStatus(http.StatusOK)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			i := newIssuer(t, withClusters)
			found := i.logInFleet()
			narrow := i.exchange(found.IDToken, typeID, "cluster-a").AccessToken
			end(i, found)
			i.exchange(found.IDToken, typeID, "cluster-a").wantRefusal(oidc.InvalidRequest)
			i.exchange(found.AccessToken, typeAccess, "cluster-a").wantRefusal(oidc.InvalidRequest)
			i.exchange(narrow, typeID, "cluster-a").wantRefusal(oidc.InvalidRequest)
		})
	}
}

// A client that wants a second factor is not had by a detour: a password at
// another client, and an exchange of its token.
func TestExchangeKeepsTheSecondFactorOfItsTarget(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name   string
		policy secondfactor.Policy
		proven bool
		want   oidc.ErrorCode // empty: a token
	}{
		{"a password", secondfactor.Policy{}, false, oidc.InvalidTarget},
		{"a password, of an exempt source", secondfactor.Policy{Exempt: []string{"local"}}, false, ""},
		{"a password and a code", secondfactor.Policy{}, true, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			i := newIssuer(t, withClusters, wanting(test.policy))
			_, err := i.rows.ChangeClient(t.Context(), "cluster-a", func(c *clientregistry.Client) error {
				c.SecondFactor = true
				return nil
			})
			check(t, err)
			b := i.browser()
			a := b.authorize(request("client_id", "fleet", "scope", "openid email"))
			if test.proven {
				h := i.equip(true, false)
				a = b.fill(b.submit(a, "alice", alicePassword), "code", h.code())
			} else {
				a = b.submit(a, "alice", alicePassword)
			}
			first := i.token(codeForm(a.code(), "client_id", "fleet"), nil)
			first.wantTokens()
			for kind, token := range map[string]string{typeID: first.IDToken, typeAccess: first.AccessToken} {
				found := i.exchange(token, kind, "cluster-a")
				if test.want != "" {
					found.wantRefusal(test.want)
					if !strings.Contains(found.Description, "second factor") {
						t.Errorf("%s: the refusal does not say why: %s", kind, found.body)
					}
				} else if found.status != http.StatusOK {
					t.Errorf("%s: got status %d: %s", kind, found.status, found.body)
				}
				// The login is good for what needs no second factor.
				i.exchange(token, kind, "cluster-b").wantStatus(http.StatusOK)
			}
			i.refresh(first.RefreshToken, "client_id", "fleet").wantTokens()
		})
	}
}
