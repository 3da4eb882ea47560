// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package provider_test

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tegata/tegata/internal/audit"
	"github.com/tegata/tegata/internal/identity/local"
)

// buffer is a log that several goroutines write.
type buffer struct {
	mu   sync.Mutex // guards the field below
	text bytes.Buffer
}

func (b *buffer) Write(text []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(text)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// A whole life of a login, with mistakes, at the most talkative level. Then
// the log, the files of the database and every page are searched for every
// secret that came up.
func TestNothingSecretIsWritten(t *testing.T) {
	t.Parallel()
	log := &buffer{}
	policy := local.Policy{MinLength: 12, TemporaryFor: time.Hour, Lockout: local.Lockout{Failures: 3, For: time.Minute}}
	i := newIssuer(t, logging(log), func(i *issuer) {
		lines := audit.NewLines(log, func(err error) { t.Error(err) })
		i.config.Audit = &audit.Trail{Issuer: issuerURL, Now: i.clock.Now, Sinks: []func(audit.Event){lines.Write}}
	}, governed(policy))
	secrets := map[string]string{
		"alice's password": alicePassword, "the client's secret": webSecret, "a wrong password": "this-was-a-wrong-password",
		"a wrong client secret": "this-was-a-wrong-client-secret", "the code verifier": verifier,
	}
	pages := []answered{}
	keep := func(a answered) answered {
		pages = append(pages, a)
		for _, cookie := range a.cookies {
			if cookie.Value != "" {
				secrets["the cookie "+cookie.Name+" "+cookie.Value[:4]] = cookie.Value
			}
		}
		return a
	}
	keepTokens := func(name string, found tokens) tokens {
		secrets[name+": access token"], secrets[name+": ID token"] = found.AccessToken, found.IDToken
		secrets[name+": refresh token"] = found.RefreshToken
		return found
	}

	b := i.browser()
	page := keep(b.authorize(webRequest("scope", "openid email groups profile offline_access")))
	wrong := keep(b.submit(page, "alice", "this-was-a-wrong-password"))
	keep(b.submit(wrong, "nobody", "this-was-a-wrong-password"))
	a := b.submit(wrong, "alice", alicePassword)
	for _, cookie := range a.cookies {
		secrets["the cookie "+cookie.Name] = cookie.Value
	}
	code := a.code()
	secrets["code"] = code
	form := codeForm(code, "client_id", "", "redirect_uri", "https://web.example.com/callback")
	i.token(form, basic("web", "this-was-a-wrong-client-secret"))
	i.token(change(codeForm(code, "redirect_uri", "https://web.example.com/callback"), "client_id", "web", "client_secret", "this-was-a-wrong-client-secret"), nil)
	i.token(codeForm(code, "client_id", "", "redirect_uri", "https://web.example.com/callback", "code_verifier", challenge), basic("web", webSecret))
	first := keepTokens("first", i.token(form, basic("web", webSecret)))
	first.wantTokens()
	web := basic("web", webSecret)
	second := keepTokens("second", i.token(refreshForm(first.RefreshToken, "client_id", ""), web))
	second.wantTokens()
	i.userinfo(second.AccessToken)
	i.userinfo(second.IDToken)
	i.browser().send("GET", "/userinfo?access_token="+second.AccessToken, nil, nil)
	i.token(refreshForm(second.RefreshToken, "client_id", "", "scope", "unheard"), web)
	i.token(refreshForm(second.RefreshToken+"x", "client_id", ""), web)
	i.token(refreshForm(second.RefreshToken, "client_id", "kubernetes"), nil)
	keep(b.get("/"))
	another := b.authorize(webRequest()).code()
	secrets["another code"] = another
	keepTokens("another", i.token(codeForm(another, "client_id", "", "redirect_uri", "https://web.example.com/callback"), web))
	i.clock.advance(time.Hour)
	i.token(refreshForm(first.RefreshToken, "client_id", ""), web) // replay: the grant ends
	i.token(form, web)                                             // the code again
	keep(b.authorize(webRequest("redirect_uri", "https://evil.example/")))
	keep(b.send("POST", "/logout", url.Values{}, nil))
	keep(b.send("POST", "/login", page.form().fields, http.Header{"Sec-Fetch-Site": {"cross-site"}}))

	// Passwords that are changed, temporary ones, and links, with mistakes.
	mine := i.browser()
	mine.submit(mine.get("/"), "bob", bobPassword).wantStatus(http.StatusSeeOther)
	secrets["a fresh password"], secrets["bob's password"], secrets["a refused password"] = freshPassword, bobPassword, "dragon-Bob-2026-1234"
	change := keep(mine.get("/account/password"))
	keep(mine.choosePassword(change, "password", "this-was-a-wrong-password", "new", freshPassword, "repeated", freshPassword))
	keep(mine.choosePassword(change, "password", bobPassword, "new", "dragon-Bob-2026-1234", "repeated", "dragon-Bob-2026-1234"))
	mine.choosePassword(change, "password", bobPassword, "new", freshPassword, "repeated", freshPassword).wantStatus(http.StatusSeeOther)
	temporary := i.locals(policy).Generate(i.account("bob").User)
	secrets["a temporary password"] = temporary.Reveal()
	_, err := i.locals(policy).SetPassword(t.Context(), i.account("bob"), temporary, true)
	check(t, err)
	expired := keep(mine.submit(mine.get("/"), "bob", temporary.Reveal()))
	keep(mine.choosePassword(expired, "password", temporary.Reveal(), "new", "dragon-Bob-2026-1234", "repeated", "x"))
	for range 3 {
		mine.submit(mine.get("/"), "bob", "this-was-a-wrong-password")
	}
	path, token := i.link("bob", time.Minute)
	secrets["a link"] = token
	mine.get(path).wantStatus(http.StatusOK) // the page itself carries it
	byLink := func(password string) url.Values {
		return url.Values{"token": {token}, "new": {password}, "repeated": {password}}
	}
	mine.send("POST", "/account/welcome", byLink("dragon-Bob-2026-1234"), nil).wantStatus(http.StatusBadRequest)
	mine.send("POST", "/account/welcome", byLink("Another-9-phrase"), nil).wantStatus(http.StatusSeeOther)
	secrets["a password by a link"] = "Another-9-phrase"
	keep(mine.get(path))
	keep(mine.send("POST", "/account/welcome", byLink("Another-9-phrase"), nil))
	keep(mine.get(path + "%zz"))
	if !strings.Contains(log.String(), "account_locked") || !strings.Contains(log.String(), "password_changed") {
		t.Error("the search looks in the wrong place: no audit event is there")
	}

	secrets["the issuer's secret"] = string(i.config.Secret.Bytes())
	for name, value := range secrets {
		if name != "a wrong password" && len(value) < 16 {
			t.Errorf("%s is missing: got %q", name, value)
		}
	}
	var database strings.Builder
	files, err := filepath.Glob(i.path + "*")
	check(t, err)
	if len(files) < 2 {
		t.Errorf("got the files %v, want the database and its log", files)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		check(t, err)
		database.Write(text)
	}
	if !strings.Contains(database.String(), string(i.alice)) || !strings.Contains(log.String(), "tokens issued") {
		t.Fatal("the search looks in the wrong place: what must be there is not")
	}
	var html strings.Builder
	for _, page := range pages {
		html.WriteString(page.body)
	}
	for name, value := range secrets {
		// The second half of a code or token is its secret; the first names
		// the grant, which is none.
		forms := []string{value, url.QueryEscape(value), base64.StdEncoding.EncodeToString([]byte(value)), hex.EncodeToString([]byte(value))}
		if at := strings.LastIndex(value, "."); at > 0 {
			forms = append(forms, value[at+1:])
		}
		for _, form := range forms {
			for where, text := range map[string]string{"the log": log.String(), "the database": database.String(), "a page": html.String()} {
				if strings.Contains(text, form) {
					t.Errorf("%s stands in %s", name, where)
				}
			}
		}
	}
}
