// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package page_test

import (
	"fmt"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/tegata/tegata/internal/provider/page"
	"github.com/tegata/tegata/internal/secret"
)

// drawnPortal is the pages of a person who is logged in.
func drawnPortal(pages *page.Renderer) map[string]func(http.ResponseWriter, *http.Request) {
	alice := page.Account{
		Username: "alice", Name: "Alice Archer", Here: page.PlaceHome,
		Places: page.Places(),
	}
	bob := page.Account{Username: "bob", Here: page.PlaceHome, Places: []page.Place{page.PlaceHome, page.PlaceLogins}}
	below := alice
	below.Here = page.Elsewhere
	logins := alice
	logins.Here = page.PlaceLogins
	production := page.PortalCluster{
		Name: "production", Title: "Production", Claim: "email", Username: "oidc:alice@example.com", Groups: []string{"oidc:platform-engineer", "oidc:readers"},
	}
	troubled := func(name string, trouble page.Trouble) page.PortalCluster {
		return page.PortalCluster{Name: name, Title: name, Claim: "email", Trouble: trouble}
	}
	const kubeconfig = "apiVersion: v1\nkind: Config\nclusters:\n- name: production\n  cluster:\n    server: https://k8s.example.com:6443\n    certificate-authority-data: LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0tCk1JSUJkekNDQVIyZ0F3SUJBZ0lCQVRBS0JnZ3Foa2pPUFFRREFqQWNNUm93R0FZRFZRUURFeEZ1YjNRZ1lTQmpaWEowYVdacFkyRjBaUT09\n"
	commands := []page.Commands{
		{Shell: "Linux, macOS", Text: secret.New("kubectl config set-cluster production --server=https://k8s.example.com:6443\nkubectl config use-context production\n")},
		{Shell: "Windows cmd"},
	}
	morning := time.Date(2026, time.November, 22, 8, 30, 0, 0, time.FixedZone("JST", 9*3600))
	return map[string]func(http.ResponseWriter, *http.Request){
		"portal": func(w http.ResponseWriter, r *http.Request) {
			pages.Portal(w, r, page.Portal{
				Account: alice, Email: "alice@example.com", Groups: []string{"platform-engineer", "readers"}, Source: "Example Corp", All: true,
				Clusters: []page.PortalCluster{production, {Name: "lab", Title: "Laboratory", Username: "alice"}},
			})
		},
		"portal-trouble": func(w http.ResponseWriter, r *http.Request) {
			pages.Portal(w, r, page.Portal{Account: bob, Clusters: []page.PortalCluster{
				troubled("no-client", page.NoClient), troubled("no-token", page.NoToken), troubled("no-claim", page.NoClaim),
				troubled("unverified", page.EmailUnverified),
			}})
		},
		"portal-bare": func(w http.ResponseWriter, r *http.Request) { pages.Portal(w, r, page.Portal{Account: bob}) },
		"portal-cluster": func(w http.ResponseWriter, r *http.Request) {
			pages.PortalEntry(w, r, page.PortalEntry{
				Account: below, Cluster: production, Server: "https://k8s.example.com:6443", Namespace: "alice", Kubeconfig: kubeconfig,
				Commands: commands, Legacy: true,
			})
		},
		"portal-cluster-trouble": func(w http.ResponseWriter, r *http.Request) {
			pages.PortalEntry(w, r, page.PortalEntry{
				Account: bob, Cluster: troubled("no-client", page.NoClient), Server: "https://k8s.example.com:6443", Unfit: true,
			})
		},
		"portal-legacy": func(w http.ResponseWriter, r *http.Request) {
			pages.PortalLegacy(w, r, http.StatusOK, page.PortalLegacy{Account: below, Cluster: production})
		},
		"portal-legacy-refused": func(w http.ResponseWriter, r *http.Request) {
			pages.PortalLegacy(w, r, http.StatusForbidden, page.PortalLegacy{Account: below, Cluster: production, Refused: true})
		},
		"portal-legacy-made": func(w http.ResponseWriter, r *http.Request) {
			pages.PortalLegacy(w, r, http.StatusOK, page.PortalLegacy{
				Account: below, Cluster: production, Kubeconfig: secret.New(kubeconfig), Commands: commands,
			})
		},
		"portal-logins": func(w http.ResponseWriter, r *http.Request) {
			pages.PortalLogins(w, r, page.PortalLogins{
				Account: logins, Others: true, More: true,
				Devices: []page.PortalDevice{
					{ID: "k3jx7q2m", Client: "Production cluster", Device: "Firefox on Linux", Address: "192.0.2.7", Created: morning, Used: morning.Add(time.Hour)},
					{ID: "m3jx7q2k", Client: "terminal", Address: "2001:db8::7", Created: morning, Used: morning},
				},
				Browsers: []page.PortalBrowser{
					{ID: "k3jx7q2m", This: true, Device: "Firefox on Linux", Address: "192.0.2.7", Created: morning, Used: morning.Add(time.Hour)},
					{ID: "m3jx7q2k", Device: "Safari on iPhone", Address: "192.0.2.8", Created: morning, Used: morning},
				},
			})
		},
		"portal-logins-bare": func(w http.ResponseWriter, r *http.Request) {
			pages.PortalLogins(w, r, page.PortalLogins{Account: logins, Browsers: []page.PortalBrowser{{ID: "k3jx7q2m", This: true, Address: "192.0.2.7", Created: morning, Used: morning}}})
		},
	}
}

