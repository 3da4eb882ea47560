// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package page_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/xml"
	"errors"
	"flag"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode"

	"github.com/google/go-cmp/cmp"

	"github.com/tegata/tegata/internal/oidc"
	"github.com/tegata/tegata/internal/provider/page"
)

var update = flag.Bool("update", false, "write the golden pages")

func newRenderer(t testing.TB, issuer string) *page.Renderer {
	t.Helper()
	u, err := url.Parse(issuer)
	if err != nil {
		t.Fatal(err)
	}
	pages, err := page.New(u)
	if err != nil {
		t.Fatal(err)
	}
	return pages
}

// problems are the constants of type Problem, read from the source, so that a
// new one cannot be forgotten here.
func problems(t testing.TB) (found []page.Problem) {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "messages.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	ast.Inspect(file, func(node ast.Node) bool {
		spec, ok := node.(*ast.ValueSpec)
		if !ok {
			return true
		}
		if name, ok := spec.Type.(*ast.Ident); ok && name.Name == "Problem" {
			value, err := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
			if err != nil {
				t.Fatal(err)
			}
			if value != string(page.NoProblem) {
				found = append(found, page.Problem(value))
			}
		}
		return true
	})
	if len(found) < 5 {
		t.Fatalf("got the problems %q, want all of messages.go", found)
	}
	return found
}

