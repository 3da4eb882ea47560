// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package local_test

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"

	"github.com/tegata/tegata/internal/identity"
	"github.com/tegata/tegata/internal/identity/local"
	"github.com/tegata/tegata/internal/oidc"
	"github.com/tegata/tegata/internal/secret"
)

var cheap = local.Cost{Memory: 8, Time: 1, Threads: 1}

func newHasher(t testing.TB, cost local.Cost) *local.Hasher {
	t.Helper()
	hasher, err := local.NewHasher(cost)
	if err != nil {
		t.Fatal(err)
	}
	return hasher
}

func hash(t testing.TB, hasher *local.Hasher, password string) string {
	t.Helper()
	text, err := hasher.Hash(t.Context(), secret.New(password))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestPasswordIsCheckedAgainstItsHash(t *testing.T) {
	hasher := newHasher(t, cheap)
	for _, password := range []string{"correct horse", "", "日本語のパスワード", strings.Repeat("x", 1024), strings.Repeat("語", 1024), "with\x00NUL", "\xff\xfe"} {
		text := hash(t, hasher, password)
		if !strings.HasPrefix(text, "$argon2id$v=19$m=8,t=1,p=1$") || (len(password) > 3 && strings.Contains(text, password)) {
			t.Errorf("got %s, want the PHC form of argon2id", text)
		}
		for given, want := range map[string]bool{password: true, password + "x": false, password + "\x00": false, " " + password: false} {
			if got, err := hasher.Check(t.Context(), text, secret.New(given)); err != nil || got != want {
				t.Errorf("%.20q against the hash of %.20q: got %v, %v; want %v", given, password, got, err, want)
			}
		}
		if again := hash(t, hasher, password); again == text {
			t.Error("the same password has the same hash twice")
		}
		if hasher.Outdated(text) {
			t.Error("a new hash is outdated")
		}
	}
}

// Vectors of the reference implementation of argon2 and of bcrypt (the test
// of crypt_blowfish).
func TestHashesOfOthersAreRead(t *testing.T) {
	hasher := newHasher(t, cheap)
	for _, test := range []struct{ name, hash, password string }{
		{"argon2id, 64 MiB, 2 passes", "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc", "password"},
		{"argon2id, 256 KiB, 2 lanes", "$argon2id$v=19$m=256,t=2,p=2$c29tZXNhbHQ$bQk8UB/VmZZF4Oo79iDXuL5/0ttZwg2f/5U52iv1cDc", "password"},
		{"bcrypt 2a", "$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW", "U*U"},
		{"bcrypt 2b", "$2b$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW", "U*U"},
		{"bcrypt 2y", "$2y$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW", "U*U"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if err := local.CheckHash(test.hash); err != nil {
				t.Errorf("CheckHash: got %v, want nil", err)
			}
			for given, want := range map[string]bool{test.password: true, test.password + "x": false, "": false} {
				if got, err := hasher.Check(t.Context(), test.hash, secret.New(given)); err != nil || got != want {
					t.Errorf("%q: got %v, %v; want %v", given, got, err, want)
				}
			}
			if !hasher.Outdated(test.hash) {
				t.Error("got it up to date, want it to be replaced")
			}
		})
	}
}

