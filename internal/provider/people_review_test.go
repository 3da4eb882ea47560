// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package provider_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/tegata/tegata/internal/identity/local"
)

// A change of the password proves a password. It must not make an old proof of
// a second factor look new to pages that want a fresh one.
func TestReviewPasswordChangeMakesNoOldSecondFactorFresh(t *testing.T) {
	t.Parallel()
	i := newIssuer(t, governed(local.Policy{MinLength: 12}))
	h := i.equip(true, false)
	b := i.browser()
	b.fill(b.submit(b.get("/"), "alice", alicePassword), "code", h.code()).wantStatus(http.StatusSeeOther)
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
}

// The audit trail says into which group an administrator put whom.
func TestReviewTrailNamesTheGroup(t *testing.T) {
	t.Parallel()
	var told acts
	i := newIssuer(t, administered, told.told)
	check(t, i.rows.AddMember(t.Context(), "platform-engineer", i.alice))
	check(t, i.rows.AddGroup(t.Context(), "cluster-admins", i.clock.Now()))
	i.administrator().act("/admin/group", "name", "cluster-admins", "act", "add-member", "member", "bob").wantText("bob is in the group")
	told.mu.Lock()
	defer told.mu.Unlock()
	for _, e := range told.all {
		if strings.Contains(e.Reason, "cluster-admins") {
			return
		}
	}
	t.Errorf("no event names the group: %+v", told.all)
}

// Whom an administrator keeps out stays out: a deleted row forgets it, and the
// source lets them in again.
func TestReviewDeletingForgetsNoDisabling(t *testing.T) {
	t.Parallel()
	i, _, _ := people(t, administered)
	check(t, i.rows.AddMember(t.Context(), "platform-engineer", i.alice))
	b := i.browser()
	b.comeBack(b.goTo(b.authorize(request()), "hub")).code()
	check(t, i.rows.SetDisabled(t.Context(), "hub:42", true, i.clock.Now()))
	admin := i.browser()
	admin.choose(admin.get("/admin"), "local", "alice", alicePassword).wantStatus(http.StatusSeeOther)
	admin.onUser("hub:42", "delete", "confirm", "carol")
	other := i.browser()
	if a := other.comeBack(other.goTo(other.authorize(request()), "hub")); a.status != http.StatusForbidden {
		t.Errorf("a user who was disabled, then deleted on the page, is let in: status %d", a.status)
	}
}
