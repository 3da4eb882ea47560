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
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/tegata/tegata/internal/exit"
)

// atHome logs in at the issuer's own page, and fetches a page below it.
func atHome(ts *testscript.TestScript, _ bool, args []string) {
	p := ts.Value(serverKey{}).(*process)
	browser := p.client(ts.ReadFile(filepath.Join(ts.Getenv("TEGATA_DATA_DIR"), "ca.crt")))
	defer browser.CloseIdleConnections()
	jar, err := cookiejar.New(nil)
	ts.Check(err)
	browser.Jar = jar
	read := func(response *http.Response, err error) (int, string) {
		ts.Check(err)
		defer response.Body.Close()
		body, err := io.ReadAll(response.Body)
		ts.Check(err)
		return response.StatusCode, string(body)
	}
	_, page := read(browser.Get(p.issuer + args[1]))
	pending := pendingRequest.FindStringSubmatch(page)
	if pending == nil {
		ts.Fatalf("no login page:\n%s", page)
	}
	status, body := read(browser.PostForm(p.issuer+"/login", url.Values{
		"request": {html.UnescapeString(pending[1])}, "login": {args[0]}, "password": {"correct horse battery"},
	}))
	ts.Check(os.WriteFile(ts.MkAbs("status"), []byte(strconv.Itoa(status)), 0o600))
	ts.Check(os.WriteFile(ts.MkAbs("body"), []byte(body), 0o600))
}

func TestConfigCheckRefusesClusters(t *testing.T) {
	const client = "clients: [{id: kubernetes, public: true, redirect_uris: [http://localhost]}]\n"
	cluster := func(keys string) string {
		return client + "clusters: [{name: production, server: \"https://k8s.example.com:6443\", client: kubernetes" + keys + "}]\n"
	}
	for _, test := range []struct {
		name string
		file string
		want string // the message after "error: tegata.yaml: "
	}{
		{"no name", client + "clusters: [{server: https://a, client: kubernetes}]\n", `clusters[0]: name "" is not of at most 63 small letters, digits and hyphens; it becomes the context in kubeconfigs`},
		{"name with a dot", client + "clusters: [{name: a.b, server: https://a, client: kubernetes}]\n", `clusters[0]: name "a.b" is not of at most 63 small letters, digits and hyphens; it becomes the context in kubeconfigs`},
		{"name twice", client + "clusters: [{name: a, server: https://a, client: kubernetes}, {name: a, server: https://b, client: kubernetes}]\n", `clusters[1]: cluster "a" is given twice`},
		{"no server", client + "clusters: [{name: a, client: kubernetes}]\n", "clusters[0]: server: the URL of the API server is missing: https://HOST:PORT"},
		{"http", client + "clusters: [{name: a, server: \"http://a\", client: kubernetes}]\n", `clusters[0]: server: "http://a" must begin with https://: tokens are sent there`},
		{"no URL", client + "clusters: [{name: a, server: \"k8s.example.com:6443\", client: kubernetes}]\n", `clusters[0]: server: "k8s.example.com:6443" is not https://HOST:PORT, with a path if there is one`},
		{"quotes in the server", client + "clusters: [{name: a, server: \"https://a/'x\", client: kubernetes}]\n", `clusters[0]: server: "https://a/'x" is not https://HOST:PORT, with a path if there is one`},
		{"password in the server", client + "clusters: [{name: a, server: \"https://u:" + marker + "@a\", client: kubernetes}]\n", "clusters[0]: server: there is a user name or a password in the URL, and everybody who sees the cluster would get it"},
		{"query", client + "clusters: [{name: a, server: \"https://a?b\", client: kubernetes}]\n", `clusters[0]: server: "https://a?b" must have no query and no fragment`},
		{"no client", "clusters: [{name: a, server: https://a}]\n", "clusters[0]: client is missing: the ID of a client of this issuer, with which people log in to the cluster"},
		{"confidential client", "clients: [{id: web, secret_environment: A, redirect_uris: [http://localhost]}]\nclusters: [{name: a, server: https://a, client: web}]\n", `clusters[0]: client "web": it has a secret or a key, which everybody who downloads a kubeconfig would need; name a public client`},
		{"client of another address", "clients: [{id: web, public: true, redirect_uris: [https://web.example.com/]}]\nclusters: [{name: a, server: https://a, client: web}]\n", `clusters[0]: client "web": the credential plugin waits at http://localhost:8000, which is no redirect URI of it`},
		{"namespace", cluster(", namespace: \"{username}.{group}\""), `clusters[0]: namespace "{username}.{group}" is none, not even with a name for {username}: it is of at most 63 small letters, digits and hyphens`},
		{"empty group", cluster(", groups: [\"\"]"), "clusters[0]: groups: a group cannot be empty"},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := check(t, test.file)
			if want := "error: tegata.yaml: " + test.want + "\n"; got.code != exit.Usage || got.stderr != want {
				t.Errorf("got %d and\n%swant 2 and\n%s", got.code, got.stderr, want)
			}
			if strings.Contains(got.stderr, marker) {
				t.Errorf("the message repeats what stands in the file:\n%s", got.stderr)
			}
		})
	}
}
