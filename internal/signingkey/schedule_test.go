// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package signingkey_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tegata/tegata/internal/signingkey"
)

var noon = time.Date(2026, 12, 1, 12, 0, 0, 0, time.UTC)

const (
	hour = time.Hour
	day  = 24 * hour
)

// at is so long after noon.
func at(d time.Duration) time.Time { return noon.Add(d) }

// es makes a key of ES256 from times after noon.
func es(id string, generation int, published, signs time.Duration) signingkey.Record {
	return signingkey.Record{
		ID: id, Algorithm: signingkey.ES256, Generation: generation, SealedPrivate: "sealed",
		PublishedAt: at(published), SignsFrom: at(signs),
	}
}

// rs are keys of RS256 for which nothing is due for years.
var rs = []signingkey.Record{
	{ID: "rs", Algorithm: signingkey.RS256, Generation: 1, PublishedAt: noon, SignsFrom: noon},
	{ID: "rs2", Algorithm: signingkey.RS256, Generation: 2, PublishedAt: noon, SignsFrom: at(10 * 365 * day)},
}

func revoked(key signingkey.Record, when time.Duration) signingkey.Record {
	key.RevokedAt, key.SealedPrivate = at(when), ""
	return key
}

// added is a key that a plan wants made.
func added(generation int, published, signs time.Duration) []signingkey.Record {
	return []signingkey.Record{{Algorithm: signingkey.ES256, Generation: generation, PublishedAt: at(published), SignsFrom: at(signs)}}
}

const (
	lead = 20*time.Minute + signingkey.Notice     // of the default policy
	keep = signingkey.MaxTokenLifetime + 5*60*1e9 // after the last signature
)

