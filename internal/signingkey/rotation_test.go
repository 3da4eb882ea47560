// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package signingkey_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"

	"github.com/tegata/tegata/internal/seal"
	"github.com/tegata/tegata/internal/secret"
	"github.com/tegata/tegata/internal/signingkey"
)

// issuer is one issuer's keys under test: a storage, and a clock that starts
// at noon.
type issuer struct {
	t       *testing.T
	storage *memory
	key     seal.Key

	mu  sync.Mutex // guards the field below
	now time.Time
}

// newIssuer starts with the keys that are shared by all tests, as if they had
// been made at noon.
func newIssuer(t *testing.T) *issuer {
	keySet(t)
	i := &issuer{t: t, storage: &memory{records: slices.Clone(made().storage.records)}, key: made().key, now: noon}
	for n := range i.storage.records {
		i.storage.records[n].PublishedAt, i.storage.records[n].SignsFrom = noon, noon
	}
	return i
}

func (i *issuer) Now() time.Time {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.now
}

func (i *issuer) goTo(after time.Duration) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.now = at(after)
}

func (i *issuer) custody() signingkey.Custody {
	return signingkey.Custody{Storage: i.storage, Sealer: i.key, Now: i.Now}
}

// server is another server of the issuer.
func (i *issuer) server() *signingkey.KeySet {
	i.t.Helper()
	keys, err := signingkey.Open(i.t.Context(), i.custody())
	check(i.t, err)
	return keys
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// sign signs with ES256 and returns the token and the ID of its key.
func sign(t testing.TB, keys *signingkey.KeySet) (secret.String, string) {
	t.Helper()
	token, err := keys.Sign(signingkey.ES256, "JWT", map[string]string{"sub": "alice"})
	check(t, err)
	jws, err := jose.ParseSignedCompact(token.Reveal(), []jose.SignatureAlgorithm{jose.ES256})
	check(t, err)
	return token, jws.Signatures[0].Header.KeyID
}

// published is the IDs of the ES256 keys in the key set.
func published(t testing.TB, keys *signingkey.KeySet) (ids []string) {
	t.Helper()
	var set jose.JSONWebKeySet
	check(t, json.Unmarshal(keys.JWKS(), &set))
	for _, key := range set.Keys {
		if key.Algorithm == signingkey.ES256 {
			ids = append(ids, key.KeyID)
		}
	}
	return ids
}

func wantVerified(t testing.TB, keys *signingkey.KeySet, token secret.String, want bool) {
	t.Helper()
	var claims map[string]any
	if err := keys.Verify(token, "JWT", &claims); (err == nil) != want {
		t.Errorf("verifying: %v, want accepted = %v", err, want)
	}
}

// OpenID Connect Core 1.0, section 10.1.1: a new key is in the key set before
// it signs, and the old one stays for a while.
func TestKeysChangeByAge(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	keys := i.server()
	before, old := sign(t, keys)

	i.goTo(29*day - time.Second)
	check(t, keys.Tend(t.Context()))
	if got := published(t, keys); !slices.Equal(got, []string{old}) {
		t.Fatalf("a key is published early: %q", got)
	}
	i.goTo(29 * day)
	check(t, keys.Tend(t.Context()))
	got := published(t, keys)
	if len(got) != 2 || got[0] != old {
		t.Fatalf("a day before the change %q are published, want the key and its successor", got)
	}
	next := got[1]
	i.goTo(30*day - time.Second)
	last, signer := sign(t, keys)
	if signer != old {
		t.Error("the successor signs early")
	}
	// The clock alone makes the change: nobody has to look at the storage.
	i.goTo(30 * day)
	after, signer := sign(t, keys)
	if signer != next {
		t.Error("the successor does not sign in time")
	}
	for _, token := range []secret.String{before, last, after} {
		wantVerified(t, keys, token, true)
	}
	i.goTo(31*day + 4*time.Minute)
	check(t, keys.Tend(t.Context()))
	wantVerified(t, keys, last, true)
	i.goTo(31*day + 5*time.Minute)
	check(t, keys.Tend(t.Context()))
	if got := published(t, keys); !slices.Equal(got, []string{next}) {
		t.Errorf("%q are published, want the one that signs", got)
	}
	wantVerified(t, keys, last, false)
	wantVerified(t, keys, after, true)
}

func TestServersAgreeOnEachKey(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	servers := []*signingkey.KeySet{i.server(), i.server(), i.server()}
	i.goTo(29 * day)
	var all sync.WaitGroup
	for _, keys := range servers {
		all.Go(func() {
			if err := keys.Tend(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	for _, keys := range servers {
		if string(keys.JWKS()) != string(servers[0].JWKS()) {
			t.Errorf("the servers publish different key sets:\n%s\n%s", servers[0].JWKS(), keys.JWKS())
		}
	}
	if n := len(i.storage.records); n != 4 {
		t.Errorf("%d keys after a rotation, want two for each algorithm", n)
	}
	i.goTo(30 * day)
	_, first := sign(t, servers[0])
	if _, signer := sign(t, servers[2]); signer != first || signer == made().storage.records[1].ID {
		t.Error("the servers sign with different keys, or with the old one")
	}
}

func TestRevokedKeyIsOutAtOnce(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	keys := i.server()
	stolen, id := sign(t, keys)
	i.goTo(hour)
	left, err := i.custody().Revoke(t.Context(), id)
	check(t, err)
	check(t, keys.Tend(t.Context()))
	wantVerified(t, keys, stolen, false)
	token, signer := sign(t, keys)
	wantVerified(t, keys, token, true)
	if got := published(t, keys); !slices.Equal(got, []string{signer}) || signer == id {
		t.Errorf("%q are published and %s signs, want a new key alone", got, signer)
	}
	for _, record := range i.storage.records {
		if record.ID == id && record.SealedPrivate != "" {
			t.Error("the private half of a revoked key is still there")
		}
	}
	want := []signingkey.Key{
		{ID: id, Algorithm: signingkey.ES256, Generation: 1, PublishedAt: noon, SignsFrom: noon, State: signingkey.Revoked, Since: at(hour), Until: at(hour + keep)},
		{ID: signer, Algorithm: signingkey.ES256, Generation: 2, PublishedAt: at(hour), SignsFrom: at(hour), State: signingkey.Active, Since: at(hour), Until: at(30*day + hour), SuccessorAt: at(29*day + hour)},
	}
	if diff := cmp.Diff(want, left[1:]); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}

	if _, err := i.custody().Revoke(t.Context(), id); !errors.Is(err, signingkey.ErrRevoked) {
		t.Errorf("twice: %v, want %v", err, signingkey.ErrRevoked)
	}
	if _, err := i.custody().Revoke(t.Context(), "nobody"); !errors.Is(err, signingkey.ErrNotFound) {
		t.Errorf("an unknown key: %v, want %v", err, signingkey.ErrNotFound)
	}
}

// If the key is stolen whose successor is published, the successor signs, so
// that nobody is refused; and a key that nobody knows follows soon, so that
// who knows both keys fetches the key set and forgets the stolen one.
func TestRevocationWithASuccessor(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	keys := i.server()
	_, stolen := sign(t, keys)
	next, err := i.custody().Rotate(t.Context(), signingkey.ES256, false)
	check(t, err)
	i.goTo(hour)
	left, err := i.custody().Revoke(t.Context(), stolen)
	check(t, err)
	check(t, keys.Tend(t.Context()))
	if _, signer := sign(t, keys); signer != next.ID {
		t.Errorf("%s signs, want the successor %s", signer, next.ID)
	}
	flush := left[len(left)-1]
	if want := (signingkey.Key{
		ID: flush.ID, Algorithm: signingkey.ES256, Generation: 3, PublishedAt: at(hour), SignsFrom: at(hour + lead), State: signingkey.Published, Since: at(hour), Until: at(hour + lead),
	}); len(left) != 4 || flush != want {
		t.Errorf("got %+v at the end, want %+v", left, want)
	}
	i.goTo(hour + lead)
	if _, signer := sign(t, keys); signer != flush.ID {
		t.Errorf("%s signs, want %s", signer, flush.ID)
	}
}

// overtaken is a storage in which another server is faster by one generation.
type overtaken struct {
	*memory
	once  sync.Once
	other func()
}

func (o *overtaken) ChangeSigningKeys(ctx context.Context, change signingkey.Change) error {
	o.once.Do(o.other)
	return o.memory.ChangeSigningKeys(ctx, change)
}

func TestRevocationThatIsOvertakenStillEndsWell(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	custody := i.custody()
	_, stolen := sign(t, i.server())
	custody.Storage = &overtaken{memory: i.storage, other: func() {
		_, err := i.custody().Rotate(t.Context(), signingkey.ES256, false)
		check(t, err)
	}}
	_, err := custody.Revoke(t.Context(), stolen)
	check(t, err)
	keys := i.server()
	token, signer := sign(t, keys)
	wantVerified(t, keys, token, true)
	if signer == stolen {
		t.Error("the revoked key signs")
	}
}

func TestForcedRotationIsFollowed(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	keys := i.server()
	_, old := sign(t, keys)
	next, err := i.custody().Rotate(t.Context(), signingkey.ES256, false)
	check(t, err)
	if want := (signingkey.Key{ID: next.ID, Algorithm: signingkey.ES256, Generation: 2, PublishedAt: noon, SignsFrom: at(day), State: signingkey.Published, Since: noon, Until: at(day)}); next != want {
		t.Errorf("got %+v, want %+v", next, want)
	}
	if again, err := i.custody().Rotate(t.Context(), signingkey.ES256, false); err != nil || again != next {
		t.Errorf("a second rotation: %+v, %v; want the same successor", again, err)
	}
	listed, err := i.custody().List(t.Context())
	check(t, err)
	if len(listed) != 3 || listed[1].SuccessorID != next.ID || !listed[1].Until.Equal(at(day)) {
		t.Errorf("got %+v, want the active key to name its successor", listed)
	}
	check(t, keys.Tend(t.Context()))
	if got := published(t, keys); !slices.Equal(got, []string{old, next.ID}) {
		t.Errorf("%q are published, want both", got)
	}
	soon, err := i.custody().Rotate(t.Context(), signingkey.ES256, true)
	check(t, err)
	if soon.ID != next.ID || !soon.Until.Equal(at(signingkey.Notice)) {
		t.Errorf("at once: %+v, want the published key to sign in a moment", soon)
	}
	check(t, keys.Tend(t.Context()))
	i.goTo(signingkey.Notice)
	if _, signer := sign(t, keys); signer != next.ID {
		t.Error("at once: the old key signs")
	}
}

func TestServerOutlivesItsStorage(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	keys := i.server()
	i.storage.set(func() { i.storage.broken = errors.New("broken") })
	i.goTo(hour)
	for _, test := range []struct {
		after time.Duration
		ready bool
	}{{59 * time.Second, true}, {time.Minute, false}} {
		i.goTo(test.after)
		if err := keys.Tend(t.Context()); err == nil {
			t.Fatal("no error")
		}
		if err := keys.Ready(); (err == nil) != test.ready {
			t.Errorf("after %s: %v, want ready = %v", test.after, err, test.ready)
		}
	}
	token, _ := sign(t, keys)
	wantVerified(t, keys, token, true)
	i.storage.set(func() { i.storage.broken = nil })
	check(t, keys.Tend(t.Context()))
	check(t, keys.Ready())
}

// A key that is too old is told; it is no reason to stop.
func TestOldKeyIsToldAndGoesOn(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	keys := i.server()
	i.storage.set(func() { i.storage.locked = errors.New("locked") })
	for _, test := range []struct {
		after    time.Duration
		warnings int
	}{{29 * day, 0}, {30*day + 5*time.Minute, 0}, {30*day + 6*time.Minute, 2}} {
		i.goTo(test.after)
		if err := keys.Tend(t.Context()); err == nil || !strings.Contains(err.Error(), "locked") {
			t.Errorf("got %v, want the storage's error", err)
		}
		if got := keys.Warnings(); len(got) != test.warnings {
			t.Errorf("after %s: warnings %q, want %d", test.after, got, test.warnings)
		}
		check(t, keys.Ready())
	}
	if got, want := keys.Warnings()[1], "the ES256 signing key "+made().storage.records[1].ID+" should have been replaced at 2026-12-31T12:00:00Z"; got != want {
		t.Errorf("warned %q, want %q", got, want)
	}
	token, _ := sign(t, keys)
	wantVerified(t, keys, token, true)
	i.storage.set(func() { i.storage.locked = nil })
	check(t, keys.Tend(t.Context()))
	i.goTo(31*day + 6*time.Minute)
	if got := keys.Warnings(); len(got) != 0 {
		t.Errorf("after the change: %q", got)
	}
}

func TestServerWithTheWrongKeyEncryptionKey(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	keys := i.server()
	newer := seal.NewRing(seal.RandomKey(), i.key)
	i.storage.set(func() {
		for n, record := range i.storage.records {
			sealed, err := newer.Reseal(record.SealedPrivate, signingkey.Context(record.ID))
			check(t, err)
			i.storage.records[n].SealedPrivate = sealed
		}
	})
	// Its own keys it has; it goes on with them.
	check(t, keys.Tend(t.Context()))
	// It would seal the next one so that nobody else could open it.
	i.goTo(29 * day)
	writes := i.storage.writes
	if err := keys.Tend(t.Context()); !errors.Is(err, seal.ErrNotOurs) || i.storage.writes != writes {
		t.Errorf("got %v after %d writes, want %v and none", err, i.storage.writes-writes, seal.ErrNotOurs)
	}
	check(t, keys.Ready())
	// A key that another server made it cannot publish: it has to step back.
	custody := i.custody()
	custody.Sealer = newer
	_, err := custody.Rotate(t.Context(), signingkey.ES256, false)
	check(t, err)
	i.goTo(29*day + time.Minute)
	if err := keys.Tend(t.Context()); !errors.Is(err, seal.ErrNotOurs) {
		t.Errorf("got %v, want %v", err, seal.ErrNotOurs)
	}
	if err := keys.Ready(); !errors.Is(err, seal.ErrNotOurs) {
		t.Errorf("ready: %v, want %v", err, seal.ErrNotOurs)
	}
	token, _ := sign(t, keys)
	wantVerified(t, keys, token, true)
}

// Keep looks every few seconds, writes only what is due, and says what
// happened.
func TestKeepFollowsTheStorage(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	var log bytes.Buffer
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		custody := i.custody()
		custody.Now = func() time.Time { return i.Now().Add(time.Since(began)) }
		keys, err := signingkey.Open(t.Context(), custody)
		check(t, err)
		ctx, stop := context.WithCancel(t.Context())
		var keeping sync.WaitGroup
		keeping.Go(func() { keys.Keep(ctx, slog.New(slog.NewTextHandler(&log, nil))) })
		time.Sleep(time.Hour)
		synctest.Wait()
		if i.storage.writes != 0 {
			t.Errorf("%d writes in an hour without need", i.storage.writes)
		}
		_, old := sign(t, keys)
		next, err := custody.Rotate(t.Context(), signingkey.ES256, true)
		check(t, err)
		time.Sleep(signingkey.LookEvery)
		synctest.Wait()
		if got := published(t, keys); !slices.Equal(got, []string{old, next.ID}) {
			t.Errorf("%q are published after one look, want both", got)
		}
		time.Sleep(signingkey.Notice + signingkey.LookEvery)
		synctest.Wait()
		_, err = custody.Revoke(t.Context(), old)
		check(t, err)
		i.storage.set(func() { i.storage.locked = errors.New("locked: nothing is due, so nobody minds") })
		time.Sleep(signingkey.LookEvery)
		synctest.Wait()
		i.storage.set(func() { i.storage.broken = errors.New("broken") })
		time.Sleep(time.Minute)
		i.storage.set(func() { i.storage.broken, i.storage.locked = nil, nil })
		time.Sleep(time.Minute)
		stop()
		keeping.Wait()
		text := log.String()
		for _, want := range []string{
			"level=INFO msg=\"a signing key has a new state\" key=" + next.ID + " state=published",
			"level=INFO msg=\"a signing key has a new state\" key=" + next.ID + " state=active",
			"level=INFO msg=\"a signing key has a new state\" key=" + old + " state=retiring",
			"level=INFO msg=\"a signing key has a new state\" key=" + old + " state=revoked",
			"level=WARN msg=\"the signing keys stay as they are for now\" error=\"reading the signing keys: broken\"",
		} {
			if strings.Count(text, want) != 1 {
				t.Errorf("the log says %d times %q, want once", strings.Count(text, want), want)
			}
		}
		if n := strings.Count(text, "\n"); n != 6 { // one more for the key that follows the revoked one
			t.Errorf("%d lines:\n%s", n, text)
		}
	})
}

// Whoever signs and verifies while the keys change never meets half a change.
// The race detector looks on.
func TestSigningWhileKeysChange(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	keys := i.server()
	stop := make(chan struct{})
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				token, err := keys.Sign(signingkey.ES256, "JWT", map[string]string{"sub": "alice"})
				if err != nil {
					t.Error(err)
					return
				}
				var claims map[string]any
				if err := keys.Verify(token, "JWT", &claims); err != nil {
					t.Error(err)
					return
				}
				if !json.Valid(keys.JWKS()) {
					t.Error("the key set is no JSON")
				}
			}
		})
	}
	for n := range 20 {
		i.goTo(time.Duration(n) * time.Minute)
		_, err := i.custody().Rotate(t.Context(), signingkey.ES256, true)
		check(t, err)
		check(t, keys.Tend(t.Context()))
	}
	close(stop)
	all.Wait()
	if n := len(published(t, keys)); n != 21 {
		t.Errorf("%d keys are published, want 21", n)
	}
}

func BenchmarkSign(b *testing.B) {
	keys := keySet(b)
	claims := map[string]any{"iss": "https://id.example.com", "sub": "alice", "exp": 1}
	for _, alg := range signingkey.Algorithms() {
		b.Run(alg, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := keys.Sign(alg, "JWT", claims); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkTend is what a look at the storage costs if nothing has changed.
func BenchmarkTend(b *testing.B) {
	keys := keySet(b)
	b.ReportAllocs()
	for b.Loop() {
		if err := keys.Tend(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
}
