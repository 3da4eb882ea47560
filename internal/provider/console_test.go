// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package provider_test

import (
	"database/sql"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tegata/tegata/internal/audit"
	"github.com/tegata/tegata/internal/clientregistry"
	"github.com/tegata/tegata/internal/identity"
	"github.com/tegata/tegata/internal/identity/local"
	"github.com/tegata/tegata/internal/oidc"
	"github.com/tegata/tegata/internal/provider"
	"github.com/tegata/tegata/internal/provider/console"
	"github.com/tegata/tegata/internal/provider/page"
	"github.com/tegata/tegata/internal/seal"
	"github.com/tegata/tegata/internal/secondfactor"
	"github.com/tegata/tegata/internal/secret"
	"github.com/tegata/tegata/internal/signingkey"
	"github.com/tegata/tegata/internal/store"
)

// administered makes alice an administrator, by her group.
func administered(i *issuer) {
	i.config.Administration = provider.Administration{
		Administrators: console.Administrators{"platform-engineer"},
		Keys:           signingkey.Custody{Storage: &signingKeys{}, Sealer: seal.RandomKey(), Now: i.clock.Now},
		Trail:          console.Trail{Place: page.TrailNowhere},
	}
}

// acts are the commands that the audit trail names, with whom they are about.
type acts struct {
	mu  sync.Mutex // guards the field below
	all []audit.Event
}

func (a *acts) told(i *issuer) {
	i.config.Audit = &audit.Trail{Issuer: oidc.Issuer(i.url), Now: i.clock.Now, Sinks: []func(audit.Event){func(e audit.Event) {
		a.mu.Lock()
		defer a.mu.Unlock()
		if e.Act == audit.Administered {
			a.all = append(a.all, e)
		}
	}}}
}

// take returns the commands that were told since.
func (a *acts) take() (commands []string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, e := range a.all {
		commands = append(commands, e.Reason)
	}
	a.all = nil
	return commands
}

// administrator is alice's browser, logged in at the administration pages.
func (i *issuer) administrator() *browser {
	i.t.Helper()
	b := i.browser()
	b.submit(b.get("/admin"), "alice", alicePassword).wantStatus(http.StatusSeeOther)
	return b
}

// act sends a form and follows to the page that shows what came of it.
func (b *browser) act(path string, fields ...string) answered {
	b.t.Helper()
	a := b.send("POST", path, change(url.Values{}, fields...), nil)
	if a.status != http.StatusSeeOther || a.location == nil || a.location.Host != "" {
		b.t.Fatalf("POST %s %q: got status %d to %v, want 303 within; body:\n%s", path, fields, a.status, a.location, a.body)
	}
	return b.send("GET", b.resolve(a.location.String()), nil, nil)
}

// seen is what the page of a user or of a client says it shows.
func (a answered) seen() string {
	a.t.Helper()
	_, rest, _ := strings.Cut(a.body, `name="seen" value="`)
	value, _, ok := strings.Cut(rest, `"`)
	if !ok {
		a.t.Fatalf("no form with what was seen in:\n%s", a.body)
	}
	return value
}

func userPage(subject oidc.Subject) string {
	return "/admin/user?" + url.Values{"subject": {string(subject)}}.Encode()
}

// onUser does one act with the page of a user as it is.
func (b *browser) onUser(subject oidc.Subject, name string, fields ...string) answered {
	b.t.Helper()
	seen := b.get(userPage(subject)).seen()
	return b.act("/admin/user", append([]string{"subject", string(subject), "act", name, "seen", seen}, fields...)...)
}

func (a answered) wantText(want string) {
	a.t.Helper()
	if a.status != http.StatusOK || !strings.Contains(a.body, want) {
		a.t.Errorf("got status %d, want the page to say %q:\n%s", a.status, want, a.body)
	}
}

func (i *issuer) kept(subject oidc.Subject) local.Account {
	i.t.Helper()
	account, err := i.rows.AccountBySubject(i.t.Context(), subject)
	check(i.t, err)
	return account
}

var consolePages = []string{
	"/admin", "/admin/users", "/admin/users/add", "/admin/user?subject=x", "/admin/groups", "/admin/group?name=readers",
	"/admin/clients", "/admin/clients/add", "/admin/client?id=web", "/admin/logins", "/admin/keys", "/admin/trail",
}

func TestOnlyAdministratorsSeeTheConsole(t *testing.T) {
	t.Parallel()
	i := newIssuer(t, administered)
	alice, bob := i.administrator(), i.browser()
	bob.submit(bob.get("/"), "bob", bobPassword).wantStatus(http.StatusSeeOther)
	plain := bob.get("/no-such-page")
	for _, path := range consolePages {
		i.browser().get(path).wantPage(http.StatusOK, `name="password"`)
		for _, method := range []string{"GET", "POST"} {
			if method == "POST" && !slices.Contains([]string{"/admin/users/add", "/admin/user?subject=x", "/admin/groups", "/admin/clients/add", "/admin/logins", "/admin/keys"}, path) {
				continue
			}
			var form url.Values
			if method == "POST" {
				form = url.Values{"act": {"disable"}}
			}
			a := bob.send(method, path, form, nil)
			if a.status != http.StatusNotFound || a.body != plain.body {
				t.Errorf("%s %s by bob: got status %d and\n%s", method, path, a.status, a.body)
			}
		}
		if a := alice.get(path); a.status != http.StatusOK && a.status != http.StatusSeeOther {
			t.Errorf("%s by alice: got status %d", path, a.status)
		}
	}
	// Who logs in there comes back to where they wanted to go.
	b := i.browser()
	a := b.submit(b.get("/admin/users?q=a%26b"), "alice", alicePassword)
	if a.location == nil || a.location.String() != issuerURL+"/admin/users?q=a%26b" {
		t.Errorf("after the login: got %v", a.location)
	}
	// It is asked anew each time.
	_, err := i.rows.RemoveMember(t.Context(), "platform-engineer", i.alice)
	check(t, err)
	alice.get("/admin").wantStatus(http.StatusNotFound)
	check(t, i.rows.AddMember(t.Context(), "platform-engineer", i.alice))
	alice.get("/admin").wantPage(http.StatusOK, "Overview")
	check(t, i.rows.SetDisabled(t.Context(), i.alice, true, i.clock.Now()))
	alice.get("/admin").wantPage(http.StatusOK, `name="password"`)
}

