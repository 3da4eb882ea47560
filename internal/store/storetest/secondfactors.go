// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package storetest

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tegata/tegata/internal/identity"
	"github.com/tegata/tegata/internal/oidc"
	"github.com/tegata/tegata/internal/provider/session"
	"github.com/tegata/tegata/internal/secondfactor"
)

// factor is one of the subject's, and enrolment is its way to the storage.
func factor(id string, subject oidc.Subject, kind secondfactor.Kind) secondfactor.Factor {
	return secondfactor.Factor{
		ID: id, Subject: subject, Kind: kind, Name: "name of " + id, SealedSecret: "secret of " + id, Counter: 7,
		CreatedAt: Noon, UsedAt: Noon.Add(time.Minute),
	}
}

func enrolment(id string, subject oidc.Subject) secondfactor.Enrolment {
	return secondfactor.Enrolment{
		Factor: factor(id, subject, secondfactor.KindTOTP), Sheet: factor("sheet of "+id, subject, secondfactor.KindRecovery), Most: 3,
	}
}

func secondFactorsAreKeptWhole(t *testing.T, open Opener) {
	db := open(t)
	i, other := AddIssuer(t, db, "one"), AddIssuer(t, db, "two")
	ctx, user, another := t.Context(), Account("a"), Account("b")
	a := user.Subject
	Check(t, i.AddAccount(ctx, user, Noon))
	Check(t, i.AddAccount(ctx, another, Noon))
	Check(t, other.AddAccount(ctx, user, Noon))
	want := func(what string, want ...secondfactor.Factor) {
		t.Helper()
		got, err := i.SecondFactors(ctx, a)
		Check(t, err)
		if diff := cmp.Diff(append([]secondfactor.Factor{}, want...), got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", what, diff)
		}
	}
	enrol := func(what string, e secondfactor.Enrolment, first bool, wanted error) {
		t.Helper()
		got, err := i.EnrolSecondFactor(ctx, e)
		WantErr(t, what, err, wanted)
		if got != first {
			t.Errorf("%s: first = %v, want %v", what, got, first)
		}
	}

	// The first brings its sheet.
	want("nothing")
	one, two := enrolment("1", a), enrolment("2", a)
	two.Factor.CreatedAt = Noon.Add(time.Hour)
	enrol("the first", one, true, nil)
	want("the first", one.Factor, one.Sheet)
	enrol("the second", two, false, nil)
	want("the second", one.Factor, one.Sheet, two.Factor)
	only := enrolment("x", a)
	only.OnlyFirst = true
	enrol("a first that is not", only, false, secondfactor.ErrOvertaken)
	late := enrolment("y", a)
	late.Epoch = 1
	enrol("another epoch", late, false, secondfactor.ErrOvertaken)
	enrol("nobody's", enrolment("z", "nobody"), false, secondfactor.ErrOvertaken)
	enrol("the third", enrolment("3", a), false, nil)
	enrol("one too many", enrolment("4", a), false, secondfactor.ErrTooMany)
	Check(t, i.RemoveSecondFactor(ctx, a, "3"))
	want("after those that were refused", one.Factor, one.Sheet, two.Factor)

	// Nobody else sees them, and the other issuer has its own.
	for name, left := range map[string]func() ([]secondfactor.Factor, error){
		"another user":   func() ([]secondfactor.Factor, error) { return i.SecondFactors(ctx, another.Subject) },
		"another issuer": func() ([]secondfactor.Factor, error) { return other.SecondFactors(ctx, a) },
	} {
		if got, err := left(); err != nil || len(got) != 0 {
			t.Errorf("%s: got %v, %v, want none", name, got, err)
		}
	}
	used := one.Factor
	used.SealedSecret, used.Counter, used.UsedAt = "another secret", 8, Noon.Add(time.Hour)
	foreign := used
	foreign.Subject = another.Subject
	WantErr(t, "used by another", i.UseSecondFactor(ctx, foreign, 7), secondfactor.ErrWrong)
	WantErr(t, "used at another issuer", other.UseSecondFactor(ctx, used, 7), secondfactor.ErrWrong)
	WantErr(t, "used from another counter", i.UseSecondFactor(ctx, used, 6), secondfactor.ErrWrong)
	WantErr(t, "removed by another", i.RemoveSecondFactor(ctx, another.Subject, "1"), secondfactor.ErrNotFound)
	WantErr(t, "removed at another issuer", other.RemoveSecondFactor(ctx, a, "1"), secondfactor.ErrNotFound)
	Check(t, i.UseSecondFactor(ctx, used, 7))
	WantErr(t, "used again", i.UseSecondFactor(ctx, used, 7), secondfactor.ErrWrong)

	// A new sheet takes the place of the old one.
	sheet := factor("new sheet", a, secondfactor.KindRecovery)
	Check(t, i.ReplaceRecoverySheet(ctx, sheet))
	want("a new sheet", used, sheet, two.Factor)
	WantErr(t, "a sheet alone", i.ReplaceRecoverySheet(ctx, factor("s", another.Subject, secondfactor.KindRecovery)), secondfactor.ErrNotFound)

	// The sheet goes with the last of the others.
	Check(t, i.RemoveSecondFactor(ctx, a, "1"))
	want("one is left", sheet, two.Factor)
	Check(t, i.RemoveSecondFactor(ctx, a, "2"))
	want("none is left")

	// A reset ends the logins too.
	enrol("again", enrolment("5", a), true, nil)
	Check(t, i.AddSession(ctx, Session("s", string(a))))
	if n, err := i.ResetSecondFactors(ctx, a, Noon); err != nil || n != 1 {
		t.Errorf("reset: got %d, %v, want 1", n, err)
	}
	want("after a reset")
	_, err := i.Session(ctx, "s")
	WantErr(t, "the session", err, session.ErrNotFound)
	_, err = i.ResetSecondFactors(ctx, "nobody", Noon)
	WantErr(t, "reset of nobody", err, identity.ErrNotFound)
	enrol("as before the reset", enrolment("6", a), false, secondfactor.ErrOvertaken)

	// They go with their user.
	again := enrolment("7", another.Subject)
	enrol("another's", again, true, nil)
	Check(t, i.SetDisabled(ctx, another.Subject, true, Noon))
	disabled := enrolment("8", another.Subject)
	disabled.Epoch = 1
	enrol("a disabled user's", disabled, false, secondfactor.ErrOvertaken)
	Check(t, i.DeleteAccount(ctx, another.Subject, Noon))
	if got, err := i.SecondFactors(ctx, another.Subject); err != nil || len(got) != 0 {
		t.Errorf("after the user: got %v, %v, want none", got, err)
	}
}

