// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

// Package store keeps everything, on SQLite or on PostgreSQL.
//
//   - store.go: opening and reading; the seam between the two engines
//   - schema.go: migrations
//   - sqlite.go, commit.go: one file, several processes at once, and the one
//     writer, whose concurrent writes share a commit
//   - postgres.go, postgresurl.go: a pool of connections, several replicas
//   - issuer.go and the files named after what they keep: the rows
//   - stream.go, export.go, import.go, backup.go: everything at once
//
// An answer means that it is on disk (docs/adr/0007): a write returns after
// the commit that holds it was synchronized. An [Issuer] handle scopes every
// statement to one issuer, so that no caller can forget to.
//
// The store implements the small interfaces that the domain packages declare;
// it imports them, never the reverse, and only package admin imports it.
//
// # One SQL text for both
//
// The files of the rows do not know which engine they run on. They read with
// DB.row and DB.each and write in a function that they hand to DB.write, and
// keep to these rules (docs/adr/0010):
//
//   - Such a function uses its tx for everything, never the DB: it would wait
//     for a second connection while it holds the first. It may run more than
//     once, and leaves nothing behind outside the database but its results.
//   - On SQLite there is one writer at a time. PostgreSQL has many, and each
//     statement sees what was committed before it. A decision that stands on
//     a row of another table, or on an earlier SELECT, locks that row: FOR
//     SHARE, or FOR NO KEY UPDATE to keep others with the same lock waiting.
//     SQLite is not shown these words.
//   - A statement that may fail without ending the transaction goes through
//     tx.try; PostgreSQL refuses every other one after a failure.
//   - Texts are UTF-8 without NUL. What is not is found nowhere and kept
//     nowhere.
//   - Types are TEXT, which sorts by bytes on both, INTEGER and BIGINT.
package store

import (
	"context"
	"database/sql"
	"errors"
	"reflect"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/tegata/tegata/internal/secret"
)

// DB is an open database. It is safe for concurrent use.
type DB struct{ engine engine }

// engine is what SQLite and PostgreSQL each do in their own way.
type engine interface {
	// read hands out what queries run on. It may run do again if a connection
	// broke before do had begun to hand out rows.
	read(ctx context.Context, do func(context.Context, querier) (begun bool, err error)) error
	// write carries out do in a transaction, and returns when it is on disk.
	write(ctx context.Context, do func(*tx) error) error
	// snapshot hands out queries that all see the same moment.
	snapshot(ctx context.Context, do func(querier) error) error
	// ping reports whether reading and writing would work.
	ping(ctx context.Context) error
	// close waits for the writes that were begun.
	close() error
}

// querier runs statements: a connection of a database/sql pool, or what
// prepares each statement once.
type querier interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// Config is how a database is opened: the file at Path, or Postgres if it is
// given.
type Config struct {
	// Path is the SQLite database file. It is made, with mode 0600, if it
	// does not exist; its directory must.
	Path string
	// BusyTimeout is how long a write to it waits for another process. Zero
	// means five seconds.
	BusyTimeout time.Duration

	Postgres *Postgres
	// Existing refuses a database in which nothing was ever kept, with
	// [ErrNoData].
	Existing bool
}

// Postgres says where a PostgreSQL database is.
type Postgres struct {
	URL      string        // as [CheckPostgresURL] wants it
	Password secret.String // empty: what libpq's environment and files say
	CAFile   string        // PEM; empty: the authorities of the system
	// MaxConnections is the most that are open at once. Zero means 16.
	MaxConnections int
	// Timeout is for one statement, for a connection to be made, and for
	// waiting until one is free. Zero means ten seconds.
	Timeout time.Duration
}

// ErrNoData means that nothing was ever kept in the database.
var ErrNoData = errors.New("there is no data in the database")

// Open opens the database and brings its schema up to date. A database of a
// newer version is refused and left as it is.
func Open(ctx context.Context, c Config) (*DB, error) {
	var opened engine
	var err error
	if c.Postgres != nil {
		opened, err = openPostgres(ctx, *c.Postgres, c.Existing)
	} else {
		opened, err = openSQLite(ctx, c)
	}
	if err != nil {
		return nil, err
	}
	return &DB{opened}, nil
}

// Close waits for the writes that were begun and closes the database.
func (db *DB) Close() error { return db.engine.close() }

// Ping reports whether the database answers, within the deadline of ctx. If
// the last write failed, it tries one.
func (db *DB) Ping(ctx context.Context) error { return plain(db.engine.ping(ctx)) }

// write runs do inside a transaction and returns after its commit is on disk.
// do must not use the network nor wait for anybody. If ctx ends first, the
// write may or may not happen.
func (db *DB) write(ctx context.Context, do func(*tx) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return plain(db.engine.write(ctx, do))
}

// each calls read for each row.
func (db *DB) each(ctx context.Context, read func(scanner) error, query string, args ...any) error {
	return plain(db.engine.read(ctx, func(ctx context.Context, q querier) (bool, error) {
		return eachRow(ctx, q, read, query, args)
	}))
}

