// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package provider_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tegata/tegata/internal/clientregistry"
	"github.com/tegata/tegata/internal/identity"
	"github.com/tegata/tegata/internal/identity/local"
	"github.com/tegata/tegata/internal/oidc"
	"github.com/tegata/tegata/internal/provider"
	"github.com/tegata/tegata/internal/secret"
)

func TestLoginRefusesWhomItMust(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	mallory := i.addUser(identity.User{Username: "mallory"}, "mallory-password")
	check(t, i.rows.SetDisabled(t.Context(), mallory, true, birth))
	const wrong, disabled = "The user name or the password is wrong.", "This user is disabled."
	for _, test := range []struct{ name, login, password, want string }{
		{"wrong password", "alice", "not-the-one", wrong},
		{"password in another case", "alice", strings.ToUpper(alicePassword), wrong},
		{"password with a space after it", "alice", alicePassword + " ", wrong},
		{"empty password", "alice", "", wrong},
		{"unknown user", "nobody", alicePassword, wrong},
		{"empty user", "", alicePassword, wrong},
		{"somebody else's password", "bob", alicePassword, wrong},
		{"SQL", "' OR 1=1 --", alicePassword, wrong},
		{"wildcard", "al%", alicePassword, wrong},
		{"subject for the name", string(i.alice), alicePassword, wrong},
		{"name of a group", "readers", alicePassword, wrong},
		{"password beyond all lengths", "alice", strings.Repeat("x", 10_000), wrong},
		{"disabled, right password", "mallory", "mallory-password", disabled},
		{"disabled, wrong password", "mallory", "not-the-one", wrong},
	} {
		t.Run(test.name, func(t *testing.T) {
			i := i.in(t)
			b := i.browser()
			a := b.submit(b.authorize(request()), test.login, test.password)
			a.wantPage(http.StatusForbidden, test.want)
			if i.count("sessions")+i.count("grants") != 0 {
				t.Error("a refused login left a row")
			}
			if test.password != "" && strings.Contains(a.body, test.password) {
				t.Errorf("the password stands in the page:\n%s", a.body)
			}
			if got := a.form().fields.Get("login"); got != test.login {
				t.Errorf("the name in the form: got %q, want %q as it was typed", got, test.login)
			}
			for _, cookie := range a.cookies {
				if strings.Contains(cookie.Name, "session") {
					t.Errorf("got the cookie %s", cookie.Name)
				}
			}
		})
	}
}

func TestLoginGoesOnAfterAWrongPassword(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	b := i.browser()
	page := b.submit(b.authorize(request()), "alice", "wrong")
	a := b.submit(page, "alice", alicePassword)
	if a.query("state") != "a-state" {
		t.Errorf("got %v, want the state of the request", a.location)
	}
	i.token(codeForm(a.code()), nil).wantTokens()
}

func TestLoginTakesNameOrEmailInAnyCase(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	for _, login := range []string{"alice", "ALICE", " alice ", "alice@example.com", "Alice@Example.COM"} {
		t.Run(login, func(t *testing.T) {
			i := i.in(t)
			code := i.browser().login(request(), login, alicePassword).code()
			if got := claims(t, i.token(codeForm(code), nil).IDToken)["sub"]; got != string(i.alice) {
				t.Errorf("sub: got %v, want %s", got, i.alice)
			}
		})
	}
}

var sealedRequest = regexp.MustCompile(`name="request" value="[^"]*"`)

func TestUnknownUserAndWrongPasswordLookTheSame(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	pages := map[string]string{}
	for _, login := range []string{"alice", "nobody", "alice@example.com", "nobody@example.com"} {
		b := i.browser()
		a := b.submit(b.authorize(request()), login, "wrong-password")
		text := sealedRequest.ReplaceAllString(a.body, "")
		text = strings.ReplaceAll(text, `value="`+login+`"`, "")
		header := a.header.Clone()
		header.Del("Date")
		header.Del("Content-Length") // of the name
		pages[fmt.Sprint(a.status, header, text)] = login
	}
	if len(pages) != 1 {
		t.Errorf("got %d different answers, want one: %v", len(pages), pages)
	}
}

