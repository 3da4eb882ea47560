// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package dex_test

import (
	"encoding/base64"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tegata/tegata/internal/admin/dex"
)

// Package admin's scripts show whole files; here is what they cannot.

func convert(t *testing.T, text string, check func(dex.Config) error) *dex.Result {
	t.Helper()
	if check == nil {
		check = func(dex.Config) error { return nil }
	}
	result, err := dex.Convert([]byte(text), dex.Options{
		Name: "dex.yaml", Check: check,
		Lookup: func(name string) (string, bool) { return "value-of-" + name, name != "UNSET" },
	})
	if err != nil {
		t.Fatal(err)
	}
	return result
}

// The first is the user of Dex's own example, as its documentation shows the
// claim.
func TestSubjectIsThatOfDex(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ id, connector, want string }{
		{"08a8684b-db88-4b73-90a9-3cd1661f5466", "local", "CiQwOGE4Njg0Yi1kYjg4LTRiNzMtOTBhOS0zY2QxNjYxZjU0NjYSBWxvY2Fs"},
		{"", "local", "EgVsb2NhbA"},
		{"", "", ""},
		{strings.Repeat("x", 200), "local", base64.RawURLEncoding.EncodeToString([]byte("\x0a\xc8\x01" + strings.Repeat("x", 200) + "\x12\x05local"))},
	} {
		if got := dex.Subject(test.id, test.connector); got != test.want {
			t.Errorf("%.10q: got %s, want %s", test.id, got, test.want)
		}
	}
}

// What our check refuses is left out, and says why; the rest stays.
func TestRefusedPartsAreFindings(t *testing.T) {
	t.Parallel()
	const file = `
issuer: https://id.example.com
staticClients:
- {id: good, public: true, redirectURIs: ["http://localhost:8000"]}
- {id: bad, public: true, redirectURIs: ["http://localhost:8000"]}
`
	result := convert(t, file, func(c dex.Config) error {
		if slices.ContainsFunc(c.Clients, func(c dex.Client) bool { return c.ID == "bad" }) {
			return errors.New("no")
		}
		return nil
	})
	if len(result.Config.Clients) != 1 || result.Config.Clients[0].ID != "good" {
		t.Errorf("clients: %v", result.Config.Clients)
	}
	want := dex.Finding{Kind: dex.Missing, At: "staticClients[1]", Line: 5, Text: "not carried over: no", Do: `the client was left out; add it: tegata client add "bad"`}
	if !slices.Contains(result.Findings, want) {
		t.Errorf("%+v\nlacks %+v", result.Findings, want)
	}
}

func TestNamesOfSources(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ name, ids, want string }{
		{"as it is", "[corp]", "corp"},
		{"made fit", "['Corp AD (EU)']", "corp-ad-eu"},
		{"told apart", "[a_b, a.b, A-B]", "a-b a-b-2 a-b-3"},
		{"local is taken", "[local]", "local-2"},
		{"nothing is left", "['日本']", "ldap"},
		{"cut", "[" + strings.Repeat("x", 100) + "]", strings.Repeat("x", 30)},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var file strings.Builder
			file.WriteString("connectors:\n")
			for id := range strings.SplitSeq(strings.Trim(test.ids, "[]"), ", ") {
				file.WriteString("- {type: ldap, id: " + id + "}\n")
			}
			var names []string
			for _, source := range convert(t, file.String(), nil).Config.Sources {
				names = append(names, source.Name)
			}
			if got := strings.Join(names, " "); got != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
		})
	}
}

// Where a secret of a connector ends up: a variable, or a file.
func TestSecretsOfConnectors(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		given, variable, content string
		findings                 int // about the secret
	}{
		{given: ""},
		{given: "$PASSWORD", variable: "PASSWORD"},
		{given: "${PASSWORD}", variable: "PASSWORD"},
		{given: "plain", content: "plain\n"},
		{given: "a${PASSWORD}b", content: "avalue-of-PASSWORDb\n", findings: 1},
		{given: "a$UNSET", content: "a$UNSET\n", findings: 1},
		{given: "12345", content: "12345\n"},
	} {
		t.Run(test.given, func(t *testing.T) {
			t.Parallel()
			result := convert(t, "connectors:\n- {type: ldap, id: corp, config: {bindPW: '"+test.given+"'}}\n", nil)
			l := result.Config.Sources[0].LDAP
			content := ""
			for _, file := range result.Files {
				if content = file.Content.Reveal(); file.Name != l.BindPasswordFile {
					t.Errorf("the file is %s, the configuration names %s", file.Name, l.BindPasswordFile)
				}
			}
			if l.BindPasswordEnv != test.variable || content != test.content {
				t.Errorf("got %q and %q, want %q and %q", l.BindPasswordEnv, content, test.variable, test.content)
			}
			about := slices.DeleteFunc(result.Findings, func(f dex.Finding) bool { return !strings.HasSuffix(f.At, "bindPW") })
			if len(about) != test.findings {
				t.Errorf("%d findings, want %d: %+v", len(about), test.findings, about)
			}
		})
	}
}

