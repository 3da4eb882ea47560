// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package provider_test

import (
	"encoding/base64"
	"encoding/csv"
	"html"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/google/go-cmp/cmp"

	"github.com/tegata/tegata/internal/audit"
	"github.com/tegata/tegata/internal/clientregistry"
	"github.com/tegata/tegata/internal/identity"
	"github.com/tegata/tegata/internal/kubeconfig"
	"github.com/tegata/tegata/internal/oidc"
	"github.com/tegata/tegata/internal/provider/portal"
)

// authority is not looked at where it is only handed on.
const authorityPEM = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"

func production() portal.Cluster {
	return portal.Cluster{
		Name: "production", Title: "Production", Server: "https://k8s.example.com:6443", Authority: []byte(authorityPEM), Client: "kubernetes",
		Namespace: "{username}", Groups: []string{"platform-engineer"}, UsernameClaim: "email", UsernamePrefix: "oidc:", GroupsPrefix: "oidc:",
	}
}

func laboratory() portal.Cluster {
	return portal.Cluster{Name: "lab", Title: "Laboratory", Server: "https://lab.example.com", Client: "laptop", UsernameClaim: "preferred_username"}
}

func offering(clusters ...portal.Cluster) func(*issuer) {
	return func(i *issuer) { i.config.Clusters = clusters }
}

// atHome is a browser in which the person logged in at the issuer's own page.
func (i *issuer) atHome(login, password string) *browser {
	i.t.Helper()
	b := i.browser()
	b.submit(b.get("/"), login, password).wantStatus(http.StatusSeeOther)
	return b
}

func (a answered) wantParts(parts ...string) {
	a.t.Helper()
	for _, part := range parts {
		if !strings.Contains(a.body, part) {
			a.t.Errorf("got no %q on the page:\n%s", part, a.body)
		}
	}
}

func (a answered) wantNone(parts ...string) {
	a.t.Helper()
	for _, part := range parts {
		if strings.Contains(a.body, part) {
			a.t.Errorf("got %q on the page:\n%s", part, a.body)
		}
	}
}

func TestPortalShowsWhoIAmAndMyClusters(t *testing.T) {
	t.Parallel()
	i := newIssuer(t, offering(production(), laboratory()))
	home := i.atHome("alice", alicePassword).get("/")
	home.wantPage(http.StatusOK, "You are logged in as <strong>Alice Archer</strong>")
	home.wantParts("<dd>alice</dd>", "<dd>alice@example.com</dd>", `<dd class="one">platform-engineer</dd>`, "<dd>this server</dd>",
		"<h3>Production</h3>", "<code>oidc:alice@example.com</code>", "<code>oidc:platform-engineer</code>", "<code>oidc:readers</code>",
		"<h3>Laboratory</h3>", "<code>alice</code>", "<code>readers</code>",
		`href="/clusters/production/kubeconfig"`, `href="/clusters/lab"`, `href="/kubeconfig"`, `href="/account/logins"`, `href="/device"`, `href="/account/factors"`,
		`href="/account/password"`, "kubectl oidc-login --version")
	home.wantNone("/admin")
	if got := home.header.Get("Cache-Control"); got != "no-store" {
		t.Errorf("Cache-Control: got %q, want no-store", got)
	}

	// Bob is not in the group, and one cluster is all there is.
	home = i.atHome("bob", bobPassword).get("/")
	home.wantParts("<h3>Laboratory</h3>", "<code>bob</code>")
	home.wantNone("Production", "/clusters/production", `href="/kubeconfig"`)

	// Nothing for anybody.
	none := newIssuer(t).atHome("bob", bobPassword).get("/")
	none.wantParts("There is no cluster for you here.", "You can close this tab.")
	none.wantNone("kubectl")
}

// A person of another source reads its title, or its name.
func TestPortalNamesTheSource(t *testing.T) {
	t.Parallel()
	i := newIssuer(t, knowing(func(user *identity.User) { user.Source = "corp" }), func(i *issuer) {
		i.config.SourceTitles = map[string]string{"corp": "Example Corp"}
	})
	i.atHome("alice", alicePassword).get("/").wantParts("<dd>Example Corp</dd>")
	i.config.SourceTitles = nil
	i.restart()
	i.atHome("alice", alicePassword).get("/").wantParts("<dd>corp</dd>")
}

