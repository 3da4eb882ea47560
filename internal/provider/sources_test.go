// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package provider_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tegata/tegata/internal/audit"
	"github.com/tegata/tegata/internal/clientregistry"
	"github.com/tegata/tegata/internal/identity"
	"github.com/tegata/tegata/internal/oidc"
	"github.com/tegata/tegata/internal/secret"
)

// hub is a source to which browsers are sent. Its authorization codes are the
// names of its users.
type hub struct {
	departures []identity.Departure
	user       identity.User
	fail       error  // of Finish and Refresh
	end        string // where its sessions end
	asked      int    // to refresh
}

func (h *hub) Begin(_ context.Context, d identity.Departure) (string, secret.String, error) {
	h.departures = append(h.departures, d)
	return "https://hub.example.com/authorize?client_id=tegata&redirect_uri=" + url.QueryEscape(d.RedirectURI), secret.New("the verifier"), nil
}

func (h *hub) Finish(_ context.Context, _ string, attempt secret.String, answer url.Values) (identity.User, secret.String, error) {
	if attempt.Reveal() != "the verifier" {
		return identity.User{}, secret.String{}, errors.New("the verifier is another")
	}
	if answer.Get("error") != "" {
		return identity.User{}, secret.String{}, &identity.DeniedError{Reason: "the login was cancelled there"}
	}
	return h.user, secret.New("refresh-token-of-the-hub"), h.fail
}

func (h *hub) Refresh(context.Context, oidc.Subject, secret.String) (identity.User, secret.String, error) {
	h.asked++
	return h.user, secret.String{}, h.fail
}

func (h *hub) LogOut(_ context.Context, _ secret.String, redirectURI, state string) (string, error) {
	if h.end == "" {
		return "", nil
	}
	return h.end + "?" + url.Values{"post_logout_redirect_uri": {redirectURI}, "state": {state}}.Encode(), nil
}

// directory is a source with passwords that are not ours.
type directory struct {
	users map[string]identity.User // by what they type
	fail  error
	must  map[string]bool // change the password
	fresh map[string]string
}

func (d *directory) Authenticate(_ context.Context, login string, password secret.String) (identity.User, error) {
	user, known := d.users[login]
	switch want := d.password(login); {
	case d.fail != nil:
		return identity.User{}, d.fail
	case !known || password.Reveal() != want:
		return identity.User{}, identity.ErrWrongCredentials
	case d.must[login]:
		return identity.User{}, identity.ErrPasswordExpired
	}
	return user, nil
}

func (d *directory) password(login string) string {
	if fresh, ok := d.fresh[login]; ok {
		return fresh
	}
	return "directory"
}

func (d *directory) Lookup(_ context.Context, subject oidc.Subject) (identity.User, error) {
	for _, user := range d.users {
		if user.Subject == subject {
			return user, d.fail
		}
	}
	return identity.User{}, identity.ErrNotFound
}

func (d *directory) ChangesPasswords() bool { return true }

func (d *directory) ChangePassword(ctx context.Context, login string, old, replacement secret.String) error {
	if old.Reveal() != d.password(login) {
		return identity.ErrWrongCredentials
	}
	if len(replacement.Reveal()) < 8 {
		return &identity.PasswordRefusedError{Reason: "eight characters at the least"}
	}
	d.fresh[login], d.must[login] = replacement.Reveal(), false
	return nil
}

// people is an issuer with local accounts, a directory and a hub.
func people(t *testing.T, options ...func(*issuer)) (*issuer, *directory, *hub) {
	there := &hub{user: identity.User{
		Subject: "hub:42", Username: "carol", Email: "carol@hub.example.com", EmailVerified: true, Groups: []string{"dev", "system:masters"},
	}}
	corp := &directory{users: map[string]identity.User{
		"user01": {Subject: "corp:1", Username: "user01", Email: "user01@corp.example.com", EmailVerified: true, Groups: []string{"lab"}},
		"user02": {Subject: "corp:2", Username: "user02", Groups: []string{}},
		"alice":  {Subject: "corp:3", Username: "alice"},
	}, must: map[string]bool{}, fresh: map[string]string{}}
	corp.users["user01@corp.example.com"] = corp.users["user01"]
	i := newIssuer(t, append(options, func(i *issuer) {
		i.config.Source = &identity.Sources{
			Members: []identity.Member{
				{Name: "corp", Title: "Example Corp", EmailDomains: []string{"Corp.example.com"}, GroupsPrefix: "corp:", KeepFor: time.Hour, Passwords: corp},
				{Name: identity.Local, Passwords: sourceOf(i)},
				{Name: "hub", Title: "The Hub", EmailDomains: []string{"hub.example.com"}, KeepFor: 12 * time.Hour, Redirect: there},
			},
			Memory: i.rows, Seal: i.config.Secret.Derive("sources"), Now: i.clock.Now, Log: slog.New(slog.DiscardHandler),
		}
	})...)
	return i, corp, there
}

