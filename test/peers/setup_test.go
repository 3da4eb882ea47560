// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package peers

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// setup logs in, and what it prints for the kubeconfig is a command line that
// works: from the cache and by a refresh. A secret is not in it.
func TestSetupPrintsACommandLineThatWorks(t *testing.T) {
	onBoth(t, func(t *testing.T, p *provider) {
		for k, client := range p.clients {
			if !k.hasBrowser() {
				continue
			}
			t.Run(string(k), func(t *testing.T) {
				d := newDesk(t, p)
				e := d.run(d.command("setup", k, append(p.scopes, "--output=json")...))
				if e.code != 0 {
					t.Fatalf("got %d: %s", e.code, e.stderr)
				}
				var printed struct {
					Claims struct {
						Email string `json:"email"`
					} `json:"claims"`
					Kubectl struct {
						Exec struct {
							Args []string `json:"args"`
						} `json:"exec"`
					} `json:"kubectl"`
					APIServer struct {
						Flags []string `json:"flags"`
					} `json:"api_server"`
					Notes []string `json:"notes"`
				}
				if err := json.Unmarshal([]byte(e.stdout), &printed); err != nil {
					t.Fatal(err)
				}
				if printed.Claims.Email != "alice@example.com" {
					t.Errorf("the claims: %s", e.stdout)
				}
				for _, want := range []string{"--oidc-issuer-url=" + p.issuer, "--oidc-groups-claim=groups"} {
					if !slices.Contains(printed.APIServer.Flags, want) {
						t.Errorf("the API server's flags lack %s: %q", want, printed.APIServer.Flags)
					}
				}
				if k == es256 && !slices.Contains(printed.APIServer.Flags, "--oidc-signing-algs=ES256") {
					t.Errorf("the API server would take RS256 alone: %q", printed.APIServer.Flags)
				}

				args := printed.Kubectl.Exec.Args
				for _, flag := range client {
					secret, confidential := strings.CutPrefix(flag, "--oidc-client-secret=")
					if !confidential {
						continue
					}
					if !strings.Contains(strings.Join(printed.Notes, "\n"), "client secret is left out") {
						t.Errorf("nothing says what became of the secret: %q", printed.Notes)
					}
					args = append(args, "--oidc-client-secret-command=echo '"+secret+"'")
				}
				for _, more := range [][]string{nil, {"--force-refresh"}} {
					if e := d.run(d.program(append(args, more...)...)); e.code != 0 {
						t.Errorf("%q ended with %d: %s", args, e.code, e.stderr)
					}
				}
				if n := len(d.visited()); n != 1 {
					t.Errorf("%d logins, want 1", n)
				}
			})
		}
	})
}

// Standalone mode writes the tokens into a kubeconfig of the older form, and
// renews them there.
func TestStandaloneModeFillsAKubeconfig(t *testing.T) {
	onBoth(t, func(t *testing.T, p *provider) {
		d := newDesk(t, p)
		config := write(t, filepath.Join(d.home, "config"), fmt.Sprintf(`# mine
apiVersion: v1
kind: Config
current-context: lab
contexts:
- {name: lab, context: {cluster: lab, user: alice}}
users:
- name: alice
  user:
    auth-provider:
      name: oidc
      config:
        idp-issuer-url: %s
        idp-certificate-authority: %s
        client-id: public
        extra-scopes: email,groups,offline_access
`, p.issuer, p.caFile))
		self, err := os.Executable()
		if err != nil {
			t.Fatal(err)
		}
		run := func(more ...string) string {
			t.Helper()
			e := d.run(d.program(append([]string{
				"--kubeconfig=" + config, "--listen-address=127.0.0.1:0", "--browser-command=" + self + " %s",
			}, append(p.scopes[1:], more...)...)...))
			text := read(t, config)
			if e.code != 0 || !strings.Contains(e.stdout, "is logged in at "+p.issuer) || !strings.HasPrefix(text, "# mine\n") {
				t.Fatalf("got %d: %s%s", e.code, e.stdout, e.stderr)
			}
			found := regexp.MustCompile(`(?m)^ +refresh-token: (\S+)$`).FindStringSubmatch(text)
			if found == nil || !regexp.MustCompile(`(?m)^ +id-token: eyJ`).MatchString(text) {
				t.Fatal("the tokens are not in the kubeconfig")
			}
			if strings.Contains(e.stdout+e.stderr, found[1]) {
				t.Error("the refresh token was said")
			}
			return found[1]
		}
		first := run()
		if again := run(); again != first {
			t.Error("a valid token was renewed")
		}
		if rotated := run("--force-refresh"); rotated == first {
			t.Error("the new refresh token is not in the kubeconfig")
		}
		run("--force-refresh")
		if n := len(d.visited()); n != 1 {
			t.Errorf("%d logins, want 1", n)
		}
	})
}