func TestHashThatCannotBeReadIsRefused(t *testing.T) {
	const salt, sum = "c29tZXNhbHQ", "bQk8UB/VmZZF4Oo79iDXuL5/0ttZwg2f/5U52iv1cDc"
	hasher := newHasher(t, cheap)
	for _, test := range []struct{ name, hash string }{
		{"empty", ""},
		{"clear text", "correct horse"},
		{"argon2i", "$argon2i$v=19$m=256,t=2,p=2$" + salt + "$" + sum},
		{"argon2d", "$argon2d$v=19$m=256,t=2,p=2$" + salt + "$" + sum},
		{"another version", "$argon2id$v=16$m=256,t=2,p=2$" + salt + "$" + sum},
		{"no version", "$argon2id$m=256,t=2,p=2$" + salt + "$" + sum},
		{"no sum", "$argon2id$v=19$m=256,t=2,p=2$" + salt + "$"},
		{"no salt", "$argon2id$v=19$m=256,t=2,p=2$$" + sum},
		{"short sum", "$argon2id$v=19$m=256,t=2,p=2$" + salt + "$YWJj"},
		{"long sum", "$argon2id$v=19$m=256,t=2,p=2$" + salt + "$" + strings.Repeat("AAAA", 1000)},
		{"long salt", "$argon2id$v=19$m=256,t=2,p=2$" + strings.Repeat("AAAA", 1000) + "$" + sum},
		{"padded", "$argon2id$v=19$m=256,t=2,p=2$" + salt + "=$" + sum + "="},
		{"URL alphabet", "$argon2id$v=19$m=256,t=2,p=2$" + salt + "$" + strings.ReplaceAll(sum, "/", "_")},
		{"order of parameters", "$argon2id$v=19$t=2,m=256,p=2$" + salt + "$" + sum},
		{"parameter missing", "$argon2id$v=19$m=256,t=2$" + salt + "$" + sum},
		{"parameter too many", "$argon2id$v=19$m=256,t=2,p=2,x=1$" + salt + "$" + sum},
		{"negative memory", "$argon2id$v=19$m=-1,t=2,p=2$" + salt + "$" + sum},
		{"memory beyond 32 bits", "$argon2id$v=19$m=4294967296,t=2,p=2$" + salt + "$" + sum},
		{"no memory", "$argon2id$v=19$m=0,t=2,p=2$" + salt + "$" + sum},
		{"no passes", "$argon2id$v=19$m=256,t=0,p=2$" + salt + "$" + sum},
		{"no lanes", "$argon2id$v=19$m=256,t=2,p=0$" + salt + "$" + sum},
		{"lanes beyond 8 bits", "$argon2id$v=19$m=256,t=2,p=256$" + salt + "$" + sum},
		{"seventh field", "$argon2id$v=19$m=256,t=2,p=2$" + salt + "$" + sum + "$"},
		{"bcrypt cut short", "$2a$05$CCCC"},
		{"bcrypt without a cost", "$2a$xx$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW"},
		{"sha512-crypt", "$6$saltsalt$abcdefg"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if err := local.CheckHash(test.hash); err == nil {
				t.Error("CheckHash: got nil, want an error")
			}
			if match, err := hasher.Check(t.Context(), test.hash, secret.New("password")); match || (err == nil && !strings.HasPrefix(test.hash, "$2")) {
				t.Errorf("Check: got %v, %v; want an error", match, err)
			}
		})
	}
}

// A hash comes from a file, an import or somebody who can write rows: what it
// asks for must not stop the server. The answer comes at once.
func TestHashOfHostileCostIsRefused(t *testing.T) {
	const rest = "$c29tZXNhbHQ$bQk8UB/VmZZF4Oo79iDXuL5/0ttZwg2f/5U52iv1cDc"
	hasher := newHasher(t, cheap)
	for _, test := range []struct{ name, hash string }{
		{"4 TiB", "$argon2id$v=19$m=4294967295,t=1,p=1" + rest},
		{"2 GiB", "$argon2id$v=19$m=2097152,t=1,p=1" + rest},
		{"four billion passes", "$argon2id$v=19$m=256,t=4294967295,p=1" + rest},
		{"255 lanes", "$argon2id$v=19$m=65536,t=1,p=255" + rest},
	} {
		t.Run(test.name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			if err := local.CheckHash(test.hash); err == nil {
				t.Error("CheckHash: got nil, want an error")
			}
			if match, err := hasher.Check(t.Context(), test.hash, secret.New("password")); match || err == nil {
				t.Errorf("Check: got %v, %v; want an error", match, err)
			}
			runtime.ReadMemStats(&after)
			if got := after.TotalAlloc - before.TotalAlloc; got > 1<<20 {
				t.Errorf("it took %d bytes to refuse it", got)
			}
		})
	}
	// One check at this cost would hold a turn for two days.
	t.Run("bcrypt of cost 31", func(t *testing.T) {
		if err := local.CheckHash("$2a$31$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW"); err == nil {
			t.Error("CheckHash: got nil, want an error")
		}
	})
}

