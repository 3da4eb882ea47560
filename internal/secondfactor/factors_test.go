// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package secondfactor_test

import (
	"bytes"
	"context"
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tegata/tegata/internal/identity"
	"github.com/tegata/tegata/internal/identity/local"
	"github.com/tegata/tegata/internal/oidc"
	"github.com/tegata/tegata/internal/seal"
	"github.com/tegata/tegata/internal/secondfactor"
	"github.com/tegata/tegata/internal/secret"
	"github.com/tegata/tegata/internal/store"
	"github.com/tegata/tegata/test/authenticator"
)

// desk is a person with an issuer, and a clock.
type desk struct {
	*secondfactor.Factors
	t    testing.TB
	user identity.User
	now  time.Time
	rows *store.Issuer
	key  seal.Key
}

func newDesk(t testing.TB, policy secondfactor.Policy) *desk {
	t.Helper()
	db, err := store.Open(t.Context(), store.Config{Path: filepath.Join(t.TempDir(), "tegata.db")})
	check(t, err)
	t.Cleanup(func() { check(t, db.Close()) })
	d := &desk{
		t: t, now: time.Date(2026, 12, 1, 9, 0, 0, 0, time.UTC), rows: db.Issuer("main"), key: seal.RandomKey(),
		user: identity.User{Subject: "alice-subject", Username: "alice", Source: "local", Groups: []string{}},
	}
	check(t, db.AddIssuer(t.Context(), store.IssuerRecord{ID: "main", SealedSecret: "-"}, d.now))
	check(t, d.rows.AddAccount(t.Context(), local.Account{User: d.user}, d.now))
	d.Factors, err = secondfactor.New("https://id.example.com", d.rows, d.key, policy, func() time.Time { return d.now })
	check(t, err)
	return d
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (d *desk) has() secondfactor.Set {
	d.t.Helper()
	has, err := d.Of(d.t.Context(), d.user.Subject)
	check(d.t, err)
	return has
}

// addPasskey adds one, and returns it with the recovery codes.
func (d *desk) addPasskey() (*authenticator.Passkey, []secret.String) {
	d.t.Helper()
	p := authenticator.New("id.example.com")
	q, err := d.AskNewPasskey(d.user, d.has())
	check(d.t, err)
	answer, err := p.Create(string(q.Options))
	check(d.t, err)
	codes, _, err := d.AddPasskey(d.t.Context(), secondfactor.Newcomer{User: d.user, Name: "key"}, q, secret.New(answer))
	check(d.t, err)
	return p, codes
}

// login answers a question, which is put anew.
func (d *desk) login(p *authenticator.Passkey) (secondfactor.Methods, error) {
	d.t.Helper()
	q, err := d.AskPasskey(d.user, d.has())
	check(d.t, err)
	answer, err := p.Get(string(q.Options))
	check(d.t, err)
	return d.CheckPasskey(d.t.Context(), d.user, d.has(), q, secret.New(answer))
}

func TestPasskeyLogsInAgainAndAgain(t *testing.T) {
	t.Parallel()
	d := newDesk(t, secondfactor.Policy{})
	p, codes := d.addPasskey()
	if len(codes) != 10 {
		t.Errorf("got %d recovery codes with the first factor, want 10", len(codes))
	}
	other, codes := d.addPasskey()
	if codes != nil {
		t.Error("got recovery codes with the second factor")
	}
	for range 3 {
		for _, p := range []*authenticator.Passkey{p, other} {
			if how, err := d.login(p); err != nil || strings.Join(how, " ") != "hwk user" {
				t.Errorf("got %v, %v", how, err)
			}
		}
	}
	// One that does not count is let in too, and one that began to be backed
	// up, which the ID token then says.
	silent := authenticator.New("id.example.com")
	silent.Still = true
	q, err := d.AskNewPasskey(d.user, d.has())
	check(t, err)
	answer, err := silent.Create(string(q.Options))
	check(t, err)
	_, _, err = d.AddPasskey(t.Context(), secondfactor.Newcomer{User: d.user}, q, secret.New(answer))
	check(t, err)
	for _, backedUp := range []bool{false, true, true, false} {
		silent.BackedUp = backedUp
		want := "hwk user"
		if backedUp {
			want = "swk user"
		}
		if how, err := d.login(silent); err != nil || strings.Join(how, " ") != want {
			t.Errorf("backed up %v: got %v, %v, want %s", backedUp, how, err, want)
		}
	}
}

// What an authenticator keeps says nothing of the user to others (Web
// Authentication, section 14.6.1), and is the same for each passkey.
func TestUserHandleSaysNothing(t *testing.T) {
	t.Parallel()
	d := newDesk(t, secondfactor.Policy{})
	one, _ := d.addPasskey()
	two, _ := d.addPasskey()
	if len(one.Handle) != 32 || !bytes.Equal(one.Handle, two.Handle) || bytes.Contains(one.Handle, []byte("alice")) {
		t.Errorf("got the handles %x and %x, want the same 32 bytes", one.Handle, two.Handle)
	}
	other := newDesk(t, secondfactor.Policy{})
	if three, _ := other.addPasskey(); bytes.Equal(one.Handle, three.Handle) {
		t.Error("the handle is the same at another issuer")
	}
}

func TestPasskeyIsRefused(t *testing.T) {
	t.Parallel()
	d := newDesk(t, secondfactor.Policy{})
	p, _ := d.addPasskey()
	for name, lie := range map[string]func(p *authenticator.Passkey){
		"another challenge":          func(p *authenticator.Passkey) { p.Challenge = strings.Repeat("A", 43) },
		"another origin":             func(p *authenticator.Passkey) { p.Origin = "https://id.example.com.evil.example" },
		"another port":               func(p *authenticator.Passkey) { p.Origin = "https://id.example.com:8443" },
		"http":                       func(p *authenticator.Passkey) { p.Origin = "http://id.example.com" },
		"a subdomain":                func(p *authenticator.Passkey) { p.Origin = "https://a.id.example.com" },
		"another relying party":      func(p *authenticator.Passkey) { p.RPID = "example.com" },
		"nobody is there":            func(p *authenticator.Passkey) { p.NotPresent = true },
		"its user was not verified":  func(p *authenticator.Passkey) { p.NotVerified = true },
		"a wrong signature":          func(p *authenticator.Passkey) { p.WrongSignature = true },
		"a registration for a login": func(p *authenticator.Passkey) { p.Type = "webauthn.create" },
		"another ID":                 func(p *authenticator.Passkey) { p.ID = []byte("0123456789abcdef") },
		"another user":               func(p *authenticator.Passkey) { p.Handle = []byte("somebody else") },
		"a key that is not its own":  func(p *authenticator.Passkey) { *p = *authenticator.New("id.example.com") },
	} {
		lying := p.Clone()
		lie(lying)
		if how, err := d.login(lying); !errors.Is(err, secondfactor.ErrWrong) {
			t.Errorf("%s: got %v, %v, want ErrWrong", name, how, err)
		}
	}
	for name, lie := range map[string]func(p *authenticator.Passkey){
		"another challenge":          func(p *authenticator.Passkey) { p.Challenge = strings.Repeat("A", 43) },
		"another origin":             func(p *authenticator.Passkey) { p.Origin = "https://evil.example" },
		"another relying party":      func(p *authenticator.Passkey) { p.RPID = "evil.example" },
		"nobody is there":            func(p *authenticator.Passkey) { p.NotPresent = true },
		"its user was not verified":  func(p *authenticator.Passkey) { p.NotVerified = true },
		"a login for a registration": func(p *authenticator.Passkey) { p.Type = "webauthn.get" },
	} {
		lying := authenticator.New("id.example.com")
		lie(lying)
		q, err := d.AskNewPasskey(d.user, d.has())
		check(t, err)
		answer, err := lying.Create(string(q.Options))
		check(t, err)
		if _, _, err := d.AddPasskey(t.Context(), secondfactor.Newcomer{User: d.user}, q, secret.New(answer)); !errors.Is(err, secondfactor.ErrWrong) {
			t.Errorf("new, %s: got %v, want ErrWrong", name, err)
		}
	}
	if how, err := d.login(p); err != nil {
		t.Errorf("the truth after all: got %v, %v", how, err)
	}
}

func TestPasskeyAnswersOnceAndInTime(t *testing.T) {
	t.Parallel()
	d := newDesk(t, secondfactor.Policy{})
	p, _ := d.addPasskey()
	p.Still = true // so that only the question can tell
	p.Counter = 0
	ask := func() (secondfactor.Question, secret.String) {
		q, err := d.AskPasskey(d.user, d.has())
		check(t, err)
		p.Counter++
		answer, err := p.Get(string(q.Options))
		check(t, err)
		return q, secret.New(answer)
	}
	p.Counter = 10
	q, answer := ask()
	if _, err := d.CheckPasskey(t.Context(), d.user, d.has(), q, answer); err != nil {
		t.Fatal(err)
	}
	if _, err := d.CheckPasskey(t.Context(), d.user, d.has(), q, answer); !errors.Is(err, secondfactor.ErrWrong) || errors.Is(err, secondfactor.ErrCloned) {
		t.Errorf("again: got %v, want ErrWrong for the question", err)
	}
	q, answer = ask()
	other, _ := ask()
	if _, err := d.CheckPasskey(t.Context(), d.user, d.has(), other, answer); !errors.Is(err, secondfactor.ErrWrong) {
		t.Errorf("to another question: got %v, want ErrWrong", err)
	}
	d.now = d.now.Add(5 * time.Minute)
	if _, err := d.CheckPasskey(t.Context(), d.user, d.has(), q, answer); !errors.Is(err, secondfactor.ErrWrong) {
		t.Errorf("late: got %v, want ErrWrong", err)
	}
}

func TestClonedPasskeyIsRefused(t *testing.T) {
	t.Parallel()
	d := newDesk(t, secondfactor.Policy{})
	p, _ := d.addPasskey()
	clone := p.Clone()
	for range 2 {
		_, err := d.login(p)
		check(t, err)
	}
	if how, err := d.login(clone); !errors.Is(err, secondfactor.ErrCloned) || !errors.Is(err, secondfactor.ErrWrong) {
		t.Errorf("got %v, %v, want ErrCloned", how, err)
	}
	stopped := p.Clone()
	stopped.Counter, stopped.Still = 0, true
	if how, err := d.login(stopped); !errors.Is(err, secondfactor.ErrCloned) {
		t.Errorf("a counter that stopped: got %v, %v, want ErrCloned", how, err)
	}
	if _, err := d.login(p); err != nil {
		t.Errorf("the one that counts on: %v", err)
	}
}

func (d *desk) addApp() (secondfactor.TOTP, []secret.String) {
	d.t.Helper()
	key := secondfactor.NewTOTP()
	codes, how, err := d.AddTOTP(d.t.Context(), secondfactor.Newcomer{User: d.user}, key, key.Code(d.now))
	check(d.t, err)
	if strings.Join(how, " ") != "otp" {
		d.t.Errorf("got the methods %v", how)
	}
	return key, codes
}

func TestAppIsGoodOnce(t *testing.T) {
	t.Parallel()
	d := newDesk(t, secondfactor.Policy{})
	key, _ := d.addApp()
	code := func(code secret.String) error { _, err := d.CheckCode(t.Context(), d.has(), code); return err }
	if err := code(key.Code(d.now)); !errors.Is(err, secondfactor.ErrWrong) {
		t.Errorf("the code that added it: got %v, want ErrWrong", err)
	}
	d.now = d.now.Add(30 * time.Second)
	stale := d.has()
	check(t, code(key.Code(d.now)))
	if err := code(key.Code(d.now)); !errors.Is(err, secondfactor.ErrWrong) {
		t.Errorf("again: got %v, want ErrWrong", err)
	}
	if _, err := d.CheckCode(t.Context(), stale, key.Code(d.now)); !errors.Is(err, secondfactor.ErrWrong) {
		t.Errorf("again, by a replica that has not seen it: got %v, want ErrWrong", err)
	}
	// A second app of the same person works besides.
	d.now = d.now.Add(30 * time.Second)
	second, _ := d.addApp()
	d.now = d.now.Add(30 * time.Second)
	check(t, code(second.Code(d.now)))
	check(t, code(key.Code(d.now)))
}

func TestRecoveryCodesAreGoodOnce(t *testing.T) {
	t.Parallel()
	d := newDesk(t, secondfactor.Policy{})
	_, codes := d.addApp()
	use := func(code secret.String) error { _, err := d.CheckRecoveryCode(t.Context(), d.has(), code); return err }
	stale := d.has()
	for n, code := range codes[:9] {
		check(t, use(code))
		if err := use(code); !errors.Is(err, secondfactor.ErrWrong) {
			t.Errorf("code %d again: got %v, want ErrWrong", n, err)
		}
	}
	if _, err := d.CheckRecoveryCode(t.Context(), stale, codes[0]); !errors.Is(err, secondfactor.ErrWrong) {
		t.Errorf("again, by a replica that has not seen it: got %v, want ErrWrong", err)
	}
	if !d.has().Has(secondfactor.KindRecovery) {
		t.Error("one code is left, and none is offered")
	}
	fresh, err := d.RenewRecoveryCodes(t.Context(), d.user)
	check(t, err)
	if err := use(codes[9]); !errors.Is(err, secondfactor.ErrWrong) {
		t.Errorf("of the old sheet: got %v, want ErrWrong", err)
	}
	for _, code := range fresh {
		check(t, use(code))
	}
	if d.has().Has(secondfactor.KindRecovery) {
		t.Error("no code is left, and some are offered")
	}
}

func TestWhatCannotBeReadStopsTheLogin(t *testing.T) {
	t.Parallel()
	d := newDesk(t, secondfactor.Policy{})
	key, codes := d.addApp()
	p, _ := d.addPasskey()
	d.now = d.now.Add(30 * time.Second)
	q, err := d.AskPasskey(d.user, d.has())
	check(t, err)
	answer, err := p.Get(string(q.Options))
	check(t, err)
	has := d.has()
	swapped := make(secondfactor.Set, len(has))
	for i := range has {
		swapped[i] = has[i]
		swapped[i].ID = "another-id"
	}
	another, err := secondfactor.New("https://id.example.com", d.rows, seal.RandomKey(), secondfactor.Policy{}, func() time.Time { return d.now })
	check(t, err)
	ctx := t.Context()
	for name, try := range map[string]func() error{
		"app, swapped":      func() error { _, err := d.CheckCode(ctx, swapped, key.Code(d.now)); return err },
		"codes, swapped":    func() error { _, err := d.CheckRecoveryCode(ctx, swapped, codes[0]); return err },
		"passkey, swapped":  func() error { _, err := d.CheckPasskey(ctx, d.user, swapped, q, secret.New(answer)); return err },
		"question, swapped": func() error { _, err := d.AskPasskey(d.user, swapped); return err },
		"app, another key":  func() error { _, err := another.CheckCode(ctx, has, key.Code(d.now)); return err },
		"codes, another":    func() error { _, err := another.CheckRecoveryCode(ctx, has, codes[0]); return err },
		"passkey, another":  func() error { _, err := another.AskPasskey(d.user, has); return err },
	} {
		if err := try(); err == nil || errors.Is(err, secondfactor.ErrWrong) {
			t.Errorf("%s: got %v, want an error that is nobody's fault", name, err)
		}
	}
	_, err = d.rows.EnrolSecondFactor(ctx, secondfactor.Enrolment{Factor: secondfactor.Factor{ID: "x", Subject: d.user.Subject, Kind: "telepathy"}, Most: 10})
	check(t, err)
	if has, err := d.Of(ctx, d.user.Subject); err == nil {
		t.Errorf("an unknown kind: got %v, want an error", has)
	}
	gone, cancel := context.WithCancel(ctx)
	cancel()
	if has, err := d.Of(gone, d.user.Subject); err == nil {
		t.Errorf("no storage: got %v, want an error", has)
	}
}

func TestWhoNeedsASecondFactor(t *testing.T) {
	t.Parallel()
	user := func(source string, groups ...string) identity.User {
		return identity.User{Source: source, Groups: groups}
	}
	for _, test := range []struct {
		name     string
		policy   secondfactor.Policy
		user     identity.User
		byClient bool
		want     bool
	}{
		{"nobody", secondfactor.Policy{}, user("local", "a"), false, false},
		{"everybody", secondfactor.Policy{Required: true}, user("local"), false, true},
		{"a group", secondfactor.Policy{Groups: []string{"a", "b"}}, user("corp", "c", "b"), false, true},
		{"another group", secondfactor.Policy{Groups: []string{"a"}}, user("local", "b"), false, false},
		{"the client", secondfactor.Policy{}, user("local"), true, true},
		{"exempt", secondfactor.Policy{Required: true, Groups: []string{"a"}, Exempt: []string{"corp"}}, user("corp", "a"), true, false},
		{"another is exempt", secondfactor.Policy{Required: true, Exempt: []string{"corp"}}, user("local"), false, true},
	} {
		f := secondfactor.Factors{Policy: test.policy}
		if got := f.Required(test.user, test.byClient); got != test.want {
			t.Errorf("%s: got %v, want %v", test.name, got, test.want)
		}
	}
}

func TestFactorsHaveANameThatFits(t *testing.T) {
	t.Parallel()
	d := newDesk(t, secondfactor.Policy{})
	for _, name := range []string{strings.Repeat("x", 61), "a\nb", "a\x00", "\xff"} {
		key := secondfactor.NewTOTP()
		if _, _, err := d.AddTOTP(t.Context(), secondfactor.Newcomer{User: d.user, Name: name}, key, key.Code(d.now)); !errors.Is(err, secondfactor.ErrName) {
			t.Errorf("%q: got %v, want ErrName", name, err)
		}
	}
	for range 10 {
		d.addPasskey()
	}
	key := secondfactor.NewTOTP()
	if _, _, err := d.AddTOTP(t.Context(), secondfactor.Newcomer{User: d.user}, key, key.Code(d.now)); !errors.Is(err, secondfactor.ErrTooMany) {
		t.Errorf("the eleventh: got %v, want ErrTooMany", err)
	}
}

// An issuer at an address of numbers has no passkeys, and says so.
func TestIssuerWithoutAName(t *testing.T) {
	t.Parallel()
	for issuer, want := range map[string]bool{
		"https://127.0.0.1:8443": false, "https://[::1]:8443/dex": false, "https://localhost:8443": true, "https://id.example.com/dex": true,
	} {
		f, err := secondfactor.New("https://id.example.com", nil, seal.RandomKey(), secondfactor.Policy{}, nil)
		check(t, err)
		if !f.Passkeys() {
			t.Error("a name has no passkeys")
		}
		f, err = secondfactor.New(oidc.Issuer(issuer), nil, seal.RandomKey(), secondfactor.Policy{}, nil)
		if err != nil || f.Passkeys() != want {
			t.Errorf("%s: got %v, want %v", issuer, err, want)
		}
	}
}

// Whatever a browser posts, the answer is a refusal.
func FuzzPasskeyAnswer(f *testing.F) {
	d := newDesk(f, secondfactor.Policy{})
	p, _ := d.addPasskey()
	q, err := d.AskPasskey(d.user, d.has())
	check(f, err)
	fresh, err := d.AskNewPasskey(d.user, nil)
	check(f, err)
	lying := p.Clone()
	lying.WrongSignature = true
	get, err := lying.Get(string(q.Options))
	check(f, err)
	liar := authenticator.New("id.example.com")
	liar.Challenge = strings.Repeat("A", 43) // without a signature, nothing else tells
	create, err := liar.Create(string(fresh.Options))
	check(f, err)
	f.Add(get)
	f.Add(create)
	f.Add(`{"id":"AA","rawId":"AA","type":"public-key","response":{}}`)
	f.Add("")
	has := d.has()
	f.Fuzz(func(t *testing.T, answer string) {
		if how, err := d.CheckPasskey(context.Background(), d.user, has, q, secret.New(answer)); !errors.Is(err, secondfactor.ErrWrong) {
			t.Errorf("%q: got %v, %v, want ErrWrong", answer, how, err)
		}
		if codes, how, err := d.AddPasskey(context.Background(), secondfactor.Newcomer{User: d.user}, fresh, secret.New(answer)); err == nil {
			t.Errorf("%q: got %v, %v", answer, codes, how)
		}
	})
}
