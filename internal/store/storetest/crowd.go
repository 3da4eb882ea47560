// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package storetest

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"
)

// Sixteen times as many workers as connections, each of them reading and
// writing: nobody waits for somebody who waits for a connection.
const workers = 128

func moreWorkersThanConnections(t *testing.T, open Opener) {
	i := fresh(t, open)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Second)
	defer cancel()
	Check(t, i.AddGroup(ctx, "g", Noon))
	var wait sync.WaitGroup
	for n := range workers {
		wait.Go(func() {
			id := fmt.Sprint("worker", n)
			for _, act := range []func() error{
				func() error { return i.AddAccount(ctx, Account(id), Noon) },
				func() error { return i.AddGrant(ctx, Grant(id, "c", id)) },
				func() error { return i.RedeemCode(ctx, id, Noon) },
				func() error { _, err := i.AccountByLogin(ctx, id); return err },
				func() error { return i.AddMember(ctx, "g", Account(id).Subject) },
				func() error { _, err := i.GroupList(ctx); return err },
				func() error { return i.RotateRefreshToken(ctx, id, 1, Noon) },
				func() error { _, err := i.Grant(ctx, id); return err },
			} {
				if err := act(); err != nil {
					t.Errorf("%s: %v", id, err)
					return
				}
			}
		})
	}
	wait.Wait()
	accounts, err := i.AccountList(ctx)
	Check(t, err)
	if len(accounts) != workers {
		t.Errorf("got %d accounts, want %d", len(accounts), workers)
	}
}

func readSeesTheWrite(t *testing.T, open Opener) {
	i := fresh(t, open)
	Check(t, i.AddGrant(t.Context(), Grant("g", "c", "s")))
	Check(t, i.RedeemCode(t.Context(), "g", Noon))
	for n := 1; n < 200; n++ {
		Check(t, i.RotateRefreshToken(t.Context(), "g", n, Noon))
		if g, err := i.Grant(t.Context(), "g"); err != nil || g.Generation != n+1 {
			t.Fatalf("after rotation %d: generation %d, %v", n, g.Generation, err)
		}
	}
}