// holdingSource looks at no password before all the tries have come in.
type holdingSource struct {
	identity.Source
	mu      sync.Mutex // guards the field below
	looked  int
	arrived sync.WaitGroup // one for each try that waits here or was answered
}

func (s *holdingSource) Authenticate(ctx context.Context, login string, password secret.String) (identity.User, error) {
	s.mu.Lock()
	s.looked++
	s.mu.Unlock()
	s.arrived.Done()
	s.arrived.Wait()
	return s.Source.Authenticate(ctx, login, password)
}

func (i *issuer) guess(login, password string) answered {
	i.t.Helper()
	b := i.browser()
	return b.submit(b.authorize(request()), login, password)
}

func TestThrottleBoundsGuessesAtAnAccount(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	for n := range 10 {
		if a := i.guess("alice", "wrong"); a.status != http.StatusForbidden {
			t.Fatalf("guess %d: got status %d, want 403", n+1, a.status)
		}
	}
	a := i.guess("alice", "wrong")
	a.wantPage(http.StatusTooManyRequests, "There were too many attempts.")
	if a.header.Get("Retry-After") == "" {
		t.Error("got no Retry-After")
	}
	// Whether the password is right is not told either.
	i.guess("alice", alicePassword).wantPage(http.StatusTooManyRequests, "too many")
	i.guess("ALICE ", alicePassword).wantPage(http.StatusTooManyRequests, "too many")
	// Others are not held up, and the owner is let in after a while.
	i.guess("bob", bobPassword).code()
	i.clock.advance(5 * time.Second)
	i.guess("alice", alicePassword).code()
}

func TestThrottleBoundsGuessesOfUnknownNamesAlike(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	for range 10 {
		i.guess("nobody", "wrong").wantStatus(http.StatusForbidden)
	}
	i.guess("nobody", "wrong").wantStatus(http.StatusTooManyRequests)
}

func TestThrottleBoundsGuessesFromAnAddress(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	b := i.browser()
	page := b.authorize(request())
	for n := range 50 {
		if a := b.submit(page, fmt.Sprint("user-", n), "wrong"); a.status != http.StatusForbidden {
			t.Fatalf("guess %d: got status %d, want 403", n+1, a.status)
		}
	}
	b.submit(page, "user-50", "wrong").wantStatus(http.StatusTooManyRequests)
	b.submit(page, "bob", bobPassword).wantStatus(http.StatusTooManyRequests)
	i.clock.advance(time.Second)
	b.submit(page, "bob", bobPassword).wantStatus(http.StatusSeeOther)
}

func TestThrottleDoesNotCountSuccess(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	for range 60 {
		i.guess("alice", alicePassword).code()
	}
}

// The allowance is of passwords that are looked at, so guesses that are sent
// all at once must not get more of them.
func TestThrottleHoldsAgainstSimultaneousGuesses(t *testing.T) {
	t.Parallel()
	source := &holdingSource{}
	i := newIssuer(t, func(i *issuer) { i.config.Source = source })
	source.Source = sourceOf(i)
	b := i.browser()
	page := b.authorize(request())
	const tries, allowance = 100, 10
	source.arrived.Add(allowance) // an eleventh would panic
	var guessing sync.WaitGroup
	var refused atomic.Int64
	for range tries {
		guessing.Go(func() {
			if b.submit(page, "alice", "wrong-password").status == http.StatusTooManyRequests {
				refused.Add(1)
			}
		})
	}
	guessing.Wait()
	if source.looked != allowance || refused.Load() != tries-allowance {
		t.Errorf("of %d simultaneous guesses %d were looked at and %d refused, want %d looked at", tries, source.looked, refused.Load(), allowance)
	}
}

