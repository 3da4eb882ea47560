// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package provider_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/tegata/tegata/internal/oidc"
	"github.com/tegata/tegata/internal/provider"
	"github.com/tegata/tegata/internal/provider/session"
	"github.com/tegata/tegata/internal/store"
)

func TestIdleSessionExpires(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	b := i.browser()
	b.login(webRequest(), "alice", alicePassword)
	i.clock.advance(2*time.Hour - time.Second)
	b.authorize(webRequest()).code()
	i.clock.advance(2*time.Hour - time.Second) // since the last use
	b.get("/").wantPage(http.StatusOK, "You are logged in")
	i.clock.advance(2 * time.Hour)
	b.authorize(webRequest("prompt", "none")).wantError(oidc.LoginRequired)
	b.get("/").wantPage(http.StatusOK, `name="password"`)
}

// One use writes, and those within the next five minutes do not.
func TestUseOfASessionIsWrittenNowAndThen(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	b := i.browser()
	b.login(webRequest(), "alice", alicePassword)
	used := func() time.Time {
		t.Helper()
		list, _, err := i.rows.SessionList(t.Context(), i.alice, store.Page{}, i.clock.Now())
		check(t, err)
		if len(list) != 1 {
			t.Fatalf("got %d sessions, want 1", len(list))
		}
		return list[0].UsedAt.UTC()
	}
	for _, step := range []struct {
		after time.Duration
		want  time.Duration // since birth
	}{{0, 0}, {time.Minute, 0}, {3 * time.Minute, 0}, {time.Minute, 5 * time.Minute}, {4 * time.Minute, 5 * time.Minute}, {time.Hour, 69 * time.Minute}} {
		i.clock.advance(step.after)
		b.authorize(webRequest()).code()
		if got := used().Sub(birth); got != step.want {
			t.Errorf("after %s more: got the last use at %s, want %s", step.after, got, step.want)
		}
	}
	// A short idle time is kept all the same.
	short := newIssuer(t, lasting(provider.Lifetimes{SessionIdle: time.Minute}))
	b = short.browser()
	b.login(webRequest(), "alice", alicePassword)
	for range 10 {
		short.clock.advance(50 * time.Second)
		b.authorize(webRequest()).code()
	}
	short.clock.advance(time.Minute)
	b.authorize(webRequest("prompt", "none")).wantError(oidc.LoginRequired)
}

// A session goes on under its ID when its own user logs in again, with another
// secret: what was granted in it is still its own.
func TestLoginAgainKeepsTheSessionID(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	b := i.browser()
	first := b.login(request(), "alice", alicePassword)
	old := sessionCookie(t, first)
	one := claims(t, i.token(codeForm(first.code()), nil).IDToken)
	i.clock.advance(time.Hour)
	second := b.login(request("prompt", "login"), "alice", alicePassword)
	two := claims(t, i.token(codeForm(second.code()), nil).IDToken)
	if one["sid"] != two["sid"] || i.count("sessions") != 1 {
		t.Errorf("got sid %v, then %v, and %d sessions; want one", one["sid"], two["sid"], i.count("sessions"))
	}
	if one["auth_time"] == two["auth_time"] {
		t.Errorf("got auth_time %v twice", one["auth_time"])
	}
	if renewed := sessionCookie(t, second); renewed.Value == old.Value {
		t.Error("the session's secret is the same after a new login")
	}
	thief := i.browser()
	thief.header.Set("Cookie", old.Name+"="+old.Value)
	thief.authorize(webRequest("prompt", "none")).wantError(oidc.LoginRequired)
}

func TestSessionsAndGrantsSayWhereTheyBegan(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	b := i.browser()
	b.header.Set("User-Agent", "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0")
	code := b.login(request(), "alice", alicePassword).code()
	i.token(codeForm(code), nil).wantTokens()
	b.header.Set("User-Agent", "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36 Edg/126.0.0.0")
	second := i.token(codeForm(b.again(request()).code()), nil)
	want := session.Device{Name: "Firefox on Linux", Address: "127.0.0.1"}
	sessions, _, err := i.rows.SessionList(t.Context(), i.alice, store.Page{}, i.clock.Now())
	check(t, err)
	if len(sessions) != 1 || sessions[0].Device != want || !sessions[0].AuthTime.Equal(birth) {
		t.Errorf("sessions: got %+v, want one of %v", sessions, want)
	}
	i.clock.advance(time.Minute)
	i.refresh(second.RefreshToken).wantTokens()
	grants, _, err := i.rows.GrantList(t.Context(), store.GrantFilter{Subject: i.alice}, store.Page{}, i.clock.Now())
	check(t, err)
	devices := map[session.Device]time.Duration{}
	for _, g := range grants {
		devices[g.Device] = g.RotatedAt.Sub(birth)
	}
	if len(devices) != 2 || devices[want] != 0 || devices[session.Device{Name: "Edge on Windows", Address: "127.0.0.1"}] != time.Minute {
		t.Errorf("grants: got %v, want Firefox on Linux and, used a minute later, Edge on Windows", devices)
	}
}
