// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package page_test

import (
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/tegata/tegata/internal/provider/page"
	"github.com/tegata/tegata/internal/secret"
)

// drawnFactors is every page about second factors as it can look.
func drawnFactors(pages *page.Renderer) map[string]func(http.ResponseWriter, *http.Request) {
	const sealed, question = "c2VhbGVkLXJlcXVlc3Q", `{"challenge":"AAAA","rpId":"id.example.com"}`
	ask := func(v page.Factor) func(http.ResponseWriter, *http.Request) {
		v.Request, v.Username, v.RedirectURI = sealed, "alice", "http://localhost:8000"
		return func(w http.ResponseWriter, r *http.Request) { pages.Factor(w, r, http.StatusOK, v) }
	}
	enrol := func(v page.FactorEnrol) func(http.ResponseWriter, *http.Request) {
		v.Request, v.Key = sealed, secret.New("GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ")
		v.URI = secret.New("otpauth://totp/id.example.com:alice?secret=" + v.Key.Reveal())
		return func(w http.ResponseWriter, r *http.Request) { pages.FactorEnrol(w, r, http.StatusOK, v) }
	}
	var codes []secret.String
	for _, code := range strings.Fields("AAAAA-BBBBB-CCCCC DDDDD-EEEEE-FFFFF GGGGG-HHHHH-IIIII") {
		codes = append(codes, secret.New(code))
	}
	day := time.Date(2026, 11, 22, 23, 30, 0, 0, time.UTC)
	return map[string]func(http.ResponseWriter, *http.Request){
		"factor":                ask(page.Factor{Client: "Production cluster", Name: "Alice Archer", App: true, Recovery: true, Passkey: question}),
		"factor-app":            ask(page.Factor{App: true}),
		"factor-recovery":       ask(page.Factor{Client: "Production cluster", Recovery: true}),
		"factor-wrong":          ask(page.Factor{Client: "Production cluster", App: true, Recovery: true, Problem: page.WrongCode}),
		"factor-wrong-recovery": ask(page.Factor{App: true, Recovery: true, Problem: page.WrongRecovery}),
		"factor-too-many":       ask(page.Factor{App: true, Passkey: question, Problem: page.TooManyCodes}),
		"factor-passkey":        ask(page.Factor{Passkey: question, Problem: page.WrongPasskey}),
		"factor-enrol":          enrol(page.FactorEnrol{Path: "/factor", Required: true, Passkey: question, RedirectURI: "http://localhost:8000"}),
		"factor-enrol-app": enrol(page.FactorEnrol{
			Path: "/account/factors/add", Name: "a rather long name", Problem: page.WrongName,
		}),
		"recovery-codes": func(w http.ResponseWriter, r *http.Request) {
			pages.RecoveryCodes(w, r, page.RecoveryCodes{Codes: codes, Request: sealed, RedirectURI: "http://localhost:8000"})
		},
		"recovery-codes-own": func(w http.ResponseWriter, r *http.Request) {
			pages.RecoveryCodes(w, r, page.RecoveryCodes{Codes: codes})
		},
		"factors": func(w http.ResponseWriter, r *http.Request) {
			pages.Factors(w, r, http.StatusOK, page.Factors{
				Username: "alice", Name: "Alice Archer", Left: 7, Required: true, Problem: page.TooManyFactors, Factors: []page.FactorLine{
					{ID: "a", Name: "Phone", Created: day, Used: day.Add(time.Hour)}, {ID: "b", Passkey: true, Created: day},
				},
			})
		},
		"factors-none": func(w http.ResponseWriter, r *http.Request) {
			pages.Factors(w, r, http.StatusOK, page.Factors{Username: "bob"})
		},
	}
}

// A page that asks for a passkey has one script, which the policy names by
// its hash; a page that does not has none.
func TestPasskeyPagesAllowTheirOwnScriptAlone(t *testing.T) {
	pages := newRenderer(t, "https://id.example.com")
	for name, render := range drawnFactors(pages) {
		w := draw(render, "en")
		policy, body := w.Header().Get("Content-Security-Policy"), w.Body.String()
		_, rest, has := strings.Cut(body, "<script>")
		if wants := strings.Contains(body, "data-passkey"); has != wants || strings.Contains(policy, "script-src") != wants {
			t.Errorf("%s: script %v, policy %q", name, has, policy)
		}
		if !has {
			continue
		}
		script, _, _ := strings.Cut(rest, "</script>")
		sum := sha256.Sum256([]byte(script))
		if want := "script-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"; !strings.HasSuffix(policy, want) {
			t.Errorf("%s: got the policy %q, want %s", name, policy, want)
		}
	}
	hostile := `{"challenge":"</script><script>alert(1)</script>","x":"\" onload=\"alert(1)"}`
	w := draw(func(w http.ResponseWriter, r *http.Request) {
		pages.Factor(w, r, http.StatusOK, page.Factor{Client: hostile, Request: hostile, Username: hostile, Passkey: hostile, App: true, Recovery: true})
	}, "en")
	options := ""
	for _, e := range elements(t, w.Body.String()) {
		if e.attributes["data-options"] != "" {
			options = e.attributes["data-options"]
		}
		if e.attributes["onload"] != "" {
			t.Error("a text became an attribute")
		}
	}
	if options != hostile || strings.Count(w.Body.String(), "<script>") != 1 {
		t.Errorf("got the options %q in:\n%s", options, w.Body)
	}
}

func TestEveryWordAboutFactorsIsThere(t *testing.T) {
	for language, words := range map[string]page.Messages{"English": page.English, "Japanese": page.Japanese} {
		value := reflect.ValueOf(words.Factors)
		for n := range value.NumField() {
			if field := value.Field(n); field.Kind() == reflect.String && strings.TrimSpace(field.String()) == "" {
				t.Errorf("%s has no word for %s", language, value.Type().Field(n).Name)
			}
		}
		for _, problem := range []page.Problem{page.WrongCode, page.WrongRecovery, page.TooManyCodes, page.WrongPasskey, page.WrongName, page.TooManyFactors} {
			if said := words.Factors.Explain(problem); said.What == "" || said.Try == "" {
				t.Errorf("%s: %s: got %q and %q", language, problem, said.What, said.Try)
			}
		}
	}
}