func TestLoginIsBoundToItsBrowser(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	mine := i.browser()
	page := mine.authorize(request())
	const expired = "expired or belongs to another browser"
	t.Run("no cookie", func(t *testing.T) {
		i := i.in(t)
		b := i.browser()
		b.submit(page, "alice", alicePassword).wantPage(http.StatusBadRequest, expired)
	})
	t.Run("cookie of another browser", func(t *testing.T) {
		i := i.in(t)
		b := i.browser()
		b.authorize(request())
		b.submit(page, "alice", alicePassword).wantPage(http.StatusBadRequest, expired)
	})
	t.Run("tampered", func(t *testing.T) {
		i := i.in(t)
		b := i.browser()
		page := b.authorize(request())
		f := page.form()
		sealed := []byte(f.fields.Get("request"))
		for _, at := range []int{0, len(sealed) / 2, len(sealed) - 2} {
			changed := append([]byte{}, sealed...)
			changed[at] ^= 1 // stays base64url or not: neither may open
			f.fields.Set("request", string(changed))
			f.fields.Set("login", "alice")
			f.fields.Set("password", alicePassword)
			b.send("POST", "/login", f.fields, nil).wantPage(http.StatusBadRequest, expired)
		}
		for _, text := range []string{"", "e30", "{}", strings.Repeat("A", 40), string(sealed[:len(sealed)-4]), "\x00"} {
			f.fields.Set("request", text)
			b.send("POST", "/login", f.fields, nil).wantPage(http.StatusBadRequest, expired)
		}
	})
	t.Run("another issuer's", func(t *testing.T) {
		other := newIssuer(t)
		b := other.browser()
		b.authorize(request())
		b.submit(page, "alice", alicePassword).wantPage(http.StatusBadRequest, expired)
	})
	t.Run("its own", func(t *testing.T) { mine.submit(page, "alice", alicePassword).code() })
}

func TestLoginPageExpires(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	b := i.browser()
	page := b.authorize(request())
	i.clock.advance(30*time.Minute - time.Second)
	b.submit(page, "alice", alicePassword).code()
	i.clock.advance(time.Second)
	b.submit(page, "alice", alicePassword).wantPage(http.StatusBadRequest, "has expired")
	i.clock.advance(-32 * time.Minute) // a page of the future is none
	b.submit(page, "alice", alicePassword).wantPage(http.StatusBadRequest, "has expired")
}

func TestTwoTabsBothWork(t *testing.T) {
	t.Parallel()
	b := newIssuer(t).browser()
	first := b.authorize(request("state", "first"))
	second := b.authorize(request("state", "second"))
	for want, page := range map[string]answered{"first": first, "second": second} {
		if got := b.submit(page, "alice", alicePassword).query("state"); got != want {
			t.Errorf("got state %q, want %q", got, want)
		}
	}
}

func TestFormsOfOtherSitesAreRefused(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	for _, test := range []struct {
		name string
		http.Header
		refused bool
	}{
		{"cross-site", http.Header{"Sec-Fetch-Site": {"cross-site"}, "Origin": {"https://evil.example"}}, true},
		{"same site, another origin", http.Header{"Sec-Fetch-Site": {"same-site"}, "Origin": {"https://evil.example.com"}}, true},
		{"cross-site without an origin", http.Header{"Sec-Fetch-Site": {"cross-site"}}, true},
		{"an older browser", http.Header{"Origin": {"https://evil.example"}}, true},
		{"our host with another port", http.Header{"Origin": {"https://id.example.com:444"}}, true},
		{"origin null", http.Header{"Origin": {"null"}}, true},
		{"our own page", http.Header{"Sec-Fetch-Site": {"same-origin"}, "Origin": {issuerURL}}, false},
		{"our own page in an older browser", http.Header{"Origin": {issuerURL}}, false},
		{"no browser", http.Header{}, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			i := i.in(t)
			b := i.browser()
			page := b.authorize(request())
			b.header = test.Header
			a := b.submit(page, "alice", alicePassword)
			if test.refused {
				a.wantPage(http.StatusForbidden, "belongs to another browser")
			} else {
				a.code()
			}
			for _, path := range []string{"/logout/confirm", "/consent"} {
				out := b.send("POST", path, url.Values{"answer": {"logout"}}, nil)
				if refused := out.status == http.StatusForbidden; refused != test.refused {
					t.Errorf("%s: got status %d, want refused = %v", path, out.status, test.refused)
				}
			}
		})
	}
}

