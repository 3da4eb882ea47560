// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package admin_test

import (
	"html"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tegata/tegata/internal/admin"
)

// A server that names administrators shows them its pages: what commands did
// before is in the audit trail there, each page names commands that exist, and
// what is done in the browser stands in the same file as what commands do.
func TestAdministratorsOfARunningServer(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file, trail := filepath.Join(dir, "tegata.yaml"), filepath.Join(dir, "audit.jsonl")
	text := "administrators: [admins]\npassword_hash: {memory_kib: 8, time: 1, threads: 1}\naudit: {file: audit.jsonl}\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	where := []string{"--config", file, "--data-dir", dir}
	command := func(stdin string, words ...string) {
		t.Helper()
		tegata(t, nil, stdin, append(words, where...)...).must(t)
	}
	command("", "group", "add", "admins")
	command("correct horse battery\n", "user", "add", "alice", "--group", "admins", "--password-stdin")
	command("correct horse battery\n", "user", "add", "bob", "--password-stdin")
	p := startServer(t, dir, "--config", file)

	browser := p.client(readFile(t, filepath.Join(dir, "ca.crt")))
	t.Cleanup(browser.CloseIdleConnections)
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	browser.Jar = jar // it follows redirects
	send := func(method, path string, form url.Values) string {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), method, p.issuer+path, strings.NewReader(form.Encode()))
		if err != nil {
			t.Fatal(err)
		}
		if method == http.MethodPost {
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		}
		response, err := browser.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		body, err := io.ReadAll(response.Body)
		if err != nil || response.StatusCode != http.StatusOK {
			t.Fatalf("%s %s: got status %d, %v:\n%s", method, path, response.StatusCode, err, body)
		}
		return string(body)
	}
	pending := pendingRequest.FindStringSubmatch(send("GET", "/admin/trail", nil))
	shown := send("POST", "/login", url.Values{"request": {html.UnescapeString(pending[1])}, "login": {"alice"}, "password": {"correct horse battery"}})
	if !strings.Contains(shown, "tegata group add") || !strings.Contains(shown, "tegata user add") {
		t.Fatalf("the trail does not show what the commands did:\n%s", shown)
	}

	users := send("GET", "/admin/users?q=bob", nil)
	_, rest, _ := strings.Cut(users, "/admin/user?subject=bob-")
	subject, _, _ := strings.Cut("bob-"+rest, `"`)
	bob := "/admin/user?subject=" + subject
	_, rest, _ = strings.Cut(send("GET", bob, nil), `name="seen" value="`)
	seen, _, _ := strings.Cut(rest, `"`)
	if got := send("POST", "/admin/user", url.Values{"subject": {subject}, "act": {"disable"}, "seen": {seen}}); !strings.Contains(got, "bob is disabled") {
		t.Fatalf("bob was not disabled:\n%s", got)
	}
	if out := tegata(t, nil, "", append([]string{"user", "show", "bob"}, where...)...).must(t).stdout; !strings.Contains(out, "disabled") {
		t.Errorf("the command does not see it:\n%s", out)
	}
	if events := readFile(t, trail); !strings.Contains(events, `"subject":"`+subject+`","actor":"alice-`) || !strings.Contains(events, `"reason":"tegata user disable"`) {
		t.Errorf("the event is not in the file:\n%s", events)
	}

	named := 0
	root := admin.Root(admin.Env{Lookup: func(string) (string, bool) { return "", false }})
	for _, path := range []string{"", "/users", "/users/add", bob[len("/admin"):], "/groups", "/group?name=admins", "/clients", "/clients/add", "/logins", "/keys"} {
		for line := range strings.SplitSeq(send("GET", "/admin"+path, nil), "<li><code>tegata ") {
			text, _, ok := strings.Cut(line, "</code>")
			if !ok || strings.HasPrefix(text, "<") {
				continue
			}
			named++
			words := strings.Fields(html.UnescapeString(text))
			found, _, err := root.Find(words)
			if err != nil || found.HasSubCommands() {
				t.Errorf("%s: there is no command %q: %v", path, text, err)
				continue
			}
			for _, word := range words {
				if flag, is := strings.CutPrefix(word, "--"); is && found.Flags().Lookup(flag) == nil {
					t.Errorf("%s: %q has no flag %s", path, text, word)
				}
			}
		}
	}
	if named < 30 {
		t.Errorf("got %d commands, want those of every page", named)
	}
}

func TestConfigCheckLooksAtAdministrators(t *testing.T) {
	for text, want := range map[string]string{
		"administrators: [system:masters]": "administrators[0]: group name \"system:masters\" begins with system:",
		"administrators: [a, '']":          "administrators[1]: a group name cannot be empty",
		"administrators: [a, b, a]":        "administrators: the group \"a\" is given twice",
		"administrators: platform":         "administrators",
		"issuers:\n- {id: a, issuer: 'https://a.example', administrators: [' x']}": "begins or ends with a space",
	} {
		if got := check(t, text); got.code == 0 || !strings.Contains(got.stderr, want) {
			t.Errorf("%q: got %d and %q, want %q", text, got.code, got.stderr, want)
		}
	}
	check(t, "administrators: [platform-admins, 'corp:Domain Admins']").must(t)
}
