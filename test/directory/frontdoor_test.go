// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package directory_test

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	goldap "github.com/go-ldap/ldap/v3"
	"github.com/google/go-cmp/cmp"

	"github.com/tegata/tegata/internal/audit"
	"github.com/tegata/tegata/internal/oidc"
	"github.com/tegata/tegata/test/directory"
)

const (
	wrongCredentials = "The user name or the password is wrong."
	locked           = "This account is locked for now."
	unavailable      = "The place where your account is kept does not answer."
	expired          = "Your password has expired."
	nameTaken        = "Somebody else has your name here already."
	denied           = "You may not log in here with this account."
	tooMany          = "There were too many attempts."
)

func some(text string) *string { return &text }

func yes() *bool {
	value := true
	return &value
}

func TestLoginsAtThePage(t *testing.T) {
	t.Parallel()
	server := laboratory(t)
	server.Add(t, `uid=\20lead,`+directory.People, map[string][]string{
		"objectClass": {"inetOrgPerson"}, "uid": {" lead"}, "cn": {" lead"}, "sn": {"lead"}, "userPassword": {" lead-password"},
	})
	nested := corp(server)
	nested.of("ldap", "groups")["nested"] = "walk"
	p := serve(t, nested)
	for _, test := range []struct {
		name, login, password string
		username              string // empty: refused
		email                 *string
		groups                []string
		problem               string
	}{
		{"by user name", "alice", "alice-password", "alice", some("alice@example.com"), []string{"company", "everybody", "holding", "loop-a", "loop-b", "platform-engineer", "posix"}, ""},
		{"by e-mail address", "alice@example.com", "alice-password", "alice", some("alice@example.com"), []string{"company", "everybody", "holding", "loop-a", "loop-b", "platform-engineer", "posix"}, ""},
		{"without mail", "bob", "bob-password", "bob", nil, []string{"company", "everybody", "holding"}, ""},
		{"accents", "josé", "josé-password", "josé", some("jose@example.com"), []string{"company", "everybody", "holding"}, ""},
		{"parentheses, no groups", "j(x)", "j(x)-password", "j(x)", nil, []string{}, ""},
		{"star", "a*b", "a*b-password", "a*b", nil, []string{}, ""},
		{"backslash", `back\slash`, `back\slash-password`, `back\slash`, nil, []string{}, ""},
		{"leading space", " lead", " lead-password", " lead", nil, []string{}, ""},
		{"comma in the DN", "jane", "jane-password", "jane", nil, []string{"company", "everybody", "holding"}, ""},
		{"another's password", "alice", "bob-password", "", nil, nil, wrongCredentials},
		{"empty password", "alice", "", "", nil, nil, wrongCredentials},
		{"wildcard", "a*", "alice-password", "", nil, nil, wrongCredentials},
		{"a filter", "alice)(uid=*", "alice-password", "", nil, nil, wrongCredentials},
		{"zero byte", "alice\x00", "alice-password", "", nil, nil, wrongCredentials},
		{"zero byte in the password", "alice", "alice-password\x00", "", nil, nil, wrongCredentials},
		{"no UTF-8", "alice\xff", "alice-password", "", nil, nil, wrongCredentials},
		{"nobody", "mallory", "alice-password", "", nil, nil, wrongCredentials},
		{"an address of two people", "twin@example.com", "twin1-password", "", nil, nil, denied + " Use another account, or ask your administrator. more than one entry"},
	} {
		t.Run(test.name, func(t *testing.T) {
			b := p.browser()
			got := b.logIn("", test.login, test.password)
			if test.username == "" {
				if got.code != "" || !strings.Contains(got.problem, test.problem) {
					t.Errorf("got %d, %q; want %q", got.status, got.text, test.problem)
				}
				return
			}
			said := b.redeem(got).claims(t)
			subject := said.Subject
			if !strings.HasPrefix(string(subject), "corp:") || len(subject) != len("corp:")+36 {
				t.Errorf("the subject is %q, want corp: and the entry's UUID", subject)
			}
			want := claims{Subject: subject, Username: test.username, Name: test.username, Email: test.email, Groups: test.groups}
			if test.email != nil {
				want.EmailVerified = yes()
			}
			if diff := cmp.Diff(want, said); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
	for _, event := range p.recorded(audit.LoggedIn) {
		if event.Source != "corp" || !strings.HasPrefix(string(event.Subject), "corp:") {
			t.Errorf("in the audit trail a login is %+v", event)
		}
	}
}

// The password grant goes the same way.
func TestPasswordsThatAClientSends(t *testing.T) {
	t.Parallel()
	p := serve(t, corp(laboratory(t)))
	for _, test := range []struct {
		name, login, password, want string
	}{
		{"good", "josé", "josé-password", ""},
		{"wrong", "josé", "bob-password", "the user name or the password is wrong"},
		{"locked for good", "locked", "locked-password", "the end user is disabled"},
		{"must change", "fresh", "fresh-password", "the password has expired and must be changed first"},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := p.browser().token(url.Values{
				"grant_type": {"password"}, "client_id": {"terminal"}, "username": {test.login}, "password": {test.password}, "scope": {"openid groups"},
			})
			if test.want == "" {
				if diff := cmp.Diff([]string{"everybody"}, got.claims(t).Groups); diff != "" {
					t.Errorf("-want +got:\n%s", diff)
				}
			} else if got.refused.Code != oidc.InvalidGrant || got.refused.Description != test.want {
				t.Errorf("got %d %+v, want %q", got.status, got.refused, test.want)
			}
		})
	}
}

func TestWhatARefreshNotices(t *testing.T) {
	t.Parallel()
	server := laboratory(t)
	p := serve(t, corp(server))
	directoryAdmin := server.Administer(t)
	change := func(dn string, act func(*goldap.ModifyRequest)) {
		t.Helper()
		request := goldap.NewModifyRequest(dn, nil)
		act(request)
		if err := directoryAdmin.Modify(request); err != nil {
			t.Fatal(err)
		}
	}
	refused := func(what string, l *login) {
		t.Helper()
		for range 2 { // once because the directory says so, then because the grant has ended
			if got := l.refresh(); got.status != http.StatusBadRequest || got.refused.Code != oidc.InvalidGrant {
				t.Errorf("%s: got %d %+v, want invalid_grant", what, got.status, got.refused)
			}
		}
	}

	alice, before := p.logIn("", "alice", "alice-password")
	change(groupDN("platform-engineer"), func(r *goldap.ModifyRequest) { r.Replace("member", []string{user("bob")}) })
	if diff := cmp.Diff([]string{"everybody", "loop-a", "posix"}, alice.mustRefresh().Groups); diff != "" {
		t.Errorf("after a group was taken away: -want +got:\n%s", diff)
	}
	change(groupDN("platform-engineer"), func(r *goldap.ModifyRequest) { r.Add("member", []string{user("alice")}) })
	change(user("alice"), func(r *goldap.ModifyRequest) { r.Replace("mail", []string{"alice@new.example"}) })
	if again := alice.mustRefresh(); !strings.Contains(strings.Join(again.Groups, " "), "platform-engineer") || *again.Email != "alice@new.example" {
		t.Errorf("after a group was given and the address changed: %+v", again)
	}

	// Another name, the same person; then somebody else gets the old name.
	if err := directoryAdmin.ModifyDN(goldap.NewModifyDNRequest(user("alice"), "uid=alicia", true, "")); err != nil {
		t.Fatal(err)
	}
	if renamed := alice.mustRefresh(); renamed.Subject != before.Subject || renamed.Username != "alicia" {
		t.Errorf("after the name changed: %+v, was %s", renamed, before.Subject)
	}
	server.Add(t, "cn=Another Alice,"+directory.People, map[string][]string{
		"objectClass": {"inetOrgPerson"}, "uid": {"alice"}, "cn": {"Another Alice"}, "sn": {"Alice"}, "userPassword": {"other-password"},
	})
	_, other := p.logIn("", "alice", "other-password")
	// A posixGroup holds names, so it is theirs now.
	if other.Subject == before.Subject || other.Username != "alice" || !slices.Equal(other.Groups, []string{"posix"}) {
		t.Errorf("who has the name now got %+v, after %s", other, before.Subject)
	}
	if again := alice.mustRefresh(); again.Subject != before.Subject || again.Username != "alicia" {
		t.Errorf("who had the name: %+v", again)
	}

	// Two people exchange their names between two refreshes.
	change("cn=Another Alice,"+directory.People, func(r *goldap.ModifyRequest) { r.Replace("uid", []string{"third"}) })
	if err := directoryAdmin.ModifyDN(goldap.NewModifyDNRequest(user("alicia"), "uid=alice", true, "")); err != nil {
		t.Fatal(err)
	}
	if back := alice.mustRefresh(); back.Subject != before.Subject || back.Username != "alice" {
		t.Errorf("with the old name again: %+v", back)
	}

	bob, _ := p.logIn("", "bob", "bob-password")
	change(user("bob"), func(r *goldap.ModifyRequest) { r.Add("pwdAccountLockedTime", []string{"000001010000Z"}) })
	refused("a disabled user", bob)
	if got := p.browser().logIn("", "bob", "bob-password"); got.code != "" {
		t.Error("a disabled user logged in")
	}
	change(user("bob"), func(r *goldap.ModifyRequest) { r.Delete("pwdAccountLockedTime", nil) })
	refused("a disabled user who was let in again: the grant has ended", bob)
	p.logIn("", "bob", "bob-password")

	jane, _ := p.logIn("", "jane", "jane-password")
	if err := directoryAdmin.Del(goldap.NewDelRequest(`cn=Doe\, Jane,`+directory.People, nil)); err != nil {
		t.Fatal(err)
	}
	refused("a user who was deleted", jane)
	if ended := p.recorded(audit.GrantEnd); len(ended) != 2 {
		t.Errorf("%d grants ended in the audit trail, want 2: %+v", len(ended), ended)
	}

	// An administrator here can keep somebody out, whatever the directory says.
	josé, who := p.logIn("", "josé", "josé-password")
	p.admin("", "user", "disable", "josé")
	refused("a user who was disabled here", josé)
	if got := p.browser().logIn("", "josé", "josé-password"); got.code != "" || !strings.Contains(got.problem, "This user is disabled.") {
		t.Errorf("%s, disabled here, logged in: %s", who.Username, got.text)
	}
}
