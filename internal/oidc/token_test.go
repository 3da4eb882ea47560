// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package oidc_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tegata/tegata/internal/oidc"
	"github.com/tegata/tegata/internal/secret"
)

func TestAccessTokenHash(t *testing.T) {
	// The first is the example of OpenID Connect Core 1.0, appendix A.3. The
	// hashes of nothing are in many a table.
	for _, test := range []struct{ alg, token, want string }{
		{"RS256", "jHkWEdUXMU1BwAsC4vtUsZwnNvTIxEl0z9K3vx5KF0Y", "77QmUPtjPfzWtF2AnpK9RQ"},
		{"ES256", "jHkWEdUXMU1BwAsC4vtUsZwnNvTIxEl0z9K3vx5KF0Y", "77QmUPtjPfzWtF2AnpK9RQ"},
		{"PS256", "", "47DEQpj8HBSa-_TImW-5JA"},
		{"RS384", "", "OLBgp1GsljhM2TJ-sbHjaiH9txEUvgdD"},
		{"ES512", "", "z4PhNX7vuL3xVChQ1m2AB9Yg5AULVxXcg_SpIdNs6c4"},
		{"EdDSA", "jHkWEdUXMU1BwAsC4vtUsZwnNvTIxEl0z9K3vx5KF0Y", ""},
		{"none", "x", ""},
		{"", "x", ""},
	} {
		if got := oidc.AccessTokenHash(test.alg, secret.New(test.token)); got != test.want {
			t.Errorf("%s of %q: got %q, want %q", test.alg, test.token, got, test.want)
		}
	}
}

func TestTokenResponse(t *testing.T) {
	for _, test := range []struct {
		name string
		oidc.TokenResponse
		want string
	}{
		{
			"all",
			oidc.TokenResponse{
				AccessToken: secret.New("a"), TokenType: "Bearer", ExpiresIn: 15 * time.Minute, RefreshToken: secret.New("r"),
				IDToken: secret.New("i"), Scopes: oidc.Scopes{"openid", "email"},
			},
			`{"access_token":"a","token_type":"Bearer","expires_in":900,"refresh_token":"r","id_token":"i","scope":"openid email"}`,
		},
		{"least", oidc.TokenResponse{AccessToken: secret.New("a"), TokenType: "Bearer"}, `{"access_token":"a","token_type":"Bearer"}`},
	} {
		t.Run(test.name, func(t *testing.T) {
			text, err := test.Wire()
			if err != nil || string(text) != test.want {
				t.Fatalf("got %s, %v; want %s", text, err, test.want)
			}
			var got oidc.TokenResponse
			if err := json.Unmarshal(text, &got); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.TokenResponse, got, cmp.AllowUnexported(secret.String{})); diff != "" {
				t.Errorf("read again (-want +got):\n%s", diff)
			}
		})
	}
}

func TestTokenResponseOfOthersIsRead(t *testing.T) {
	for _, test := range []struct {
		name, text string
		want       time.Duration
		bad        bool
	}{
		{"number", `{"expires_in":3600}`, time.Hour, false},
		{"string", `{"expires_in":"3600"}`, time.Hour, false},
		{"fraction", `{"expires_in":3599.5}`, 3599*time.Second + 500*time.Millisecond, false},
		{"absent", `{}`, 0, false},
		{"null", `{"expires_in":null,"refresh_token":null,"scope":null}`, 0, false},
		{"zero", `{"expires_in":0}`, 0, false},
		{"negative", `{"expires_in":-5}`, 0, false},
		{"beyond a duration", `{"expires_in":1e30}`, 0, false},
		{"beyond a float", `{"expires_in":1e999}`, 0, false},
		{"word", `{"expires_in":"soon"}`, 0, true},
		{"boolean", `{"expires_in":true}`, 0, true},
		{"list", `[]`, 0, true},
		{"token is a number", `{"access_token":1}`, 0, true},
		{"unknown members", `{"expires_in":3600,"foo":{"bar":[1]}}`, time.Hour, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			var got oidc.TokenResponse
			err := json.Unmarshal([]byte(test.text), &got)
			if (err != nil) != test.bad || got.ExpiresIn != test.want {
				t.Errorf("got %v, %v; want %v, an error = %v", got.ExpiresIn, err, test.want, test.bad)
			}
		})
	}
}

