// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tegata/tegata/internal/provider/grant"
	"github.com/tegata/tegata/internal/store"
	"github.com/tegata/tegata/internal/store/storetest"
	"github.com/tegata/tegata/test/postgres"
)

// ledger is what was answered: the generation of the newest refresh token of
// each grant.
type ledger struct {
	mu       sync.Mutex // guards the fields below
	answered map[string]int
	count    int
}

func (l *ledger) write(id string, generation int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.answered[id] = max(l.answered[id], generation)
	l.count++
}

// work makes grants and rotates their tokens until ctx ends. What fails is
// tried again, as a client does that got no answer.
func work(ctx context.Context, t *testing.T, i *store.Issuer, answers *ledger) {
	insist := func(act func() error, done error) bool {
		for ctx.Err() == nil {
			err := act()
			switch {
			case err == nil, done != nil && errors.Is(err, done):
				return true
			case !storetest.Unavailable(err) && ctx.Err() == nil:
				t.Errorf("got %T %v, want an UnavailableError", err, err)
				return false
			}
			time.Sleep(5 * time.Millisecond)
		}
		return false
	}
	for ctx.Err() == nil {
		id := grant.NewID()
		if i.AddGrant(ctx, storetest.Grant(id, "c", "s")) != nil {
			time.Sleep(5 * time.Millisecond)
			continue
		}
		answers.write(id, 0)
		// ErrCodeUsed: the first time it was made, and its answer was lost.
		if !insist(func() error { return i.RedeemCode(ctx, id, storetest.Noon) }, grant.ErrCodeUsed) {
			continue
		}
		answers.write(id, 1)
		for from := 1; from < 5; from++ {
			if !insist(func() error { return i.RotateRefreshToken(ctx, id, from, storetest.Noon) }, grant.ErrSuperseded) {
				break
			}
			answers.write(id, from+1)
		}
	}
}

// kill -9 of the server, and a restart by its administrator, again and again
// under load: the same pool goes on by itself, and nothing that was answered
// is lost.
func TestServerThatDiesLosesNothingAnswered(t *testing.T) {
	t.Parallel()
	server := postgres.Start(t)
	db := open(t, store.Postgres{URL: server.Database(t), MaxConnections: 8})
	i := storetest.AddIssuer(t, db, "one")
	answers := &ledger{answered: map[string]int{}}
	ctx, cancel := context.WithCancel(t.Context())
	var workers sync.WaitGroup
	for range 16 {
		workers.Go(func() { work(ctx, t, i, answers) })
	}
	total := func() int {
		answers.mu.Lock()
		defer answers.mu.Unlock()
		return answers.count
	}
	await := func(n int) {
		t.Helper()
		for deadline := time.Now().Add(time.Minute); total() < n; time.Sleep(time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("%d answers, want %d; the log of the server:\n%s", total(), n, server.Log())
			}
		}
	}
	for round := range 6 {
		await(total() + 100 + rand.IntN(200))
		if round%2 == 0 {
			server.Kill()
		} else {
			server.Stop()
		}
		down, stop := context.WithTimeout(t.Context(), time.Second)
		if err := db.Ping(down); !storetest.Unavailable(err) {
			t.Errorf("round %d: while the server is down, Ping says %v", round, err)
		}
		stop()
		storetest.Check(t, server.Restart())
		began := time.Now()
		await(total() + 100)
		if err := db.Ping(t.Context()); err != nil {
			t.Errorf("round %d: after the restart, Ping says %v", round, err)
		}
		t.Logf("round %d: %d answers so far; working again after %s", round, total(), time.Since(began).Round(time.Millisecond))
	}
	cancel()
	workers.Wait()
	for id, generation := range answers.answered {
		g, err := i.Grant(t.Context(), id)
		if err != nil || g.Generation < generation {
			t.Errorf("grant %s: got generation %d, %v; %d was answered", id, g.Generation, err, generation)
		}
	}
}

// 64 workers on four connections, for thousands of acts: none fails, and none
// waits for somebody who waits for a connection.
func TestManyWorkersOnFewConnectionsNeverFail(t *testing.T) {
	t.Parallel()
	db := open(t, store.Postgres{URL: shared.Database(t), MaxConnections: 4})
	i := storetest.AddIssuer(t, db, "one")
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	storetest.Check(t, i.AddGroup(ctx, "g", storetest.Noon))
	const workers, rounds = 64, 8
	var acts atomic.Int64
	var wait sync.WaitGroup
	for n := range workers {
		wait.Go(func() {
			user := storetest.Account(fmt.Sprint("worker", n))
			id := string(user.Subject)
			for round := range rounds {
				session, of := fmt.Sprint(id, "-", round), fmt.Sprint(id, "+", round)
				g := storetest.Grant(of, "c", id)
				g.SessionID = session
				for _, act := range []func() error{
					func() error { return i.AddAccount(ctx, user, storetest.Noon) },
					func() error { _, err := i.AccountByLogin(ctx, user.Username); return err },
					func() error { return i.AddSession(ctx, storetest.Session(session, id)) },
					func() error { return i.AddGrant(ctx, g) },
					func() error { return i.RedeemCode(ctx, of, storetest.Noon) },
					func() error { return i.RotateRefreshToken(ctx, of, 1, storetest.Noon) },
					func() error { return i.AddMember(ctx, "g", user.Subject) },
					func() error { _, err := i.Grant(ctx, of); return err },
					func() error { return i.RotateRefreshToken(ctx, of, 2, storetest.Noon) },
					func() error { _, err := i.AccountBySubject(ctx, user.Subject); return err },
					func() error { return i.DeleteAccount(ctx, user.Subject, storetest.Noon) },
				} {
					if err := act(); err != nil {
						t.Errorf("%s: %v", id, err)
						return
					}
					acts.Add(1)
				}
			}
		})
	}
	wait.Wait()
	if want := int64(workers * rounds * 11); acts.Load() != want {
		t.Errorf("%d acts, want %d", acts.Load(), want)
	}
}