// read parses a kubeconfig as we do and as a strict decoder does.
func read(t testing.TB, text string) *kubeconfig.Config {
	t.Helper()
	path := filepath.Join(t.TempDir(), "kubeconfig")
	check(t, os.WriteFile(path, []byte(text), 0o600))
	config, err := kubeconfig.Load([]string{path})
	check(t, err)
	var strict struct {
		APIVersion     string `yaml:"apiVersion"`
		Kind           string `yaml:"kind"`
		CurrentContext string `yaml:"current-context"`
		Clusters       []struct {
			Name    string `yaml:"name"`
			Cluster struct {
				Server    string `yaml:"server"`
				Authority string `yaml:"certificate-authority-data"`
			} `yaml:"cluster"`
		} `yaml:"clusters"`
		Contexts []struct {
			Name    string `yaml:"name"`
			Context struct {
				Cluster   string `yaml:"cluster"`
				User      string `yaml:"user"`
				Namespace string `yaml:"namespace"`
			} `yaml:"context"`
		} `yaml:"contexts"`
		Users []struct {
			Name string `yaml:"name"`
			User struct {
				Exec *struct {
					APIVersion      string   `yaml:"apiVersion"`
					Command         string   `yaml:"command"`
					Args            []string `yaml:"args"`
					InteractiveMode string   `yaml:"interactiveMode"`
					InstallHint     string   `yaml:"installHint"`
				} `yaml:"exec"`
				AuthProvider *struct {
					Name   string            `yaml:"name"`
					Config map[string]string `yaml:"config"`
				} `yaml:"auth-provider"`
			} `yaml:"user"`
		} `yaml:"users"`
	}
	if err := yaml.UnmarshalWithOptions([]byte(text), &strict, yaml.Strict()); err != nil {
		t.Fatalf("%v in:\n%s", err, text)
	}
	if strict.APIVersion != "v1" || strict.Kind != "Config" || strict.CurrentContext != config.CurrentContext() {
		t.Errorf("got %s %s with the context %q, want v1 Config with %q", strict.APIVersion, strict.Kind, strict.CurrentContext, config.CurrentContext())
	}
	for n, c := range strict.Contexts {
		other, _ := config.Context(c.Name)
		if other.Cluster != c.Context.Cluster || other.User != c.Context.User || other.Namespace != c.Context.Namespace || strict.Clusters[n].Name != c.Context.Cluster {
			t.Errorf("two readers do not agree on %q: %+v, %+v", c.Name, c, other)
		}
	}
	return config
}

