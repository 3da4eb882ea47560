// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package provider_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tegata/tegata/internal/audit"
	"github.com/tegata/tegata/internal/identity"
	"github.com/tegata/tegata/internal/identity/local"
	"github.com/tegata/tegata/internal/oidc"
	"github.com/tegata/tegata/internal/provider/session"
	"github.com/tegata/tegata/internal/secret"
	"github.com/tegata/tegata/internal/store"
)

const freshPassword = "Zwiebel-7-kuchen"

// locals is the source of the local accounts of an issuer, with a policy.
func (i *issuer) locals(policy local.Policy) *local.Source {
	return &local.Source{
		Accounts: i.rows, Hasher: i.hasher, Policy: policy, LinkKey: i.config.Secret.Derive("account link"), Audit: i.config.Audit, Now: i.clock.Now,
	}
}

// governed lets the passwords of an issuer follow a policy.
func governed(policy local.Policy) func(*issuer) {
	return func(i *issuer) { i.config.Source = i.locals(policy) }
}

// watched collects what is told of an issuer.
func watched(events *[]audit.Event) func(*issuer) {
	var mu sync.Mutex // guards the events
	return func(i *issuer) {
		i.config.Audit = &audit.Trail{Issuer: issuerURL, Now: i.clock.Now, Sinks: []func(audit.Event){func(e audit.Event) {
			mu.Lock()
			defer mu.Unlock()
			*events = append(*events, e)
		}}}
	}
}

// choosePassword sends the last form of a page with what a person types.
func (b *browser) choosePassword(page answered, pairs ...string) answered {
	b.t.Helper()
	form := page.form()
	return b.send("POST", b.resolve(form.action), change(form.fields, pairs...), nil)
}

func (i *issuer) account(login string) local.Account {
	i.t.Helper()
	found, err := i.rows.AccountByLogin(i.t.Context(), login)
	check(i.t, err)
	return found
}

func TestOwnerChangesThePassword(t *testing.T) {
	t.Parallel()
	var events []audit.Event
	i := newIssuer(t, watched(&events), governed(local.Policy{MinLength: 12}))
	here, there := i.atHome("alice", alicePassword), i.atHome("alice", alicePassword)
	before := i.token(codeForm(there.again(request("scope", "openid offline_access")).code()), nil)
	before.wantTokens()

	page := here.get("/account/password")
	page.wantPage(http.StatusOK, "Change your password")
	page.wantParts("needs at least 12 characters", `<a href="/account/password" aria-current="page">`)
	events = nil
	a := here.choosePassword(page, "password", alicePassword, "new", freshPassword, "repeated", freshPassword)
	a.wantStatus(http.StatusSeeOther)
	if got := a.location.String(); got != issuerURL+"/account/password/changed" {
		t.Errorf("got %s", got)
	}
	here.get(a.location.String()).wantPage(http.StatusOK, "Your password is changed")

	// This browser goes on, with another secret; everything else has ended.
	here.get("/").wantPage(http.StatusOK, "You are logged in as")
	there.get("/").wantPage(http.StatusOK, "Log in")
	there.get("/account/password").wantPage(http.StatusOK, `name="login"`)
	i.token(refreshForm(before.RefreshToken), nil).wantRefusal("invalid_grant")
	i.guess("alice", alicePassword).wantStatus(http.StatusForbidden)
	i.guess("alice", freshPassword).code()
	if i.count("sessions") != 2 { // and the one just now
		t.Errorf("got %d sessions", i.count("sessions"))
	}
	if len(events) == 0 || events[0].Act != audit.PasswordChanged || events[0].Subject != i.alice || events[0].Remote == "" {
		t.Errorf("got the events %+v", events)
	}
}