// choose fills in the login page with a source.
func (b *browser) choose(page answered, source, login, password string) answered {
	b.t.Helper()
	form := page.form()
	change(form.fields, "source", source, "login", login, "password", password)
	form.fields.Del("elsewhere")
	return b.send("POST", b.resolve(form.action), form.fields, nil)
}

// goTo presses the button of a source to which the browser is sent.
func (b *browser) goTo(page answered, source string) answered {
	b.t.Helper()
	form := page.form()
	form.fields.Set("elsewhere", source)
	a := b.send("POST", b.resolve(form.action), form.fields, nil)
	a.wantStatus(http.StatusSeeOther)
	return a
}

// comeBack is the answer of the hub to a departure.
func (b *browser) comeBack(departure answered, changes ...string) answered {
	b.t.Helper()
	values := change(url.Values{"code": {"code"}, "state": {departure.query("state")}}, changes...)
	return b.get("/callback/hub?" + values.Encode())
}

func TestSourceIsChosenOnThePageOrByTheDomain(t *testing.T) {
	t.Parallel()
	i, _, _ := people(t)
	for name, test := range map[string]struct {
		source, login, password string
		want                    oidc.Subject // empty: refused
	}{
		"chosen":                      {"corp", "user01", "directory", "corp:1"},
		"no choice: the first":        {"", "user01", "directory", "corp:1"},
		"local":                       {"local", "bob", bobPassword, i.bob},
		"local user at another":       {"corp", "bob", bobPassword, ""},
		"by the domain":               {"local", "user01@corp.example.com", "directory", "corp:1"},
		"by the domain, in any case":  {"local", "user01@CORP.example.com", "directory", ""}, // the directory tells case apart
		"a source that there is not":  {"nowhere", "user01", "directory", ""},
		"one that takes no passwords": {"hub", "carol", "directory", ""},
		"another's password":          {"corp", "user01", bobPassword, ""},
	} {
		t.Run(name, func(t *testing.T) {
			b := i.in(t).browser()
			a := b.choose(b.authorize(request()), test.source, test.login, test.password)
			if test.want == "" {
				a.wantPage(http.StatusForbidden, "wrong")
				return
			}
			got := b.token(codeForm(a.code()), nil)
			got.wantTokens()
			if sub := claims(t, got.IDToken)["sub"]; sub != string(test.want) {
				t.Errorf("sub: got %v, want %s", sub, test.want)
			}
		})
	}
}

func TestGroupsOfASourceCarryItsPrefix(t *testing.T) {
	t.Parallel()
	i, corp, _ := people(t)
	b := i.browser()
	got := b.token(codeForm(b.choose(b.authorize(request("scope", "openid profile email groups offline_access")), "corp", "user01", "directory").code()), nil)
	got.wantTokens()
	if diff := cmp.Diff([]any{"corp:lab"}, claims(t, got.IDToken)["groups"]); diff != "" {
		t.Errorf("groups (-want +got):\n%s", diff)
	}
	// The next token knows what the directory says then.
	user := corp.users["user01"]
	user.Groups = []string{"lab", "readers"}
	corp.users["user01"] = user
	delete(corp.users, "user01@corp.example.com")
	got = i.refresh(got.RefreshToken)
	got.wantTokens()
	if diff := cmp.Diff([]any{"corp:lab", "corp:readers"}, claims(t, got.IDToken)["groups"]); diff != "" {
		t.Errorf("groups (-want +got):\n%s", diff)
	}
}

