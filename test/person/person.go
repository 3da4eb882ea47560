// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

// Package person plays an end user at a browser, for the demo and the
// end-to-end tests: it opens the address that a client gave, fills in the
// login page, agrees where it is asked, and waits for the page that ends the
// login.
//
// [Person.Chromium] is a real Chromium without a window. [Person.HTTP] is a
// scripted HTTP client that follows the pages as a browser without script
// would, for machines that have no Chromium. Both trust the provider's
// certificate authority and nothing more.
package person

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/tegata/tegata/internal/secret"
)

// Person is who logs in.
type Person struct {
	Login    string
	Password secret.String
	CAFile   string // the certificate authority of the provider, PEM
	Language string // Accept-Language; empty: en
}

// Page is where a login ended.
type Page struct {
	Address string
	Title   string
	Text    string // what can be read on it
}

// patience is how long a person waits for a page.
const patience = 30 * time.Second

// HTTP logs in with a scripted HTTP client.
func (p Person) HTTP(ctx context.Context, address string) (Page, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	client, err := p.client()
	if err != nil {
		return Page{}, err
	}
	page, body, err := p.get(ctx, client, address)
	if err != nil {
		return Page{}, err
	}
	// Each page is answered once: a password that is wrong stays wrong. A page
	// without a form is the end, or an error.
	for _, step := range []struct {
		action string
		values url.Values
	}{
		{"/login", url.Values{"login": {p.Login}, "password": {p.Password.Reveal()}}},
		{"/consent", url.Values{"answer": {"continue"}}},
	} {
		form := formOf(body, step.action)
		if form == nil {
			continue
		}
		step.values.Set("request", form.request)
		if page, body, err = p.post(ctx, client, page.Address, form.action, step.values); err != nil {
			return Page{}, err
		}
	}
	return page, nil
}

func (p Person) post(ctx context.Context, client *http.Client, from, action string, values url.Values) (Page, string, error) {
	target, err := url.Parse(from)
	if err != nil {
		return Page{}, "", err
	}
	if target, err = target.Parse(action); err != nil {
		return Page{}, "", err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, target.String(), strings.NewReader(values.Encode()))
	if err != nil {
		return Page{}, "", err
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return p.do(client, request)
}

func (p Person) client() (*http.Client, error) {
	authorities, err := os.ReadFile(p.CAFile)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(authorities) {
		return nil, fmt.Errorf("%s holds no certificate", p.CAFile)
	}
	jar, err := cookiejar.New(nil)
	if err != nil {
		return nil, err
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}, DisableKeepAlives: true}
	return &http.Client{Jar: jar, Transport: transport}, nil
}

func (p Person) get(ctx context.Context, client *http.Client, address string) (Page, string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return Page{}, "", err
	}
	return p.do(client, request)
}

func (p Person) do(client *http.Client, request *http.Request) (Page, string, error) {
	request.Header.Set("Accept-Language", p.language())
	response, err := client.Do(request)
	if err != nil {
		return Page{}, "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	if err != nil {
		return Page{}, "", err
	}
	text := string(body)
	page := Page{Address: response.Request.URL.String(), Text: readable(text)}
	if found := titleTag.FindStringSubmatch(text); found != nil {
		page.Title = html.UnescapeString(found[1])
	}
	return page, text, nil
}

func (p Person) language() string {
	if p.Language == "" {
		return "en"
	}
	return p.Language
}

var (
	titleTag   = regexp.MustCompile(`(?s)<title>(.*?)</title>`)
	formTag    = regexp.MustCompile(`<form method="post" action="([^"]*)">`)
	requestTag = regexp.MustCompile(`<input type="hidden" name="request" value="([^"]*)">`)
	hidden     = regexp.MustCompile(`(?s)<(head|style)\b.*?</(head|style)>|<[^>]*>`)
)

type form struct{ action, request string }

// formOf is the form of a page if it leads to the path.
func formOf(body, path string) *form {
	action, request := formTag.FindStringSubmatch(body), requestTag.FindStringSubmatch(body)
	if action == nil || request == nil || !strings.HasSuffix(action[1], path) {
		return nil
	}
	return &form{html.UnescapeString(action[1]), html.UnescapeString(request[1])}
}

