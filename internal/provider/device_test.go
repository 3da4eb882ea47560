// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package provider_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tegata/tegata/internal/clientregistry"
	"github.com/tegata/tegata/internal/identity/local"
	"github.com/tegata/tegata/internal/oidc"
	"github.com/tegata/tegata/internal/provider/grant"
	"github.com/tegata/tegata/internal/secret"
)

// device is a device that waits, as it sees itself.
type device struct {
	answered

	DeviceCode string `json:"device_code"`
	UserCode   string `json:"user_code"`
	URI        string `json:"verification_uri"`
	Complete   string `json:"verification_uri_complete"`
	ExpiresIn  int    `json:"expires_in"`
	Interval   int    `json:"interval"`
	Code       string `json:"error"`
}

// withDevices adds the public client "terminal", which has no other way in.
func withDevices(i *issuer) {
	i.addClient(clientregistry.Client{ID: "terminal", Name: "Terminal", Grants: []string{oidc.GrantDeviceCode, oidc.GrantRefreshToken}}, "")
}

func (i *issuer) beginDevice(changes ...string) device {
	i.t.Helper()
	form := change(url.Values{"client_id": {"terminal"}, "scope": {"openid groups"}}, changes...)
	found := device{answered: i.browser().send("POST", "/device_authorization", form, http.Header{"User-Agent": {"kubectl-oidc_login/1.0"}})}
	if err := json.Unmarshal([]byte(found.body), &found); err != nil {
		i.t.Fatalf("no JSON: %v: status %d, %s", err, found.status, found.body)
	}
	return found
}

func (i *issuer) poll(d device, changes ...string) tokens {
	i.t.Helper()
	return i.token(change(url.Values{
		"grant_type": {oidc.GrantDeviceCode}, "client_id": {"terminal"}, "device_code": {d.DeviceCode},
	}, changes...), nil)
}

// decideDevice is what a person does who has not logged in yet.
func (b *browser) decideDevice(d device, answer string) answered {
	b.t.Helper()
	page := b.get(d.Complete)
	page.wantPage(http.StatusOK, `type="password"`)
	a := b.submit(page, "alice", alicePassword)
	a.wantStatus(http.StatusSeeOther)
	page = b.get(a.location.String())
	page.wantPage(http.StatusOK, d.UserCode)
	return b.press(page, answer)
}

func TestDeviceLogsIn(t *testing.T) {
	t.Parallel()
	i := newIssuer(t, withDevices)
	d := i.beginDevice()
	d.wantStatus(http.StatusOK)
	if !regexp.MustCompile(`^[B-DF-HJ-NP-TV-XZ]{4}-[B-DF-HJ-NP-TV-XZ]{4}$`).MatchString(d.UserCode) || len(d.DeviceCode) < 40 {
		t.Errorf("got the user code %q and a device code of %d bytes", d.UserCode, len(d.DeviceCode))
	}
	if d.URI != issuerURL+"/device" || d.Complete != issuerURL+"/device?user_code="+d.UserCode || d.ExpiresIn != 600 || d.Interval != 5 {
		t.Errorf("got %s", d.body)
	}
	if got := d.header.Get("Cache-Control"); got != "no-store" {
		t.Errorf("Cache-Control: got %q, want no-store", got)
	}
	i.poll(d).wantRefusal(oidc.AuthorizationPending)

	// The person: the code, the login page, the question, the answer.
	b := i.browser()
	page := b.get(d.URI)
	page.wantPage(http.StatusOK, `name="user_code"`)
	i.clock.advance(2 * time.Minute)
	form := page.form()
	form.fields.Set("user_code", strings.ToLower(strings.ReplaceAll(d.UserCode, "-", " ")))
	page = b.send("POST", b.resolve(form.action), form.fields, nil)
	page.wantPage(http.StatusOK, `type="password"`)
	a := b.submit(page, "alice", alicePassword)
	if a.status != http.StatusSeeOther || a.location.String() != issuerURL+"/device?user_code="+d.UserCode {
		t.Fatalf("after the login: status %d, location %v", a.status, a.location)
	}
	page = b.get(a.location.String())
	for _, part := range []string{"Terminal", d.UserCode, "kubectl-oidc_login/1.0, 127.0.0.1", "2 min ago", "Alice Archer", "the groups that you are in"} {
		page.wantPage(http.StatusOK, part)
	}
	b.press(page, "allow").wantPage(http.StatusOK, "The device is logged in")

	i.clock.advance(10 * time.Second)
	found := i.poll(d)
	found.wantTokens()
	told := claims(t, found.IDToken)
	if told["sub"] != string(i.alice) || told["aud"] != "terminal" || told["sid"] != nil || fmt.Sprint(told["auth_time"]) != fmt.Sprint(birth.Add(2*time.Minute).Unix()) {
		t.Errorf("the ID token says %v", told)
	}
	if found.Scope != "openid groups" || i.userinfo(found.AccessToken).status != http.StatusOK {
		t.Errorf("got the scope %q", found.Scope)
	}
	i.refresh(found.RefreshToken, "client_id", "terminal").wantTokens()

	// Who logs out in the browser stays logged in on the device.
	b.press(b.get("/logout"), "logout")
	i.refresh(i.refresh(found.RefreshToken, "client_id", "terminal").RefreshToken, "client_id", "terminal").wantTokens()
}

