// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package identity_test

import (
	"context"
	"errors"
	"log/slog"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tegata/tegata/internal/identity"
	"github.com/tegata/tegata/internal/oidc"
	"github.com/tegata/tegata/internal/seal"
	"github.com/tegata/tegata/internal/secret"
	"github.com/tegata/tegata/internal/store"
	"github.com/tegata/tegata/internal/store/storetest"
)

// directory is a source that takes passwords: that of everybody is "right".
type directory struct {
	people map[string]identity.User // by user name
	down   error
	asked  int
}

func (d *directory) Authenticate(_ context.Context, login string, password secret.String) (identity.User, error) {
	d.asked++
	user, ok := d.people[login]
	switch {
	case d.down != nil:
		return identity.User{}, d.down
	case !ok || password.Reveal() != "right":
		return identity.User{}, identity.ErrWrongCredentials
	}
	return user, nil
}

func (d *directory) Lookup(_ context.Context, subject oidc.Subject) (identity.User, error) {
	d.asked++
	if d.down != nil {
		return identity.User{}, d.down
	}
	for _, user := range d.people {
		if user.Subject == subject {
			return user, nil
		}
	}
	return identity.User{}, identity.ErrNotFound
}

// elsewhere is a source that redirects. Its refresh token is good once.
type elsewhere struct {
	user  identity.User
	token string // the good one; empty: none is given
	next  string // that the next refresh gives
	err   error
	asked int
	wait  chan struct{} // if it is not nil, a refresh waits for it
}

func (e *elsewhere) Begin(context.Context, identity.Departure) (string, secret.String, error) {
	return "https://elsewhere.example/authorize", secret.New("attempt"), e.err
}

func (e *elsewhere) Finish(_ context.Context, _ string, _ secret.String, _ url.Values) (identity.User, secret.String, error) {
	return e.user, secret.New(e.token), e.err
}

func (e *elsewhere) Refresh(_ context.Context, _ oidc.Subject, kept secret.String) (identity.User, secret.String, error) {
	e.asked++
	if e.wait != nil {
		<-e.wait
	}
	if e.err != nil {
		return identity.User{}, secret.String{}, e.err
	}
	if kept.Reveal() != e.token {
		return identity.User{}, secret.String{}, identity.ErrNotFound
	}
	e.token = e.next
	return e.user, secret.New(e.next), nil
}

func (e *elsewhere) LogOut(context.Context, secret.String, string, string) (string, error) {
	return "", nil
}

func person(source, name string) identity.User {
	return identity.User{
		Subject: oidc.Subject(source + ":" + name + "-1"), Username: name, Email: name + "@" + source + ".example", EmailVerified: true,
		Groups: []string{"staff"},
	}
}

// office is the sources of an issuer: local accounts without anybody, two
// directories, and one that redirects.
type office struct {
	*identity.Sources
	now          time.Time
	log          *strings.Builder
	corp, branch *directory
	google       *elsewhere
	accounts     *directory
	storage      *store.Issuer
}

const keepFor = time.Hour