func TestSessionAnswersTheNextClient(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	b := i.browser()
	first := i.token(codeForm(b.login(request(), "alice", alicePassword).code()), nil)
	i.clock.advance(time.Hour)
	form := codeForm(b.authorize(webRequest()).code(), "client_id", "", "redirect_uri", "https://web.example.com/callback")
	second := i.token(form, basic("web", webSecret))
	second.wantTokens()
	one, two := claims(t, first.IDToken), claims(t, second.IDToken)
	for _, name := range []string{"iss", "sub", "sid", "auth_time"} {
		if one[name] == nil || fmt.Sprint(one[name]) != fmt.Sprint(two[name]) {
			t.Errorf("%s: got %v, want %v as at the first client", name, two[name], one[name])
		}
	}
	if one["jti"] == two["jti"] {
		t.Errorf("jti: got %v twice", one["jti"])
	}
	if i.count("sessions") != 1 || i.count("grants") != 2 {
		t.Errorf("got %d sessions and %d grants, want 1 and 2", i.count("sessions"), i.count("grants"))
	}
}

func TestSessionExpires(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	b := i.browser()
	b.login(request(), "alice", alicePassword)
	for range 6 { // used now and then
		i.clock.advance(2*time.Hour - 2*time.Second)
		b.again(request()).code()
	}
	i.clock.advance(11 * time.Second)
	b.again(request()).code()
	i.clock.advance(time.Second)
	b.authorize(request()).wantPage(http.StatusOK, `name="password"`)
}

func TestSessionEndsWithItsUser(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name string
		end  func(*issuer) error
	}{
		{"disabled", func(i *issuer) error { return i.rows.SetDisabled(i.t.Context(), i.alice, true, i.clock.Now()) }},
		{"deleted", func(i *issuer) error { return i.rows.DeleteAccount(i.t.Context(), i.alice, i.clock.Now()) }},
		{"another password", func(i *issuer) error {
			return i.rows.SetPassword(i.t.Context(), i.alice, local.NewPassword{Hash: ""}, i.clock.Now())
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			i := newIssuer(t)
			b := i.browser()
			b.login(request(), "alice", alicePassword)
			check(t, test.end(i))
			b.authorize(request()).wantPage(http.StatusOK, `name="password"`)
			b.get("/").wantPage(http.StatusOK, `name="password"`)
		})
	}
}

// namedSource says that a user is disabled, whatever the storage does with
// sessions then: another source knows nothing of our rows.
type namedSource struct {
	identity.Source
	disabled map[oidc.Subject]bool
	gone     map[oidc.Subject]bool
	broken   error
}

func (s *namedSource) Lookup(ctx context.Context, subject oidc.Subject) (identity.User, error) {
	if s.broken != nil {
		return identity.User{}, s.broken
	}
	if s.gone[subject] {
		return identity.User{}, identity.ErrNotFound
	}
	user, err := s.Source.Lookup(ctx, subject)
	user.Disabled = user.Disabled || s.disabled[subject]
	return user, err
}

func sourced(t *testing.T) (*issuer, *namedSource) {
	source := &namedSource{disabled: map[oidc.Subject]bool{}, gone: map[oidc.Subject]bool{}}
	i := newIssuer(t, func(i *issuer) { i.config.Source = source })
	source.Source = sourceOf(i)
	return i, source
}

