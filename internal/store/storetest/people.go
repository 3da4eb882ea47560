// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package storetest

import (
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tegata/tegata/internal/identity"
	"github.com/tegata/tegata/internal/identity/local"
	"github.com/tegata/tegata/internal/oidc"
	"github.com/tegata/tegata/internal/provider/session"
	"github.com/tegata/tegata/internal/store"
)

// person is a user of another source, as it has just told.
func person(source, name string) identity.Remembered {
	return identity.Remembered{User: identity.User{
		Subject: oidc.Subject(source + ":" + name), Source: source, Username: name, Email: name + "@example.com", EmailVerified: true,
		Name: "Mx " + name, Groups: []string{"a", "b c"}, Attributes: map[string][]string{"department": {"R&D", "\""}},
	}, ConfirmedAt: Noon, Sealed: "box", OwnNames: true}
}

func usersOfOtherSourcesAreRemembered(t *testing.T, open Opener) {
	i, ctx := fresh(t, open), t.Context()
	want := person("corp", "alice")
	got, err := i.Remember(ctx, want)
	Check(t, err)
	if diff := cmp.Diff(want.User, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	recall := func() identity.Remembered {
		t.Helper()
		got, err := i.Recall(ctx, want.User.Subject)
		Check(t, err)
		return got
	}
	want.OwnNames = false // which is not kept
	if diff := cmp.Diff(want, recall()); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	_, err = i.Recall(ctx, "corp:nobody")
	WantErr(t, "nobody", err, identity.ErrNotFound)

	// A session and a grant stand on the row, and are overtaken like those of
	// local users.
	s := Session("s", "corp:alice")
	Check(t, i.AddSession(ctx, s))
	Check(t, i.SetDisabled(ctx, "corp:alice", true, Noon))
	_, err = i.Session(ctx, "s")
	WantErr(t, "the session of a disabled user", err, session.ErrNotFound)
	WantErr(t, "a session for a disabled user", i.AddSession(ctx, s), session.ErrOvertaken)

	// What the source says does not enable them.
	want.ConfirmedAt, want.User.Groups, want.User.Name = Noon.Add(time.Minute), []string{}, "Other"
	want.User.Disabled, want.User.Epoch = true, 1
	told := want
	told.User.Disabled, told.User.Epoch = false, 0
	got, err = i.Remember(ctx, told)
	Check(t, err)
	if diff := cmp.Diff(want.User, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	Check(t, i.Doubt(ctx, "corp:alice"))
	want.ConfirmedAt, want.Sealed = time.Time{}, ""
	if diff := cmp.Diff(want, recall()); diff != "" {
		t.Errorf("in doubt (-want +got):\n%s", diff)
	}
	found, err := i.AccountByLogin(ctx, "ALICE@example.com")
	Check(t, err)
	if found.Subject != "corp:alice" || found.Source != "corp" || found.PasswordHash != "" {
		t.Errorf("got %+v", found)
	}

	// To forget them would be to let them in. Nothing of them has changed.
	WantErr(t, "deleting who is kept out", i.DeleteAccount(ctx, "corp:alice", Noon), local.ErrKeptOut)
	if kept := recall(); !kept.User.Disabled || kept.User.Epoch != 1 {
		t.Errorf("got %+v", kept.User)
	}
	Check(t, i.SetDisabled(ctx, "corp:alice", false, Noon))
	Check(t, i.DeleteAccount(ctx, "corp:alice", Noon))
	_, err = i.Recall(ctx, "corp:alice")
	WantErr(t, "forgotten", err, identity.ErrNotFound)
	own := Account("bob") // who has a password here, and nowhere else
	Check(t, i.AddAccount(ctx, own, Noon))
	Check(t, i.SetDisabled(ctx, own.Subject, true, Noon))
	Check(t, i.DeleteAccount(ctx, own.Subject, Noon))
}

// Two people who would be one to an API server are not both let in, whichever
// comes first. Within a source, the name is whose it is now.
func namesAreOnePersons(t *testing.T, open Opener) {
	i, ctx := fresh(t, open), t.Context()
	Check(t, i.AddAccount(ctx, Account("alice"), Noon))
	taken := func(r identity.Remembered, want identity.NameTakenError) {
		t.Helper()
		_, err := i.Remember(ctx, r)
		if got, ok := errors.AsType[*identity.NameTakenError](err); !ok || *got != want {
			t.Errorf("%s: got %v, want %v", r.User.Subject, err, &want)
		}
	}
	taken(person("corp", "Alice"), identity.NameTakenError{What: "user name", Name: "Alice", Source: "local"})
	other := person("corp", "al")
	other.User.Email = "Alice@Example.com"
	taken(other, identity.NameTakenError{What: "e-mail address", Name: "Alice@Example.com", Source: "local"})
	other.User.EmailVerified = false // then it names nobody
	_, err := i.Remember(ctx, other)
	Check(t, err)

	_, err = i.Remember(ctx, person("corp", "bob"))
	Check(t, err)
	taken(person("hub", "bob"), identity.NameTakenError{What: "user name", Name: "bob", Source: "corp"})
	successor := person("corp", "bob")
	successor.User.Subject = "corp:second"
	_, err = i.Remember(ctx, successor)
	Check(t, err)
	found, err := i.AccountByLogin(ctx, "bob")
	Check(t, err)
	if found.Subject != "corp:second" {
		t.Errorf("bob is %s", found.Subject)
	}
	if before, err := i.Recall(ctx, "corp:bob"); err != nil || before.User.Username != "bob" {
		t.Errorf("who was bob: %+v, %v", before, err)
	}
	// Where people choose their names themselves, nobody gets another's.
	chosen := person("corp", "bob")
	chosen.User.Subject, chosen.OwnNames = "corp:third", false
	taken(chosen, identity.NameTakenError{What: "user name", Name: "bob", Source: "corp"})
	// A subject stays with its source.
	moved := person("hub", "carol")
	moved.User.Subject = "corp:second"
	if _, err := i.Remember(ctx, moved); err == nil {
		t.Error("a subject went to another source")
	}
	if err := i.AddAccount(ctx, Account("bob"), Noon); err == nil {
		t.Error("a local user got the name of somebody else")
	}
}

// Who runs the issuer has the last word: a declared user gets the names that
// somebody of another source has.
func declaredUsersComeFirst(t *testing.T, open Opener) {
	i, ctx := fresh(t, open), t.Context()
	for _, name := range []string{"alice", "bob"} {
		_, err := i.Remember(ctx, person("hub", name))
		Check(t, err)
		Check(t, i.AddSession(ctx, Session("of "+name, "hub:"+name)))
	}
	declared := Account("alice")
	declared.PasswordHash = ""
	Check(t, i.Declare(ctx, store.Declaration{Users: []local.Account{declared}}, Noon))
	found, err := i.AccountByLogin(ctx, "alice")
	Check(t, err)
	if found.Source != local.SourceName {
		t.Errorf("alice is %s of %s", found.Subject, found.Source)
	}
	_, err = i.Session(ctx, "of alice")
	WantErr(t, "the session of who had the name", err, session.ErrNotFound)
	_, err = i.Session(ctx, "of bob")
	Check(t, err)
	if _, err := i.Remember(ctx, person("hub", "alice")); err == nil {
		t.Error("who had the name took it back")
	}
}

func oneAsksAtATime(t *testing.T, open Opener) {
	i, ctx := fresh(t, open), t.Context()
	_, err := i.Remember(ctx, person("hub", "bob"))
	Check(t, err)
	ask := func(now time.Time) bool {
		mine, err := i.Ask(ctx, "hub:bob", now, now.Add(time.Minute))
		if err != nil {
			t.Error(err)
		}
		return mine
	}
	var asking atomic.Int64
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			if ask(Noon) {
				asking.Add(1)
			}
		})
	}
	all.Wait()
	if asking.Load() != 1 {
		t.Errorf("%d asked at once", asking.Load())
	}
	if ask(Noon.Add(59 * time.Second)) {
		t.Error("a second one asks while the first does")
	}
	if !ask(Noon.Add(time.Minute)) {
		t.Error("who never came back keeps all others from asking")
	}
	_, err = i.Remember(ctx, person("hub", "bob"))
	Check(t, err)
	if !ask(Noon.Add(time.Minute)) {
		t.Error("after the answer nobody may ask")
	}
	if mine, err := i.Ask(ctx, "hub:nobody", Noon, Noon); mine || err != nil {
		t.Errorf("nobody: %v, %v", mine, err)
	}
}