func TestPortalKubeconfig(t *testing.T) {
	t.Parallel()
	i := newIssuer(t, at(issuerURL+"/dex"), offering(production(), laboratory()), func(i *issuer) { i.config.Authority = []byte("CA") })
	b := i.atHome("alice", alicePassword)
	a := b.get("/clusters/production/kubeconfig")
	a.wantStatus(http.StatusOK)
	for name, want := range map[string]string{
		"Content-Type": "application/yaml", "Content-Disposition": `attachment; filename="production.yaml"`, "Cache-Control": "no-store",
		"X-Content-Type-Options": "nosniff",
	} {
		if got := a.header.Get(name); got != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
	config := read(t, a.body)
	const user = "id.example.com/dex#kubernetes"
	if got := config.CurrentContext(); got != "production" {
		t.Errorf("the context is %q, want production", got)
	}
	gotCluster, _ := config.Cluster("production")
	gotContext, _ := config.Context("production")
	gotUser, _ := config.User(user)
	gotCluster.Path, gotContext.Path, gotUser.Path = "", "", ""
	for _, diff := range []string{
		cmp.Diff(kubeconfig.Cluster{
			Name: "production", Server: "https://k8s.example.com:6443", AuthorityData: base64.StdEncoding.EncodeToString([]byte(authorityPEM)),
		}, gotCluster),
		cmp.Diff(kubeconfig.Context{Name: "production", Cluster: "production", User: user, Namespace: "alice"}, gotContext),
		cmp.Diff(kubeconfig.User{Name: user, Exec: &kubeconfig.Exec{
			APIVersion: "client.authentication.k8s.io/v1", Command: "kubectl-oidc_login", InteractiveMode: "IfAvailable",
			Args:        []string{"get-token", "--oidc-issuer-url=" + issuerURL + "/dex", "--oidc-client-id=kubernetes", "--certificate-authority-data=Q0E="},
			InstallHint: "The plugin kubectl-oidc_login is missing. How to install it: " + issuerURL + "/dex/#plugin",
		}}, gotUser),
	} {
		if diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}

	// The same on the page.
	page := b.get("/clusters/production")
	page.wantPage(http.StatusOK, "<h1>Production</h1>")
	if got := pre(t, page, "Show the text"); got != a.body {
		t.Errorf("the page shows\n%s\nwant\n%s", got, a.body)
	}

	// All in one.
	a = b.get("/kubeconfig")
	if got := a.header.Get("Content-Disposition"); got != `attachment; filename="kubeconfig.yaml"` {
		t.Errorf("Content-Disposition: got %q", got)
	}
	config = read(t, a.body)
	if got := config.Contexts(); !slices.Equal(got, []string{"production", "lab"}) || config.CurrentContext() != "production" {
		t.Errorf("got the contexts %q and %q", got, config.CurrentContext())
	}
	if got := config.Users(); !slices.Equal(got, []string{user, "id.example.com/dex#laptop"}) {
		t.Errorf("got the users %q", got)
	}
	if lab, _ := config.Cluster("lab"); lab.AuthorityData != "" {
		t.Errorf("got an authority %q, want that of the system", lab.AuthorityData)
	}
	// bob may have one of them, and has no namespace there.
	config = read(t, i.atHome("bob", bobPassword).get("/kubeconfig").body)
	if got, _ := config.Context("lab"); len(config.Contexts()) != 1 || got.Namespace != "" {
		t.Errorf("got %q, %+v", config.Contexts(), got)
	}
}

// Two clusters with one client are one login.
func TestPortalClustersOfOneClientShareTheUser(t *testing.T) {
	t.Parallel()
	second := production()
	second.Name = "staging"
	i := newIssuer(t, offering(production(), second))
	config := read(t, i.atHome("alice", alicePassword).get("/kubeconfig").body)
	if got := config.Users(); !slices.Equal(got, []string{"id.example.com#kubernetes"}) || len(config.Contexts()) != 2 {
		t.Errorf("got the users %q for the contexts %q", got, config.Contexts())
	}
}

// A client that waits for no browser here gets its code on another device.
func TestPortalKubeconfigOfADeviceClient(t *testing.T) {
	t.Parallel()
	cluster := laboratory()
	cluster.Client = "terminal"
	i := newIssuer(t, offering(cluster))
	i.addClient(clientregistry.Client{ID: "terminal", Grants: []string{oidc.GrantDeviceCode}}, "")
	b := i.atHome("alice", alicePassword)
	user, _ := read(t, b.get("/clusters/lab/kubeconfig").body).User("id.example.com#terminal")
	if user.Exec == nil || !slices.Contains(user.Exec.Args, "--grant-type=device-code") {
		t.Errorf("got %+v, want a device code", user.Exec)
	}
	b.get("/clusters/lab").wantNone("/legacy") // no refresh tokens
	b.get("/clusters/lab/legacy").wantPage(http.StatusNotFound, "no page")
}

// pre is the text of the <pre> after the summary.
func pre(t testing.TB, a answered, summary string) string {
	t.Helper()
	_, rest, ok := strings.Cut(a.body, "<summary>"+summary+"</summary>\n<pre tabindex=\"0\">")
	text, _, closed := strings.Cut(rest, "</pre>")
	if !ok || !closed {
		t.Fatalf("no text behind %q on the page:\n%s", summary, a.body)
	}
	return html.UnescapeString(text)
}

// What a person may not see does not exist; who is nobody logs in first and
// goes on there.
func TestPortalHidesClusters(t *testing.T) {
	t.Parallel()
	i := newIssuer(t, offering(production()))
	bob := i.atHome("bob", bobPassword)
	for _, path := range []string{
		"/clusters/production", "/clusters/production/kubeconfig", "/clusters/production/legacy", "/clusters/none", "/clusters/%3Cscript%3E",
		"/clusters/..%2fproduction", "/kubeconfig",
	} {
		bob.get(path).wantPage(http.StatusNotFound, "There is no page at this address.")
	}
	bob.send("POST", "/clusters/production/legacy", url.Values{}, nil).wantPage(http.StatusNotFound, "There is no page at this address.")
	for _, path := range []string{"/clusters/production", "/clusters/production/kubeconfig", "/kubeconfig", "/account/logins", "/clusters/production/legacy"} {
		b := i.browser()
		page := b.get(path)
		page.wantPage(http.StatusOK, `name="password"`)
		page.wantNone("Production", "k8s.example.com")
		a := b.submit(page, "alice", alicePassword)
		if a.status != http.StatusSeeOther || a.location.String() != issuerURL+path {
			t.Errorf("%s: got status %d to %v, want to go on there", path, a.status, a.location)
		}
	}
	if i.count("grants") != 0 {
		t.Error("looking left a grant")
	}
}

func TestPortalTellsWhyAClusterWillNotTakeMe(t *testing.T) {
	t.Parallel()
	cluster := func(name, client, claim string) portal.Cluster {
		return portal.Cluster{Name: name, Title: name, Server: "https://k8s.example.com", Client: oidc.ClientID(client), UsernameClaim: claim, Namespace: "team-{username}"}
	}
	i := newIssuer(t, offering(
		cluster("mail", "kubernetes", "email"), cluster("gone", "nobody", "email"), cluster("secret", "web", "email"),
		cluster("elsewhere", "elsewhere", "email"), cluster("broken", "broken", "email"), cluster("subject", "kubernetes", "sub"), cluster("number", "number", "number"),
	))
	i.addClient(clientregistry.Client{ID: "elsewhere", Sources: []string{"directory"}, RedirectURIs: []string{"http://localhost:8000"}}, "")
	i.addClient(clientregistry.Client{ID: "broken", RedirectURIs: []string{"http://localhost:8000"}, Claims: map[string]clientregistry.Claim{"x": {Expression: `user.attributes["no"][0]`}}}, "")
	i.addClient(clientregistry.Client{ID: "number", RedirectURIs: []string{"http://localhost:8000"}, Claims: map[string]clientregistry.Claim{"number": {Value: []byte("7")}}}, "")
	i.addUser(identity.User{Username: "carol.x", Email: "carol@example.com"}, alicePassword)
	section := func(home answered, name string) string {
		_, rest, _ := strings.Cut(home.body, "<h3>"+name+"</h3>")
		rest, _, _ = strings.Cut(rest, "</li>")
		return rest
	}
	const (
		noClient   = "This cluster cannot be used at the moment."
		noToken    = "No token can be made for you."
		noClaim    = "your account lacks what it takes for a user name"
		unverified = "your e-mail address is not verified"
	)
	for _, test := range []struct {
		login, password string
		want            map[string]string
	}{
		{"bob", bobPassword, map[string]string{
			"mail": noClaim, "gone": noClient, "secret": noClient, "elsewhere": noClient, "broken": noToken, "subject": string(i.bob), "number": noClaim,
		}},
		{"carol.x", alicePassword, map[string]string{"mail": unverified}},
		{"alice", alicePassword, map[string]string{"mail": "<code>alice@example.com</code>", "broken": noToken}},
	} {
		b := i.atHome(test.login, test.password)
		home := b.get("/")
		for name, want := range test.want {
			if got := section(home, name); !strings.Contains(got, want) {
				t.Errorf("%s at %s: got %q, want %q", test.login, name, got, want)
			}
			b.get("/clusters/"+name).wantPage(http.StatusOK, want)
			status := http.StatusOK
			if want == noClient {
				status = http.StatusNotFound
			}
			b.get("/clusters/" + name + "/kubeconfig").wantStatus(status)
		}
	}
	// A name that cannot be a namespace's is left out, and the page says so.
	carol := i.atHome("carol.x", alicePassword)
	carol.get("/clusters/subject").wantParts("your user name cannot be the name of a namespace")
	if got, _ := read(t, carol.get("/clusters/subject/kubeconfig").body).Context("subject"); got.Namespace != "" {
		t.Errorf("got the namespace %q", got.Namespace)
	}
	alice := i.atHome("alice", alicePassword)
	alice.get("/clusters/subject").wantParts("<code>team-alice</code>")
	// What works is in the file of all, and nothing else.
	if got := read(t, alice.get("/kubeconfig").body).Contexts(); !slices.Equal(got, []string{"mail", "broken", "subject", "number"}) {
		t.Errorf("got the contexts %q", got)
	}
}

// hostile is a client that does what its ID can to a shell.
const hostile = "a'b\"c$(id)`id`;d|e&f,g%PATH%\\h!"

// The lines for sh are run by sh. In the place of kubectl stands a program
// that writes down what it was called with.
func TestPortalCommandsInAShell(t *testing.T) {
	t.Parallel()
	cluster := production()
	cluster.Client = hostile
	i := newIssuer(t, offering(cluster))
	i.addClient(clientregistry.Client{ID: hostile, RedirectURIs: []string{"http://localhost:8000"}}, "")
	b := i.atHome("alice", alicePassword)
	page := b.get("/clusters/production")
	dir := t.TempDir()
	check(t, os.WriteFile(filepath.Join(dir, "kubectl"), []byte("#!/bin/sh\nprintf '%s\\0' \"$@\"\nprintf '\\n\\0'\n"), 0o700))
	run := exec.CommandContext(t.Context(), "sh")
	run.Stdin = strings.NewReader(pre(t, page, "For Linux, macOS"))
	run.Env = []string{"PATH=" + dir + string(os.PathListSeparator) + os.Getenv("PATH")}
	run.Dir = dir
	out, err := run.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	var calls [][]string
	for call := range strings.SplitSeq(strings.TrimSuffix(string(out), "\n\x00"), "\n\x00") {
		calls = append(calls, strings.Split(strings.TrimSuffix(call, "\x00"), "\x00"))
	}
	config := read(t, b.get("/clusters/production/kubeconfig").body)
	user, ok := config.User("id.example.com#" + hostile)
	if !ok {
		t.Fatalf("got the users %q", config.Users())
	}
	credentials := []string{
		"config", "set-credentials", user.Name, "--exec-api-version=client.authentication.k8s.io/v1", "--exec-interactive-mode=IfAvailable",
		"--exec-command=kubectl-oidc_login",
	}
	for _, arg := range user.Exec.Args {
		credentials = append(credentials, "--exec-arg="+arg)
	}
	// kubectl reads these as CSV.
	for n, word := range calls[2] {
		if value, ok := strings.CutPrefix(word, "--exec-arg="); ok {
			fields, err := csv.NewReader(strings.NewReader(value)).Read()
			check(t, err)
			if len(fields) != 1 {
				t.Errorf("got %q for one argument", fields)
			}
			calls[2][n] = "--exec-arg=" + fields[0]
		}
	}
	want := [][]string{
		{"config", "set-cluster", "production", "--server=https://k8s.example.com:6443"},
		{"config", "set", "clusters.production.certificate-authority-data", base64.StdEncoding.EncodeToString([]byte(authorityPEM))},
		credentials,
		{"config", "set-context", "production", "--cluster=production", "--user=" + user.Name, "--namespace=alice"},
		{"config", "use-context", "production"},
	}
	if diff := cmp.Diff(want, calls); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	// No word of Windows is like that.
	page.wantParts("This shell cannot take a value of this cluster as it is.")
}

func (b *browser) makeLegacy() (answered, *kubeconfig.AuthProvider) {
	b.t.Helper()
	a := b.send("POST", "/clusters/production/legacy", url.Values{}, nil)
	a.wantPage(http.StatusOK, "whoever has the file is you")
	_, rest, _ := strings.Cut(a.body, "<pre tabindex=\"0\">")
	text, _, _ := strings.Cut(rest, "</pre>")
	config := read(b.t, html.UnescapeString(text))
	user, ok := config.User("id.example.com#kubernetes#auth-provider")
	if !ok || user.AuthProvider == nil || user.Exec != nil {
		b.t.Fatalf("got the users %q", config.Users())
	}
	if context, _ := config.Context("production"); context.User != user.Name || context.Namespace != "alice" {
		b.t.Errorf("got the context %+v", context)
	}
	return a, user.AuthProvider
}

// trail collects events.
type trail struct {
	mu     sync.Mutex // guards the field below
	events []audit.Event
}

func (e *trail) take() []audit.Event {
	e.mu.Lock()
	defer e.mu.Unlock()
	events := e.events
	e.events = nil
	return events
}

func audited(to *trail) func(*issuer) {
	return func(i *issuer) {
		i.config.Audit = &audit.Trail{Issuer: issuerURL, Now: i.clock.Now, Sinks: []func(audit.Event){func(e audit.Event) {
			to.mu.Lock()
			defer to.mu.Unlock()
			to.events = append(to.events, e)
		}}}
	}
}

// The older kubeconfig holds tokens that kubectl keeps fresh by itself: with
// the client's ID and an empty secret in the header.
func TestPortalLegacyKubeconfig(t *testing.T) {
	t.Parallel()
	var told trail
	i := newIssuer(t, offering(production()), audited(&told))
	b := i.atHome("alice", alicePassword)
	b.get("/clusters/production").wantParts(`href="/clusters/production/legacy"`)
	warning := b.get("/clusters/production/legacy")
	warning.wantPage(http.StatusOK, "This kubeconfig holds tokens.")
	warning.wantParts("auth-provider has been deprecated in kubectl")
	if i.count("grants") != 0 {
		t.Error("the warning made a grant")
	}
	told.take()

	made, provider := b.makeLegacy()
	if got := made.header.Get("Cache-Control"); got != "no-store" {
		t.Errorf("Cache-Control: got %q, want no-store", got)
	}
	if provider.Name != "oidc" || provider.Config["idp-issuer-url"].Reveal() != issuerURL || provider.Config["client-id"].Reveal() != "kubernetes" || len(provider.Config) != 4 {
		t.Errorf("got %v", provider)
	}
	idToken := claims(t, provider.Config["id-token"].Reveal())
	if idToken["email"] != "alice@example.com" || idToken["aud"] != "kubernetes" || idToken["sub"] != string(i.alice) || idToken["sid"] == "" {
		t.Errorf("got the claims %v", idToken)
	}
	var acts []audit.Act
	for _, event := range told.take() {
		acts = append(acts, event.Act)
		if event.GrantType != "portal" || event.Subject != i.alice || event.Client != "kubernetes" || event.Grant == "" || event.Session == "" || event.Remote == "" {
			t.Errorf("got the event %+v", event)
		}
	}
	if !slices.Equal(acts, []audit.Act{audit.Granted, audit.Issued}) {
		t.Errorf("got the events %q", acts)
	}
	for _, shell := range []string{"For Linux, macOS", "For Windows PowerShell", "For Windows cmd"} {
		if got := pre(t, made, shell); !strings.Contains(got, "--auth-provider=oidc") || !strings.Contains(got, "refresh-token=") {
			t.Errorf("%s: got %q", shell, got)
		}
	}

	// It lives on after a logout in the browser, as a device of its own.
	devices := b.get("/account/logins")
	devices.wantParts("kubeconfig of Go-http-client/1.1")
	b.press(b.get("/"), "logout").wantPage(http.StatusOK, "You are logged out")
	form := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {provider.Config["refresh-token"].Reveal()}}
	fresh := i.token(form, basic("kubernetes", ""))
	fresh.wantTokens()

	// And it ends with the button.
	b = i.atHome("alice", alicePassword)
	b.send("POST", "/account/logins", url.Values{"end": {"devices"}}, nil).wantStatus(http.StatusSeeOther)
	i.refresh(fresh.RefreshToken).wantRefusal(oidc.InvalidGrant)
}