func TestCostIsChecked(t *testing.T) {
	for _, test := range []struct {
		name string
		local.Cost
		ok bool
	}{
		{"default", local.DefaultCost, true},
		{"least", cheap, true},
		{"a gigabyte", local.Cost{Memory: 1 << 20, Time: 1, Threads: 4}, true},
		{"zero", local.Cost{}, false},
		{"no memory", local.Cost{Time: 1, Threads: 1}, false},
		{"too little memory for the lanes", local.Cost{Memory: 31, Time: 1, Threads: 4}, false},
		{"too much memory", local.Cost{Memory: 1<<20 + 1, Time: 1, Threads: 1}, false},
		{"no time", local.Cost{Memory: 64, Threads: 1}, false},
		{"too much time", local.Cost{Memory: 64, Time: 65, Threads: 1}, false},
		{"no lanes", local.Cost{Memory: 64, Time: 1}, false},
		{"too many lanes", local.Cost{Memory: 1 << 16, Time: 1, Threads: 65}, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			if err := test.Validate(); (err == nil) != test.ok {
				t.Errorf("got %v, want accepted = %v", err, test.ok)
			}
			if _, err := local.NewHasher(test.Cost); (err == nil) != test.ok {
				t.Errorf("NewHasher: got %v, want accepted = %v", err, test.ok)
			}
		})
	}
	if local.DefaultCost != (local.Cost{Memory: 19456, Time: 2, Threads: 1}) {
		t.Errorf("got %+v, want what OWASP names", local.DefaultCost)
	}
}

// Hashing takes turns, and who gives up waiting is let go.
func TestCheckWaitsNoLongerThanItsContext(t *testing.T) {
	hasher := newHasher(t, cheap)
	text := hash(t, hasher, "correct horse")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var checking sync.WaitGroup
	for range 4 * runtime.GOMAXPROCS(0) {
		checking.Go(func() {
			if match, err := hasher.Check(ctx, text, secret.New("correct horse")); err != nil && !errors.Is(err, context.Canceled) {
				t.Errorf("got %v, %v; want the context's error or an answer", match, err)
			}
		})
	}
	checking.Wait()
	if match, err := hasher.Check(t.Context(), text, secret.New("correct horse")); !match || err != nil {
		t.Errorf("afterwards: got %v, %v; want the turns given back", match, err)
	}
}

func TestCheckUsername(t *testing.T) {
	for _, test := range []struct {
		name, username string
		ok             bool
	}{
		{"plain", "alice", true},
		{"dot, dash and digits", "a.li-ce_2", true},
		{"capitals", "Alice", true},
		{"space inside", "alice archer", true},
		{"Japanese", "花子", true},
		{"accent", "josé", true},
		{"128 bytes", strings.Repeat("a", 128), true},
		{"empty", "", false},
		{"129 bytes", strings.Repeat("a", 129), false},
		{"system:", "system:admin", false},
		{"e-mail address", "alice@example.com", false},
		{"colon", "oidc:alice", false},
		{"slash", "a/b", false},
		{"space before", " alice", false},
		{"space after", "alice ", false},
		{"wide space after", "alice　", false},
		{"line break", "ali\nce", false},
		{"NUL", "ali\x00ce", false},
		{"right to left override", "ali\u202ece", false},
		{"zero width space", "ali\u200bce", false},
		{"soft hyphen", "ali\u00adce", false},
		{"no-break space", "ali\u00a0ce", false},
		{"invalid UTF-8", "ali\xffce", false},
	} {
		t.Run(test.name, func(t *testing.T) {
			if err := local.CheckUsername(test.username); (err == nil) != test.ok {
				t.Errorf("got %v, want accepted = %v", err, test.ok)
			}
		})
	}
}

