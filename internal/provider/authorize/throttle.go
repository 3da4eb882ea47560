// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package authorize

import (
	"net"
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// Throttle bounds how fast passwords can be guessed, per account and per
// address. Only failures count, and what they use up comes back by itself: at
// worst, somebody who guesses at an account makes its owner wait for half a
// minute, never longer.
type Throttle struct {
	now      func() time.Time
	accounts limiters
	sources  limiters
}

// The allowance: so many failures at once, then one in each interval.
const (
	accountFailures, accountInterval = 10, 5 * time.Second
	sourceFailures, sourceInterval   = 50, time.Second
	maxLimiters                      = 10_000
)

// NewThrottle makes a Throttle with the clock now.
func NewThrottle(now func() time.Time) *Throttle {
	return &Throttle{
		now:      now,
		accounts: limiters{every: accountInterval, burst: accountFailures, known: map[string]*rate.Limiter{}},
		sources:  limiters{every: sourceInterval, burst: sourceFailures, known: map[string]*rate.Limiter{}},
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
	return Attempt{t, strings.ToLower(strings.TrimSpace(login)), network(host)}
}

// network is who counts as one source: an IPv4 address, an IPv6 /64.
func network(host string) string {
	ip := net.ParseIP(host)
	if ip == nil || ip.To4() != nil {
		return host
	}
	return ip.Mask(net.CIDRMask(64, 128)).String()
}

// Allowed reports whether the password may be looked at now.
func (a Attempt) Allowed() bool {
	now := a.throttle.now()
	return a.throttle.accounts.left(a.account, now) && a.throttle.sources.left(a.source, now)
}

// Failed counts the try.
func (a Attempt) Failed() {
	now := a.throttle.now()
	a.throttle.accounts.spend(a.account, now)
	a.throttle.sources.spend(a.source, now)
}

// limiters is a bounded set of token buckets. A name that has none has a full
// one.
type limiters struct {
	every time.Duration
	burst int

	mu    sync.Mutex // guards the field below
	known map[string]*rate.Limiter
}

func (l *limiters) left(name string, now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	limiter, ok := l.known[name]
	return !ok || limiter.TokensAt(now) >= 1
}

func (l *limiters) spend(name string, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	limiter, ok := l.known[name]
	if !ok {
		l.makeRoom(now)
		limiter = rate.NewLimiter(rate.Every(l.every), l.burst)
		l.known[name] = limiter
	}
	limiter.AllowN(now, 1)
}

// makeRoom forgets the buckets that are full again, then any that is there:
// a flood of names must not take the memory.
func (l *limiters) makeRoom(now time.Time) {
	if len(l.known) < maxLimiters {
		return
	}
	for name, limiter := range l.known {
		if limiter.TokensAt(now) >= float64(l.burst) {
			delete(l.known, name)
		}
	}
	for name := range l.known {
		if len(l.known) < maxLimiters {
			return
		}
		delete(l.known, name)
	}
}
