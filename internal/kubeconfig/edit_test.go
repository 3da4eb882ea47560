// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package kubeconfig_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tegata/tegata/internal/kubeconfig"
	"github.com/tegata/tegata/internal/secret"
)

var (
	plugin = kubeconfig.SetExec("oidc", kubeconfig.Exec{
		APIVersion: "client.authentication.k8s.io/v1", Command: "kubectl-oidc_login",
		Args: []string{"get-token", "--oidc-issuer-url=https://id.example.com", "--oidc-client-id=yes"}, InteractiveMode: "IfAvailable",
	})
	tokens = kubeconfig.SetAuthProvider("oidc", map[string]secret.String{"id-token": secret.New("a.b.c"), "refresh-token": secret.New("12")})
	move   = kubeconfig.SetContextUser("here", "oidc")
)

const added = `- name: oidc
  user:
    exec:
      apiVersion: client.authentication.k8s.io/v1
      command: kubectl-oidc_login
      args:
      - get-token
      - --oidc-issuer-url=https://id.example.com
      - --oidc-client-id=yes
      interactiveMode: IfAvailable
`

const addedInline = `{"name": "oidc", "user": {"exec": {"apiVersion": "client.authentication.k8s.io/v1", "command": "kubectl-oidc_login", ` +
	`"args": ["get-token", "--oidc-issuer-url=https://id.example.com", "--oidc-client-id=yes"], "interactiveMode": "IfAvailable"}}}`

// indented moves all lines to the right.
func indented(blanks int, text string) string {
	var out strings.Builder
	for line := range strings.Lines(text) {
		out.WriteString(strings.Repeat(" ", blanks) + line)
	}
	return out.String()
}