func TestDeviceCodeWorksOnce(t *testing.T) {
	t.Parallel()
	i := newIssuer(t, withDevices)
	d := i.beginDevice()
	i.browser().decideDevice(d, "allow").wantPage(http.StatusOK, "logged in")
	found := i.poll(d)
	found.wantTokens()
	i.poll(d).wantRefusal(oidc.InvalidGrant)
	// As with a code: one of the two stole it.
	i.refresh(found.RefreshToken, "client_id", "terminal").wantRefusal(oidc.InvalidGrant)
}

func TestDeviceCodeWorksOnceOfManyAtOnce(t *testing.T) {
	t.Parallel()
	i := newIssuer(t, withDevices)
	d := i.beginDevice()
	i.browser().decideDevice(d, "allow")
	var mu sync.Mutex
	var wait sync.WaitGroup
	given := 0
	for range 12 {
		wait.Go(func() {
			if found := i.poll(d); found.status == http.StatusOK {
				mu.Lock()
				given++
				mu.Unlock()
			}
		})
	}
	wait.Wait()
	if given != 1 {
		t.Errorf("the device code worked %d times, want once", given)
	}
}

func TestDevicePolling(t *testing.T) {
	t.Parallel()
	i := newIssuer(t, withDevices)
	d := i.beginDevice()
	for n, step := range []struct {
		wait time.Duration
		want oidc.ErrorCode
	}{
		{0, oidc.AuthorizationPending},
		{5 * time.Second, oidc.AuthorizationPending},
		{4500 * time.Millisecond, oidc.AuthorizationPending}, // the way may be slow
		{3 * time.Second, oidc.SlowDown},                     // 10 seconds from now on
		{5 * time.Second, oidc.SlowDown},                     // 15
		{14 * time.Second, oidc.AuthorizationPending},
		{20 * time.Second, oidc.AuthorizationPending},
	} {
		i.clock.advance(step.wait)
		if got := i.poll(d); got.Code != string(step.want) || got.status != http.StatusBadRequest {
			t.Errorf("request %d: got %d %s, want %s", n, got.status, got.Code, step.want)
		}
	}
	// Another device has its own pace.
	i.poll(i.beginDevice()).wantRefusal(oidc.AuthorizationPending)
	i.clock.advance(10 * time.Minute)
	i.poll(d).wantRefusal(oidc.ExpiredToken)

	refused := i.beginDevice()
	i.browser().decideDevice(refused, "deny").wantPage(http.StatusOK, "refused")
	i.poll(refused).wantRefusal(oidc.AccessDenied)
	i.poll(refused).wantRefusal(oidc.AccessDenied)

	allowed := i.beginDevice()
	i.browser().decideDevice(allowed, "allow")
	i.clock.advance(11 * time.Minute)
	i.poll(allowed).wantRefusal(oidc.ExpiredToken)
}

