// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package provider_test

import (
	"context"
	"encoding/base32"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"regexp"
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
	"github.com/tegata/tegata/internal/provider/session"
	"github.com/tegata/tegata/internal/secondfactor"
	"github.com/tegata/tegata/internal/secret"
	"github.com/tegata/tegata/test/authenticator"
)

// wanting is an issuer that wants a second factor of some.
func wanting(policy secondfactor.Policy) func(*issuer) {
	return func(i *issuer) { i.config.SecondFactor = policy }
}

// guarded is the confidential client "vault", which wants one of everybody.
func guarded(i *issuer) {
	i.addClient(clientregistry.Client{ID: "vault", Name: "Vault", SecondFactor: true, RedirectURIs: []string{"https://web.example.com/callback"}}, otherSecret)
}

func vaultRequest(changes ...string) url.Values {
	return change(webRequest("client_id", "vault"), changes...)
}

// factors are those of the issuer, past the pages.
func (i *issuer) factors() *secondfactor.Factors {
	i.t.Helper()
	f, err := secondfactor.New(oidc.Issuer(i.url), i.rows, i.config.Secret.Derive("second factor"), i.config.SecondFactor, i.clock.Now)
	check(i.t, err)
	return f
}

// holder is a person with second factors.
type holder struct {
	i       *issuer
	user    identity.User
	app     secondfactor.TOTP
	passkey *authenticator.Passkey
	codes   []secret.String
}

// equip gives alice an app, a passkey, or both. A code of the app is good from
// then on.
func (i *issuer) equip(app, passkey bool) *holder {
	i.t.Helper()
	user, err := i.config.Source.Lookup(i.t.Context(), i.alice)
	check(i.t, err)
	h, f := &holder{i: i, user: user}, i.factors()
	if app {
		h.app = secondfactor.NewTOTP()
		codes, _, err := f.AddTOTP(i.t.Context(), secondfactor.Newcomer{User: user, Name: "Phone"}, h.app, h.app.Code(i.clock.Now()))
		check(i.t, err)
		h.codes = codes
		i.clock.advance(30 * time.Second)
	}
	if passkey {
		h.passkey = authenticator.New("id.example.com")
		has, err := f.Of(i.t.Context(), user.Subject)
		check(i.t, err)
		q, err := f.AskNewPasskey(user, has)
		check(i.t, err)
		answer, err := h.passkey.Create(string(q.Options))
		check(i.t, err)
		codes, _, err := f.AddPasskey(i.t.Context(), secondfactor.Newcomer{User: user, Name: "Key"}, q, secret.New(answer))
		check(i.t, err)
		h.codes = append(h.codes, codes...)
	}
	return h
}

func (h *holder) code() string { return h.app.Code(h.i.clock.Now()).Reveal() }

// fill sends the form of a page with one more field.
func (b *browser) fill(page answered, name, value string) answered {
	b.t.Helper()
	form := page.form()
	for _, field := range []string{"code", "recovery", "credential"} {
		form.fields.Del(field)
	}
	form.fields.Set(name, value)
	return b.send("POST", b.resolve(form.action), form.fields, nil)
}

// options are what the page asks of a passkey.
func (a answered) options() string {
	a.t.Helper()
	for e := range elements(a.t, a.body) {
		if options := e.attributes["data-options"]; options != "" {
			return options
		}
	}
	a.t.Fatalf("the page asks for no passkey: status %d, body:\n%s", a.status, a.body)
	return ""
}

func (b *browser) touch(page answered, p *authenticator.Passkey) answered {
	b.t.Helper()
	answer, err := p.Get(page.options())
	check(b.t, err)
	return b.fill(page, "credential", answer)
}

const (
	asksFactor = "Confirm that it is you"
	asksEnrol  = "Add a second factor"
	showsCodes = "Your recovery codes"
)

func TestWhoIsAskedForASecondFactor(t *testing.T) {
	t.Parallel()
	acr := `{"id_token":{"acr":{"essential":true,"value":"` + session.ACRMultiFactor + `"}}}`
	either := `{"id_token":{"acr":{"essential":true,"values":["` + session.ACRMultiFactor + `","` + session.ACRPassword + `"]}}}`
	for _, test := range []struct {
		name    string
		policy  secondfactor.Policy
		request url.Values
		wants   bool
	}{
		{"nobody", secondfactor.Policy{}, webRequest(), false},
		{"everybody", secondfactor.Policy{Required: true}, webRequest(), true},
		{"a group of hers", secondfactor.Policy{Groups: []string{"readers"}}, webRequest(), true},
		{"another group", secondfactor.Policy{Groups: []string{"writers"}}, webRequest(), false},
		{"the client", secondfactor.Policy{}, vaultRequest(), true},
		{"the client, of an exempt source", secondfactor.Policy{Required: true, Exempt: []string{"local"}}, vaultRequest(), false},
		{"an essential acr", secondfactor.Policy{}, webRequest("claims", acr), true},
		{"one of two", secondfactor.Policy{}, webRequest("claims", either), false},
	} {
		for _, has := range []struct {
			name         string
			app, passkey bool
		}{{"nothing", false, false}, {"an app", true, false}, {"a passkey", false, true}, {"both", true, true}} {
			t.Run(test.name+", and she has "+has.name, func(t *testing.T) {
				t.Parallel()
				i := newIssuer(t, wanting(test.policy), guarded)
				i.equip(has.app, has.passkey)
				b := i.browser()
				a := b.submit(b.authorize(test.request), "alice", alicePassword)
				switch {
				case has.app || has.passkey: // it was her own choice
					a.wantPage(http.StatusOK, asksFactor)
					if got := strings.Contains(a.body, `name="code"`); got != has.app {
						t.Errorf("asks for a code: %v", got)
					}
					if got := strings.Contains(a.body, "data-passkey"); got != has.passkey {
						t.Errorf("asks for a passkey: %v", got)
					}
					a.wantPage(http.StatusOK, `name="recovery"`)
				case test.wants:
					a.wantPage(http.StatusOK, asksEnrol)
				default:
					a.code()
					return
				}
				if i.count("sessions")+i.count("grants") != 0 {
					t.Error("there is a session before the second factor")
				}
				for _, cookie := range a.cookies {
					if strings.Contains(cookie.Name, "session") {
						t.Errorf("got the cookie %s", cookie.Name)
					}
				}
			})
		}
	}
}

