// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package storetest

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/tegata/tegata/internal/store"
)

// Benchmark measures the acts that a busy provider asks for most, with more
// and more callers at a time.
func Benchmark(b *testing.B, open func(testing.TB) *store.DB) {
	i := AddIssuer(b, open(b), "one")
	for _, callers := range []int{1, 4, 16, 64} {
		var made atomic.Int64 // grants, in all runs
		b.Run(fmt.Sprintf("add-grant/%d", callers), func(b *testing.B) {
			manyAtOnce(b, callers, func(int, int) error {
				return i.AddGrant(b.Context(), Grant(fmt.Sprint(callers, "-", made.Add(1)), "c", "s"))
			})
		})
		// Each caller has the refresh token of its own login.
		b.Run(fmt.Sprintf("rotate/%d", callers), func(b *testing.B) {
			ids := make([]string, callers)
			for n := range ids {
				ids[n] = fmt.Sprint(callers, "+", made.Add(1))
				Check(b, i.AddGrant(b.Context(), Grant(ids[n], "c", "s")))
				Check(b, i.RedeemCode(b.Context(), ids[n], Noon))
			}
			b.ResetTimer()
			manyAtOnce(b, callers, func(caller, round int) error {
				return i.RotateRefreshToken(b.Context(), ids[caller], round+1, Noon)
			})
		})
		b.Run(fmt.Sprintf("read-grant/%d", callers), func(b *testing.B) {
			Check(b, i.AddGrant(b.Context(), Grant(fmt.Sprint("read", callers, "-", made.Add(1)), "c", "s")))
			id := fmt.Sprint("read", callers, "-", made.Load())
			b.ResetTimer()
			manyAtOnce(b, callers, func(int, int) error {
				_, err := i.Grant(b.Context(), id)
				return err
			})
		})
	}
}

// manyAtOnce lets so many callers act b.N times together.
func manyAtOnce(b *testing.B, callers int, act func(caller, round int) error) {
	var wait sync.WaitGroup
	for caller := range callers {
		wait.Go(func() {
			for n := caller; n < b.N; n += callers {
				if err := act(caller, n/callers); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wait.Wait()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "acts/s")
}
