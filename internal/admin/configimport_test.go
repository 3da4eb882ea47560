// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package admin_test

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/tegata/tegata/internal/admin"
	"github.com/tegata/tegata/internal/exit"
)

// FuzzConfigImport: whatever the file, the result is a good configuration, or
// there is none.
func FuzzConfigImport(f *testing.F) {
	scripts, err := filepath.Glob("testdata/script/config-import*.txtar")
	if err != nil || len(scripts) == 0 {
		f.Fatalf("no scripts: %v", err)
	}
	for _, script := range scripts {
		archive, err := txtar.ParseFile(script)
		if err != nil {
			f.Fatal(err)
		}
		for _, file := range archive.Files {
			if strings.HasSuffix(file.Name, ".yaml") || strings.HasSuffix(file.Name, ".json") {
				f.Add(string(file.Data))
			}
		}
	}
	f.Fuzz(func(t *testing.T, text string) { imports(t, text) })
}

// imports runs the command on a file and checks what must always hold.
func imports(t *testing.T, text string) result {
	t.Helper()
	environment := map[string]string{"AD_USER": "cn=search", "GOOGLE_CLIENT_ID": "a: b #c", "DEX_CLIENT_ID": "- x", "DEX_HASH": "$2a$10$"}
	imported := tegata(t, environment, text, "config", "import", "-")
	switch imported.code {
	case exit.Usage:
		if imported.stdout != "" {
			t.Errorf("a refused file gave %q", imported.stdout)
		}
	case exit.Done, exit.Findings:
		if err := admin.DecodeConfig([]byte(imported.stdout)); err != nil {
			t.Errorf("%v\n%s", err, imported.stdout)
		}
	default:
		t.Errorf("code %d: %s", imported.code, imported.stderr)
	}
	if strings.ContainsFunc(imported.stderr, func(r rune) bool { return r < ' ' && r != '\n' }) {
		t.Errorf("control characters on standard error: %q", imported.stderr)
	}
	return imported
}

// FuzzConfigImportValues: whatever stands in a file that is well formed, it
// comes out as a value, and secrets do not come out.
func FuzzConfigImportValues(f *testing.F) {
	f.Add("https://id.example.com/dex", "corp", "Corp", "alice@example.com", "https://app.example.com/cb", "(a=b)")
	f.Add("https://id.example.com/", "a: b", "- # x", "\"a b\"@example.com", "http://localhost:1/$X", "| >\n  x")
	f.Add("~", "0x1", "1e3", "null", "*a", "!!binary x")
	f.Fuzz(func(t *testing.T, issuer, id, name, email, uri, other string) {
		const mark = "secret-0123456789-of-dex"
		text, err := json.Marshal(map[string]any{
			"issuer": issuer, "enablePasswordDB": true, other: id,
			"web": map[string]any{"https": other, "tlsCert": name, "tlsKey": id},
			"connectors": []any{
				map[string]any{"type": "ldap", "id": id, "name": name, "config": map[string]any{
					"host": other, "bindDN": id, "bindPW": mark + other,
					"userSearch":  map[string]any{"baseDN": "dc=example", "username": id, "filter": other, "nameAttr": name},
					"groupSearch": map[string]any{"baseDN": "dc=example", "userMatchers": []any{map[string]any{"userAttr": name, "groupAttr": id}}},
				}},
				map[string]any{"type": "oidc", "id": name, "name": id, "config": map[string]any{
					"issuer": uri, "clientID": id, "clientSecret": mark + name, "scopes": []string{other}, "allowedGroups": []string{name}, "acrValues": []string{other},
				}},
				map[string]any{"type": "github", "id": other, "config": map[string]any{"clientID": name, "clientSecret": mark, "org": other, "hostName": id}},
			},
			"staticClients": []any{
				map[string]any{"id": id, "name": name, "secret": mark + id, "redirectURIs": []string{uri}, "trustedPeers": []string{other}},
				map[string]any{"id": other, "name": name, "public": true, "allowedConnectors": []string{id, name}},
			},
			"staticPasswords": []any{
				map[string]any{"email": email, "username": name, "userID": id, "hash": mark + other, "groups": []string{name, other}},
				map[string]any{"email": id + "@example.com", "username": other, "preferredUsername": name, "userID": other},
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		if imported := imports(t, string(text)); strings.Contains(imported.stdout+imported.stderr, mark) {
			t.Errorf("a secret came out:\n%s%s", imported.stdout, imported.stderr)
		}
	})
}

// TestImportOfManyIsQuick: each part is checked by itself, and each only once.
func TestImportOfManyIsQuick(t *testing.T) {
	t.Parallel()
	var file strings.Builder
	file.WriteString("issuer: https://id.example.com\nenablePasswordDB: true\nstaticPasswords:\n")
	const many = 500
	for n := range many {
		name := strings.Repeat("x", n%50) + string(rune('a'+n%26)) + strings.Repeat("y", n/50)
		file.WriteString("- {email: " + name + "@example.com, username: " + name + ", userID: " + name + "}\n")
	}
	imported := tegata(t, nil, file.String(), "config", "import", "-")
	if imported.code != exit.Findings { // nobody has a password
		t.Fatalf("code %d: %.500s", imported.code, imported.stderr)
	}
	if got := strings.Count(imported.stdout, "username: "); got < many/2 {
		t.Errorf("%d users, want more", got)
	}
}