func TestSecondFactorLogsIn(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name  string
		prove func(b *browser, page answered, h *holder) answered
		amr   string
	}{
		{"app", func(b *browser, page answered, h *holder) answered { return b.fill(page, "code", h.code()) }, "pwd otp mfa"},
		{"app, with a space", func(b *browser, page answered, h *holder) answered {
			return b.fill(page, "code", h.code()[:3]+" "+h.code()[3:])
		}, "pwd otp mfa"},
		{"recovery code", func(b *browser, page answered, h *holder) answered {
			return b.fill(page, "recovery", strings.ToLower(h.codes[3].Reveal()))
		}, "pwd otp mfa"},
		{"passkey", func(b *browser, page answered, h *holder) answered { return b.touch(page, h.passkey) }, "pwd hwk user mfa"},
		{"passkey that is backed up", func(b *browser, page answered, h *holder) answered {
			h.passkey.BackedUp = true
			return b.touch(page, h.passkey)
		}, "pwd swk user mfa"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			i := newIssuer(t)
			h := i.equip(true, true)
			b := i.browser()
			a := test.prove(b, b.submit(b.authorize(request()), "alice", alicePassword), h)
			if a.query("state") != "a-state" {
				t.Errorf("got %v, want the state of the request", a.location)
			}
			told := claims(t, i.token(codeForm(a.code()), nil).IDToken)
			if got := fmt.Sprint(told["amr"]); got != "["+test.amr+"]" || told["acr"] != session.ACRMultiFactor {
				t.Errorf("got amr %v and acr %v, want %s", told["amr"], told["acr"], test.amr)
			}
			// The session has it from now on.
			b.authorize(webRequest("prompt", "none")).code()
		})
	}
}

func TestWrongSecondFactorIsRefused(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, want string
		prove      func(b *browser, page answered, h *holder) answered
	}{
		{"no code", "The code is wrong", func(b *browser, page answered, _ *holder) answered { return b.fill(page, "code", "") }},
		{"another code", "The code is wrong", func(b *browser, page answered, h *holder) answered {
			return b.fill(page, "code", secondfactor.NewTOTP().Code(h.i.clock.Now()).Reveal())
		}},
		{"the code that added the app", "The code is wrong", func(b *browser, page answered, h *holder) answered {
			return b.fill(page, "code", h.app.Code(h.i.clock.Now().Add(-30*time.Second)).Reveal())
		}},
		{"an old code", "The code is wrong", func(b *browser, page answered, h *holder) answered {
			return b.fill(page, "code", h.app.Code(h.i.clock.Now().Add(-time.Minute)).Reveal())
		}},
		{"a recovery code for a code", "The code is wrong", func(b *browser, page answered, h *holder) answered { return b.fill(page, "code", h.codes[0].Reveal()) }},
		{"another recovery code", "The recovery code is wrong", func(b *browser, page answered, h *holder) answered {
			return b.fill(page, "recovery", secondfactor.NewRecoveryCodes()[0].Reveal())
		}},
		{"no passkey", "This passkey did not work", func(b *browser, page answered, h *holder) answered { return b.fill(page, "credential", "{}") }},
		{"another passkey", "This passkey did not work", func(b *browser, page answered, h *holder) answered {
			return b.touch(page, authenticator.New("id.example.com"))
		}},
		{"a passkey that was lured away", "This passkey did not work", func(b *browser, page answered, h *holder) answered {
			lured := h.passkey.Clone()
			lured.Origin, lured.RPID = "https://id.example.com.evil.example", "id.example.com.evil.example"
			return b.touch(page, lured)
		}},
		{"a passkey without its user", "This passkey did not work", func(b *browser, page answered, h *holder) answered {
			h.passkey.NotVerified = true
			defer func() { h.passkey.NotVerified = false }()
			return b.touch(page, h.passkey)
		}},
		{"a passkey for another page", "This passkey did not work", func(b *browser, page answered, h *holder) answered {
			other := h.i.browser()
			answer, err := h.passkey.Get(other.submit(other.authorize(request()), "alice", alicePassword).options())
			check(b.t, err)
			return b.fill(page, "credential", answer)
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			i := newIssuer(t)
			h := i.equip(true, true)
			b := i.browser()
			a := test.prove(b, b.submit(b.authorize(request()), "alice", alicePassword), h)
			a.wantPage(http.StatusForbidden, test.want)
			if i.count("sessions")+i.count("grants") != 0 {
				t.Error("there is a session without the second factor")
			}
			// The page that came back is good.
			b.touch(a, h.passkey).code()
		})
	}
}

func TestProofOfASecondFactorIsGoodOnce(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	h := i.equip(true, true)
	ask := func() (*browser, answered) {
		b := i.browser()
		return b, b.submit(b.authorize(request()), "alice", alicePassword)
	}
	// The same page, sent again.
	b, page := ask()
	code := h.code()
	b.fill(page, "code", code).code()
	b.fill(page, "code", code).wantPage(http.StatusForbidden, "The code is wrong")
	b.fill(page, "recovery", h.codes[0].Reveal()).code()
	b.fill(page, "recovery", h.codes[0].Reveal()).wantPage(http.StatusForbidden, "The recovery code is wrong")
	answer, err := h.passkey.Get(page.options())
	check(t, err)
	b.fill(page, "credential", answer).code()
	b.fill(page, "credential", answer).wantPage(http.StatusForbidden, "This passkey did not work")

	// Many at once, each with the same code: one gets in.
	i.clock.advance(30 * time.Second)
	const many = 8
	var browsers [many]*browser
	var pages [many]answered
	for n := range many {
		browsers[n], pages[n] = ask()
	}
	var wait sync.WaitGroup
	var mu sync.Mutex
	got := map[int]int{}
	code = h.code()
	for n := range many {
		wait.Go(func() {
			a := browsers[n].fill(pages[n], "code", code)
			mu.Lock()
			defer mu.Unlock()
			got[a.status]++
		})
	}
	wait.Wait()
	if diff := cmp.Diff(map[int]int{http.StatusSeeOther: 1, http.StatusForbidden: many - 1}, got); diff != "" {
		t.Errorf("%d with one code (-want +got):\n%s", many, diff)
	}
}

