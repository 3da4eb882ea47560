// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package plugin_test

import (
	"os"
	"strings"
	"testing"
)

// The reference shows the help of each command as it is: it is the first block
// of the section that bears the command's name.
func TestReferenceHasTheHelp(t *testing.T) {
	const page = "../../docs/reference/kubectl-oidc_login.md"
	content, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	text := string(content)
	for _, name := range helped {
		_, help, _ := run(name, "--help")
		before, section, ok := strings.Cut(text, "\n## "+name+"\n")
		intro, rest, opens := strings.Cut(section, "```\n")
		_, after, closes := strings.Cut(rest, "```\n")
		if !ok || !opens || !closes {
			t.Fatalf("%s has no section %q with a block", page, name)
		}
		text = before + "\n## " + name + "\n" + intro + "```\n" + help + "```\n" + after
	}
	switch {
	case text == string(content):
	case *update:
		if err := os.WriteFile(page, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	default:
		t.Errorf("%s does not have the help as it is now; run: go test ./internal/plugin -update", page)
	}
}
