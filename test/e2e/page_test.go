// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/chromedp"

	"github.com/tegata/tegata/internal/oidc"
	"github.com/tegata/tegata/internal/secret"
	"github.com/tegata/tegata/test/person"
)

// screenshotsVariable names a folder that gets a picture of each page.
const screenshotsVariable = "TEGATA_SCREENSHOTS"

// audit is what a page must satisfy, checked inside the real browser.
const audit = `(() => {
	const problems = [];
	const root = document.documentElement;
	if (root.scrollWidth > window.innerWidth) problems.push("scrolls sideways: " + root.scrollWidth + " > " + window.innerWidth);
	if (!root.lang) problems.push("no lang");
	if (!document.title) problems.push("no title");
	if (document.querySelectorAll("h1").length !== 1) problems.push("not one h1");
	if (document.querySelectorAll("main").length !== 1) problems.push("not one main");
	if (document.scripts.length) problems.push("has a script");
	if (!document.styleSheets.length || !document.styleSheets[0].cssRules.length) problems.push("the style sheet did not load");
	const ids = [...document.querySelectorAll("[id]")].map(e => e.id);
	if (new Set(ids).size !== ids.length) problems.push("an id twice");
	for (const field of document.querySelectorAll("input:not([type=hidden])")) {
		if (!field.labels.length) problems.push("no label: " + field.name);
		if (!field.autocomplete) problems.push("no autocomplete: " + field.name);
		if (field.getBoundingClientRect().height < 24) problems.push("too small to touch: " + field.name);
	}
	for (const e of document.querySelectorAll("[aria-describedby]"))
		if (!document.getElementById(e.getAttribute("aria-describedby"))) problems.push("describedby leads nowhere");
	const luminance = c => {
		const [r, g, b] = c.match(/[\d.]+/g).map(Number).map(v => v / 255).map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
		return 0.2126 * r + 0.7152 * g + 0.0722 * b;
	};
	const background = e => {
		for (; e; e = e.parentElement) {
			const c = getComputedStyle(e).backgroundColor;
			if (c !== "rgba(0, 0, 0, 0)" && c !== "transparent") return c;
		}
		return "rgb(255, 255, 255)";
	};
	for (const e of document.querySelectorAll("h1, p, label, input:not([type=hidden]), button, dt, dd, code, strong")) {
		const a = luminance(getComputedStyle(e).color), b = luminance(background(e));
		const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
		if (ratio < 4.5) problems.push("contrast " + ratio.toFixed(2) + ": " + e.tagName + " " + e.className);
	}
	return problems;
})()`