func TestGuessesAtASecondFactorAreBounded(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	h := i.equip(true, false)
	b := i.browser()
	page := b.submit(b.authorize(request()), "alice", alicePassword)
	for n := range 10 {
		if page = b.fill(page, "code", "not it"); page.status != http.StatusForbidden {
			t.Fatalf("guess %d: got status %d, want 403", n+1, page.status)
		}
	}
	// From wherever it comes, with whatever kind.
	page = b.fill(page, "code", h.code())
	page.wantPage(http.StatusTooManyRequests, "There were too many wrong codes.")
	if got := page.header.Get("Retry-After"); got != "300" {
		t.Errorf("Retry-After: got %q, want 300", got)
	}
	other := i.browser()
	otherPage := other.submit(other.authorize(request()), "alice", alicePassword)
	other.fill(otherPage, "recovery", h.codes[0].Reveal()).wantPage(http.StatusTooManyRequests, "Wait five minutes")
	i.clock.advance(5*time.Minute + time.Second)
	b.fill(page, "code", h.code()).code()
	// The right one used nothing up, and one wrong one is the next.
	other.fill(otherPage, "recovery", "no").wantPage(http.StatusForbidden, "The recovery code is wrong")
	other.fill(otherPage, "recovery", h.codes[0].Reveal()).wantStatus(http.StatusTooManyRequests)
}

// keyText is the key that a page shows to people.
var keyText = regexp.MustCompile(`<code>([A-Z2-7]{4}( [A-Z2-7]{4}){7})</code>`)

func (a answered) app() secondfactor.TOTP {
	a.t.Helper()
	found := keyText.FindStringSubmatch(a.body)
	if found == nil {
		a.t.Fatalf("the page shows no key: status %d, body:\n%s", a.status, a.body)
	}
	key, err := secondfactor.ParseTOTP(secret.New(found[1]))
	check(a.t, err)
	return key
}

var codeText = regexp.MustCompile(`<code>([A-Z2-7]{5}-[A-Z2-7]{5}-[A-Z2-7]{5})</code>`)

func (a answered) recoveryCodes() (codes []string) {
	for _, found := range codeText.FindAllStringSubmatch(a.body, -1) {
		codes = append(codes, found[1])
	}
	return codes
}

func TestFirstSecondFactorIsAddedAtTheLogin(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, amr string
		add       func(b *browser, page answered) answered
	}{
		{"app", "[pwd otp mfa]", func(b *browser, page answered) answered {
			key := page.app()
			page = b.fill(page, "code", "000000x")
			page.wantPage(http.StatusForbidden, "The code is wrong")
			if page.app() != key {
				b.t.Error("a wrong code changed the key")
			}
			return b.fill(page, "code", key.Code(b.issuer.clock.Now()).Reveal())
		}},
		{"passkey", "[pwd hwk user mfa]", func(b *browser, page answered) answered {
			answer, err := authenticator.New("id.example.com").Create(page.options())
			check(b.t, err)
			return b.fill(page, "credential", answer)
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			i := newIssuer(t, wanting(secondfactor.Policy{Required: true}))
			b := i.browser()
			choose := b.submit(b.authorize(request()), "alice", alicePassword)
			choose.wantPage(http.StatusOK, "Your organization wants more than a password")
			shown := test.add(b, choose)
			shown.wantPage(http.StatusOK, showsCodes)
			if n := len(shown.recoveryCodes()); n != 10 || i.count("sessions") != 0 || i.count("second_factors") != 2 {
				t.Errorf("got %d recovery codes, %d sessions, %d rows", n, i.count("sessions"), i.count("second_factors"))
			}
			form := shown.form()
			a := b.send("POST", b.resolve(form.action), form.fields, nil)
			told := claims(t, i.token(codeForm(a.code()), nil).IDToken)
			if got := fmt.Sprint(told["amr"]); got != test.amr {
				t.Errorf("amr: got %s, want %s", got, test.amr)
			}
			// That page is good once, and the page before adds nothing more.
			b.send("POST", b.resolve(form.action), form.fields, nil).wantPage(http.StatusBadRequest, "has expired")
			b.fill(choose, "code", choose.app().Code(i.clock.Now().Add(30*time.Second)).Reveal()).wantPage(http.StatusOK, asksFactor)
			if i.count("second_factors") != 2 {
				t.Error("a second one was added with a password alone")
			}
			// The codes work.
			other := i.browser()
			page := other.submit(other.authorize(request()), "alice", alicePassword)
			page.wantPage(http.StatusOK, asksFactor)
			other.fill(page, "recovery", shown.recoveryCodes()[9]).code()
		})
	}
}

func TestSecondFactorPagesAreBound(t *testing.T) {
	t.Parallel()
	i := newIssuer(t, wanting(secondfactor.Policy{Required: true}))
	h := i.equip(true, false)
	ask := func() (*browser, answered) {
		b := i.browser()
		a := b.submit(b.authorize(request()), "alice", alicePassword)
		a.wantPage(http.StatusOK, asksFactor)
		return b, a
	}
	const expired = "has expired"
	_, page := ask()
	other, _ := ask()
	other.fill(page, "code", h.code()).wantPage(http.StatusBadRequest, expired)

	b, page := ask()
	loginPage := b.authorize(request())
	form := page.form()
	form.fields.Set("request", loginPage.form().fields.Get("request"))
	form.fields.Set("code", h.code())
	b.send("POST", "/factor", form.fields, nil).wantPage(http.StatusBadRequest, expired)
	form = loginPage.form()
	form.fields.Set("request", page.form().fields.Get("request"))
	form.fields.Set("login", "alice")
	form.fields.Set("password", alicePassword)
	b.send("POST", "/login", form.fields, nil).wantPage(http.StatusBadRequest, expired)
	b.send("GET", "/factor", nil, nil).wantPage(http.StatusMethodNotAllowed, "no page")
	b.send("POST", "/factor", page.form().fields, http.Header{"Origin": {"https://evil.example"}, "Sec-Fetch-Site": {"cross-site"}}).wantStatus(http.StatusForbidden)

	late, latePage := ask()
	i.clock.advance(15 * time.Minute)
	late.fill(latePage, "code", h.code()).wantPage(http.StatusBadRequest, expired)

	// All logins are ended while the page is open.
	overtaken, overtakenPage := ask()
	_, err := i.rows.ResetSecondFactors(t.Context(), i.alice, i.clock.Now())
	check(t, err)
	overtaken.fill(overtakenPage, "code", h.code()).wantPage(http.StatusBadRequest, expired)
	enrol := i.browser()
	enrolPage := enrol.submit(enrol.authorize(request()), "alice", alicePassword)
	enrolPage.wantPage(http.StatusOK, asksEnrol)
	_, err = i.rows.ResetSecondFactors(t.Context(), i.alice, i.clock.Now())
	check(t, err)
	enrol.fill(enrolPage, "code", enrolPage.app().Code(i.clock.Now()).Reveal()).wantPage(http.StatusBadRequest, expired)
	if i.count("second_factors")+i.count("sessions") != 0 {
		t.Error("a page from before the reset had an effect")
	}
}

