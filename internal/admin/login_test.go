// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package admin_test

import (
	"errors"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"
)

// RFC 7636, appendix B.
const (
	codeVerifier  = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
	codeChallenge = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
)

var pendingRequest = regexp.MustCompile(`name="request" value="([^"]*)"`)

// logIn goes through a whole login at the server as a person with a browser
// would, and exchanges the code. A fifth argument is the client's secret.
func logIn(ts *testscript.TestScript, _ bool, args []string) {
	name, client, scope, userAgent := args[0], args[1], args[2], args[3]
	p := ts.Value(serverKey{}).(*process)
	browser := p.client(ts.ReadFile(filepath.Join(ts.Getenv("TEGATA_DATA_DIR"), "ca.crt")))
	defer browser.CloseIdleConnections()
	jar, err := cookiejar.New(nil)
	ts.Check(err)
	browser.Jar = jar
	browser.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	send := func(method, path string, form url.Values) (*http.Response, string) {
		r, err := http.NewRequest(method, p.issuer+path, strings.NewReader(form.Encode()))
		ts.Check(err)
		r.Header.Set("User-Agent", userAgent)
		if method == http.MethodPost {
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		}
		response, err := browser.Do(r)
		ts.Check(err)
		defer response.Body.Close()
		body, err := io.ReadAll(response.Body)
		ts.Check(err)
		return response, string(body)
	}
	_, page := send(http.MethodGet, "/authorize?"+url.Values{
		"response_type": {"code"}, "client_id": {client}, "redirect_uri": {"http://localhost:8000"}, "scope": {scope},
		"code_challenge": {codeChallenge}, "code_challenge_method": {"S256"},
	}.Encode(), nil)
	pending := pendingRequest.FindStringSubmatch(page)
	if pending == nil {
		ts.Fatalf("no login page:\n%s", page)
	}
	answer, page := send(http.MethodPost, "/login", url.Values{"request": {html.UnescapeString(pending[1])}, "login": {name}, "password": {"correct horse battery"}})
	location, err := answer.Location()
	if errors.Is(err, http.ErrNoLocation) {
		ts.Fatalf("no code:\n%s", page)
	}
	ts.Check(err)
	form := url.Values{
		"grant_type": {"authorization_code"}, "client_id": {client}, "code": {location.Query().Get("code")},
		"redirect_uri": {"http://localhost:8000"}, "code_verifier": {codeVerifier},
	}
	if len(args) > 4 {
		form.Set("client_secret", args[4])
	}
	answer, body := send(http.MethodPost, "/token", form)
	if answer.StatusCode != http.StatusOK {
		ts.Fatalf("no tokens: %s", body)
	}
	fmt.Fprintf(ts.Stdout(), "%s has logged in\n", name)
}