// Every page, in both languages, light and dark, at phone and desktop width,
// in a real browser: it fits, it can be read, and the browser has nothing to
// complain about.
func TestPagesInABrowser(t *testing.T) {
	p := serve(t, "")
	password := p.alice()
	p.tegata("", "client", "add", "kubernetes", "--public", "--name", "Kubernetes (laboratory)", "--redirect-uri", "http://localhost:8000")
	challenge := oidc.CodeChallenge(oidc.NewCodeVerifier())
	authorize := func(change url.Values) string {
		query := url.Values{
			"response_type": {"code"}, "client_id": {"kubernetes"}, "redirect_uri": {"http://localhost:8000"}, "scope": {"openid"},
			"code_challenge": {challenge}, "code_challenge_method": {"S256"}, "prompt": {"login"},
		}
		for name, values := range change {
			query[name] = values
		}
		return p.issuer + "/authorize?" + query.Encode()
	}
	for _, language := range []string{"en", "ja"} {
		wrong := person.Person{Login: "alice", Password: secret.New("not her password"), CAFile: p.ca(), Language: language}
		right := person.Person{Login: "alice", Password: password, CAFile: p.ca(), Language: language}
		pages := []struct {
			name  string
			who   person.Person
			visit func(*person.Browser) error
			want  map[string]string // what the page says, by language
		}{
			{
				"login", right, func(b *person.Browser) error { return visit(b, authorize(nil)) },
				map[string]string{"en": "to continue to Kubernetes (laboratory)", "ja": "Kubernetes (laboratory) に進む"},
			},
			{
				"wrong-password", wrong, func(b *person.Browser) error { _, err := b.LogIn(authorize(nil)); return err },
				map[string]string{"en": "The user name or the password is wrong.", "ja": "パスワードが違います"},
			},
			{"failure", right, func(b *person.Browser) error {
				return visit(b, authorize(url.Values{"redirect_uri": {"https://evil.example.com/a-rather-long-path/that-does-not-break/0123456789012345678901234567890123456789"}}))
			}, map[string]string{"en": "This login cannot go on", "ja": "ログインを続けられません"}},
			{"logged-in", right, func(b *person.Browser) error {
				if err := visit(b, p.issuer); err != nil {
					return err
				}
				_, err := b.Submit()
				return err
			}, map[string]string{"en": "You are logged in", "ja": "ログインしています"}},
			{"continue", right, func(b *person.Browser) error {
				if err := logInAtHome(b, p.issuer); err != nil {
					return err
				}
				return visit(b, authorize(url.Values{"prompt": {"select_account"}}))
			}, map[string]string{"en": "Continue as Alice", "ja": "のまま続けますか"}},
			{"consent", right, func(b *person.Browser) error {
				if err := logInAtHome(b, p.issuer); err != nil {
					return err
				}
				return visit(b, authorize(url.Values{"prompt": {"consent"}, "scope": {"openid email groups offline_access"}}))
			}, map[string]string{"en": "the groups that you are in", "ja": "所属しているグループ"}},
			{"form-post", right, func(b *person.Browser) error {
				if err := withoutScript(b); err != nil { // which would leave the page at once
					return err
				}
				return visit(b, authorize(url.Values{"prompt": {"none"}, "response_mode": {"form_post"}}))
			}, map[string]string{"en": "If nothing happens, press the button.", "ja": "ボタンを押してください"}},
			{"log-out", right, func(b *person.Browser) error {
				if err := logInAtHome(b, p.issuer); err != nil {
					return err
				}
				return visit(b, p.issuer+"/logout?client_id=kubernetes")
			}, map[string]string{"en": "Kubernetes (laboratory) asks to log you out", "ja": "ログアウトを求めています"}},
			{"logged-out", right, func(b *person.Browser) error {
				if err := logInAtHome(b, p.issuer); err != nil {
					return err
				}
				_, err := b.Press("logout")
				return err
			}, map[string]string{"en": "You are logged out", "ja": "ログアウトしました"}},
		}
		for _, page := range pages {
			t.Run(language+"/"+page.name, func(t *testing.T) {
				browser, err := page.who.Chromium(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				defer func() {
					if err := browser.Close(); err != nil {
						t.Error(err)
					}
				}()
				complaints := listen(t, browser)
				if err := page.visit(browser); err != nil {
					t.Fatal(err)
				}
				for _, width := range []int64{320, 1280} {
					for _, scheme := range []string{"light", "dark"} {
						look(t, browser, fmt.Sprintf("%s-%s-%d-%s", page.name, language, width, scheme), width, scheme, page.want[language])
					}
				}
				if got := complaints(); len(got) > 0 {
					t.Errorf("the browser complains: %q", got)
				}
			})
		}
	}
}

// A web application may send the browser on to another origin when it has the
// code. The login page must not be in the way of that.
func TestLoginReachesAClientThatRedirectsOn(t *testing.T) {
	p := serve(t, "")
	who := person.Person{Login: "alice", Password: p.alice(), CAFile: p.ca()}
	home := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, "<!doctype html><title>home</title><p>welcome home")
	}))
	defer home.Close()
	callback := httptest.NewServer(http.RedirectHandler(strings.Replace(home.URL, "127.0.0.1", "localhost", 1)+"/home", http.StatusFound))
	defer callback.Close()
	p.tegata("", "client", "add", "web", "--public", "--redirect-uri", callback.URL+"/callback")
	browser, err := who.Chromium(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := browser.Close(); err != nil {
			t.Error(err)
		}
	}()
	query := url.Values{
		"response_type": {"code"}, "client_id": {"web"}, "redirect_uri": {callback.URL + "/callback"}, "scope": {"openid"},
		"code_challenge": {oidc.CodeChallenge(oidc.NewCodeVerifier())}, "code_challenge_method": {"S256"},
	}
	page, err := browser.LogIn(p.issuer + "/authorize?" + query.Encode())
	if err != nil {
		t.Fatal(err)
	}
	if page.Title != "home" {
		t.Errorf("the browser ended at %s (%s), want the client's home", page.Address, page.Title)
	}
}

