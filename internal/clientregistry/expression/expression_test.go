// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package expression_test

import (
	"context"
	"encoding/json"
	"strings"
	"sync"
	"testing"

	"github.com/tegata/tegata/internal/clientregistry/expression"
)

func alice() expression.User {
	return expression.User{
		Subject: "alice-1", Username: "alice", Email: "Alice@example.com", EmailVerified: true, Name: "Alice Archer",
		Groups:     []string{"team-a", "team-b", "readers"},
		Attributes: map[string][]string{"department": {"platform"}, "costCenter": {"4711", "4712"}},
	}
}

func TestEvaluate(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ source, want string }{
		{`user.username`, `"alice"`},
		{`user.subject + "@" + client.id`, `"alice-1@kubernetes"`},
		{`user.email.lowerAscii()`, `"alice@example.com"`},
		{`user.name.upperAscii()`, `"ALICE ARCHER"`},
		{`" a ".trim()`, `"a"`},
		{`user.email.split("@")[1]`, `"example.com"`},
		{`user.groups.filter(g, g.startsWith("team-")).map(g, g.replace("team-", ""))`, `["a","b"]`},
		{`user.groups.join(",")`, `"team-a,team-b,readers"`},
		{`["", "a"].join("-")`, `"-a"`},
		{`[].join("-")`, `""`},
		{`"abc".split("")`, `["a","b","c"]`},
		{`"aaa".replace("", "-")`, `"-a-a-a-"`},
		{`user.groups.exists(g, g == "readers")`, `true`},
		{`user.email_verified ? 1 : 2`, `1`},
		{`size(user.groups)`, `3`},
		{`1u`, `1`},
		{`1.5`, `1.5`},
		{`null`, `null`},
		{`{"a": [1, true, null], "b": {"c": user.username}}`, `{"a":[1,true,null],"b":{"c":"alice"}}`},
		{`user.attributes["department"][0]`, `"platform"`},
		{`user.attributes["costCenter"]`, `["4711","4712"]`},
		{`user.attributes[?"none"].orValue(["x"])`, `["x"]`},
		{`user.attributes[?"none"]`, `null`},
		{`user.attributes[?"department"]`, `["platform"]`},
		{`dyn(user.attributes)`, `{"costCenter":["4711","4712"],"department":["platform"]}`},
		{`user.email.matches("^[a-zA-Z]+@example[.]com$")`, `true`},
	} {
		t.Run(test.source, func(t *testing.T) {
			t.Parallel()
			program, err := expression.Compile(test.source)
			if err != nil {
				t.Fatal(err)
			}
			value, err := program.Evaluate(t.Context(), alice(), "kubernetes")
			if err != nil {
				t.Fatal(err)
			}
			if got, err := json.Marshal(value); err != nil || string(got) != test.want {
				t.Errorf("got %s, %v; want %s", got, err, test.want)
			}
		})
	}
}

// A user of whom nothing is known is no reason to fail.
func TestEvaluateOfAnEmptyUser(t *testing.T) {
	t.Parallel()
	for source, want := range map[string]string{
		`user.groups`: `[]`, `user.attributes`: `{}`, `user.email`: `""`, `user.groups.map(g, "x" + g)`: `[]`,
	} {
		program, err := expression.Compile(source)
		if err != nil {
			t.Fatal(err)
		}
		value, err := program.Evaluate(t.Context(), expression.User{}, "")
		if err != nil {
			t.Fatal(err)
		}
		if got, err := json.Marshal(value); err != nil || string(got) != want {
			t.Errorf("%s: got %s, %v; want %s", source, got, err, want)
		}
	}
}

