// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"

	"github.com/jackc/pgx/v5"
)

// Write runs do in the writer's transaction, as every method does.
func (db *DB) Write(ctx context.Context, do func(exec func(query string, args ...any) error) error) error {
	return db.write(ctx, func(tx *tx) error { return do(tx.exec) })
}

// Queued is how many writes wait for the writer.
func (db *DB) Queued() int { return len(db.engine.(*sqliteEngine).writer.jobs) }

// MaxBatch is how many writes share a commit at the most.
const MaxBatch = maxBatch

// MaxReaders is how many connections read.
const MaxReaders = maxReaders

// ErrClosed is what a write gets from a closed database.
var ErrClosed = errClosed

// Tables are the tables of an export.
var Tables = tables

// Connection is what the PostgreSQL driver is told.
func (p Postgres) Connection() (*pgx.ConnConfig, error) { return p.connection() }