// How a directory is spoken to.
func TestServersOfDirectories(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		config, server  string
		startTLS, plain bool
	}{
		{"host: ldap.example.com", "ldaps://ldap.example.com", false, false},
		{"host: 'ldap.example.com:636'", "ldaps://ldap.example.com", false, false},
		{"host: 'ldap.example.com:1636'", "ldaps://ldap.example.com:1636", false, false},
		{"host: ldap.example.com, startTLS: true", "ldap://ldap.example.com", true, false},
		{"host: 'ldap.example.com:1389', startTLS: true", "ldap://ldap.example.com:1389", true, false},
		{"host: ldap.example.com, insecureNoSSL: true", "ldap://ldap.example.com", false, true},
		{"host: ldap.example.com, insecureNoSSL: true, startTLS: true", "ldap://ldap.example.com", true, false},
		{"host: '2001:db8::1'", "ldaps://[2001:db8::1]", false, false},
		{"host: '[2001:db8::1]:1636'", "ldaps://[2001:db8::1]:1636", false, false},
		{"host: $LDAP", "ldaps://value-of-LDAP", false, false},
	} {
		l := convert(t, "connectors:\n- {type: ldap, id: corp, config: {"+test.config+"}}\n", nil).Config.Sources[0].LDAP
		if got := strings.Join(l.Servers, " "); got != test.server || l.StartTLS != test.startTLS || l.Plaintext != test.plain {
			t.Errorf("%s: got %s, %t, %t", test.config, got, l.StartTLS, l.Plaintext)
		}
	}
}

func TestLifetimes(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, expiry string
		lifetimes    *dex.Lifetimes
		keys         *dex.Keys
	}{
		{"none", "{}", nil, nil},
		{"zero is none", "{idTokens: 0s, refreshTokens: {absoluteLifetime: '0'}}", nil, nil},
		{"too long", "{idTokens: 100h}", &dex.Lifetimes{IDToken: "24h", AccessToken: "24h"}, nil},
		{"idle alone", "{refreshTokens: {validIfNotUsedFor: 24h}}", &dex.Lifetimes{RefreshIdle: "24h", RefreshAbsolute: "30d"}, nil},
		{"idle longer than our end", "{refreshTokens: {validIfNotUsedFor: 2160h}}", &dex.Lifetimes{RefreshIdle: "90d", RefreshAbsolute: "90d"}, nil},
		{"idle longer than the end", "{refreshTokens: {validIfNotUsedFor: 2h, absoluteLifetime: 90m}}", &dex.Lifetimes{RefreshIdle: "90m", RefreshAbsolute: "90m"}, nil},
		{"odd", "{authRequests: 90s}", &dex.Lifetimes{LoginPage: "1m30s"}, nil},
		{"keys in an hour", "{signingKeys: 1m}", nil, &dex.Keys{RotateEvery: "1h", PublishAhead: "10m"}},
		{"keys in a month", "{signingKeys: 720h}", nil, &dex.Keys{RotateEvery: "30d"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			made := convert(t, "expiry: "+test.expiry, nil).Config
			if diff := cmp.Diff(test.lifetimes, made.Lifetimes); diff != "" {
				t.Errorf("lifetimes (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(test.keys, made.Keys); diff != "" {
				t.Errorf("keys (-want +got):\n%s", diff)
			}
		})
	}
}

// A file that is made to hurt is refused at once.
func TestFilesThatHurt(t *testing.T) {
	t.Parallel()
	var laughs strings.Builder
	laughs.WriteString("issuer: *y\na: &a [x, x, x, x, x, x, x, x, x]\n")
	for c := 'b'; c < 'z'; c++ {
		laughs.WriteString(string(c) + ": &" + string(c) + " [" + strings.Repeat("*"+string(c-1)+", ", 9) + "]\n")
	}
	for name, file := range map[string]string{
		"brackets":    strings.Repeat("[", 1<<20),
		"braces":      "a: " + strings.Repeat("{a: ", 1<<18),
		"sequences":   strings.Repeat("- ", 1<<16),
		"keys":        "a:\n  " + strings.Repeat("? ", 1<<16),
		"indentation": indented(3000),
		"large":       strings.Repeat("# comment\n", 1<<20),
		"laughs":      laughs.String(),
		"not UTF-8":   "issuer: \xff",
		"nothing":     "",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := dex.Convert([]byte(file), dex.Options{Name: "dex.yaml", Lookup: func(string) (string, bool) { return "", false }, Check: func(dex.Config) error { return nil }})
			if err == nil {
				t.Error("it was taken")
			}
		})
	}
}

func indented(levels int) string {
	var b strings.Builder
	for n := range levels {
		b.WriteString(strings.Repeat(" ", n) + "a:\n")
	}
	return b.String()
}

// Each suggestion can be taken as it stands.
func TestSuggestionsAreYAML(t *testing.T) {
	t.Parallel()
	result := convert(t, "issuer: http://id.example.com\nweb: {http: ':80'}\nstorage: {type: postgres, config: {host: '::1'}}", func(c dex.Config) error {
		if c.Issuer != "" {
			return errors.New("it is not https")
		}
		return nil
	})
	if len(result.Suggestions) != 3 {
		t.Fatalf("%d suggestions", len(result.Suggestions))
	}
	text, err := result.YAML()
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"# issuer: https://id.example.com\n", "#   by_proxy: true\n", "#     url: postgres://tegata@[::1]:5432/tegata\n"} {
		if !strings.Contains(string(text), want) {
			t.Errorf("%s\nlacks %s", text, want)
		}
	}
}