func TestDeviceCodeIsBoundToItsClient(t *testing.T) {
	t.Parallel()
	i := newIssuer(t, withDevices)
	i.addClient(clientregistry.Client{ID: "another", Grants: []string{oidc.GrantDeviceCode, oidc.GrantRefreshToken}}, "")
	d := i.beginDevice()
	i.poll(d, "client_id", "another").wantRefusal(oidc.InvalidGrant)
	i.browser().decideDevice(d, "allow")
	i.poll(d, "client_id", "another").wantRefusal(oidc.InvalidGrant)
	i.poll(d, "device_code", "unheard-of").wantRefusal(oidc.InvalidGrant)
	i.poll(d, "device_code", "").wantRefusal(oidc.InvalidRequest)
	i.poll(d, "device_code", "a\x00b").wantRefusal(oidc.InvalidGrant)
	// It is no authorization code, nor is one a device code.
	i.token(codeForm(d.DeviceCode, "client_id", "terminal"), nil).wantRefusal(oidc.UnauthorizedClient)
	i.addClient(clientregistry.Client{ID: "both", RedirectURIs: []string{"http://localhost:8000"}, Grants: []string{oidc.GrantDeviceCode, oidc.GrantAuthorizationCode, oidc.GrantRefreshToken}}, "")
	b := i.browser()
	mine := i.beginDevice("client_id", "both")
	b.decideDevice(mine, "allow")
	i.token(codeForm(mine.DeviceCode, "client_id", "both"), nil).wantRefusal(oidc.InvalidGrant)
	code := b.again(request("client_id", "both")).code()
	i.poll(mine, "client_id", "both", "device_code", code).wantRefusal(oidc.InvalidGrant)
	i.poll(mine, "client_id", "both").wantTokens()
	i.poll(d).wantTokens()
}

func TestDeviceMayUsePKCE(t *testing.T) {
	t.Parallel()
	i := newIssuer(t, withDevices)
	for _, wrong := range [][]string{
		{"code_challenge", verifier, "code_challenge_method", "plain"}, {"code_challenge", challenge}, {"code_challenge_method", "S256"}, {"code_challenge", "short", "code_challenge_method", "S256"},
	} {
		if d := i.beginDevice(wrong...); d.status != http.StatusBadRequest || d.Code != "invalid_request" {
			t.Errorf("%q: got %d %s, want invalid_request", wrong, d.status, d.body)
		}
	}
	d := i.beginDevice("code_challenge", challenge, "code_challenge_method", "S256")
	i.browser().decideDevice(d, "allow")
	i.poll(d).wantRefusal(oidc.InvalidGrant)
	i.poll(d, "code_verifier", strings.Repeat("a", 43)).wantRefusal(oidc.InvalidGrant)
	i.poll(d, "code_verifier", verifier).wantTokens()
	// Somebody took the challenge out.
	d = i.beginDevice()
	i.browser().decideDevice(d, "allow")
	i.poll(d, "code_verifier", verifier).wantRefusal(oidc.InvalidGrant)
}

func TestDeviceAuthorizationIsForItsClients(t *testing.T) {
	t.Parallel()
	i := newIssuer(t, withDevices)
	if d := i.beginDevice("client_id", "kubernetes"); d.status != http.StatusBadRequest || d.Code != "unauthorized_client" {
		t.Errorf("a client without the grant: got %d %s", d.status, d.body)
	}
	if d := i.beginDevice("client_id", "nobody"); d.status != http.StatusUnauthorized || d.Code != "invalid_client" {
		t.Errorf("no such client: got %d %s", d.status, d.body)
	}
	i.addClient(clientregistry.Client{ID: "box", Grants: []string{oidc.GrantDeviceCode}}, otherSecret)
	if d := i.beginDevice("client_id", "box"); d.status != http.StatusUnauthorized {
		t.Errorf("a confidential client without its secret: got %d %s", d.status, d.body)
	}
	d := i.beginDevice("client_id", "box", "client_secret", otherSecret, "scope", "openid unheard-of email")
	i.browser().decideDevice(d, "allow")
	found := i.poll(d, "client_id", "box", "client_secret", otherSecret)
	if found.status != http.StatusOK || found.Scope != "openid email" || found.RefreshToken != "" {
		t.Errorf("got %d %s, want openid and email and no refresh token, which the client may not use", found.status, found.body)
	}
	if n := i.count("device_requests"); n != 1 {
		t.Errorf("%d devices are kept, want 1: what is refused costs no row", n)
	}
}

