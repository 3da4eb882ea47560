// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package authorize

import (
	"net"
	"strings"
	"sync"
	"time"
)

// Throttle bounds how fast passwords can be guessed, per account and per
// address. A try is counted before the password is looked at, so that many at
// once get no more than one after the other; one that succeeds is forgotten.
// What failures use up comes back by itself.
type Throttle struct {
	now      func() time.Time
	accounts allowances
	sources  allowances
}

// The allowance: so many failures at once, then one in each interval.
const (
	accountFailures, accountInterval = 10, 5 * time.Second
	sourceFailures, sourceInterval   = 50, time.Second
	maxAllowances                    = 10_000
	maxLogin                         = 320 // bytes of a name that are told apart
)

// NewThrottle makes a Throttle with the clock now.
func NewThrottle(now func() time.Time) *Throttle {
	return &Throttle{
		now:      now,
		accounts: allowances{every: accountInterval, burst: accountFailures, whole: map[string]time.Time{}},
		sources:  allowances{every: sourceInterval, burst: sourceFailures, whole: map[string]time.Time{}},
	}
}

// Attempt is one try to log in.
type Attempt struct {
	throttle        *Throttle
	account, source string
}

// Attempt begins a try for the login from the address (host:port).
func (t *Throttle) Attempt(login, remote string) Attempt {
	host, _, err := net.SplitHostPort(remote)
	if err != nil {
		host = remote
	}
	account := strings.ToLower(strings.TrimSpace(login))
	return Attempt{t, account[:min(len(account), maxLogin)], network(host)}
}

// network is who counts as one source: an IPv4 address, an IPv6 /64.
func network(host string) string {
	ip := net.ParseIP(host)
	if ip == nil || ip.To4() != nil {
		return host
	}
	return ip.Mask(net.CIDRMask(64, 128)).String()
}

// Allowed reports whether the password may be looked at now, and counts the
// try.
func (a Attempt) Allowed() bool {
	now := a.throttle.now()
	if !a.throttle.sources.take(a.source, now) {
		return false
	}
	if !a.throttle.accounts.take(a.account, now) {
		a.throttle.sources.giveBack(a.source)
		return false
	}
	return true
}

// Forget takes back that the try was counted: it was no failure.
func (a Attempt) Forget() {
	a.throttle.accounts.giveBack(a.account)
	a.throttle.sources.giveBack(a.source)
}

// allowances is a bounded set of token buckets.
type allowances struct {
	every time.Duration
	burst int

	mu sync.Mutex // guards the field below
	// whole is when the allowance of a name is complete again; each try puts
	// it off by one interval. A name that is not there has it complete.
	whole map[string]time.Time
}

func (l *allowances) take(name string, now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	whole, known := l.whole[name]
	if whole.Before(now) {
		whole = now
	}
	whole = whole.Add(l.every)
	if whole.Sub(now) > time.Duration(l.burst)*l.every {
		return false
	}
	if !known {
		l.makeRoom(now)
	}
	l.whole[name] = whole
	return true
}

func (l *allowances) giveBack(name string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if whole, known := l.whole[name]; known {
		l.whole[name] = whole.Add(-l.every)
	}
}

// makeRoom forgets the allowances that are complete again, then any until a
// tenth is free: a flood of names must take neither the memory nor, one by
// one, the time.
func (l *allowances) makeRoom(now time.Time) {
	if len(l.whole) < maxAllowances {
		return
	}
	for name, whole := range l.whole {
		if !whole.After(now) {
			delete(l.whole, name)
		}
	}
	for name := range l.whole {
		if len(l.whole) <= maxAllowances*9/10 {
			return
		}
		delete(l.whole, name)
	}
}
