// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package admin_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/tegata/tegata/internal/admin"
)

// commands returns every command that a person can type, parents first.
func commands(t *testing.T) []*cobra.Command {
	t.Helper()
	var all []*cobra.Command
	var walk func(*cobra.Command)
	walk = func(c *cobra.Command) {
		c.InitDefaultHelpFlag()
		all = append(all, c)
		for _, below := range c.Commands() {
			if below.IsAvailableCommand() {
				walk(below)
			}
		}
	}
	walk(admin.Root(admin.Env{Lookup: func(string) (string, bool) { return "", false }}))
	return all
}

// golden compares with a file, or writes it with -update.
func golden(t *testing.T, path, got string) {
	t.Helper()
	if *update {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v; go test ./internal/admin -update writes it", err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s differs (-want +got); go test ./internal/admin -update accepts it:\n%s", path, diff)
	}
}

func TestHelp(t *testing.T) {
	seen := map[string]bool{}
	for _, c := range commands(t) {
		if strings.HasPrefix(c.CommandPath(), "tegata completion ") || c.Name() == "help" {
			continue // cobra's own words
		}
		name := strings.ReplaceAll(c.CommandPath(), " ", "-") + ".txt"
		seen[name] = true
		t.Run(name, func(t *testing.T) {
			args := append(strings.Fields(c.CommandPath())[1:], "--help")
			out := tegata(t, nil, "", args...).must(t)
			if out.stderr != "" {
				t.Errorf("standard error: %q, want nothing", out.stderr)
			}
			golden(t, filepath.Join("testdata", "help", name), out.stdout)
		})
	}
	files, err := filepath.Glob("testdata/help/*.txt")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if !seen[filepath.Base(file)] {
			t.Errorf("%s belongs to no command", file)
		}
	}
}

func TestEveryCommandExplainsItself(t *testing.T) {
	for _, c := range commands(t) {
		if strings.HasPrefix(c.CommandPath(), "tegata completion") || c.Name() == "help" {
			continue
		}
		if c.Short == "" || strings.HasSuffix(c.Short, ".") {
			t.Errorf("%s: Short is %q, want a line without a period", c.CommandPath(), c.Short)
		}
		if c.Runnable() && !c.HasSubCommands() && c.Name() != "version" && c.Example == "" {
			t.Errorf("%s has no example", c.CommandPath())
		}
		c.Flags().VisitAll(func(f *pflag.Flag) {
			if f.Usage == "" {
				t.Errorf("%s --%s has no description", c.CommandPath(), f.Name)
			}
			if regexp.MustCompile(`(?i)^(password|secret)$`).MatchString(f.Name) {
				t.Errorf("%s --%s would take a secret as an argument, which every process can see", c.CommandPath(), f.Name)
			}
		})
	}
}

const tegataReference = "../../docs/reference/tegata.md"

// TestReferenceIsWhatTheCommandsAre writes docs/reference/tegata.md from the
// tree of commands.
func TestReferenceIsWhatTheCommandsAre(t *testing.T) {
	var page strings.Builder
	page.WriteString(`# tegata

For the identity team, at a terminal: every command and every flag. This page is written from the commands themselves by ` + "`go test ./internal/admin -update`" + `; do not edit it.

Exit codes: 0 done, 1 failed, 2 wrong usage or configuration, 3 something was found, 130 interrupted. Results are on standard output, everything else on standard error; commands that print results take ` + "`--output json`" + `.

`)
	all := commands(t)
	for _, c := range all {
		if documented(c) {
			fmt.Fprintf(&page, "- [%s](#%s): %s\n", c.CommandPath(), strings.ReplaceAll(c.CommandPath(), " ", "-"), lower(c.Short))
		}
	}
	for _, c := range all {
		if documented(c) {
			page.WriteString(section(c))
		}
	}
	golden(t, tegataReference, page.String())
}

func documented(c *cobra.Command) bool {
	return c.HasParent() && c.Runnable() && !c.HasAvailableSubCommands() && c.Name() != "help"
}