func TestSourceDecidesAtEachStep(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name string
		do   func(*namedSource, oidc.Subject)
	}{
		{"disabled", func(s *namedSource, subject oidc.Subject) { s.disabled[subject] = true }},
		{"gone", func(s *namedSource, subject oidc.Subject) { s.gone[subject] = true }},
	} {
		t.Run(test.name, func(t *testing.T) {
			i, source := sourced(t)
			b := i.browser()
			first := i.token(codeForm(b.login(request(), "alice", alicePassword).code()), nil)
			pending := b.again(request()).code()
			test.do(source, i.alice)
			b.authorize(request()).wantPage(http.StatusOK, `name="password"`)
			b.authorize(request("prompt", "none")).wantError(oidc.LoginRequired)
			i.token(codeForm(pending), nil).wantRefusal(oidc.InvalidGrant)
			if a := i.userinfo(first.AccessToken); a.status != http.StatusUnauthorized {
				t.Errorf("userinfo: got status %d, want 401", a.status)
			}
			i.refresh(first.RefreshToken).wantRefusal(oidc.InvalidGrant)
			// The grant has ended: to come back does not bring it back.
			source.disabled, source.gone = nil, nil
			i.refresh(first.RefreshToken).wantRefusal(oidc.InvalidGrant)
		})
	}
}

func TestUnreachableSourceEndsNothing(t *testing.T) {
	t.Parallel()
	i, source := sourced(t)
	b := i.browser()
	first := i.token(codeForm(b.login(request(), "alice", alicePassword).code()), nil)
	pending := b.again(request()).code()
	source.broken = errors.New("the directory does not answer at ldap.internal:636")
	for name, a := range map[string]answered{
		"refresh":  i.refresh(first.RefreshToken).answered,
		"code":     i.token(codeForm(pending), nil).answered,
		"userinfo": i.userinfo(first.AccessToken),
		"home":     b.get("/"),
	} {
		if a.status < 500 || strings.Contains(a.body, "ldap.internal") {
			t.Errorf("%s: got status %d, want 5xx and no word of our own affairs; body: %s", name, a.status, a.body)
		}
	}
	if a := b.authorize(request()); a.query("error") != string(oidc.ServerError) && a.status < 500 {
		t.Errorf("authorize: got status %d, location %v; want server_error", a.status, a.location)
	}
	source.broken = nil
	i.refresh(first.RefreshToken).wantTokens()
	i.token(codeForm(pending), nil).wantTokens()
}

func TestNewLoginHasANewSession(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	b := i.browser()
	old := sessionCookie(t, b.login(request(), "alice", alicePassword))
	renewed := sessionCookie(t, b.login(request("prompt", "login"), "bob", bobPassword))
	if old.Value == renewed.Value {
		t.Error("the session's secret is the same after a new login")
	}
	if got := i.count("sessions"); got != 1 {
		t.Errorf("got %d sessions, want 1: the old one has ended", got)
	}
	thief := i.browser()
	thief.header.Set("Cookie", old.Name+"="+old.Value)
	thief.authorize(request("prompt", "none")).wantError(oidc.LoginRequired)
	idToken := i.token(codeForm(b.again(request()).code()), nil).IDToken
	if got := claims(t, idToken)["sub"]; got != string(i.bob) {
		t.Errorf("sub: got %v, want %s, who logged in last", got, i.bob)
	}
}

func TestPlantedSessionIsNotAdopted(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	const planted = "PLANTEDPLANTEDPLANTEDPLANTEDPLANTEDPLANTEDPLANTED123"
	b := i.browser()
	address, err := url.Parse(issuerURL)
	check(t, err)
	b.client.Jar.SetCookies(address, []*http.Cookie{{Name: "__Host-tegata-session-main", Value: planted, Path: "/", Secure: true}})
	b.authorize(request("prompt", "none")).wantError(oidc.LoginRequired)
	if got := sessionCookie(t, b.login(request(), "alice", alicePassword)).Value; got == planted {
		t.Error("the planted value became the session's secret")
	}
	thief := i.browser()
	thief.header.Set("Cookie", "__Host-tegata-session-main="+planted)
	thief.authorize(request("prompt", "none")).wantError(oidc.LoginRequired)
}

