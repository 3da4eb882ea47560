// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

// The house rules. Each rule says why it exists in the failure that it
// reports, and brings small trees that break it, so that it is known to be
// able to fail. CONTRIBUTING.md tells how to add one.

package tegata_test

import (
	"bytes"
	"cmp"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode"
)

const (
	module   = "github.com/tegata/tegata"
	headline = "// Copyright The Tegata Authors\n// SPDX-License-Identifier: Apache-2.0\n"
)

// A rule looks at a tree of files and returns what breaks it, one line each.
type rule struct {
	name   string
	reason string
	check  func(*tree) []string
	broken []files // trees that break the rule, each by itself
}

// files are texts by their slash-separated path from the root.
type files map[string]string

var rules = []rule{
	{
		name:   "one package doc",
		reason: "go doc shows one text for each package: what it is for, what it owns, who may use it; two of them drift apart, and none leaves a reader to guess",
		check:  packageDocs,
		broken: []files{
			{"internal/a/a.go": "package a"},
			{"internal/a/a.go": "// Package a.\npackage a"},
			{"internal/a/a.go": "// It is for the reader of this test and of no other.\npackage a"},
			{"cmd/a/main.go": "// Package main is for the reader of this test, and of no other.\npackage main"},
			{
				"internal/a/a.go": "// Package a is for the reader of this test, and of no other.\npackage a",
				"internal/a/b.go": "// Package a is for the reader of this test, and of no other.\npackage a",
			},
		},
	},
	{
		name:   "license header",
		reason: "a file that is copied elsewhere must still say whose it is and under which terms; tools read the SPDX line",
		check:  licenseHeaders,
		broken: []files{{"internal/a/a.go": "package a"}, {"internal/a/a.go": headline + "package a"}},
	},
	{
		name:   "import arrows",
		reason: "imports go one way, so that a part can be understood, tested and deleted without the parts above it; the table in house_test.go has the reason for each arrow",
		check:  importArrows,
		broken: []files{
			{"internal/login/a.go": `package login; import _ "` + module + `/internal/provider"`},
			{"internal/provider/token/a.go": `package token; import _ "` + module + `/internal/provider/authorize"`},
			{"internal/provider/token/a.go": `package token; import _ "` + module + `/internal/store"`},
			{"internal/plugin/a.go": `package plugin; import _ "` + module + `/internal/oidctest"`},
			{"internal/oidc/a.go": `package oidc; import _ "` + module + `/internal/login"`},
			{"internal/oidc/a.go": `package oidc; import _ "golang.org/x/oauth2"`},
			{"internal/novelty/a.go": "package novelty"},
		},
	},
	{
		name:   "slow parts stay in test",
		reason: "make check promises to need neither a control plane nor a browser nor a database server; tests that do belong below test, where make test runs them",
		check:  slowParts,
		broken: []files{
			{"internal/login/a_test.go": `package login_test; import _ "` + module + `/internal/kubetest"`},
			{"internal/provider/a_test.go": `package provider_test; import _ "github.com/chromedp/chromedp"`},
			{"internal/store/a_test.go": `package store_test; import _ "` + module + `/test/postgres"`},
		},
	},
	{
		name:   "no init",
		reason: "init runs on the warm path of the plugin before anybody asked for it, in an order that nobody sees; build values in main or in a constructor",
		check:  noInit,
		broken: []files{{"internal/a/a.go": "package a; func init() {}"}},
	},
	{
		name:   "the clock is a value",
		reason: "expiry, rotation and waiting are tested with a clock of the test's own: take a field Now func() time.Time (time.Now as its default is fine, calling it is not) and wait with timers and contexts, never with Sleep",
		check:  bareClock,
		broken: []files{
			{"internal/a/a.go": `package a; import "time"; var t = time.Now()`},
			{"internal/a/a.go": `package a; import clock "time"; func a() { clock.Sleep(1) }`},
			{"internal/a/a.go": `package a; import "time"; var d = time.Since(time.Time{})`},
		},
	},
	{
		name:   "no vague names",
		reason: "a folder, file or type is named after the thing in it; these names fit anything, so everything ends up there",
		check:  vagueNames,
		broken: []files{
			{"internal/util/a.go": "package util"},
			{"internal/a/helpers.go": "package a"},
			{"internal/a/a.go": "package a; type KeyManager struct{}"},
			{"internal/a/a.go": "package a; type storeImpl struct{}"},
		},
	},
	{
		name:   "spelling of names",
		reason: "initials have one case in a name (ClientID, JWKSURL, not ClientId, JwksUrl), so that nobody has to look up how a name is written",
		check:  initials,
		broken: []files{
			{"internal/a/a.go": "package a; type UserId string"},
			{"internal/a/a.go": "package a; func ParseJwt() {}"},
			{"internal/a/a.go": "package a; type T struct{ IssuerUrl string }"},
			{"internal/a/a.go": "package a; const OidcScope = 1"},
			{"internal/a/a.go": "package a; type IdP struct{}"},
		},
	},
	{
		name:   "one word per thing",
		reason: "the words of the specifications are used everywhere, so that a search finds all of a thing: provider or upstream (not IdP); ID token, access token or refresh token by its full name; log in and log out",
		check:  words,
		broken: []files{
			{"docs/a.md": "Configure your IdP first."},
			{"docs/a.md": "Paste the auth token."},
			{"internal/a/a.go": "package a; func signIn() {}"},
			{"internal/a/a.go": "package a; type Signin struct{}"},
		},
	},
	{
		name:   "no math/rand",
		reason: "codes, states and keys come from crypto/rand; a package that never imports the other one cannot use it by mistake",
		check: forbiddenImports(false, func(imported string) bool {
			return imported == "math/rand" || imported == "math/rand/v2"
		}),
		broken: []files{{"internal/a/a.go": `package a; import _ "math/rand/v2"`}},
	},
	{
		name:   "no yaml.v3",
		reason: "that module is archived upstream; goccy/go-yaml reads our configuration strictly and can say where a key stands",
		check: forbiddenImports(true, func(imported string) bool {
			return strings.HasPrefix(imported, "gopkg.in/yaml.")
		}),
		broken: []files{{"internal/a/a_test.go": `package a_test; import _ "gopkg.in/yaml.v3"`}},
	},
	{
		name:   "errors name the act",
		reason: "an error says what was being done (\"loading issuer certificate: …\"); that it did not succeed is what an error means, and each layer that repeats it makes the chain stutter",
		check:  failedTo,
		broken: []files{{"internal/a/a.go": `package a; import "errors"; var err = errors.New("Failed to load")`}},
	},
	{
		name:   "root module",
		reason: "go install works on the module only without replace lines, and the binaries may be passed on only with their license",
		check:  rootModule,
		broken: []files{
			{"LICENSE": "Apache License", "go.mod": "module m\n\nreplace a => b v1.0.0\n"},
			{"LICENSE": "Apache License", "go.mod": "module m\n\nreplace (\n\ta => b v1.0.0\n)\n"},
			{"go.mod": "module m\n"},
		},
	},
	{
		name:   "nothing of one machine",
		reason: "the repository is built behind other people's mirrors and in other people's folders: registries come from their tools' settings, and places from $HOME or a temporary directory",
		check:  oneMachine,
		broken: []files{
			{"docs/a.md": "go env -w GOPROXY=https://" + "proxy.golang" + ".org"},
			{"a.txt": "cd /ho" + "me/alice/src"},
			{"a.txt": "DIR=/ro" + "ot/.kube"},
		},
	},
	{
		name:   "links resolve",
		reason: "a reader who follows a link of the docs must arrive; a moved file or heading takes its links with it",
		check:  links,
		broken: []files{
			{"docs/a.md": "See [b](b.md)."},
			{"docs/a.md": "See [b](b.md#no-such-part).", "docs/b.md": "# Some part"},
			{"README.md": "[b]: docs/b.md"},
		},
	},
	{
		name:   "decision records",
		reason: "a record is read by somebody who wonders why: an example of use first, then context, decision and consequences, on one page, dated, listed in docs/adr/README.md, and kept when it is superseded",
		check:  decisions,
		broken: []files{
			{"docs/adr/0001-a.md": record, "docs/adr/README.md": ""},
			{"docs/adr/0002-a.md": record, "docs/adr/README.md": "0002-a.md"},
			{"docs/adr/0001-a.md": strings.Replace(record, "## Context", "## Contents", 1), "docs/adr/README.md": "0001-a.md"},
			{"docs/adr/0001-a.md": strings.Replace(record, "Date: ", "On: ", 1), "docs/adr/README.md": "0001-a.md"},
			{"docs/adr/0001-a.md": strings.Replace(record, "Status: ", "State: ", 1), "docs/adr/README.md": "0001-a.md"},
			{"docs/adr/0001-a.md": record + strings.Repeat("more\n", 80), "docs/adr/README.md": "0001-a.md"},
		},
	},
	{
		name:   "conformance table",
		reason: "docs/conformance.md says where each rule of the specifications is implemented and which test holds it; a name that does not exist would make it a lie",
		check:  conformance,
		broken: []files{
			{"docs/conformance.md": "| rule | `internal/a` | `TestA` |", "internal/a/a.go": "package a"},
			{"docs/conformance.md": "| rule | `internal/a` | `TestA` |", "a_test.go": "package a; func TestA() {}"},
			{"docs/conformance.md": "| rule | `TestA` (no.txtar) |", "a_test.go": "package a; func TestA() {}"},
		},
	},
	{
		name:   "kubelogin's failures",
		reason: "docs/reference/kubelogin-differences.md promises that each failure of the peer is shown not to exist here; a line without a test, or with one that does not exist, is a claim",
		check:  differences,
		broken: []files{
			{"docs/reference/kubelogin-differences.md": "| kubelogin | here | shown by |\n|---|---|---|\n| fails | works | `TestA` |"},
			{"docs/reference/kubelogin-differences.md": "| kubelogin | here | shown by |\n|---|---|---|\n| fails | works | |"},
		},
	},
}