func TestSessionIsRaised(t *testing.T) {
	t.Parallel()
	i := newIssuer(t, guarded)
	b := i.browser()
	first := claims(t, i.token(codeForm(b.login(request(), "alice", alicePassword).code()), nil).IDToken)
	old := b.client.Jar.Cookies(&url.URL{Scheme: "https", Host: "id.example.com", Path: "/"})

	// A client that wants more than the session has.
	i.clock.advance(time.Minute)
	b.authorize(vaultRequest("prompt", "none")).wantError(oidc.InteractionRequired)
	b.authorize(vaultRequest()).wantPage(http.StatusOK, asksEnrol)
	h := i.equip(true, false)
	b.authorize(vaultRequest("prompt", "none")).wantError(oidc.InteractionRequired)
	page := b.authorize(vaultRequest())
	page.wantPage(http.StatusOK, asksFactor)
	page.wantPage(http.StatusOK, "Vault")
	if strings.Contains(page.body, "password") {
		t.Error("it asks for the password again")
	}
	b.fill(page, "code", "000000x").wantPage(http.StatusForbidden, "The code is wrong")
	code := b.fill(page, "code", h.code()).code()
	told := claims(t, i.token(codeForm(code, "client_id", "", "redirect_uri", "https://web.example.com/callback"), basic("vault", otherSecret)).IDToken)
	if fmt.Sprint(told["amr"]) != "[pwd otp mfa]" || told["sid"] != first["sid"] || fmt.Sprint(told["auth_time"]) != fmt.Sprint(first["auth_time"]) {
		t.Errorf("got %v, want the session and its login of %v", told, first)
	}
	b.authorize(vaultRequest("prompt", "none")).code()
	if i.count("sessions") != 1 {
		t.Errorf("got %d sessions, want the one", i.count("sessions"))
	}

	// What the session was before is good for nothing.
	thief := i.browser()
	thief.client.Jar.SetCookies(&url.URL{Scheme: "https", Host: "id.example.com", Path: "/"}, old)
	thief.authorize(webRequest("prompt", "none")).wantError(oidc.LoginRequired)

	// Another page of before cannot raise it again, nor can that of another
	// session.
	i.clock.advance(time.Minute)
	b.fill(page, "code", h.code()).wantStatus(http.StatusSeeOther) // the session is there, and hers
	b.press(b.logOut(nil), "logout").wantStatus(http.StatusOK)
	i.clock.advance(time.Minute)
	b.fill(page, "code", h.code()).wantPage(http.StatusBadRequest, "has expired")

	// An old session is asked for the password first, and for both.
	b = i.browser()
	page = b.submit(b.authorize(webRequest()), "alice", alicePassword)
	i.clock.advance(time.Minute)
	b.fill(page, "code", h.code()).code()
	i.clock.advance(time.Hour)
	b.authorize(webRequest("max_age", "60", "prompt", "none")).wantError(oidc.LoginRequired)
	page = b.authorize(webRequest("max_age", "60"))
	page.wantPage(http.StatusOK, `name="password"`)
	page = b.submit(page, "alice", alicePassword)
	page.wantPage(http.StatusOK, asksFactor)
	b.fill(page, "code", h.code()).code()
}

// Somebody at a browser that was left alone must not add the first factor.
func TestOldSessionLogsInAgainToAddTheFirstFactor(t *testing.T) {
	t.Parallel()
	i := newIssuer(t, guarded)
	b := i.browser()
	b.login(webRequest(), "alice", alicePassword)
	i.clock.advance(15*time.Minute + time.Second)
	page := b.authorize(vaultRequest())
	page.wantPage(http.StatusOK, `name="password"`)
	page = b.submit(page, "alice", alicePassword)
	page.wantPage(http.StatusOK, asksEnrol)
	shown := b.fill(page, "code", page.app().Code(i.clock.Now()).Reveal())
	shown.wantPage(http.StatusOK, showsCodes)
	form := shown.form()
	b.send("POST", b.resolve(form.action), form.fields, nil).code()
}

// Who adds a factor in one browser is asked for it in the other too, although
// that one has a session.
func TestSessionFromBeforeTheFactorIsAsked(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	b := i.browser()
	b.login(webRequest(), "alice", alicePassword)
	b.authorize(webRequest("prompt", "none")).code()
	h := i.equip(false, true)
	b.authorize(webRequest("prompt", "none")).wantError(oidc.InteractionRequired)
	b.touch(b.authorize(webRequest()), h.passkey).code()
	b.authorize(webRequest("prompt", "none")).code()
}

// Every page for a person wants what a login wants, also of sessions from
// before.
func TestPagesOfPeopleWantTheSecondFactor(t *testing.T) {
	t.Parallel()
	for name, prepare := range map[string]func(i *issuer) (asks string){
		"she has one": func(i *issuer) string { i.equip(true, false); return asksFactor },
		"required since": func(i *issuer) string {
			i.config.SecondFactor = secondfactor.Policy{Required: true}
			i.restart()
			return asksEnrol
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			i := newIssuer(t, withDevices)
			b := i.browser()
			b.login(webRequest(), "alice", alicePassword)
			d := i.beginDevice()
			pages := []string{"/", "/account/factors", "/account/factors/add", "/account/password", d.Complete}
			asks := prepare(i)
			for _, path := range pages {
				b.get(path).wantPage(http.StatusOK, asks)
			}
		})
	}
}

