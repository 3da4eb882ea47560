// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package authorize

import (
	"context"
	"net"
	"strings"
	"sync"
	"time"
	"unicode"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"
)

// Throttle bounds how fast passwords can be guessed: at one account from one
// address, at one account from everywhere, and from one address at all.
// Somebody who guesses from one address locks out nobody but those who share
// it.
//
// Failures use up an allowance, which comes back by itself. Tries that are
// under way count like failures until they end, so that many at once get no
// more than one after the other; whoever finds the allowance taken by those
// waits for them, and only failures lead to a refusal.
type Throttle struct {
	now                      func() time.Time
	pairs, accounts, sources *allowances
	factors                  *allowances
}

const (
	maxAllowances = 10_000
	maxLogin      = 320 // bytes of a name that are told apart
)

// NewThrottle makes a Throttle with the clock now.
func NewThrottle(now func() time.Time) *Throttle {
	// So many failures at once, then one in each interval.
	return &Throttle{
		now:      now,
		pairs:    &allowances{burst: 10, every: 5 * time.Second, used: map[string]*allowance{}},
		accounts: &allowances{burst: 100, every: time.Second, used: map[string]*allowance{}},
		sources:  &allowances{burst: 50, every: time.Second, used: map[string]*allowance{}},
		// A code has six digits, and three of them are right at any time: some
		// 300 guesses a day find one in a few years.
		factors: &allowances{burst: 10, every: 5 * time.Minute, used: map[string]*allowance{}},
	}
}

// Attempt is one try to log in that may go on. It must be ended.
type Attempt struct {
	now   func() time.Time
	taken []taken
}

// taken is a place in an allowance.
type taken struct {
	allowances *allowances
	name       string
}

// Begin waits until the password may be looked at. It reports false if there
// were too many failures, or if ctx ends first. remote is host:port.
func (t *Throttle) Begin(ctx context.Context, login, remote string) (Attempt, bool) {
	host, _, err := net.SplitHostPort(remote)
	if err != nil {
		host = remote
	}
	source, account := network(host), folded(login)
	account = account[:min(len(account), maxLogin)]
	a := Attempt{now: t.now}
	for _, next := range []taken{{t.sources, source}, {t.pairs, source + " " + account}, {t.accounts, account}} {
		if !next.allowances.begin(ctx, next.name, t.now) {
			a.End(false)
			return Attempt{}, false
		}
		a.taken = append(a.taken, next)
	}
	return a, true
}

// folded is one spelling for all those that a source may take as one login.
// Directories tell neither case nor width apart, an Active Directory neither
// accents nor the kinds of kana, and what cannot be seen is skipped (RFC 4518,
// section 2): each such spelling would be an allowance of its own. Two people
// who share one lose nothing that an attacker could not take.
func folded(login string) string {
	seen := strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r):
			return ' '
		case !unicode.IsGraphic(r), unicode.In(r, unicode.M, unicode.Other_Default_Ignorable_Code_Point):
			return -1 // a zero width, a control, an accent, a filler
		case r == '\u1806', r == '\ufffc': // graphic, and skipped by section 2.2
			return -1
		case r >= '\u30a1' && r <= '\u30f6': // katakana: as hiragana
			return r - 0x60
		}
		return r
	}, norm.NFKD.String(login))
	return strings.Join(strings.Fields(barred.Replace(cases.Fold().String(seen))), " ")
}

// barred are letters that Unicode does not take apart and sort orders do.
var barred = strings.NewReplacer(
	"\u2c65", "a", "\u0180", "b", "\u023c", "c", "đ", "d", "ð", "d", "\u0247", "e", "\u01e5", "g", "ħ", "h", "ı", "i", "\u0268", "i",
	"\u0249", "j", "\ua741", "k", "ł", "l", "ø", "o", "\u1d7d", "p", "\u024d", "r", "ŧ", "t", "\u0289", "u", "\u024f", "y", "\u01b6", "z",
	"æ", "ae", "œ", "oe", "þ", "th",
)

// BeginFactor is Begin for a second factor: ten failures, wherever they come
// from, then one in five minutes. Only who knows the password gets here, so
// nobody else can lock a person out.
func (t *Throttle) BeginFactor(ctx context.Context, subject string) (Attempt, bool) {
	if !t.factors.begin(ctx, subject, t.now) {
		return Attempt{}, false
	}
	return Attempt{now: t.now, taken: []taken{{t.factors, subject}}}, true
}

// End says how the try ended. Only a failure uses up the allowance.
func (a Attempt) End(failed bool) {
	for _, t := range a.taken {
		t.allowances.end(t.name, failed, a.now())
	}
}

// network is who counts as one source: an IPv4 address, an IPv6 /64.
func network(host string) string {
	ip := net.ParseIP(host)
	if ip == nil || ip.To4() != nil {
		return host
	}
	return ip.Mask(net.CIDRMask(64, 128)).String()
}

// allowances is a bounded set of token buckets.
type allowances struct {
	every time.Duration
	burst int

	mu   sync.Mutex // guards the field below and what it points to
	used map[string]*allowance
}

// allowance is what is left to one name. A name without one has all of it.
type allowance struct {
	whole    time.Time // when all failures are forgiven; each puts it off by one interval
	underWay int
	ended    chan struct{} // closed when one that is under way ends
}

func (l *allowances) begin(ctx context.Context, name string, now func() time.Time) bool {
	for {
		l.mu.Lock()
		a, known := l.used[name]
		if !known {
			l.makeRoom(now())
			a = &allowance{ended: make(chan struct{})}
			l.used[name] = a
		}
		forgiven := max(a.whole.Sub(now()), 0) + time.Duration(a.underWay+1)*l.every
		if forgiven <= time.Duration(l.burst)*l.every {
			a.underWay++
			l.mu.Unlock()
			return true
		}
		waiting, ended := a.underWay > 0, a.ended
		l.mu.Unlock()
		if !waiting {
			return false
		}
		select {
		case <-ended:
		case <-ctx.Done():
			return false
		}
	}
}

func (l *allowances) end(name string, failed bool, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	a := l.used[name]
	a.underWay--
	if failed {
		if a.whole.Before(now) {
			a.whole = now
		}
		a.whole = a.whole.Add(l.every)
	}
	close(a.ended)
	a.ended = make(chan struct{})
	if a.idle(now) {
		delete(l.used, name)
	}
}

func (a *allowance) idle(now time.Time) bool { return a.underWay == 0 && !a.whole.After(now) }

// makeRoom forgets the names whose allowance is whole again, then any until a
// tenth is free: a flood of names must take neither the memory nor, one by
// one, the time. Those that are under way stay; each is a connection.
func (l *allowances) makeRoom(now time.Time) {
	if len(l.used) < maxAllowances {
		return
	}
	for name, a := range l.used {
		if a.idle(now) {
			delete(l.used, name)
		}
	}
	for name, a := range l.used {
		if len(l.used) <= maxAllowances*9/10 {
			return
		}
		if a.underWay == 0 {
			delete(l.used, name)
		}
	}
}