const record = "# 1. A title\n\nStatus: accepted\nDate: 2026-11-22\n\n## Example\n\n## Context\n\n## Decision\n\n## Consequences\n"

func TestHouseRules(t *testing.T) {
	repository := plant(t, readRepository(t))
	for _, rule := range rules {
		t.Run(strings.ReplaceAll(rule.name, " ", "-"), func(t *testing.T) {
			for _, example := range rule.broken {
				if len(rule.check(plant(t, example))) == 0 {
					t.Errorf("the rule did not notice what breaks it: %q", example)
				}
			}
			if offenses := rule.check(repository); len(offenses) > 0 {
				slices.Sort(offenses)
				t.Errorf("\n%s\nwhy: %s", strings.Join(slices.Compact(offenses), "\n"), rule.reason)
			}
		})
	}
}

// The arrows that imports may follow, each with its reason. A name stands for
// the package and all packages below it, "=" before it for that package
// alone. Everybody may import oidc and secret; tests may import anything.
// Whatever is not here is refused: a new package starts with a row.
var arrows = []struct{ from, to, because string }{
	{"cmd/kubectl-oidc_login", "internal/plugin", "main hands the operating system to the command's body, which a test can call too"},
	{"cmd/tegata", "internal/admin", "as above"},
	{"cmd/kubectl-tegata", "internal/operator", "as above"},
	{"cmd internal/plugin internal/admin internal/operator", "internal/exit", "commands end in one way, and only they decide that the process ends"},

	{"internal/plugin", "internal/login internal/tokencache internal/keyring internal/execcredential internal/kubeconfig", "the plugin joins the client's parts; it links nothing of the provider"},
	{"internal/login", "internal/jws", "the client's side of the protocol knows the words of oidc, how they are signed, and nothing of who stores or prints the result"},
	{"internal/tokencache", "", "it keeps what it is given; a login is not its business"},
	{"internal/keyring", "", "it keeps one text for whoever asks; what for is their business"},
	{"internal/execcredential", "", "kubectl's wire form and nothing else"},

	{"internal/admin", "internal/provider internal/cognito internal/store internal/identity internal/clientregistry internal/signingkey internal/secondfactor internal/audit internal/metrics internal/seal", "the only place that wires the provider's parts together, so that configuration ends here and parts receive finished values"},
	{"=internal/admin", "internal/admin/dex", "what a configuration of Dex says in our words; the command prints it, and checks it as any other"},
	{"internal/store/storetest", "=internal/store", "the suite that both engines pass"},
	{"internal/store", "internal/provider/grant internal/provider/session internal/identity internal/clientregistry internal/signingkey internal/secondfactor internal/audit internal/seal", "storage serves the domain: it knows their types, and none of them knows SQL"},
	{"internal/cognito", "internal/provider internal/identity internal/clientregistry internal/signingkey internal/audit", "a second face of the same parts"},
	{"=internal/provider", "internal/provider", "the map of an issuer mounts each endpoint; endpoints know no other endpoint and return to it"},
	{"internal/provider", "internal/provider/grant internal/provider/session internal/provider/page internal/provider/answer internal/provider/claims", "what endpoints share"},
	{"internal/provider", "internal/identity internal/clientregistry internal/signingkey internal/secondfactor internal/audit internal/seal", "an endpoint asks who the user is, who the client is, what else proves it, and for a signature"},
	{"internal/provider/page internal/plugin", "internal/qrcode", "a picture of a code"},
	{"internal/secondfactor", "=internal/identity internal/seal", "a factor is a user's, and its secret is sealed"},
	{"internal/provider/portal", "internal/kubeconfig", "the portal hands out kubeconfigs that the plugin's side reads and changes: one package says how they are written"},
	{"internal/identity internal/clientregistry internal/signingkey", "internal/audit internal/seal", "what is secret at rest is sealed, what was decided is told"},
	{"=internal/clientregistry", "internal/clientregistry/expression", "a client with a wrong expression is refused when it is registered"},
	{"=internal/identity", "internal/identity", "the map of the sources"},
	{"internal/identity", "=internal/identity", "a source implements it"},
	{"internal/audit", "", "it writes down what it is told"},
	{"internal/metrics", "internal/audit", "it counts what is written down"},

	{"internal/operator", "internal/cluster internal/rbac internal/workload internal/doctor internal/kubeconfig", "the operator's command joins the cluster's parts"},
	{"internal/cluster internal/rbac internal/workload internal/doctor", "internal/kubeconfig", "they are told which cluster to look at"},
	{"internal/kubeconfig", "", "a file format"},

	{"internal/oidc internal/secret internal/exit internal/jws internal/seal internal/qrcode", "", "leaves, which both sides can afford"},
	{"tools", "", "what packs a release reads files, and nothing of the product"},
	{"internal/oidctest internal/kubetest test", "*", "they exist for tests, and only tests import them"},
}

