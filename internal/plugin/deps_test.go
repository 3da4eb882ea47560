// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package plugin_test

import (
	"os"
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
		"github.com/danieljoos/wincred": "needed by go-keyring, on Windows",
		"github.com/goccy/go-yaml":      "its parser finds the entries of a kubeconfig; the rest of it is not linked",
		"github.com/gofrs/flock":        "one lock on each system",
		"github.com/spf13/pflag":        "the flag syntax of kubectl and kubelogin, for a few hundred instructions per flag",
		"github.com/godbus/dbus/v5":     "needed by go-keyring, on Linux",
		"github.com/zalando/go-keyring": "the keyring of each system; it starts nothing until it is asked",
		"golang.org/x/sys":              "needed by x/term and flock",
		"golang.org/x/term":             "whether a person sees standard error",
	}
	packages := map[string]string{
		"cmd/kubectl-oidc_login":  "main",
		"internal/plugin":         "the command",
		"internal/login":          "the protocol",
		"internal/jws":            "signatures of ID tokens, over the standard library (record 9)",
		"internal/tokencache":     "what is kept",
		"internal/keyring":        "the key of what is kept",
		"internal/kubeconfig":     "the kubeconfig, for setup and standalone",
		"internal/execcredential": "kubectl's protocol",
		"internal/oidc":           "the words of the protocol",
		"internal/qrcode":         "a device code as a picture",
		"internal/secret":         "values that print as [redacted]",
		"internal/exit":           "messages and exit codes",
	}
	// Forbidden parts of the standard library, each with what it would cost.
	forbidden := map[string]string{
		"github.com/goccy/go-yaml":      "the whole library is four times its parser",
		"github.com/go-jose/go-jose/v4": "internal/jws does what is needed of it in a seventh of its size",
		"html/template":                 "a fifth of the program, for four sentences on a page",
		"text/template":                 "switches off the removal of unused methods",
		"regexp":                        "its compilations run before main",
		"plugin":                        "switches off the removal of unused functions",
		"net/http/pprof":                "registers itself in each server",
		"encoding/gob":                  "was a third of the peer's start",
		"database/sql":                  "nothing is stored here but files",
		"testing":                       "belongs into tests",
		"net/http/cookiejar":            "the plugin is no browser",
	}

	const module = "github.com/tegata/tegata"
	seen := map[string]bool{}
	for _, system := range []string{"linux", "darwin", "windows"} {
		list := exec.Command("go", "list", "-deps", "-f", "{{with .Module}}{{.Path}}{{end}} {{.ImportPath}}", module+"/cmd/kubectl-oidc_login")
		list.Env = append(os.Environ(), "GOOS="+system, "CGO_ENABLED=0")
		text, err := list.Output()
		if err != nil {
			t.Fatalf("%s: %v", list, err)
		}
		if !slices.Contains(strings.Fields(string(text)), "crypto/tls") {
			t.Errorf("%s: the list of dependencies looks wrong: no crypto/tls", system)
		}
		for line := range strings.Lines(string(text)) {
			from, path, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
			// go-keyring quotes with it what it types into the shell there.
			excused := system == "darwin" && path == "regexp"
			if reason, ok := forbidden[path]; ok && !excused {
				t.Errorf("%s: %s is linked: %s", system, path, reason)
			}
			if own, ok := strings.CutPrefix(path, module+"/"); ok {
				seen[own] = true
				if _, ok := packages[own]; !ok {
					t.Errorf("%s: %s is linked, but not on the list", system, path)
				}
				continue
			}
			seen[from] = true
			if _, ok := modules[from]; !ok {
				t.Errorf("%s: %s of the module %s is linked, but not on the list", system, path, from)
			}
		}
	}
	for _, listed := range []map[string]string{modules, packages} {
		for name := range listed {
			if !seen[name] {
				t.Errorf("%q is on the list, but not linked", name)
			}
		}
	}
}
