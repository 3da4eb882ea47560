// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

// Package store keeps everything on SQLite: one file, durable, several
// processes at once.
//
//   - store.go: opening, migrating, reading
//   - commit.go: the one writer; concurrent writes share a commit
//   - issuer.go and the files named after what they keep: the rows
//
// An answer means that it is on disk (docs/adr/0007): a write returns after
// the commit that holds it was synchronized. An [Issuer] handle scopes every
// statement to one issuer, so that no caller can forget to.
//
// The store implements the small interfaces that the domain packages declare;
// it imports them, never the reverse, and only package admin imports it.
package store

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"github.com/gofrs/flock"
	"github.com/pressly/goose/v3"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

//go:embed migrations/*.sql
var migrations embed.FS

// DB is an open database. It is safe for concurrent use.
type DB struct {
	readers    *sql.DB
	statements sync.Map // query text → *sql.Stmt of readers
	writer     *committer
}

// Config is how a database is opened.
type Config struct {
	// Path is the database file. It is made, with mode 0600, if it does not
	// exist; its directory must.
	Path string
	// BusyTimeout is how long a write waits for another process. Zero means
	// five seconds.
	BusyTimeout time.Duration
}

// Open opens the database and brings its schema up to date. A database of a
// newer version is refused and left as it is.
func Open(ctx context.Context, c Config) (*DB, error) {
	if c.BusyTimeout == 0 {
		c.BusyTimeout = 5 * time.Second
	}
	// The journal files take the mode of the database file.
	file, err := os.OpenFile(c.Path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("opening the database: %w", err)
	}
	if err := file.Close(); err != nil {
		return nil, fmt.Errorf("opening the database: %w", err)
	}
	writing, err := sql.Open("sqlite", dsn(c, "synchronous(FULL)"))
	if err != nil {
		return nil, fmt.Errorf("opening %s: %w", c.Path, err)
	}
	writing.SetMaxOpenConns(1)
	if err := lockedMigrate(ctx, c.Path, writing); err != nil {
		return nil, errors.Join(fmt.Errorf("opening %s: %w", c.Path, plain(err)), writing.Close())
	}
	readers, err := sql.Open("sqlite", dsn(c, "query_only(1)"))
	if err != nil {
		return nil, errors.Join(fmt.Errorf("opening %s: %w", c.Path, err), writing.Close())
	}
	readers.SetMaxOpenConns(maxReaders)
	readers.SetMaxIdleConns(maxReaders)
	writer, err := startCommitter(ctx, writing)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("opening %s: %w", c.Path, plain(err)), readers.Close(), writing.Close())
	}
	return &DB{readers: readers, writer: writer}, nil
}

// maxReaders is more than there are processors, so that one slow read does
// not hold up the others; each costs some 100 KiB once it was used.
const maxReaders = 8

// migrationTimeout is how long another process may take to change the schema.
const migrationTimeout = 30 * time.Second

func dsn(c Config, pragmas ...string) string {
	path, err := filepath.Abs(c.Path)
	if err != nil {
		path = c.Path
	}
	query := url.Values{"_txlock": {"immediate"}, "_pragma": append([]string{
		"busy_timeout(" + strconv.FormatInt(c.BusyTimeout.Milliseconds(), 10) + ")",
		"journal_mode(WAL)",
		"foreign_keys(1)",
	}, pragmas...)}
	return "file:" + (&url.URL{Path: path}).EscapedPath() + "?" + query.Encode()
}

// lockedMigrate lets one process at a time look at the schema and change it.
func lockedMigrate(ctx context.Context, path string, db *sql.DB) (err error) {
	lock := flock.New(path+".lock", flock.SetPermissions(0o600))
	waiting, cancel := context.WithTimeout(ctx, migrationTimeout)
	defer cancel()
	if _, err := lock.TryLockContext(waiting, 10*time.Millisecond); ctx.Err() == nil && errors.Is(err, context.DeadlineExceeded) {
		return &UnavailableError{"another process has been changing the schema for " + migrationTimeout.String()}
	} else if err != nil {
		return fmt.Errorf("locking: %w", err)
	}
	defer func() { err = errors.Join(err, lock.Close()) }()
	return migrate(ctx, db)
}