// Only Wire reveals what is secret.
func TestTokenResponsePrintsNothing(t *testing.T) {
	response := oidc.TokenResponse{AccessToken: secret.New("AAAA"), RefreshToken: secret.New("RRRR"), IDToken: secret.New("IIII")}
	marshaled, err := json.Marshal(response)
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{fmt.Sprint(response), fmt.Sprintf("%+v", response), fmt.Sprintf("%#v", response), fmt.Sprintf("%q", response), string(marshaled)} {
		if strings.Contains(text, "AAAA") || strings.Contains(text, "RRRR") || strings.Contains(text, "IIII") {
			t.Errorf("got %s", text)
		}
	}
}

func FuzzTokenResponse(f *testing.F) {
	f.Add(`{"access_token":"a","token_type":"Bearer","expires_in":"3600","refresh_token":"r","id_token":"i","scope":"openid email"}`)
	f.Add(`{"expires_in":1e18}`)
	f.Fuzz(func(t *testing.T, text string) {
		var first, second oidc.TokenResponse
		if json.Unmarshal([]byte(text), &first) != nil {
			return
		}
		if first.ExpiresIn < 0 {
			t.Errorf("got a lifetime of %v", first.ExpiresIn)
		}
		wire, err := first.Wire()
		if err != nil {
			t.Fatalf("writing what was read: %v", err)
		}
		if err := json.Unmarshal(wire, &second); err != nil {
			t.Fatalf("reading %s: %v", wire, err)
		}
		first.ExpiresIn = first.ExpiresIn.Truncate(time.Second)
		if diff := cmp.Diff(first, second, cmp.AllowUnexported(secret.String{})); diff != "" {
			t.Errorf("(-first +second):\n%s", diff)
		}
	})
}

func TestParseScopes(t *testing.T) {
	for text, want := range map[string]oidc.Scopes{
		"": nil, " ": nil, "openid": {"openid"}, "openid email": {"openid", "email"},
		"  openid   email ": {"openid", "email"}, "email openid email": {"email", "openid"}, "OpenID openid": {"OpenID", "openid"},
	} {
		if diff := cmp.Diff(want, oidc.ParseScopes(text)); diff != "" {
			t.Errorf("%q (-want +got):\n%s", text, diff)
		}
	}
	scopes := oidc.Scopes{"openid", "email", "groups"}
	if got := scopes.Only(oidc.Scopes{"groups", "openid", "x"}).String(); got != "openid groups" {
		t.Errorf("Only: got %q, want openid groups", got)
	}
	if scopes.Has("open") || !scopes.Has("email") {
		t.Error("Has: want whole scopes")
	}
}

func FuzzParseScopes(f *testing.F) {
	f.Add("openid email  openid", "openid")
	f.Fuzz(func(t *testing.T, text, allowedText string) {
		scopes, allowed := oidc.ParseScopes(text), oidc.ParseScopes(allowedText)
		if again := oidc.ParseScopes(scopes.String()); !cmp.Equal(scopes, again) {
			t.Errorf("got %q, want %q", again, scopes)
		}
		for _, scope := range scopes.Only(allowed) {
			if !allowed.Has(scope) || !scopes.Has(scope) {
				t.Errorf("%q is not in both", scope)
			}
		}
	})
}

func TestConfigurationURL(t *testing.T) {
	for issuer, want := range map[oidc.Issuer]string{
		"https://id.example.com":      "https://id.example.com/.well-known/openid-configuration",
		"https://id.example.com/":     "https://id.example.com/.well-known/openid-configuration",
		"https://id.example.com/dex":  "https://id.example.com/dex/.well-known/openid-configuration",
		"https://id.example.com/dex/": "https://id.example.com/dex/.well-known/openid-configuration",
	} {
		if got := issuer.ConfigurationURL(); got != want {
			t.Errorf("%s: got %s, want %s", issuer, got, want)
		}
	}
}

func TestErrorTellsItsCauseToUsAlone(t *testing.T) {
	cause := errors.New("row 7 of clients.db")
	problem := &oidc.Error{Code: oidc.InvalidGrant, Description: "the code is unknown", Cause: cause}
	if got, want := problem.Error(), "invalid_grant: the code is unknown: row 7 of clients.db"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if !errors.Is(fmt.Errorf("exchanging: %w", problem), cause) {
		t.Error("the cause is not in the chain")
	}
	text, err := json.Marshal(problem)
	if want := `{"error":"invalid_grant","error_description":"the code is unknown"}`; err != nil || string(text) != want {
		t.Errorf("got %s, %v; want %s", text, err, want)
	}
}