// However many come at once, each counter is used once, and one is the first.
func secondFactorsAreUsedOnce(t *testing.T, open Opener) {
	i := fresh(t, open)
	ctx := t.Context()
	const rounds, each = 10, 8
	for round := range rounds {
		user := Account(fmt.Sprint("u", round))
		Check(t, i.AddAccount(ctx, user, Noon))
		var mu sync.Mutex
		var firsts, uses []string
		var wait sync.WaitGroup
		for n := range each {
			wait.Go(func() {
				id := fmt.Sprint(round, "-", n)
				e := enrolment(id, user.Subject)
				e.OnlyFirst = true
				first, err := i.EnrolSecondFactor(ctx, e)
				if err != nil && !errors.Is(err, secondfactor.ErrOvertaken) {
					t.Error(err)
				}
				if first {
					mu.Lock()
					defer mu.Unlock()
					firsts = append(firsts, id)
				}
			})
		}
		wait.Wait()
		if len(firsts) != 1 {
			t.Fatalf("got %d that were the first, want 1", len(firsts))
		}
		for n := range each {
			wait.Go(func() {
				used := factor(firsts[0], user.Subject, secondfactor.KindTOTP)
				used.Counter = 8
				err := i.UseSecondFactor(ctx, used, 7)
				if err != nil && !errors.Is(err, secondfactor.ErrWrong) {
					t.Error(err)
				}
				if err == nil {
					mu.Lock()
					defer mu.Unlock()
					uses = append(uses, fmt.Sprint(n))
				}
			})
		}
		wait.Wait()
		if len(uses) != 1 {
			t.Errorf("a counter was used %d times, want once", len(uses))
		}
		if has, err := i.SecondFactors(ctx, user.Subject); err != nil || len(has) != 2 {
			t.Errorf("got %v, %v, want one factor and its sheet", has, err)
		}
	}
}

// A session is raised as long as it is there, and by whoever knows its newest
// secret.
func sessionsAreRaisedOnce(t *testing.T, open Opener) {
	i := fresh(t, open)
	ctx, user := t.Context(), Account("a")
	Check(t, i.AddAccount(ctx, user, Noon))
	s := Session("s", string(user.Subject))
	Check(t, i.AddSession(ctx, s))
	old := s.SecretHash
	s.SecretHash, s.Methods = "new secret", session.Methods{"pwd", "otp", "mfa"}
	s.UsedAt, s.ExpiresAt = s.UsedAt.Add(time.Minute), s.ExpiresAt.Add(time.Minute)
	Check(t, i.RaiseSession(ctx, s, old))
	got, err := i.Session(ctx, "s")
	Check(t, err)
	if diff := cmp.Diff(s, got); diff != "" {
		t.Errorf("raised (-want +got):\n%s", diff)
	}
	WantErr(t, "raised with the old secret", i.RaiseSession(ctx, s, old), session.ErrNotFound)
	_, err = i.SessionBySecretHash(ctx, old)
	WantErr(t, "found by the old secret", err, session.ErrNotFound)
	Check(t, i.EndSession(ctx, "s"))
	WantErr(t, "raised after its end", i.RaiseSession(ctx, s, s.SecretHash), session.ErrNotFound)
}
