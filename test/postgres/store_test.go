// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package postgres_test

import (
	"path/filepath"
	"testing"

	"github.com/tegata/tegata/internal/store"
	"github.com/tegata/tegata/internal/store/storetest"
	"github.com/tegata/tegata/test/postgres"
)

// The suite that SQLite passes, through each way that a statement can take to
// the server; one of them is a single connection.
func TestStorageOnPostgreSQL(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name        string
		parameters  string
		connections int
	}{
		{"prepared", "", 4},
		{"exec, one connection", "&default_query_exec_mode=exec", 1},
		{"simple protocol", "&default_query_exec_mode=simple_protocol", 2},
	} {
		t.Run(test.name, func(t *testing.T) {
			storetest.Run(t, func(t testing.TB) *store.DB {
				return open(t, store.Postgres{URL: shared.Schema(t) + test.parameters, MaxConnections: test.connections})
			})
		})
	}
}

// Everything moves from SQLite to PostgreSQL and back, to the last byte.
func TestExportMovesBetweenTheEngines(t *testing.T) {
	t.Parallel()
	onSQLite := func() *store.DB {
		db, err := store.Open(t.Context(), store.Config{Path: filepath.Join(t.TempDir(), "tegata.db")})
		storetest.Check(t, err)
		t.Cleanup(func() { storetest.Check(t, db.Close()) })
		return db
	}
	here, there, back := onSQLite(), open(t, store.Postgres{URL: shared.Schema(t)}), onSQLite()
	storetest.Fill(t, here)
	storetest.Move(t, here, there)
	storetest.Move(t, there, back)
	storetest.Works(t, there)
	storetest.Works(t, back)
}

// PostgreSQL has better ways to back itself up.
func TestBackupIsForSQLite(t *testing.T) {
	t.Parallel()
	db := open(t, store.Postgres{URL: shared.Schema(t)})
	storetest.WantErr(t, "backup", db.Backup(t.Context(), filepath.Join(t.TempDir(), "copy.db")), store.ErrNoBackup)
}

func BenchmarkPostgreSQL(b *testing.B) {
	server := postgres.Start(b) // with fsync, as a real one
	storetest.Benchmark(b, func(t testing.TB) *store.DB {
		return open(t, store.Postgres{URL: server.Database(t)})
	})
}
