// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package directory_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	goldap "github.com/go-ldap/ldap/v3"
	"github.com/google/go-cmp/cmp"

	"github.com/tegata/tegata/internal/oidc"
	"github.com/tegata/tegata/test/directory"
)

const localPassword = "a long enough secret"

// branch is a second directory, whose user alice is somebody else.
func branch(t testing.TB) *directory.Server {
	t.Helper()
	s := directory.Start(t, person("uid=alice", "alice", "mail: alice@branch.example\n")+
		person("uid=erin", "erin", "mail: erin@branch.example\n")+
		person("uid=frank", "frank", "mail: Alice@Example.com\n")+
		person("uid=system", "system:admin", ""))
	group(t, s, "system:masters", user("erin"))
	group(t, s, "staff", user("erin"), user("alice"))
	return s
}

func named(source settings, name string, more settings) settings {
	source["name"] = name
	for key, value := range more {
		source[key] = value
	}
	return source
}

func TestSeveralSources(t *testing.T) {
	t.Parallel()
	p := serveWith(t, settings{"sources": []settings{
		{"name": "local", "title": "Guests"},
		named(corp(laboratory(t)), "corp", settings{"email_domains": []string{"example.com"}}),
		named(corp(branch(t)), "branch", settings{"title": "The branch", "groups_prefix": "branch:"}),
		named(corp(branch(t)), "prefixed", settings{"username_prefix": "p-", "groups_prefix": "p-"}),
	}, "clients": []settings{
		{"id": "kubernetes", "public": true, "redirect_uris": []string{redirectURI}},
		{"id": "terminal", "public": true, "grants": []string{"password", "refresh_token"}},
		{"id": "only-branch", "public": true, "redirect_uris": []string{redirectURI}, "sources": []string{"branch"}},
		{"id": "not-local", "public": true, "redirect_uris": []string{redirectURI}, "sources": []string{"corp", "branch"}},
		{"id": "terminal-branch", "public": true, "grants": []string{"password", "refresh_token"}, "sources": []string{"branch"}},
	}})
	p.admin(localPassword, "user", "add", "carol", "--email", "carol@example.net", "--password-stdin")
	p.admin(localPassword, "user", "add", "dora", "--email", "dora@example.com", "--password-stdin")

	b := p.browser()
	if _, err := b.open("kubernetes"); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"Guests", "Example Corp", "The branch", "Example Corp"} {
		if !strings.Contains(b.body, ">"+want+"</option>") {
			t.Errorf("the page does not offer %q: %s", want, readable(b.body))
		}
	}

	for _, test := range []struct {
		name, source, login, password string
		subject                       string // that it begins with; empty: refused
		username                      string
		groups                        []string
		problem                       string
	}{
		{"local, chosen", "local", "carol", localPassword, "carol-", "carol", []string{}, ""},
		{"local, by e-mail address", "local", "carol@example.net", localPassword, "carol-", "carol", []string{}, ""},
		{"the first, if nothing is chosen", "", "carol", localPassword, "carol-", "carol", []string{}, ""},
		{"corp, by its domain", "", "Alice@EXAMPLE.com", "alice-password", "corp:", "alice", []string{"everybody", "loop-a", "platform-engineer", "posix"}, ""},
		{"corp, by its domain, although another was chosen", "branch", "alice@example.com", "alice-password", "corp:", "alice", []string{"everybody", "loop-a", "platform-engineer", "posix"}, ""},
		{"an address of the domain that only the other source has", "local", "dora@example.com", localPassword, "", "", nil, wrongCredentials},
		{"a source that there is not", "elsewhere", "alice", "alice-password", "", "", nil, wrongCredentials},
		{"somebody of another source", "corp", "carol", localPassword, "", "", nil, wrongCredentials},
		{"the name of somebody else", "branch", "alice", "alice-password", "", "", nil, nameTaken},
		{"an address that is for another source to vouch for", "branch", "frank", "frank-password", "branch:", "frank", []string{}, ""},
		{"a group of Kubernetes", "branch", "erin", "erin-password", "branch:", "erin", []string{"branch:staff", "branch:system:masters"}, ""},
		{"a name of Kubernetes", "branch", "system:admin", "system:admin-password", "", "", nil, denied},
		{"prefixes", "prefixed", "system:admin", "system:admin-password", "prefixed:", "p-system:admin", []string{}, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			b := p.browser()
			got := b.logIn(test.source, test.login, test.password)
			if test.subject == "" {
				if got.code != "" || !strings.Contains(got.problem, test.problem) {
					t.Errorf("got %d: %s; want %q", got.status, got.text, test.problem)
				}
				return
			}
			said := b.redeem(got).claims(t)
			if !strings.HasPrefix(string(said.Subject), test.subject) || said.Username != test.username {
				t.Errorf("got %+v", said)
			}
			if diff := cmp.Diff(test.groups, said.Groups); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
	if _, frank := p.logIn("branch", "frank", "frank-password"); *frank.EmailVerified {
		t.Errorf("an address of corp's domain counts as verified for %+v", frank)
	}
	if list := p.admin("", "user", "list", "--output", "json"); strings.Contains(list, "alice@branch.example") {
		t.Errorf("who was refused was kept:\n%s", list)
	}

	// A client that is for some sources offers those, and sends nobody to
	// another.
	for _, test := range []struct{ client, login, password, subject string }{
		{"only-branch", "erin", "erin-password", "branch:"},
		{"not-local", "josé", "josé-password", "corp:"},
	} {
		b := p.browser()
		if _, err := b.open(test.client); err != nil || strings.Contains(b.body, "Guests") {
			t.Errorf("%s is offered the local accounts: %v", test.client, err)
		}
		// The form of a client for one source has no choice in it.
		got, err := b.submit("/login", url.Values{"login": {test.login}, "password": {test.password}})
		if err != nil || got.code == "" {
			t.Errorf("%s: %v, %d: %s", test.client, err, got.status, got.text)
		}
	}
	got := p.browser().token(url.Values{
		"grant_type": {"password"}, "client_id": {"terminal-branch"}, "username": {"erin"}, "password": {"erin-password"}, "scope": {"openid"},
	})
	if got.status != http.StatusOK || !strings.HasPrefix(string(got.claims(t).Subject), "branch:") {
		t.Errorf("the password grant of a client for one source: got %d %+v", got.status, got.refused)
	}
}

// What happens in the directory to somebody who is logged in: a name of
// Kubernetes, or that of somebody else. It ends the login, and the page says
// why the next one fails.
func TestNamesThatChangeUnderALogin(t *testing.T) {
	t.Parallel()
	server := branch(t)
	p := serve(t, settings{"name": "local"}, corp(server))
	p.admin(localPassword, "user", "add", "carol", "--email", "carol@example.net", "--password-stdin")
	for _, test := range []struct{ attribute, value, problem string }{
		{"uid", "system:node:one", denied},
		{"uid", "carol", nameTaken},
		{"mail", "Carol@example.net", nameTaken},
	} {
		erin, said := p.logIn("corp", "erin", "erin-password")
		change := goldap.NewModifyRequest("uid=erin,"+directory.People, nil)
		change.Replace(test.attribute, []string{test.value})
		back := goldap.NewModifyRequest("uid=erin,"+directory.People, nil)
		back.Replace(test.attribute, []string{map[string]string{"uid": "erin", "mail": "erin@branch.example"}[test.attribute]})
		login := "erin"
		if test.attribute == "uid" {
			// The entry keeps the name that its DN has.
			change.Replace("uid", []string{test.value, "erin"})
			login = test.value
		}
		if err := server.Administer(t).Modify(change); err != nil {
			t.Fatal(err)
		}
		if got := erin.refresh(); got.refused.Code != oidc.InvalidGrant {
			t.Errorf("%s %s: a refresh got %d %+v", test.attribute, test.value, got.status, got.refused)
		}
		if got := p.browser().logIn("corp", login, "erin-password"); !strings.Contains(got.problem, test.problem) {
			t.Errorf("%s %s: got %d: %s", test.attribute, test.value, got.status, got.text)
		}
		if err := server.Administer(t).Modify(back); err != nil {
			t.Fatal(err)
		}
		if _, again := p.logIn("corp", "erin", "erin-password"); again.Subject != said.Subject {
			t.Errorf("with the old name: %+v, was %+v", again, said)
		}
	}
}

// Who came from a source that is taken out of the configuration stays out.
func TestASourceThatIsTakenOut(t *testing.T) {
	t.Parallel()
	p := serve(t, settings{"name": "local"}, corp(laboratory(t)))
	alice, _ := p.logIn("corp", "alice", "alice-password")
	p.configured["sources"] = []settings{{"name": "local"}}
	p.reload(t, "the configuration was taken over")
	if got := alice.refresh(); got.refused.Code != oidc.InvalidGrant {
		t.Errorf("a refresh got %d %+v", got.status, got.refused)
	}
	if got := p.browser().logIn("corp", "alice", "alice-password"); got.code != "" || !strings.Contains(got.problem, wrongCredentials) {
		t.Errorf("a login got %d: %s", got.status, got.text)
	}
}

// A source that cannot be opened changes nothing of what is served, and
// nothing that stands beside it in the file is taken over.
func TestAReloadWithABrokenSourceKeepsTheGoodOne(t *testing.T) {
	t.Parallel()
	server := laboratory(t)
	p := serve(t, corp(server))
	alice, _ := p.logIn("", "alice", "alice-password")
	clients := p.configured["clients"]
	for want, spoil := range map[string]func(source settings){
		"ca: open":                       func(s settings) { s.of("ldap")["ca"] = server.CAFile + ".gone" },
		"holds no certificate":           func(s settings) { s.of("ldap")["ca"] = p.file },
		"users.base_dn":                  func(s settings) { s.of("ldap", "users")["base_dn"] = "people" },
		"would carry passwords":          func(s settings) { s.of("ldap")["servers"] = []string{server.LDAP} },
		"TEST_NO_SUCH_VARIABLE is empty": func(s settings) { s.of("ldap")["bind_password_environment"] = "TEST_NO_SUCH_VARIABLE" },
		"sources does not list":          nil,
	} {
		source := corp(server)
		p.configured["clients"] = clients
		if spoil == nil {
			p.configured["clients"] = []settings{{"id": "other", "public": true, "redirect_uris": []string{redirectURI}, "sources": []string{"gone"}}}
		} else {
			spoil(source)
			p.configured["clients"] = []settings{{"id": "other", "public": true, "redirect_uris": []string{redirectURI}}}
		}
		p.configured["sources"] = []settings{source}
		p.reload(t, want)
		alice.mustRefresh()
		p.logIn("", "josé", "josé-password")
	}
	source := corp(server)
	source["groups_prefix"] = "new:"
	p.configured["sources"], p.configured["clients"] = []settings{source}, clients
	p.reload(t, "the configuration was taken over")
	if groups := alice.mustRefresh().Groups; !strings.HasPrefix(groups[0], "new:") {
		t.Errorf("after a good one: %q", groups)
	}
}

// Who may write into a directory must not make themselves administrators of
// every cluster.
func TestGroupsOfKubernetesNeverArrive(t *testing.T) {
	t.Parallel()
	p := serve(t, corp(branch(t)))
	erin, said := p.logIn("", "erin", "erin-password")
	for range 2 {
		if diff := cmp.Diff([]string{"staff"}, said.Groups); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
		said = erin.mustRefresh()
	}
	if !strings.Contains(read(t, p.process.Log), "group=system:masters") {
		t.Error("the log does not tell which group was left out")
	}
}

// The local account was there first, or came after.
func TestLocalAccountsAndTheDirectoryNeverMerge(t *testing.T) {
	t.Parallel()
	p := serve(t, settings{"name": "local"}, corp(laboratory(t)))
	p.admin(localPassword, "user", "add", "alice", "--email", "alice@example.com", "--password-stdin")
	own, first := p.logIn("local", "alice", localPassword)
	for _, login := range []string{"alice", "alice@example.com"} {
		got := p.browser().logIn("corp", login, "alice-password")
		if got.code != "" || got.status != http.StatusForbidden || !strings.Contains(got.problem, nameTaken) {
			t.Errorf("%s: got %d: %s", login, got.status, got.text)
		}
	}
	got := p.browser().token(url.Values{
		"grant_type": {"password"}, "client_id": {"terminal"}, "username": {"alice"}, "password": {"alice-password"}, "scope": {"openid"},
	})
	if got.refused.Code != oidc.InvalidGrant {
		t.Errorf("the password grant: got %d %+v", got.status, got.refused)
	}
	if again := own.mustRefresh(); again.Subject != first.Subject || len(again.Groups) != 0 {
		t.Errorf("whose name it is: %+v", again)
	}

	// The other way round, the command says who has the name.
	p.logIn("corp", "bob", "bob-password")
	command := p.command("user", "add", "bob", "--password-stdin", "--config", p.file, "--data-dir", p.dir)
	command.Stdin = strings.NewReader(localPassword)
	if out, err := command.CombinedOutput(); err == nil || !strings.Contains(string(out), "bob") {
		t.Errorf("a local account with the name of somebody of the directory: %v\n%s", err, out)
	}
}