func migrate(ctx context.Context, db *sql.DB) error {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return err
	}
	provider, err := goose.NewProvider(goose.DialectSQLite3, db, files, goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return err
	}
	sources := provider.ListSources()
	newest := sources[len(sources)-1].Version
	// Version 0 means a new file; goose makes its own table on the way up.
	has, err := provider.GetDBVersion(ctx)
	if err != nil {
		return err
	}
	if has > newest {
		return fmt.Errorf("the database has schema version %d, this program knows %d: it was written by a newer version", has, newest)
	}
	if has == newest {
		return nil
	}
	_, err = provider.Up(ctx)
	return err
}

// Close waits for the writes that were begun and closes the database.
func (db *DB) Close() error {
	return errors.Join(db.readers.Close(), db.writer.stop())
}

// Ping reports whether the database answers, within the deadline of ctx. If
// the last write failed, it tries one.
func (db *DB) Ping(ctx context.Context) error {
	var one int
	if err := db.row(ctx, `SELECT 1`).Scan(&one); err != nil {
		return plain(err)
	}
	if db.writer.lastFailure() == nil {
		return nil
	}
	return db.write(ctx, func(tx *tx) error { return tx.exec(`PRAGMA user_version = 0`) })
}

// statement prepares each query text once.
func (db *DB) statement(ctx context.Context, query string) (*sql.Stmt, error) {
	if stmt, ok := db.statements.Load(query); ok {
		return stmt.(*sql.Stmt), nil
	}
	stmt, err := db.readers.PrepareContext(ctx, query)
	if err != nil {
		return nil, err
	}
	if prior, loaded := db.statements.LoadOrStore(query, stmt); loaded {
		return prior.(*sql.Stmt), stmt.Close()
	}
	return stmt, nil
}

// scanner is a row, or why there is none.
type scanner interface{ Scan(into ...any) error }

type failedRow struct{ err error }

func (r failedRow) Scan(...any) error { return r.err }

func (db *DB) row(ctx context.Context, query string, args ...any) scanner {
	stmt, err := db.statement(ctx, query)
	if err != nil {
		return failedRow{err}
	}
	return stmt.QueryRowContext(ctx, args...)
}

// each calls read for each row.
func (db *DB) each(ctx context.Context, read func(scanner) error, query string, args ...any) error {
	stmt, err := db.statement(ctx, query)
	if err != nil {
		return plain(err)
	}
	rows, err := stmt.QueryContext(ctx, args...)
	if err != nil {
		return plain(err)
	}
	defer rows.Close()
	for rows.Next() {
		if err := read(rows); err != nil {
			return plain(err)
		}
	}
	return plain(rows.Err())
}

// UnavailableError means that the storage could not do now what it may do
// later: another process holds it, or the disk is full.
type UnavailableError struct{ reason string }

// Error implements [error].
func (e *UnavailableError) Error() string { return e.reason }

// Temporary reports that it is worth trying again.
func (e *UnavailableError) Temporary() bool { return true }

// plain turns SQLite's errors into ours where a caller or a person can do
// something about them.
func plain(err error) error {
	failure, ok := errors.AsType[*sqlite.Error](err)
	if !ok {
		return err
	}
	switch failure.Code() & 0xff {
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED:
		return &UnavailableError{"the database is locked by another process"}
	case sqlite3.SQLITE_FULL:
		return &UnavailableError{"the disk is full"}
	case sqlite3.SQLITE_IOERR:
		return &UnavailableError{"the disk does not take or give the data: " + failure.Error()}
	case sqlite3.SQLITE_READONLY:
		return &UnavailableError{"the database cannot be written: " + failure.Error()}
	case sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT:
		return errors.New("this is no SQLite database, or it is damaged")
	}
	return err
}

// conflict reports whether err says that a unique row is there already.
func conflict(err error) bool {
	failure, ok := errors.AsType[*sqlite.Error](err)
	return ok && failure.Code()&0xff == sqlite3.SQLITE_CONSTRAINT
}

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