func TestPortalLegacyIsRefused(t *testing.T) {
	t.Parallel()
	i := newIssuer(t, offering(production()))
	b := i.atHome("alice", alicePassword)
	// Another site cannot press the button.
	b.send("POST", "/clusters/production/legacy", url.Values{}, http.Header{"Sec-Fetch-Site": {"cross-site"}}).wantStatus(http.StatusForbidden)
	// No address does it by itself.
	b.get("/clusters/production/legacy")
	// A client without offline_access has a grant that ends with the session.
	check(t, i.rows.DeleteClient(t.Context(), "kubernetes"))
	i.addClient(clientregistry.Client{ID: "kubernetes", RedirectURIs: []string{"http://localhost:8000"}, Scopes: oidc.Scopes{"openid", "email"}}, "")
	if got := i.count("grants"); got != 0 {
		t.Errorf("got %d grants, want none yet", got)
	}
	_, provider := b.makeLegacy()
	b.press(b.get("/"), "logout").wantPage(http.StatusOK, "You are logged out")
	i.refresh(provider.Config["refresh-token"].Reveal()).wantRefusal(oidc.InvalidGrant)
	// Who is nobody gets a login page and nothing else.
	a := b.send("POST", "/clusters/production/legacy", url.Values{}, nil)
	a.wantPage(http.StatusOK, `name="password"`)
	a.wantNone("refresh-token")
}

