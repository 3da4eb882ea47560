// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	cdpage "github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"

	"github.com/tegata/tegata/test/axe"
	"github.com/tegata/tegata/test/person"
)

// The golden copies of all pages, each in every state that it has.
var (
	pagesFolder  = filepath.Join("..", "..", "internal", "provider", "page")
	goldenFolder = filepath.Join(pagesFolder, "testdata")
)

// staysHere keeps pages in the browser that leave it by themselves.
var staysHere = strings.NewReplacer("<script>document.forms[0].submit()</script>", "", `http-equiv="refresh"`, `name="refresh"`)

// words are what stands between two tags.
var words = regexp.MustCompile(`>[^<]+<`)

// Every page in every state, in both languages: axe-core finds nothing, and a
// phone of 320 pixels is wide enough. The pages are the golden copies, which
// are what the provider serves; other tests look at them where they are served.
func TestPagesAreAccessible(t *testing.T) {
	pages, err := filepath.Glob(filepath.Join(goldenFolder, "*.html"))
	if err != nil || len(pages) < 100 {
		t.Fatalf("there are %d pages, %v", len(pages), err)
	}
	site := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, asset, ok := strings.Cut(r.URL.Path, "/assets/HASH-"); ok {
			http.ServeFile(w, r, filepath.Join(pagesFolder, asset))
			return
		}
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		staysHere.WriteString(w, read(t, filepath.Join(goldenFolder, path.Base(r.URL.Path)))) //nolint:errcheck // to the browser
	}))
	defer site.Close()
	authority := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: site.Certificate().Raw})
	who := person.Person{CAFile: filepath.Join(t.TempDir(), "ca.crt")}
	if err := os.WriteFile(who.CAFile, authority, 0o600); err != nil {
		t.Fatal(err)
	}
	browser := open(t, who)

	// A page that nobody should have: what is not seen here is not seen below.
	if err := visit(browser, "data:text/html,<p style='color:%23999'>pale<input>"); err != nil {
		t.Fatal(err)
	}
	checker, err := axe.Open(browser.Context())
	if err != nil {
		t.Fatal(err)
	}
	problems, err := checker.Check(browser.Context())
	for _, rule := range []string{"color-contrast", "label", "html-has-lang", "document-title", "landmark-one-main"} {
		if !slices.ContainsFunc(problems, func(problem string) bool { return strings.HasPrefix(problem, rule+":") }) {
			t.Fatalf("axe-core does not see a page without %s: %q, %v", rule, problems, err)
		}
	}

	complaints := listen(t, browser)
	// Pages that differ in their words alone must fit, each of them; for
	// axe-core they are one.
	seen := map[string]bool{}
	for _, file := range pages {
		name, shape := strings.TrimSuffix(filepath.Base(file), ".html"), words.ReplaceAllString(read(t, file), "><")
		t.Run(name, func(t *testing.T) {
			if err := visit(browser, site.URL+"/"+filepath.Base(file)); err != nil {
				t.Fatal(err)
			}
			if seen[shape] {
				fits(t, browser, name, nil)
			} else {
				isAccessible(t, browser, name)
			}
		})
		seen[shape] = true
	}
	if got := complaints(); len(got) > 0 {
		t.Errorf("the browser complains: %q", got)
	}
}

