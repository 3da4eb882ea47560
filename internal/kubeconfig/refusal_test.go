// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package kubeconfig_test

import (
	"strings"
	"testing"

	"github.com/tegata/tegata/internal/kubeconfig"
	"github.com/tegata/tegata/internal/secret"
)

// What cannot be read as kubectl reads it is refused with its line, and
// nothing of the file stands in a message.
func TestParseRefuses(t *testing.T) {
	for _, test := range []struct{ name, text, err string }{
		{"an anchor", "a: 1\nusers: &hunter2 []\n", "config:2: there is an anchor, which is not understood here"},
		{"an alias", "a: *hunter2\n", "config:1: there is an alias, which is not understood here"},
		{"a merge key", "a:\n  <<: {}\n", "config:2: there is a merge key, which is not understood here"},
		{"a tag", "a: !!str hunter2\n", "config:1: there is a tag, which is not understood here"},
		{"a directive", "%YAML 1.2\n---\na: b\n", "config:1: there is a directive, which is not understood here"},
		{"a complex key", "? a\n: b\n", "config:1: there is a complex key, which is not understood here"},
		{"an end mark", "a: b\n...\n", "config:2: there is an end mark of a document, which is not understood here"},
		{"two documents", "a: b\n---\nc: d\n", "config:2: there is more than one document"},
		{"a key that stands twice", "a: hunter2\na: hunter2\n", `config:2: the key "a" stands twice`},
		{"a user who stands twice", "users:\n- name: a\n- name: b\n- name: a\n", `config:4: the name "a" stands twice in users`},
		{"a context that stands twice", "contexts: [{name: a}, {name: a}]", `config:1: the name "a" stands twice in contexts`},
		{"a text", "hunter2\n", "config:1: it is no kubeconfig"},
		{"a list", "- hunter2\n", "config:1: it is no kubeconfig"},
		{"a bracket that is not closed", "users: [hunter2\n", "config:2: it is written in a way that is not understood here"},
		{"a quote that is not closed", "a: b\nc: \"hunter2\n", "config:2: could not find end character of double-quoted text"},
		{"no UTF-8", "a: \xff", "config:1: it is no text in UTF-8"},
		{"a zero", "a: \x00", "config:1: it is no text in UTF-8"},
		{"a line end of old", "a: b\nc: d\re: f\n", "config:2: there is a carriage return that ends no line"},
		{"a block scalar with a depth", "a: |2\n  hunter2\n", "config:1: it is written in a way that is not understood here"},
		{"a key on two lines", "a\n: b\n", "config:2: it is written in a way that is not understood here"},
		{"a bracket that is not opened", "users: hunter2]\n- ]\n", "config:2: it is written in a way that is not understood here"},
		{"a bracket of another kind", "users: [hunter2}", "config:1: it is written in a way that is not understood here"},
		{"a pair in a list", "users: [hunter2: 1]", "config:1: it is written in a way that is not understood here"},
		{"two commas", "users: [hunter2,,a]", "config:1: it is written in a way that is not understood here"},
		{"a dash behind a key", "users: - hunter2\n", "config:1: it is written in a way that is not understood here"},
		{"a key behind a key", "users: a: hunter2\n", "config:1: it is written in a way that is not understood here"},
		{"lines that do not stand alike", "users:\n  - a\n - hunter2\n", "config:3: it is written in a way that is not understood here"},
		{"keys that do not stand alike", "a:\n  b: 1\n c: hunter2\n", "config:3: it is written in a way that is not understood here"},
		{"a text that does not stand deeper", "a: b\nhunter2\n", "config:2: it is written in a way that is not understood here"},
		{"a key with a block scalar", "|\n  a\n: hunter2", "config:3: it is written in a way that is not understood here"},
		{"a block scalar without text", "a: |\n", "config:2: it is written in a way that is not understood here"},
		{"a colon without a blank", "users: [{name:hunter2}]\n", "config:1: it is written in a way that is not understood here"},
		{"brackets in brackets", "a: " + strings.Repeat("[", 1000), "config:1: it is nested too deeply"},
		{"dashes on a line", strings.Repeat("- ", 1000), "config:1: it is nested too deeply"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := kubeconfig.Parse(test.text)
			switch {
			case err == nil:
				t.Error("it was read")
			case test.err != "" && err.Error() != test.err:
				t.Errorf("got %q, want %q", err, test.err)
			case strings.Contains(err.Error(), "hunter2"):
				t.Errorf("the message %q holds what the file holds", err)
			}
		})
	}
}