// A session that lacks the second factor is too little for the person's own
// pages, and one that suffices for them may be too little for a client.
func TestPortalWantsTheSecondFactor(t *testing.T) {
	t.Parallel()
	guarded := production()
	guarded.Client = "guarded"
	i := newIssuer(t, offering(guarded))
	i.addClient(clientregistry.Client{ID: "guarded", SecondFactor: true, RedirectURIs: []string{"http://localhost:8000"}}, "")
	b := i.atHome("alice", alicePassword)
	b.get("/").wantPage(http.StatusOK, "<h3>Production</h3>")
	b.get("/clusters/production/legacy").wantPage(http.StatusOK, asksEnrol)
	a := b.send("POST", "/clusters/production/legacy", url.Values{}, nil)
	a.wantPage(http.StatusOK, asksEnrol)
	a.wantNone("refresh-token")

	h := i.equip(true, false)
	for _, path := range []string{"/", "/clusters/production", "/clusters/production/kubeconfig", "/kubeconfig", "/account/logins"} {
		a := b.get(path)
		a.wantPage(http.StatusOK, asksFactor)
		a.wantNone("Production")
	}
	b.send("POST", "/account/logins", url.Values{"end": {"browsers"}}, nil).wantPage(http.StatusOK, asksFactor)
	if i.count("grants") != 0 {
		t.Error("a grant was made without the second factor")
	}
	a = b.fill(b.get("/clusters/production/legacy"), "code", h.code())
	if a.status != http.StatusSeeOther || a.location.String() != issuerURL+"/clusters/production/legacy" {
		t.Fatalf("got status %d to %v, want to go on", a.status, a.location)
	}
	a = b.send("POST", "/clusters/production/legacy", url.Values{}, nil)
	a.wantPage(http.StatusOK, "refresh-token")
}