func TestThereIsNoConsoleWithoutAdministrators(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	b := i.browser()
	b.login(webRequest(), "alice", alicePassword)
	for _, path := range consolePages {
		b.get(path).wantStatus(http.StatusNotFound)
	}
}

func TestThePortalOffersTheConsole(t *testing.T) {
	t.Parallel()
	i := newIssuer(t, administered)
	i.administrator().get("/").wantPage(http.StatusOK, `href="/admin"`)
	bob := i.browser()
	bob.submit(bob.get("/"), "bob", bobPassword)
	if a := bob.get("/"); strings.Contains(a.body, `href="/admin"`) {
		t.Errorf("bob is offered the administration:\n%s", a.body)
	}
}

// The forms of others are refused, and addresses change nothing.
func TestConsoleChangesNothingFromElsewhere(t *testing.T) {
	t.Parallel()
	var told acts
	i := newIssuer(t, administered, told.told)
	b := i.administrator()
	fields := []string{"subject", string(i.bob), "act", "disable", "seen", b.get(userPage(i.bob)).seen()}
	form := change(url.Values{}, fields...)
	for _, header := range []http.Header{
		{"Sec-Fetch-Site": {"cross-site"}}, {"Sec-Fetch-Site": {"same-site"}}, {"Origin": {"https://evil.example"}}, {"Origin": {"null"}},
	} {
		if a := b.send("POST", "/admin/user", form, header); a.status != http.StatusForbidden {
			t.Errorf("%v: got status %d, want 403", header, a.status)
		}
	}
	b.get("/admin/user?" + form.Encode()).wantStatus(http.StatusOK)
	if i.kept(i.bob).Disabled || told.take() != nil {
		t.Error("bob was disabled from elsewhere")
	}
	// A request without a session is no act, and neither is one with parameters in the address alone.
	i.browser().send("POST", "/admin/user", form, nil).wantPage(http.StatusOK, `name="password"`)
	b.send("POST", "/admin/user?"+form.Encode(), url.Values{}, nil).wantStatus(http.StatusBadRequest)
	if i.kept(i.bob).Disabled {
		t.Error("bob was disabled")
	}
}

func TestConsoleActsOnUsers(t *testing.T) {
	t.Parallel()
	var told acts
	i := newIssuer(t, administered, told.told)
	b := i.administrator()
	b.header.Set("User-Agent", "a browser")
	bobs := i.browser()
	logIn := func() {
		t.Helper()
		bobs = i.browser()
		bobs.submit(bobs.get("/"), "bob", bobPassword).wantStatus(http.StatusSeeOther)
	}
	logIn()
	for _, step := range []struct {
		act      string
		fields   []string
		says     string
		commands []string
		holds    func(local.Account) bool
		ends     bool // bob's logins
	}{
		{"disable", nil, "bob is disabled", []string{"tegata user disable"}, func(a local.Account) bool { return a.Disabled }, true},
		{"disable", nil, "It was so already", nil, func(a local.Account) bool { return a.Disabled }, false},
		{"enable", nil, "bob may log in again", []string{"tegata user enable"}, func(a local.Account) bool { return !a.Disabled }, false},
		{"enable", nil, "It was so already", nil, func(a local.Account) bool { return !a.Disabled }, false},
		{"end", []string{"confirm", "Bob"}, "another one than bob", nil, nil, false},
		{"end", []string{"confirm", "bob"}, "All logins of bob have ended", []string{"tegata session end", "tegata grant end"}, nil, true},
		{"unlock", nil, "It was so already", nil, nil, false},
		{"add-member", []string{"group", "readers"}, "bob is in the group", []string{"tegata group add-member"}, func(a local.Account) bool { return slices.Contains(a.Groups, "readers") }, false},
		{"add-member", []string{"group", "readers"}, "It was so already", nil, nil, false},
		{"add-member", []string{"group", "no-such"}, "There is no group no-such", nil, nil, false},
		{"remove-member", []string{"group", "readers"}, "bob is no longer in the group", []string{"tegata group remove-member"}, func(a local.Account) bool { return len(a.Groups) == 0 }, false},
		{"link", nil, issuerURL, []string{"tegata user reset-link"}, nil, false},
		{"remove-factors", []string{"confirm", "bob"}, "It was so already", nil, nil, false},
		{"password", nil, "The temporary password of bob is", []string{"tegata user set-password"}, func(a local.Account) bool { return a.Password.MustChange }, true},
		{"delete", []string{"confirm", ""}, "another one than bob", nil, nil, false},
		{"delete", []string{"confirm", "bob"}, "The user bob is gone", []string{"tegata user delete"}, nil, false},
	} {
		if step.ends && step.act != "password" {
			logIn()
		}
		b.onUser(i.bob, step.act, step.fields...).wantText(step.says)
		told.mu.Lock()
		for _, e := range told.all {
			if e.Actor != string(i.alice) || e.Subject != i.bob || e.Agent != "a browser" || !strings.HasPrefix(e.Remote, "127.0.0.1:") || e.Issuer != issuerURL {
				t.Errorf("%s: got the event %+v; want who, whom and where from", step.act, e)
			}
		}
		told.mu.Unlock()
		if diff := cmp.Diff(step.commands, told.take()); diff != "" {
			t.Errorf("%s: commands (-want +got):\n%s", step.act, diff)
		}
		if step.holds != nil && !step.holds(i.kept(i.bob)) {
			t.Errorf("%s: got %+v", step.act, i.kept(i.bob))
		}
		if step.ends {
			bobs.get("/").wantPage(http.StatusOK, `name="password"`)
		}
	}
	if _, err := i.rows.AccountBySubject(t.Context(), i.bob); err != identity.ErrNotFound {
		t.Errorf("got %v, want bob to be gone", err)
	}
	// A page of who is gone says so.
	a := b.get(userPage(i.bob))
	a.wantStatus(http.StatusSeeOther)
	b.get(a.location.String()).wantText("There is no user")
	b.act("/admin/user", "subject", string(i.bob), "act", "disable").wantText("There is no user")
	b.send("POST", "/admin/user", url.Values{"subject": {string(i.alice)}, "act": {"promote"}}, nil).wantStatus(http.StatusBadRequest)
}