// edits are texts, what is changed in them, and what they become.
var edits = []struct {
	name   string
	before string
	change kubeconfig.Change
	after  string
}{
	{"nothing yet", "", plugin, "apiVersion: v1\nkind: Config\nusers:\n" + added},
	{"a comment alone", "# mine\n", plugin, "# mine\napiVersion: v1\nkind: Config\nusers:\n" + added},
	{"a comment without a line end", "# mine", plugin, "# mine\napiVersion: v1\nkind: Config\nusers:\n" + strings.TrimSuffix(added, "\n")},
	{"the head of a document alone", "---\n", plugin, "---\napiVersion: v1\nkind: Config\nusers:\n" + added},
	{"null", "null\n", plugin, "apiVersion: v1\nkind: Config\nusers:\n" + added},
	{"an empty object", "{}", plugin, `{"users": [` + addedInline + "]}"},
	{"no users", "kind: Config\n", plugin, "kind: Config\nusers:\n" + added},
	{"users left out", "users: # none\nkind: Config\n", plugin, "users: # none\n" + added + "kind: Config\n"},
	{"users that are null", "users: null # none\nkind: Config\n", plugin, "users: # none\n" + added + "kind: Config\n"},
	{"empty users", "users: []\nkind: Config", plugin, "users:\n" + added + "kind: Config"},
	{
		"another user, as kubectl writes it", "users:\n- name: a\n  user:\n    token: t # mine\n# behind\ncontexts: []\n", plugin,
		"users:\n- name: a\n  user:\n    token: t # mine\n" + added + "# behind\ncontexts: []\n",
	},
	{
		"another user, indented", "users:\n    - name: a\n      user: {}\n\n", plugin,
		"users:\n    - name: a\n      user: {}\n" + indented(4, added) + "\n",
	},
	{"no final line end", "users:\n- name: a\n  user: {}", plugin, "users:\n- name: a\n  user: {}\n" + strings.TrimSuffix(added, "\n")},
	{
		"line ends of Windows, and a mark before", "\ufeffusers:\r\n- name: a\r\n  user: {}\r\nkind: Config\r\n", plugin,
		"\ufeffusers:\r\n- name: a\r\n  user: {}\r\n" + strings.ReplaceAll(added, "\n", "\r\n") + "kind: Config\r\n",
	},
	{
		"behind a block scalar", "users:\n- name: a\n  user:\n    token: |\n      x\n\n      y\n\nkind: Config\n", plugin,
		"users:\n- name: a\n  user:\n    token: |\n      x\n\n      y\n" + added + "\nkind: Config\n",
	},
	{
		"behind a block scalar with a comment and all line ends", "users:\n- name: a\n  user:\n    token: |+ # so\n        x\n\nkind: Config\n", plugin,
		"users:\n- name: a\n  user:\n    token: |+ # so\n        x\n\n" + added + "kind: Config\n",
	},
	{
		"behind a text of two lines", "users:\n- name: a\n  user:\n    token: x\n      y # z\nkind: \"Con\\\n  fig\"\n", plugin,
		"users:\n- name: a\n  user:\n    token: x\n      y # z\n" + added + "kind: \"Con\\\n  fig\"\n",
	},
	{
		"JSON", `{"kind":"Config","users":[{"name":"a","user":{}}]}`, plugin,
		`{"kind":"Config","users":[{"name":"a","user":{}}, ` + addedInline + `]}`,
	},
	{
		"JSON of many lines, with tabs", "{\n\t\"users\": [\n\t\t{\"name\": \"a\"}\n\t],\n\t\"kind\": \"Config\"\n}\n", plugin,
		"{\n\t\"users\": [\n\t\t{\"name\": \"a\"},\n\t\t" + addedInline + "\n\t],\n\t\"kind\": \"Config\"\n}\n",
	},
	{
		"brackets in YAML", "users: [ {name: a, user: {token: b}, }, ] # all\n", plugin,
		"users: [ {name: a, user: {token: b}, }, " + addedInline + ", ] # all\n",
	},
	{
		"a user without anything", "users:\n- name: oidc\n- name: b\n", plugin,
		"users:\n" + added + "- name: b\n",
	},
	{
		"a user that is null", "users:\n- user: ~ # soon\n  name: oidc\n", plugin,
		"users:\n- user: # soon\n" + indented(0, strings.SplitAfterN(added, "\n", 3)[2]) + "  name: oidc\n",
	},
	{
		"what the user runs, word by word", `users:
- name: oidc # mine
  user:
    exec:
      # the program
      command: kubelogin # of old
      args:
      - get-token # so
      # the issuer
      - --oidc-issuer-url=https://old.example.com # it moves
      - --oidc-client-id=yes # the client
      env:
      - {name: A, value: b}
      apiVersion: "client.authentication.k8s.io/v1beta1"
      installHint: |
        ask alice
      provideClusterInfo: false
      interactiveMode: Never
`, plugin, `users:
- name: oidc # mine
  user:
    exec:
      # the program
      command: kubectl-oidc_login # of old
      args:
      - get-token # so
      # the issuer
      - --oidc-issuer-url=https://id.example.com # it moves
      - --oidc-client-id=yes # the client
      env:
      - {name: A, value: b}
      apiVersion: "client.authentication.k8s.io/v1"
      installHint: |
        ask alice
      provideClusterInfo: false
      interactiveMode: IfAvailable
`,
	},
	{
		"more words than before", "users:\n- name: oidc\n  user:\n    exec:\n      args:\n        - get-token # a\n        - --oidc-client-id=yes # b\n      command: x\n", plugin,
		"users:\n- name: oidc\n  user:\n    exec:\n      args:\n        - get-token # a\n        - --oidc-issuer-url=https://id.example.com\n        - --oidc-client-id=yes # b\n      command: kubectl-oidc_login\n" +
			"      apiVersion: client.authentication.k8s.io/v1\n      interactiveMode: IfAvailable\n",
	},
	{
		"a word before the first", "users:\n- name: oidc\n  user:\n    exec:\n      apiVersion: client.authentication.k8s.io/v1\n      command: kubectl-oidc_login\n      interactiveMode: IfAvailable\n      args:\n      - --oidc-issuer-url=https://id.example.com # a\n      - --oidc-client-id=yes", plugin,
		"users:\n- name: oidc\n  user:\n    exec:\n      apiVersion: client.authentication.k8s.io/v1\n      command: kubectl-oidc_login\n      interactiveMode: IfAvailable\n      args:\n      - get-token\n      - --oidc-issuer-url=https://id.example.com # a\n      - --oidc-client-id=yes",
	},
	{
		"fewer words than before", "users:\n- name: oidc\n  user:\n    exec:\n      apiVersion: client.authentication.k8s.io/v1\n      command: kubectl-oidc_login\n      interactiveMode: IfAvailable\n      args:\n      - oidc-login # kubectl's\n      # all\n      - get-token\n      - --oidc-issuer-url=https://id.example.com\n      - --oidc-client-id=yes\n      - -v1", plugin,
		"users:\n- name: oidc\n  user:\n    exec:\n      apiVersion: client.authentication.k8s.io/v1\n      command: kubectl-oidc_login\n      interactiveMode: IfAvailable\n      args:\n      - get-token # kubectl's\n      # all\n      - --oidc-issuer-url=https://id.example.com\n      - --oidc-client-id=yes\n",
	},
	{
		"nothing to change", "users:\n- {name: oidc, user: {auth-provider: {name: oidc, config: {id-token: 'a.b.c', refresh-token: \"12\"}}}}\n", tokens,
		"users:\n- {name: oidc, user: {auth-provider: {name: oidc, config: {id-token: 'a.b.c', refresh-token: \"12\"}}}}\n",
	},
	{
		"tokens in lines", "users:\n- name: oidc\n  user:\n    auth-provider:\n      config:\n        client-id: c\n        id-token: >-\n          x.y\n          z\n        # the token\n        refresh-token: 'x' # secret\n      name: oidc\n", tokens,
		"users:\n- name: oidc\n  user:\n    auth-provider:\n      config:\n        client-id: c\n        id-token: a.b.c\n        # the token\n        refresh-token: \"12\" # secret\n      name: oidc\n",
	},
	{
		"tokens that were not there", "users:\n- name: oidc\n  user:\n    auth-provider:\n      name: oidc\n      config:\n        refresh-token:\n        client-id: c # mine", tokens,
		"users:\n- name: oidc\n  user:\n    auth-provider:\n      name: oidc\n      config:\n        refresh-token: \"12\"\n        client-id: c # mine\n        id-token: a.b.c",
	},
	{
		"a number that becomes a text", "users: [{name: oidc, user: {auth-provider: {config: {refresh-token: 12}}}}]", tokens,
		`users: [{name: oidc, user: {auth-provider: {config: {refresh-token: "12", "id-token": "a.b.c"}}}}]`,
	},
	{"no configuration", "users: [{name: oidc, user: {auth-provider: {name: oidc}}}]", tokens, `users: [{name: oidc, user: {auth-provider: {name: oidc, "config": {"id-token": "a.b.c", "refresh-token": "12"}}}}]`},
	{"a dash alone", "users:\n-\nkind: Config\n", plugin, "users:\n-\n" + added + "kind: Config\n"},
	{"brackets that close at the margin", "users: [\n]\ncontexts: [\n{name: here, context: {user: \"a\nb\"}}\n]\n", move, "users: [\n]\ncontexts: [\n{name: here, context: {user: \"oidc\"}}\n]\n"},
	{"a context", "contexts:\n- name: here\n  context: {cluster: c, user: other}\n", move, "contexts:\n- name: here\n  context: {cluster: c, user: \"oidc\"}\n"},
	{"a context without a user", "contexts:\n- context:\n    cluster: \"c\" # x\n  name: here\n", move, "contexts:\n- context:\n    cluster: \"c\" # x\n    user: oidc\n  name: here\n"},
	{"a context without anything", "contexts:\n- name: here\n", move, "contexts:\n- name: here\n  context:\n    user: oidc\n"},
}

func TestEdit(t *testing.T) {
	for _, test := range edits {
		t.Run(test.name, func(t *testing.T) {
			got, err := kubeconfig.Edit(test.before, test.change)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.after, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if again, err := kubeconfig.Edit(got, test.change); err != nil || again != got {
				t.Errorf("a second time: got %q, %v", again, err)
			}
		})
	}
}
