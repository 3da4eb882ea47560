// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package page_test

import (
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/tegata/tegata/internal/provider/page"
	"github.com/tegata/tegata/internal/secret"
)

// drawnConsole is every administration page as it can look.
func drawnConsole(pages *page.Renderer) map[string]func(http.ResponseWriter, *http.Request) {
	at := func(hour int) time.Time { return time.Date(2026, 12, 1, hour, 30, 0, 0, time.UTC) }
	frame := func(here page.ConsoleArea, back string) page.Console {
		return page.Console{Who: "Alice Archer", Here: here, Back: back, Commands: []string{"tegata user list", "tegata key rotate --now"}}
	}
	stale := func(f page.Console) page.Console {
		f.Again = f.Back + "?login=again"
		return f
	}
	noticed := func(f page.Console, n page.ConsoleNotice) page.Console {
		f.Notice = n
		return f
	}
	sources := []page.ConsoleSource{{Name: "corp", Title: "Example Corp"}, {Name: "google", Title: "google", Elsewhere: true}, {Name: "local", Title: "local"}}
	keys := []page.ConsoleKey{
		{ID: "XEvNR7lFjyUhw4D8uOlMpHzBIWIXfRBPGaxWjXhgC5U", Algorithm: "RS256", State: "active", Since: at(1), Until: at(20), SuccessorAt: at(19)},
		{ID: "BgF8zR0bK1", Algorithm: "RS256", State: "retiring", Since: at(1), Until: at(2)},
		{ID: "q1lFjyUhw4D", Algorithm: "ES256", State: "published", Since: at(3), Until: at(4)},
	}
	alice := page.ConsoleUserEntry{Subject: "alice-k3jx7q2m", Username: "alice", Name: "Alice Archer", Email: "alice@example.com", Source: "local"}
	bob := page.ConsoleUserEntry{
		Subject: "corp:cn=bob,dc=x", Username: "bob", Source: "corp", States: []page.ConsoleState{page.StateDisabled},
	}
	carol := page.ConsoleUserEntry{Subject: "carol-2", Username: "carol", Source: "local", Declared: true, States: []page.ConsoleState{page.StateLocked, page.StateMustChange}}
	sessions := []page.ConsoleSession{
		{ID: "s1", Subject: "alice-k3jx7q2m", Username: "alice", Device: "Firefox on Linux", Address: "192.0.2.7", Began: at(8), Used: at(9), Expires: at(11), This: true},
		{ID: "s2", Subject: "corp:cn=bob,dc=x", Username: "bob", Device: "Safari on iPhone", Address: "2001:db8::7", Began: at(8), Used: at(9), Expires: at(11)},
	}
	grants := []page.ConsoleGrant{
		{ID: "g1", Subject: "alice-k3jx7q2m", Username: "alice", Client: "kubernetes", Device: "kubectl-oidc_login/1.0", Address: "192.0.2.7", Began: at(8), Used: at(9), Expires: at(23)},
	}
	draw := map[string]func(http.ResponseWriter, *http.Request){}
	home := page.ConsoleHome{
		Console: frame(page.ConsoleOverview, "/admin"), Issuer: "https://id.example.com/dex", Sources: sources, Users: 10000, Groups: 12,
		Clients: 3, Sessions: 41, Grants: 220, Keys: keys, Warnings: []string{"the RS256 signing key X should have been replaced at 2026-11-01T00:00:00Z"},
	}
	draw["console-overview"] = func(w http.ResponseWriter, r *http.Request) { pages.ConsoleHome(w, r, home) }
	users := page.ConsoleUserList{
		Console: frame(page.ConsoleUsers, "/admin/users"), Search: `a&b "c"`, Source: "corp", Sources: sources,
		Users: []page.ConsoleUserEntry{alice, bob, carol}, Next: "Y2Fyb2w", Local: true,
	}
	draw["console-users"] = func(w http.ResponseWriter, r *http.Request) { pages.ConsoleUserList(w, r, users) }
	draw["console-users-none"] = func(w http.ResponseWriter, r *http.Request) {
		pages.ConsoleUserList(w, r, page.ConsoleUserList{
			Console: noticed(frame(page.ConsoleUsers, "/admin/users"), page.ConsoleNotice{What: page.UserDeleted, About: "alice"}),
		})
	}
	draw["console-new-user"] = func(w http.ResponseWriter, r *http.Request) {
		pages.ConsoleNewUser(w, r, page.ConsoleNewUser{
			Console:  noticed(frame(page.ConsoleUsers, "/admin/users/add"), page.ConsoleNotice{What: page.NotValid, Detail: `user name "a:b" contains :`}),
			Username: "a:b", Email: "a@example.com", Name: "A B", Group: "readers", Groups: []string{"platform", "readers"},
		})
	}
	draw["console-new-user-stale"] = func(w http.ResponseWriter, r *http.Request) {
		pages.ConsoleNewUser(w, r, page.ConsoleNewUser{Console: stale(frame(page.ConsoleUsers, "/admin/users/add"))})
	}
	user := page.ConsoleUser{
		Console:          noticed(frame(page.ConsoleUsers, "/admin/user?subject=alice-k3jx7q2m"), page.ConsoleNotice{What: page.PasswordMade, About: "alice", Secret: secret.New("Kx7pW-Rm3qT")}),
		ConsoleUserEntry: alice, EmailVerified: true, LockedUntil: at(10), Expires: at(22), Seen: "5eed",
		Groups:   []page.ConsoleMembership{{Name: "platform", Link: true}, {Name: "readers", Link: true, Fixed: true}},
		Factors:  []page.ConsoleFactor{{Kind: "totp", Name: "phone", Created: at(1), Used: at(2)}, {Kind: "passkey", Created: at(1)}, {Kind: "recovery", Created: at(1)}},
		Sessions: sessions, Grants: grants,
		Acts: page.ConsoleUserActs{Disable: true, Unlock: true, Password: true, Link: true, Factors: true, Groups: true, Delete: true},
	}
	draw["console-user"] = func(w http.ResponseWriter, r *http.Request) { pages.ConsoleUser(w, r, user) }
	draw["console-user-elsewhere"] = func(w http.ResponseWriter, r *http.Request) {
		pages.ConsoleUser(w, r, page.ConsoleUser{
			Console: frame(page.ConsoleUsers, "/admin/user?subject=corp%3Acn"), ConsoleUserEntry: bob, Seen: "5eed",
			Groups: []page.ConsoleMembership{{Name: "corp-staff", Fixed: true}}, Acts: page.ConsoleUserActs{Enable: true, Delete: true},
		})
	}
	draw["console-user-stale"] = func(w http.ResponseWriter, r *http.Request) {
		v := user
		v.Console, v.Self = stale(frame(page.ConsoleUsers, "/admin/user?subject=alice-k3jx7q2m")), true
		v.Notice = page.ConsoleNotice{What: page.LogInAgain}
		pages.ConsoleUser(w, r, v)
	}
	draw["console-groups"] = func(w http.ResponseWriter, r *http.Request) {
		pages.ConsoleGroupList(w, r, page.ConsoleGroupList{
			Console: frame(page.ConsoleGroups, "/admin/groups"), Entries: []page.ConsoleGroupEntry{{Name: "platform", Members: 2}, {Name: "readers", Declared: true}},
			Next: "readers", Local: true, Name: "new",
		})
	}
	draw["console-group"] = func(w http.ResponseWriter, r *http.Request) {
		pages.ConsoleGroup(w, r, page.ConsoleGroup{
			Console: noticed(frame(page.ConsoleGroups, "/admin/group?name=platform"), page.ConsoleNotice{What: page.LocksYouOut}),
			Entry:   page.ConsoleGroupEntry{Name: "platform", Members: 2}, Members: []page.ConsoleUserEntry{alice, carol}, Next: "Y2Fyb2w", Member: "dave",
		})
	}
	draw["console-group-declared"] = func(w http.ResponseWriter, r *http.Request) {
		pages.ConsoleGroup(w, r, page.ConsoleGroup{
			Console: frame(page.ConsoleGroups, "/admin/group?name=readers"), Entry: page.ConsoleGroupEntry{Name: "readers", Members: 1, Declared: true},
			Members: []page.ConsoleUserEntry{alice},
		})
	}
	draw["console-clients"] = func(w http.ResponseWriter, r *http.Request) {
		pages.ConsoleClientList(w, r, page.ConsoleClientList{
			Console: frame(page.ConsoleClients, "/admin/clients"), Search: "kube", Next: "web",
			Clients: []page.ConsoleClientEntry{{ID: "kubernetes", Name: "Production cluster", Public: true, Declared: true}, {ID: "web"}},
		})
	}
	draw["console-client"] = func(w http.ResponseWriter, r *http.Request) {
		pages.ConsoleClient(w, r, page.ConsoleClient{
			Console:            noticed(frame(page.ConsoleClients, "/admin/client?id=web"), page.ConsoleNotice{What: page.ClientAdded, About: "web", Secret: secret.New("s3cr3t")}),
			ConsoleClientEntry: page.ConsoleClientEntry{ID: "web", Name: "Web console"}, Seen: "5eed", Grants: grants, More: true,
			Settings: []page.ConsoleSetting{{Key: "id", Values: []string{"web"}}, {Key: "redirect_uris", Values: []string{"https://a.example/", "https://b.example/"}}},
		})
	}
	draw["console-client-declared"] = func(w http.ResponseWriter, r *http.Request) {
		pages.ConsoleClient(w, r, page.ConsoleClient{
			Console:            frame(page.ConsoleClients, "/admin/client?id=kubernetes"),
			ConsoleClientEntry: page.ConsoleClientEntry{ID: "kubernetes", Public: true, Declared: true}, Settings: []page.ConsoleSetting{{Key: "id", Values: []string{"kubernetes"}}},
		})
	}
	draw["console-new-client"] = func(w http.ResponseWriter, r *http.Request) {
		pages.ConsoleNewClient(w, r, page.ConsoleNewClient{
			Console: frame(page.ConsoleClients, "/admin/clients/add"), ID: "web", Name: "Web console", RedirectURIs: "https://a.example/\nhttps://b.example/", Confidential: true,
		})
	}
	draw["console-logins"] = func(w http.ResponseWriter, r *http.Request) {
		pages.ConsoleLoginList(w, r, page.ConsoleLoginList{
			Console: frame(page.ConsoleLogins, "/admin/logins?user=alice"), User: "alice", Sessions: sessions, Grants: grants, NextSessions: "1.s2", NextGrants: "1.g1",
		})
	}
	draw["console-logins-unknown"] = func(w http.ResponseWriter, r *http.Request) {
		pages.ConsoleLoginList(w, r, page.ConsoleLoginList{Console: frame(page.ConsoleLogins, "/admin/logins?user=mallory"), User: "mallory", Unknown: true})
	}
	draw["console-keys"] = func(w http.ResponseWriter, r *http.Request) {
		pages.ConsoleKeyList(w, r, page.ConsoleKeyList{
			Console: frame(page.ConsoleKeys, "/admin/keys"), Keys: keys, Algorithms: []string{"RS256", "ES256"}, PublishAhead: "24h", SafeLead: "20m5s",
		})
	}
	events := []page.ConsoleEvent{
		{Time: at(9), Act: "administration", Subject: "bob-2", Actor: "alice-k3jx7q2m", Reason: "tegata user disable", Remote: "192.0.2.7:1", Agent: "Firefox"},
		{Time: at(8), Act: "tokens_issued", Subject: "alice-k3jx7q2m", Client: "kubernetes", IDs: []string{"g1", "jti-1"}},
		{Time: at(7), Act: "unheard_of"},
	}
	history := page.ConsoleEventList{
		Console: frame(page.ConsoleTrail, "/admin/trail"), Place: page.TrailInFile, Act: "administration", Person: "alice", Client: "kubernetes",
		Acts: []string{"login", "administration"}, Events: events, Next: "0123456789ab-17", Unreadable: 3, Exhausted: true, After: true,
	}
	draw["console-trail"] = func(w http.ResponseWriter, r *http.Request) { pages.ConsoleEventList(w, r, history) }
	draw["console-trail-gone"] = func(w http.ResponseWriter, r *http.Request) {
		pages.ConsoleEventList(w, r, page.ConsoleEventList{Console: frame(page.ConsoleTrail, "/admin/trail"), Place: page.TrailInFile, Gone: true})
	}
	for _, place := range []page.ConsoleTrailPlace{page.TrailOnOutput, page.TrailNowhere} {
		draw["console-trail-"+string(place)] = func(w http.ResponseWriter, r *http.Request) {
			pages.ConsoleEventList(w, r, page.ConsoleEventList{Console: frame(page.ConsoleTrail, "/admin/trail"), Place: place})
		}
	}
	return draw
}