// Who has lost a second factor is helped, and whoever lacks a required one
// does not administer.
func TestConsoleAndSecondFactors(t *testing.T) {
	t.Parallel()
	var told acts
	i := newIssuer(t, administered, told.told)
	_, err := i.rows.EnrolSecondFactor(t.Context(), secondfactor.Enrolment{
		Factor: secondfactor.Factor{ID: "f1", Subject: i.bob, Kind: secondfactor.KindTOTP, Name: "<b>phone", SealedSecret: "-", CreatedAt: birth},
		Sheet:  secondfactor.Factor{ID: "f2", Subject: i.bob, Kind: secondfactor.KindRecovery, SealedSecret: "-", CreatedAt: birth}, Most: 5,
	})
	check(t, err)
	b := i.administrator()
	b.get(userPage(i.bob)).wantText("&lt;b&gt;phone")
	b.onUser(i.bob, "remove-factors", "confirm", "bob").wantText("The second factors of bob are removed")
	if left, err := i.rows.SecondFactors(t.Context(), i.bob); err != nil || len(left) != 0 {
		t.Errorf("got %+v, %v; want none", left, err)
	}
	if got := told.take(); !slices.Equal(got, []string{"tegata user factor reset"}) {
		t.Errorf("got %q", got)
	}
	i.config.SecondFactor = secondfactor.Policy{Required: true}
	i.restart()
	if a := b.get("/admin"); strings.Contains(a.body, "Audit trail") {
		t.Errorf("the pages are shown without a second factor:\n%s", a.body)
	}
	b.send("POST", "/admin/groups", url.Values{"name": {"new"}}, nil)
	if got := told.take(); got != nil {
		t.Errorf("got %q without a second factor", got)
	}
}

func TestConsoleUnlocks(t *testing.T) {
	t.Parallel()
	var told acts
	i := newIssuer(t, administered, told.told)
	_, err := i.rows.CountFailure(t.Context(), i.bob, 1, i.clock.Now(), i.clock.Now().Add(time.Hour))
	check(t, err)
	b := i.administrator()
	b.get("/admin/users").wantText("locked")
	b.onUser(i.bob, "unlock").wantText("bob is unlocked")
	if got := told.take(); !slices.Equal(got, []string{"tegata user unlock"}) || !i.kept(i.bob).Password.LockedUntil.IsZero() {
		t.Errorf("got %q and %+v", got, i.kept(i.bob).Password)
	}
}

// A secret is on the next page, and on no other one.
func TestConsoleShowsASecretOnce(t *testing.T) {
	t.Parallel()
	i := newIssuer(t, administered)
	b := i.administrator()
	form := url.Values{"subject": {string(i.bob)}, "act": {"password"}, "seen": {b.get(userPage(i.bob)).seen()}}
	a := b.send("POST", "/admin/user", form, nil)
	a.wantStatus(http.StatusSeeOther)
	address := b.resolve(a.location.String())
	shown := b.get(address)
	_, rest, _ := strings.Cut(shown.body, `<code class="once">`)
	password, _, ok := strings.Cut(rest, "<")
	if !ok || len(password) < 20 {
		t.Fatalf("no password in:\n%s", shown.body)
	}
	if strings.Contains(a.location.String(), password) || strings.Contains(a.body, password) {
		t.Error("the password is in the redirect")
	}
	for _, cookie := range a.cookies {
		if strings.Contains(cookie.Value, password) || !cookie.HttpOnly || !cookie.Secure || cookie.SameSite != http.SameSiteStrictMode {
			t.Errorf("the cookie %+v is not sealed or not strict", cookie)
		}
	}
	if again := b.get(address); strings.Contains(again.body, password) {
		t.Error("the password is shown twice")
	}
	// Another browser cannot open what the cookie holds, and nobody can later.
	thief := i.administrator()
	for _, cookie := range a.cookies {
		thief.header.Add("Cookie", cookie.Name+"="+cookie.Value)
	}
	if stolen := thief.get(address); strings.Contains(stolen.body, password) {
		t.Error("another session opened the notice")
	}
	// The password works, and must be changed.
	bob := i.browser()
	bob.submit(bob.get("/"), "bob", password)
	if i.kept(i.bob).Password.MustChange != true {
		t.Error("the password need not be changed")
	}
}

