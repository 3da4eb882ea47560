// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package device

import (
	"net"
	"sync"
	"time"
)

// Limits bounds what one address or one session may do, in the memory of this
// server.
type Limits struct {
	now              func() time.Time
	begun            *bucket // devices that began to wait, by address
	wrong, wrongHere *bucket // user codes that were wrong: by address, by session
}

// NewLimits makes Limits with the clock now.
func NewLimits(now func() time.Time) *Limits {
	return &Limits{
		now: now,
		// A whole office may share an address.
		begun: newBucket(60, 2*time.Second),
		// Of the 2^34 codes at most maxWaiting wait for each client: at this
		// rate a guess has to go on for centuries.
		wrong:     newBucket(30, 10*time.Second),
		wrongHere: newBucket(5, 30*time.Second),
	}
}

// begin takes a place for a device that begins to wait.
func (l *Limits) begin(remote string) bool { return l.begun.take(network(remote), l.now()) }

// try takes a place for a user code that is about to be looked at: codes that
// are tried at the same time get no more than those one after the other.
func (l *Limits) try(remote, sessionID string) bool {
	now := l.now()
	return l.wrongHere.take(sessionID, now) && l.wrong.take(network(remote), now)
}

// right gives it back.
func (l *Limits) right(remote, sessionID string) {
	l.wrongHere.give(sessionID)
	l.wrong.give(network(remote))
}

// network is who counts as one: an IPv4 address, an IPv6 /64.
func network(remote string) string {
	host, _, err := net.SplitHostPort(remote)
	if err != nil {
		host = remote
	}
	ip := net.ParseIP(host)
	if ip == nil || ip.To4() != nil {
		return host
	}
	return ip.Mask(net.CIDRMask(64, 128)).String()
}

// bucket gives each name so many at once, and one more in each interval.
type bucket struct {
	burst int
	every time.Duration

	mu   sync.Mutex           // guards the field below
	full map[string]time.Time // when the name has all of it again
}

const maxNames = 10_000

func newBucket(burst int, every time.Duration) *bucket {
	return &bucket{burst: burst, every: every, full: map[string]time.Time{}}
}

// take uses up one, and reports whether there was one.
func (b *bucket) take(name string, now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	full, known := b.full[name]
	if full.Sub(now) > time.Duration(b.burst-1)*b.every {
		return false
	}
	if !known {
		b.makeRoom(now)
	}
	if full.Before(now) {
		full = now
	}
	b.full[name] = full.Add(b.every)
	return true
}

// give gives one back.
func (b *bucket) give(name string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if full, known := b.full[name]; known {
		b.full[name] = full.Add(-b.every)
	}
}

// makeRoom forgets who has all of it again, or else everybody: a flood of
// names must not take the memory.
func (b *bucket) makeRoom(now time.Time) {
	if len(b.full) < maxNames {
		return
	}
	for name, full := range b.full {
		if !full.After(now) {
			delete(b.full, name)
		}
	}
	if len(b.full) >= maxNames {
		clear(b.full)
	}
}
