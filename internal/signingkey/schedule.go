// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package signingkey

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

// Policy is when keys change. The zero value means the defaults.
type Policy struct {
	RotateEvery  time.Duration // how long a key signs; 30 days
	PublishAhead time.Duration // how long it is published before; 24 hours
}

const (
	// MaxTokenLifetime is the longest that anything lives that is signed
	// here. A key that has stopped signing stays published for so long.
	MaxTokenLifetime = 24 * time.Hour

	// skew is how far the clocks of servers that share a database differ.
	skew = 5 * time.Minute

	// notice is how long it takes at the most until every server has seen
	// what another wrote; it is a few times lookEvery.
	notice = 5 * time.Second

	// minPublishAhead leaves verifiers two seconds to keep the key set.
	minPublishAhead = 10 * time.Second

	// minRotateEvery keeps the key set short: a key stays for a day.
	minRotateEvery = time.Hour
)

// WithDefaults fills in what is not given.
func (p Policy) WithDefaults() Policy {
	if p.RotateEvery == 0 {
		p.RotateEvery = 30 * 24 * time.Hour
	}
	if p.PublishAhead == 0 {
		p.PublishAhead = 24 * time.Hour
	}
	return p
}

// Validate tells why keys cannot change so, or returns nil.
func (p Policy) Validate() error {
	p = p.WithDefaults()
	switch {
	case p.PublishAhead < minPublishAhead:
		return fmt.Errorf("publish_ahead is shorter than %s", minPublishAhead)
	case p.RotateEvery < minRotateEvery:
		return fmt.Errorf("rotate_every is shorter than %s", minRotateEvery)
	case p.RotateEvery < p.PublishAhead:
		return errors.New("rotate_every is shorter than publish_ahead")
	}
	return nil
}

// MaxAge is how long others may keep the key set (RFC 9111, section 5.2.2.1).
// There is room for it twice before a new key signs: a cache on the way may
// hand out a copy that has its whole age behind it, and API servers do not
// read the Age of a copy.
func (p Policy) MaxAge() time.Duration {
	p = p.WithDefaults()
	return min(10*time.Minute, (p.PublishAhead-notice)/2).Truncate(time.Second)
}

// SafeLead is the least time from the publication of a key to its first
// signature after which nobody meets a key that they do not know.
func (p Policy) SafeLead() time.Duration { return 2*p.MaxAge() + notice }

// State is what a key is for at a time.
type State string

// The states, in their order. After them a key is gone.
const (
	Published State = "published" // in the key set; signs later
	Active    State = "active"    // signs
	Retiring  State = "retiring"  // in the key set until the last token that it signed has expired
	Revoked   State = "revoked"   // out of the key set, and its private half deleted
)

// StateAt is the state of a key among the keys of its issuer.
func StateAt(key Record, keys []Record, now time.Time) State {
	stops := key.stops(keys)
	switch {
	case !key.RevokedAt.IsZero():
		return Revoked
	case !stops.IsZero() && !now.Before(stops):
		return Retiring
	case now.Before(key.SignsFrom):
		return Published
	}
	return Active
}

// stops is when a later key of the algorithm takes over; zero if there is
// none yet. A key that was revoked before its time took over from nobody.
func (r Record) stops(keys []Record) (at time.Time) {
	for _, later := range keys {
		if later.Algorithm != r.Algorithm || later.Generation <= r.Generation ||
			!later.RevokedAt.IsZero() && !later.SignsFrom.Before(later.RevokedAt) {
			continue
		}
		if at.IsZero() || later.SignsFrom.Before(at) {
			at = later.SignsFrom
		}
	}
	return at
}

// leaves is when nobody needs the key any more; zero if that is not known.
func (r Record) leaves(keys []Record) time.Time {
	stops := r.stops(keys)
	switch {
	case !r.RevokedAt.IsZero():
		return r.RevokedAt.Add(MaxTokenLifetime + skew)
	case stops.IsZero():
		return time.Time{}
	case !r.SignsFrom.Before(stops):
		return stops // it was overtaken before it signed anything
	}
	return stops.Add(MaxTokenLifetime + skew)
}

// Change is what becomes of the keys of an issuer: all of it or nothing.
type Change struct {
	// Add is new keys. A key whose generation is taken is left out: another
	// server was faster.
	Add    []Record
	Start  []Moment // published keys, and when they sign instead of later
	Revoke []Moment
	Remove []string // IDs
}

// Moment is when something happens to a key.
type Moment struct {
	ID string
	At time.Time
}

func (c Change) none() bool {
	return len(c.Add) == 0 && len(c.Start) == 0 && len(c.Revoke) == 0 && len(c.Remove) == 0
}