func TestConsoleActsNeedAFreshLogin(t *testing.T) {
	t.Parallel()
	var told acts
	i := newIssuer(t, administered, told.told)
	b := i.administrator()
	seen := b.get(userPage(i.bob)).seen()
	i.clock.advance(15*time.Minute + time.Second)
	old := b.get(userPage(i.bob))
	old.wantText("your login must not be older than 15 minutes")
	if strings.Contains(old.body, `value="disable"`) {
		t.Error("there is a button that does nothing")
	}
	for path, form := range map[string]url.Values{
		"/admin/user":        {"subject": {string(i.bob)}, "act": {"disable"}, "seen": {seen}},
		"/admin/groups":      {"name": {"another"}},
		"/admin/group":       {"name": {"readers"}, "act": {"delete"}, "confirm": {"readers"}},
		"/admin/clients/add": {"id": {"new"}, "kind": {"public"}, "redirect_uris": {"http://localhost:8000"}},
		"/admin/client":      {"id": {"web"}, "act": {"end-grants"}, "confirm": {"web"}},
		"/admin/users/add":   {"username": {"dave"}},
		"/admin/logins":      {"grant": {"x"}},
		"/admin/keys":        {"act": {"rotate"}},
	} {
		a := b.send("POST", path, form, nil)
		if a.status != http.StatusSeeOther || !strings.HasPrefix(a.location.String(), path) || a.query("login") != "again" {
			t.Errorf("%s: got status %d to %v, want the page that asks for a login", path, a.status, a.location)
		}
		b.get(b.resolve(a.location.String())).wantPage(http.StatusOK, `name="password"`)
	}
	if i.kept(i.bob).Disabled || told.take() != nil {
		t.Error("an old login changed something")
	}
	// What was typed is still there after the login.
	a := b.send("POST", "/admin/users/add", url.Values{"username": {"dave"}, "name": {"Dave <d>"}}, nil)
	a = b.submit(b.get(b.resolve(a.location.String())), "alice", alicePassword)
	a = b.get(a.location.String())
	a.wantText(`value="dave"`)
	a.wantText("Dave &lt;d&gt;")
	b.onUser(i.bob, "disable").wantText("bob is disabled")
}

func TestAdministratorsCannotLockThemselvesOut(t *testing.T) {
	t.Parallel()
	var told acts
	i := newIssuer(t, administered, told.told)
	b := i.administrator()
	mine := b.get(userPage(i.alice))
	for _, name := range []string{"disable", "delete", "password"} {
		if strings.Contains(mine.body, `value="`+name+`"`) {
			t.Errorf("%s is offered to alice for herself", name)
		}
		b.onUser(i.alice, name, "confirm", "alice").wantText("You cannot do this to yourself")
	}
	b.onUser(i.alice, "end").wantText("another one than alice")
	b.act("/admin/user", "subject", string(i.alice), "act", "remove-member", "group", "platform-engineer").wantText("you would not see these pages any more")
	b.act("/admin/group", "name", "platform-engineer", "act", "remove-member", "subject", string(i.alice)).wantText("you would not see these pages any more")
	b.act("/admin/group", "name", "platform-engineer", "act", "delete", "confirm", "platform-engineer").wantText("you would not see these pages any more")
	sessions, _, err := i.rows.SessionList(t.Context(), i.alice, store.Page{}, i.clock.Now())
	check(t, err)
	b.act("/admin/logins", "session", sessions[0].ID).wantText("You cannot do this to yourself")
	if got := told.take(); got != nil {
		t.Errorf("got %q, want nothing", got)
	}
	b.onUser(i.alice, "end", "confirm", "alice").wantPage(http.StatusOK, `name="password"`) // she meant it
	b = i.administrator()
	b.act("/admin/user", "subject", string(i.alice), "act", "remove-member", "group", "readers").wantText("no longer in the group")
}

// A page that shows what is no more says so, and does nothing.
func TestConsoleRefusesAStalePage(t *testing.T) {
	t.Parallel()
	var told acts
	i := newIssuer(t, administered, told.told)
	b := i.administrator()
	seen := b.get(userPage(i.bob)).seen()
	check(t, i.rows.AddMember(t.Context(), "readers", i.bob))
	b.act("/admin/user", "subject", string(i.bob), "act", "delete", "confirm", "bob", "seen", seen).wantText("is not as the page showed it")
	seen = b.get("/admin/client?id=web").seen()
	_, err := i.rows.ChangeClient(t.Context(), "web", func(c *clientregistry.Client) error { c.Name = "Another"; return nil })
	check(t, err)
	b.act("/admin/client", "id", "web", "act", "delete", "confirm", "web", "seen", seen).wantText("is not as the page showed it")
	b.act("/admin/logins", "grant", "gone").wantText("It has ended already")
	b.act("/admin/logins", "session", "gone", "back", "/admin/user?subject="+string(i.bob)).wantText("It has ended already")
	b.act("/admin/group", "name", "gone", "act", "delete", "confirm", "gone").wantText("There is no group gone")
	b.act("/admin/client", "id", "gone", "act", "delete", "confirm", "gone").wantText("There is no client gone")
	b.act("/admin/group", "name", "readers", "act", "add-member", "member", "nobody").wantText("There is no user nobody")
	if got := told.take(); got != nil {
		t.Errorf("got %q, want nothing", got)
	}
}

