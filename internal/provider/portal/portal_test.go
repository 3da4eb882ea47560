// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package portal_test

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/tegata/tegata/internal/clientregistry"
	"github.com/tegata/tegata/internal/kubeconfig"
	"github.com/tegata/tegata/internal/oidc"
	"github.com/tegata/tegata/internal/provider/portal"
)

// What Windows would change on the way to the program is no word. Package
// provider runs the lines for sh.
func TestWordsOfWindows(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		text       string
		powerShell string // empty: none
		cmd        string
	}{
		{"production", "production", "production"},
		{"--server=https://k8s.example.com:6443", "'--server=https://k8s.example.com:6443'", "--server=https://k8s.example.com:6443"},
		{"a.b", "'a.b'", "a.b"},
		{"id.example.com#kubernetes", "'id.example.com#kubernetes'", "id.example.com#kubernetes"},
		{"it's", "'it''s'", `"it's"`},
		{"$env:PATH", "'$env:PATH'", `"$env:PATH"`},
		{"`id`", "'`id`'", "\"`id`\""},
		{"$(id)", "'$(id)'", `"$(id)"`},
		{"a&b|c>d<e^f", "'a&b|c>d<e^f'", `"a&b|c>d<e^f"`},
		{"(a,b;c)", "'(a,b;c)'", `"(a,b;c)"`},
		{"%PATH%", "'%PATH%'", ""},
		{"a!b", "'a!b'", ""},
		{`a\`, `'a\'`, ""},
		{`a"b`, "", ""},
		{"a b", "", ""},
		{"", "", ""},
		{"日本", "", ""},
		{"a\nb", "", ""},
		{"‘a’", "", ""}, // quotes to PowerShell
	} {
		got, ok := portal.WordOfPowerShell(test.text)
		if ok != (test.powerShell != "") || ok && got != test.powerShell {
			t.Errorf("PowerShell: %q: got %s, %v; want %s", test.text, got, ok, test.powerShell)
		}
		got, ok = portal.WordOfCmd(test.text)
		if test.text == "" {
			ok = false // there is always something
		}
		if ok != (test.cmd != "") || ok && got != test.cmd {
			t.Errorf("cmd: %q: got %s, %v; want %s", test.text, got, ok, test.cmd)
		}
	}
}

// sh reads each word back as it was.
func FuzzWordOfSh(f *testing.F) {
	for _, text := range []string{"a", "", "it's", "$(id)`id`", "a\nb", `\`, "-n", "~", "#", "!", "日本", "\x01", "*"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		word, ok := portal.WordOfSh(text)
		if ok == strings.Contains(text, "\x00") {
			t.Fatalf("%q: got %v", text, ok)
		}
		if !ok {
			return
		}
		out, err := exec.CommandContext(t.Context(), "sh", "-c", "printf '%s.' "+word).Output()
		if err != nil || string(out) != text+"." {
			t.Errorf("%q: got %q, %v", text, out, err)
		}
	})
}

// A line that cmd would cut is not offered.
func TestLinesThatAreTooLong(t *testing.T) {
	t.Parallel()
	made := portal.Commands(kubeconfig.New{Clusters: []kubeconfig.Cluster{{Name: "a", Server: "https://a", AuthorityData: strings.Repeat("A", 9000)}}, Current: "a"})
	if len(made) != 3 || made[0].Text.IsZero() || made[1].Text.IsZero() || !made[2].Text.IsZero() {
		t.Errorf("got %d shells, want lines for all but cmd", len(made))
	}
}

func TestLabels(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bool{
		"a": true, "production-1": true, "7": true, strings.Repeat("a", 63): true,
		"": false, "A": false, "a.b": false, "-a": false, "a-": false, "a_b": false, "a b": false, "é": false, strings.Repeat("a", 64): false, "a\n": false,
	} {
		if got := portal.IsLabel(text); got != want {
			t.Errorf("%q: got %v, want %v", text, got, want)
		}
	}
}

func TestClientsForKubeconfigs(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		client clientregistry.Client
		want   string
	}{
		"public":       {clientregistry.Client{RedirectURIs: []string{"http://localhost:18000"}}, ""},
		"device":       {clientregistry.Client{Grants: []string{oidc.GrantDeviceCode}}, ""},
		"secret":       {clientregistry.Client{SecretHash: "sha256:", RedirectURIs: []string{"http://localhost:8000"}}, "name a public client"},
		"key":          {clientregistry.Client{Authentication: clientregistry.PrivateKeyJWT}, "name a public client"},
		"redirect URI": {clientregistry.Client{RedirectURIs: []string{"http://localhost:8000/callback"}}, "waits at http://localhost:8000"},
		"machine":      {clientregistry.Client{Authentication: clientregistry.None, Grants: []string{oidc.GrantTokenExchange}}, "neither authorization_code nor device_code"},
	} {
		err := portal.CheckClient(test.client)
		if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got %v, want %q", name, err, test.want)
		}
	}
}