// Each page to which links lead from the portal, also those of an
// administrator, where the provider serves it: it is there, it is accessible,
// and the browser has nothing to complain about.
func TestEveryLinkOfThePortal(t *testing.T) {
	config := fmt.Sprintf(`administrators: [platform-engineer]
audit: {file: %q}
sources:
- name: local
- {name: github, title: GitHub, github: {client_id: tegata, organizations: [example], client_secret_file: %q}}
clients:
- {id: kubernetes, public: true, redirect_uris: ["http://localhost:8000"]}
clusters:
- {name: lab, server: "https://k8s.example.com:6443", client: kubernetes, namespace: "{username}"}
`, filepath.Join(t.TempDir(), "audit.jsonl"), writeFile(t, "github.secret", "the secret of the application"))
	p := serve(t, config)
	password := p.alice()
	for _, language := range []string{"en", "ja"} {
		t.Run(language, func(t *testing.T) {
			browser := open(t, person.Person{Login: "alice", Password: password, CAFile: p.ca(), Language: language})
			complaints := listen(t, browser)
			page, err := browser.Visit(p.issuer)
			if err != nil || !strings.Contains(page.Text, "GitHub") {
				t.Fatalf("the login page: %v\n%s", err, page.Text)
			}
			isAccessible(t, browser, "served-"+language+"-login")
			if _, err := browser.Submit(); err != nil {
				t.Fatal(err)
			}
			known := []string{p.issuer + "/"}
			for i := 0; i < len(known); i++ {
				response, err := chromedp.Run(browser.Context(), chromedp.NavigateResponse(known[i]))
				if err != nil || response.Status != http.StatusOK {
					t.Errorf("%s: %v, %v", known[i], response, err)
					continue
				}
				links, err := chromedp.Run(browser.Context(), chromedp.Evaluate[[]string](`[...document.links].map(one => one.href.split("#")[0])`))
				if err != nil {
					t.Fatal(err)
				}
				for _, link := range links {
					if strings.HasPrefix(link, p.issuer) && !strings.HasSuffix(link, "/kubeconfig") && !slices.Contains(known, link) {
						known = append(known, link)
					}
				}
				isAccessible(t, browser, fmt.Sprintf("served-%s-%02d", language, i))
			}
			if len(known) < 12 || len(known) > 60 {
				t.Errorf("links lead to %d pages: %q", len(known), known)
			}
			if got := complaints(); len(got) > 0 {
				t.Errorf("the browser complains: %q", got)
			}
		})
	}
}

// open starts a browser that ends with the test.
func open(t *testing.T, who person.Person) *person.Browser {
	t.Helper()
	browser, err := who.Chromium(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := browser.Close(); err != nil {
			t.Error(err)
		}
	})
	return browser
}

// isAccessible runs axe-core on the page in the browser.
func isAccessible(t *testing.T, b *person.Browser, name string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(b.Context(), 30*time.Second)
	defer cancel()
	checker, err := axe.Open(ctx)
	if err != nil {
		t.Fatal(err)
	}
	fits(t, b, name, func() ([]string, error) { return checker.Check(ctx) })
}

// fits looks at the page on a phone by day and on a desktop by night, and
// takes pictures if somebody wants them. What changes with the width and what
// changes with the colours are two things, so two of the four views show both.
// What is folded is unfolded.
func fits(t *testing.T, b *person.Browser, name string, check func() ([]string, error)) {
	t.Helper()
	ctx := b.Context()
	if err := chromedp.Do(ctx, chromedp.Evaluate[chromedp.Void](`for (const one of document.querySelectorAll("details")) one.open = true`)); err != nil {
		t.Fatal(err)
	}
	for _, view := range []struct {
		width  int64
		scheme string
	}{{320, "light"}, {1280, "dark"}} {
		called := fmt.Sprintf("%s-%d-%s", name, view.width, view.scheme)
		if err := chromedp.Do(ctx, chromedp.EmulateViewport(view.width, 800), preferColorScheme(view.scheme)); err != nil {
			t.Fatal(err)
		}
		var problems []string
		if wide, err := chromedp.Run(ctx, chromedp.Evaluate[int64](`document.documentElement.scrollWidth`)); err != nil || wide > view.width {
			problems = append(problems, fmt.Sprintf("it is %d pixels wide (%v)", wide, err))
		}
		if check != nil {
			found, err := check()
			if err != nil {
				t.Fatal(err)
			}
			problems = append(problems, found...)
		}
		for _, problem := range problems {
			t.Errorf("%s: %s", called, problem)
		}
		photograph(t, b, called)
	}
}

// photograph takes a picture of the whole page if somebody wants it.
func photograph(t *testing.T, b *person.Browser, name string) {
	t.Helper()
	dir := os.Getenv(screenshotsVariable)
	if dir == "" {
		return
	}
	whole := true
	err := chromedp.Do(b.Context(), chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
		picture, err := cdp.Call(ctx, target, cdpage.CaptureScreenshot, cdpage.CaptureScreenshotParams{CaptureBeyondViewport: &whole})
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(dir, name+".png"), picture.Data, 0o644)
	}))
	if err != nil {
		t.Fatal(err)
	}
}