// Every word is there in both languages, and takes as many names.
func TestConsoleWords(t *testing.T) {
	english, japanese := reflect.ValueOf(page.English.Console), reflect.ValueOf(page.Japanese.Console)
	var compare func(name string, one, other reflect.Value)
	compare = func(name string, one, other reflect.Value) {
		switch one.Kind() {
		case reflect.String:
			e, j := one.String(), other.String()
			if strings.TrimSpace(e) == "" || strings.TrimSpace(j) == "" {
				t.Errorf("%s: got %q and %q", name, e, j)
			}
			if strings.Count(e, "%s") != strings.Count(j, "%s") || strings.Count(e, "%d") != strings.Count(j, "%d") {
				t.Errorf("%s: %q and %q have places for different names", name, e, j)
			}
			if !strings.ContainsFunc(j, func(r rune) bool { return unicode.In(r, unicode.Hiragana, unicode.Katakana, unicode.Han) }) {
				t.Errorf("%s: %q is not Japanese", name, j)
			}
		case reflect.Map:
			if one.Len() != other.Len() {
				t.Errorf("%s: got %d and %d words", name, one.Len(), other.Len())
			}
			for _, key := range one.MapKeys() {
				if value := other.MapIndex(key); value.IsValid() {
					compare(name+" "+key.String(), one.MapIndex(key), value)
				} else {
					t.Errorf("%s: there is no Japanese for %s", name, key)
				}
			}
		case reflect.Struct:
			for n := range one.NumField() {
				compare(name+" "+one.Type().Field(n).Name, one.Field(n), other.Field(n))
			}
		default:
			t.Fatalf("%s is a %s", name, one.Kind())
		}
	}
	compare("console", english, japanese)
	for _, area := range (page.Console{}).Areas() {
		if page.English.Console.Areas[area] == "" {
			t.Errorf("there is no word for %s", area)
		}
	}
}