// A change of the password proves a password. It must not make an old proof of
// a second factor look new to pages that want a fresh one.
func TestPasswordChangeMakesNoOldSecondFactorFresh(t *testing.T) {
	t.Parallel()
	i := newIssuer(t, governed(local.Policy{MinLength: 12}))
	h := i.equip(true, false)
	b := i.browser()
	b.fill(b.submit(b.get("/"), "alice", alicePassword), "code", h.code()).wantStatus(http.StatusSeeOther)
	before := i.onlySession(i.alice)
	i.clock.advance(time.Hour)
	b.get("/account/factors").wantPage(http.StatusOK, `name="password"`) // too old

	b.choosePassword(b.get("/account/password"), "password", alicePassword, "new", freshPassword, "repeated", freshPassword).
		wantStatus(http.StatusSeeOther)
	has, err := i.rows.SecondFactors(t.Context(), i.alice)
	check(t, err)
	for _, one := range has {
		b.send("POST", "/account/factors/remove", url.Values{"id": {one.ID}}, nil)
	}
	if i.count("second_factors") != 2 {
		t.Errorf("a password alone, in an old session, removed the second factor: %d rows left, want 2", i.count("second_factors"))
	}

	// It is the same login, with another secret, and ends when it would have.
	b.get("/").wantPage(http.StatusOK, "You are logged in as")
	after := i.onlySession(i.alice)
	if after.SecretHash == before.SecretHash {
		t.Error("the session has the secret that it had")
	}
	before.SecretHash, before.UsedAt, before.ExpiresAt = after.SecretHash, after.UsedAt, after.ExpiresAt
	if diff := cmp.Diff(before, after); diff != "" {
		t.Errorf("the session is another one (-want +got):\n%s", diff)
	}
}

// onlySession is the one session of somebody.
func (i *issuer) onlySession(subject oidc.Subject) session.Session {
	i.t.Helper()
	all, _, err := i.rows.SessionList(i.t.Context(), subject, identity.Page{}, i.clock.Now())
	check(i.t, err)
	if len(all) != 1 {
		i.t.Fatalf("got %d sessions, want one", len(all))
	}
	return all[0]
}

func TestPasswordChangeRefuses(t *testing.T) {
	t.Parallel()
	i := newIssuer(t, governed(local.Policy{MinLength: 12, Require: []identity.Rule{identity.HasDigit}, History: 2}))
	b := i.atHome("alice", alicePassword)
	page := b.get("/account/password")
	for _, test := range []struct {
		name, old, fresh, repeated string
		status                     int
		want                       []string
	}{
		{"wrong", "wrong", freshPassword, freshPassword, http.StatusForbidden, []string{"The password until now is wrong."}},
		{"none", "", freshPassword, freshPassword, http.StatusForbidden, []string{"The password until now is wrong."}},
		{"two", alicePassword, freshPassword, freshPassword + "x", http.StatusBadRequest, []string{"not the same"}},
		{"every rule at once", alicePassword, "alice", "alice", http.StatusBadRequest, []string{
			"The new password was refused.", "<li>needs at least 12 characters</li>", "<li>needs a digit</li>", "<li>must not hold your name",
		}},
		{"the same", alicePassword, alicePassword, alicePassword, http.StatusBadRequest, []string{"one of your last 2 passwords"}},
		{"empty", alicePassword, "", "", http.StatusBadRequest, []string{"needs at least 12 characters"}},
	} {
		a := b.choosePassword(page, "password", test.old, "new", test.fresh, "repeated", test.repeated)
		a.wantPage(test.status, "Change your password")
		a.wantParts(test.want...)
		if test.fresh != "" && strings.Contains(a.body, `"`+test.fresh+`"`) && test.fresh != "alice" {
			t.Errorf("%s: the password stands in the page", test.name)
		}
	}
	// Nothing has changed, and this browser is still logged in.
	b.get("/").wantPage(http.StatusOK, "You are logged in as")
	i.guess("alice", alicePassword).code()

	// Forms of other sites are not taken.
	b.send("POST", "/account/password", url.Values{"password": {alicePassword}, "new": {freshPassword}, "repeated": {freshPassword}},
		http.Header{"Sec-Fetch-Site": {"cross-site"}}).wantStatus(http.StatusForbidden)
	if i.account("alice").Epoch != 0 {
		t.Error("the password was changed")
	}
}

func TestPasswordPageWantsALogin(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	for _, path := range []string{"/account/password", "/account/password/changed"} {
		b := i.browser()
		page := b.get(path)
		page.wantPage(http.StatusOK, `name="login"`)
		if a := b.submit(page, "alice", alicePassword); a.location == nil || a.location.Path != "/account/password" {
			t.Errorf("after the login: %v", a.location)
		}
	}
	i.browser().send("POST", "/account/password", url.Values{"password": {alicePassword}, "new": {freshPassword}, "repeated": {freshPassword}}, nil).
		wantPage(http.StatusOK, `name="login"`)
	if i.account("alice").Epoch != 0 {
		t.Error("the password was changed")
	}
}