// A client that takes the answer as a form gets it: from the script, where
// there is one, and from the button, where there is none. The code in it is
// good, and the form says which site it comes from.
func TestFormPostReachesTheClient(t *testing.T) {
	p := serve(t, "")
	who := person.Person{Login: "alice", Password: p.alice(), CAFile: p.ca()}
	for _, script := range []bool{true, false} {
		t.Run(fmt.Sprintf("script %t", script), func(t *testing.T) {
			answers := make(chan *http.Request, 10)
			callback := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.ParseForm() == nil && r.Method == http.MethodPost {
					answers <- r
				}
				fmt.Fprint(w, "<!doctype html><title>home</title><p>welcome home")
			}))
			defer callback.Close()
			client := fmt.Sprintf("web-%t", script)
			p.tegata("", "client", "add", client, "--public", "--redirect-uri", callback.URL+"/callback")
			browser, err := who.Chromium(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			defer func() {
				if err := browser.Close(); err != nil {
					t.Error(err)
				}
			}()
			complaints := listen(t, browser)
			if !script {
				if err := withoutScript(browser); err != nil {
					t.Fatal(err)
				}
			}
			query := url.Values{
				"response_type": {"code"}, "response_mode": {"form_post"}, "client_id": {client}, "redirect_uri": {callback.URL + "/callback"},
				"scope": {"openid"}, "state": {`a "state" & more`}, "code_challenge": {oidc.CodeChallenge(oidc.NewCodeVerifier())}, "code_challenge_method": {"S256"},
			}
			page, err := browser.LogIn(p.issuer + "/authorize?" + query.Encode())
			if err == nil && !script {
				page, err = browser.PressOnly()
			}
			if err != nil {
				t.Fatal(err)
			}
			select {
			case answer := <-answers:
				if answer.PostForm.Get("state") != query.Get("state") || answer.PostForm.Get("code") == "" || answer.PostForm.Get("iss") != p.issuer {
					t.Errorf("got %v, want code, state and issuer", answer.PostForm)
				}
				if got := answer.Header.Get("Origin"); got != "null" && got != p.issuer {
					t.Errorf("Origin: got %q, want the issuer, or null on the way from https to http", got)
				}
			case <-time.After(30 * time.Second):
				t.Fatalf("the browser ended at %s (%s), want the answer at the client", page.Address, page.Title)
			}
			if got := complaints(); len(got) > 0 {
				t.Errorf("the browser complains: %q", got)
			}
		})
	}
}