func TestPlan(t *testing.T) {
	// The cases are about ES256.
	for _, test := range []struct {
		name   string
		keys   []signingkey.Record
		now    time.Duration
		policy signingkey.Policy
		want   signingkey.Change
	}{
		{
			name: "the first key signs at once: nobody knows another",
			want: signingkey.Change{Add: added(1, 0, 0)},
		},
		{
			name: "a young key is left alone",
			keys: []signingkey.Record{es("a", 1, 0, 0)}, now: 29*day - time.Millisecond,
		},
		{
			name: "a successor is published a day before it signs",
			keys: []signingkey.Record{es("a", 1, 0, 0)}, now: 29 * day,
			want: signingkey.Change{Add: added(2, 29*day, 30*day)},
		},
		{
			name: "an overdue key goes on until its successor is known",
			keys: []signingkey.Record{es("a", 1, 0, 0)}, now: 90 * day,
			want: signingkey.Change{Add: added(2, 90*day, 91*day)},
		},
		{
			name: "one successor is enough",
			keys: []signingkey.Record{es("a", 1, 0, 0), es("b", 2, 29*day, 30*day)}, now: 30*day - 1,
		},
		{
			name: "after the change the old key stays",
			keys: []signingkey.Record{es("a", 1, 0, 0), es("b", 2, 29*day, 30*day)}, now: 30*day + keep - 1,
		},
		{
			name: "until the last token that it signed has expired",
			keys: []signingkey.Record{es("a", 1, 0, 0), es("b", 2, 29*day, 30*day)}, now: 30*day + keep,
			want: signingkey.Change{Remove: []string{"a"}},
		},
		{
			name: "times of one's own",
			keys: []signingkey.Record{es("a", 1, 0, 0)}, now: 8 * hour,
			policy: signingkey.Policy{RotateEvery: 9 * hour, PublishAhead: hour},
			want:   signingkey.Change{Add: added(2, 8*hour, 9*hour)},
		},
		{
			name: "as often as it is published ahead",
			keys: []signingkey.Record{es("a", 1, 0, 0)}, now: time.Minute,
			policy: signingkey.Policy{RotateEvery: hour, PublishAhead: hour},
			want:   signingkey.Change{Add: added(2, time.Minute, hour+time.Minute)},
		},
		{
			name: "nobody is left: a new key signs at once",
			keys: []signingkey.Record{revoked(es("a", 1, 0, 0), hour)}, now: hour,
			want: signingkey.Change{Add: added(2, hour, hour)},
		},
		{
			name: "nobody is left but the successor: it signs, and a key that nobody knows will",
			keys: []signingkey.Record{revoked(es("a", 1, 0, 0), hour), es("b", 2, 0, day)}, now: hour,
			want: signingkey.Change{Start: []signingkey.Moment{{ID: "b", At: at(hour)}}, Add: added(3, hour, hour+lead)},
		},
		{
			name: "who retired does not come back",
			keys: []signingkey.Record{es("a", 1, 0, 0), revoked(es("b", 2, 0, hour), 2*hour)}, now: 2 * hour,
			want: signingkey.Change{Add: added(3, 2*hour, 2*hour)},
		},
		{
			name: "a successor that is revoked before its time takes over from nobody",
			keys: []signingkey.Record{es("a", 1, 0, 0), revoked(es("b", 2, 0, day), hour)}, now: hour,
			want: signingkey.Change{Add: added(3, hour, hour+lead)},
		},
		{
			name: "a retired key that is revoked makes verifiers fetch the key set too",
			keys: []signingkey.Record{revoked(es("a", 1, 0, 0), 2*hour), es("b", 2, 0, hour)}, now: 2 * hour,
			want: signingkey.Change{Add: added(3, 2*hour, 2*hour+lead)},
		},
		{
			name: "once is enough",
			keys: []signingkey.Record{revoked(es("a", 1, 0, 0), 2*hour), es("b", 2, 0, hour), es("c", 3, 2*hour, 2*hour+lead)}, now: 3 * hour,
		},
		{
			name: "a key that was overtaken before it signed is gone when it is",
			keys: []signingkey.Record{es("a", 1, 0, 0), es("b", 2, 0, day), es("c", 3, 0, hour)}, now: hour,
			want: signingkey.Change{Remove: []string{"b"}},
		},
		{
			name: "a revoked key is forgotten when its last token has expired",
			keys: []signingkey.Record{revoked(es("a", 1, 0, 0), hour), es("b", 2, hour, hour)}, now: hour + keep,
			want: signingkey.Change{Remove: []string{"a"}},
		},
		{
			name: "a clock that was set back",
			keys: []signingkey.Record{es("a", 1, hour, hour)},
			want: signingkey.Change{Start: []signingkey.Moment{{ID: "a", At: at(0)}}},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := signingkey.Plan(append(test.keys, rs...), at(test.now), test.policy)
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestForcedRotation(t *testing.T) {
	soon := signingkey.Notice
	for _, test := range []struct {
		name   string
		keys   []signingkey.Record
		atOnce bool
		want   signingkey.Change
	}{
		{"a successor is published and signs a day later", []signingkey.Record{es("a", 4, -day, -day)}, false, signingkey.Change{Add: added(5, 0, day)}},
		{"there is one already", []signingkey.Record{es("a", 1, -day, -day), es("b", 2, 0, hour)}, false, signingkey.Change{}},
		{"at once: as soon as every server has seen it", []signingkey.Record{es("a", 1, -day, -day)}, true, signingkey.Change{Add: added(2, 0, soon)}},
		{"at once: the one that is published", []signingkey.Record{es("a", 1, -day, -day), es("b", 2, -hour, hour)}, true, signingkey.Change{Start: []signingkey.Moment{{ID: "b", At: at(soon)}}}},
		{"at once: it will have begun by then", []signingkey.Record{es("a", 1, -day, -day), es("b", 2, -hour, soon)}, true, signingkey.Change{}},
		{"another algorithm does not count", []signingkey.Record{es("a", 1, -day, -day), rs[1]}, false, signingkey.Change{Add: added(2, 0, day)}},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := signingkey.Rotation(test.keys, signingkey.ES256, noon, signingkey.Policy{}, test.atOnce)
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestPolicy(t *testing.T) {
	for _, test := range []struct {
		policy       signingkey.Policy
		ok           bool
		maxAge, lead time.Duration
	}{
		{signingkey.Policy{}, true, 10 * time.Minute, 20*time.Minute + 5*time.Second},
		{signingkey.Policy{PublishAhead: time.Hour}, true, 10 * time.Minute, 20*time.Minute + 5*time.Second},
		{signingkey.Policy{PublishAhead: time.Minute}, true, 27 * time.Second, 59 * time.Second},
		{signingkey.Policy{RotateEvery: time.Hour, PublishAhead: 10 * time.Second}, true, 2 * time.Second, 9 * time.Second},
		{signingkey.Policy{PublishAhead: 10*time.Second - 1}, false, 2 * time.Second, 9 * time.Second},
		{signingkey.Policy{RotateEvery: time.Hour - 1, PublishAhead: time.Hour - 1}, false, 10 * time.Minute, 20*time.Minute + 5*time.Second},
		{signingkey.Policy{RotateEvery: 24*time.Hour - 1}, false, 10 * time.Minute, 20*time.Minute + 5*time.Second},
	} {
		if err := test.policy.Validate(); (err == nil) != test.ok {
			t.Errorf("%+v: %v, want accepted = %v", test.policy, err, test.ok)
		}
		if maxAge, lead := test.policy.MaxAge(), test.policy.SafeLead(); maxAge != test.maxAge || lead != test.lead {
			t.Errorf("%+v: may be kept for %s and signs after %s, want %s and %s", test.policy, maxAge, lead, test.maxAge, test.lead)
		}
		if test.ok && test.policy.SafeLead() > test.policy.WithDefaults().PublishAhead {
			t.Errorf("%+v: a key signs before it is safe", test.policy)
		}
	}
}

// TestScheduleKeepsItsPromises lives through years with several servers that
// look at one storage now and then, people who rotate and revoke keys, and
// verifiers that keep the key set as API servers do, behind a cache.
func TestScheduleKeepsItsPromises(t *testing.T) {
	t.Parallel()
	for seed := range uint64(40) {
		w := newWorld(seed)
		for step := range 400 {
			w.step()
			if len(w.broken) > 0 {
				t.Fatalf("seed %d, step %d, %s:\n%s\n\nwhat happened:\n%s", seed, step, w.now.Sub(noon), strings.Join(w.broken, "\n"),
					strings.Join(w.diary[max(0, len(w.diary)-30):], "\n"))
			}
		}
		if w.signed < 400 || w.replaced < 3 {
			t.Fatalf("seed %d: %d tokens under %d keys show nothing", seed, w.signed, w.replaced)
		}
	}
}

// world is what TestScheduleKeepsItsPromises plays with. It looks at ES256.
type world struct {
	chance  *rand.Rand
	policy  signingkey.Policy
	now     time.Time
	stored  []signingkey.Record
	servers []view
	cache   view // of the key set, on the way to the verifiers
	// A verifier keeps a key set until it meets a key that it does not know.
	verifiers []view
	tokens    []token
	urgent    map[string]bool // keys that sign early because a person or a theft wants it
	alarm     time.Time       // of the last emergency: some may be refused after it

	made, signed, replaced int
	diary, broken          []string
}

// view is what somebody knows of the keys, and since when.
type view struct {
	keys []signingkey.Record
	at   time.Time
}

type token struct {
	key     string
	expires time.Time
}

func newWorld(seed uint64) *world {
	w := &world{chance: rand.New(rand.NewPCG(seed, 0)), now: noon, urgent: map[string]bool{}, servers: make([]view, 3), verifiers: make([]view, 3)}
	ahead := []time.Duration{10 * time.Second, time.Minute, hour, day}[w.chance.IntN(4)]
	w.policy = signingkey.Policy{PublishAhead: ahead, RotateEvery: max(hour, ahead) * time.Duration(1+w.chance.IntN(20))}
	w.look(0) // the first keys of all
	for _, key := range w.stored {
		w.urgent[key.ID] = true
	}
	w.alarm = w.now
	return w
}

func (w *world) note(format string, args ...any) {
	w.diary = append(w.diary, fmt.Sprintf("%s: ", w.now.Sub(noon))+fmt.Sprintf(format, args...))
}

func (w *world) breaks(format string, args ...any) {
	w.broken = append(w.broken, fmt.Sprintf(format, args...))
}

// carryOut is what a storage does, with keys that have a name at last.
func (w *world) carryOut(change signingkey.Change) {
	for i := range change.Add {
		w.made++
		change.Add[i].ID, change.Add[i].SealedPrivate = fmt.Sprintf("%s-%d", change.Add[i].Algorithm, w.made), "sealed"
		w.note("publish %s of generation %d, to sign from %s", change.Add[i].ID, change.Add[i].Generation, change.Add[i].SignsFrom.Sub(noon))
	}
	if len(change.Start)+len(change.Revoke)+len(change.Remove) > 0 {
		w.note("start %v, revoke %v, remove %v", change.Start, change.Revoke, change.Remove)
	}
	w.stored = signingkey.Apply(w.stored, change)
}

// look is a server that looks at the storage and tends the keys.
func (w *world) look(server int) {
	for range 5 {
		change := signingkey.Plan(w.stored, w.now, w.policy)
		if cmp.Equal(change, signingkey.Change{}) {
			break
		}
		for _, start := range change.Start {
			w.urgent[start.ID] = true
		}
		w.carryOut(change)
	}
	w.servers[server] = view{slices.Clone(w.stored), w.now}
}

func (w *world) step() {
	// Time goes on. Servers look often enough, or are all down for a while.
	pass := []time.Duration{time.Second, 3 * time.Second, 20 * time.Second, time.Minute, 11 * time.Minute, hour, w.policy.PublishAhead / 3, w.policy.RotateEvery / 5}[w.chance.IntN(8)]
	for end := w.now.Add(pass); w.now.Before(end); {
		tick := min(end.Sub(w.now), max(signingkey.Notice, pass/6))
		w.now = w.now.Add(tick)
		for server := range w.servers {
			if w.now.Sub(w.servers[server].at) > signingkey.Notice-tick || w.chance.IntN(2) == 0 {
				w.look(server)
			}
		}
	}
	switch w.chance.IntN(40) {
	case 0:
		w.note("a person rotates")
		w.carryOut(signingkey.Rotation(w.stored, signingkey.ES256, w.now, w.policy, false))
	case 1:
		w.note("a person rotates at once")
		change := signingkey.Rotation(w.stored, signingkey.ES256, w.now, w.policy, true)
		w.carryOut(change)
		for _, key := range change.Add {
			w.urgent[key.ID] = true
		}
		for _, start := range change.Start {
			w.urgent[start.ID] = true
		}
		w.alarm = w.now
	case 2:
		if key := w.stored[w.chance.IntN(len(w.stored))]; key.Algorithm == signingkey.ES256 && key.RevokedAt.IsZero() {
			w.note("a person revokes %s", key.ID)
			change := signingkey.Revocation(w.stored, key.ID, w.now, w.policy)
			w.carryOut(change)
			for _, key := range change.Add {
				if key.SignsFrom.Equal(w.now) {
					w.urgent[key.ID] = true
				}
			}
			for _, start := range change.Start {
				w.urgent[start.ID] = true
			}
			w.alarm = w.now
		}
	}
	w.sign()
	w.checkKeys()
}

// sign lets a server sign a token and a verifier look at it.
func (w *world) sign() {
	server := w.servers[w.chance.IntN(len(w.servers))]
	id := signingkey.SignerAt(server.keys, signingkey.ES256, w.now)
	w.signed++
	at := slices.IndexFunc(w.stored, func(k signingkey.Record) bool { return k.ID == id })
	if at < 0 {
		w.breaks("signed with %q, which is not in the key set", id)
		return
	}
	key := w.stored[at]
	if !key.RevokedAt.IsZero() {
		if w.now.Sub(key.RevokedAt) > signingkey.Notice {
			w.breaks("signed with %s, which is revoked since %s", id, key.RevokedAt.Sub(noon))
		}
		return
	}
	if known := w.now.Sub(key.PublishedAt); known < w.policy.SafeLead() && !w.urgent[id] {
		w.breaks("signed with %s, which is published since %s, less than %s", id, known, w.policy.SafeLead())
	}
	if len(w.tokens) == 0 || w.tokens[len(w.tokens)-1].key != id {
		w.replaced++
	}
	w.tokens = append(w.tokens, token{id, w.now.Add(time.Duration(w.chance.Int64N(int64(signingkey.MaxTokenLifetime)) + 1))})

	// A verifier.
	v := &w.verifiers[w.chance.IntN(len(w.verifiers))]
	if !has(v.keys, id) && w.now.Sub(v.at) >= w.policy.MaxAge() {
		if w.now.Sub(w.cache.at) >= w.policy.MaxAge() {
			w.cache = view{w.servers[w.chance.IntN(len(w.servers))].keys, w.now}
		}
		*v = view{w.cache.keys, w.now}
	}
	if !has(v.keys, id) && w.now.Sub(w.alarm) > w.policy.SafeLead() {
		w.breaks("a token under %s is refused; the verifier fetched the key set %s ago", id, w.now.Sub(v.at))
	}
	// By then a key signs that was published after the revocation.
	for _, k := range w.stored {
		if !k.RevokedAt.IsZero() && w.now.Sub(k.RevokedAt) > w.policy.SafeLead()+signingkey.Notice && has(v.keys, id) && has(v.keys, k.ID) {
			w.breaks("a verifier that was just shown a token still takes %s, revoked since %s", k.ID, w.now.Sub(k.RevokedAt))
		}
	}
}

// has reports whether the key is in the key set that is made of the keys.
func has(keys []signingkey.Record, id string) bool {
	return slices.ContainsFunc(keys, func(k signingkey.Record) bool { return k.ID == id && k.RevokedAt.IsZero() })
}

// checkKeys holds the storage to its promises.
func (w *world) checkKeys() {
	active := 0
	for _, key := range w.stored {
		if key.Algorithm == signingkey.ES256 && signingkey.StateAt(key, w.stored, w.now) == signingkey.Active {
			active++
		}
	}
	if active != 1 {
		w.breaks("%d keys are active", active)
	}
	w.tokens = slices.DeleteFunc(w.tokens, func(t token) bool { return !w.now.Before(t.expires) })
	for _, t := range w.tokens {
		if !slices.ContainsFunc(w.stored, func(k signingkey.Record) bool { return k.ID == t.key }) {
			w.breaks("%s is gone, and a token that it signed lives until %s", t.key, t.expires.Sub(noon))
		}
	}
	if len(w.stored) > 100 {
		w.breaks("%d keys have piled up", len(w.stored))
	}
}