func TestSourceThatIsDownIsBelievedForAWhile(t *testing.T) {
	t.Parallel()
	i, corp, _ := people(t)
	b := i.browser()
	got := b.token(codeForm(b.choose(b.authorize(request("scope", "openid offline_access")), "corp", "user01", "directory").code()), nil)
	got.wantTokens()

	corp.fail = errors.New("connection refused")
	i.clock.advance(59 * time.Minute)
	got = i.refresh(got.RefreshToken)
	got.wantTokens()
	b.choose(i.browser().authorize(request()), "corp", "user01", "directory")
	other := i.browser()
	other.choose(other.authorize(request()), "corp", "user01", "directory").wantPage(http.StatusServiceUnavailable, "does not answer")

	i.clock.advance(2 * time.Minute)
	refused := i.refresh(got.RefreshToken)
	if refused.status != http.StatusServiceUnavailable || !strings.Contains(refused.body, string(oidc.TemporarilyUnavailable)) {
		t.Errorf("after an hour: got %d %s, want 503 temporarily_unavailable", refused.status, refused.body)
	}
	corp.fail = nil // and nothing was lost
	got = i.refresh(got.RefreshToken)
	got.wantTokens()

	// Whom the directory has dropped is out, also while it is down.
	user := corp.users["user01"]
	corp.users = map[string]identity.User{}
	i.refresh(got.RefreshToken).wantRefusal(oidc.InvalidGrant)
	corp.users, corp.fail = map[string]identity.User{"user01": user}, errors.New("connection refused")
	fresh := i.browser()
	fresh.choose(fresh.authorize(request()), "corp", "user01", "directory").wantPage(http.StatusServiceUnavailable, "does not answer")
}

func TestTwoPeopleAreNeverOne(t *testing.T) {
	t.Parallel()
	i, _, there := people(t) // with a local alice
	b := i.browser()
	b.choose(b.authorize(request()), "corp", "alice", "directory").wantPage(http.StatusForbidden, "Somebody else has your name")
	there.user.Username, there.user.Email = "carol", "ALICE@example.com"
	b.comeBack(b.goTo(b.authorize(request()), "hub")).wantPage(http.StatusForbidden, "Somebody else has your name")
	there.user.EmailVerified = false // then it says nothing about who it is
	b.comeBack(b.goTo(b.authorize(request()), "hub")).code()
	there.user.Username = "system:admin"
	other := i.browser()
	other.comeBack(other.goTo(other.authorize(request()), "hub")).wantPage(http.StatusForbidden, "belong to Kubernetes")
}

func TestLoginElsewhere(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	var events []audit.Event
	i, _, there := people(t, logging(&log), func(i *issuer) {
		i.config.Audit = &audit.Trail{Now: i.clock.Now, Sinks: []func(audit.Event){func(e audit.Event) { events = append(events, e) }}}
	})
	b := i.browser()
	page := b.authorize(request("scope", "openid profile email groups offline_access", "ui_locales", "de", "prompt", "login"))
	page.wantPage(http.StatusOK, "Log in with The Hub")
	departure := b.goTo(page, "hub")
	if departure.location.Host != "hub.example.com" || departure.query("client_id") != "tegata" || departure.query("redirect_uri") != i.url+"/callback/hub" {
		t.Errorf("left to %v", departure.location)
	}
	if diff := cmp.Diff([]identity.Departure{{RedirectURI: i.url + "/callback/hub", UILocales: "de", Fresh: true}}, there.departures); diff != "" {
		t.Errorf("departures (-want +got):\n%s", diff)
	}
	if i.count("sessions") != 0 || i.count("grants") != 0 {
		t.Error("something was stored before anybody proved anything")
	}
	got := b.token(codeForm(b.comeBack(departure).code()), nil)
	got.wantTokens()
	told := claims(t, got.IDToken)
	if told["sub"] != "hub:42" || told["preferred_username"] != "carol" || told["email"] != "carol@hub.example.com" {
		t.Errorf("got the claims %v", told)
	}
	if diff := cmp.Diff([]any{"dev"}, told["groups"]); diff != "" { // never system:masters
		t.Errorf("groups (-want +got):\n%s", diff)
	}

	// It is asked again, and not more often than once in a minute.
	got = i.refresh(got.RefreshToken)
	if there.asked != 0 {
		t.Errorf("asked %d times within a minute", there.asked)
	}
	i.clock.advance(2 * time.Minute)
	there.user.Groups = []string{"ops"}
	got = i.refresh(got.RefreshToken)
	if groups := claims(t, got.IDToken)["groups"]; there.asked != 1 || !cmp.Equal(groups, []any{"ops"}) {
		t.Errorf("asked %d times, groups %v", there.asked, groups)
	}
	there.fail = errors.New("503")
	i.clock.advance(11 * time.Hour)
	got = i.refresh(got.RefreshToken)
	got.wantTokens()
	there.fail = identity.ErrNotFound
	i.clock.advance(time.Hour)
	i.refresh(got.RefreshToken).wantRefusal(oidc.InvalidGrant)
	there.fail = nil
	i.refresh(got.RefreshToken).wantRefusal(oidc.InvalidGrant)

	last := events[0]
	for _, e := range events {
		if e.Act == audit.LoggedIn {
			last = e
		}
	}
	if last.Source != "hub" || last.Subject != "hub:42" {
		t.Errorf("the audit trail has the login as %+v", last)
	}
	for _, hidden := range []string{"the verifier", "refresh-token-of-the-hub", departure.query("state")} {
		if strings.Contains(log.String(), hidden) {
			t.Errorf("the log has %q", hidden)
		}
	}
}