// Names of users and clients come from anywhere.
func TestConsoleEscapesHostileTexts(t *testing.T) {
	pages := newRenderer(t, "https://id.example.com")
	for _, text := range []string{
		`<script>alert(1)</script>`, `"><img src=x onerror=alert(1)>`, `' onfocus='alert(1)`, `javascript:alert(1)`, `{{.Page}}`, `%s%d%!`, "a\x00b", `</td></table><form action=//evil.example>`,
	} {
		entry := page.ConsoleUserEntry{Subject: text, Username: text, Name: text, Email: text, Source: text}
		session := page.ConsoleSession{ID: text, Subject: text, Username: text, Device: text, Address: text}
		grant := page.ConsoleGrant{ID: text, Subject: text, Username: text, Client: text, Device: text, Address: text}
		frame := page.Console{Who: text, Here: page.ConsoleUsers, Back: "/admin/user", Notice: page.ConsoleNotice{What: page.UserAdded, About: text, Secret: secret.New(text)}}
		refused := frame
		refused.Notice = page.ConsoleNotice{What: page.NotConfirmed, About: text, Detail: text}
		for name, render := range map[string]func(http.ResponseWriter, *http.Request){
			"user": func(w http.ResponseWriter, r *http.Request) {
				pages.ConsoleUser(w, r, page.ConsoleUser{
					Console: frame, ConsoleUserEntry: entry, Groups: []page.ConsoleMembership{{Name: text, Link: true}},
					Factors: []page.ConsoleFactor{{Kind: text, Name: text}}, Sessions: []page.ConsoleSession{session}, Grants: []page.ConsoleGrant{grant},
					Acts: page.ConsoleUserActs{Disable: true, Password: true, Link: true, Groups: true, Delete: true, Factors: true},
				})
			},
			"users": func(w http.ResponseWriter, r *http.Request) {
				pages.ConsoleUserList(w, r, page.ConsoleUserList{Console: refused, Search: text, Source: text, Users: []page.ConsoleUserEntry{entry}, Next: text})
			},
			"group": func(w http.ResponseWriter, r *http.Request) {
				pages.ConsoleGroup(w, r, page.ConsoleGroup{Console: frame, Entry: page.ConsoleGroupEntry{Name: text}, Members: []page.ConsoleUserEntry{entry}, Member: text, Next: text})
			},
			"client": func(w http.ResponseWriter, r *http.Request) {
				pages.ConsoleClient(w, r, page.ConsoleClient{Console: frame, ConsoleClientEntry: page.ConsoleClientEntry{ID: text, Name: text}, Settings: []page.ConsoleSetting{{Key: text, Values: []string{text}}}})
			},
			"trail": func(w http.ResponseWriter, r *http.Request) {
				pages.ConsoleEventList(w, r, page.ConsoleEventList{
					Console: frame, Place: page.TrailInFile, Act: text, Person: text, Client: text, Next: text,
					Events: []page.ConsoleEvent{{Act: text, Subject: text, Actor: text, Client: text, Reason: text, Remote: text, Agent: text, IDs: []string{text}}},
				})
			},
		} {
			w := httptest.NewRecorder()
			render(w, httptest.NewRequest(http.MethodGet, "/", nil))
			for _, e := range elements(t, w.Body.String()) {
				for attribute, value := range e.attributes {
					if strings.HasPrefix(attribute, "on") {
						t.Errorf("%s: %q became the attribute %s", name, text, attribute)
					}
					if (attribute == "href" || attribute == "action") && !strings.HasPrefix(value, "/") {
						t.Errorf("%s: %q leads to %q", name, text, value)
					}
				}
				if e.name == "script" || e.name == "img" {
					t.Errorf("%s: %q became an element", name, text)
				}
			}
			if w.Code != http.StatusOK || !strings.HasSuffix(strings.TrimSpace(w.Body.String()), "</html>") {
				t.Errorf("%s: %q broke the page: status %d", name, text, w.Code)
			}
		}
	}
}
