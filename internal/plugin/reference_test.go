// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package plugin_test

import (
	"os"
	"strings"
	"testing"
)

// The reference shows the help as it is.
func TestReferenceHasTheHelp(t *testing.T) {
	help, err := os.ReadFile("testdata/help/get-token.txt")
	if err != nil {
		t.Fatal(err)
	}
	const page = "../../docs/reference/kubectl-oidc_login.md"
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(text), strings.TrimRight(string(help), "\n")) {
		return
	}
	if !*update {
		t.Fatalf("%s does not have the help of get-token as it is now; run: go test ./internal/plugin -update", page)
	}
	before, rest, _ := strings.Cut(string(text), "```\n")
	_, after, _ := strings.Cut(rest, "```\n")
	if err := os.WriteFile(page, []byte(before+"```\n"+strings.TrimRight(string(help), "\n")+"\n```\n"+after), 0o644); err != nil {
		t.Fatal(err)
	}
}