func readable(body string) string {
	return strings.Join(strings.Fields(html.UnescapeString(hidden.ReplaceAllString(body, " "))), " ")
}

// FindChromium returns the path of Chromium, if this machine has one.
func FindChromium() (string, bool) {
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome", "headless_shell"} {
		if path, err := exec.LookPath(name); err == nil {
			return path, true
		}
	}
	return "", false
}

// ErrNoChromium means that this machine has no Chromium.
var ErrNoChromium = errors.New("there is no Chromium here; install the package chromium")

// Browser is a running Chromium.
type Browser struct {
	person Person
	ctx    context.Context
	close  func() error
}

// Chromium starts a Chromium with an empty profile in a directory of its own.
// Close ends it and removes the directory.
func (p Person) Chromium(ctx context.Context) (*Browser, error) {
	path, ok := FindChromium()
	if !ok {
		return nil, ErrNoChromium
	}
	pin, err := publicKeyPin(p.CAFile)
	if err != nil {
		return nil, err
	}
	home, err := os.MkdirTemp("", "tegata-chromium-")
	if err != nil {
		return nil, err
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(path),
		chromedp.Env("HOME="+home, "XDG_CONFIG_HOME="+home, "XDG_CACHE_HOME="+home, "TMPDIR="+home),
		chromedp.UserDataDir(filepath.Join(home, "profile")),
		chromedp.NoSandbox, // tests run as root in containers, and visit nothing but our own pages
		chromedp.Flag("lang", p.language()),
		chromedp.Flag("accept-lang", p.language()),
		chromedp.Flag("disable-quic", true),
		// Chromium trusts what this key signed, as it would trust an
		// authority that was installed.
		chromedp.Flag("ignore-certificate-errors-spki-list", pin),
	)
	allocated, closeAllocator := chromedp.NewExecAllocator(ctx, options...)
	tab, closeTab := chromedp.NewContext(allocated)
	browser := &Browser{person: p, ctx: tab, close: func() error {
		gently, cancel := context.WithTimeout(tab, patience)
		defer cancel()
		err := chromedp.Cancel(gently)
		closeTab()
		closeAllocator()
		return errors.Join(err, os.RemoveAll(home))
	}}
	// The first action starts the browser, which then lives as long as tab.
	if _, err := chromedp.Run(tab, chromedp.Navigate("about:blank")); err != nil {
		return nil, errors.Join(fmt.Errorf("starting Chromium: %w", err), browser.Close())
	}
	return browser, nil
}

// Close ends the browser and waits until it has ended.
func (b *Browser) Close() error { return b.close() }

// Context is for further chromedp actions in the browser's tab.
func (b *Browser) Context() context.Context { return b.ctx }

// Visit opens an address and reads the page.
func (b *Browser) Visit(address string) (Page, error) {
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	if err := chromedp.Do(ctx, chromedp.Navigate(address)); err != nil {
		return Page{}, fmt.Errorf("opening the page in Chromium: %w", err)
	}
	return b.read(ctx)
}

// LogIn opens the address, logs in if there is a login page, and goes on if
// there is a page that asks whether to.
func (b *Browser) LogIn(address string) (Page, error) {
	page, err := b.Visit(address)
	if err == nil && b.has("#password") {
		page, err = b.Submit()
	}
	if err == nil && b.has(continueButton) {
		page, err = b.Press("continue")
	}
	return page, err
}

const continueButton = `form[action$="/consent"] button[value=continue]`

// has reports whether the page has what the selector means.
func (b *Browser) has(selector string) bool {
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	there, err := chromedp.Run(ctx, chromedp.Evaluate[bool]("document.querySelector("+strconv.Quote(selector)+") !== null"))
	return err == nil && there
}

// Press presses the button with that value, with the keyboard, and reads the
// page that comes after.
func (b *Browser) Press(value string) (Page, error) { return b.press("button[value=" + value + "]") }