func TestEditRefuses(t *testing.T) {
	for _, test := range []struct {
		name, text string
		change     kubeconfig.Change
		err        string
	}{
		{"no such user", "users: []\n", tokens, `there is no user "oidc" in config`},
		{"no such context", "", move, `there is no context "here" in config`},
		{"a user without an auth-provider", "users:\n- name: oidc\n  user: {token: hunter2}\n", tokens, `the user "oidc" in config has no auth-provider`},
		{"users that are no list", "kind: Config\nusers: {hunter2: 1}\n", plugin, "config:2: users does not hold what a kubeconfig holds there"},
		{"users that are a word", "users: hunter2\n", plugin, "config:1: users does not hold what a kubeconfig holds there"},
		{"an exec that is a word", "users:\n- name: oidc\n  user:\n    exec: hunter2\n", plugin, "config:4: exec does not hold what a kubeconfig holds there"},
		{"arguments that are a word", "users: [{name: oidc, user: {exec: {args: hunter2}}}]", plugin, "config:1: args does not hold what a kubeconfig holds there"},
		{"arguments that are lists", "users:\n- name: oidc\n  user:\n    exec:\n      args:\n      - [hunter2]\n", plugin, "config:6: a list of words does not hold what a kubeconfig holds there"},
		{"a token that is a list", "users:\n- name: oidc\n  user:\n    auth-provider:\n      config:\n        id-token: [hunter2]\n", tokens, "config:6: id-token does not hold what a kubeconfig holds there"},
		{"a key without a colon", "contexts: [{name: here, context: {user}}]", move, "config is written in a way that cannot be changed without risk, and is left as it is"},
		{"a value that is left out before a bracket", "contexts: [{name: here, context: {cluster: }}]", move, "config is written in a way that cannot be changed without risk, and is left as it is"},
		{"a dash behind a dash", "users:\n- name: oidc\n  user:\n    exec:\n      args:\n      - - hunter2\n", plugin, "config:6: a list of words does not hold what a kubeconfig holds there"},
		{"a word that is no text", "users:\n- name: a\n", kubeconfig.SetExec("oidc", kubeconfig.Exec{Command: "a\xff"}), "a value is no text in UTF-8"},
		{
			"a word that cannot be written", "users: [{name: oidc, user: {auth-provider: {name: oidc}}}]",
			kubeconfig.SetAuthProvider("oidc", map[string]secret.String{"id-token": secret.New("\U000e0001")}), "a value holds the character U+E0001, which cannot be written",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := kubeconfig.Edit(test.text, test.change)
			if err == nil || err.Error() != test.err {
				t.Errorf("got %q, %v, want %q", got, err, test.err)
			}
		})
	}
}

// Each word comes back as it went in, in lines and in brackets.
func TestWords(t *testing.T) {
	for _, word := range []string{
		"", " ", "a b", "a: b", "a:b", "a:", "a #b", "a#b", "#a", "- a", "-a", "--a", "--", "---", "-v1", "?", "y", "No", "on", "null", "Null", "~", "true", "TRUE", "12", "1.5", "0x1f", "1_000", "1e3", ".inf", "1:30", "2026-11-22",
		"a'b", `a"b`, `a\b`, "a\nb", "a\tb", "a\rb", "[a]", "{a}", "a,b", "*a", "&a", "!a", "|", ">", "%a", "@a", "`a`", "=", "<<", "日本", "\u0007", "\u0085", "\u2028", "\ufeff", "😀",
		"C:\\Program Files\\kubectl-oidc_login.exe", "/opt/a b/c", "https://id.example.com/a?b=c&d=%20", "--oidc-request-header=A=b, c", strings.Repeat("long ", 1000),
	} {
		for _, before := range []string{"", "{}", "users:\n- name: oidc\n  user:\n    exec:\n      command: 'x'\n      args: ['y']\n"} {
			exec := kubeconfig.Exec{APIVersion: word, Command: word, Args: []string{word, "a", word}, InteractiveMode: word}
			text, err := kubeconfig.Edit(before, kubeconfig.SetExec("oidc", exec))
			if word == "\ufeff" {
				if err == nil {
					t.Errorf("%q was written", word)
				}
				continue
			}
			if err != nil {
				t.Errorf("%q: %v", word, err)
				continue
			}
			c, err := kubeconfig.Parse(text)
			if err != nil {
				t.Fatalf("%q: %v", text, err)
			}
			user, _ := c.User("oidc")
			if user.Exec.Command != word || user.Exec.Args[0] != word || user.Exec.Args[2] != word || user.Exec.InteractiveMode != word {
				t.Errorf("%q came back as %+v", word, user.Exec)
			}
		}
	}
}