func TestConsoleAddsUsersAndGroups(t *testing.T) {
	t.Parallel()
	var told acts
	i := newIssuer(t, administered, told.told)
	b := i.administrator()
	b.act("/admin/groups", "name", "system:masters").wantText("begins with system:")
	b.act("/admin/groups", "name", " team é ").wantText("The group team é was added")
	b.act("/admin/groups", "name", "readers").wantText("is taken")
	for _, form := range [][]string{
		{"username", "a:b"},
		{"username", "system:x"},
		{"username", ""},
		{"username", "ok", "email", "no address"},
		{"username", "ok", "name", "a\x01b"},
		{"username", "ok", "group", "no-such"},
		{"username", "alice"},
		{"username", "ok", "email", "alice@example.com"},
	} {
		a := b.act("/admin/users/add", form...)
		if a.status != http.StatusOK || !strings.Contains(a.body, `role="alert"`) || form[1] != "" && !strings.Contains(a.body, `value="`+form[1]+`"`) {
			t.Errorf("%q: got status %d, want the form again with what was typed:\n%s", form, a.status, a.body)
		}
	}
	if got := told.take(); !slices.Equal(got, []string{"tegata group add"}) {
		t.Errorf("got %q", got)
	}
	a := b.act("/admin/users/add", "username", "dave", "email", "dave@example.com", "name", "Dave D.", "group", "readers")
	a.wantText("The user dave was added")
	a.wantText("has no password")
	told.mu.Lock()
	if last := told.all[len(told.all)-1]; last.Object != "readers" {
		t.Errorf("got the event %+v, want the group", last)
	}
	told.mu.Unlock()
	if got := told.take(); !slices.Equal(got, []string{"tegata user add", "tegata group add-member"}) {
		t.Errorf("got %q", got)
	}
	dave, err := i.rows.AccountByLogin(t.Context(), "dave@example.com")
	check(t, err)
	if !slices.Equal(dave.Groups, []string{"readers"}) || !dave.EmailVerified || dave.PasswordHash != "" {
		t.Errorf("got %+v", dave)
	}
	b.onUser(dave.Subject, "link").wantText("With this link dave chooses a password")
	b.act("/admin/group", "name", "readers", "act", "add-member", "member", "bob").wantText("bob is in the group")
	b.get("/admin/group?name=readers").wantText("dave")
	b.act("/admin/group", "name", "readers", "act", "delete", "confirm", "reader").wantText("another one than readers")
	b.act("/admin/group", "name", "readers", "act", "delete", "confirm", "readers").wantText("The group readers is gone")
	if got := told.take(); !slices.Equal(got, []string{"tegata user reset-link", "tegata group add-member", "tegata group delete"}) {
		t.Errorf("got %q", got)
	}
	b.send("POST", "/admin/users/add", url.Values{"username": {strings.Repeat("x", 10000)}}, nil).wantStatus(http.StatusBadRequest)
}

func TestConsoleManagesClients(t *testing.T) {
	t.Parallel()
	var told acts
	i := newIssuer(t, administered, told.told)
	b := i.administrator()
	for _, form := range [][]string{
		{"id", "a b", "kind", "public", "redirect_uris", "http://localhost:8000"},
		{"id", "new", "kind", "public"},
		{"id", "new", "kind", "public", "redirect_uris", "http://example.com/#fragment"},
		{"id", "web", "kind", "public", "redirect_uris", "http://localhost:8000"},
	} {
		if a := b.act("/admin/clients/add", form...); !strings.Contains(a.body, `role="alert"`) {
			t.Errorf("%q was not refused:\n%s", form, a.body)
		}
	}
	b.act("/admin/clients/add", "id", "cli", "kind", "public", "redirect_uris", "http://localhost:8000\r\nhttp://localhost:18000").wantText("The client cli was added")
	a := b.act("/admin/clients/add", "id", "console", "name", "The console", "kind", "confidential", "redirect_uris", "https://console.example.com/callback")
	_, rest, _ := strings.Cut(a.body, `<code class="once">`)
	made, _, _ := strings.Cut(rest, "<")
	client, err := i.rows.Client(t.Context(), "console")
	check(t, err)
	if client.SecretHash == "" || !client.HasSecret(secret.New(made)) {
		t.Errorf("the secret %q is not the client's", made)
	}
	if got := told.take(); !slices.Equal(got, []string{"tegata client add", "tegata client add"}) {
		t.Errorf("got %q", got)
	}
	shown := b.get("/admin/client?id=console")
	for _, text := range []string{"https://console.example.com/callback", "client_secret_basic", "authorization_code refresh_token"} {
		shown.wantText(text)
	}
	if strings.Contains(shown.body, client.SecretHash) || strings.Contains(shown.body, "sha256:") {
		t.Error("the page shows the hash of the secret")
	}
	if a := b.get("/admin/clients?q=CONSOLE"); !strings.Contains(a.body, "id=console") || strings.Contains(a.body, "id=cli") || !strings.Contains(a.body, "id=web") {
		t.Errorf("the search found something else:\n%s", a.body)
	}

	logged := i.logIn()
	b.get("/admin/client?id=kubernetes").wantText("kubernetes")
	b.act("/admin/client", "id", "kubernetes", "act", "end-grants", "confirm", "no").wantText("another one than kubernetes")
	b.act("/admin/client", "id", "kubernetes", "act", "end-grants", "confirm", "kubernetes").wantText("All grants of kubernetes have ended")
	i.refresh(logged.RefreshToken).wantRefusal(oidc.InvalidGrant)
	b.act("/admin/client", "id", "kubernetes", "act", "end-grants", "confirm", "kubernetes").wantText("It was so already")
	seen := b.get("/admin/client?id=cli").seen()
	b.act("/admin/client", "id", "cli", "act", "delete", "confirm", "cli", "seen", seen).wantText("The client cli is gone")
	if got := told.take(); !slices.Equal(got, []string{"tegata grant end", "tegata client delete"}) {
		t.Errorf("got %q", got)
	}
}