// drawn is every page as it can look, by the name of its golden copy.
func drawn(t testing.TB, pages *page.Renderer) map[string]func(http.ResponseWriter, *http.Request) {
	t.Helper()
	const sealed = "c2VhbGVkLXJlcXVlc3Q"
	logIn := func(v page.LogIn) func(http.ResponseWriter, *http.Request) {
		v.Request = sealed
		return func(w http.ResponseWriter, r *http.Request) { pages.LogIn(w, r, http.StatusOK, v) }
	}
	all := map[string]func(http.ResponseWriter, *http.Request){
		"login":      logIn(page.LogIn{Client: "Production cluster", RedirectURI: "http://localhost:8000"}),
		"login-hint": logIn(page.LogIn{Client: "Production cluster", Login: "alice@example.com", RedirectURI: "http://localhost:8000"}),
		"login-own":  logIn(page.LogIn{}),
		"login-sources": logIn(page.LogIn{
			Client: "Production cluster", Login: "user01", Problem: page.SourceUnavailable, Detail: "the details of a source",
			Sources:   []page.Choice{{Name: "corp", Title: "Example Corp", Chosen: true}, {Name: "local"}},
			Elsewhere: []page.Choice{{Name: "github", Title: "GitHub"}, {Name: "google", Title: "Google <b>"}}, RedirectURI: "http://localhost:8000",
		}),
		"login-elsewhere": logIn(page.LogIn{Elsewhere: []page.Choice{{Name: "github", Title: "GitHub"}}}),
		"expired-password": func(w http.ResponseWriter, r *http.Request) {
			pages.ExpiredPassword(w, r, http.StatusForbidden, page.ExpiredPassword{Request: sealed, Login: "user01", RedirectURI: "http://localhost:8000"})
		},
		"expired-password-refused": func(w http.ResponseWriter, r *http.Request) {
			pages.ExpiredPassword(w, r, http.StatusBadRequest, page.ExpiredPassword{
				Request: sealed, Login: "user01", Problem: page.PasswordRefused, Detail: "Password is in history of old passwords",
			})
		},
		"form-post": func(w http.ResponseWriter, r *http.Request) {
			pages.FormPost(w, r, page.FormPost{RedirectURI: "https://app.example.com/callback?tenant=a&b=c", Answer: url.Values{
				"code": {"k3jx7q2m.CODE"}, "iss": {"https://id.example.com/dex"}, "state": {`a "state" & more`},
			}})
		},
		"consent": func(w http.ResponseWriter, r *http.Request) {
			pages.Consent(w, r, page.Consent{Client: "Production cluster", Request: sealed, Username: "alice", Name: "Alice Archer", Local: true, RedirectURI: "http://localhost:8000"})
		},
		"consent-scopes": func(w http.ResponseWriter, r *http.Request) {
			pages.Consent(w, r, page.Consent{
				Client: "Dashboard", Request: sealed, Username: "bob", RedirectURI: "https://app.example.com/callback",
				Scopes: oidc.Scopes{"profile", "email", "groups", "offline_access", "unheard-of"},
			})
		},
		"log-out": func(w http.ResponseWriter, r *http.Request) {
			pages.LogOut(w, r, page.LogOut{Client: "Dashboard", Request: sealed, Username: "alice", Name: "Alice Archer", RedirectURI: "https://app.example.com/"})
		},
		"log-out-bare": func(w http.ResponseWriter, r *http.Request) {
			pages.LogOut(w, r, page.LogOut{Request: sealed, Username: "bob"})
		},
		"logged-out": func(w http.ResponseWriter, r *http.Request) { pages.LoggedOut(w, r, page.LoggedOut{}) },
		"logged-out-elsewhere": func(w http.ResponseWriter, r *http.Request) {
			pages.LoggedOut(w, r, page.LoggedOut{Next: "https://accounts.example.com/logout?state=a&b=c"})
		},
		"device": func(w http.ResponseWriter, r *http.Request) { pages.Device(w, r, http.StatusOK, page.Device{}) },
		"device-wrong": func(w http.ResponseWriter, r *http.Request) {
			pages.Device(w, r, http.StatusNotFound, page.Device{UserCode: "WDJB-MJHT", Problem: page.WrongUserCode})
		},
		"device-ask": func(w http.ResponseWriter, r *http.Request) {
			pages.DeviceAsk(w, r, page.DeviceAsk{
				Client: "Production cluster", UserCode: "WDJB-MJHT", Request: sealed, Username: "alice", Name: "Alice Archer",
				Device: "kubectl-oidc_login/1.0", Address: "192.0.2.7", Minutes: 2, Scopes: oidc.Scopes{"profile", "email", "groups", "unheard-of"},
			})
		},
		"device-ask-bare": func(w http.ResponseWriter, r *http.Request) {
			pages.DeviceAsk(w, r, page.DeviceAsk{Client: "terminal", UserCode: "WDJB-MJHT", Request: sealed, Username: "bob", Address: "2001:db8::7"})
		},
		"device-allowed": func(w http.ResponseWriter, r *http.Request) {
			pages.DeviceDone(w, r, page.DeviceDone{Client: "Production cluster", Allowed: true})
		},
		"device-refused": func(w http.ResponseWriter, r *http.Request) {
			pages.DeviceDone(w, r, page.DeviceDone{Client: "Production cluster"})
		},
		"failure-log-out": func(w http.ResponseWriter, r *http.Request) {
			pages.Failure(w, r, http.StatusBadRequest, page.Failure{Problem: page.WrongRedirectURI, LogOut: true})
		},
		"failure-detail": func(w http.ResponseWriter, r *http.Request) {
			pages.Failure(w, r, http.StatusBadRequest, page.Failure{Problem: page.WrongRedirectURI, Detail: `redirect_uri "https://evil.example/" for client_id "kubernetes"`, Reference: "k3jx7q2m"})
		},
	}
	maps.Copy(all, drawnPortal(pages))
	maps.Copy(all, drawnConsole(pages))
	maps.Copy(all, drawnFactors(pages))
	maps.Copy(all, drawnPasswords(pages))
	for _, problem := range problems(t) {
		all["login-"+string(problem)] = logIn(page.LogIn{Client: "Production cluster", Login: "alice", Problem: problem, RedirectURI: "http://localhost:8000"})
		all["failure-"+string(problem)] = func(w http.ResponseWriter, r *http.Request) {
			pages.Failure(w, r, http.StatusBadRequest, page.Failure{Problem: problem})
		}
	}
	return all
}

func draw(render func(http.ResponseWriter, *http.Request), language string) *httptest.ResponseRecorder {
	w, r := httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/", nil)
	r.Header.Set("Accept-Language", language)
	render(w, r)
	return w
}

// The names of the assets change with their content; the pages need not.
var assetHash = regexp.MustCompile(`/assets/[0-9a-f]{12}-`)

func TestPagesAreThoseThatWereLookedAt(t *testing.T) {
	pages := newRenderer(t, "https://id.example.com/dex")
	want := map[string]bool{}
	for name, render := range drawn(t, pages) {
		for _, language := range []string{"en", "ja"} {
			file := filepath.Join("testdata", name+"."+language+".html")
			want[file] = true
			got := assetHash.ReplaceAllString(draw(render, language).Body.String(), "/assets/HASH-")
			if *update {
				if err := os.MkdirAll("testdata", 0o777); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(file, []byte(got), 0o666); err != nil {
					t.Fatal(err)
				}
				continue
			}
			golden, err := os.ReadFile(file)
			if err != nil {
				t.Errorf("%v; write it with go test -update, and look at it", err)
				continue
			}
			if diff := cmp.Diff(string(golden), got); diff != "" {
				t.Errorf("%s (-want +got), go test -update writes it:\n%s", file, diff)
			}
		}
	}
	files, err := filepath.Glob("testdata/*.html")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if !want[file] {
			t.Errorf("%s is no page any more", file)
		}
	}
}