// leaves import the standard library, of this module only secret, and of
// other modules only what stands here: the cryptography is not ours.
var leaves = map[string]string{
	"internal/oidc": "", "internal/secret": "", "internal/exit": "", "internal/jws": "", "internal/qrcode": "",
	"internal/seal": "golang.org/x/crypto",
}

func importArrows(t *tree) (offenses []string) {
	for _, source := range t.sources {
		dir := path.Dir(source.path)
		if source.test || dir == "." {
			continue
		}
		if !slices.ContainsFunc(arrows, func(arrow struct{ from, to, because string }) bool { return covers(arrow.from, dir) }) {
			offenses = append(offenses, fmt.Sprintf("%s: the table of arrows has no row for %s", source.path, dir))
		}
		others, isLeaf := leaves[dir]
		for imported := range source.imports() {
			target, ours := strings.CutPrefix(imported, module+"/")
			switch {
			case isLeaf && target != "internal/secret" && !standard(imported) && !covers(others, imported):
				offenses = append(offenses, fmt.Sprintf("%s imports %s, but %s is a leaf", source.path, imported, dir))
			case ours && !mayImport(dir, target):
				offenses = append(offenses, fmt.Sprintf("%s: no arrow goes from %s to %s", source.path, dir, target))
			}
		}
	}
	return offenses
}

