// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package plugin_test

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// The plugin is started for each command that a person types: whatever it
// links costs time before the first line of it runs. This is the whole list
// of modules, and of our own packages, that it may link.
func TestPluginLinksOnlyWhatIsListed(t *testing.T) {
	modules := map[string]string{
		"":                              "the standard library",
		"github.com/go-jose/go-jose/v4": "signatures of ID tokens: cryptography is not ours to write",
		"github.com/gofrs/flock":        "one lock on each system",
		"github.com/spf13/pflag":        "the flag syntax of kubectl and kubelogin, for a few hundred instructions per flag",
		"golang.org/x/sys":              "needed by x/term and flock",
		"golang.org/x/term":             "whether a person sees standard error",
	}
	packages := map[string]string{
		"cmd/kubectl-oidc_login":  "main",
		"internal/plugin":         "the command",
		"internal/login":          "the protocol",
		"internal/tokencache":     "what is kept",
		"internal/execcredential": "kubectl's protocol",
		"internal/oidc":           "the words of the protocol",
		"internal/secret":         "values that print as [redacted]",
		"internal/exit":           "messages and exit codes",
	}
	// Forbidden parts of the standard library, each with what it would cost.
	forbidden := map[string]string{
		"html/template":      "a fifth of the program, for four sentences on a page",
		"text/template":      "switches off the removal of unused methods",
		"regexp":             "its compilations run before main",
		"plugin":             "switches off the removal of unused functions",
		"net/http/pprof":     "registers itself in each server",
		"encoding/gob":       "was a third of the peer's start",
		"database/sql":       "nothing is stored here but files",
		"testing":            "belongs into tests",
		"net/http/cookiejar": "the plugin is no browser",
	}

	const module = "github.com/tegata/tegata"
	list := exec.Command("go", "list", "-deps", "-f", "{{with .Module}}{{.Path}}{{end}} {{.ImportPath}}", module+"/cmd/kubectl-oidc_login")
	text, err := list.Output()
	if err != nil {
		t.Fatalf("%s: %v", list, err)
	}
	seen := map[string]bool{}
	for line := range strings.Lines(string(text)) {
		from, path, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		if from == module {
			own := strings.TrimPrefix(path, module+"/")
			seen[own] = true
			if _, ok := packages[own]; !ok {
				t.Errorf("%s is linked, but not on the list", path)
			}
			continue
		}
		seen[from] = true
		if _, ok := modules[from]; !ok {
			t.Errorf("%s of the module %s is linked, but not on the list", path, from)
		}
		if reason, ok := forbidden[path]; ok {
			t.Errorf("%s is linked: %s", path, reason)
		}
	}
	for _, listed := range []map[string]string{modules, packages} {
		for name := range listed {
			if !seen[name] {
				t.Errorf("%q is on the list, but not linked", name)
			}
		}
	}
	if !slices.Contains(strings.Fields(string(text)), "crypto/tls") {
		t.Error("the list of dependencies looks wrong: no crypto/tls")
	}
}