func TestAnswersThatNobodyAskedFor(t *testing.T) {
	t.Parallel()
	i, _, there := people(t)
	b := i.browser()
	departure := b.goTo(b.authorize(request()), "hub")
	// In another browser, in none, of another page, too late, twice.
	i.browser().comeBack(departure).wantPage(http.StatusBadRequest, "expired or belongs to another browser")
	for _, elsewhere := range []string{"/callback", "/callback/corp", "/callback/"} { // where another source answers
		a := b.get(elsewhere + "?" + url.Values{"code": {"x"}, "state": {departure.query("state")}}.Encode())
		if a.status != http.StatusBadRequest && a.status != http.StatusNotFound {
			t.Errorf("%s: got %d", elsewhere, a.status)
		}
	}
	stranger := i.browser()
	stranger.authorize(request())
	stranger.comeBack(departure).wantPage(http.StatusBadRequest, "expired or belongs to another browser")
	b.get("/callback/hub?code=x").wantPage(http.StatusBadRequest, "expired")
	login := b.authorize(request()).form()
	b.comeBack(departure, "state", login.fields.Get("request")).wantPage(http.StatusBadRequest, "expired")
	b.comeBack(departure, "error", "access_denied").wantPage(http.StatusForbidden, "cancelled there")
	// What was cancelled can be tried again, on the page that says so.
	b.comeBack(b.goTo(b.comeBack(departure, "error", "access_denied"), "hub")).code()
	if head := b.send("HEAD", "/callback/hub?"+url.Values{"code": {"x"}, "state": {departure.query("state")}}.Encode(), nil, nil); head.status != http.StatusMethodNotAllowed {
		t.Errorf("HEAD: got %d", head.status)
	}
	i.clock.advance(31 * time.Minute)
	b.comeBack(departure).wantPage(http.StatusBadRequest, "expired")

	// A source that is not there, that fails, that is for others.
	b = i.browser()
	page := b.authorize(request()).form()
	page.fields.Set("elsewhere", "corp")
	b.send("POST", b.resolve(page.action), page.fields, nil).wantPage(http.StatusBadRequest, "there is no such source")
	there.fail = errors.New("the token endpoint answered 500")
	b.comeBack(b.goTo(b.authorize(request()), "hub")).wantPage(http.StatusServiceUnavailable, "does not answer")
}

func TestDomainOfAnAddressLeadsElsewhere(t *testing.T) {
	t.Parallel()
	i, _, there := people(t)
	b := i.browser()
	departure := b.choose(b.authorize(request()), "corp", "carol@hub.example.com", "typed in vain")
	departure.wantStatus(http.StatusSeeOther)
	if len(there.departures) != 1 || there.departures[0].LoginHint != "carol@hub.example.com" {
		t.Errorf("departures: %+v", there.departures)
	}
	b.comeBack(departure).code()
}

