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
	"strconv"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/tegata/tegata/internal/identity"
	"github.com/tegata/tegata/internal/store"
)

// stranger is a browser at the server of a script.
func stranger(ts *testscript.TestScript) *http.Client {
	p := ts.Value(serverKey{}).(*process)
	browser := p.client(ts.ReadFile(filepath.Join(ts.Getenv("TEGATA_DATA_DIR"), "ca.crt")))
	ts.Defer(browser.CloseIdleConnections)
	jar, err := cookiejar.New(nil)
	ts.Check(err)
	browser.Jar = jar
	browser.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return browser
}

// setPassword sends the form of the page of a link.
func setPassword(ts *testscript.TestScript, _ bool, args []string) {
	link, err := url.Parse(args[0])
	ts.Check(err)
	form := url.Values{"token": {link.Query().Get("token")}, "new": {args[1]}, "repeated": {args[1]}}
	link.RawQuery = ""
	answer, err := stranger(ts).PostForm(link.String(), form)
	ts.Check(err)
	defer answer.Body.Close()
	if got := strconv.Itoa(answer.StatusCode); got != args[2] {
		body, err := io.ReadAll(answer.Body)
		ts.Check(err)
		ts.Fatalf("got status %s, want %s:\n%s", got, args[2], body)
	}
}

// failLogin gives a wrong password so many times.
func failLogin(ts *testscript.TestScript, _ bool, args []string) {
	times, err := strconv.Atoi(args[1])
	ts.Check(err)
	issuer, browser := ts.Getenv("ISSUER"), stranger(ts)
	for range times {
		shown, err := browser.Get(issuer + "/")
		ts.Check(err)
		page, err := io.ReadAll(shown.Body)
		ts.Check(err)
		ts.Check(shown.Body.Close())
		pending := pendingRequest.FindSubmatch(page)
		if pending == nil {
			ts.Fatalf("no login page:\n%s", page)
		}
		answer, err := browser.PostForm(issuer+"/login", url.Values{
			"request": {html.UnescapeString(string(pending[1]))}, "login": {args[0]}, "password": {"wrong"},
		})
		ts.Check(err)
		ts.Check(answer.Body.Close())
		if answer.StatusCode != http.StatusForbidden {
			ts.Fatalf("got status %d", answer.StatusCode)
		}
	}
}

// People of other sources are shown and kept out like others; what their
// source keeps is refused plainly.
func TestUsersOfOtherSources(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	run := func(args ...string) result { return tegata(t, map[string]string{"TEGATA_DATA_DIR": dir}, "", args...) }
	run("user", "add", "alice", "--no-password").must(t)
	run("group", "add", "platform").must(t)
	db, err := store.Open(t.Context(), store.Config{Path: filepath.Join(dir, "tegata.db")})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	_, err = db.Issuer("default").Remember(t.Context(), identity.Remembered{User: identity.User{
		Subject: "corp:1", Source: "corp", Username: "bob", Email: "bob@example.com", EmailVerified: true, Name: "Bob", Groups: []string{"lab", "staff"},
	}, ConfirmedAt: time.Now()})
	if err != nil {
		t.Fatal(err)
	}

	want := func(got result, stdout string) {
		t.Helper()
		if got.must(t); !regexp.MustCompile(stdout).MatchString(got.stdout) {
			t.Errorf("got\n%s\nwant %s", got.stdout, stdout)
		}
	}
	want(run("user", "list", "--source", "corp"), `(?m)^bob +bob@example.com +Bob +lab,staff +corp +-$`)
	want(run("user", "show", "bob@example.com"), `(?ms)^Subject +corp:1$.*^Source +corp$.*^Groups +lab, staff$`)
	for _, refused := range [][]string{
		{"user", "set-password", "bob", "--temporary"},
		{"user", "reset-link", "bob"},
		{"user", "unlock", "bob"},
		{"group", "add-member", "platform", "bob"},
		{"group", "add-member", "platform", "alice", "bob"},
		{"group", "remove-member", "platform", "bob"},
	} {
		got := run(refused...)
		if got.code != 1 || !regexp.MustCompile(`^error: bob is a user of the source corp, which keeps the (password|lock|groups)\nhint: change it at that source\n$`).MatchString(got.stderr) {
			t.Errorf("%v ended with %d:\n%s", refused, got.code, got.stderr)
		}
	}
	want(run("user", "show", "alice"), `(?m)^Groups +-$`) // nobody was added
	want(run("user", "disable", "bob"), `^disabled user bob\n$`)
	want(run("user", "list", "--search", "bob", "--output", "json"), `"state": "disabled"`)
	got := run("user", "delete", "bob", "--yes")
	if got.code != 1 || got.stderr != "error: bob is a user of the source corp and is disabled here: deleting would let them in again at their next login\n"+
		"hint: if that is meant, tegata user enable bob first\n" {
		t.Errorf("deleting who is kept out ended with %d:\n%s", got.code, got.stderr)
	}
	want(run("user", "show", "bob"), `(?m)^Disabled +yes$`)
	want(run("user", "enable", "bob"), `^enabled user bob\n$`)
	got = run("user", "delete", "bob", "--yes")
	want(got, `^deleted user bob\n$`)
	if !regexp.MustCompile(`The source corp still has this person, who can log in again`).MatchString(got.stderr) {
		t.Errorf("got %s", got.stderr)
	}
	if got := run("user", "show", "bob"); got.code != 1 {
		t.Errorf("bob is there: %s", got.stdout)
	}
}
