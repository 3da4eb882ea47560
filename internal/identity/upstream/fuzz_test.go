// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package upstream_test

import (
	"errors"
	"net/url"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/tegata/tegata/internal/identity"
	"github.com/tegata/tegata/internal/identity/upstream"
	"github.com/tegata/tegata/internal/secret"
)

// sound complains about a user whom no source may return.
func sound(t *testing.T, user identity.User) {
	t.Helper()
	id, ok := strings.CutPrefix(string(user.Subject), "corp:")
	if !ok || id == "" || len(user.Subject) > 255 || strings.ContainsFunc(id, func(c rune) bool { return c < 0x20 || c > 0x7e }) {
		t.Errorf("the subject is %q", user.Subject)
	}
	if user.Username == "" || user.Source != "corp" || user.EmailVerified && user.Email == "" {
		t.Errorf("got %+v", user)
	}
	if strings.ContainsAny(user.Username+user.Email+user.Name, "\x00\n\r\x7f") {
		t.Errorf("control characters in %+v", user)
	}
	if !slices.IsSorted(user.Groups) || slices.Contains(user.Groups, "") || len(slices.Compact(slices.Clone(user.Groups))) != len(user.Groups) {
		t.Errorf("the groups are %q", user.Groups)
	}
}

// Whatever the claims are: a sound user, whom the configuration lets in, or an
// error.
func FuzzClaims(f *testing.F) {
	for _, text := range []string{
		`{"sub":"1","preferred_username":"alice","email":"a@example.com","email_verified":true,"groups":["dev"]}`,
		`{"sub":"1","email":"a@example.com","email_verified":"true","groups":"dev"}`,
		`{"sub":1,"preferred_username":"a","groups":[1]}`, `{"sub":1.5e3}`, `{"sub":null,"groups":null}`,
		`{"sub":"1","preferred_username":"a","realm_access":{"roles":["dev",""]}}`,
		`{"sub":"1","preferred_username":"a","_claim_names":{"groups":"s"},"_claim_sources":{"s":{"endpoint":"x"}}}`,
		`{"sub":"1","preferred_username":"a","hasgroups":"true"}`, `{"_claim_names":[]}`, `[]`, `null`, `{"sub":"\u0000"}`,
	} {
		for _, groups := range []string{"", "realm_access.roles", "a..b.", "."} {
			f.Add([]byte(text), groups, false)
			f.Add([]byte(text), groups, true)
		}
	}
	f.Fuzz(func(t *testing.T, text []byte, groups string, limited bool) {
		config := upstream.OIDCConfig{Name: "corp", Issuer: "https://id.example.com", ClientID: "c", Claims: upstream.Claims{Groups: groups}}
		if limited {
			config.AllowedGroups, config.AllowedEmailDomains = []string{"dev"}, []string{"example.com"}
		}
		user, _, err := upstream.MapClaims(config, text)
		if err != nil {
			return
		}
		sound(t, user)
		if limited && (!slices.Contains(user.Groups, "dev") || !user.EmailVerified || !strings.HasSuffix(strings.ToLower(user.Email), "example.com")) {
			t.Errorf("%s was let in as %+v", text, user)
		}
	})
}

// Whatever Microsoft Graph answers: the next page is where the first one was.
func FuzzMemberObjects(f *testing.F) {
	for _, text := range []string{
		`{"value":["a"]}`, `{"value":["a"],"@odata.nextLink":"https://graph.microsoft.com/v1.0/x?$skiptoken=1"}`, `{"value":null}`, `{"value":[1]}`,
		`{"value":[],"@odata.nextLink":"//evil.example"}`, `{"value":[],"@odata.nextLink":"https://graph.microsoft.com@evil.example/"}`,
		`{"value":[],"@odata.nextLink":"\\\\evil.example"}`, `{"value":[],"@odata.nextLink":"http://graph.microsoft.com/"}`,
	} {
		f.Add([]byte(text))
	}
	first, err := url.Parse("https://graph.microsoft.com/v1.0/me/getMemberObjects")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		groups, next, err := upstream.ParseMemberObjects(text)
		if err != nil {
			if groups != nil || next != "" {
				t.Errorf("%s: got %q and %q beside an error", text, groups, next)
			}
			return
		}
		if following, err := upstream.SameOrigin(first, next); err == nil && !strings.HasPrefix(following, "https://graph.microsoft.com") {
			t.Errorf("%s leads to %s", text, following)
		} else if u, parsed := url.Parse(following); err == nil && (parsed != nil || u.Host != "graph.microsoft.com") {
			t.Errorf("%s leads to %s", text, following)
		}
	})
}