func TestConsoleEndsSessionsAndGrants(t *testing.T) {
	t.Parallel()
	var told acts
	i := newIssuer(t, administered, told.told)
	logged := i.logIn()
	bob := i.browser()
	bob.submit(bob.get("/"), "bob", bobPassword)
	b := i.administrator()
	b.get("/admin/logins").wantText("kubernetes")
	grants, _, err := i.rows.GrantList(t.Context(), store.GrantFilter{}, store.Page{}, i.clock.Now())
	check(t, err)
	sessions, _, err := i.rows.SessionList(t.Context(), i.bob, store.Page{}, i.clock.Now())
	check(t, err)
	if a := b.get("/admin/logins?user=bob"); !strings.Contains(a.body, sessions[0].ID) || strings.Contains(a.body, grants[0].ID) {
		t.Errorf("bob has a session and no grant:\n%s", a.body)
	}
	b.get("/admin/logins?user=nobody").wantText("There is no such user")
	if a := b.get("/admin/logins?client=web"); strings.Contains(a.body, grants[0].ID) || strings.Contains(a.body, sessions[0].ID) {
		t.Errorf("the web console has nothing:\n%s", a.body)
	}
	b.act("/admin/logins", "grant", grants[0].ID, "back", "/admin/client?id=kubernetes").wantText("The grant of alice has ended")
	i.refresh(logged.RefreshToken).wantRefusal(oidc.InvalidGrant)
	b.act("/admin/logins", "session", sessions[0].ID, "back", "https://evil.example/admin/user?subject="+string(i.bob)).wantText("The session of bob has ended")
	bob.get("/").wantPage(http.StatusOK, `name="password"`)
	if got := told.take(); !slices.Equal(got, []string{"tegata grant end", "tegata session end"}) {
		t.Errorf("got %q", got)
	}
	b.get("/admin/logins?sessions=nonsense").wantStatus(http.StatusBadRequest)
}

func TestConsoleRotatesKeys(t *testing.T) {
	t.Parallel()
	var told acts
	i := newIssuer(t, administered, told.told)
	b := i.administrator()
	b.get("/admin/keys").wantText("signs after 24h,")
	b.send("POST", "/admin/keys", url.Values{"act": {"rotate-now"}, "alg": {"ES256"}}, nil).wantStatus(http.StatusBadRequest)
	b.send("POST", "/admin/keys", url.Values{"act": {"rotate"}, "alg": {"none"}}, nil).wantStatus(http.StatusBadRequest)
	b.act("/admin/keys", "act", "rotate", "alg", "ES256").wantText("Successors are published: ES256")
	b.act("/admin/keys", "act", "rotate-now", "alg", "ES256", "known", "yes").wantText("Successors are published: ES256")
	keys, err := i.config.Administration.Keys.List(t.Context())
	check(t, err)
	if len(keys) != 1 || keys[0].SignsFrom.Sub(birth) > time.Minute {
		t.Errorf("got %+v, want one key that signs within seconds", keys)
	}
	b.get("/admin").wantText(keys[0].ID)
	if got := told.take(); !slices.Equal(got, []string{"tegata key rotate", "tegata key rotate"}) {
		t.Errorf("got %q", got)
	}
}

// What the configuration file declares stays as it is.
func TestConsoleLeavesDeclaredRowsAlone(t *testing.T) {
	t.Parallel()
	var told acts
	i := newIssuer(t, administered, told.told)
	check(t, i.rows.Declare(t.Context(), store.Declaration{
		Users:   []local.Account{{User: identity.User{Subject: "carol-1", Username: "carol", EmailVerified: true}}},
		Groups:  []store.Group{{Name: "declared", Members: []string{"bob", "carol"}}},
		Clients: []clientregistry.Client{{ID: "fixed", RedirectURIs: []string{"http://localhost:8000"}}},
	}, birth))
	b := i.administrator()
	shown := b.get(userPage("carol-1"))
	shown.wantText("It is declared in the configuration file")
	for _, name := range []string{"disable", "delete", "password", "link"} {
		if strings.Contains(shown.body, `value="`+name+`"`) {
			t.Errorf("%s is offered for a declared user", name)
		}
		b.onUser("carol-1", name, "confirm", "carol").wantText("carol is declared in the configuration file")
	}
	b.onUser(i.bob, "delete", "confirm", "bob").wantText("bob is a member of a group in the configuration file")
	b.get("/admin/group?name=declared").wantText("It is declared in the configuration file")
	for _, form := range [][]string{
		{"act", "delete", "confirm", "declared"}, {"act", "remove-member", "subject", string(i.bob)}, {"act", "add-member", "member", "alice"},
	} {
		b.act("/admin/group", append([]string{"name", "declared"}, form...)...).wantText("declared is declared in the configuration file")
	}
	b.act("/admin/users/add", "username", "dave", "group", "declared").wantText("declared is declared in the configuration file")
	fixed := b.get("/admin/client?id=fixed")
	fixed.wantText("It is declared in the configuration file")
	b.act("/admin/client", "id", "fixed", "act", "delete", "confirm", "fixed").wantText("fixed is declared in the configuration file")
	if got := told.take(); got != nil {
		t.Errorf("got %q, want nothing", got)
	}
	b.onUser("carol-1", "end", "confirm", "carol").wantText("All logins of carol have ended")
	b.act("/admin/user", "subject", "carol-1", "act", "add-member", "group", "readers").wantText("carol is in the group")
}

