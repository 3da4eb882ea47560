// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package plugin_test

import (
	"maps"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
	"github.com/google/go-cmp/cmp"

	"github.com/tegata/tegata/internal/oidctest"
	"github.com/tegata/tegata/internal/plugin"
)

// The API server is told what it can do with the token that was seen.
func TestSetupChoosesClaims(t *testing.T) {
	for _, test := range []struct {
		name, issuer, algorithm, claims string

		want    string // the flags behind the issuer and the client
		binding string // its subject
		note    string // a part of one
	}{
		{
			"all that one can wish", "https://id.example.com", "RS256",
			`{"sub": "1", "aud": "kubernetes", "email": "a@example.com", "email_verified": true, "groups": ["admins", "users"]}`,
			"--oidc-username-claim=email --oidc-username-prefix=oidc: --oidc-groups-claim=groups --oidc-groups-prefix=oidc:", "--group=oidc:admins", "exclude each other",
		},
		{
			"Cognito", "https://id.example.com", "RS256", `{"sub": "1", "aud": ["kubernetes"], "email": "a@example.com", "cognito:groups": ["admin"], "cognito:username": "a"}`,
			"--oidc-username-claim=email --oidc-username-prefix=oidc: --oidc-groups-claim=cognito:groups --oidc-groups-prefix=oidc:", "--group=oidc:admin", "microk8s enable rbac",
		},
		{
			"an address that is not verified", "https://id.example.com", "RS256", `{"sub": "1", "aud": "kubernetes", "email": "a@example.com", "email_verified": false}`,
			"--oidc-username-claim=sub --oidc-username-prefix=oidc:", "--user=oidc:1", "email_verified is not true",
		},
		{
			"one that is verified in so many letters", "https://id.example.com", "RS256", `{"sub": "1", "aud": "kubernetes", "email": "a@example.com", "email_verified": "true"}`,
			"--oidc-username-claim=sub --oidc-username-prefix=oidc:", "--user=oidc:1", "email_verified is not true",
		},
		{
			"no address, no groups", "https://id.example.com", "RS256", `{"sub": "a b", "aud": "kubernetes"}`,
			"--oidc-username-claim=sub --oidc-username-prefix=oidc:", "'--user=oidc:a b'", "--oidc-extra-scope=groups may bring them",
		},
		{
			"groups by another name", "https://id.example.com", "RS256", `{"sub": "1", "aud": "kubernetes", "https://example.com/groups": "one", "roles": ["r"]}`,
			"--oidc-username-claim=sub --oidc-username-prefix=oidc: --oidc-groups-claim=https://example.com/groups --oidc-groups-prefix=oidc:", "--group=oidc:one", "no claim email",
		},
		{
			"groups that are none", "https://id.example.com", "RS256", `{"sub": "1", "aud": "kubernetes", "groups": [], "amr": ["pwd"]}`,
			"--oidc-username-claim=sub --oidc-username-prefix=oidc: --oidc-groups-claim=groups --oidc-groups-prefix=oidc:", "--user=oidc:1", "",
		},
		{
			"another signature", "https://id.example.com", "PS384", `{"sub": "1", "aud": "kubernetes", "roles": ["r"]}`,
			"--oidc-username-claim=sub --oidc-username-prefix=oidc: --oidc-groups-claim=roles --oidc-groups-prefix=oidc: --oidc-signing-algs=PS384", "--group=oidc:r", "signed with PS384",
		},
		{
			"an issuer that no API server takes", "http://127.0.0.1:5556/dex", "RS256", `{"sub": "1", "aud": "kubernetes"}`,
			"--oidc-username-claim=sub --oidc-username-prefix=oidc:", "--user=oidc:1", "takes https issuers alone",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			flags, binding, file, notes, err := plugin.APIServerFor(test.issuer, test.algorithm, test.claims)
			if err != nil {
				t.Fatal(err)
			}
			want := append([]string{"--oidc-issuer-url=" + test.issuer, "--oidc-client-id=kubernetes"}, strings.Fields(test.want)...)
			if diff := cmp.Diff(want, flags); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if want := "kubectl create clusterrolebinding oidc-view --clusterrole=view " + test.binding; binding != want {
				t.Errorf("got %q, want %q", binding, want)
			}
			if !strings.Contains(strings.Join(notes, "\n"), test.note) {
				t.Errorf("the notes %q do not say %q", notes, test.note)
			}
			if err := yaml.Unmarshal([]byte(file), new(any)); err != nil || strings.Contains(file, "certificateAuthority") {
				t.Errorf("%v in\n%s", err, file)
			}
		})
	}
}

func TestSetupTellsOfAnotherAudience(t *testing.T) {
	flags, _, _, notes, err := plugin.APIServerFor("https://id.example.com", "RS256", `{"sub": "1", "aud": ["api://x", "y"]}`)
	if err != nil || !slices.Contains(flags, "--oidc-client-id=api://x") || !strings.Contains(strings.Join(notes, "\n"), `for "api://x", not for the client "kubernetes"`) {
		t.Errorf("got %q, %q, %v", flags, notes, err)
	}
}

