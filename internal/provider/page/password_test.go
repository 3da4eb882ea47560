// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package page_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/tegata/tegata/internal/identity"
	"github.com/tegata/tegata/internal/provider/page"
)

// everyRule is all that can be wrong with a password.
func everyRule() []identity.Flaw {
	return []identity.Flaw{
		{Rule: identity.LongEnough, Limit: 12},
		{Rule: identity.ShortEnough, Limit: 1024},
		{Rule: identity.HasLowercase},
		{Rule: identity.HasUppercase},
		{Rule: identity.HasDigit},
		{Rule: identity.HasSymbol},
		{Rule: identity.Uncommon},
		{Rule: identity.Impersonal},
		{Rule: identity.Fresh, Limit: 5},
	}
}

// drawnPasswords is every page on which a person sets a password as it can
// look.
func drawnPasswords(pages *page.Renderer) map[string]func(http.ResponseWriter, *http.Request) {
	alice := page.Account{
		Username: "alice", Name: "Alice Archer", Here: page.PlacePassword,
		Places: []page.Place{page.PlaceHome, page.PlaceLogins, page.PlacePassword},
	}
	rules := []identity.Flaw{{Rule: identity.LongEnough, Limit: 12}, {Rule: identity.HasDigit}, {Rule: identity.Fresh, Limit: 1}}
	change := func(v page.ChangePassword) func(http.ResponseWriter, *http.Request) {
		v.Account = alice
		return func(w http.ResponseWriter, r *http.Request) { pages.ChangePassword(w, r, http.StatusOK, v) }
	}
	welcome := func(v page.Welcome) func(http.ResponseWriter, *http.Request) {
		v.Token, v.Username = "c2VhbGVkLWxpbms", "alice"
		return func(w http.ResponseWriter, r *http.Request) { pages.Welcome(w, r, http.StatusOK, v) }
	}
	return map[string]func(http.ResponseWriter, *http.Request){
		"password":           change(page.ChangePassword{NewPassword: page.NewPassword{Rules: rules}}),
		"password-directory": change(page.ChangePassword{NewPassword: page.NewPassword{Problem: page.PasswordRefused, Reason: "Password is too young to change"}}),
		"password-flaws":     change(page.ChangePassword{NewPassword: page.NewPassword{Rules: rules, Problem: page.PasswordRefused, Flaws: everyRule()}}),
		"password-wrong":     change(page.ChangePassword{NewPassword: page.NewPassword{Rules: rules, Problem: page.WrongOldPassword}}),
		"password-differ":    change(page.ChangePassword{NewPassword: page.NewPassword{Rules: rules, Problem: page.PasswordsDiffer}}),
		"password-elsewhere": change(page.ChangePassword{Elsewhere: true}),
		"password-changed": func(w http.ResponseWriter, r *http.Request) {
			pages.PasswordChanged(w, r, page.PasswordChanged{Account: alice})
		},
		"welcome":       welcome(page.Welcome{Invited: true, Name: "Alice Archer", NewPassword: page.NewPassword{Rules: rules}}),
		"welcome-reset": welcome(page.Welcome{NewPassword: page.NewPassword{Rules: rules}}),
		"welcome-flaws": welcome(page.Welcome{NewPassword: page.NewPassword{Rules: rules, Problem: page.PasswordRefused, Flaws: everyRule()[:2]}}),
		"link-spent":    pages.LinkSpent,
		"expired-password-flaws": func(w http.ResponseWriter, r *http.Request) {
			pages.ExpiredPassword(w, r, http.StatusBadRequest, page.ExpiredPassword{Request: "c2VhbGVk", Login: "alice", Problem: page.PasswordRefused, Flaws: everyRule()[:2]})
		},
	}
}

func TestEveryRuleHasWordsOnPages(t *testing.T) {
	pages := newRenderer(t, "https://id.example.com")
	for _, language := range []string{"en", "ja"} {
		body := draw(drawnPasswords(pages)["password-flaws"], language).Body.String()
		_, flaws, _ := strings.Cut(body, `role="alert"`)
		flaws, _, _ = strings.Cut(flaws, "</ul>")
		if strings.Count(flaws, "<li>") != len(everyRule()) || strings.Contains(flaws, "<li></li>") || strings.Contains(flaws, "%d") {
			t.Errorf("%s: got\n%s", language, flaws)
		}
	}
}

// The address of the page is a secret, and so is what stands in it.
func TestWelcomeTellsNobodyItsAddress(t *testing.T) {
	pages := newRenderer(t, "https://id.example.com")
	for _, name := range []string{"welcome", "link-spent"} {
		w := draw(drawnPasswords(pages)[name], "en")
		if got := w.Header().Get("Referrer-Policy"); got != "no-referrer" {
			t.Errorf("%s: Referrer-Policy: got %q", name, got)
		}
		if got := w.Header().Get("Cache-Control"); got != "no-store" {
			t.Errorf("%s: Cache-Control: got %q", name, got)
		}
	}
}
