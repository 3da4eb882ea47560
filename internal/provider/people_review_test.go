// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package provider_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/tegata/tegata/internal/clientregistry"
	"github.com/tegata/tegata/internal/identity"
	"github.com/tegata/tegata/internal/identity/local"
	"github.com/tegata/tegata/internal/oidc"
	"github.com/tegata/tegata/internal/secondfactor"
	"github.com/tegata/tegata/internal/secret"
)

// A client that wants a second factor must not be had by a detour: a password
// at another client, and an exchange of its token.
func TestReviewExchangeKeepsTheSecondFactorOfItsTarget(t *testing.T) {
	t.Parallel()
	i := newIssuer(t, func(i *issuer) {
		i.addClient(clientregistry.Client{
			ID: "fleet", RedirectURIs: []string{"http://localhost:8000"}, Audiences: []string{"cluster-a"},
			Grants: []string{"authorization_code", "refresh_token", oidc.GrantTokenExchange},
		}, "")
		i.addClient(clientregistry.Client{ID: "cluster-a", SecondFactor: true, RedirectURIs: []string{"http://localhost:8000"}}, "")
	})
	for kind, token := range map[string]func(tokens) string{
		typeID:     func(found tokens) string { return found.IDToken },
		typeAccess: func(found tokens) string { return found.AccessToken },
	} {
		found := i.exchange(token(i.logInFleet()), kind, "cluster-a")
		if found.status == http.StatusOK {
			told := claims(t, found.AccessToken)
			t.Errorf("%s: a password alone got a token for aud %v with amr %v and acr %v", kind, told["aud"], told["amr"], told["acr"])
		}
	}
}

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

// Who has to log in again does so also at a source elsewhere.
func TestReviewLoginAgainIsFreshElsewhere(t *testing.T) {
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
func TestReviewAddressesOfASourceAreNotAnothersToGive(t *testing.T) {
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

// No source brings a name of Kubernetes into a token, attributes included.
func TestReviewAttributesBringNoNamesOfKubernetes(t *testing.T) {
	t.Parallel()
	i, corp, _ := people(t, func(i *issuer) {
		i.addClient(clientregistry.Client{
			ID: "roles", RedirectURIs: []string{"http://localhost:8000"},
			Claims: map[string]clientregistry.Claim{"groups": {Attribute: "memberships"}},
		}, "")
	})
	user := corp.users["user01"]
	user.Attributes = map[string][]string{"memberships": {"lab", "system:masters"}}
	corp.users["user01"] = user
	b := i.browser()
	a := b.choose(b.authorize(request("client_id", "roles", "scope", "openid groups")), "corp", "user01", "directory")
	if a.status >= 400 {
		return
	}
	got := b.token(codeForm(a.code(), "client_id", "roles"), nil)
	got.wantTokens()
	if groups, _ := claims(t, got.IDToken)["groups"].([]any); contains(groups, "system:masters") {
		t.Errorf("the token has the groups %v", groups)
	}
}

func contains(all []any, want string) bool {
	for _, one := range all {
		if one == want {
			return true
		}
	}
	return false
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

// Whoever has one departure must not make us ask the source as often as they
// like: it asks us to stop, and then nobody logs in.
func TestReviewAnswersElsewhereAreGoodOnce(t *testing.T) {
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
func TestReviewOneBrokenUserSilencesNoSource(t *testing.T) {
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

// A group whose people need a second factor gives its rights to nobody whose
// login stands on a password alone, also if they came into it later.
func TestReviewPrivilegedGroupReachesNoPasswordLogin(t *testing.T) {
	t.Parallel()
	i := newIssuer(t, wanting(secondfactor.Policy{Groups: []string{"cluster-admins"}}))
	found := i.logIn("scope", "openid groups offline_access")
	check(t, i.rows.AddGroup(t.Context(), "cluster-admins", i.clock.Now()))
	check(t, i.rows.AddMember(t.Context(), "cluster-admins", i.alice))
	again := i.refresh(found.RefreshToken)
	if again.status != http.StatusOK {
		return
	}
	if told := claims(t, again.IDToken); strings.Contains(fmt.Sprint(told["groups"]), "cluster-admins") {
		t.Errorf("a login with amr %v has the groups %v", told["amr"], told["groups"])
	}
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