// Users of another source are disabled and forgotten here; the rest is the
// source's.
func TestConsoleAndUsersOfOtherSources(t *testing.T) {
	t.Parallel()
	var told acts
	i := newIssuer(t, administered, told.told)
	_, err := i.rows.Remember(t.Context(), identity.Remembered{
		User:        identity.User{Subject: "corp:cn=erin/x,dc=a b", Username: "erin", Groups: []string{"staff"}, Source: "corp"},
		ConfirmedAt: birth,
	})
	check(t, err)
	const erin = oidc.Subject("corp:cn=erin/x,dc=a b")
	b := i.administrator()
	shown := b.get(userPage(erin))
	shown.wantText("staff")
	for _, name := range []string{"password", "link", "unlock", "add-member"} {
		if strings.Contains(shown.body, `value="`+name+`"`) {
			t.Errorf("%s is offered for a user of another source", name)
		}
	}
	b.onUser(erin, "password").wantText("This cannot be done with erin")
	b.act("/admin/group", "name", "readers", "act", "add-member", "member", "erin").wantText("This cannot be done with erin")
	b.onUser(erin, "disable").wantText("erin is disabled")
	b.get("/admin/users?source=corp").wantText("erin")
	b.onUser(erin, "delete", "confirm", "erin").wantText("once forgotten, the source would let them in again")
	b.onUser(erin, "enable").wantText("erin may log in again")
	b.onUser(erin, "delete", "confirm", "erin").wantText("The user erin is gone")
	if got := told.take(); !slices.Equal(got, []string{"tegata user disable", "tegata user enable", "tegata user delete"}) {
		t.Errorf("got %q", got)
	}
}

// Administrators may come from any source, by the groups that tokens have.
// Where there are no local accounts, none are added.
func TestConsoleWithoutLocalAccounts(t *testing.T) {
	t.Parallel()
	i := newIssuer(t, administered, func(i *issuer) {
		i.config.Administration.Administrators = console.Administrators{"corp-admins"}
		i.config.Source = &identity.Sources{
			Members: []identity.Member{{Name: "corp", Title: "Example Corp", GroupsPrefix: "corp-", Passwords: &directory{users: map[string]identity.User{
				"erin": {Subject: "corp:erin", Username: "erin", Groups: []string{"admins"}},
			}}}},
			Memory: i.rows, Seal: seal.RandomKey(), Now: i.clock.Now, Log: slog.New(slog.DiscardHandler),
		}
	})
	b := i.browser()
	b.submit(b.get("/admin"), "erin", "directory").wantStatus(http.StatusSeeOther)
	b.get("/admin").wantText("Example Corp")
	if a := b.get("/admin/users"); strings.Contains(a.body, "/admin/users/add") {
		t.Error("a local user can be added")
	}
	if a := b.get("/admin/groups"); strings.Contains(a.body, "Add a group") {
		t.Error("a group of local users can be added")
	}
	b.get("/admin/users/add").wantStatus(http.StatusNotFound)
	b.send("POST", "/admin/users/add", url.Values{"username": {"dave"}}, nil).wantStatus(http.StatusBadRequest)
	b.onUser("corp:erin", "disable").wantText("You cannot do this to yourself")
	b.onUser(i.bob, "password").wantText("This cannot be done with bob") // from a time with local accounts
}

// Of many who do the same at once, one does it.
func TestConsoleTakesConcurrentChanges(t *testing.T) {
	t.Parallel()
	var told acts
	i := newIssuer(t, administered, told.told)
	b := i.administrator()
	bob, web := b.get(userPage(i.bob)).seen(), b.get("/admin/client?id=web").seen()
	for _, form := range []struct {
		path   string
		fields url.Values
	}{
		{"/admin/user", url.Values{"subject": {string(i.bob)}, "act": {"delete"}, "confirm": {"bob"}, "seen": {bob}}},
		{"/admin/client", url.Values{"id": {"web"}, "act": {"delete"}, "confirm": {"web"}, "seen": {web}}},
		{"/admin/groups", url.Values{"name": {"new"}}},
		{"/admin/users/add", url.Values{"username": {"new"}}},
		{"/admin/group", url.Values{"name": {"readers"}, "act": {"delete"}, "confirm": {"readers"}}},
	} {
		var crowd sync.WaitGroup
		for range 8 {
			crowd.Go(func() {
				if a := b.send("POST", form.path, form.fields, nil); a.status != http.StatusSeeOther {
					t.Errorf("%s: got status %d", form.path, a.status)
				}
			})
		}
		crowd.Wait()
		if got := told.take(); len(got) != 1 {
			t.Errorf("%s: got %q, want one act", form.path, got)
		}
	}
}