func TestGuessesAtThePasswordPageAreThrottled(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	b := i.atHome("alice", alicePassword)
	page := b.get("/account/password")
	for range 10 {
		b.choosePassword(page, "password", "wrong", "new", freshPassword, "repeated", freshPassword).wantStatus(http.StatusForbidden)
	}
	a := b.choosePassword(page, "password", alicePassword, "new", freshPassword, "repeated", freshPassword)
	a.wantPage(http.StatusTooManyRequests, "There were too many attempts.")
	if a.header.Get("Retry-After") == "" {
		t.Error("got no Retry-After")
	}
	i.guess("alice", alicePassword).wantStatus(http.StatusTooManyRequests) // one allowance for both
}

// Who stands in the configuration file is told so, and not asked in vain.
func TestDeclaredUsersChangeTheirPasswordElsewhere(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	hash, err := i.hasher.Hash(t.Context(), secret.New(alicePassword))
	check(t, err)
	check(t, i.rows.Declare(t.Context(), store.Declaration{Users: []local.Account{{User: identity.User{Username: "dora"}, PasswordHash: hash}}}, birth))
	b := i.atHome("dora", alicePassword)
	page := b.get("/account/password")
	page.wantPage(http.StatusOK, "Your password is not changed here.")
	page.wantNone(`type="password"`)
	b.send("POST", "/account/password", url.Values{"password": {alicePassword}, "new": {freshPassword}, "repeated": {freshPassword}}, nil).
		wantPage(http.StatusForbidden, "Your password is not changed here.")
	i.guess("dora", alicePassword).code()
}

func TestPasswordOfADirectoryIsChangedHere(t *testing.T) {
	t.Parallel()
	i, corp, _ := people(t)
	login := func() *browser {
		b := i.browser()
		b.choose(b.get("/"), "corp", "user01", corp.password("user01")).wantStatus(http.StatusSeeOther)
		return b
	}
	here, there := login(), login()
	page := here.get("/account/password")
	here.choosePassword(page, "password", "directory", "new", "short", "repeated", "short").wantPage(http.StatusBadRequest, "eight characters at the least")
	there.get("/").wantPage(http.StatusOK, "You are logged in as")
	here.choosePassword(page, "password", "directory", "new", freshPassword, "repeated", freshPassword).wantStatus(http.StatusSeeOther)
	if corp.fresh["user01"] != freshPassword {
		t.Errorf("the directory has %q", corp.fresh["user01"])
	}
	here.get("/").wantPage(http.StatusOK, "You are logged in as")
	there.get("/").wantPage(http.StatusOK, `name="login"`)
}

// A locked account looks like a wrong password, and like nobody: if the right
// password were told from the others, a guesser could go on.
func TestLockedAccountsLookLikeWrongPasswords(t *testing.T) {
	t.Parallel()
	var events []audit.Event
	i := newIssuer(t, watched(&events), governed(local.Policy{Lockout: local.Lockout{Failures: 3, For: 15 * time.Minute}}))
	look := func(login, password string) string {
		a := i.guess(login, password)
		text := sealedRequest.ReplaceAllString(a.body, "")
		return fmt.Sprint(a.status, strings.ReplaceAll(text, `value="`+login+`"`, ""))
	}
	want := look("nobody", "wrong")
	if !strings.Contains(want, "an account is locked for a while") {
		t.Errorf("nobody is told that accounts are locked:\n%s", want)
	}
	for range 3 {
		if got := look("alice", "wrong"); got != want {
			t.Errorf("before the lock (-want +got):\n%s", cmp.Diff(want, got))
		}
	}
	for _, password := range []string{"wrong", alicePassword} {
		if got := look("alice", password); got != want {
			t.Errorf("locked (-want +got):\n%s", cmp.Diff(want, got))
		}
	}
	if state := i.account("alice").State(i.clock.Now()); state != local.Locked {
		t.Errorf("got %s", state)
	}
	locks := 0
	for _, e := range events {
		if e.Act == audit.Locked && e.Subject == i.alice {
			locks++
		}
	}
	if locks != 1 {
		t.Errorf("got %d events of a lock, want 1", locks)
	}
	i.clock.advance(15 * time.Minute)
	i.guess("alice", alicePassword).code()
	if got := i.account("alice").Password; got.Failures != 0 || !got.LockedUntil.IsZero() {
		t.Errorf("got %+v", got)
	}
}