func section(c *cobra.Command) string {
	var text strings.Builder
	fmt.Fprintf(&text, "\n## %s\n\n", c.CommandPath())
	switch {
	case c.Parent().Name() == "completion":
		fmt.Fprintf(&text, "%s. `%s --help` tells how to load it.\n", c.Short, c.CommandPath())
	case c.Long != "":
		text.WriteString(c.Long + "\n")
	default:
		text.WriteString(c.Short + ".\n")
	}
	fmt.Fprintf(&text, "\n```\n%s\n```\n", c.UseLine())
	if c.Example != "" {
		text.WriteString("\n```console\n")
		for line := range strings.SplitSeq(c.Example, "\n") {
			text.WriteString("$ " + strings.TrimSpace(line) + "\n")
		}
		text.WriteString("```\n")
	}
	text.WriteString("\n| flag | meaning |\n|---|---|\n")
	c.Flags().VisitAll(func(f *pflag.Flag) {
		if f.Hidden {
			return
		}
		value, usage := pflag.UnquoteUsage(f)
		name := "--" + f.Name
		if f.Shorthand != "" {
			name = "-" + f.Shorthand + ", " + name
		}
		if value != "" {
			name += " " + value
		}
		if f.DefValue != "" && f.DefValue != "false" && f.DefValue != "[]" {
			usage += " (default " + f.DefValue + ")"
		}
		fmt.Fprintf(&text, "| `%s` | %s |\n", name, strings.ReplaceAll(usage, "|", `\|`))
	})
	return text.String()
}

func lower(text string) string { return strings.ToLower(text[:1]) + text[1:] }

// TestConfigurationReferenceIsComplete holds docs/reference/configuration.md
// to the keys that the file may have.
func TestConfigurationReferenceIsComplete(t *testing.T) {
	raw, err := os.ReadFile("../../docs/reference/configuration.md")
	if err != nil {
		t.Fatal(err)
	}
	page := string(raw)
	described := map[string]bool{}
	for _, row := range regexp.MustCompile("(?m)^\\| `([a-z_.\\[\\]]+)` \\| [^|]+ \\| [^|]+ \\| [^|]+ \\| [^|]+ \\|$").FindAllStringSubmatch(page, -1) {
		described[row[1]] = true
	}
	for _, key := range admin.ConfigKeys() {
		if !described[key] {
			t.Errorf("the key %s has no row | `%s` | type | default | meaning | example |", key, key)
		}
		delete(described, key)
	}
	for key := range described {
		t.Errorf("the page describes %s, which is no key", key)
	}
}

// TestConfigurationReferenceExamplesAreGood checks each YAML block of the
// page as a file of its own.
func TestConfigurationReferenceExamplesAreGood(t *testing.T) {
	raw, err := os.ReadFile("../../docs/reference/configuration.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?ms)^```yaml\n(.*?)^```").FindAllStringSubmatch(string(raw), -1)
	if len(blocks) == 0 {
		t.Fatal("the page has no example")
	}
	for _, block := range blocks {
		t.Chdir(t.TempDir())
		// What the example names must exist.
		for name, content := range map[string]string{
			"tegata.yaml": block[1], "web.secret": strings.Repeat("s", 40), "db.password": "s", "ldap.password": "s", "ci.pem": publicKey, "kek": "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=\n",
		} {
			if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		writeCertificate(t, "tls.crt", "tls.key")
		writeCertificate(t, "k8s-ca.crt", "k8s-ca.key")
		tegata(t, nil, "", "config", "check", "tegata.yaml").must(t)
	}
}

// publicKey is of nobody.
const publicKey = `-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEMKBCTNIcKUSDii11ySs3526iDZ8A
iTo7Tu6KPAqv7D7gS2XpJFbZiItSs3m9+9Ue6GnvHw/GW2ZZaVtszggXIw==
-----END PUBLIC KEY-----
`