// Lists have parts, searches take any text, and ten thousand users are no
// more work than fifty.
func TestConsoleListsAreBounded(t *testing.T) {
	t.Parallel()
	i := newIssuer(t, administered)
	// Past the code under test, which would take its time for each.
	db, err := sql.Open("sqlite", "file:"+i.path+"?_pragma=busy_timeout(10000)")
	check(t, err)
	defer db.Close()
	for _, statement := range []string{
		`INSERT INTO users WITH RECURSIVE crowd (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM crowd WHERE n < 9999)
			SELECT 'main', printf('user%05d', n), 'local', printf('user%05d', n), printf('user%05d', n), '', '', 0, printf('100%% of_user%05d', n),
			0, 0, 1, 0, '', 0, 0, 0, '', 0, 0, '', '', 0, '', 0 FROM crowd`,
		`INSERT INTO user_groups VALUES ('main', 'everybody', 1, 0)`,
		`INSERT INTO group_members SELECT 'main', subject, 'everybody' FROM users`,
	} {
		_, err := db.ExecContext(t.Context(), statement)
		check(t, err)
	}
	b := i.administrator()
	entries := func(a answered) int { return strings.Count(a.body, `/admin/user?subject=`) }
	for _, test := range []struct {
		path string
		want int
	}{
		{"/admin/users", 50},
		{"/admin/group?name=everybody", 50},
		{"/admin/users?q=user0999", 10},
		{"/admin/users?q=USER09999", 1},
		{"/admin/users?q=" + url.QueryEscape("%"), 50},
		{"/admin/users?q=" + url.QueryEscape("%_user00007"), 0},
		{"/admin/users?q=" + url.QueryEscape("of_user00007"), 1},
		{"/admin/users?q=" + url.QueryEscape(`\`), 0},
		{"/admin/users?q=" + url.QueryEscape(`' OR 1=1 --`), 0},
		{"/admin/users?q=" + url.QueryEscape("<script>alert(1)</script>"), 0},
		{"/admin/users?q=" + url.QueryEscape("a\x00b"), 0},
		{"/admin/users?q=%FF", 0},
		{"/admin/users?q=" + strings.Repeat("x", 5000), 0},
	} {
		a := b.get(test.path)
		if a.status != http.StatusOK || entries(a) != test.want || len(a.body) > 100<<10 || strings.Contains(a.body, "<script>") {
			t.Errorf("%s: got status %d, %d users and %d bytes; want %d users", test.path, a.status, entries(a), len(a.body), test.want)
		}
	}
	// The parts are the whole.
	found, pages, address := 0, 0, "/admin/users?q=user000"
	for address != "" && pages < 30 {
		a := b.get(address)
		a.wantStatus(http.StatusOK)
		found, pages, address = found+entries(a), pages+1, ""
		for e := range elements(t, a.body) {
			if e.attributes["rel"] == "next" {
				address = e.attributes["href"]
			}
		}
	}
	if found != 100 || pages != 2 {
		t.Errorf("got %d users on %d pages, want 100 on 2", found, pages)
	}
	b.get("/admin/users?after=!!").wantStatus(http.StatusBadRequest)
	b.get("/admin/users?%zz").wantStatus(http.StatusBadRequest)
}

// The trail shows the events of this issuer, the newest first.
func TestConsoleShowsTheTrail(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "audit.jsonl")
	i := newIssuer(t, administered, func(i *issuer) {
		to, err := os.OpenFile(file, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
		check(t, err)
		t.Cleanup(func() { check(t, to.Close()) })
		lines := audit.NewLines(to, func(err error) { t.Error(err) })
		i.config.Audit = &audit.Trail{Issuer: issuerURL, Now: i.clock.Now, Sinks: []func(audit.Event){lines.Write}}
		i.config.Administration.Trail = console.Trail{Place: page.TrailInFile, Files: audit.Files{Path: file}}
	})
	i.config.Audit.Record(audit.Event{Act: audit.LoggedIn, Issuer: "https://other.example.com", Subject: "not-ours"})
	b := i.administrator()
	i.logIn()
	b.onUser(i.bob, "disable").wantText("bob is disabled")
	i.config.Audit.Record(audit.Event{Act: audit.Administered, Actor: "root", Reason: "tegata group delete", Object: "cluster-admins"})
	all := b.get("/admin/trail")
	for _, text := range []string{"tegata user disable", "tokens issued", "login", "tegata group delete", "cluster-admins"} {
		all.wantText(text)
	}
	if strings.Contains(all.body, "not-ours") {
		t.Error("an event of another issuer is shown")
	}
	if strings.Index(all.body, "tegata user disable") > strings.Index(all.body, `data-label="Act">tokens issued`) {
		t.Error("the newest is not the first")
	}
	for path, want := range map[string]int{
		"/admin/trail?act=administration": 2, "/admin/trail?act=administration&person=bob": 1, "/admin/trail?person=" + string(i.bob): 1,
		"/admin/trail?client=web": 0, "/admin/trail?act=tokens_issued&client=kubernetes": 1, "/admin/trail?person=" + url.QueryEscape("<script>"): 0,
	} {
		a := b.get(path)
		if got := strings.Count(a.body, `<th role="rowheader"`); a.status != http.StatusOK || got != want {
			t.Errorf("%s: got status %d and %d events, want %d", path, a.status, got, want)
		}
	}
	b.get("/admin/trail?after=nonsense").wantText("The list cannot go on where it was")
	for range 60 {
		i.config.Audit.Record(audit.Event{Act: audit.Issued, TokenID: "many"})
	}
	many := b.get("/admin/trail?act=tokens_issued")
	for e := range elements(t, many.body) {
		if e.attributes["rel"] == "next" {
			many = b.get(e.attributes["href"])
		}
	}
	if got := strings.Count(many.body, `<th role="rowheader"`); got != 11 {
		t.Errorf("got %d events on the second page, want 11:\n%s", got, many.body)
	}
}

// An issuer may have a path.
func TestConsoleBelowAPath(t *testing.T) {
	t.Parallel()
	i := newIssuer(t, at("https://id.example.com/dex"), administered)
	b := i.browser()
	a := b.submit(b.get("/admin/users?q=a"), "alice", alicePassword)
	if got := a.location.String(); got != "https://id.example.com/dex/admin/users?q=a" {
		t.Fatalf("after the login: got %s", got)
	}
	b.onUser(i.bob, "disable").wantText("bob is disabled")
	for e := range elements(t, b.get("/admin").body) {
		if place := e.attributes["href"] + e.attributes["action"]; place != "" && !strings.HasPrefix(place, "/dex/") {
			t.Errorf("<%s> leads to %q", e.name, place)
		}
	}
}