func TestCheckGroup(t *testing.T) {
	for _, test := range []struct {
		name, group string
		ok          bool
	}{
		{"plain", "platform-engineer", true},
		{"e-mail address", "team@example.com", true},
		{"slash and colon", "org/team:admins", true},
		{"256 bytes", strings.Repeat("g", 256), true},
		{"empty", "", false},
		{"257 bytes", strings.Repeat("g", 257), false},
		{"system:masters", "system:masters", false},
		{"space after", "g ", false},
		{"tab", "a\tb", false},
		{"invalid UTF-8", "a\xff", false},
	} {
		t.Run(test.name, func(t *testing.T) {
			if err := local.CheckGroup(test.group); (err == nil) != test.ok {
				t.Errorf("got %v, want accepted = %v", err, test.ok)
			}
		})
	}
}

func TestCheckEmail(t *testing.T) {
	for address, ok := range map[string]bool{
		"": true, "alice@example.com": true, "a.b+c@sub.example.co.jp": true, "o'brien@example.com": true,
		"alice": false, "alice@": false, "@example.com": false, "Alice <alice@example.com>": false, "<alice@example.com>": false,
		"alice@example.com ": false, " alice@example.com": false, "a b@example.com": false, "a@b, c@d": false, "alice@example.com\n": false,
		"alice@example.com (comment)": false, "alice@@example.com": false,
	} {
		if err := local.CheckEmail(address); (err == nil) != ok {
			t.Errorf("%q: got %v, want accepted = %v", address, err, ok)
		}
	}
}

// OpenID Connect Core 1.0, section 2: at most 255 ASCII characters.
func TestSubjectsAreASCIIAndNeverMadeTwice(t *testing.T) {
	seen := map[oidc.Subject]bool{}
	for _, username := range []string{"alice", "Alice", "alice", "花子", "josé", strings.Repeat("a", 128)} {
		subject := local.NewSubject(username)
		if seen[subject] {
			t.Errorf("%s was made twice", subject)
		}
		seen[subject] = true
		for _, r := range string(subject) {
			if r <= ' ' || r > '~' {
				t.Errorf("the subject of %s is %q, which is not ASCII", username, subject)
				break
			}
		}
		if len(subject) > 255 || len(subject) < 10 {
			t.Errorf("the subject of %s has %d bytes", username, len(subject))
		}
	}
}

// accounts is a storage of one account.
type accounts struct {
	account  local.Account
	upgrades int
	writes   int // that count failures
	broken   error
}

func (a *accounts) AccountByLogin(_ context.Context, login string) (local.Account, error) {
	if a.broken != nil {
		return local.Account{}, a.broken
	}
	if !strings.EqualFold(login, a.account.Username) {
		return local.Account{}, identity.ErrNotFound
	}
	return a.account, nil
}

func (a *accounts) AccountBySubject(_ context.Context, subject oidc.Subject) (local.Account, error) {
	if subject != a.account.Subject {
		return local.Account{}, identity.ErrNotFound
	}
	return a.account, a.broken
}

func (a *accounts) UpgradePasswordHash(_ context.Context, _ oidc.Subject, old, upgraded string) error {
	if a.account.PasswordHash == old {
		a.account.PasswordHash = upgraded
		a.upgrades++
	}
	return a.broken
}

func (a *accounts) SetPassword(_ context.Context, subject oidc.Subject, p local.NewPassword, now time.Time) error {
	if subject != a.account.Subject {
		return identity.ErrNotFound
	}
	had := append([]string{a.account.PasswordHash}, a.account.Password.Former...)
	a.account.PasswordHash, a.account.Epoch = p.Hash, a.account.Epoch+1
	a.account.Password = local.PasswordState{ChangedAt: now, MustChange: p.MustChange, ExpiresAt: p.ExpiresAt, Former: had[:min(len(had), p.Former)]}
	return a.broken
}

func (a *accounts) ReplacePassword(ctx context.Context, subject oidc.Subject, epoch int64, p local.NewPassword, now time.Time) error {
	if epoch != a.account.Epoch {
		return local.ErrOvertaken
	}
	return a.SetPassword(ctx, subject, p, now)
}

