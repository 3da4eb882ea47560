// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package authorize_test

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tegata/tegata/internal/provider/authorize"
)

// fail is a try that fails, if there may be one.
func fail(t *testing.T, throttle *authorize.Throttle, login, remote string) {
	t.Helper()
	if attempt, ok := throttle.Begin(t.Context(), login, remote); ok {
		attempt.End(true)
	}
}

// allowed is a look, which is not counted.
func allowed(t *testing.T, throttle *authorize.Throttle, login, remote string) bool {
	t.Helper()
	attempt, ok := throttle.Begin(t.Context(), login, remote)
	if ok {
		attempt.End(false)
	}
	return ok
}

// Tries that are under way take the allowance of those that come after, who
// wait: 100 at once that succeed all go on, and of 100 that fail, ten do.
func TestThrottleWaitsForThoseUnderWay(t *testing.T) {
	for _, test := range []struct {
		name   string
		failed bool
		want   int64
	}{{"successes", false, 100}, {"failures", true, 10}} {
		t.Run(test.name, func(t *testing.T) {
			throttle := authorize.NewThrottle(func() time.Time { return time.Unix(0, 0) })
			var looked, most, underWay atomic.Int64
			var all sync.WaitGroup
			for range 100 {
				all.Go(func() {
					attempt, ok := throttle.Begin(t.Context(), "alice", "192.0.2.1:1")
					if !ok {
						return
					}
					looked.Add(1)
					for now := underWay.Add(1); ; {
						if before := most.Load(); now <= before || most.CompareAndSwap(before, now) {
							break
						}
					}
					runtime.Gosched()
					underWay.Add(-1)
					attempt.End(test.failed)
				})
			}
			all.Wait()
			if looked.Load() != test.want || most.Load() > 10 {
				t.Errorf("%d passwords were looked at, %d at once; want %d, 10 at once", looked.Load(), most.Load(), test.want)
			}
		})
	}
}

// Whoever waits and goes away is not counted.
func TestThrottleLetsGoOfThoseWhoLeave(t *testing.T) {
	throttle := authorize.NewThrottle(func() time.Time { return time.Unix(0, 0) })
	var attempts []authorize.Attempt
	for range 10 {
		attempt, _ := throttle.Begin(t.Context(), "alice", "192.0.2.1:1")
		attempts = append(attempts, attempt)
	}
	gone, leave := context.WithCancel(t.Context())
	leave()
	if _, ok := throttle.Begin(gone, "alice", "192.0.2.1:2"); ok {
		t.Error("an eleventh try goes on while ten are under way")
	}
	for _, attempt := range attempts {
		attempt.End(false)
	}
	if !allowed(t, throttle, "alice", "192.0.2.1:3") {
		t.Error("after all ended well: refused")
	}
}

func TestThrottleRecovers(t *testing.T) {
	now := time.Date(2026, 12, 1, 9, 0, 0, 0, time.UTC)
	throttle := authorize.NewThrottle(func() time.Time { return now })
	failures := func(n int) {
		for range n {
			fail(t, throttle, "alice", "192.0.2.1:1234")
		}
	}
	allowed := func() bool { return allowed(t, throttle, "alice", "192.0.2.1:4321") }
	failures(9)
	if !allowed() {
		t.Error("after 9 failures: refused, want the tenth try")
	}
	failures(1)
	if allowed() {
		t.Error("after 10 failures: allowed")
	}
	now = now.Add(5*time.Second - time.Nanosecond)
	if allowed() {
		t.Error("a moment too early: allowed")
	}
	now = now.Add(time.Nanosecond)
	if !allowed() {
		t.Error("after 5 seconds: refused, want one try")
	}
	failures(1)
	if allowed() {
		t.Error("after that try: allowed")
	}
	now = now.Add(50 * time.Second)
	failures(9)
	if !allowed() {
		t.Error("after 50 quiet seconds: refused, want the whole allowance back")
	}
}

// Whoever guesses at an account, from one address and for as long as it may
// take, does not keep its owner out; a crowd of addresses is bounded all the
// same.
func TestThrottleLocksNobodyElseOut(t *testing.T) {
	now := time.Unix(0, 0)
	throttle := authorize.NewThrottle(func() time.Time { return now })
	for range 1000 {
		fail(t, throttle, "alice", "192.0.2.66:1")
		now = now.Add(100 * time.Millisecond)
	}
	if !allowed(t, throttle, "alice", "192.0.2.1:1") {
		t.Error("guesses from another address keep alice out")
	}
	looked := 0
	for n := range 200 {
		if attempt, ok := throttle.Begin(t.Context(), "bob", fmt.Sprintf("198.51.100.%d:1", n)); ok {
			looked++
			attempt.End(true)
		}
	}
	if looked != 100 {
		t.Errorf("200 addresses had %d guesses at one account, want 100", looked)
	}
}