func mayImport(dir, target string) bool {
	if covers("=internal/oidc =internal/secret", target) {
		return true
	}
	for _, arrow := range arrows {
		if covers(arrow.from, dir) && (arrow.to == "*" || covers(arrow.to, target)) {
			return true
		}
	}
	return false
}

// covers reports whether one of the space-separated names stands for dir.
func covers(names, dir string) bool {
	for name := range strings.FieldsSeq(names) {
		exact, only := strings.CutPrefix(name, "=")
		if dir == exact || !only && strings.HasPrefix(dir, name+"/") {
			return true
		}
	}
	return false
}

func standard(imported string) bool {
	first, _, _ := strings.Cut(imported, "/")
	return !strings.Contains(first, ".")
}

func slowParts(t *tree) (offenses []string) {
	for _, source := range t.sources {
		if covers("test internal/kubetest", path.Dir(source.path)) {
			continue
		}
		for imported := range source.imports() {
			if imported == module+"/internal/kubetest" || imported == module+"/test/postgres" || strings.HasPrefix(imported, "github.com/chromedp/") {
				offenses = append(offenses, fmt.Sprintf("%s imports %s", source.path, imported))
			}
		}
	}
	return offenses
}

func packageDocs(t *tree) (offenses []string) {
	docs := map[string][]source{} // by folder
	packages := map[string]string{}
	for _, source := range t.sources {
		dir := path.Dir(source.path)
		// The tests of a package need no doc, a folder of tests alone does.
		if source.test && t.hasCode(dir) {
			continue
		}
		packages[dir] = strings.TrimSuffix(source.syntax.Name.Name, "_test")
		if source.syntax.Doc != nil {
			docs[dir] = append(docs[dir], source)
		}
	}
	for dir, name := range packages {
		if len(docs[dir]) != 1 {
			offenses = append(offenses, fmt.Sprintf("%s: want one file with a package doc, got %d", dir, len(docs[dir])))
			continue
		}
		want := "Package " + name
		if name == "main" {
			want = "Command " + path.Base(dir)
		}
		text := docs[dir][0].syntax.Doc.Text()
		if !strings.HasPrefix(text, want+" ") || len(strings.Fields(text)) < 8 {
			offenses = append(offenses, fmt.Sprintf("%s: want a doc that starts %q and says what it is for, got %q", docs[dir][0].path, want, text))
		}
	}
	return offenses
}

