// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/webauthn"
	"github.com/chromedp/chromedp"

	"github.com/tegata/tegata/test/person"
)

// browserPatience is how long a page may take to say what happened.
const browserPatience = 30 * time.Second

// virtual is an authenticator inside Chromium, with a fingerprint that is
// always recognized.
type virtual struct {
	t  *testing.T
	b  *person.Browser
	id webauthn.AuthenticatorID
}

func addAuthenticator(t *testing.T, b *person.Browser) *virtual {
	t.Helper()
	v := &virtual{t: t, b: b}
	v.do(func(ctx context.Context, target *chromedp.Target) error {
		if _, err := cdp.Call(ctx, target, webauthn.Enable, webauthn.EnableParams{}); err != nil {
			return err
		}
		added, err := cdp.Call(ctx, target, webauthn.AddVirtualAuthenticator, webauthn.AddVirtualAuthenticatorParams{
			Options: &webauthn.VirtualAuthenticatorOptions{
				Protocol: webauthn.AuthenticatorProtocolCtap2, Transport: webauthn.AuthenticatorTransportInternal, HasResidentKey: true,
				HasUserVerification: true, IsUserVerified: true, AutomaticPresenceSimulation: true,
			},
		})
		v.id = added.AuthenticatorID
		return err
	})
	return v
}

func (v *virtual) do(act func(ctx context.Context, target *chromedp.Target) error) {
	v.t.Helper()
	if err := chromedp.Do(v.b.Context(), chromedp.Func(act)); err != nil {
		v.t.Fatal(err)
	}
}

// count sets the counter of the one credential, and returns what it was.
func (v *virtual) count(counter float64) (before float64) {
	v.t.Helper()
	v.do(func(ctx context.Context, target *chromedp.Target) error {
		has, err := cdp.Call(ctx, target, webauthn.GetCredentials, webauthn.GetCredentialsParams{AuthenticatorID: v.id})
		if err != nil {
			return err
		}
		if len(has.Credentials) != 1 {
			return fmt.Errorf("the authenticator has %d credentials, want 1", len(has.Credentials))
		}
		before = has.Credentials[0].SignCount
		_, err = cdp.Call(ctx, target, webauthn.SetCredentialProperties, webauthn.SetCredentialPropertiesParams{
			AuthenticatorID: v.id, CredentialID: has.Credentials[0].CredentialID, SignCount: &counter,
		})
		return err
	})
	return before
}

// verifies says whether the fingerprint is recognized.
func (v *virtual) verifies(yes bool) {
	v.t.Helper()
	v.do(func(ctx context.Context, target *chromedp.Target) error {
		_, err := cdp.Call(ctx, target, webauthn.SetUserVerified, webauthn.SetUserVerifiedParams{AuthenticatorID: v.id, IsUserVerified: yes})
		return err
	})
}