func TestThrottleTellsSourcesApart(t *testing.T) {
	for _, test := range []struct {
		name, one, other string
		same             bool
	}{
		{"one address, two ports", "192.0.2.1:1", "192.0.2.1:2", true},
		{"two addresses", "192.0.2.1:1", "192.0.2.2:1", false},
		{"one IPv6 network", "[2001:db8::1]:1", "[2001:db8::ffff:1]:1", true},
		{"two IPv6 networks", "[2001:db8:0:1::1]:1", "[2001:db8:0:2::1]:1", false},
		{"no port", "192.0.2.1", "192.0.2.1:1", true},
	} {
		t.Run(test.name, func(t *testing.T) {
			throttle := authorize.NewThrottle(func() time.Time { return time.Unix(0, 0) })
			for n := range 50 {
				fail(t, throttle, fmt.Sprint("user-", n), test.one)
			}
			if got := !allowed(t, throttle, "somebody", test.other); got != test.same {
				t.Errorf("after 50 failures from %s: %s refused = %v, want %v", test.one, test.other, got, test.same)
			}
		})
	}
}

// Whatever a directory may take as one login has one allowance.
func TestThrottleTakesSpellingsOfANameAsOne(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		login     string
		spellings []string
		others    []string
	}{
		"case and spaces around":   {"alice", []string{" Alice ", "ALICE", "\talice\r\n"}, []string{"al1ce", "malice", ""}},
		"width":                    {"alice", []string{"ａｌｉｃｅ", "ＡＬＩＣＥ", "\u3000alice"}, nil},
		"accents":                  {"zoe muller", []string{"zoë müller", "zoe\u0308 mu\u0308ller", "Zoé Mǚller"}, nil},
		"spaces within":            {"ann lee", []string{"ann  lee", "ann\u00a0lee", "ann\u2003 \tlee"}, []string{"annlee"}},
		"what cannot be seen":      {"alice", []string{"al\u200bice", "\ufeffalice", "a\u00adlice", "alice\u2060", "al\u034fice", "ali\ufe0fce", "alice\x00", "al\u3164ice", "al\u180eice", "al\u1806ice", "alice\ufffc", "a\U000e0061lice"}, nil},
		"ligatures and signs":      {"office k", []string{"oﬃce \u212a", "ⓞffice k", "𝓸ffice k"}, nil},
		"sharp s and final sigma":  {"strasse σοφοσ", []string{"straße σοφος", "STRAẞE ΣΟΦΟΣ", "ſtrasse σοφοσ"}, nil},
		"the dotted and dotless i": {"diana", []string{"DİANA", "dıana"}, nil},
		"letters with a bar":       {"lodz oe", []string{"łóđƶ œ", "ŁØDZ oe"}, []string{"lods oe"}},
		"kana":                     {"がく", []string{"ガク", "ｶﾞｸ", "か\u3099く"}, []string{"きく"}},
		"not of this encoding":     {"al\xffice", []string{"AL\xffICE"}, []string{"alice"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, spelling := range test.spellings {
				throttle := authorize.NewThrottle(func() time.Time { return time.Unix(0, 0) })
				for n := range 10 {
					fail(t, throttle, []string{test.login, spelling}[n%2], "192.0.2.1:1")
				}
				if allowed(t, throttle, test.login, "192.0.2.1:1") || allowed(t, throttle, spelling, "192.0.2.1:1") {
					t.Errorf("%q and %q have more than one allowance", test.login, spelling)
				}
				for _, other := range test.others {
					if !allowed(t, throttle, other, "192.0.2.1:1") {
						t.Errorf("%q has the allowance of %q", other, test.login)
					}
				}
			}
		})
	}
}

// A flood of names must not take the memory.
func TestThrottleIsBounded(t *testing.T) {
	throttle := authorize.NewThrottle(func() time.Time { return time.Unix(0, 0) })
	heap := func() uint64 {
		var stats runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&stats)
		return stats.HeapAlloc
	}
	before := heap()
	for n := range 12_000 {
		fail(t, throttle, fmt.Sprint("user-", n), fmt.Sprintf("192.0.%d.%d:1", n/256%256, n%256))
	}
	if got := int64(heap() - before); got > 8<<20 {
		t.Errorf("12,000 names took %d bytes, want a few megabytes", got)
	}
	runtime.KeepAlive(throttle)
}

// What somebody typed may be 64 KiB. To keep 10,000 of those takes 640 MB.
func TestThrottleKeepsNoLongNames(t *testing.T) {
	throttle := authorize.NewThrottle(func() time.Time { return time.Unix(0, 0) })
	heap := func() uint64 {
		var stats runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&stats)
		return stats.HeapAlloc
	}
	before := heap()
	for n := range 200 {
		fail(t, throttle, strings.Repeat("x", 60_000)+fmt.Sprint(n), "192.0.2.1:1")
	}
	if got := int64(heap() - before); got > 2<<20 {
		t.Errorf("200 long names took %d bytes, want them bounded", got)
	}
	runtime.KeepAlive(throttle)
}