func TestCookiesAreStrict(t *testing.T) {
	t.Parallel()
	for _, address := range []string{issuerURL, issuerURL + "/dex"} {
		i := newIssuer(t, at(address))
		b := i.browser()
		page := b.authorize(request())
		for _, cookie := range append(page.cookies, b.submit(page, "alice", alicePassword).cookies...) {
			if !strings.HasPrefix(cookie.Name, "__Host-") || !cookie.Secure || !cookie.HttpOnly || cookie.Path != "/" ||
				cookie.Domain != "" || cookie.SameSite != http.SameSiteLaxMode || len(cookie.Value) < 26 {
				t.Errorf("%s: got %s, want __Host-, Secure, HttpOnly, Path=/, SameSite=Lax, 128 bits", address, cookie)
			}
		}
	}
}

func TestHomeLogsInWithoutAClient(t *testing.T) {
	t.Parallel()
	for _, address := range []string{issuerURL, issuerURL + "/dex"} {
		i := newIssuer(t, at(address))
		b := i.browser()
		a := b.submit(b.get(address), "alice", alicePassword)
		if a.status != http.StatusSeeOther || a.location.String() != address {
			t.Fatalf("got status %d to %v, want the issuer's own page", a.status, a.location)
		}
		b.get(address).wantPage(http.StatusOK, "You are logged in")
		b.get(address+"/").wantPage(http.StatusOK, "You are logged in")
		if got := i.count("grants"); got != 0 {
			t.Errorf("got %d grants, want none without a client", got)
		}
	}
}

// A browser holds form-action against each address that the answer to the
// form redirects to, the client's own redirects included; so no host is named.
func TestFormActionAllowsTheRedirect(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	for _, test := range []struct{ uri, want string }{
		{"http://localhost:18000", "https: http:"},
		{"http://127.0.0.1:9/callback", "https: http:"},
		{"https://app.example.com/callback", "https:"},
		{"com.example.app:/callback", "https: com.example.app:"},
	} {
		t.Run(test.uri, func(t *testing.T) {
			i := i.in(t)
			b := i.browser()
			page := b.authorize(request("redirect_uri", test.uri))
			for _, a := range []answered{page, b.submit(page, "alice", "wrong")} {
				if got := formAction(a); !strings.HasSuffix(got, " 'self' "+test.want) {
					t.Errorf("form-action: got %q, want 'self' %s", got, test.want)
				}
			}
		})
	}
}

// The grammar of a Content-Security-Policy (CSP Level 3, section 2.3.1,
// host-part) has no IPv6 literals: a browser drops such a source and then
// stops the redirect that answers the form. A scheme is what it understands.
func TestFormActionAllowsTheRedirectToIPv6(t *testing.T) {
	t.Parallel()
	page := newIssuer(t).browser().authorize(request("redirect_uri", "http://[::1]:18000/callback"))
	if got := formAction(page); strings.Contains(got, "[") || !strings.Contains(got, "http:") {
		t.Errorf("form-action: got %q, want a source that browsers can read, such as http:", got)
	}
}

func formAction(a answered) string {
	for directive := range strings.SplitSeq(a.header.Get("Content-Security-Policy"), ";") {
		if name, value, _ := strings.Cut(strings.TrimSpace(directive), " "); name == "form-action" {
			return " " + value
		}
	}
	return ""
}

// The name that a person types can be a kilobyte of anything: what is kept of
// it, in memory and in the log, must be bounded.
func TestLogOfARefusedLoginIsBounded(t *testing.T) {
	t.Parallel()
	log := &buffer{}
	i := newIssuer(t, logging(log))
	i.guess(strings.Repeat("x", 50_000), "wrong")
	if got := len(log.String()); got > 5_000 {
		t.Errorf("one refused login wrote %d bytes of log, want a few hundred", got)
	}
}

