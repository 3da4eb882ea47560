// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package peers

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"
)

// The test binary is also the browser, with these in its environment.
const (
	habitVariable    = "TEGATA_PEERS_HABIT"
	passwordVariable = "TEGATA_PEERS_PASSWORD"
	caVariable       = "TEGATA_PEERS_CA"
	visitsVariable   = "TEGATA_PEERS_VISITS" // a file that gets a line for each visit
)

// habit is what the person does at the browser.
type habit string

const (
	logsIn  habit = "logs in"
	cancels habit = "cancels"
	ignores habit = "ignores"
)

// browse opens the address and goes on from page to page, as a person would in
// a browser without script, until there is nothing left to do.
func browse(address string) error {
	visits := os.Getenv(visitsVariable)
	if err := note(visits+".begun", address); err != nil {
		return err
	}
	what := habit(os.Getenv(habitVariable))
	if what == ignores {
		return note(visits, "ignored")
	}
	agent, err := newAgent(os.Getenv(caVariable))
	if err != nil {
		return err
	}
	if agent.Jar, err = rememberCookies(agent.Jar, visits+".cookies"); err != nil {
		return err
	}
	seen, err := walk(agent, address, what)
	if err != nil {
		return errors.Join(err, note(visits, "lost: "+err.Error()))
	}
	return note(visits, seen)
}

// walk returns the titles of the pages, and the text of the last one.
func walk(agent *http.Client, address string, what habit) (string, error) {
	var titles []string
	next := func() (*http.Response, error) { return agent.Get(address) }
	for range 12 {
		response, err := next()
		if err != nil {
			return "", err
		}
		text, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
		response.Body.Close()
		if err != nil {
			return "", err
		}
		page := string(text)
		if found := titleTag.FindStringSubmatch(page); found != nil {
			titles = append(titles, html.UnescapeString(found[1]))
		}
		target, values := form(page)
		if found := cancelLink.FindStringSubmatch(page); found != nil && what == cancels {
			target, values = found[1], nil
		}
		if found := onwardTag.FindStringSubmatch(page); found != nil {
			target, values = found[1], nil
		}
		if target == "" {
			return fmt.Sprintf("%s | %s", strings.Join(titles, ", "), readable(page)), nil
		}
		next = func() (*http.Response, error) { return follow(agent, response, target, values) }
	}
	return "", fmt.Errorf("the pages have no end: %q", titles)
}

// follow opens a link, or sends a form.
func follow(agent *http.Client, from *http.Response, target string, values url.Values) (*http.Response, error) {
	next, err := from.Request.URL.Parse(html.UnescapeString(target))
	if err != nil {
		return nil, err
	}
	if values == nil {
		return agent.Get(next.String())
	}
	return agent.PostForm(next.String(), values)
}

var (
	titleTag   = regexp.MustCompile(`(?s)<title>(.*?)</title>`)
	cancelLink = regexp.MustCompile(`href="([^"]*/abort)"`)
	onwardTag  = regexp.MustCompile(`<meta http-equiv="refresh" content="0; url=([^"]*)"`)
	formTag    = regexp.MustCompile(`(?s)<form\b([^>]*)>(.*?)</form>`)
	fieldTag   = regexp.MustCompile(`(?s)<input\b([^>]*)>`)
	buttonTag  = regexp.MustCompile(`(?s)<button\b([^>]*)>`)
	focusedTag = regexp.MustCompile(`(?s)<button\b([^>]*\bautofocus\b[^>]*)>`)
	attribute  = regexp.MustCompile(`([\w-]+)="([^"]*)"`)
	hidden     = regexp.MustCompile(`(?s)<(head|style)\b.*?</(head|style)>|<[^>]*>`)
)

// form is the first form of a page, filled in; no action means that there is
// none.
func form(page string) (action string, values url.Values) {
	found := formTag.FindStringSubmatch(page)
	if found == nil || attributes(found[1])["method"] != "post" {
		return "", nil
	}
	values = url.Values{}
	for _, tag := range fieldTag.FindAllStringSubmatch(found[2], -1) {
		field := attributes(tag[1])
		values.Set(field["name"], field["value"])
	}
	// The button that Enter presses: the form's first, which may stand elsewhere.
	pressed := buttonTag.FindStringSubmatch(found[2])
	if pressed == nil {
		pressed = focusedTag.FindStringSubmatch(page)
	}
	if pressed != nil {
		if button := attributes(pressed[1]); button["name"] != "" {
			values.Set(button["name"], button["value"])
		}
	}
	if values.Has("login") {
		values.Set("login", "alice")
		values.Set("password", os.Getenv(passwordVariable))
	}
	return attributes(found[1])["action"], values
}

func attributes(tag string) map[string]string {
	found := map[string]string{}
	for _, match := range attribute.FindAllStringSubmatch(tag, -1) {
		found[match[1]] = html.UnescapeString(match[2])
	}
	return found
}

func readable(page string) string {
	return strings.Join(strings.Fields(html.UnescapeString(hidden.ReplaceAllString(page, " "))), " ")
}

func newAgent(caFile string) (*http.Client, error) {
	authorities, err := os.ReadFile(caFile)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(authorities) {
		return nil, fmt.Errorf("%s holds no certificate", caFile)
	}
	jar, err := cookiejar.New(nil)
	if err != nil {
		return nil, err
	}
	return &http.Client{
		Jar: jar, Timeout: 20 * time.Second,
		Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}, DisableKeepAlives: true},
	}, nil
}

// cookies is a jar that outlives the process, in a file of the form
// "ADDRESS SET-COOKIE".
type cookies struct {
	http.CookieJar
	file string
}

func rememberCookies(jar http.CookieJar, file string) (cookies, error) {
	text, err := os.ReadFile(file)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return cookies{}, err
	}
	for line := range strings.Lines(string(text)) {
		address, header, _ := strings.Cut(strings.TrimSpace(line), " ")
		from, err := url.Parse(address)
		if err != nil {
			return cookies{}, err
		}
		cookie, err := http.ParseSetCookie(header)
		if err != nil {
			return cookies{}, err
		}
		jar.SetCookies(from, []*http.Cookie{cookie})
	}
	return cookies{jar, file}, nil
}

func (c cookies) SetCookies(from *url.URL, set []*http.Cookie) {
	c.CookieJar.SetCookies(from, set)
	for _, cookie := range set {
		_ = note(c.file, from.Scheme+"://"+from.Host+from.Path+" "+cookie.Raw) // a cookie that is lost shows in the next login
	}
}

// userAgent is a browser of the test itself.
func userAgent(t testing.TB, caFile string) *http.Client {
	t.Helper()
	agent, err := newAgent(caFile)
	if err != nil {
		t.Fatal(err)
	}
	return agent
}

// note adds a line to a file.
func note(path, line string) error {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(file, strings.ReplaceAll(line, "\n", " "))
	return errors.Join(err, file.Close())
}