func (a *accounts) CountFailure(_ context.Context, _ oidc.Subject, most int, now, until time.Time) (bool, error) {
	a.writes++
	p := &a.account.Password
	if p.LockedUntil.After(now) {
		return false, a.broken
	}
	if !p.LockedUntil.IsZero() {
		p.Failures, p.LockedUntil = 0, time.Time{}
	}
	p.Failures++
	if p.Failures < most {
		return false, a.broken
	}
	p.LockedUntil = until
	return true, a.broken
}

func (a *accounts) ForgetFailures(context.Context, oidc.Subject) error {
	a.writes++
	a.account.Password.Failures, a.account.Password.LockedUntil = 0, time.Time{}
	return a.broken
}

func TestSourceAuthenticates(t *testing.T) {
	hasher := newHasher(t, cheap)
	good := hash(t, hasher, "correct horse")
	for _, test := range []struct {
		name, login, password string
		hash                  string
		disabled              bool
		want                  error
	}{
		{"right", "alice", "correct horse", good, false, nil},
		{"right with spaces around the name", "  ALICE ", "correct horse", good, false, nil},
		{"wrong password", "alice", "wrong", good, false, identity.ErrWrongCredentials},
		{"no password given", "alice", "", good, false, identity.ErrWrongCredentials},
		{"unknown", "nobody", "correct horse", good, false, identity.ErrWrongCredentials},
		{"disabled", "alice", "correct horse", good, true, identity.ErrDisabled},
		{"disabled and wrong", "alice", "wrong", good, true, identity.ErrWrongCredentials},
		{"no password set", "alice", "correct horse", "", false, identity.ErrWrongCredentials},
		{"no password set, none given", "alice", "", "", false, identity.ErrWrongCredentials},
	} {
		t.Run(test.name, func(t *testing.T) {
			storage := &accounts{account: local.Account{User: identity.User{Subject: "alice-1", Source: local.SourceName, Username: "alice", Disabled: test.disabled}, PasswordHash: test.hash}}
			source := &local.Source{Accounts: storage, Hasher: hasher}
			user, err := source.Authenticate(t.Context(), test.login, secret.New(test.password))
			if !errors.Is(err, test.want) || (err == nil) != (user.Subject == "alice-1") {
				t.Errorf("got %q, %v; want %v", user.Subject, err, test.want)
			}
		})
	}
}