// Names, groups and devices are what somebody else wrote.
func TestHostileTextIsEscapedInThePortal(t *testing.T) {
	t.Parallel()
	pages := newRenderer(t, "https://id.example.com")
	for _, text := range []string{
		`<script>alert(1)</script>`, `"><img src=x onerror=alert(1)>`, `' onfocus='alert(1)`, `" autofocus onfocus="alert(1)`,
		`</title><script>`, `</pre></details><form action=//evil.example>`, `{{.Page}}`, `%s%d%!`, `&lt;b&gt;`, "a\x00b", "javascript:alert(1)",
		`//evil.example/`, `../../admin`,
	} {
		account := page.Account{Username: text, Name: text, Here: page.PlaceLogins, Places: []page.Place{page.PlaceHome, page.PlaceLogins}}
		cluster := page.PortalCluster{Name: text, Title: text, Claim: text, Username: text, Groups: []string{text}}
		commands := []page.Commands{{Shell: text, Text: secret.New(text)}}
		for name, test := range map[string]struct {
			draw  func(http.ResponseWriter, *http.Request)
			forms int
		}{
			"portal": {func(w http.ResponseWriter, r *http.Request) {
				pages.Portal(w, r, page.Portal{Account: account, Email: text, Groups: []string{text}, Source: text, Clusters: []page.PortalCluster{cluster}})
			}, 1},
			"cluster": {func(w http.ResponseWriter, r *http.Request) {
				pages.PortalEntry(w, r, page.PortalEntry{Account: account, Cluster: cluster, Server: text, Namespace: text, Kubeconfig: text, Commands: commands, Legacy: true})
			}, 1},
			"legacy": {func(w http.ResponseWriter, r *http.Request) {
				pages.PortalLegacy(w, r, 200, page.PortalLegacy{Account: account, Cluster: cluster})
			}, 2},
			"made": {func(w http.ResponseWriter, r *http.Request) {
				pages.PortalLegacy(w, r, 200, page.PortalLegacy{Account: account, Cluster: cluster, Kubeconfig: secret.New(text), Commands: commands})
			}, 1},
			"logins": {func(w http.ResponseWriter, r *http.Request) {
				pages.PortalLogins(w, r, page.PortalLogins{
					Account: account, Devices: []page.PortalDevice{{ID: text, Client: text, Device: text, Address: text}},
					Browsers: []page.PortalBrowser{{ID: text, Device: text, Address: text}},
				})
			}, 4},
		} {
			for _, language := range []string{"en", "ja"} {
				html := draw(test.draw, language).Body.String()
				count := map[string]int{}
				for _, e := range elements(t, html) {
					count[e.name]++
					for attribute, value := range e.attributes {
						if strings.HasPrefix(attribute, "on") {
							t.Errorf("%s: %q became the attribute %s", name, text, attribute)
						}
						if attribute == "href" || attribute == "action" {
							if !strings.HasPrefix(value, "/") && !strings.HasPrefix(value, "https://github.com/tegata/tegata/") || strings.HasPrefix(value, "//") {
								t.Errorf("%s: %q leads to %q", name, text, value)
							}
						}
					}
				}
				if count["script"]+count["img"] > 0 || count["form"] != test.forms {
					t.Errorf("%s: %q became an element; got %d forms, want %d:\n%s", name, text, count["form"], test.forms, html)
				}
			}
		}
	}
}

