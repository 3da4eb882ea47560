// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"sync"
	"time"

	"github.com/gofrs/flock"
	"github.com/pressly/goose/v3"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// sqliteEngine is a file: readers that never wait, and the one writer.
type sqliteEngine struct {
	config  Config
	readers *sql.DB
	reading *prepared
	writer  *committer
}

func openSQLite(ctx context.Context, c Config) (engine, error) {
	if c.BusyTimeout == 0 {
		c.BusyTimeout = 5 * time.Second
	}
	if _, err := os.Stat(c.Path); c.Existing && errors.Is(err, os.ErrNotExist) {
		return nil, ErrNoData
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
	return &sqliteEngine{c, readers, &prepared{preparer: readers}, writer}, nil
}

// maxReaders is more than there are processors, so that one slow read does
// not hold up the others; each costs some 100 KiB once it was used.
const maxReaders = 8

func dsn(c Config, pragmas ...string) string {
	query := url.Values{"_txlock": {"immediate"}, "_pragma": append([]string{
		"busy_timeout(" + strconv.FormatInt(c.BusyTimeout.Milliseconds(), 10) + ")",
		"journal_mode(WAL)",
		"foreign_keys(1)",
	}, pragmas...)}
	return "file:" + escapedPath(c.Path) + "?" + query.Encode()
}

func escapedPath(path string) string {
	if absolute, err := filepath.Abs(path); err == nil {
		path = absolute
	}
	return (&url.URL{Path: path}).EscapedPath()
}

// lockedMigrate lets one process at a time look at the schema and change it.
func lockedMigrate(ctx context.Context, path string, db *sql.DB) (err error) {
	lock := flock.New(path+".lock", flock.SetPermissions(0o600))
	waiting, cancel := context.WithTimeout(ctx, migrationTimeout)
	defer cancel()
	if _, err := lock.TryLockContext(waiting, 10*time.Millisecond); ctx.Err() == nil && errors.Is(err, context.DeadlineExceeded) {
		return errMigrating()
	} else if err != nil {
		return fmt.Errorf("locking: %w", err)
	}
	defer func() { err = errors.Join(err, lock.Close()) }()
	return migrate(ctx, goose.DialectSQLite3, db)
}

func (e *sqliteEngine) read(ctx context.Context, do func(context.Context, querier) (bool, error)) error {
	_, err := do(ctx, e.reading)
	return err
}

func (e *sqliteEngine) write(ctx context.Context, do func(*tx) error) error {
	return e.writer.write(ctx, do)
}

func (e *sqliteEngine) snapshot(ctx context.Context, do func(querier) error) error {
	conn, err := e.readers.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	if _, err := conn.ExecContext(ctx, `BEGIN DEFERRED`); err != nil {
		return err
	}
	err = do(conn)
	_, ended := conn.ExecContext(context.WithoutCancel(ctx), `ROLLBACK`)
	return errors.Join(err, ended)
}

// ping tries a write if the last one failed.
func (e *sqliteEngine) ping(ctx context.Context) error {
	_, err := eachRow(ctx, e.reading, func(scanner) error { return nil }, `SELECT 1`, nil)
	if err != nil || e.writer.lastFailure() == nil {
		return err
	}
	return e.write(ctx, func(tx *tx) error { return tx.exec(`PRAGMA user_version = 0`) })
}

func (e *sqliteEngine) close() error { return errors.Join(e.readers.Close(), e.writer.stop()) }

// prepared is a querier that prepares each query text once.
type prepared struct {
	preparer interface {
		PrepareContext(ctx context.Context, query string) (*sql.Stmt, error)
	}
	statements sync.Map // query text → *sql.Stmt
}

// rowLocks are words for PostgreSQL alone: SQLite has one writer, whom
// nothing changes under the hands.
var rowLocks = regexp.MustCompile(` FOR (SHARE|NO KEY UPDATE)\b`)

func (p *prepared) statement(ctx context.Context, query string) (*sql.Stmt, error) {
	if stmt, ok := p.statements.Load(query); ok {
		return stmt.(*sql.Stmt), nil
	}
	stmt, err := p.preparer.PrepareContext(ctx, rowLocks.ReplaceAllString(query, ""))
	if err != nil {
		return nil, err
	}
	if prior, loaded := p.statements.LoadOrStore(query, stmt); loaded {
		return prior.(*sql.Stmt), stmt.Close()
	}
	return stmt, nil
}

// ExecContext implements querier.
func (p *prepared) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	stmt, err := p.statement(ctx, query)
	if err != nil {
		return nil, err
	}
	return stmt.ExecContext(ctx, args...)
}

// QueryContext implements querier.
func (p *prepared) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	stmt, err := p.statement(ctx, query)
	if err != nil {
		return nil, err
	}
	return stmt.QueryContext(ctx, args...)
}

func plainSQLite(err error) error {
	failure, ok := errors.AsType[*sqlite.Error](err)
	if !ok {
		return err
	}
	switch failure.Code() & 0xff {
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED:
		return &UnavailableError{reason: "the database is locked by another process"}
	case sqlite3.SQLITE_FULL:
		return &UnavailableError{reason: "the disk is full"}
	case sqlite3.SQLITE_IOERR:
		return &UnavailableError{reason: "the disk does not take or give the data: " + failure.Error()}
	case sqlite3.SQLITE_READONLY:
		return &UnavailableError{reason: "the database cannot be written: " + failure.Error()}
	case sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT:
		return errors.New("this is no SQLite database, or it is damaged")
	}
	return err
}

func conflictSQLite(err error) bool {
	failure, ok := errors.AsType[*sqlite.Error](err)
	return ok && failure.Code()&0xff == sqlite3.SQLITE_CONSTRAINT
}