// row is the first row of the query.
func (db *DB) row(ctx context.Context, query string, args ...any) scanner {
	return firstRow{func(read func(scanner) error) error { return db.each(ctx, read, query, args...) }}
}

// scanner is a row, or why there is none.
type scanner interface{ Scan(into ...any) error }

// firstRow runs its query when it is scanned.
type firstRow struct {
	each func(read func(scanner) error) error
}

// Scan implements [scanner].
func (r firstRow) Scan(into ...any) error {
	found := false
	err := r.each(func(row scanner) error {
		if found {
			return nil
		}
		found = true
		return row.Scan(into...)
	})
	if err == nil && !found {
		return sql.ErrNoRows
	}
	return err
}

// eachRow reports in begun whether read was called.
func eachRow(ctx context.Context, q querier, read func(scanner) error, query string, args []any) (begun bool, err error) {
	if !areTexts(args) {
		return false, nil // no row holds it
	}
	rows, err := q.QueryContext(ctx, query, args...)
	if err != nil {
		return false, err
	}
	defer rows.Close()
	for rows.Next() {
		begun = true
		if err := read(rows); err != nil {
			return begun, err
		}
	}
	return begun, rows.Err()
}

// tx is the transaction that a write runs in.
type tx struct {
	// ctx is the caller's on PostgreSQL. On SQLite the transaction belongs to
	// several callers, and no statement stops when one of them goes away.
	ctx context.Context
	querier
	postgres bool
	limit    time.Duration // of one statement; 0: none
	failed   error         // after it PostgreSQL takes no other statement
}

var errNoText = errors.New("a text that is not UTF-8, or holds the character NUL, cannot be kept")

// changed runs a statement and returns how many rows it changed.
func (t *tx) changed(query string, args ...any) (changed int64, err error) {
	if !areTexts(args) {
		return 0, errNoText
	}
	err = t.bounded(func(ctx context.Context) error {
		result, err := t.ExecContext(ctx, query, args...)
		if err == nil {
			changed, err = result.RowsAffected()
		}
		return err
	})
	return changed, err
}

func (t *tx) exec(query string, args ...any) error {
	_, err := t.changed(query, args...)
	return err
}

// each calls read for each row.
func (t *tx) each(read func(scanner) error, query string, args ...any) error {
	return t.bounded(func(ctx context.Context) error {
		_, err := eachRow(ctx, t, read, query, args)
		return err
	})
}

// row is the first row of the query.
func (t *tx) row(query string, args ...any) scanner {
	return firstRow{func(read func(scanner) error) error { return t.each(read, query, args...) }}
}

// bounded runs one statement within its time, and remembers its failure.
func (t *tx) bounded(run func(context.Context) error) error {
	err := within(t.ctx, t.limit, run)
	if t.postgres && t.failed == nil {
		t.failed = err
	}
	return err
}

// try runs do and, if it fails, undoes it; the transaction goes on.
func (t *tx) try(do func() error) error {
	if err := t.exec(`SAVEPOINT trial`); err != nil {
		return err
	}
	failure := do()
	if failure != nil {
		t.failed = nil
		if err := t.exec(`ROLLBACK TO SAVEPOINT trial`); err != nil {
			return err
		}
	}
	if err := t.exec(`RELEASE SAVEPOINT trial`); err != nil {
		return err
	}
	return failure
}

// within gives run a limited time; none if the limit is 0. What the caller
// gives up is not the database's failure, and what takes too long is.
func within(ctx context.Context, limit time.Duration, run func(context.Context) error) error {
	if limit == 0 {
		return run(ctx)
	}
	bounded, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	err := run(bounded)
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return ctx.Err()
	case bounded.Err() != nil:
		return &UnavailableError{reason: "the database did not answer within " + limit.String()}
	}
	return err
}

// areTexts reports whether both engines can keep the arguments.
func areTexts(args []any) bool {
	for _, arg := range args {
		if v := reflect.ValueOf(arg); v.Kind() == reflect.String && (!utf8.ValidString(v.String()) || strings.IndexByte(v.String(), 0) >= 0) {
			return false
		}
	}
	return true
}

// UnavailableError means that the storage could not do now what it may do
// later: another process holds it, it cannot be reached, or its disk is full.
type UnavailableError struct {
	reason string
	// unknown: whether the write happened nobody can say.
	unknown bool
}

// Error implements [error].
func (e *UnavailableError) Error() string { return e.reason }

// Temporary reports that it is worth trying again.
func (e *UnavailableError) Temporary() bool { return true }

// Unknown reports that a write may have happened all the same: the connection
// broke between its commit and the answer. It is false if nothing was changed.
func (e *UnavailableError) Unknown() bool { return e.unknown }

// plain turns the engines' errors into ours where a caller or a person can do
// something about them.
func plain(err error) error { return plainPostgres(plainSQLite(err)) }

// conflict reports whether err says that a unique row is there already, or
// that a row that another one needs is not.
func conflict(err error) bool { return conflictSQLite(err) || conflictPostgres(err) }

// millis is how times are kept; the zero time is 0.
func millis(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

func fromMillis(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms)
}

func oneIf(yes bool) int {
	if yes {
		return 1
	}
	return 0
}