// A person may try few codes, and nobody without a login any.
func TestUserCodesCannotBeGuessed(t *testing.T) {
	t.Parallel()
	i := newIssuer(t, withDevices)
	d := i.beginDevice()
	b := i.browser()
	for _, typed := range []string{"BCDF-GHJK", d.UserCode} {
		// Right or wrong, without a login there is only the login page.
		b.get("/device?user_code="+typed).wantPage(http.StatusOK, `type="password"`)
	}
	b.login(request(), "alice", alicePassword)
	for _, typed := range []string{"ABCD-EFGH", "BCDF", "BCDF-GHJKL", "BCDF-GHJ1", strings.Repeat("B", 1000), "BCDF\x00GHJK"} {
		// What can be no code is no try.
		b.send("POST", "/device", url.Values{"user_code": {typed}}, nil).wantPage(http.StatusNotFound, "This code is unknown")
	}
	statuses := []int{}
	for n := range 7 {
		code := fmt.Sprintf("BCDF-GHJ%c", "KLMNPQR"[n])
		statuses = append(statuses, b.send("POST", "/device", url.Values{"user_code": {code}}, nil).status)
	}
	if want := []int{404, 404, 404, 404, 404, 429, 429}; fmt.Sprint(statuses) != fmt.Sprint(want) {
		t.Errorf("got %v, want %v", statuses, want)
	}
	b.get(d.Complete).wantPage(http.StatusTooManyRequests, "too many attempts")
	i.clock.advance(30 * time.Second)
	b.get(d.Complete).wantPage(http.StatusOK, d.UserCode) // and a right one costs nothing
	b.get(d.Complete).wantPage(http.StatusOK, d.UserCode)

	// Many at once get no more.
	i.clock.advance(10 * time.Minute)
	var mu sync.Mutex
	var wait sync.WaitGroup
	looked := 0
	for n := range 20 {
		wait.Go(func() {
			code := fmt.Sprintf("BCDF-GH%c%c", "BCDFGHJKLMNPQRSTVWXZ"[n], "BCDFGHJKLMNPQRSTVWXZ"[n])
			if b.send("POST", "/device", url.Values{"user_code": {code}}, nil).status == http.StatusNotFound {
				mu.Lock()
				looked++
				mu.Unlock()
			}
		})
	}
	wait.Wait()
	if looked > 5 {
		t.Errorf("%d codes were looked at, want 5 at the most", looked)
	}

	// A new login from the same address gets no new allowance without end.
	tried := 0
	for range 12 {
		other := i.browser()
		other.login(request(), "alice", alicePassword)
		for range 5 {
			if other.send("POST", "/device", url.Values{"user_code": {"BCDF-GHJK"}}, nil).status == http.StatusNotFound {
				tried++
			}
		}
	}
	if tried > 30 {
		t.Errorf("%d codes were tried from one address, want 30 at the most", tried)
	}
}

// The question is put to one session: its answer is nobody else's, and no
// other site can give it.
func TestDeviceQuestionIsBoundToItsSession(t *testing.T) {
	t.Parallel()
	i := newIssuer(t, withDevices)
	d := i.beginDevice()
	alice, bob := i.browser(), i.browser()
	alice.login(request(), "alice", alicePassword)
	bob.login(request(), "bob", bobPassword)
	question := alice.get(d.Complete).form()
	question.fields.Set("answer", "allow")
	bob.send("POST", "/device", question.fields, nil).wantPage(http.StatusBadRequest, "expired or belongs to another browser")
	i.browser().send("POST", "/device", question.fields, nil).wantPage(http.StatusBadRequest, "expired or belongs to another browser")
	alice.send("POST", "/device", question.fields, http.Header{"Sec-Fetch-Site": {"cross-site"}}).wantPage(http.StatusForbidden, "expired or belongs to another browser")
	alice.send("POST", "/device", change(question.fields, "answer", "perhaps"), nil).wantPage(http.StatusBadRequest, "cannot be understood")
	i.poll(d).wantRefusal(oidc.AuthorizationPending)
	alice.send("POST", "/device", change(question.fields, "answer", "allow"), nil).wantPage(http.StatusOK, "logged in")
	// Nobody decides twice.
	alice.send("POST", "/device", change(question.fields, "answer", "deny"), nil).wantPage(http.StatusNotFound, "This code is unknown")
	alice.get(d.Complete).wantPage(http.StatusNotFound, "This code is unknown")
	found := i.poll(d)
	found.wantTokens()
	if got := claims(t, found.IDToken)["sub"]; got != string(i.alice) {
		t.Errorf("got the subject %v, want alice", got)
	}
}

