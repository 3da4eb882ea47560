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

// What is changed says what it was told to say, and the rest says what it said
// before. A user who is added takes away no byte.
func FuzzEdit(f *testing.F) {
	for _, seed := range []string{
		"", "# c", "---\n...\n", "null", "{}", "users: [", "a: &b c", "users:\n-\nname: a\n", "a: - b", "\ufeff{}\r\n",
		"users:\n- name: oidc\n  user:\n    auth-provider:\n      name: oidc\n      config:\n        id-token: |2-\n          x\n        refresh-token: 'a''b'\n",
		"users: [{name: b, user: {auth-provider: {name: oidc, config: {refresh-token: 12, id-token: \"\\u0061\"}}}},{name: oidc, user: }]",
		"users:\n- name: oidc\n  user:\n    exec:\n      args:\n      - a # b\n      -\n      - |\n        c\n      command: >\n        d\n\n\n",
		"contexts:\n- name: here\n  context: {cluster: c, user: other}\n- context: # x\n  name: there\n",
		"{\n\t\"users\": [\n\t\t{\"name\": \"a\"}\n\t],\n\t\"contexts\":[{\"name\":\"here\"}]}",
	} {
		f.Add(seed)
	}
	for _, test := range edits {
		f.Add(test.before)
	}
	f.Fuzz(func(t *testing.T, text string) {
		before, err := kubeconfig.Parse(text)
		if err != nil {
			return
		}
		_, known := before.User("oidc")
		for i, change := range []kubeconfig.Change{plugin, tokens, move} {
			got, err := kubeconfig.Edit(text, change)
			if err != nil {
				continue
			}
			after, err := kubeconfig.Parse(got)
			if err != nil {
				t.Fatalf("%q became %q: %v", text, got, err)
			}
			if again, err := kubeconfig.Edit(got, change); err != nil || again != got {
				t.Fatalf("%q became %q, and then %q, %v", text, got, again, err)
			}
			user, _ := after.User("oidc")
			context, _ := after.Context("here")
			switch {
			case i == 0 && (user.Exec == nil || user.Exec.Command != "kubectl-oidc_login" || len(user.Exec.Args) != 3 || user.Exec.Args[2] != "--oidc-client-id=yes"),
				i == 1 && (user.AuthProvider == nil || user.AuthProvider.Config["id-token"] != secret.New("a.b.c") || user.AuthProvider.Config["refresh-token"] != secret.New("12")),
				i == 2 && context.User != "oidc":
				t.Fatalf("%q became %q, which does not say what it should", text, got)
			}
			for _, name := range before.Users() {
				was, _ := before.User(name)
				is, ok := after.User(name)
				if name != "oidc" && (!ok || !cmp.Equal(was, is, cmp.Comparer(secret.String.Equal))) {
					t.Fatalf("%q became %q, which says something else of %q", text, got, name)
				}
			}
			for _, name := range before.Contexts() {
				was, _ := before.Context(name)
				is, ok := after.Context(name)
				if name != "here" && (!ok || was.Cluster != is.Cluster || was.User != is.User) {
					t.Fatalf("%q became %q, which says something else of %q", text, got, name)
				}
			}
			if i == 0 && !known && len(before.Users()) > 0 && !addedTo(text, got) {
				t.Fatalf("%q became %q: more than an addition", text, got)
			}
		}
	})
}

// addedTo reports whether after is before with one piece put in.
func addedTo(before, after string) bool {
	head := 0
	for head < min(len(before), len(after)) && before[head] == after[head] {
		head++
	}
	return strings.HasSuffix(after, before[head:])
}