// PressOnly presses the one button of a page.
func (b *Browser) PressOnly() (Page, error) { return b.press("button:only-of-type") }

// PressAt presses the first button that the selector means.
func (b *Browser) PressAt(selector string) (Page, error) { return b.press(selector) }

// Post sends a form from the page that is open.
func (b *Browser) Post(action string, fields map[string]string) (Page, error) {
	given, err := json.Marshal(fields)
	if err != nil {
		return Page{}, err
	}
	script := `(fields => {
		const form = document.createElement("form")
		form.method = "post"
		form.action = ` + strconv.Quote(action) + `
		for (const name in fields) form.append(Object.assign(document.createElement("input"), {name, value: fields[name]}))
		document.body.append(form)
		form.submit()
		return ""
	})(` + string(given) + `)`
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	if err := chromedp.Do(ctx, mark()); err != nil {
		return Page{}, err
	}
	if _, err := chromedp.Run(ctx, chromedp.Evaluate[string](script)); err != nil {
		return Page{}, fmt.Errorf("sending a form in Chromium: %w", err)
	}
	if err := chromedp.Do(ctx, waitForNextPage()); err != nil {
		return Page{}, err
	}
	return b.read(ctx)
}

func (b *Browser) press(button string) (Page, error) {
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	err := chromedp.Do(ctx,
		chromedp.Focus(chromedp.CSS(button)),
		mark(),
		chromedp.KeyEvent("\r"),
		waitForNextPage(),
	)
	if err != nil {
		return Page{}, fmt.Errorf("pressing %s in Chromium: %w", button, err)
	}
	return b.read(ctx)
}

// Submit types the login and the password with the keyboard alone and reads
// the page that comes after.
func (b *Browser) Submit() (Page, error) {
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	err := chromedp.Do(ctx,
		chromedp.Clear(chromedp.CSS("#login")),
		chromedp.Focus(chromedp.CSS("#login")),
		chromedp.KeyEvent(b.person.Login),
		chromedp.KeyEvent("\t"),
		chromedp.KeyEvent(b.person.Password.Reveal()),
		// The mark goes away with the page that carries it.
		mark(),
		chromedp.KeyEvent("\r"),
		waitForNextPage(),
	)
	if err != nil {
		return Page{}, fmt.Errorf("logging in in Chromium: %w", err)
	}
	return b.read(ctx)
}

func mark() chromedp.Action[chromedp.Void] {
	return chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := chromedp.Evaluate[bool](`document.documentElement.toggleAttribute("data-left", true)`)(ctx, t)
		return err
	})
}

func waitForNextPage() chromedp.Action[chromedp.Void] {
	return chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		for {
			// Between two pages there is nothing to evaluate in: an error
			// means not yet.
			there, err := chromedp.Evaluate[bool](`document.readyState === "complete" && !document.documentElement.hasAttribute("data-left")`)(ctx, t)
			if err == nil && there {
				return nil
			}
			select {
			case <-ctx.Done():
				return errors.Join(ctx.Err(), err)
			case <-time.After(20 * time.Millisecond):
			}
		}
	})
}

func (b *Browser) read(ctx context.Context) (page Page, err error) {
	if page.Address, err = chromedp.Run(ctx, chromedp.Location()); err == nil {
		page.Title, err = chromedp.Run(ctx, chromedp.Title())
	}
	if err == nil {
		page.Text, err = chromedp.Run(ctx, chromedp.Evaluate[string](`document.body ? document.body.innerText : ""`))
	}
	if err != nil {
		return Page{}, fmt.Errorf("reading the page in Chromium: %w", err)
	}
	return page, nil
}

// publicKeyPin is the SHA-256 of the authority's public key, in base64.
func publicKeyPin(caFile string) (string, error) {
	text, err := os.ReadFile(caFile)
	if err != nil {
		return "", err
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return "", fmt.Errorf("%s holds no certificate", caFile)
	}
	certificate, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(certificate.RawSubjectPublicKeyInfo)
	return base64.StdEncoding.EncodeToString(sum[:]), nil
}