// Whatever GitHub's API answers: a sound user of an organization that counts,
// or an error.
func FuzzAccount(f *testing.F) {
	f.Add([]byte(`{"id":1,"login":"octocat","name":"Octo"}`), []byte(`[{"email":"o@example.com","primary":true,"verified":true}]`), []byte(`[{"login":"acme"}]`), []byte(`[{"slug":"dev","name":"Dev","organization":{"login":"acme"}}]`), "<https://api.github.com/user/orgs?page=2>; rel=\"next\"")
	f.Add([]byte(`{"id":-1,"login":"a b"}`), []byte(`[null]`), []byte(`null`), []byte(`[{}]`), "<>;rel=next")
	f.Add([]byte(`{"id":1e3,"login":""}`), []byte(`{}`), []byte(`[{"login":""}]`), []byte(`[{"organization":null}]`), ", <x>; rel=\"prev\", <//evil.example>; title=\"a, b\"; rel=next")
	api, err := url.Parse("https://api.github.com/user/orgs")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, who, addresses, organizations, teams []byte, link string) {
		config := upstream.GitHubConfig{Name: "corp", ClientID: "c", ClientSecret: secret.New("s"), Organizations: []string{"acme"}}
		user, err := upstream.MapAccount(config, who, addresses, organizations, teams)
		if err == nil {
			sound(t, user)
			for _, group := range user.Groups {
				if organization, _, _ := strings.Cut(group, ":"); !strings.EqualFold(organization, "acme") {
					t.Errorf("got the group %q of another organization", group)
				}
			}
			if len(user.Groups) == 0 {
				t.Error("who is in no organization was let in")
			}
		}
		if following, err := upstream.SameOrigin(api, upstream.NextPage(link)); err == nil && !strings.HasPrefix(following, "https://api.github.com") {
			t.Errorf("%q leads to %s", link, following)
		}
	})
}

// Whatever is claimed to be a key set: public keys, or an error.
func FuzzKeySet(f *testing.F) {
	f.Add([]byte(`{"keys":[{"kty":"EC","crv":"P-256","x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4","y":"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"}]}`))
	f.Add([]byte(`{"keys":[{"kty":"oct","k":"AAAA"},{},null,1]}`))
	f.Add([]byte(`{"keys":{}}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		keys, err := upstream.ParseKeySet(text)
		if err != nil && keys != nil {
			t.Error("keys beside an error")
		}
		for _, key := range keys {
			if !key.IsPublic() {
				t.Errorf("%s has a key that is not public", text)
			}
		}
	})
}

// Whatever is said in an error: one printable line.
func FuzzPlain(f *testing.F) {
	f.Add("invalid_grant\r\nforged line\x1b[31m")
	f.Fuzz(func(t *testing.T, text string) {
		if said := upstream.Plain(text); strings.ContainsAny(said, "\r\n\x1b\x00") || !utf8.ValidString(said) || len(said) > 610 {
			t.Errorf("%q became %q", text, said)
		}
	})
}

// Whatever was sealed: tokens, or an error.
func FuzzTokens(f *testing.F) {
	f.Add([]byte(`{"access_token":"a","expiry":"2026-11-22T08:00:00Z"}`))
	f.Add([]byte(`"[redacted]"`))
	f.Fuzz(func(t *testing.T, text []byte) {
		tokens, err := upstream.ReadTokens(text)
		if err != nil {
			if !tokens.IsZero() {
				t.Error("tokens beside an error")
			}
			return
		}
		again, err := tokens.Wire()
		if err != nil {
			return // a year that JSON cannot write
		}
		if back, err := upstream.ReadTokens(again); err != nil || !back.RefreshToken.Equal(tokens.RefreshToken) || !back.Expiry.Equal(tokens.Expiry) {
			t.Errorf("%s became %s: %v", text, again, err)
		}
		if errors.Is(err, identity.ErrNotFound) {
			t.Error("nobody is gone by it")
		}
	})
}