func TestTemporaryPasswordMustBeChanged(t *testing.T) {
	t.Parallel()
	i := newIssuer(t, governed(local.Policy{MinLength: 12, TemporaryFor: 7 * 24 * time.Hour}))
	source := i.locals(local.Policy{MinLength: 12, TemporaryFor: 7 * 24 * time.Hour})
	temporary := source.Generate(i.account("bob").User).Reveal()
	_, err := source.SetPassword(t.Context(), i.account("bob"), secret.New(temporary), true)
	check(t, err)

	i.guess("bob", bobPassword).wantPage(http.StatusForbidden, "is wrong")
	b := i.browser()
	page := b.submit(b.authorize(request()), "bob", temporary)
	page.wantPage(http.StatusForbidden, "Choose a new password")
	page = b.choosePassword(page, "password", temporary, "new", "bob", "repeated", "bob")
	page.wantPage(http.StatusBadRequest, "<li>needs at least 12 characters</li>")
	page = b.choosePassword(page, "password", temporary, "new", temporary, "repeated", temporary)
	page.wantPage(http.StatusBadRequest, "must not be your present password")
	if i.count("sessions") != 0 {
		t.Error("a temporary password began a session")
	}
	a := b.choosePassword(page, "password", temporary, "new", freshPassword, "repeated", freshPassword)
	i.token(codeForm(a.code()), nil).wantTokens() // the login goes on
	i.guess("bob", temporary).wantStatus(http.StatusForbidden)

	// Its time is over.
	_, err = source.SetPassword(t.Context(), i.account("bob"), secret.New(temporary), true)
	check(t, err)
	i.clock.advance(7 * 24 * time.Hour)
	i.guess("bob", "wrong").wantPage(http.StatusForbidden, "The user name or the password is wrong.")
	i.guess("bob", temporary).wantPage(http.StatusForbidden, "Your temporary password has expired.")
}

// link makes a link for a user, as tegata user reset-link does.
func (i *issuer) link(login string, lifetime time.Duration) (path, token string) {
	i.t.Helper()
	made, err := i.locals(local.Policy{}).NewLink(i.account(login), identity.Reset, i.clock.Now().Add(lifetime))
	check(i.t, err)
	return "/account/welcome?" + url.Values{"token": {made.Reveal()}}.Encode(), made.Reveal()
}

func TestLinkSetsAPasswordOnce(t *testing.T) {
	t.Parallel()
	var events []audit.Event
	i := newIssuer(t, watched(&events), governed(local.Policy{MinLength: 12}))
	session := i.atHome("alice", alicePassword)
	path, token := i.link("alice", time.Hour)

	// Whoever looks at it, a mail scanner too, uses nothing up.
	for _, method := range []string{"GET", "HEAD", "GET"} {
		a := i.browser().send(method, path, nil, nil)
		a.wantStatus(http.StatusOK)
		if a.header.Get("Referrer-Policy") != "no-referrer" || a.header.Get("Cache-Control") != "no-store" || len(a.cookies) > 0 {
			t.Errorf("%s: got %v", method, a.header)
		}
	}
	b := i.browser()
	page := b.get(path)
	page.wantParts("Choose a new password", "<strong>alice</strong>", "needs at least 12 characters")
	session.get("/").wantPage(http.StatusOK, "You are logged in as")
	page = b.choosePassword(page, "new", "alice", "repeated", "alice")
	page.wantPage(http.StatusBadRequest, "must not hold your name")
	page = b.choosePassword(page, "new", freshPassword, "repeated", "another")
	page.wantPage(http.StatusBadRequest, "not the same")

	// Old browsers say of a page without a referrer that it is of nobody.
	form := page.form()
	form.fields.Set("new", freshPassword)
	form.fields.Set("repeated", freshPassword)
	events = nil
	a := b.send("POST", form.action, form.fields, http.Header{"Origin": {"null"}})
	a.wantStatus(http.StatusSeeOther)
	if a.location.String() != issuerURL+"/" {
		t.Errorf("got %s, want the login page", a.location)
	}
	b.get("/").wantPage(http.StatusOK, `name="login"`)
	session.get("/").wantPage(http.StatusOK, `name="login"`) // what stood on the old password has ended
	if len(events) != 1 || events[0].Act != audit.PasswordChanged || events[0].Subject != i.alice || events[0].Reason != "by a link: reset" {
		t.Errorf("got the events %+v", events)
	}
	i.guess("alice", freshPassword).code()
	i.guess("alice", alicePassword).wantStatus(http.StatusForbidden)

	// Once.
	b.get(path).wantPage(http.StatusGone, "This link is no good any more")
	b.send("POST", "/account/welcome", url.Values{"token": {token}, "new": {"Another-9-phrase"}, "repeated": {"Another-9-phrase"}}, nil).
		wantPage(http.StatusGone, "It was used, or its time is over.")
	i.guess("alice", freshPassword).code()
}