// A source that asks for a second factor itself is trusted with it.
func TestSourceAsksForItsOwnSecondFactor(t *testing.T) {
	t.Parallel()
	for _, own := range []bool{false, true} {
		i := newIssuer(t, wanting(secondfactor.Policy{Required: true}), func(i *issuer) {
			sources := identity.Only(&local.Source{Accounts: i.rows, Hasher: i.hasher})
			sources.Members[0].OwnSecondFactor = own
			i.config.Source = sources
		})
		b := i.browser()
		a := b.submit(b.authorize(request()), "alice", alicePassword)
		if own {
			told := claims(t, i.token(codeForm(a.code()), nil).IDToken)
			if got := fmt.Sprint(told["amr"]); got != "[pwd]" {
				t.Errorf("amr: got %s, want what was seen here", got)
			}
			continue
		}
		a.wantPage(http.StatusOK, asksEnrol)
	}
}

func TestPasswordGrantNeedsNoSecondFactor(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		policy secondfactor.Policy
		equip  bool
		client bool
	}{
		"she has one":     {equip: true},
		"required":        {policy: secondfactor.Policy{Required: true}},
		"of the group":    {policy: secondfactor.Policy{Groups: []string{"readers"}}},
		"for this client": {client: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			i := newIssuer(t, wanting(test.policy), func(i *issuer) { i.config.PasswordGrant = true })
			i.addClient(clientregistry.Client{ID: "script", Grants: []string{oidc.GrantPassword}, SecondFactor: test.client}, otherSecret)
			if test.equip {
				i.equip(true, false)
			}
			form := url.Values{"grant_type": {"password"}, "username": {"alice"}, "password": {alicePassword}, "scope": {"openid"}}
			found := i.token(form, basic("script", otherSecret))
			found.wantRefusal(oidc.InvalidGrant)
			if !strings.Contains(found.Description, "second factor") || i.count("grants") != 0 {
				t.Errorf("got %s", found.body)
			}
		})
	}
}

// required makes a second factor required for alice, after her login.
var required = map[string]func(i *issuer){
	"of a group that she came into": func(i *issuer) {
		check(i.t, i.rows.AddGroup(i.t.Context(), "cluster-admins", i.clock.Now()))
		check(i.t, i.rows.AddMember(i.t.Context(), "cluster-admins", i.alice))
	},
	"of everybody": func(i *issuer) {
		i.config.SecondFactor = secondfactor.Policy{Required: true}
		i.restart()
	},
	"by the client": func(i *issuer) {
		_, err := i.rows.ChangeClient(i.t.Context(), "kubernetes", func(c *clientregistry.Client) error {
			c.SecondFactor = true
			return nil
		})
		check(i.t, err)
	},
}

// admins is an issuer that wants a second factor of cluster-admins.
func admins() func(*issuer) { return wanting(secondfactor.Policy{Groups: []string{"cluster-admins"}}) }

// A login that had a password alone ends when a second factor is required of
// its person: nobody comes by a refresh into the rights of a group that needs
// more.
func TestRefreshNeedsTheSecondFactorThatIsRequiredNow(t *testing.T) {
	t.Parallel()
	for name, require := range required {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var told trail
			i := newIssuer(t, admins(), audited(&told))
			found := i.logIn("scope", "openid groups offline_access")
			found = i.refresh(found.RefreshToken)
			found.wantTokens()
			require(i)
			told.take()
			refused := i.refresh(found.RefreshToken)
			refused.wantRefusal(oidc.InvalidGrant)
			if !strings.Contains(refused.Description, "a second factor is needed now") {
				t.Errorf("the refusal does not say why: %s", refused.body)
			}
			events := told.take()
			if len(events) != 2 || events[0].Act != audit.GrantEnd || events[0].Subject != i.alice || events[0].Grant != claimsOf(t, found.AccessToken).Grant || events[1].Act != audit.Refused {
				t.Errorf("got the events %+v", events)
			}
			// It has ended: with the access token, and whatever comes next.
			i.userinfo(found.AccessToken).wantStatus(http.StatusUnauthorized)
			i.config.SecondFactor = secondfactor.Policy{}
			i.restart()
			i.refresh(found.RefreshToken).wantRefusal(oidc.InvalidGrant)
		})
	}
}

// Who has proven both, or came from a source that is trusted with it, goes on,
// and so does who adds one by choice.
func TestRefreshGoesOnWhenNoMoreIsRequired(t *testing.T) {
	t.Parallel()
	for name, require := range required {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			i := newIssuer(t, admins())
			h := i.equip(true, false)
			b := i.browser()
			a := b.fill(b.submit(b.authorize(request()), "alice", alicePassword), "code", h.code())
			found := i.token(codeForm(a.code()), nil)
			require(i)
			i.refresh(found.RefreshToken).wantTokens()
		})
	}
	t.Run("an exempt source", func(t *testing.T) {
		t.Parallel()
		i := newIssuer(t, wanting(secondfactor.Policy{Required: true, Exempt: []string{"local"}}))
		found := i.logIn()
		required["by the client"](i)
		i.refresh(found.RefreshToken).wantTokens()
	})
	t.Run("one by choice", func(t *testing.T) {
		t.Parallel()
		i := newIssuer(t, admins())
		found := i.logIn()
		i.equip(true, true)
		i.refresh(found.RefreshToken).wantTokens()
	})
}

// The same for whatever else stands for a login from before.
func TestEveryGrantNeedsTheSecondFactorThatIsRequiredNow(t *testing.T) {
	t.Parallel()
	for name, prepare := range map[string]func(i *issuer) (use func() tokens){
		"a code": func(i *issuer) func() tokens {
			code := i.browser().login(request(), "alice", alicePassword).code()
			return func() tokens { return i.token(codeForm(code), nil) }
		},
		"a device code": func(i *issuer) func() tokens {
			withDevices(i)
			d := i.beginDevice()
			i.browser().decideDevice(d, "allow").wantPage(http.StatusOK, "The device is logged in")
			return func() tokens { return i.poll(d) }
		},
		"an ID token to exchange": func(i *issuer) func() tokens {
			withClusters(i)
			found := i.logInFleet()
			return func() tokens { return i.exchange(found.IDToken, typeID, "cluster-b").tokens }
		},
		"a kubeconfig of the portal": func(i *issuer) func() tokens {
			_, provider := i.atHome("alice", alicePassword).makeLegacy()
			return func() tokens { return i.refresh(provider.Config["refresh-token"].Reveal()) }
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			i := newIssuer(t, admins(), offering(production()))
			use := prepare(i)
			required["of a group that she came into"](i)
			found := use()
			found.wantRefusal(oidc.InvalidGrant)
			if !strings.Contains(found.Description, "a second factor is needed now") {
				t.Errorf("the refusal does not say why: %s", found.body)
			}
			_, err := i.rows.RemoveMember(t.Context(), "cluster-admins", i.alice)
			check(t, err)
			if again := use(); again.status == http.StatusOK {
				t.Error("the grant did not end")
			}
		})
	}
}