func TestOneSourceElsewhereNeedsNoPage(t *testing.T) {
	t.Parallel()
	there := &hub{user: identity.User{Subject: "hub:42", Username: "carol"}, end: "https://hub.example.com/logout"}
	i := newIssuer(t, func(i *issuer) {
		i.config.Source = &identity.Sources{
			Members: []identity.Member{{Name: "hub", KeepFor: time.Hour, Redirect: there}},
			Memory:  i.rows, Seal: i.config.Secret.Derive("sources"), Now: i.clock.Now, Log: slog.New(slog.DiscardHandler),
		}
	})
	b := i.browser()
	departure := b.authorize(request())
	departure.wantStatus(http.StatusSeeOther)
	// Nobody has seen the name of the client, and any program can have it.
	asked := b.comeBack(departure)
	asked.wantPage(http.StatusOK, "Continue as")
	b.press(asked, "continue").code()
	i.browser().authorize(request("prompt", "select_account")).wantPage(http.StatusOK, "Log in with hub")
	i.browser().authorize(request("prompt", "none")).wantError(oidc.LoginRequired)

	// The logout is passed on, and comes back to where it should.
	left := b.send("POST", "/logout/confirm", url.Values{"answer": {"logout"}}, nil)
	left.wantPage(http.StatusOK, "https://hub.example.com/logout?post_logout_redirect_uri="+url.QueryEscape(i.url+"/logout/done"))
	b.get("/logout/done?state=whatever").wantPage(http.StatusOK, "You are logged out")
}

func TestPasswordThatMustBeChanged(t *testing.T) {
	t.Parallel()
	var events []audit.Event
	i, corp, _ := people(t, func(i *issuer) {
		i.config.Audit = &audit.Trail{Now: i.clock.Now, Sinks: []func(audit.Event){func(e audit.Event) { events = append(events, e) }}}
	})
	corp.must["user02"] = true
	b := i.browser()
	b.choose(b.authorize(request()), "corp", "user02", "wrong").wantPage(http.StatusForbidden, "wrong")
	page := b.choose(b.authorize(request()), "corp", "user02", "directory")
	page.wantPage(http.StatusForbidden, "Choose a new password")
	set := func(page answered, old, fresh, repeated string) answered {
		t.Helper()
		form := page.form()
		change(form.fields, "password", old, "new", fresh, "repeated", repeated)
		return b.send("POST", b.resolve(form.action), form.fields, nil)
	}
	page = set(page, "directory", "long enough", "long enuogh")
	page.wantPage(http.StatusBadRequest, "not the same")
	page = set(page, "directory", "short", "short")
	page.wantPage(http.StatusBadRequest, "eight characters at the least")
	page = set(page, "wrong", "long enough", "long enough")
	page.wantPage(http.StatusForbidden, "wrong")
	if corp.password("user02") != "directory" {
		t.Fatal("the password was changed")
	}
	b.token(codeForm(set(page, "directory", "long enough", "long enough").code()), nil).wantTokens()
	changed := 0
	for _, e := range events {
		if e.Act == audit.PasswordChanged && e.Subject == "corp:2" && e.Source == "corp" {
			changed++
		}
	}
	if changed != 1 {
		t.Errorf("the audit trail has %d changes", changed)
	}
	// The page is no way to guess passwords.
	corp.must["user02"] = true
	b = i.browser()
	page = b.choose(b.authorize(request()), "corp", "user02", "long enough")
	for n := range 12 {
		page = set(page, "guess", "long enough 2", "long enough 2")
		if n == 11 {
			page.wantPage(http.StatusTooManyRequests, "too many attempts")
		}
	}
}

func TestClientForUsersOfOneSource(t *testing.T) {
	t.Parallel()
	i, _, _ := people(t)
	i.addClient(clientregistry.Client{ID: "lab", RedirectURIs: []string{"http://localhost:8000"}, Sources: []string{"corp"}}, "")
	b := i.browser()
	page := b.authorize(request("client_id", "lab"))
	page.wantPage(http.StatusOK, "Log in")
	if strings.Contains(page.body, "The Hub") || strings.Contains(page.body, "<select") {
		t.Errorf("the page offers sources whose users may not come:\n%s", page.body)
	}
	b.choose(page, "local", "bob", bobPassword).wantError(oidc.AccessDenied)
	form := b.authorize(request("client_id", "lab")).form()
	form.fields.Set("elsewhere", "hub")
	b.send("POST", b.resolve(form.action), form.fields, nil).wantPage(http.StatusForbidden, "may not log in here")
	b.choose(b.authorize(request("client_id", "lab")), "corp", "user01", "directory").code()
}

// Who has to log in again does so also at a source elsewhere.
func TestLoginAgainIsFreshElsewhere(t *testing.T) {
	t.Parallel()
	i, _, there := people(t)
	b := i.browser()
	b.comeBack(b.goTo(b.get("/"), "hub")).wantStatus(http.StatusSeeOther)
	i.clock.advance(16 * time.Minute)
	b.goTo(b.get("/account/factors"), "hub")
	if last := there.departures[len(there.departures)-1]; !last.Fresh {
		t.Errorf("a page that wants a fresh login left with %+v: the source answers without asking anybody", last)
	}
}