// A person who is logged in is asked before the next program on their machine
// gets a code (RFC 8252, section 8.6), and one key is enough to go on.
func TestSecondLoginAsksInTheBrowser(t *testing.T) {
	p := serve(t, "")
	who := person.Person{Login: "alice", Password: p.alice(), CAFile: p.ca()}
	codes := make(chan string, 10)
	callback := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/callback" {
			codes <- r.URL.Query().Get("code")
		}
		fmt.Fprint(w, "<!doctype html><title>home</title><p>welcome home")
	}))
	defer callback.Close()
	p.tegata("", "client", "add", "native", "--public", "--redirect-uri", callback.URL+"/callback")
	browser, err := who.Chromium(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := browser.Close(); err != nil {
			t.Error(err)
		}
	}()
	query := url.Values{
		"response_type": {"code"}, "client_id": {"native"}, "redirect_uri": {callback.URL + "/callback"}, "scope": {"openid"},
		"code_challenge": {oidc.CodeChallenge(oidc.NewCodeVerifier())}, "code_challenge_method": {"S256"},
	}
	address := p.issuer + "/authorize?" + query.Encode()
	if page, err := browser.LogIn(address); err != nil || page.Title != "home" {
		t.Fatalf("the first login: the browser ended at %s (%s): %v", page.Address, page.Title, err)
	}
	if first := <-codes; first == "" {
		t.Error("the first login gave no code")
	}
	if page, err := browser.Visit(address); err != nil || !strings.Contains(page.Text, "Continue as Alice") || len(codes) > 0 {
		t.Fatalf("the second: got %s, %v, %d codes; want a page that asks:\n%s", page.Address, err, len(codes), page.Text)
	}
	if page, err := browser.Press("continue"); err != nil || page.Title != "home" {
		t.Fatalf("the second: the browser ended at %s (%s): %v", page.Address, page.Title, err)
	}
	if second := <-codes; second == "" {
		t.Error("the second login gave no code")
	}
}

func logInAtHome(b *person.Browser, issuer string) error {
	if err := visit(b, issuer); err != nil {
		return err
	}
	_, err := b.Submit()
	return err
}

func withoutScript(b *person.Browser) error {
	return chromedp.Do(b.Context(), chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
		_, err := cdp.Call(ctx, target, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})
		return err
	}))
}

func visit(b *person.Browser, address string) error {
	_, err := b.Visit(address)
	return err
}

// look audits the page at a width and in a colour scheme, and takes a picture
// if somebody wants one.
func look(t *testing.T, b *person.Browser, name string, width int64, scheme, want string) {
	t.Helper()
	ctx := b.Context()
	if err := chromedp.Do(ctx, chromedp.EmulateViewport(width, 800), preferColorScheme(scheme)); err != nil {
		t.Fatal(err)
	}
	problems, err := chromedp.Run(ctx, chromedp.Evaluate[[]string](audit))
	if err != nil {
		t.Fatal(err)
	}
	for _, problem := range problems {
		if problem == "has a script" && (strings.HasPrefix(name, "form-post") || strings.HasPrefix(name, "factor")) {
			continue // the one that its policy names
		}
		t.Errorf("%s: %s", name, problem)
	}
	text, err := chromedp.Run(ctx, chromedp.Evaluate[string](`document.body.innerText`))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(text, want) {
		t.Errorf("%s: does not say %q:\n%s", name, want, text)
	}
	if dir := os.Getenv(screenshotsVariable); dir != "" {
		picture, err := chromedp.Run(ctx, chromedp.CaptureScreenshot())
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name+".png"), picture, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// listen collects what the browser complains about: what the content security
// policy blocked, and the like. That a page has a status of 4xx is no news.
func listen(t *testing.T, b *person.Browser) (complaints func() []string) {
	t.Helper()
	var mu sync.Mutex
	var said []string
	err := chromedp.Listen(b.Context(), func(event any) {
		if added, ok := event.(*log.EventEntryAdded); ok && added.Entry.Source != log.EntrySourceNetwork {
			mu.Lock()
			defer mu.Unlock()
			said = append(said, added.Entry.Text)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	return func() []string {
		mu.Lock()
		defer mu.Unlock()
		return said
	}
}

func preferColorScheme(scheme string) chromedp.Action[chromedp.Void] {
	return chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
		_, err := cdp.Call(ctx, target, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
			Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}},
		})
		return err
	})
}
