// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package identity_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/tegata/tegata/internal/identity"
	"github.com/tegata/tegata/internal/secret"
)

// changer is a source that remembers whose password was changed.
type changer struct {
	identity.Source
	off     bool
	changed string
	fail    error
}

func (c *changer) ChangesPasswords() bool { return !c.off }

func (c *changer) ChangePassword(_ context.Context, login string, _, _ secret.String) error {
	c.changed = login
	return c.fail
}

// Who has logged in is found by their source, whatever the user name looks
// like, and under the name that the source knows.
func TestPasswordOfWhoHasLoggedIn(t *testing.T) {
	corp, hub := &changer{}, &changer{}
	s := &identity.Sources{Now: time.Now, Members: []identity.Member{
		{Name: "corp", UsernamePrefix: "corp-", Passwords: corp},
		{Name: "hub", EmailDomains: []string{"example.com"}, Passwords: hub},
	}}
	change := func(user identity.User) error {
		return s.ChangePasswordOf(t.Context(), user, secret.New("old"), secret.New("new"))
	}
	alice := identity.User{Source: "corp", Username: "corp-alice@example.com"}
	if err := change(alice); err != nil || corp.changed != "alice@example.com" || hub.changed != "" {
		t.Errorf("got %v; corp %q, hub %q", err, corp.changed, hub.changed)
	}
	if rules, err := s.PasswordRules(t.Context(), alice); err != nil || len(rules) != 0 {
		t.Errorf("a source that tells nothing before: %v, %v", rules, err)
	}
	corp.fail = errors.New("the line is dead")
	if _, ok := errors.AsType[*identity.UnavailableError](change(alice)); !ok {
		t.Errorf("got %v", change(alice))
	}
	for _, answer := range []error{identity.ErrWrongCredentials, identity.ErrTemporaryExpired, &identity.PasswordRefusedError{Reason: "too young"}} {
		if corp.fail = answer; !errors.Is(change(alice), answer) {
			t.Errorf("got %v, want %v", change(alice), answer)
		}
	}
	corp.off = true
	for _, user := range []identity.User{alice, {Source: "gone", Username: "bob"}} {
		if err := change(user); !errors.Is(err, identity.ErrNoPasswordChange) {
			t.Errorf("%s: got %v", user.Source, err)
		}
		if _, err := s.PasswordRules(t.Context(), user); !errors.Is(err, identity.ErrNoPasswordChange) {
			t.Errorf("%s: got %v", user.Source, err)
		}
	}
}