// The page after a login is one of ours, whatever stands in the address.
func TestDeviceLoginLeadsNowhereElse(t *testing.T) {
	t.Parallel()
	i := newIssuer(t, withDevices, at(issuerURL+"/dex"))
	b := i.browser()
	for _, typed := range []string{"//evil.example", "https://evil.example/", "BCDF-GHJK&next=//evil.example", "BCDF-GHJK\r\nLocation: x"} {
		a := b.get("/device?user_code=" + url.QueryEscape(typed))
		if strings.Contains(a.body, "evil.example") && a.status == http.StatusOK {
			a = b.submit(a, "alice", alicePassword)
			t.Errorf("%q: the login page leads to %v", typed, a.location)
		}
	}
	page := b.get("/device?user_code=BCDF-GHJK")
	a := b.submit(page, "alice", alicePassword)
	if got, want := a.location.String(), issuerURL+"/dex/device?user_code=BCDF-GHJK"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestDevicesThatWaitAreBounded(t *testing.T) {
	t.Parallel()
	i := newIssuer(t, withDevices)
	refused := 0
	for range 70 {
		if d := i.beginDevice(); d.status != http.StatusOK {
			refused++
			if d.status != http.StatusServiceUnavailable || d.Code != "temporarily_unavailable" || d.header.Get("Retry-After") == "" {
				t.Fatalf("got %d %s", d.status, d.body)
			}
		}
	}
	if n := i.count("device_requests"); n != 60 || refused != 10 {
		t.Errorf("%d devices wait and %d were refused, want 60 and 10", n, refused)
	}
	i.clock.advance(2 * time.Second)
	i.beginDevice().wantStatus(http.StatusOK)
	i.clock.advance(11 * time.Minute)
	check(t, i.rows.Sweep(t.Context(), i.clock.Now()))
	if n := i.count("device_requests"); n != 0 {
		t.Errorf("%d rows are left of devices that nobody let in", n)
	}
}

func TestDeviceEndsWithItsUser(t *testing.T) {
	t.Parallel()
	i := newIssuer(t, withDevices)
	d := i.beginDevice()
	b := i.browser()
	b.decideDevice(d, "allow")
	check(t, i.rows.SetDisabled(t.Context(), i.alice, true, i.clock.Now()))
	i.poll(d).wantRefusal(oidc.ExpiredToken)
	// Nor can somebody be let in by a session that has ended.
	check(t, i.rows.SetDisabled(t.Context(), i.alice, false, i.clock.Now()))
	d = i.beginDevice()
	b = i.browser()
	b.login(request(), "alice", alicePassword)
	question := b.get(d.Complete)
	check(t, i.rows.SetPassword(t.Context(), i.alice, local.NewPassword{Hash: ""}, i.clock.Now()))
	b.press(question, "allow").wantPage(http.StatusBadRequest, "expired or belongs to another browser")
	i.poll(d).wantRefusal(oidc.AuthorizationPending)
}

func TestDeviceCodesAreNotKept(t *testing.T) {
	t.Parallel()
	i := newIssuer(t, withDevices)
	d := i.beginDevice()
	row, err := i.rows.DeviceRequestByCode(t.Context(), grant.HashCode(secret.New(d.DeviceCode)))
	check(t, err)
	text := fmt.Sprintf("%+v", row)
	for _, code := range []string{d.DeviceCode, d.UserCode, strings.ReplaceAll(d.UserCode, "-", "")} {
		if strings.Contains(text, code) {
			t.Errorf("%q stands in %s", code, text)
		}
	}
}

// Whatever is sent to the page: an answer that is a page of ours, and no
// redirect.
func FuzzDevicePage(f *testing.F) {
	i := newIssuer(f, withDevices)
	d := i.beginDevice()
	b := i.browser()
	b.login(request(), "alice", alicePassword)
	address, err := url.Parse(issuerURL)
	check(f, err)
	cookies := []string{}
	for _, cookie := range b.client.Jar.Cookies(address) {
		cookies = append(cookies, cookie.Name+"="+cookie.Value)
	}
	question := b.get(d.Complete).form().fields.Get("request")
	f.Add("user_code=BCDF-GHJK", true)
	f.Add("user_code=%00&user_code=x", false)
	f.Add("request="+question+"&answer=perhaps", true)
	f.Add("request=x&answer=allow", true)
	f.Add("%zz", true)
	f.Fuzz(func(t *testing.T, body string, loggedIn bool) {
		r := httptest.NewRequest(http.MethodPost, "/device", strings.NewReader(body))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		if loggedIn {
			r.Header.Set("Cookie", strings.Join(cookies, "; "))
		}
		w := httptest.NewRecorder()
		i.handler.ServeHTTP(w, r)
		switch w.Code {
		case 200, 400, 404, 429:
		default:
			t.Errorf("%q: got status %d", body, w.Code)
		}
		if w.Header().Get("Location") != "" || !strings.HasPrefix(w.Body.String(), "<!doctype html>") {
			t.Errorf("%q: got %v, %s", body, w.Header(), w.Body)
		}
	})
}