func TestLinkThatIsNoGood(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	late, _ := i.link("alice", time.Hour)
	i.clock.advance(time.Hour)
	disabled, _ := i.link("bob", time.Hour)
	check(t, i.rows.SetDisabled(t.Context(), i.bob, true, i.clock.Now()))
	check(t, i.rows.SetDisabled(t.Context(), i.bob, false, i.clock.Now()))
	foreign, err := newIssuer(t).locals(local.Policy{}).NewLink(i.account("alice"), identity.Reset, i.clock.Now().Add(time.Hour))
	check(t, err)
	for name, path := range map[string]string{
		"none": "/account/welcome", "empty": "/account/welcome?token=", "noise": "/account/welcome?token=AAAA", "NUL": "/account/welcome?token=%00",
		"long": "/account/welcome?token=" + strings.Repeat("A", 4000), "late": late, "logins ended": disabled,
		"another issuer": "/account/welcome?token=" + foreign.Reveal(),
	} {
		a := i.browser().get(path)
		a.wantPage(http.StatusGone, "This link is no good any more")
		_, query, _ := strings.Cut(path, "?")
		form, err := url.ParseQuery(query)
		check(t, err)
		a = i.browser().send("POST", "/account/welcome", change(form, "new", freshPassword, "repeated", freshPassword), nil)
		if a.status != http.StatusGone {
			t.Errorf("%s: got %d", name, a.status)
		}
	}
	i.browser().get("/account/welcome?token=%zz").wantStatus(http.StatusBadRequest)
	i.guess("alice", alicePassword).code()
}

func TestLinksAreThrottled(t *testing.T) {
	t.Parallel()
	i := newIssuer(t, governed(local.Policy{MinLength: 12, History: 2}))
	_, token := i.link("alice", time.Hour)
	try := func() answered {
		return i.browser().send("POST", "/account/welcome", url.Values{"token": {token}, "new": {alicePassword}, "repeated": {alicePassword}}, nil)
	}
	for range 10 {
		try().wantPage(http.StatusBadRequest, "one of your last 2 passwords")
	}
	a := try()
	a.wantPage(http.StatusTooManyRequests, "There were too many attempts.")
	if a.header.Get("Retry-After") == "" {
		t.Error("got no Retry-After")
	}
	i.guess("alice", alicePassword).code() // logins are counted by themselves
}

func TestIssuerWithoutLocalAccountsHasNoLinks(t *testing.T) {
	t.Parallel()
	i, corp, _ := people(t)
	i.config.Source = &identity.Sources{Members: []identity.Member{{Name: "corp", Passwords: corp}}, Memory: i.rows, Now: i.clock.Now}
	i.restart()
	path, token := i.link("alice", time.Hour)
	i.browser().get(path).wantPage(http.StatusGone, "no good")
	i.browser().send("POST", "/account/welcome", url.Values{"token": {token}, "new": {freshPassword}, "repeated": {freshPassword}}, nil).wantStatus(http.StatusGone)
}