func TestDeviceNeedsTheSecondFactor(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	i.addClient(clientregistry.Client{ID: "terminal", SecondFactor: true, Grants: []string{oidc.GrantDeviceCode, oidc.GrantRefreshToken}}, "")
	d := i.beginDevice()
	b := i.browser()
	b.login(webRequest(), "alice", alicePassword)
	b.get(d.Complete).wantPage(http.StatusOK, asksEnrol)
	h := i.equip(true, false)
	page := b.get(d.Complete)
	page.wantPage(http.StatusOK, asksFactor)
	i.poll(d).wantRefusal(oidc.AuthorizationPending)
	a := b.fill(page, "code", h.code())
	a.wantStatus(http.StatusSeeOther)
	b.press(b.get(a.location.String()), "allow").wantPage(http.StatusOK, "The device is logged in")
	i.clock.advance(10 * time.Second)
	if got := fmt.Sprint(claims(t, i.poll(d).IDToken)["amr"]); got != "[pwd otp mfa]" {
		t.Errorf("amr: got %s", got)
	}

	// A question that was put before the factor was there is not enough.
	i = newIssuer(t, withDevices)
	d = i.beginDevice()
	b = i.browser()
	b.login(webRequest(), "alice", alicePassword)
	page = b.get(d.Complete)
	page.wantPage(http.StatusOK, d.UserCode)
	i.equip(true, false)
	b.press(page, "allow").wantPage(http.StatusBadRequest, "has expired")
	i.poll(d).wantRefusal(oidc.AuthorizationPending)
	b.get(d.Complete).wantPage(http.StatusOK, asksFactor)
}

// brokenFactors is a storage that cannot read second factors, or not use them.
type brokenFactors struct {
	provider.Storage
	read, use bool
}

var errBroken = errors.New("the disk is gone")

func (s *brokenFactors) SecondFactors(ctx context.Context, subject oidc.Subject) ([]secondfactor.Factor, error) {
	if s.read {
		return nil, errBroken
	}
	return s.Storage.SecondFactors(ctx, subject)
}

func (s *brokenFactors) UseSecondFactor(ctx context.Context, f secondfactor.Factor, counter int64) error {
	if s.use {
		return errBroken
	}
	return s.Storage.UseSecondFactor(ctx, f, counter)
}

func TestNothingFailsOpen(t *testing.T) {
	t.Parallel()
	const unavailable = "cannot answer right now"
	for name, breaks := range map[string]func(i *issuer, h *holder, s *brokenFactors){
		"cannot be read":    func(_ *issuer, _ *holder, s *brokenFactors) { s.read = true },
		"cannot be used":    func(_ *issuer, _ *holder, s *brokenFactors) { s.use = true },
		"of another kind":   func(i *issuer, _ *holder, _ *brokenFactors) { i.addFactor("telepathy", "") },
		"sealed by another": func(i *issuer, _ *holder, _ *brokenFactors) { i.addFactor("totp", "AAAA") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			broken := &brokenFactors{}
			i := newIssuer(t, func(i *issuer) {
				broken.Storage, i.config.Storage = i.config.Storage, broken
				i.config.PasswordGrant = true
			})
			i.addClient(clientregistry.Client{ID: "script", Grants: []string{oidc.GrantPassword}}, otherSecret)
			b := i.browser()
			b.login(webRequest(), "alice", alicePassword) // has none yet
			h := i.equip(true, false)
			breaks(i, h, broken)
			sessions, grants := i.count("sessions"), i.count("grants")
			other := i.browser()
			a := other.submit(other.authorize(request()), "alice", alicePassword)
			if a.status == http.StatusOK {
				a = other.fill(a, "code", h.code())
			}
			a.wantPage(http.StatusServiceUnavailable, unavailable)
			silent := b.authorize(webRequest("prompt", "none"))
			if silent.query("code") != "" || silent.query("error") == "" {
				t.Errorf("prompt=none: got %v", silent.location)
			}
			found := i.token(url.Values{"grant_type": {"password"}, "username": {"alice"}, "password": {alicePassword}}, basic("script", otherSecret))
			if found.status == http.StatusOK {
				t.Errorf("the password grant: got %s", found.body)
			}
			if i.count("sessions") != sessions || i.count("grants") != grants {
				t.Error("somebody was let in")
			}
		})
	}
}

// addFactor adds a row that the code under test would not write.
func (i *issuer) addFactor(kind secondfactor.Kind, sealed string) {
	i.t.Helper()
	_, err := i.rows.EnrolSecondFactor(i.t.Context(), secondfactor.Enrolment{
		Factor: secondfactor.Factor{ID: "odd", Subject: i.alice, Kind: kind, SealedSecret: sealed}, Most: 10,
	})
	check(i.t, err)
}

// auditing collects the events of an issuer.
func auditing(events *[]audit.Event) func(*issuer) {
	var mu sync.Mutex
	return func(i *issuer) {
		i.config.Audit = &audit.Trail{Issuer: issuerURL, Now: i.clock.Now, Sinks: []func(audit.Event){func(event audit.Event) {
			mu.Lock()
			defer mu.Unlock()
			*events = append(*events, event)
		}}}
	}
}