func TestCompileRefuses(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ name, source, want string }{
		{"nothing", "", "wrong at 1:"},
		{"unfinished", "user.username +", "wrong at 1:16: Syntax error"},
		{"unknown variable", "1 + usr.name", "wrong at 1:8: undeclared reference to 'usr.name' (did you mean 'user.name'?)"},
		{"unknown property", "user.emial", "wrong at 1:5: undeclared reference to 'user.emial' (did you mean 'user.email'?)"},
		{"second line", "user.username +\n  nobody", "wrong at 2:3: undeclared reference to 'nobody'"},
		{"unknown function", "user.username.shout()", "wrong at 1:20: undeclared reference to 'shout'"},
		{"types that do not go together", "user.username + 1", "wrong at 1:15: found no matching overload for '_+_'"},
		{"wrong argument", "user.groups.join(1)", "found no matching overload for 'join'"},
		{"a function of the language that is none of a claim", "type(user.username)", "gives a type(string), which no claim can hold"},
		{"bytes", "b'abc'", "gives a bytes, which no claim can hold"},
		{"time", "timestamp('2026-01-01T00:00:00Z')", "which no claim can hold"},
		{"a map of numbers", "{1: 2}", "which no claim can hold"},
		{"long", strings.Repeat(" ", 5000), "more than 4096 bytes"},
		{"deep", strings.Repeat("(", 2000) + "1" + strings.Repeat(")", 2000), "wrong at"},
		{"regular expression", `user.email.matches("(")`, "wrong at 1:"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			_, err := expression.Compile(test.source)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
}

func TestEvaluateFails(t *testing.T) {
	t.Parallel()
	doubling := "[user.name]"
	for range 40 {
		doubling += ".map(a, a + a)"
	}
	lists := "[user.name]"
	for range 14 {
		lists = "[" + lists + "].map(a, a + a)[0]"
	}
	maps := "[[1]]"
	for range 30 {
		maps += ".map(a, [a, a])"
	}
	for _, test := range []struct{ name, source, want string }{
		{"missing attribute", `user.attributes["none"][0]`, "no such key"},
		{"beyond the end", `user.groups[9]`, "index out of bounds"},
		{"division by zero", `1 / (size(user.groups) - 3)`, "division by zero"},
		{"a number that JSON has not", `1.0 / 0.0`, "JSON has not"},
		{"a type behind dyn", `dyn(b"abc")`, "which no claim can hold"},
		{"a key behind dyn", `dyn({1: 2})`, "no text"},
		{"text without end", doubling, "limit exceeded"},
		{"list without end", lists, "too large"},
		{"shared parts without end", maps, "too large"},
		{"replace without end", `["aaaaaaaaaaaaaaaa"].map(a, a.replace("a", a)).map(a, a.replace("a", a)).map(a, a.replace("a", a))`, "more than 32768 bytes"},
		{"join without end", `[user.groups.map(g, "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa")].map(l, l.join("b")).map(a, a.split("")).map(l, l.join("cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc")).map(a, a.split("")).map(l, l.join("cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc"))`, "more than 32768 bytes"},
		{"steps without end", `["a","b","c","d","e","f","g","h"].map(a, ["a","b","c","d","e","f","g","h"].map(b, ["a","b","c","d","e","f","g","h"].map(c, ["a","b","c","d","e","f","g","h"].map(d, ["a","b","c","d","e","f","g","h"].map(e, ["a","b","c","d","e","f","g","h"].exists(f, f == a))))))`, "limit exceeded"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			program, err := expression.Compile(test.source)
			if err != nil {
				t.Fatal(err)
			}
			value, err := program.Evaluate(t.Context(), alice(), "kubernetes")
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %.200v, %v; want %q", value, err, test.want)
			}
		})
	}
}

func TestEvaluateStopsWithItsRequest(t *testing.T) {
	t.Parallel()
	program, err := expression.Compile(`["a","b","c","d","e","f","g","h"].map(a, ["a","b","c","d","e","f","g","h"].map(b, ["a","b","c","d","e","f","g","h"].map(c, a + b + c)))`)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if value, err := program.Evaluate(ctx, alice(), ""); err == nil {
		t.Errorf("got %v after the request had ended, want an error", value)
	}
}

func TestCacheIsBoundedAndShared(t *testing.T) {
	t.Parallel()
	var cache expression.Cache
	first, err := cache.Compile("user.username")
	if err != nil {
		t.Fatal(err)
	}
	if second, err := cache.Compile("user.username"); err != nil || second != first {
		t.Errorf("got another program, %v; want the one of before", err)
	}
	if _, err := cache.Compile("nobody"); err == nil {
		t.Error("got no error from the cache, want that of the compiler")
	}
	var wait sync.WaitGroup
	for n := range 4 {
		wait.Go(func() {
			for range 20 {
				program, err := cache.Compile("user.username + " + strings.Repeat("'x' + ", n) + "'y'")
				if err != nil {
					t.Error(err)
					return
				}
				if _, err := program.Evaluate(t.Context(), alice(), ""); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wait.Wait()
}

// Whatever somebody writes as an expression: it is compiled or refused, and
// what is compiled ends, with a value that encodes to JSON.
func FuzzExpression(f *testing.F) {
	for _, source := range []string{
		"user.username", `user.groups.filter(g, g.startsWith("a")).map(g, g + "b")`, `user.attributes[?"a"].orValue([])[0]`,
		"{'a': [1, 2.5, null, true]}", "user.emial", "((((", "\"\xff\"", "b'\\377'", "has(user.email)", "[1,2].map(x, y, x)", "-9223372036854775808", "1/0", `user.email.matches("(a+)+$")`,
		"a.?b[?c].d", "'\\u0000'.split('')", "[[]].join('')", "optional.of(1)", "'x'.replace('', 'yyyy')",
	} {
		f.Add(source)
	}
	f.Fuzz(func(t *testing.T, source string) {
		program, err := expression.Compile(source)
		if err != nil {
			return
		}
		value, err := program.Evaluate(t.Context(), alice(), "kubernetes")
		if err != nil {
			return
		}
		text, err := json.Marshal(value)
		if err != nil || len(text) > 1<<20 {
			t.Errorf("%q: got %d bytes, %v; want a claim", source, len(text), err)
		}
	})
}

func BenchmarkEvaluate(b *testing.B) {
	program, err := expression.Compile(`user.groups.filter(g, g.startsWith("team-")).map(g, g.replace("team-", ""))`)
	if err != nil {
		b.Fatal(err)
	}
	user := alice()
	for b.Loop() {
		if _, err := program.Evaluate(b.Context(), user, "kubernetes"); err != nil {
			b.Fatal(err)
		}
	}
}