func ids(a answered, what string) (found []string) {
	for _, match := range regexp.MustCompile(`id="`+what+`-([a-z0-9]+)"`).FindAllStringSubmatch(a.body, -1) {
		found = append(found, match[1])
	}
	return found
}

func TestPortalEndsDevices(t *testing.T) {
	t.Parallel()
	var told trail
	i := newIssuer(t, audited(&told))
	one, two := i.logIn(), i.logIn()
	b, bob := i.atHome("alice", alicePassword), i.atHome("bob", bobPassword)
	page := b.get("/account/logins")
	page.wantPage(http.StatusOK, "<h1>Devices and browsers</h1>")
	page.wantParts("Production cluster", "Go-http-client/1.1<br>\nFrom 127.0.0.1", "2026")
	devices := ids(page, "device")
	if len(devices) != 2 {
		t.Fatalf("got the devices %q, want two:\n%s", devices, page.body)
	}
	bob.get("/account/logins").wantParts("No program has a login of yours.")
	end := func(b *browser, what, id string) answered {
		return b.send("POST", "/account/logins", url.Values{"end": {what}, "id": {id}}, nil)
	}

	// Nobody ends what is another's, and nobody learns whether it is there.
	for _, id := range []string{devices[0], "no-such-grant", ""} {
		a := end(bob, "device", id)
		if a.status != http.StatusSeeOther || a.location.String() != issuerURL+"/account/logins" {
			t.Errorf("%q: got status %d to %v", id, a.status, a.location)
		}
	}
	end(bob, "devices", "").wantStatus(http.StatusSeeOther)
	end(bob, "browsers", "").wantStatus(http.StatusSeeOther)
	b.send("POST", "/account/logins", url.Values{"end": {"devices"}}, http.Header{"Origin": {"https://evil.example"}}).wantStatus(http.StatusForbidden)
	end(b, "everything", "").wantPage(http.StatusBadRequest, "cannot")
	i.browser().send("POST", "/account/logins", url.Values{"end": {"device"}, "id": {devices[0]}}, nil).wantPage(http.StatusOK, `name="password"`)
	if got := ids(b.get("/account/logins"), "device"); !slices.Equal(got, devices) {
		t.Fatalf("got the devices %q, want %q", got, devices)
	}

	told.take()
	end(b, "device", devices[0]).wantStatus(http.StatusSeeOther) // the newest is the first
	events := told.take()
	if len(events) != 1 || events[0].Act != audit.GrantEnd || events[0].Grant != devices[0] || events[0].Subject != i.alice || events[0].Reason != "the end user ended it" {
		t.Errorf("got the events %+v", events)
	}
	refused, live := two, one
	if slices.Contains(ids(b.get("/account/logins"), "device"), devices[0]) {
		t.Error("the device is still there")
	}
	if i.refresh(one.RefreshToken).status != http.StatusOK {
		refused, live = one, two
	}
	i.refresh(refused.RefreshToken).wantRefusal(oidc.InvalidGrant)
	_ = live
	end(b, "device", devices[0]).wantStatus(http.StatusSeeOther) // twice is no error
	end(b, "devices", "").wantStatus(http.StatusSeeOther)
	b.get("/account/logins").wantParts("No program has a login of yours.")
}