// element is a start tag of a page and the text up to the next one.
type element struct {
	name       string
	attributes map[string]string
	text       string
}

func elements(t testing.TB, html string) (found []element) {
	t.Helper()
	decoder := xml.NewDecoder(strings.NewReader(html))
	decoder.Strict, decoder.AutoClose, decoder.Entity = false, xml.HTMLAutoClose, xml.HTMLEntity
	for {
		next, err := decoder.Token()
		if errors.Is(err, io.EOF) {
			return found
		}
		if err != nil {
			t.Fatalf("%v in:\n%s", err, html)
		}
		switch next := next.(type) {
		case xml.StartElement:
			e := element{name: next.Name.Local, attributes: map[string]string{}}
			for _, attribute := range next.Attr {
				e.attributes[attribute.Name.Local] = attribute.Value
			}
			found = append(found, e)
		case xml.CharData:
			if len(found) > 0 {
				found[len(found)-1].text += strings.TrimSpace(string(next))
			}
		}
	}
}

// What a keyboard, a screen reader and a strict policy need of each page.
func TestPagesCanBeUsedByEverybody(t *testing.T) {
	pages := newRenderer(t, "https://id.example.com/dex")
	for name, render := range drawn(t, pages) {
		for _, language := range []string{"en", "ja"} {
			t.Run(name+" "+language, func(t *testing.T) {
				w := draw(render, language)
				count, ids, labels, described := map[string]int{}, map[string]bool{}, map[string]string{}, []string{}
				fields := []element{}
				heading := byte('0')
				for _, e := range elements(t, w.Body.String()) {
					count[e.name]++
					if id := e.attributes["id"]; id != "" {
						if ids[id] {
							t.Errorf("the id %q stands there twice", id)
						}
						ids[id] = true
					}
					for attribute := range e.attributes {
						if strings.HasPrefix(attribute, "on") || attribute == "style" {
							t.Errorf("<%s> has the attribute %s, which the policy stops", e.name, attribute)
						}
					}
					if by := e.attributes["aria-describedby"]; by != "" {
						described = append(described, by)
					}
					if len(e.name) == 2 && e.name >= "h1" && e.name <= "h6" {
						if e.name[1] > heading+1 {
							t.Errorf("<%s> %q comes after a heading of level %c", e.name, e.text, heading)
						}
						heading = e.name[1]
					}
					switch e.name {
					case "script":
						if name != "form-post" && !strings.Contains(w.Body.String(), "data-passkey") {
							t.Error("the page has a <script>")
						}
					case "style", "iframe", "object", "embed", "base":
						t.Errorf("the page has a <%s>", e.name)
					case "html":
						if e.attributes["lang"] != language {
							t.Errorf("lang: got %q, want %q", e.attributes["lang"], language)
						}
					case "label":
						labels[e.attributes["for"]] = e.text
					case "input", "select", "textarea":
						if e.attributes["type"] != "hidden" {
							fields = append(fields, e)
						}
					case "h1", "title", "button":
						if e.text == "" {
							t.Errorf("<%s> is empty", e.name)
						}
					case "link", "form":
						place := e.attributes["href"] + e.attributes["action"]
						if name == "form-post" && e.name == "form" {
							if place != "https://app.example.com/callback?tenant=a&b=c" {
								t.Errorf("the form leads to %q, want the redirect URI", place)
							}
						} else if !strings.HasPrefix(place, "/dex/") {
							t.Errorf("<%s> leads to %q, outside the issuer", e.name, place)
						}
					case "svg":
						if e.attributes["aria-hidden"] != "true" {
							t.Error("the mark is read aloud")
						}
					}
				}
				for name, want := range map[string]int{"html": 1, "h1": 1, "title": 1, "main": 1} {
					if count[name] != want {
						t.Errorf("<%s>: got %d, want %d", name, count[name], want)
					}
				}
				for _, field := range fields {
					if id := field.attributes["id"]; id == "" || labels[id] == "" {
						t.Errorf("the field %q has no label", field.attributes["name"])
					}
					if field.attributes["autocomplete"] == "" {
						t.Errorf("the field %q has no autocomplete", field.attributes["name"])
					}
				}
				if count["label"] != len(fields) {
					t.Errorf("got %d labels for %d fields", count["label"], len(fields))
				}
				for _, id := range described {
					if !ids[id] {
						t.Errorf("aria-describedby names %q, which is not there", id)
					}
				}
				if strings.HasPrefix(name, "failure") && !strings.Contains(w.Body.String(), `role="alert"`) {
					t.Error("a failure without role=alert is not read aloud")
				}
				if got := w.Header().Get("Content-Language"); got != language {
					t.Errorf("Content-Language: got %q, want %q", got, language)
				}
			})
		}
	}
}

