// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package authorize_test

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/tegata/tegata/internal/provider/authorize"
)

func TestThrottleRecovers(t *testing.T) {
	now := time.Date(2026, 12, 1, 9, 0, 0, 0, time.UTC)
	throttle := authorize.NewThrottle(func() time.Time { return now })
	fail := func(n int) {
		for range n {
			throttle.Attempt("alice", "192.0.2.1:1234").Allowed()
		}
	}
	allowed := func() bool { // a look, which is not counted
		attempt := throttle.Attempt("alice", "192.0.2.2:1234")
		ok := attempt.Allowed()
		if ok {
			attempt.Forget()
		}
		return ok
	}
	fail(9)
	if !allowed() {
		t.Error("after 9 failures: refused, want the tenth try")
	}
	fail(1)
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
	fail(1)
	if allowed() {
		t.Error("after that try: allowed")
	}
	now = now.Add(50 * time.Second)
	fail(9)
	if !allowed() {
		t.Error("after 50 quiet seconds: refused, want the whole allowance back")
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
				throttle.Attempt(fmt.Sprint("user-", n), test.one).Allowed()
			}
			if got := !throttle.Attempt("somebody", test.other).Allowed(); got != test.same {
				t.Errorf("after 50 failures from %s: %s refused = %v, want %v", test.one, test.other, got, test.same)
			}
		})
	}
}

func TestThrottleTakesSpellingsOfANameAsOne(t *testing.T) {
	throttle := authorize.NewThrottle(func() time.Time { return time.Unix(0, 0) })
	for n := range 10 {
		throttle.Attempt([]string{"alice", " Alice ", "ALICE"}[n%3], fmt.Sprintf("192.0.2.%d:1", n)).Allowed()
	}
	if throttle.Attempt("aLiCe", "192.0.2.99:1").Allowed() {
		t.Error("another spelling of the name is allowed more")
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
		throttle.Attempt(fmt.Sprint("user-", n), fmt.Sprintf("192.0.%d.%d:1", n/256%256, n%256)).Allowed()
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
		throttle.Attempt(strings.Repeat("x", 60_000)+fmt.Sprint(n), "192.0.2.1:1").Allowed()
	}
	if got := int64(heap() - before); got > 2<<20 {
		t.Errorf("200 long names took %d bytes, want them bounded", got)
	}
	runtime.KeepAlive(throttle)
}