// An address in a domain of one source is not another source's to vouch for.
func TestAddressesOfASourceAreNotAnothersToGive(t *testing.T) {
	t.Parallel()
	i, _, there := people(t)
	there.user.Email, there.user.EmailVerified = "ceo@corp.example.com", true // corp has the domain; the ceo never logged in yet
	b := i.browser()
	a := b.comeBack(b.goTo(b.authorize(request("scope", "openid email")), "hub"))
	if a.status == http.StatusForbidden {
		return
	}
	got := b.token(codeForm(a.code()), nil)
	got.wantTokens()
	if told := claims(t, got.IDToken); told["email_verified"] == true {
		t.Errorf("a user of the hub became %v, verified: an address of the source corp", told["email"])
	}
}

// Whoever has one departure must not make us ask the source as often as they
// like: it asks us to stop, and then nobody logs in.
func TestAnswersElsewhereAreThrottled(t *testing.T) {
	t.Parallel()
	i, _, there := people(t)
	b := i.browser()
	departure := b.goTo(b.authorize(request()), "hub")
	there.fail = &identity.DeniedError{Reason: "no"}
	finished := 0
	for range 50 {
		if a := b.comeBack(departure, "code", "made up"); a.status == http.StatusForbidden && strings.Contains(a.body, "no") {
			finished++
		}
	}
	if finished > 10 {
		t.Errorf("one departure made us ask the source %d times, without a throttle", finished)
	}
}

// moody is a directory that cannot answer about one of its users.
type moody struct {
	*directory
	about oidc.Subject
}

func (m moody) Lookup(ctx context.Context, subject oidc.Subject) (identity.User, error) {
	if subject == m.about {
		return identity.User{}, errors.New("the entry has more than 5000 groups")
	}
	return m.directory.Lookup(ctx, subject)
}

// One user about whom a source cannot answer must not keep it from being asked
// about the others: somebody who was taken out would go on for as long as
// KeepFor.
func TestOneBrokenUserSilencesNoSource(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	corp := &directory{users: map[string]identity.User{
		"user01": {Subject: "corp:1", Username: "user01", Groups: []string{"cluster-admins"}},
		"user02": {Subject: "corp:2", Username: "user02"},
	}}
	s := &identity.Sources{
		Members: []identity.Member{{Name: "corp", KeepFor: 12 * time.Hour, Passwords: moody{corp, "corp:2"}}},
		Memory:  i.rows, Seal: i.config.Secret.Derive("sources"), Now: i.clock.Now, Log: slog.New(slog.DiscardHandler),
	}
	for _, login := range []string{"user01", "user02"} {
		_, err := s.AuthenticateAt(t.Context(), "corp", login, secret.New("directory"))
		check(t, err)
	}
	delete(corp.users, "user01") // dismissed
	i.clock.advance(6 * time.Hour)
	_, _ = s.Lookup(t.Context(), "corp:2") // the accomplice
	if user, err := s.Lookup(t.Context(), "corp:1"); !errors.Is(err, identity.ErrNotFound) {
		t.Errorf("six hours after the directory forgot them: %v, %v; want %v", user.Groups, err, identity.ErrNotFound)
	}
}

// Whom an administrator keeps out stays out: a deleted row forgets it, and the
// source lets them in again.
func TestDeletingForgetsNoDisabling(t *testing.T) {
	t.Parallel()
	i, _, _ := people(t, administered)
	check(t, i.rows.AddMember(t.Context(), "platform-engineer", i.alice))
	b := i.browser()
	b.comeBack(b.goTo(b.authorize(request()), "hub")).code()
	check(t, i.rows.SetDisabled(t.Context(), "hub:42", true, i.clock.Now()))
	admin := i.browser()
	admin.choose(admin.get("/admin"), "local", "alice", alicePassword).wantStatus(http.StatusSeeOther)
	admin.onUser("hub:42", "delete", "confirm", "carol").wantText("once forgotten, the source would let them in again")
	other := i.browser()
	if a := other.comeBack(other.goTo(other.authorize(request()), "hub")); a.status != http.StatusForbidden {
		t.Errorf("a user who was disabled, then deleted on the page, is let in: status %d", a.status)
	}
}