func licenseHeaders(t *tree) (offenses []string) {
	for _, source := range t.sources {
		if !strings.HasPrefix(source.text, headline+"\n") {
			offenses = append(offenses, fmt.Sprintf("%s: want these two lines and an empty one at the top:\n%s", source.path, headline))
		}
	}
	return offenses
}

func noInit(t *tree) (offenses []string) {
	for _, source := range t.sources {
		for _, declaration := range source.syntax.Decls {
			if function, ok := declaration.(*ast.FuncDecl); ok && function.Recv == nil && function.Name.Name == "init" {
				offenses = append(offenses, t.at(function)+": init function")
			}
		}
	}
	return offenses
}

// wiring is where the real clock is read.
var wiring = map[string]string{
	"cmd":               "main is where the real world comes in",
	"internal/oidctest": "a fake for tests that run whole processes, whose clock is the real one",
	"internal/admin":    "it wires the provider's parts and hands them the clock",
	"internal/kubetest": "it waits for real processes",
	"test":              "it plays the real thing",
}

func bareClock(t *tree) (offenses []string) {
	exempt := strings.Join(slices.Collect(maps.Keys(wiring)), " ")
	for _, source := range t.sources {
		clock := source.nameOf("time")
		if source.test || clock == "" || covers(exempt, path.Dir(source.path)) {
			continue
		}
		ast.Inspect(source.syntax, func(node ast.Node) bool {
			if method, ok := node.(*ast.FuncDecl); ok {
				return method.Name.Name != "now" // the default of a field Now
			}
			call, ok := node.(*ast.CallExpr)
			if !ok {
				return true
			}
			function, ok := call.Fun.(*ast.SelectorExpr)
			switch {
			case !ok:
			case strings.HasPrefix(function.Sel.Name, "Set") && strings.HasSuffix(function.Sel.Name, "Deadline"):
				return false // a deadline of the kernel's wants the kernel's clock
			case isName(function.X, clock) && slices.Contains([]string{"Now", "Since", "Until", "Sleep"}, function.Sel.Name):
				offenses = append(offenses, fmt.Sprintf("%s: call of time.%s", t.at(call), function.Sel.Name))
			}
			return true
		})
	}
	return offenses
}

func vagueNames(t *tree) (offenses []string) {
	vague := []string{"util", "utils", "common", "helper", "helpers", "shared", "manager", "misc", "base"}
	for _, source := range t.sources {
		for element := range strings.SplitSeq(strings.TrimSuffix(source.path, ".go"), "/") {
			if slices.Contains(vague, strings.TrimSuffix(element, "_test")) {
				offenses = append(offenses, fmt.Sprintf("%s: %q is in its path", source.path, element))
			}
		}
	}
	for _, name := range t.declared() {
		vagueEnd := slices.ContainsFunc([]string{"Impl", "Manager", "Helper", "Util", "Utils"}, func(end string) bool {
			return strings.HasSuffix(name.text, end)
		})
		if name.isType && vagueEnd {
			offenses = append(offenses, fmt.Sprintf("%s: type %s", name.position, name.text))
		}
	}
	return offenses
}

func initials(t *tree) (offenses []string) {
	wrong := strings.Fields("Id Ids Idp Jwt Jwts Jwk Jwks Jws Jwe Url Urls Uri Uris Oidc Http Https Html Json Yaml Api Tls Pkce Sql Ldap Rsa Ecdsa Csp Csrf Pem")
	for _, name := range t.declared() {
		if !ast.IsExported(name.text) {
			continue
		}
		for _, word := range name.words {
			if slices.Contains(wrong, word) {
				offenses = append(offenses, fmt.Sprintf("%s: %s in %s", name.position, word, name.text))
			}
		}
	}
	return offenses
}