func TestHostileTextIsEscaped(t *testing.T) {
	pages := newRenderer(t, "https://id.example.com")
	for _, text := range []string{
		`<script>alert(1)</script>`, `"><img src=x onerror=alert(1)>`, `' onfocus='alert(1)`, `" autofocus onfocus="alert(1)`,
		`</title><script>`, `</p><form action=//evil.example>`, `{{.Page.Request}}`, `%s%d%!`, `&lt;b&gt;`, "a\x00b", "\u2028", "javascript:alert(1)",
	} {
		for name, render := range map[string]func(http.ResponseWriter, *http.Request){
			"login": func(w http.ResponseWriter, r *http.Request) {
				pages.LogIn(w, r, 200, page.LogIn{Client: text, Request: text, Login: text, Problem: page.WrongCredentials})
			},
			"failure": func(w http.ResponseWriter, r *http.Request) {
				pages.Failure(w, r, 400, page.Failure{Problem: page.BadRequest, Detail: text, Reference: text})
			},
			"consent": func(w http.ResponseWriter, r *http.Request) {
				pages.Consent(w, r, page.Consent{Client: text, Request: text, Username: text, Scopes: oidc.Scopes{text}})
			},
			"device": func(w http.ResponseWriter, r *http.Request) {
				pages.Device(w, r, 404, page.Device{UserCode: text, Problem: page.WrongUserCode})
			},
			"device ask": func(w http.ResponseWriter, r *http.Request) {
				pages.DeviceAsk(w, r, page.DeviceAsk{Client: text, UserCode: text, Request: text, Name: text, Device: text, Address: text, Scopes: oidc.Scopes{text}})
			},
			"device done": func(w http.ResponseWriter, r *http.Request) {
				pages.DeviceDone(w, r, page.DeviceDone{Client: text, Allowed: true})
			},
			"log out": func(w http.ResponseWriter, r *http.Request) {
				pages.LogOut(w, r, page.LogOut{Client: text, Request: text, Name: text})
			},
		} {
			for _, language := range []string{"en", "ja"} {
				html := draw(render, language).Body.String()
				plain := map[string]int{}
				for _, e := range elements(t, html) {
					plain[e.name]++
					for attribute := range e.attributes {
						if strings.HasPrefix(attribute, "on") {
							t.Errorf("%s: %q became the attribute %s", name, text, attribute)
						}
					}
				}
				if plain["script"]+plain["img"] > 0 || plain["form"] > 1 {
					t.Errorf("%s: %q became an element:\n%s", name, text, html)
				}
			}
		}
	}
}

func TestProblemThatIsUnknownStillMakesAPage(t *testing.T) {
	pages := newRenderer(t, "https://id.example.com")
	w := httptest.NewRecorder()
	pages.Failure(w, httptest.NewRequest(http.MethodGet, "/", nil), 400, page.Failure{Problem: "unheard-of"})
	if w.Code != 400 || !strings.Contains(w.Body.String(), "</html>") {
		t.Errorf("got status %d and %q, want a page", w.Code, w.Body)
	}
}

