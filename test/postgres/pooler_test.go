// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package postgres_test

import (
	"errors"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/tegata/tegata/internal/store"
	"github.com/tegata/tegata/internal/store/storetest"
	"github.com/tegata/tegata/test/postgres"
)

// Behind a pooler that gives each transaction another connection, and each
// database four, everything works as without it.
func TestStorageBehindAPooler(t *testing.T) {
	t.Parallel()
	server := postgres.Start(t, "fsync=off")
	through := server.Pooler(t)
	t.Run("suite", func(t *testing.T) {
		storetest.Run(t, func(t testing.TB) *store.DB {
			return open(t, store.Postgres{URL: through(server.Database(t)) + "?default_query_exec_mode=exec"})
		})
	})
	// Without the parameter the driver prepares statements on one connection
	// and finds itself on another: the message says what to do.
	t.Run("prepared statements", func(t *testing.T) {
		const want = "a pooler in front of PostgreSQL does not keep prepared statements; add default_query_exec_mode=exec to the URL"
		url := server.Database(t)
		open(t, store.Postgres{URL: url})
		db := open(t, store.Postgres{URL: through(url)})
		var told atomic.Bool
		var wait sync.WaitGroup
		for range 16 {
			wait.Go(func() {
				for range 50 {
					if _, err := db.IssuerRecord(t.Context(), "one"); errors.Is(err, store.ErrNoIssuer) {
						continue
					} else if err == nil || err.Error() != want {
						t.Errorf("got %v, want: %s", err, want)
					}
					told.Store(true)
				}
			})
		}
		wait.Wait()
		if !told.Load() {
			t.Error("nothing was said")
		}
	})
}