func TestPortalEndsBrowsers(t *testing.T) {
	t.Parallel()
	var told trail
	i := newIssuer(t, audited(&told))
	b, other, third, bob := i.atHome("alice", alicePassword), i.atHome("alice", alicePassword), i.atHome("alice", alicePassword), i.atHome("bob", bobPassword)
	end := func(b *browser, what, id string) answered {
		return b.send("POST", "/account/logins", url.Values{"end": {what}, "id": {id}}, nil)
	}
	in := func(b *browser) bool { return !strings.Contains(b.get("/").body, `name="password"`) }
	page := b.get("/account/logins")
	browsers := ids(page, "browser")
	if len(browsers) != 3 || strings.Count(page.body, "this browser") != 1 {
		t.Fatalf("got the browsers %q, want three, one of them this:\n%s", browsers, page.body)
	}
	var this string
	for _, id := range browsers {
		_, rest, _ := strings.Cut(page.body, `id="browser-`+id+`"`)
		if heading, _, _ := strings.Cut(rest, "</h3>"); strings.Contains(heading, "this browser") {
			this = id
		}
	}
	end(bob, "browser", this).wantStatus(http.StatusSeeOther)
	if !in(b) {
		t.Fatal("somebody else ended the session")
	}

	// One, which loses what was granted in it.
	code := other.again(request()).code()
	tokens := i.token(codeForm(code), nil)
	told.take()
	for _, id := range browsers {
		if id != this {
			end(b, "browser", id).wantStatus(http.StatusSeeOther)
			break
		}
	}
	events := told.take()
	if len(events) != 1 || events[0].Act != audit.LoggedOut || events[0].Subject != i.alice || events[0].Reason == "" {
		t.Errorf("got the events %+v", events)
	}
	if in(other) == in(third) || !in(b) {
		t.Errorf("in: this %v, the others %v and %v; want one other", in(b), in(other), in(third))
	}
	// All others.
	end(b, "browsers", "").wantStatus(http.StatusSeeOther)
	if in(other) || in(third) || !in(b) || !in(bob) {
		t.Error("ending all others ended too little or too much")
	}
	i.refresh(tokens.RefreshToken).wantRefusal(oidc.InvalidGrant)
	b.get("/account/logins").wantNone(`value="browsers"`)

	// This one: it is a logout.
	a := end(b, "browser", this)
	if a.status != http.StatusSeeOther || a.location.String() != issuerURL || in(b) {
		t.Errorf("got status %d to %v, want a logout", a.status, a.location)
	}
}