// evaluate runs a script in the page.
func evaluate(t *testing.T, b *person.Browser, script string) string {
	t.Helper()
	found, err := chromedp.Run(b.Context(), chromedp.Evaluate[string](script))
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// A passkey in a real browser: added at a login that needs one, used at the
// next, and refused when it was lured to another site, when its user was not
// verified and when its counter went back.
func TestPasskeyInABrowser(t *testing.T) {
	p := serve(t, "second_factor: {required: true}\n")
	who := person.Person{Login: "alice", Password: p.alice(), CAFile: p.ca()}
	codes := make(chan string, 10)
	callback := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if code := r.URL.Query().Get("code"); code != "" {
			codes <- code
		}
		fmt.Fprint(w, "<!doctype html><title>home</title><p>welcome home")
	}))
	defer callback.Close()
	p.tegata("", "client", "add", "web", "--public", "--redirect-uri", callback.URL+"/callback")
	address := func() string {
		return p.issuer + "/authorize?" + url.Values{
			"response_type": {"code"}, "client_id": {"web"}, "redirect_uri": {callback.URL + "/callback"}, "scope": {"openid"}, "prompt": {"login"},
			"code_challenge": {"E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"}, "code_challenge_method": {"S256"},
		}.Encode()
	}
	b, err := who.Chromium(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	}()
	complaints := listen(t, b)
	v := addAuthenticator(t, b)
	logIn := func() person.Page {
		t.Helper()
		page, err := b.LogIn(address())
		if err != nil {
			t.Fatal(err)
		}
		return page
	}
	want := func(page person.Page, err error, part string) {
		t.Helper()
		if err != nil || !strings.Contains(page.Text, part) {
			t.Fatalf("got %s (%s), %v, want %q:\n%s", page.Address, page.Title, err, part, page.Text)
		}
	}
	const passkey = `form[data-passkey] button`

	// It is added, the codes are shown, and the login goes on.
	want(logIn(), nil, "Add a second factor")
	page, err := b.PressAt(passkey)
	want(page, err, "Your recovery codes")
	page, err = b.PressAt("form button")
	want(page, err, "welcome home")
	if code := <-codes; code == "" {
		t.Error("got no code")
	}
	if out := p.tegata("", "user", "factor", "list", "alice"); !strings.Contains(out, "passkey") || !strings.Contains(out, "10 left") {
		t.Errorf("tegata user factor list:\n%s", out)
	}

	// It logs in.
	want(logIn(), nil, "Confirm that it is you")
	page, err = b.PressAt(passkey)
	want(page, err, "welcome home")
	<-codes

	// Without a fingerprint the browser gives nothing, and says so on the page.
	v.verifies(false)
	want(logIn(), nil, "Confirm that it is you")
	evaluate(t, b, `document.querySelector("form[data-passkey] button").click(), ""`)
	eventually(t, browserPatience, func() error {
		if text := evaluate(t, b, `document.body.innerText`); !strings.Contains(text, "The passkey was not used.") {
			return fmt.Errorf("the page says:\n%s", text)
		}
		return nil
	})
	v.verifies(true)
	page, err = b.PressAt(passkey) // the same page is good
	want(page, err, "welcome home")
	<-codes

	// A site at another port asks the same question, and brings the answer.
	lure := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, "<!doctype html><title>lure</title><p>log in here")
	}))
	defer lure.Close()
	want(logIn(), nil, "Confirm that it is you")
	stolen := evaluate(t, b, `(f => JSON.stringify([f.dataset.options, f.elements.request.value]))(document.querySelector("form[data-passkey]"))`)
	script := evaluate(t, b, `document.scripts[0].text`)
	if _, err := b.Visit(strings.Replace(lure.URL, "127.0.0.1", "localhost", 1)); err != nil {
		t.Fatal(err)
	}
	evaluate(t, b, `(([options, request]) => {
		document.body.innerHTML = '<form data-passkey="get"><input name="request"><input name="credential"><p role="alert"></p><button></button></form>'
		const form = document.forms[0]
		form.dataset.options = options
		form.submit = () => document.title = "caught"
		new Function(`+strconv.Quote(script)+`)()
		form.querySelector("button").click()
		return ""
	})(`+stolen+`)`)
	eventually(t, browserPatience, func() error {
		if title := evaluate(t, b, `document.title`); title != "caught" {
			return fmt.Errorf("the title is %q", title)
		}
		return nil
	})
	credential := evaluate(t, b, `document.forms[0].elements.credential.value`)
	var pair []string
	if err := json.Unmarshal([]byte(stolen), &pair); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Visit(p.issuer + "/authorize?nonsense"); err != nil {
		t.Fatal(err)
	}
	page, err = b.Post("/factor", map[string]string{"request": pair[1], "credential": credential})
	want(page, err, "This passkey did not work.")

	// A copy that counts from where it was made.
	want(logIn(), nil, "Confirm that it is you")
	now := v.count(1)
	page, err = b.PressAt(passkey)
	want(page, err, "This passkey did not work.")
	v.count(now + 10)
	page, err = b.PressAt(passkey)
	want(page, err, "welcome home")
	<-codes

	if got := complaints(); len(got) > 0 {
		t.Errorf("the browser complains: %q", got)
	}
}

// The pages about second factors, in both languages, light and dark, at phone
// and desktop width, as TestPagesInABrowser looks at the others.
func TestFactorPagesInABrowser(t *testing.T) {
	p := serve(t, "second_factor: {required: true}\n")
	password := p.alice()
	for language, words := range map[string]map[string]string{
		"en": {
			"enrol": "Your organization wants more than a password", "codes": "Your recovery codes", "ask": "Confirm that it is you",
			"wrong": "The recovery code is wrong", "list": "Your second factors", "add": "Somebody who learns your password",
		},
		"ja": {
			"enrol": "パスワードだけではログインできません", "codes": "リカバリーコード", "ask": "本人確認",
			"wrong": "リカバリーコードが違うか", "list": "として", "add": "これがなければログインされません",
		},
	} {
		t.Run(language, func(t *testing.T) {
			p.tegata("", "user", "factor", "reset", "alice", "--yes")
			who := person.Person{Login: "alice", Password: password, CAFile: p.ca(), Language: language}
			b, err := who.Chromium(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			defer func() {
				if err := b.Close(); err != nil {
					t.Error(err)
				}
			}()
			complaints := listen(t, b)
			addAuthenticator(t, b)
			see := func(page, want string) {
				t.Helper()
				for _, width := range []int64{320, 1280} {
					for _, scheme := range []string{"light", "dark"} {
						look(t, b, fmt.Sprintf("factor-%s-%s-%d-%s", page, language, width, scheme), width, scheme, want)
					}
				}
			}
			must := func(_ person.Page, err error) {
				t.Helper()
				if err != nil {
					t.Fatal(err)
				}
			}
			must(b.LogIn(p.issuer + "/account/factors"))
			see("enrol", words["enrol"])
			must(b.PressAt(`form[data-passkey] button`))
			see("codes", words["codes"])
			must(b.PressAt("form button"))
			see("list", words["list"])
			must(b.PressAt(`form[method=get] button`))
			see("add", words["add"])
			must(b.Visit(p.issuer + "/logout"))
			must(b.Press("logout"))
			must(b.LogIn(p.issuer + "/account/factors"))
			see("ask", words["ask"])
			evaluate(t, b, `document.querySelector("details").open = true, document.querySelector("#recovery").value = "AAAAA-AAAAA-AAAAA", ""`)
			see("recovery", words["ask"])
			must(b.PressAt("details button"))
			see("wrong", words["wrong"])
			// Without a script the other ways are there, and the page says so.
			if err := withoutScript(b); err != nil {
				t.Fatal(err)
			}
			must(b.LogIn(p.issuer + "/account/factors"))
			see("no-script", words["ask"])
			if got := complaints(); len(got) > 0 {
				t.Errorf("the browser complains: %q", got)
			}
		})
	}
}