func newOffice(t *testing.T) *office {
	t.Helper()
	t.Parallel()
	db, err := store.Open(t.Context(), store.Config{Path: filepath.Join(t.TempDir(), "tegata.db")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	o := &office{
		now: storetest.Noon, log: &strings.Builder{}, storage: storetest.AddIssuer(t, db, "default"),
		corp:     &directory{people: map[string]identity.User{"alice": person("corp", "alice"), "bob": person("corp", "bob")}},
		branch:   &directory{people: map[string]identity.User{"alice": person("branch", "alice"), "erin": person("branch", "erin")}},
		google:   &elsewhere{user: person("google", "grace"), token: "first", next: "second"},
		accounts: &directory{people: map[string]identity.User{"carol": {Subject: "carol-1", Username: "carol"}}},
	}
	o.Sources = &identity.Sources{
		Members: []identity.Member{
			{Name: identity.Local, Passwords: o.accounts},
			{Name: "corp", Title: "Corp", EmailDomains: []string{"corp.example"}, KeepFor: keepFor, Passwords: o.corp},
			{Name: "branch", UsernamePrefix: "b-", GroupsPrefix: "b-", KeepFor: keepFor, Passwords: o.branch},
			{Name: "google", EmailDomains: []string{"Google.example"}, KeepFor: 12 * keepFor, Redirect: o.google},
		},
		Memory: o.storage, Seal: seal.RandomKey(), Now: func() time.Time { return o.now },
		Log: slog.New(slog.NewTextHandler(o.log, nil)),
	}
	return o
}

func (o *office) logIn(t *testing.T, source, login string) identity.User {
	t.Helper()
	user, err := o.AuthenticateAt(t.Context(), source, login, secret.New("right"))
	if err != nil {
		t.Fatalf("%s at %s: %v", login, source, err)
	}
	return user
}

// wantUnavailable fails the test unless the source could not be asked.
func wantUnavailable(t *testing.T, what string, err error) {
	t.Helper()
	failed, ok := errors.AsType[*identity.UnavailableError](err)
	if !ok || !failed.Temporary() {
		t.Errorf("%s: got %v, want an UnavailableError", what, err)
	}
}

func TestWhoseLogin(t *testing.T) {
	o := newOffice(t)
	for _, test := range []struct {
		chosen, login string
		want          string
		elsewhere     bool
	}{
		{"", "alice", "local", false},
		{"corp", "alice", "corp", false},
		{"branch", "alice@corp.example", "corp", false},
		{"", "alice@CORP.example ", "corp", false},
		{"", "grace@google.example", "google", true},
		{"branch", "alice@elsewhere.example", "branch", false},
		{"branch", "alice@sub.corp.example", "branch", false},
		{"google", "alice", "", false},
		{"nowhere", "alice", "", false},
	} {
		m, err := o.WhoseLogin(test.chosen, test.login)
		_, elsewhere := errors.AsType[*identity.ElsewhereError](err)
		if m.Name != test.want || elsewhere != test.elsewhere || (test.want == "") != errors.Is(err, identity.ErrWrongCredentials) {
			t.Errorf("%q, %q: got %q, %v; want %q", test.chosen, test.login, m.Name, err, test.want)
		}
	}
	if _, err := (&identity.Sources{Members: o.Members[3:]}).WhoseLogin("", "alice"); !errors.Is(err, identity.ErrWrongCredentials) {
		t.Errorf("where nobody takes passwords: got %v", err)
	}
}

func TestNamesHere(t *testing.T) {
	long := strings.Repeat("a", 1025)
	for _, test := range []struct {
		name    string
		member  identity.Member
		user    identity.User
		want    string // user name; empty: refused
		groups  []string
		leftOut []string
	}{
		{"as they are", identity.Member{}, identity.User{Username: "alice", Groups: []string{"b", "a", "b"}}, "alice", []string{"a", "b"}, nil},
		{"without groups", identity.Member{}, identity.User{Username: "alice"}, "alice", []string{}, nil},
		{"prefixes", identity.Member{UsernamePrefix: "x:", GroupsPrefix: "y:"}, identity.User{Username: "system:admin", Groups: []string{"system:masters"}}, "x:system:admin", []string{"y:system:masters"}, nil},
		{"groups of Kubernetes", identity.Member{}, identity.User{Username: "alice", Groups: []string{"system:masters", "System:masters", "", "a\nb", "a\xff", "a"}}, "alice", []string{"System:masters", "a"}, []string{"system:masters", "", "a\nb", "a\xff"}},
		{"a name of Kubernetes", identity.Member{}, identity.User{Username: "system:admin"}, "", nil, nil},
		{"an address of Kubernetes", identity.Member{}, identity.User{Username: "alice", Email: "system:admin"}, "", nil, nil},
		{"a prefix that makes one", identity.Member{UsernamePrefix: "system"}, identity.User{Username: ":admin"}, "", nil, nil},
		{"a line break", identity.Member{}, identity.User{Username: "alice\nbob"}, "", nil, nil},
		{"no UTF-8", identity.Member{}, identity.User{Username: "alice", Name: "\xff"}, "", nil, nil},
		{"a long one", identity.Member{}, identity.User{Username: long}, "", nil, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			test.member.Name, test.user.Subject = "corp", "corp:1"
			user, leftOut, err := test.member.Named(test.user)
			if _, denied := errors.AsType[*identity.DeniedError](err); denied != (test.want == "") || user.Username != test.want {
				t.Fatalf("got %q, %v", user.Username, err)
			}
			if diff := cmp.Diff(test.groups, user.Groups) + cmp.Diff(test.leftOut, leftOut); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
	for _, subject := range []oidc.Subject{"", "1", "branch:1", "corpse:1"} {
		if _, _, err := (identity.Member{Name: "corp"}).Named(identity.User{Subject: subject, Username: "alice"}); err == nil {
			t.Errorf("the subject %q is taken for one of corp", subject)
		}
	}
}

func TestTheSameNameFromTwoSources(t *testing.T) {
	o := newOffice(t)
	bob := o.corp.people["bob"]
	bob.Email = "bob@free.example"
	o.corp.people["bob"] = bob
	o.branch.people["bobby"] = identity.User{Subject: "branch:bobby-1", Username: "bobby", Email: "Bob@Free.example", EmailVerified: true}
	o.branch.people["dave"] = identity.User{Subject: "branch:dave-1", Username: "dave", Email: "Alice@Corp.example", EmailVerified: true}
	o.logIn(t, "corp", "bob")
	o.logIn(t, "corp", "alice")
	if user := o.logIn(t, "branch", "alice"); user.Username != "b-alice" || user.Groups[0] != "b-staff" || user.Source != "branch" {
		t.Errorf("with prefixes: %+v", user)
	}
	_, err := o.AuthenticateAt(t.Context(), "branch", "bobby", secret.New("right"))
	if taken, ok := errors.AsType[*identity.NameTakenError](err); !ok || taken.Source != "corp" || taken.What != "e-mail address" {
		t.Errorf("with the address of somebody else: got %v", err)
	}
	if _, err := o.Lookup(t.Context(), "branch:bobby-1"); !errors.Is(err, identity.ErrNotFound) {
		t.Errorf("who was refused: got %v", err)
	}
	if dave := o.logIn(t, "branch", "dave"); dave.EmailVerified {
		t.Errorf("the branch vouches for an address of corp's domain: %+v", dave)
	}
}

// A subject of one source is never looked up in another.
func TestLookupsGoToTheirSource(t *testing.T) {
	o := newOffice(t)
	o.logIn(t, "corp", "alice")
	for _, subject := range []oidc.Subject{"branch:alice-1", "corp:", "corp:nobody", "gone:alice-1", "", ":", "corp"} {
		if user, err := o.Lookup(t.Context(), subject); !errors.Is(err, identity.ErrNotFound) {
			t.Errorf("%q: got %+v, %v", subject, user, err)
		}
	}
	if user, err := o.Lookup(t.Context(), "carol-1"); err != nil || user.Username != "carol" {
		t.Errorf("a local account: %+v, %v", user, err)
	}
	if _, err := (&identity.Sources{Members: o.Members[1:], Memory: o.Memory, Now: o.Now, Log: o.Log}).Lookup(t.Context(), "carol-1"); !errors.Is(err, identity.ErrNotFound) {
		t.Errorf("a local account where there are none: got %v", err)
	}
}

func TestWhatASourceSaidIsKeptForAWhile(t *testing.T) {
	o := newOffice(t)
	alice := o.logIn(t, "corp", "alice")
	lookup := func() (identity.User, error) { return o.Lookup(t.Context(), alice.Subject) }

	// Confirmed at each answer, not only at the login.
	o.now = o.now.Add(10 * keepFor)
	if _, err := lookup(); err != nil {
		t.Fatal(err)
	}
	o.corp.down = errors.New("no route to host")
	o.now = o.now.Add(keepFor)
	if user, err := lookup(); err != nil || cmp.Diff(alice, user) != "" {
		t.Errorf("at the end of keep_for: %v\n%s", err, cmp.Diff(alice, user))
	}
	o.now = o.now.Add(time.Second)
	_, err := lookup()
	wantUnavailable(t, "after keep_for", err)
	_, err = o.AuthenticateAt(t.Context(), "corp", "alice", secret.New("right"))
	wantUnavailable(t, "a login", err)
	o.corp.down = nil
	if _, err := lookup(); err != nil {
		t.Errorf("afterwards: %v", err)
	}
	if strings.Contains(o.log.String(), "right") {
		t.Error("the log holds the password")
	}
}

func TestWhoWasGoneStaysOutWhileTheSourceIsDown(t *testing.T) {
	for name, strike := range map[string]func(o *office){
		"deleted":       func(o *office) { delete(o.corp.people, "alice") },
		"disabled":      func(o *office) { change(o, func(u *identity.User) { u.Disabled = true }) },
		"reserved name": func(o *office) { change(o, func(u *identity.User) { u.Username = "system:admin" }) },
		"taken name":    func(o *office) { change(o, func(u *identity.User) { u.Username = "b-erin" }) },
	} {
		t.Run(name, func(t *testing.T) {
			o := newOffice(t)
			o.logIn(t, "branch", "erin")
			alice, before := o.logIn(t, "corp", "alice"), o.corp.people["alice"]
			strike(o)
			user, err := o.Lookup(t.Context(), alice.Subject)
			if name == "disabled" {
				if err != nil || !user.Disabled {
					t.Errorf("got %+v, %v", user, err)
				}
			} else if !errors.Is(err, identity.ErrNotFound) {
				t.Errorf("got %+v, %v; want ErrNotFound", user, err)
			}
			o.corp.down = errors.New("no route to host")
			_, err = o.Lookup(t.Context(), alice.Subject)
			wantUnavailable(t, "while the source is down", err)
			o.corp.down, o.corp.people["alice"] = nil, before
			if user, err := o.Lookup(t.Context(), alice.Subject); err != nil || user.Username != "alice" {
				t.Errorf("as before again: %+v, %v", user, err)
			}
		})
	}
}

func change(o *office, how func(*identity.User)) {
	user := o.corp.people["alice"]
	how(&user)
	o.corp.people["alice"] = user
}

// While a source is down, one request in ten seconds finds out whether it
// still is.
func TestASourceThatIsDownIsAskedRarely(t *testing.T) {
	o := newOffice(t)
	alice := o.logIn(t, "corp", "alice")
	erin := o.logIn(t, "branch", "erin")
	o.corp.down, o.corp.asked = &identity.UnreachableError{Cause: errors.New("no route to host")}, 0
	for range 100 {
		if _, err := o.Lookup(t.Context(), alice.Subject); err != nil {
			t.Fatal(err)
		}
		if _, err := o.Lookup(t.Context(), erin.Subject); err != nil {
			t.Fatal(err)
		}
		o.now = o.now.Add(time.Second / 2)
	}
	if o.corp.asked < 4 || o.corp.asked > 6 || o.branch.asked != 101 {
		t.Errorf("in 50 seconds it was asked %d times, want 5; the other one %d times, want 101", o.corp.asked, o.branch.asked)
	}
	o.corp.down = nil
	o.now = o.now.Add(10 * time.Second)
	delete(o.corp.people, "alice")
	if _, err := o.Lookup(t.Context(), alice.Subject); !errors.Is(err, identity.ErrNotFound) {
		t.Errorf("afterwards: %v", err)
	}
}

// What somebody types who is not logged in must not keep the source from
// being asked about others, nor must a client that hangs up.
func TestNobodyCanSilenceASource(t *testing.T) {
	o := newOffice(t)
	alice := o.logIn(t, "corp", "alice")
	o.corp.down = &identity.UnreachableError{Cause: errors.New("this one login makes it fail")}
	_, err := o.AuthenticateAt(t.Context(), "corp", "odd", secret.New("right"))
	wantUnavailable(t, "the login", err)
	for _, failure := range []error{
		&identity.UnreachableError{Cause: context.Canceled}, errors.New("two entries have this ID"),
	} {
		o.corp.down = failure
		if _, err := o.Lookup(t.Context(), alice.Subject); err != nil {
			t.Fatal(err)
		}
	}
	o.corp.down = nil
	delete(o.corp.people, "alice")
	if _, err := o.Lookup(t.Context(), alice.Subject); !errors.Is(err, identity.ErrNotFound) {
		t.Errorf("who was deleted: got %v, want ErrNotFound", err)
	}
}

func TestAnAdministratorsWordGoesBeforeTheSources(t *testing.T) {
	o := newOffice(t)
	alice := o.logIn(t, "corp", "alice")
	if err := o.storage.SetDisabled(t.Context(), alice.Subject, true, o.now); err != nil {
		t.Fatal(err)
	}
	o.corp.asked = 0
	if user, err := o.Lookup(t.Context(), alice.Subject); err != nil || !user.Disabled || o.corp.asked != 0 {
		t.Errorf("got %+v, %v, asked %d times", user, err, o.corp.asked)
	}
	if _, err := o.AuthenticateAt(t.Context(), "corp", "alice", secret.New("right")); !errors.Is(err, identity.ErrDisabled) {
		t.Errorf("a login: got %v, want ErrDisabled", err)
	}
}

func TestARefreshTokenIsUsedOnceAndFollowed(t *testing.T) {
	o := newOffice(t)
	grace, err := o.Finish(t.Context(), "google", "https://id.example.com/callback", secret.New("attempt"), nil)
	if err != nil {
		t.Fatal(err)
	}
	lookup := func() (identity.User, error) { return o.Lookup(t.Context(), grace.Subject) }
	for range 3 {
		if _, err := lookup(); err != nil || o.google.asked != 0 {
			t.Errorf("within a minute: %v, asked %d times", err, o.google.asked)
		}
	}
	for round, next := range []string{"third", "third", "fourth"} { // the second time it stays the same
		o.now = o.now.Add(2 * time.Minute)
		if _, err := lookup(); err != nil || o.google.asked != round+1 {
			t.Fatalf("round %d: %v, asked %d times", round, err, o.google.asked)
		}
		o.google.next = next
	}
	r, err := o.storage.Recall(t.Context(), grace.Subject)
	if err != nil || strings.Contains(r.Sealed, "third") || strings.Contains(r.Sealed, "first") {
		t.Errorf("the refresh token rests as %q, %v", r.Sealed, err)
	}

	// It is down for a while, then does not vouch for her any more.
	o.now = o.now.Add(2 * time.Minute)
	o.google.err = errors.New("502")
	if user, err := lookup(); err != nil || user.Username != "grace" {
		t.Errorf("while it is down: %+v, %v", user, err)
	}
	o.now = o.now.Add(13 * keepFor)
	_, err = lookup()
	wantUnavailable(t, "after keep_for", err)
	o.google.err = identity.ErrNotFound
	o.now = o.now.Add(time.Minute)
	for range 2 {
		if _, err := lookup(); !errors.Is(err, identity.ErrNotFound) {
			t.Errorf("gone: got %v", err)
		}
	}
	if r, err := o.storage.Recall(t.Context(), grace.Subject); err != nil || r.Sealed != "" {
		t.Errorf("of somebody who is gone %q is kept, %v", r.Sealed, err)
	}
}

// Somebody else's answer, and no answer to ask with.
func TestOddAnswersFromElsewhere(t *testing.T) {
	for name, odd := range map[string]func(e *elsewhere){
		"somebody else": func(e *elsewhere) { e.user.Subject = "google:other" },
		"denied":        func(e *elsewhere) { e.err = &identity.DeniedError{Reason: "not in the organization"} },
		"reserved name": func(e *elsewhere) { e.user.Username = "system:admin" },
		"taken name":    func(e *elsewhere) { e.user.Username = "bob" },
	} {
		t.Run(name, func(t *testing.T) {
			o := newOffice(t)
			o.logIn(t, "corp", "bob")
			grace, err := o.Finish(t.Context(), "google", "", secret.New("attempt"), nil)
			if err != nil {
				t.Fatal(err)
			}
			odd(o.google)
			o.now = o.now.Add(2 * time.Minute)
			if user, err := o.Lookup(t.Context(), grace.Subject); !errors.Is(err, identity.ErrNotFound) {
				t.Errorf("got %+v, %v; want ErrNotFound", user, err)
			}
		})
	}
	t.Run("no refresh token", func(t *testing.T) {
		o := newOffice(t)
		o.google.token = ""
		grace, err := o.Finish(t.Context(), "google", "", secret.New("attempt"), nil)
		if err != nil {
			t.Fatal(err)
		}
		o.now = o.now.Add(12 * keepFor)
		if _, err := o.Lookup(t.Context(), grace.Subject); err != nil || o.google.asked != 0 {
			t.Errorf("within keep_for: %v, asked %d times", err, o.google.asked)
		}
		o.now = o.now.Add(time.Second)
		if _, err := o.Lookup(t.Context(), grace.Subject); !errors.Is(err, identity.ErrNotFound) {
			t.Errorf("after keep_for: got %v, want ErrNotFound", err)
		}
	})
}

// Many requests of one person at once use the refresh token once.
func TestOneAsksForAll(t *testing.T) {
	o := newOffice(t)
	grace, err := o.Finish(t.Context(), "google", "", secret.New("attempt"), nil)
	if err != nil {
		t.Fatal(err)
	}
	o.now = o.now.Add(2 * time.Minute)
	o.google.wait = make(chan struct{})
	var all sync.WaitGroup
	answered := make(chan error, 8)
	for range 8 {
		all.Go(func() {
			_, err := o.Lookup(t.Context(), grace.Subject)
			answered <- err
		})
	}
	for range 7 { // those that need not wait
		if err := <-answered; err != nil {
			t.Error(err)
		}
	}
	close(o.google.wait)
	all.Wait()
	if err := <-answered; err != nil || o.google.asked != 1 || o.google.token != "second" {
		t.Errorf("the one that asked: %v; asked %d times", err, o.google.asked)
	}
}

func TestBeginAndFinishWhereThereIsNothing(t *testing.T) {
	o := newOffice(t)
	for _, name := range []string{"", "corp", "nowhere"} {
		if _, _, err := o.Begin(t.Context(), name, identity.Departure{}); !errors.Is(err, identity.ErrNotFound) {
			t.Errorf("Begin %q: got %v", name, err)
		}
		if _, err := o.Finish(t.Context(), name, "", secret.New("attempt"), nil); !errors.Is(err, identity.ErrNotFound) {
			t.Errorf("Finish %q: got %v", name, err)
		}
	}
	o.google.err = errors.New("502")
	_, _, err := o.Begin(t.Context(), "google", identity.Departure{})
	wantUnavailable(t, "Begin", err)
	_, err = o.Finish(t.Context(), "google", "", secret.New("attempt"), nil)
	wantUnavailable(t, "Finish", err)
}