func words(t *tree) (offenses []string) {
	bannedName := regexp.MustCompile(`\b(sign ?(in|out|on)|idp|id p)\b`)
	for _, name := range t.declared() {
		if bannedName.MatchString(strings.ToLower(strings.Join(name.words, " "))) {
			offenses = append(offenses, fmt.Sprintf("%s: %s", name.position, name.text))
		}
	}
	banned := regexp.MustCompile(`\b(IdPs?|[Aa]uth token|JWT token)\b`)
	for file, text := range t.files {
		if path.Ext(file) != ".md" && path.Ext(file) != ".go" {
			continue
		}
		for number, line := range lines(text) {
			// This file has to name what it refuses.
			if word := banned.FindString(line); word != "" && file != "house_test.go" {
				offenses = append(offenses, fmt.Sprintf("%s:%d: %q", file, number, word))
			}
		}
	}
	return offenses
}

func forbiddenImports(evenInTests bool, forbidden func(string) bool) func(*tree) []string {
	return func(t *tree) (offenses []string) {
		for _, source := range t.sources {
			for imported := range source.imports() {
				if forbidden(imported) && (evenInTests || !source.test) {
					offenses = append(offenses, fmt.Sprintf("%s imports %s", source.path, imported))
				}
			}
		}
		return offenses
	}
}

func failedTo(t *tree) (offenses []string) {
	for _, source := range t.sources {
		if source.test {
			continue
		}
		ast.Inspect(source.syntax, func(node ast.Node) bool {
			if call, ok := node.(*ast.CallExpr); ok {
				if function, ok := call.Fun.(*ast.SelectorExpr); ok && isName(function.X, "regexp") {
					return false // it looks for what others write
				}
			}
			if literal, ok := node.(*ast.BasicLit); ok && literal.Kind == token.STRING && strings.Contains(strings.ToLower(literal.Value), "failed to ") {
				offenses = append(offenses, t.at(literal)+": "+literal.Value)
			}
			return true
		})
	}
	return offenses
}

func rootModule(t *tree) (offenses []string) {
	if regexp.MustCompile(`(?m)^replace\b`).MatchString(t.files["go.mod"]) {
		offenses = append(offenses, "go.mod has a replace line")
	}
	if !strings.Contains(t.files["LICENSE"], "Apache License") {
		offenses = append(offenses, "LICENSE is missing or another one")
	}
	return offenses
}

func oneMachine(t *tree) (offenses []string) {
	host := regexp.MustCompile(`\b(proxy.golang|sum.golang|registry.npmjs|deb.debian|crates|pythonhosted|maven.apache)\.(org|io)\b`)
	place := regexp.MustCompile(`(^|[^\w/.~}])/(home/\w|Users/\w|root/|work/)`)
	for file, text := range t.files {
		for number, line := range lines(text) {
			if found := host.FindString(line); found != "" {
				offenses = append(offenses, fmt.Sprintf("%s:%d: the registry %s", file, number, found))
			}
			if found := place.FindString(line); found != "" {
				offenses = append(offenses, fmt.Sprintf("%s:%d: the place %q", file, number, found))
			}
		}
	}
	return offenses
}

var (
	fence      = regexp.MustCompile("(?ms)^ *```.*?^ *```$")
	inlineCode = regexp.MustCompile("`[^`\n]*`")
	link       = regexp.MustCompile(`\]\(([^)\s]+)\)|(?m)^\[[^\]]+\]:\s+(\S+)`)
	heading    = regexp.MustCompile(`(?m)^#+ +(.*)$`)
)

func links(t *tree) (offenses []string) {
	for file, text := range t.files {
		if path.Ext(file) != ".md" {
			continue
		}
		for _, match := range link.FindAllStringSubmatch(inlineCode.ReplaceAllString(fence.ReplaceAllString(text, ""), ""), -1) {
			address := cmp.Or(match[1], match[2])
			if strings.Contains(address, ":") { // elsewhere: https, mailto
				continue
			}
			name, part, _ := strings.Cut(address, "#")
			target := file
			if name != "" {
				target = path.Join(path.Dir(file), name)
			}
			switch {
			case !t.has(target):
				offenses = append(offenses, fmt.Sprintf("%s: %s does not exist", file, address))
			case part != "" && path.Ext(target) == ".md" && !slices.Contains(anchors(t.files[target]), part):
				offenses = append(offenses, fmt.Sprintf("%s: %s has no heading for %s", file, target, address))
			}
		}
	}
	return offenses
}