// A kubeconfig is copied from the page byte by byte.
func TestKubeconfigOnThePageIsItself(t *testing.T) {
	t.Parallel()
	pages := newRenderer(t, "https://id.example.com")
	const text = "a: 'x <y> & \"z\"'\n  b: \\\n"
	html := draw(func(w http.ResponseWriter, r *http.Request) {
		pages.PortalEntry(w, r, page.PortalEntry{Kubeconfig: text})
	}, "en").Body.String()
	_, html, _ = strings.Cut(html, "<summary>Show the text</summary>\n<pre tabindex=\"0\">")
	html, _, _ = strings.Cut(html, "</pre>")
	if got := unescape(html); got != text {
		t.Errorf("got %q, want %q", got, text)
	}
}

func unescape(html string) string {
	return strings.NewReplacer("&lt;", "<", "&gt;", ">", "&#34;", `"`, "&#39;", "'", "&amp;", "&", "&#43;", "+").Replace(html)
}

func TestEveryWordOfThePortalIsThereInBothLanguages(t *testing.T) {
	t.Parallel()
	places := page.Places()
	troubles := []page.Trouble{page.NoClient, page.NoToken, page.NoClaim, page.EmailUnverified}
	// The same in both languages.
	same := map[string]bool{"PluginUnix": true, "PluginMacOS": true, "PluginWindows": true}
	for language, words := range map[string]page.Messages{"English": page.English, "Japanese": page.Japanese} {
		value := reflect.ValueOf(words.Portal)
		for n := range value.NumField() {
			name, field := value.Type().Field(n).Name, value.Field(n)
			if field.Kind() != reflect.String {
				continue
			}
			text := field.String()
			if strings.TrimSpace(text) == "" {
				t.Errorf("%s has no word for %s", language, name)
			}
			if language == "Japanese" && !same[name] && !strings.ContainsFunc(text, func(r rune) bool {
				return unicode.In(r, unicode.Hiragana, unicode.Katakana, unicode.Han)
			}) {
				t.Errorf("%s: %q is not Japanese", name, text)
			}
		}
		for _, sentence := range []string{words.Portal.PluginWhat, words.Portal.CommandsFor} {
			if strings.Count(sentence, "%") != 1 || strings.Count(sentence, "%s") != 1 {
				t.Errorf("%s: %q has not exactly one place for a name", language, sentence)
			}
		}
		for _, place := range places {
			if words.Portal.Places[place] == "" {
				t.Errorf("%s has no word for %s", language, place)
			}
		}
		for _, trouble := range troubles {
			if text := words.Portal.Trouble(trouble); text.What == "" || text.Try == "" {
				t.Errorf("%s: %s: got %q and %q; want what happened and what to try", language, trouble, text.What, text.Try)
			}
		}
		if got := len(words.Portal.Places) + len(words.Portal.Troubles); got != len(places)+len(troubles) {
			t.Errorf("%s: got %d places and troubles, want %d", language, got, len(places)+len(troubles))
		}
	}
}

// A person finds themselves with many groups, and a browser gets the page.
func BenchmarkPortalPage(b *testing.B) {
	pages := newRenderer(b, "https://id.example.com")
	v := page.Portal{Account: page.Account{Username: "alice", Places: []page.Place{page.PlaceHome, page.PlaceLogins}}}
	for n := range 20 {
		v.Groups = append(v.Groups, fmt.Sprintf("group-%d", n))
	}
	for n := range 10 {
		v.Clusters = append(v.Clusters, page.PortalCluster{Name: fmt.Sprintf("cluster-%d", n), Title: "Cluster", Username: "oidc:alice", Groups: v.Groups})
	}
	for b.Loop() {
		draw(func(w http.ResponseWriter, r *http.Request) { pages.Portal(w, r, v) }, "en")
	}
}