// What setup writes of lists and maps is what get-token reads.
func FuzzFlagWords(f *testing.F) {
	f.Add("email", "groups", "Origin", "https://x", "A", "b")
	f.Add(`a"b`, "c,d", "A", "b=c", "D", `"e"`)
	f.Add("", "a\nb", "A", `"b`, "A", "")
	f.Fuzz(func(t *testing.T, one, two, name, value, other, text string) {
		for _, word := range []string{one, two, name, value, other, text} {
			if !utf8.ValidString(word) || strings.Contains(word, "\r") {
				return // a reader of CSV makes line ends of them
			}
		}
		scopes := slices.DeleteFunc([]string{one, two}, func(s string) bool { return s == "" || s == "\n" })
		headers := map[string]string{name: value, other: text}
		for name := range headers {
			if name == "" || strings.Contains(name, "=") {
				return
			}
		}
		words, err := plugin.FlagWords(scopes, headers)
		if err != nil {
			t.Fatal(err)
		}
		gotScopes, gotHeaders, err := plugin.ParseLists(words)
		if err != nil || !slices.Equal(gotScopes, scopes) || !maps.Equal(gotHeaders, headers) {
			t.Errorf("%q: got %q and %q, want %q and %q, %v", words, gotScopes, gotHeaders, scopes, headers, err)
		}
	})
}

// What is printed for a shell is, read by one, what is printed for a program.
func TestSetupCommandsAreForAShell(t *testing.T) {
	d := newDesk(t)
	args := []string{
		"setup", "--oidc-issuer-url=" + string(d.provider.Issuer), "--oidc-client-id=kubernetes", "--certificate-authority=" + d.provider.CAFile(),
		"--listen-address=127.0.0.1:0", "--user=it's $me", `--oidc-request-header=X=a "b", c`, "--oidc-auth-request-extra-params=a=b=c,d=e", "--token-cache-storage=none", "--output=json",
	}
	code, text, stderr := d.plugin(args...)
	if code != 0 {
		t.Fatal(stderr)
	}
	var result struct {
		Kubectl struct {
			Exec struct{ Args []string }

			SetCredentials string `yaml:"set_credentials"`
		}
	}
	if err := yaml.Unmarshal([]byte(text), &result); err != nil {
		t.Fatal(err)
	}
	shell := exec.Command("sh", "-c", `kubectl() { for word; do printf '%s\0' "$word"; done; }; `+result.Kubectl.SetCredentials)
	said, err := shell.Output()
	if err != nil {
		t.Fatal(err)
	}
	words := strings.Split(strings.TrimSuffix(string(said), "\x00"), "\x00")
	want := []string{"config", "set-credentials", "it's $me", "--exec-api-version=client.authentication.k8s.io/v1", "--exec-interactive-mode=IfAvailable", "--exec-command=kubectl-oidc_login"}
	for _, arg := range result.Kubectl.Exec.Args {
		if strings.ContainsAny(arg, `",`) { // kubectl reads each as a line of CSV
			arg = `"` + strings.ReplaceAll(arg, `"`, `""`) + `"`
		}
		want = append(want, "--exec-arg="+arg)
	}
	if diff := cmp.Diff(want, words); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if !slices.Contains(result.Kubectl.Exec.Args, `--oidc-request-header=X=a "b", c`) {
		t.Errorf("got %q", result.Kubectl.Exec.Args)
	}
}

// A kubeconfig that became read-only while a person logged in.
func TestLoginThatCannotBeWrittenIsTold(t *testing.T) {
	for _, test := range []struct {
		name string
		args []string
		want string
	}{
		{"setup", []string{"setup", "--write", "--user=new", "--oidc-client-id=kubernetes"}, "error: the login succeeded, but the kubeconfig is not written: "},
		{"standalone", nil, "error: the login succeeded, but its tokens are not in the kubeconfig: "},
	} {
		t.Run(test.name, func(t *testing.T) {
			d := newDesk(t)
			path := d.legacy("")
			d.provider.Change(func(b *oidctest.Behaviour) {
				b.OnToken = func(url.Values) { os.Chmod(path, 0o400) } //nolint:errcheck // then the test fails
			})
			args := append(test.args, "--kubeconfig="+path, "--certificate-authority="+d.provider.CAFile(), "--listen-address=127.0.0.1:0")
			if test.args != nil {
				args = append(args, "--oidc-issuer-url="+string(d.provider.Issuer))
			}
			code, stdout, stderr := d.plugin(args...)
			if code != 1 || stdout != "" || !strings.HasPrefix(stderr, test.want) || !strings.HasSuffix(stderr, "/config is read-only\n") {
				t.Errorf("got %d, %q, %q", code, stdout, stderr)
			}
		})
	}
}

// legacy writes a kubeconfig with a user of the older form.
func (d *desk) legacy(refreshToken string) (path string) {
	d.t.Helper()
	path = filepath.Join(d.home, "config")
	if err := os.WriteFile(path, []byte(`current-context: lab
contexts: [{name: lab, context: {user: alice}}]
users:
- name: alice
  user:
    auth-provider:
      name: oidc
      config:
        idp-issuer-url: `+string(d.provider.Issuer)+`
        client-id: kubernetes
        refresh-token: "`+refreshToken+`"
`), 0o600); err != nil {
		d.t.Fatal(err)
	}
	return path
}

// plugin runs the program to its end.
func (d *desk) plugin(args ...string) (code int, stdout, stderr string) {
	d.t.Helper()
	c := exec.Command("kubectl-oidc_login", args...)
	c.Env = d.command().Env
	var out, problems strings.Builder
	c.Stdout, c.Stderr = &out, &problems
	c.Run() //nolint:errcheck // its code says it
	return c.ProcessState.ExitCode(), out.String(), problems.String()
}