func TestEveryWordIsThereInBothLanguages(t *testing.T) {
	all := problems(t)
	for language, words := range map[string]page.Messages{"English": page.English, "Japanese": page.Japanese} {
		value := reflect.ValueOf(words)
		for n := range value.NumField() {
			if field := value.Field(n); field.Kind() == reflect.String && strings.TrimSpace(field.String()) == "" {
				t.Errorf("%s has no word for %s", language, value.Type().Field(n).Name)
			}
		}
		for _, sentence := range []string{words.LogInTo, words.ContinueAs, words.WantsLogin, words.YouAre, words.WantsLogOut, words.DeviceAsk, words.DeviceWants, words.DeviceAllowedText, words.DeviceDeniedText} {
			if strings.Count(sentence, "%") != 1 || strings.Count(sentence, "%s") != 1 {
				t.Errorf("%s: %q has not exactly one place for a name", language, sentence)
			}
		}
		for _, scope := range []string{oidc.ScopeProfile, oidc.ScopeEmail, oidc.ScopeGroups, oidc.ScopeOfflineAccess} {
			if words.Scopes[scope] == "" {
				t.Errorf("%s has no word for the scope %s", language, scope)
			}
		}
		if got := slices.Sorted(maps.Keys(words.Problems)); !cmp.Equal(got, slices.Sorted(slices.Values(all))) {
			t.Errorf("%s explains %q, want %q", language, got, all)
		}
		for problem, explained := range words.Problems {
			if explained.What == "" || explained.Try == "" {
				t.Errorf("%s: %s: got %q and %q; want what happened and what to try", language, problem, explained.What, explained.Try)
			}
		}
	}
	for problem, explained := range page.Japanese.Problems {
		for _, text := range []string{explained.What, explained.Try} {
			if !strings.ContainsFunc(text, func(r rune) bool { return unicode.In(r, unicode.Hiragana) }) {
				t.Errorf("%s: %q is not Japanese", problem, text)
			}
		}
	}
}

func TestAcceptLanguage(t *testing.T) {
	pages := newRenderer(t, "https://id.example.com")
	for accept, want := range map[string]string{
		"": "en", "ja": "ja", "ja-JP": "ja", "JA": "ja", "ja,en;q=0.9": "ja", "en,ja;q=0.9": "en", "ja;q=0.1,en;q=0.9": "en",
		"en-GB,en;q=0.9": "en", "de": "en", "de,ja;q=0.5": "ja", "de-DE,de;q=0.9,en;q=0.8,ja;q=0.7": "en", "ja;q=0": "en", "*": "en",
		"zh": "en", "ko": "en", "nonsense!!": "en", "ja;q=x": "en", ";;;,,,": "en", strings.Repeat("a-", 5000): "en",
		strings.Repeat("ja,", 5000): "ja", "\x00": "en",
	} {
		w := draw(func(w http.ResponseWriter, r *http.Request) { pages.LogIn(w, r, 200, page.LogIn{}) }, accept)
		if got := w.Header().Get("Content-Language"); got != want {
			t.Errorf("%.40q: got %s, want %s", accept, got, want)
		}
		if got := w.Header().Get("Vary"); got != "Accept-Language" {
			t.Errorf("Vary: got %q, want Accept-Language", got)
		}
	}
}

func FuzzAcceptLanguage(f *testing.F) {
	pages := newRenderer(f, "https://id.example.com")
	for _, text := range []string{"ja,en;q=0.5", "*;q=0", "en-US-u-ca-japanese", "x-", "i-klingon;q=1.0000"} {
		f.Add(text, text)
	}
	f.Fuzz(func(t *testing.T, accept, locales string) {
		w, r := httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/", nil)
		r.Header["Accept-Language"] = []string{accept}
		r.Form = url.Values{"ui_locales": {locales}}
		pages.LogIn(w, r, 200, page.LogIn{})
		if got := w.Header().Get("Content-Language"); w.Code != 200 || (got != "en" && got != "ja") {
			t.Errorf("got status %d in %q", w.Code, got)
		}
	})
}

// The policy names the schemes over which the answer goes, and nothing else;
// an address cannot write more into it.
func TestPolicyNamesTheRedirectTarget(t *testing.T) {
	pages := newRenderer(t, "https://id.example.com")
	for _, test := range []struct{ redirectURI, want string }{
		{"", "'self'"},
		{"http://localhost:8000", "'self' https: http:"},
		{"http://127.0.0.1:1/callback?a=b", "'self' https: http:"},
		{"https://app.example.com/callback", "'self' https:"},
		{"com.example.app:/callback", "'self' https: com.example.app:"},
		{"com.example.app:callback", "'self' https: com.example.app:"},
		{"relative", "'self'"},
		{"%zz", "'self'"},
	} {
		w := httptest.NewRecorder()
		pages.LogIn(w, httptest.NewRequest(http.MethodGet, "/", nil), 200, page.LogIn{RedirectURI: test.redirectURI})
		policy := w.Header().Get("Content-Security-Policy")
		if !strings.Contains(policy, "; form-action "+test.want+";") {
			t.Errorf("%q: got %q, want form-action %s", test.redirectURI, policy, test.want)
		}
	}
	for _, hostile := range []string{"https://a.example;script-src/x", "https://a.example,script-src/x", "https://a.example'unsafe-inline'/"} {
		w := httptest.NewRecorder()
		pages.LogIn(w, httptest.NewRequest(http.MethodGet, "/", nil), 200, page.LogIn{RedirectURI: hostile})
		if policy := w.Header().Get("Content-Security-Policy"); strings.Contains(policy, "script-src") || strings.Contains(policy, "unsafe-inline") {
			t.Errorf("%q wrote into the policy: %q", hostile, policy)
		}
	}
}