func TestSecondFactorsAreTold(t *testing.T) {
	t.Parallel()
	var events []audit.Event
	i := newIssuer(t, auditing(&events), wanting(secondfactor.Policy{Required: true}))
	b := i.browser()
	page := b.submit(b.authorize(webRequest()), "alice", alicePassword)
	key := page.app()
	shown := b.fill(page, "code", key.Code(i.clock.Now()).Reveal())
	form := shown.form()
	b.send("POST", b.resolve(form.action), form.fields, nil).code()
	h := i.equip(false, true)
	clone := h.passkey.Clone()
	other := i.browser()
	page = other.submit(other.authorize(webRequest()), "alice", alicePassword)
	page = other.fill(page, "code", "typed-by-mistake")
	other.touch(page, h.passkey).code()
	page = other.submit(other.authorize(webRequest("prompt", "login")), "alice", alicePassword)
	other.touch(page, clone).wantPage(http.StatusForbidden, "This passkey did not work")
	var got []string
	for _, event := range events {
		if event.Subject == i.alice && event.Act != audit.Granted {
			got = append(got, strings.TrimSpace(string(event.Act)+" "+event.Reason))
		}
	}
	want := []string{
		"second_factor_added otp", "second_factor otp", "login", "login_refused wrong-code", "second_factor hwk user", "login", "login_refused cloned-passkey",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	text, err := json.Marshal(events)
	check(t, err)
	for _, hidden := range append(shown.recoveryCodes(), "typed-by-mistake", key.Text().Reveal(), alicePassword) {
		if strings.Contains(string(text), hidden) {
			t.Errorf("the trail holds %q", hidden)
		}
	}
}

// What is on the disk opens nothing.
func TestSecretsOfFactorsAreSealed(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	h := i.equip(true, true)
	check(t, i.close()) // so that all of it is in the file
	file, err := os.ReadFile(i.path)
	check(t, err)
	if !strings.Contains(string(file), "Phone") {
		t.Fatal("the factor is not in the file")
	}
	key := h.app.Text().Reveal()
	raw, err := base32.StdEncoding.DecodeString(key)
	check(t, err)
	hidden := []string{key, string(raw), string(h.passkey.ID), base64.StdEncoding.EncodeToString(h.passkey.ID), base64.RawURLEncoding.EncodeToString(h.passkey.ID)}
	for _, code := range h.codes {
		hidden = append(hidden, code.Reveal(), secondfactor.HashRecoveryCode(code))
	}
	for _, text := range hidden {
		if strings.Contains(string(file), text) {
			t.Errorf("the database holds %q", text)
		}
	}
}

func TestPeopleManageTheirFactors(t *testing.T) {
	t.Parallel()
	var events []audit.Event
	i := newIssuer(t, auditing(&events))
	b := i.browser()
	page := b.get("/account/factors")
	page.wantPage(http.StatusOK, `name="password"`)
	a := b.submit(page, "alice", alicePassword)
	if a.location == nil || a.location.Path != "/account/factors" {
		t.Fatalf("after the login: %v", a.location)
	}
	b.get("/account/factors").wantPage(http.StatusOK, "You have none yet")

	// An app; the recovery codes come with it, and the session has it.
	page = b.get("/account/factors/add")
	page.wantPage(http.StatusOK, asksEnrol)
	app := page.app()
	page = b.fill(page, "code", "000000x")
	page.wantPage(http.StatusForbidden, "The code is wrong")
	form := page.form()
	form.fields.Set("name", strings.Repeat("x", 61))
	form.fields.Set("code", app.Code(i.clock.Now()).Reveal())
	b.send("POST", b.resolve(form.action), form.fields, nil).wantPage(http.StatusBadRequest, "The name is too long")
	form.fields.Set("name", "My phone")
	shown := b.send("POST", b.resolve(form.action), form.fields, nil)
	shown.wantPage(http.StatusOK, showsCodes)
	list := b.get("/account/factors")
	list.wantPage(http.StatusOK, "App: My phone")
	list.wantPage(http.StatusOK, "10 left")
	b.authorize(webRequest("prompt", "none")).code()

	// A passkey, without codes.
	page = b.get("/account/factors/add")
	passkey := authenticator.New("id.example.com")
	answer, err := passkey.Create(page.options())
	check(t, err)
	b.fill(page, "credential", answer).wantStatus(http.StatusSeeOther)
	b.get("/account/factors").wantPage(http.StatusOK, "Passkey")
	b.fill(page, "credential", answer).wantPage(http.StatusForbidden, "This passkey did not work") // the question was answered

	// New codes.
	renewed := b.send("POST", "/account/factors/recovery", url.Values{}, nil)
	renewed.wantPage(http.StatusOK, showsCodes)
	if len(renewed.recoveryCodes()) != 10 || slices.Contains(renewed.recoveryCodes(), shown.recoveryCodes()[0]) {
		t.Error("the new codes are not new")
	}
	other := i.browser()
	page = other.submit(other.authorize(webRequest()), "alice", alicePassword)
	other.fill(page, "recovery", shown.recoveryCodes()[0]).wantPage(http.StatusForbidden, "The recovery code is wrong")
	other.fill(page, "recovery", renewed.recoveryCodes()[0]).code()
	b.get("/account/factors").wantPage(http.StatusOK, "9 left")

	// Gone, one after the other, and the codes with the last.
	ids := func() (ids []string) {
		for e := range elements(t, b.get("/account/factors").body) {
			if e.attributes["name"] == "id" {
				ids = append(ids, e.attributes["value"])
			}
		}
		return ids
	}
	for _, id := range ids() {
		b.send("POST", "/account/factors/remove", url.Values{"id": {id}}, nil).wantStatus(http.StatusSeeOther)
	}
	if len(ids()) != 0 || i.count("second_factors") != 0 {
		t.Errorf("got %v, %d rows, want none", ids(), i.count("second_factors"))
	}
	b.send("POST", "/account/factors/recovery", url.Values{}, nil).wantStatus(http.StatusSeeOther) // nothing to make them for
	added, removed := 0, 0
	for _, event := range events {
		switch event.Act {
		case audit.FactorAdded:
			added++
		case audit.FactorRemoved:
			removed++
		}
	}
	if added != 3 || removed != 2 {
		t.Errorf("the trail has %d added and %d removed, want 3 and 2", added, removed)
	}
}

func TestFactorsAreManagedAfterAFreshLogin(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	b := i.browser()
	b.login(webRequest(), "alice", alicePassword)
	page := b.get("/account/factors/add")
	page.wantPage(http.StatusOK, asksEnrol)
	i.clock.advance(15*time.Minute + time.Second)
	for path, method := range map[string]string{
		"/account/factors": "GET", "/account/factors/add": "GET", "/account/factors/recovery": "POST", "/account/factors/remove": "POST",
	} {
		var form url.Values
		if method == "POST" {
			form = url.Values{"id": {"x"}}
		}
		b.send(method, path, form, nil).wantPage(http.StatusOK, `name="password"`)
	}
	b.fill(page, "code", page.app().Code(i.clock.Now()).Reveal()).wantPage(http.StatusOK, `name="password"`)
	if i.count("second_factors") != 0 {
		t.Error("an old login added a factor")
	}

	// Who has a factor proves it first, however fresh the password is: a
	// session from before must not remove it.
	b = i.browser()
	b.login(webRequest(), "alice", alicePassword)
	h := i.equip(true, false)
	has, err := i.rows.SecondFactors(t.Context(), i.alice)
	check(t, err)
	for _, one := range has {
		b.send("POST", "/account/factors/remove", url.Values{"id": {one.ID}}, nil).wantPage(http.StatusOK, asksFactor)
	}
	b.send("POST", "/account/factors/recovery", url.Values{}, nil).wantPage(http.StatusOK, asksFactor)
	page = b.get("/account/factors")
	page.wantPage(http.StatusOK, asksFactor)
	a := b.fill(page, "code", h.code())
	if a.location == nil || a.location.Path != "/account/factors" {
		t.Fatalf("after the code: status %d, %v", a.status, a.location)
	}
	b.get("/account/factors").wantPage(http.StatusOK, "App: Phone")
	// Nobody removes those of others, nor the sheet by itself.
	bob := i.browser()
	bob.login(webRequest(), "bob", bobPassword)
	for _, one := range has {
		bob.send("POST", "/account/factors/remove", url.Values{"id": {one.ID}}, nil).wantStatus(http.StatusSeeOther)
		if one.Kind == secondfactor.KindRecovery {
			b.send("POST", "/account/factors/remove", url.Values{"id": {one.ID}}, nil).wantStatus(http.StatusSeeOther)
		}
	}
	if i.count("second_factors") != 2 {
		t.Error("a factor is gone that should be there")
	}
	// Nor from another site.
	b.send("POST", "/account/factors/remove", url.Values{"id": {has[0].ID}}, http.Header{"Sec-Fetch-Site": {"cross-site"}, "Origin": {"https://evil.example"}}).
		wantStatus(http.StatusForbidden)
}

// Whatever is posted in the place of a proof, nobody is let in, and the page
// that comes back is one of ours.
func FuzzFactorForm(f *testing.F) {
	i := newIssuer(f)
	h := i.equip(true, true)
	b := i.browser()
	page := b.submit(b.authorize(request()), "alice", alicePassword)
	fields := page.form().fields
	answer, err := h.passkey.Get(page.options())
	check(f, err)
	for _, seed := range [][4]string{
		{fields.Get("request"), "000000", "", ""},
		{fields.Get("request"), "", "AAAAA-AAAAA-AAAAA", ""},
		{fields.Get("request"), "", "", answer[:len(answer)/2]},
		{fields.Get("request"), "", "", `{"id":"AA","rawId":"AA","type":"public-key","response":{"clientDataJSON":"e30","authenticatorData":"AAAA","signature":"AA"}}`},
		{"", "", "", ""},
		{"AAAA", "\x00", "\xff", "[]"},
	} {
		f.Add(seed[0], seed[1], seed[2], seed[3])
	}
	f.Fuzz(func(t *testing.T, sealed, code, recovery, credential string) {
		i.clock.advance(5 * time.Minute) // no guess is forgotten, and none is too many
		i, fresh := i.in(t), sealed
		b := i.browser()
		page := b.submit(b.authorize(request()), "alice", alicePassword)
		if sealed == fields.Get("request") {
			fresh = page.form().fields.Get("request")
		}
		a := b.send("POST", "/factor", url.Values{"request": {fresh}, "code": {code}, "recovery": {recovery}, "credential": {credential}}, nil)
		if a.location != nil || a.status != http.StatusForbidden && a.status != http.StatusBadRequest || !strings.Contains(a.body, "</html>") {
			t.Errorf("got status %d, location %v", a.status, a.location)
		}
	})
}

// outrun is a storage in which the owner of an account is faster by a
// moment, once: before a factor is added, or after the factors were read.
type outrun struct {
	provider.Storage
	mu                   sync.Mutex // guards the fields below
	beforeAdd, afterRead func()
}

func (o *outrun) once(act *func()) {
	o.mu.Lock()
	do := *act
	*act = nil
	o.mu.Unlock()
	if do != nil {
		do()
	}
}

func (o *outrun) set(act *func(), do func()) {
	o.mu.Lock()
	defer o.mu.Unlock()
	*act = do
}

func (o *outrun) EnrolSecondFactor(ctx context.Context, e secondfactor.Enrolment) (bool, error) {
	o.once(&o.beforeAdd)
	return o.Storage.EnrolSecondFactor(ctx, e)
}

func (o *outrun) SecondFactors(ctx context.Context, subject oidc.Subject) ([]secondfactor.Factor, error) {
	found, err := o.Storage.SecondFactors(ctx, subject)
	o.once(&o.afterRead)
	return found, err
}

// Who knows a password gets nothing beside the first factor of its owner,
// however close the two are.
func TestPasswordAddsNoFactorBesideTheOwners(t *testing.T) {
	t.Parallel()
	storage := &outrun{}
	i := newIssuer(t, func(i *issuer) { storage.Storage, i.config.Storage = i.config.Storage, storage })
	b := i.browser()
	b.submit(b.get("/account/factors/add"), "alice", alicePassword).wantStatus(http.StatusSeeOther)
	page := b.get("/account/factors/add")
	storage.set(&storage.beforeAdd, func() { i.equip(false, true) })
	b.fill(page, "code", page.app().Code(i.clock.Now()).Reveal()).wantPage(http.StatusBadRequest, "This login page has expired")
	has, err := i.rows.SecondFactors(t.Context(), i.alice)
	check(t, err)
	if len(has) != 2 || has[0].Kind == secondfactor.KindTOTP || has[1].Kind == secondfactor.KindTOTP {
		t.Errorf("got %+v, want the owner's passkey and codes", has)
	}
}

func TestPasswordTouchesNoFactorThatIsJustThere(t *testing.T) {
	t.Parallel()
	storage := &outrun{}
	i := newIssuer(t, func(i *issuer) { storage.Storage, i.config.Storage = i.config.Storage, storage })
	b := i.browser()
	b.submit(b.get("/account/factors"), "alice", alicePassword).wantStatus(http.StatusSeeOther)
	storage.set(&storage.afterRead, func() { i.equip(true, false) })
	b.send("POST", "/account/factors/recovery", nil, nil).wantPage(http.StatusOK, asksFactor)
}