// anchors are the names that headings get where Markdown is shown.
func anchors(text string) (names []string) {
	for _, match := range heading.FindAllStringSubmatch(fence.ReplaceAllString(text, ""), -1) {
		names = append(names, strings.Map(func(r rune) rune {
			switch {
			case r == ' ':
				return '-'
			case unicode.IsLetter(r) || unicode.IsDigit(r) || r == '-' || r == '_':
				return unicode.ToLower(r)
			}
			return -1
		}, strings.TrimSpace(match[1])))
	}
	return names
}

func decisions(t *tree) (offenses []string) {
	const page = 75 // lines
	var numbers []int
	for file, text := range t.files {
		name, inside := strings.CutPrefix(file, "docs/adr/")
		if !inside || name == "README.md" {
			continue
		}
		offend := func(text string) { offenses = append(offenses, file+": "+text) }
		digits, _, _ := strings.Cut(name, "-")
		number, err := strconv.Atoi(digits)
		if err != nil || len(digits) != 4 {
			offend("want a name such as 0001-title.md")
		}
		numbers = append(numbers, number)
		at := 0
		for _, part := range []string{"# " + strconv.Itoa(number) + ". ", "Status: ", "Date: 20", "## Example\n", "## Context\n", "## Decision\n", "## Consequences\n"} {
			found := strings.Index("\n"+text[at:], "\n"+part)
			if found < 0 {
				offend(fmt.Sprintf("want a line %q in its place", part))
				break
			}
			at += found
		}
		if strings.Count(text, "\n") > page {
			offend(fmt.Sprintf("longer than a page of %d lines", page))
		}
		if !strings.Contains(t.files["docs/adr/README.md"], name) {
			offend("not in the list of docs/adr/README.md")
		}
	}
	slices.Sort(numbers)
	for i, number := range numbers {
		if number != i+1 {
			offenses = append(offenses, fmt.Sprintf("docs/adr: want number %d, got %d: numbers have no gaps and are used once", i+1, number))
			break
		}
	}
	return offenses
}

func conformance(t *tree) []string { return namesWithoutTest(t, "docs/conformance.md") }

func differences(t *tree) []string {
	const table = "docs/reference/kubelogin-differences.md"
	offenses := namesWithoutTest(t, table)
	heading := regexp.MustCompile(`\| shown by \|$|^\|-`)
	for number, line := range lines(t.files[table]) {
		if strings.HasPrefix(line, "|") && !heading.MatchString(line) && !namedTest.MatchString(line) {
			offenses = append(offenses, fmt.Sprintf("%s:%d: no test shows it", table, number))
		}
	}
	return offenses
}

var namedTest = regexp.MustCompile("`((?:Test|Fuzz|Benchmark)\\w+)[`/]")

// namesWithoutTest finds the names of tests, folders and scripts in a page
// that do not exist.
func namesWithoutTest(t *tree, page string) (offenses []string) {
	tests := map[string]bool{}
	for _, source := range t.sources {
		for _, declaration := range source.syntax.Decls {
			if function, ok := declaration.(*ast.FuncDecl); ok && source.test {
				tests[function.Name.Name] = true
			}
		}
	}
	places := regexp.MustCompile("`((?:internal|cmd|test)/[\\w/.-]+)`")
	scripts := regexp.MustCompile(`[\w-]+\.txtar\b`)
	for number, line := range lines(t.files[page]) {
		offend := func(what string) {
			offenses = append(offenses, fmt.Sprintf("%s:%d: there is no %s", page, number, what))
		}
		for _, match := range namedTest.FindAllStringSubmatch(line, -1) {
			if !tests[match[1]] {
				offend("test " + match[1])
			}
		}
		for _, match := range places.FindAllStringSubmatch(line, -1) {
			if !t.has(match[1]) {
				offend(match[1])
			}
		}
		for _, script := range scripts.FindAllString(line, -1) {
			if !slices.ContainsFunc(slices.Collect(maps.Keys(t.files)), func(file string) bool { return path.Base(file) == script }) {
				offend("script " + script)
			}
		}
	}
	return offenses
}

// A tree is the repository, or a small one made up to break a rule.
type tree struct {
	files    files
	sources  []source // the Go files, parsed, in the order of their paths
	position *token.FileSet
}