// A page that carries an answer to a client has one script, which the policy
// names by its hash: no other one runs there, whoever writes it.
func TestFormPostAllowsItsOwnScriptAlone(t *testing.T) {
	pages := newRenderer(t, "https://id.example.com")
	hostile := `</script><script>alert(1)</script>" onload="alert(1)`
	w := draw(func(w http.ResponseWriter, r *http.Request) {
		pages.FormPost(w, r, page.FormPost{RedirectURI: "https://app.example.com/callback", Answer: url.Values{"state": {hostile}, hostile: {"x"}}})
	}, "en")
	scripts := []string{}
	for _, e := range elements(t, w.Body.String()) {
		if e.name == "script" {
			scripts = append(scripts, e.text)
		}
		if e.name == "input" && e.attributes["name"] == "state" && e.attributes["value"] != hostile {
			t.Errorf("the state became %q", e.attributes["value"])
		}
	}
	if len(scripts) != 1 {
		t.Fatalf("got the scripts %q, want one:\n%s", scripts, w.Body)
	}
	sum := sha256.Sum256([]byte(scripts[0]))
	want := "; script-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
	if policy := w.Header().Get("Content-Security-Policy"); !strings.HasSuffix(policy, want) || strings.Contains(policy, "unsafe") {
		t.Errorf("got the policy %q, want %q at its end", policy, want)
	}
	if got := w.Header().Get("Referrer-Policy"); got != "strict-origin" {
		t.Errorf("Referrer-Policy: got %q; with less the client sees Origin: null", got)
	}
	if got := w.Header().Get("Cache-Control"); got != "no-store" {
		t.Errorf("Cache-Control: got %q, want no-store", got)
	}
}

// What is no web address cannot take a form, and must not become a script.
func TestFormPostLeadsToTheWebOnly(t *testing.T) {
	pages := newRenderer(t, "https://id.example.com")
	for _, uri := range []string{"javascript:alert(1)", "data:text/html,x", "com.example.app:/callback"} {
		w := draw(func(w http.ResponseWriter, r *http.Request) {
			pages.FormPost(w, r, page.FormPost{RedirectURI: uri, Answer: url.Values{"code": {"x"}}})
		}, "en")
		for _, e := range elements(t, w.Body.String()) {
			if e.name == "form" && strings.HasPrefix(e.attributes["action"], uri[:4]) {
				t.Errorf("the form leads to %q", e.attributes["action"])
			}
		}
	}
}

func TestAssetsAreServed(t *testing.T) {
	for _, issuer := range []string{"https://id.example.com", "https://id.example.com/dex"} {
		pages := newRenderer(t, issuer)
		html := draw(func(w http.ResponseWriter, r *http.Request) { pages.LogIn(w, r, 200, page.LogIn{}) }, "en").Body.String()
		links := 0
		for _, e := range elements(t, html) {
			if e.name != "link" {
				continue
			}
			links++
			w := httptest.NewRecorder()
			pages.Asset(w, httptest.NewRequest(http.MethodGet, e.attributes["href"], nil))
			if got := w.Header().Get("Content-Type"); w.Code != 200 || (got != "text/css; charset=utf-8" && got != "image/svg+xml") {
				t.Errorf("%s: got status %d, %q", e.attributes["href"], w.Code, got)
			}
		}
		if links != 2 {
			t.Errorf("got %d links, want the style sheet and the icon", links)
		}
		w := httptest.NewRecorder()
		pages.Asset(w, httptest.NewRequest(http.MethodGet, pages.AssetsPath()+"../page.go", nil))
		if w.Code != http.StatusNotFound {
			t.Errorf("got status %d for a file that is no asset, want 404", w.Code)
		}
	}
}
