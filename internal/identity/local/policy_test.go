// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package local_test

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tegata/tegata/internal/identity"
	"github.com/tegata/tegata/internal/identity/local"
	"github.com/tegata/tegata/internal/secret"
)

// lax is a policy that leaves room for each rule to be broken alone.
var lax = local.Policy{MinLength: 8, Site: local.SiteNames("id.example.com")}

func TestPolicyTellsEveryRuleThatIsBroken(t *testing.T) {
	strict := local.Policy{MinLength: 12, Require: local.Classes(), History: 3, Site: lax.Site}
	alice := identity.User{Username: "alice", Email: "al.ice@corp.example", Name: "Alice Liddell"}
	rules := func(policy local.Policy, password string) string {
		var names []string
		for _, flaw := range policy.Check(secret.New(password), alice) {
			names = append(names, string(flaw.Rule))
		}
		return strings.Join(names, " ")
	}
	for _, test := range []struct{ name, password, lax, strict string }{
		{"empty", "", "long-enough", "long-enough lowercase uppercase digit symbol"},
		{"7 characters", "kwbtzpr", "long-enough", "long-enough uppercase digit symbol"},
		{"8 characters", "kwbtzprm", "", "long-enough uppercase digit symbol"},
		{"12 characters", "Kwb-zprmvt7x", "", ""},
		{"everything wrong", "alice", "long-enough impersonal", "long-enough uppercase digit symbol impersonal"},
		{"8 characters of Japanese", "日本語の合言葉だよ", "", "long-enough lowercase uppercase digit symbol"},
		{"7 characters of many bytes", "日本語の合言葉", "long-enough", "long-enough lowercase uppercase digit symbol"},
		{"capitals beyond ASCII", "Ünwegsam-gelände-7", "", ""},
		{"a space is a symbol", "Kwb zprmvt7x", "", ""},
		{"phrase", "correct horse battery staple", "", "uppercase digit"},
		{"1024 bytes", "Kw-7" + strings.Repeat("bqvx", 255), "", ""},
		{"1025 bytes", "Kw-7" + strings.Repeat("bqvx", 255) + "y", "short-enough", "short-enough"},

		{"common", "password", "uncommon", "long-enough uppercase digit symbol uncommon"},
		{"common with a tail", "Password-2026!", "uncommon", "uncommon"},
		{"common in other signs", "P@$$w0rd-2026", "uncommon", "uncommon"},
		{"common with a head", "!!1Monkey-mine", "", ""},
		{"common between digits", "99-Dragon-2026", "uncommon", "uncommon"},
		{"two common words", "SunshineDragon-7", "uncommon", "uncommon"},
		{"one of them twice", "secretSecret-1", "uncommon", "uncommon"},
		{"three of them", "Sunshine-dragon-tiger7", "", ""},
		{"digits", "20261122204", "", "long-enough lowercase uppercase symbol"},
		{"counted up", "1234567890123", "uncommon", "lowercase uppercase symbol uncommon"},
		{"counted down", "9876543210", "uncommon", "long-enough lowercase uppercase symbol uncommon"},
		{"alphabet", "abcdefghijklm", "uncommon", "uppercase digit symbol uncommon"},
		{"row of keys", "qwertyuiop[]", "uncommon", "uppercase digit uncommon"},
		{"columns of keys", "1qaz2wsx3edc", "uncommon", "uppercase symbol uncommon"},
		{"one character", "aaaaaaaaaaaaa", "uncommon", "uppercase digit symbol uncommon"},
		{"four again and again", "Ab-1Ab-1Ab-1", "uncommon", "uncommon"},

		{"user name", "my-ALICE-wxq7", "impersonal", "impersonal"},
		{"local part of the address", "Zq7-al.ice-Zq7", "impersonal", "impersonal"},
		{"domain of the address", "Zq7-corp-Zq7x", "", ""},
		{"full name", "Zq7-liddell-Zq7", "impersonal", "impersonal"},
		{"host", "Zq7-id.example.com", "impersonal", "impersonal"},
		{"part of the host", "Zq7-Example-Zq7", "impersonal", "impersonal"},
		{"product", "Zq7-tegata-vbnq", "impersonal", "impersonal"},
	} {
		if got := rules(lax, test.password); got != test.lax {
			t.Errorf("%s: got %q, want %q", test.name, got, test.lax)
		}
		if got := rules(strict, test.password); got != test.strict {
			t.Errorf("%s, strict policy: got %q, want %q", test.name, got, test.strict)
		}
	}

	// Names of two letters stand in every other word.
	short := identity.User{Username: "al", Email: "a@example.com", Name: "Hal Vbn"}
	if flaws := lax.Check(secret.New("Zq7-halo-bvnq"), short); len(flaws) > 0 {
		t.Errorf("got %v", flaws)
	}
	// The zero policy is still a policy.
	if flaws := (local.Policy{}).Check(secret.New("kwbtzpr"), alice); len(flaws) != 1 || flaws[0] != (identity.Flaw{Rule: identity.LongEnough, Limit: 8}) {
		t.Errorf("got %v", flaws)
	}
}