func TestUILocalesChooseTheLanguage(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	b := i.browser()
	page := b.authorize(request("ui_locales", "fr ja en"))
	page.wantPage(http.StatusOK, `<html lang="ja">`)
	if got := page.header.Get("Content-Language"); got != "ja" {
		t.Errorf("Content-Language: got %q, want ja", got)
	}
	b.header.Set("Accept-Language", "ja")
	b.authorize(request("ui_locales", "en")).wantPage(http.StatusOK, `<html lang="en">`)
	b.authorize(request("ui_locales", "x-unheard !!")).wantPage(http.StatusOK, `<html lang="ja">`)
}

// A person who mistypes the password must not find the page in another
// language.
func TestUILocalesStayAfterAWrongPassword(t *testing.T) {
	t.Parallel()
	b := newIssuer(t).browser()
	page := b.authorize(request("ui_locales", "ja"))
	b.submit(page, "alice", "wrong").wantPage(http.StatusForbidden, `<html lang="ja">`)
}

// A browser that comes with a POST from another site brings no Lax cookie.
// The pages that are open in its other tabs must go on working.
func TestPostFromAnotherSiteDoesNotSpoilOtherTabs(t *testing.T) {
	t.Parallel()
	b := newIssuer(t).browser()
	open := b.authorize(request())
	jar := b.client.Jar
	b.client.Jar = nil // SameSite=Lax: not sent
	crossSite := b.send("POST", "/authorize", request(), http.Header{"Sec-Fetch-Site": {"cross-site"}, "Origin": {"https://web.example.com"}})
	b.client.Jar = jar
	address, err := url.Parse(issuerURL)
	check(t, err)
	jar.SetCookies(address, crossSite.cookies) // but what comes back is kept
	b.submit(open, "alice", alicePassword).wantStatus(http.StatusSeeOther)
}

func TestClientNameIsEscaped(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	for n, name := range []string{`<script>alert(1)</script>`, `"><img src=x onerror=alert(1)>`, "%s%s%d", "{{.}}", "a & b"} {
		id := oidc.ClientID(fmt.Sprint("client-", n))
		i.addClient(clientregistry.Client{ID: id, Name: name, RedirectURIs: []string{"http://localhost:8000"}}, "")
		a := i.browser().authorize(request("client_id", string(id)))
		if a.status != http.StatusOK || strings.Contains(a.body, "<script") || strings.Contains(a.body, "<img") {
			t.Errorf("%q came through:\n%s", name, a.body)
		}
	}
	i.browser().authorize(request("client_id", "laptop")).wantPage(http.StatusOK, "<strong>laptop</strong>")
}

func TestLifetimesAreThoseThatWereSet(t *testing.T) {
	t.Parallel()
	i := newIssuer(t, lasting(provider.Lifetimes{LoginPage: time.Minute, Session: time.Hour}))
	b := i.browser()
	page := b.authorize(request())
	i.clock.advance(time.Minute)
	b.submit(page, "alice", alicePassword).wantPage(http.StatusBadRequest, "expired")
	if got := sessionCookie(t, b.login(request(), "alice", alicePassword)).MaxAge; got != 3600 {
		t.Errorf("the session's cookie lasts %d s, want 3600", got)
	}
	i.clock.advance(time.Hour)
	b.authorize(request("prompt", "none")).wantError(oidc.LoginRequired)
}

func sessionCookie(t *testing.T, a answered) *http.Cookie {
	t.Helper()
	var found *http.Cookie
	for _, cookie := range a.cookies {
		if strings.Contains(cookie.Name, "session") {
			found = cookie // the last one counts
		}
	}
	if found == nil || found.Value == "" {
		t.Fatalf("got cookies %v, want a session's", a.cookies)
	}
	return found
}