// The first page takes few milliseconds, however many clusters there are.
func BenchmarkPortal(b *testing.B) {
	var clusters []portal.Cluster
	for _, name := range []string{"a", "b", "c", "d", "e", "f", "g", "h", "i", "j"} {
		c := production()
		c.Name = name
		clusters = append(clusters, c)
	}
	i := newIssuer(b, offering(clusters...))
	who := i.atHome("alice", alicePassword)
	r, err := http.NewRequestWithContext(b.Context(), http.MethodGet, issuerURL+"/", nil)
	check(b, err)
	for _, cookie := range who.client.Jar.Cookies(r.URL) {
		r.AddCookie(cookie)
	}
	r.RemoteAddr = "192.0.2.7:1234"
	var longest time.Duration
	for b.Loop() {
		begun := time.Now()
		w := newDiscard()
		i.handler.ServeHTTP(w, r)
		longest = max(longest, time.Since(begun))
		if w.status != http.StatusOK {
			b.Fatalf("got status %d", w.status)
		}
	}
	b.ReportMetric(float64(longest.Microseconds())/1000, "ms-longest")
}

// discard is a response that nobody reads.
type discard struct {
	header http.Header
	status int
}

func newDiscard() *discard                            { return &discard{header: http.Header{}, status: http.StatusOK} }
func (d *discard) Header() http.Header                { return d.header }
func (d *discard) WriteHeader(status int)             { d.status = status }
func (d *discard) Write(text []byte) (n int, _ error) { return len(text), nil }