func TestPolicyIsTold(t *testing.T) {
	got := local.Policy{MinLength: 14, Require: []identity.Rule{identity.HasDigit, identity.HasLowercase}, History: 5}.Rules()
	want := []identity.Flaw{{Rule: identity.LongEnough, Limit: 14}, {Rule: identity.HasLowercase}, {Rule: identity.HasDigit}, {Rule: identity.Fresh, Limit: 5}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestEveryRuleHasWords(t *testing.T) {
	rules := append(local.Classes(), identity.LongEnough, identity.ShortEnough, identity.Uncommon, identity.Impersonal, identity.Fresh)
	seen := map[string]bool{}
	refused := &identity.PasswordRefusedError{Reason: "said the directory"}
	for _, rule := range rules {
		words := identity.Flaw{Rule: rule, Limit: 7}.String()
		if words == string(rule) || seen[words] {
			t.Errorf("%s: got %q", rule, words)
		}
		seen[words] = true
		refused.Flaws = append(refused.Flaws, identity.Flaw{Rule: rule, Limit: 7})
	}
	if got := refused.Error(); strings.Count(got, "; ") != len(rules) || !strings.HasSuffix(got, "; said the directory") {
		t.Errorf("got %q", got)
	}
}

func TestPolicyIsValidated(t *testing.T) {
	good := local.Policy{MinLength: 8, History: 10, Require: local.Classes(), Lockout: local.Lockout{Failures: 1000}}
	if err := good.Validate(); err != nil {
		t.Error(err)
	}
	for name, spoil := range map[string]func(*local.Policy){
		"too short":     func(p *local.Policy) { p.MinLength = 7 },
		"too long":      func(p *local.Policy) { p.MinLength = 129 },
		"history":       func(p *local.Policy) { p.History = 11 },
		"no history":    func(p *local.Policy) { p.History = -1 },
		"failures":      func(p *local.Policy) { p.Lockout.Failures = 1001 },
		"no failures":   func(p *local.Policy) { p.Lockout.Failures = -1 },
		"unknown class": func(p *local.Policy) { p.Require = []identity.Rule{"emoji"} },
		"another rule":  func(p *local.Policy) { p.Require = []identity.Rule{identity.Uncommon} },
		"class twice":   func(p *local.Policy) { p.Require = []identity.Rule{identity.HasDigit, identity.HasDigit} },
	} {
		bad := good
		if spoil(&bad); bad.Validate() == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

// A binary search finds nothing in a list that is not sorted.
func TestCommonWordsAreSorted(t *testing.T) {
	text, err := os.ReadFile("common.txt")
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
	if len(lines) < 2000 || !slices.IsSorted(lines) || len(slices.Compact(slices.Clone(lines))) != len(lines) {
		t.Fatalf("%d lines, which are not sorted, or not each there once", len(lines))
	}
	for _, word := range lines {
		if strings.Trim(word, "abcdefghijklmnopqrstuvwxyz") != "" || len(word) < 3 {
			t.Errorf("%q is not of three or more small letters", word)
		}
		if len(lax.Check(secret.New("12345678-"+word), identity.User{})) == 0 {
			t.Errorf("%q is not found", word)
		}
	}
}

func TestCheckPassword(t *testing.T) {
	for _, test := range []struct {
		name, password string
		ok             bool
	}{
		{"empty", "", false},
		{"7 characters", "1234567", false},
		{"8 characters", "12345678", true},
		{"8 characters of Japanese", "日本語日本語日本", true},
		{"7 characters of many bytes", "日本語日本語日", false},
		{"64 characters", strings.Repeat("a", 64), true},
		{"1024 bytes", strings.Repeat("a", 1024), true},
		{"1025 bytes", strings.Repeat("a", 1025), false},
		{"spaces", "        a", true},
	} {
		t.Run(test.name, func(t *testing.T) {
			err := local.CheckPassword(secret.New(test.password))
			if (err == nil) != test.ok {
				t.Errorf("got %v, want accepted = %v", err, test.ok)
			}
			if err != nil && test.password != "" && strings.Contains(err.Error(), test.password) {
				t.Errorf("the password stands in the error: %v", err)
			}
		})
	}
}

func FuzzPolicy(f *testing.F) {
	for _, text := range []string{"", "password", "P@ssw0rd-2026!", "日本語", "\xff\xfe", "aaaa", "1qaz2wsx", strings.Repeat("ab", 600)} {
		f.Add(text)
	}
	policy := local.Policy{MinLength: 12, Require: local.Classes(), Site: lax.Site}
	f.Fuzz(func(t *testing.T, text string) {
		flaws := policy.Check(secret.New(text), identity.User{Username: "alice"})
		if len(flaws) == 0 && (len(text) < 12 || len(text) > 1024 || strings.Contains(strings.ToLower(text), "alice")) {
			t.Errorf("%q is taken", text)
		}
	})
}
