// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package admin_test

import (
	"html"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/tegata/tegata/internal/secondfactor"
	"github.com/tegata/tegata/internal/secret"
)

var shownKey = regexp.MustCompile(`<code>([A-Z2-7 ]{39})</code>`)

// enrol adds an app to a user, on the pages of the server. A second argument
// is its name.
func enrol(ts *testscript.TestScript, _ bool, args []string) {
	p := ts.Value(serverKey{}).(*process)
	browser := p.client(ts.ReadFile(filepath.Join(ts.Getenv("TEGATA_DATA_DIR"), "ca.crt")))
	defer browser.CloseIdleConnections()
	jar, err := cookiejar.New(nil)
	ts.Check(err)
	browser.Jar = jar
	send := func(path string, form url.Values) string {
		method := http.MethodGet
		if form != nil {
			method = http.MethodPost
		}
		r, err := http.NewRequest(method, p.issuer+path, strings.NewReader(form.Encode()))
		ts.Check(err)
		if form != nil {
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		}
		response, err := browser.Do(r)
		ts.Check(err)
		defer response.Body.Close()
		body, err := io.ReadAll(response.Body)
		ts.Check(err)
		return string(body)
	}
	pending := func(page string) string {
		found := pendingRequest.FindStringSubmatch(page)
		if found == nil {
			ts.Fatalf("no form in the page:\n%s", page)
		}
		return html.UnescapeString(found[1])
	}
	page := send("/account/factors/add", nil)
	page = send("/login", url.Values{"request": {pending(page)}, "login": {args[0]}, "password": {"correct horse battery"}})
	found := shownKey.FindStringSubmatch(page)
	if found == nil {
		ts.Fatalf("no key in the page:\n%s", page)
	}
	key, err := secondfactor.ParseTOTP(secret.New(found[1]))
	ts.Check(err)
	form := url.Values{"request": {pending(page)}, "code": {key.Code(time.Now()).Reveal()}}
	if len(args) > 1 {
		form.Set("name", args[1])
	}
	if page = send("/account/factors/add", form); !strings.Contains(page, "Your recovery codes") {
		ts.Fatalf("the app was not added:\n%s", page)
	}
}