type source struct {
	path, text string
	test       bool
	syntax     *ast.File
}

func plant(t *testing.T, texts files) *tree {
	planted := &tree{files: texts, position: token.NewFileSet()}
	for _, name := range slices.Sorted(maps.Keys(texts)) {
		if path.Ext(name) != ".go" || strings.Contains(name, "testdata/") {
			continue
		}
		syntax, err := parser.ParseFile(planted.position, name, texts[name], parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			t.Errorf("reading Go: %v", err)
			continue
		}
		planted.sources = append(planted.sources, source{name, texts[name], strings.HasSuffix(name, "_test.go"), syntax})
	}
	return planted
}

// readRepository reads what a commit would hold: no build results, nothing
// binary.
func readRepository(t *testing.T) files {
	texts := files{}
	root := os.DirFS(".")
	err := fs.WalkDir(root, ".", func(name string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && slices.Contains([]string{".git", "bin", "dist", "node_modules"}, entry.Name()):
			return fs.SkipDir
		case !entry.Type().IsRegular() || strings.HasPrefix(name, "bench/latest."):
			return nil
		}
		text, err := fs.ReadFile(root, name)
		if err != nil {
			return err
		}
		if bytes.ContainsRune(text, 0) {
			text = nil
		}
		texts[name] = string(text)
		return nil
	})
	if err != nil {
		t.Fatalf("reading the repository: %v", err)
	}
	return texts
}

func (t *tree) at(node ast.Node) string { return t.position.Position(node.Pos()).String() }

// has reports whether the file or folder exists.
func (t *tree) has(name string) bool {
	if _, ok := t.files[name]; ok || name == "." {
		return true
	}
	for file := range t.files {
		if strings.HasPrefix(file, name+"/") {
			return true
		}
	}
	return false
}

// hasCode reports whether the folder has Go files that are not tests.
func (t *tree) hasCode(dir string) bool {
	return slices.ContainsFunc(t.sources, func(source source) bool {
		return path.Dir(source.path) == dir && !source.test
	})
}

// A name is one that the code declares: of a type, function, method, field,
// constant or variable.
type name struct {
	text, position string
	words          []string
	isType         bool
}

func (t *tree) declared() (names []name) {
	for _, source := range t.sources {
		add := func(isType bool, identifiers ...*ast.Ident) {
			for _, identifier := range identifiers {
				names = append(names, name{identifier.Name, t.at(identifier), split(identifier.Name), isType})
			}
		}
		if source.test {
			continue
		}
		ast.Inspect(source.syntax, func(node ast.Node) bool {
			switch node := node.(type) {
			case *ast.FuncDecl:
				add(false, node.Name)
			case *ast.TypeSpec:
				add(true, node.Name)
			case *ast.ValueSpec:
				add(false, node.Names...)
			case *ast.StructType:
				for _, field := range node.Fields.List {
					add(false, field.Names...)
				}
			case *ast.InterfaceType:
				for _, method := range node.Methods.List {
					add(false, method.Names...)
				}
			}
			return true
		})
	}
	return names
}

var (
	capitalWord = regexp.MustCompile(`([A-Z])([A-Z][a-z])`)
	word        = regexp.MustCompile(`[A-Z]+[a-z0-9]*|[a-z0-9]+`)
)

// split cuts a name into its words: parseJWKSFile is parse, JWKS, File.
func split(identifier string) []string {
	return word.FindAllString(capitalWord.ReplaceAllString(identifier, "${1}_$2"), -1)
}

func (s source) imports() func(func(string) bool) {
	return func(yield func(string) bool) {
		for _, spec := range s.syntax.Imports {
			if imported, err := strconv.Unquote(spec.Path.Value); err == nil && !yield(imported) {
				return
			}
		}
	}
}

// nameOf is what the file calls the imported package, or "".
func (s source) nameOf(imported string) string {
	for _, spec := range s.syntax.Imports {
		if spec.Path.Value == strconv.Quote(imported) {
			if spec.Name != nil {
				return spec.Name.Name
			}
			return path.Base(imported)
		}
	}
	return ""
}

func isName(expression ast.Expr, name string) bool {
	identifier, ok := expression.(*ast.Ident)
	return ok && identifier.Name == name
}

// lines numbers the lines of a text from 1.
func lines(text string) func(func(int, string) bool) {
	return func(yield func(int, string) bool) {
		number := 0
		for line := range strings.SplitSeq(text, "\n") {
			if number++; !yield(number, line) {
				return
			}
		}
	}
}