func TestWeakHashIsUpgradedAtLogin(t *testing.T) {
	bcrypted, err := bcrypt.GenerateFromPassword([]byte("correct horse"), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	strong := newHasher(t, local.Cost{Memory: 64, Time: 2, Threads: 1})
	for name, old := range map[string]string{"bcrypt": string(bcrypted), "another cost": hash(t, newHasher(t, cheap), "correct horse")} {
		for _, declared := range []bool{false, true} {
			storage := &accounts{account: local.Account{User: identity.User{Subject: "alice-1", Source: local.SourceName, Username: "alice"}, PasswordHash: old, Declared: declared}}
			source := &local.Source{Accounts: storage, Hasher: strong}
			if _, err := source.Authenticate(t.Context(), "alice", secret.New("wrong")); !errors.Is(err, identity.ErrWrongCredentials) || storage.upgrades != 0 {
				t.Errorf("%s: a wrong password: got %v, %d upgrades", name, err, storage.upgrades)
			}
			for range 2 {
				if _, err := source.Authenticate(t.Context(), "alice", secret.New("correct horse")); err != nil {
					t.Errorf("%s: got %v, want a login", name, err)
				}
			}
			want := 1
			if declared { // the file says what it is
				want = 0
			}
			if storage.upgrades != want || strong.Outdated(storage.account.PasswordHash) == (want == 1) {
				t.Errorf("%s, declared %v: got %d upgrades to %s, want %d", name, declared, storage.upgrades, storage.account.PasswordHash, want)
			}
		}
	}
}

// The time of an answer must not tell whether the user exists: the same work
// is done. Counted here in bytes, because argon2 takes its memory each time;
// a clock would be a guess.
func TestUnknownUserCostsAsMuchAsAKnownOne(t *testing.T) {
	hasher := newHasher(t, local.Cost{Memory: 4096, Time: 1, Threads: 1})
	storage := &accounts{account: local.Account{User: identity.User{Subject: "alice-1", Source: local.SourceName, Username: "alice"}, PasswordHash: hash(t, hasher, "correct horse")}}
	source := &local.Source{Accounts: storage, Hasher: hasher}
	cost := func(login string) uint64 {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		source.Authenticate(t.Context(), login, secret.New("wrong"))
		runtime.ReadMemStats(&after)
		return after.TotalAlloc - before.TotalAlloc
	}
	known, unknown := cost("alice"), cost("nobody")
	storage.account.PasswordHash = ""
	without := cost("alice")
	for name, got := range map[string]uint64{"unknown": unknown, "without a password": without} {
		if got < 4<<20 || got > 2*known {
			t.Errorf("%s: got %d bytes of work, want about the %d of a known user", name, got, known)
		}
	}
}

func TestSourceLooksUp(t *testing.T) {
	broken := errors.New("broken")
	storage := &accounts{account: local.Account{User: identity.User{Subject: "alice-1", Source: local.SourceName, Username: "alice", Disabled: true}}}
	source := &local.Source{Accounts: storage}
	if user, err := source.Lookup(t.Context(), "alice-1"); err != nil || !user.Disabled {
		t.Errorf("got %+v, %v; want alice, disabled", user, err)
	}
	if _, err := source.Lookup(t.Context(), "bob-1"); !errors.Is(err, identity.ErrNotFound) {
		t.Errorf("got %v, want %v", err, identity.ErrNotFound)
	}
	storage.broken = broken
	source.Hasher = newHasher(t, cheap)
	if _, err := source.Authenticate(t.Context(), "alice", secret.New("x")); !errors.Is(err, broken) || errors.Is(err, identity.ErrWrongCredentials) {
		t.Errorf("got %v, want the storage's error and not a wrong password", err)
	}
}

func FuzzHash(f *testing.F) {
	for _, text := range []string{
		"$argon2id$v=19$m=256,t=2,p=2$c29tZXNhbHQ$bQk8UB/VmZZF4Oo79iDXuL5/0ttZwg2f/5U52iv1cDc",
		"$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW", "$argon2id$v=19$m=+8,t= 1,p=1$$", "$$$$$",
	} {
		f.Add(text)
	}
	hasher := newHasher(f, cheap)
	f.Fuzz(func(t *testing.T, text string) {
		if local.CheckHash(text) != nil {
			// What cannot be read is refused without work.
			start := time.Now()
			if match, _ := hasher.Check(t.Context(), text, secret.New("password")); match || time.Since(start) > time.Second {
				t.Errorf("%q matched, or took %v to be refused", text, time.Since(start))
			}
		}
		hasher.Outdated(text)
	})
}

func FuzzNames(f *testing.F) {
	for _, text := range []string{"alice", "system:admin", "a@b", "花子", "\xff", "a\u202eb"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if local.CheckUsername(text) == nil && (text == "" || strings.ContainsAny(text, "@/:\n\r\t\x00") || strings.TrimSpace(text) != text || strings.ToValidUTF8(text, "") != text) {
			t.Errorf("the user name %q was accepted", text)
		}
		if local.CheckGroup(text) == nil && (text == "" || strings.HasPrefix(text, "system:") || strings.ContainsAny(text, "\n\r\x00") || strings.ToValidUTF8(text, "") != text) {
			t.Errorf("the group %q was accepted", text)
		}
		if local.CheckEmail(text) == nil && text != "" && (!strings.Contains(text, "@") || strings.ContainsAny(text, "\n\r\x00")) {
			t.Errorf("the e-mail address %q was accepted", text)
		}
	})
}