func (c Change) and(other Change) Change {
	return Change{
		slices.Concat(c.Add, other.Add), slices.Concat(c.Start, other.Start),
		slices.Concat(c.Revoke, other.Revoke), slices.Concat(c.Remove, other.Remove),
	}
}

// Apply returns the keys after a change, as a storage has to carry it out.
func Apply(keys []Record, change Change) []Record {
	keys = slices.Clone(keys)
	for _, added := range change.Add {
		if !slices.ContainsFunc(keys, func(k Record) bool {
			return k.Algorithm == added.Algorithm && k.Generation == added.Generation
		}) {
			keys = append(keys, added)
		}
	}
	for i := range keys {
		for _, start := range change.Start {
			if keys[i].ID == start.ID && keys[i].RevokedAt.IsZero() && start.At.Before(keys[i].SignsFrom) {
				keys[i].SignsFrom = start.At
			}
		}
		for _, revoke := range change.Revoke {
			if keys[i].ID == revoke.ID && keys[i].RevokedAt.IsZero() {
				keys[i].RevokedAt, keys[i].SealedPrivate = revoke.At, ""
			}
		}
	}
	return slices.DeleteFunc(keys, func(k Record) bool { return slices.Contains(change.Remove, k.ID) })
}

// plan is the schedule: what has to change now. Keys that it adds have yet to
// be made. Carried out again and again it keeps three promises, whatever
// happened between (docs/adr/0005): there is always a key that signs; none
// signs before it was published for [Policy.SafeLead], unless there is no
// other; and none leaves while a token that it signed may live.
func plan(keys []Record, now time.Time, p Policy) (change Change) {
	p = p.WithDefaults()
	for _, alg := range Algorithms() {
		var active, next *Record // next is the published key that signs first
		var newest Record
		unflushed := time.Time{}
		for _, key := range keys {
			if key.Algorithm != alg {
				continue
			}
			if key.Generation > newest.Generation {
				newest = key
			}
			switch StateAt(key, keys, now) {
			case Active:
				active = &key
			case Published:
				if next == nil || key.SignsFrom.Before(next.SignsFrom) {
					next = &key
				}
			case Revoked:
				unflushed = latest(unflushed, key.RevokedAt)
			case Retiring:
			}
			if leaves := key.leaves(keys); !leaves.IsZero() && !now.Before(leaves) {
				change.Remove = append(change.Remove, key.ID)
			}
		}
		add := func(signsFrom time.Time) {
			change.Add = append(change.Add, Record{
				Algorithm: alg, Generation: newest.Generation + 1, PublishedAt: now, SignsFrom: signsFrom,
			})
		}
		// Verifiers that keep the key set until they meet an unknown key, as
		// API servers do, go on accepting a revoked one. A key that was
		// published after the revocation makes them fetch the key set.
		flush := !unflushed.IsZero() && newest.PublishedAt.Before(unflushed)
		switch {
		case active == nil && next == nil:
			add(now)
		case active == nil:
			change.Start = append(change.Start, Moment{next.ID, now})
			if flush {
				add(now.Add(p.SafeLead()))
			}
		case flush:
			add(now.Add(p.SafeLead()))
		case next == nil && !now.Before(p.publishes(*active)):
			add(latest(active.SignsFrom.Add(p.RotateEvery), now.Add(p.PublishAhead)))
		}
	}
	return change
}

// publishes is when the successor of an active key is due to be published.
func (p Policy) publishes(active Record) time.Time {
	return active.SignsFrom.Add(p.RotateEvery - p.PublishAhead)
}

// rotation is the change that a person forces: a successor is published, and
// signs after the usual time, or as soon as every server has seen it. If one
// is published already, that is the one. It returns its generation too.
func rotation(keys []Record, alg string, now time.Time, p Policy, atOnce bool) (change Change, generation int) {
	p = p.WithDefaults()
	ahead := p.PublishAhead
	if atOnce {
		ahead = notice
	}
	var next *Record
	newest := 0
	for _, key := range keys {
		if key.Algorithm != alg {
			continue
		}
		newest = max(newest, key.Generation)
		if StateAt(key, keys, now) == Published && (next == nil || key.SignsFrom.Before(next.SignsFrom)) {
			next = &key
		}
	}
	if next == nil {
		added := Record{Algorithm: alg, Generation: newest + 1, PublishedAt: now, SignsFrom: now.Add(ahead)}
		return Change{Add: []Record{added}}, added.Generation
	}
	if atOnce && now.Add(ahead).Before(next.SignsFrom) {
		change.Start = []Moment{{next.ID, now.Add(ahead)}}
	}
	return change, next.Generation
}

// revocation takes a key out at once, and gives its work to another.
func revocation(keys []Record, id string, now time.Time, p Policy) Change {
	change := Change{Revoke: []Moment{{id, now}}}
	return change.and(plan(Apply(keys, change), now, p))
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
