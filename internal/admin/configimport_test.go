// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package admin_test

import (
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
	environment := map[string]string{"AD_USER": "cn=search", "GOOGLE_CLIENT_ID": "a: b #c", "DEX_CLIENT_ID": "- x", "DEX_HASH": "$2a$10$"}
	f.Fuzz(func(t *testing.T, text string) {
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
	})
}

// TestImportOfManyIsQuick: each part is checked by itself, and each only once.
func TestImportOfManyIsQuick(t *testing.T) {
	t.Parallel()
	var file strings.Builder
	file.WriteString("issuer: https://id.example.com\nenablePasswordDB: true\nstaticPasswords:\n")
	const many = 2000
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
