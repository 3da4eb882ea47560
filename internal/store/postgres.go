// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package store

import (
	"cmp"
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
)

// postgresEngine is a pool of connections. Each write is a transaction of its
// own; PostgreSQL lets concurrent commits share one synchronization by itself.
type postgresEngine struct {
	pool  *sql.DB
	begin string // how a transaction begins
	// attempts is how often an act is tried: each connection of the pool may
	// have broken since it was used last, and deadlocks are rarer still.
	attempts int
	timeout  time.Duration

	mu      sync.Mutex // guards the fields below
	closed  bool
	failure error // of the last write: what keeps all writes from working

	writes sync.WaitGroup // those that were begun
}

const (
	defaultConnections = 16
	defaultTimeout     = 10 * time.Second // far more than any of our statements takes
	// connectionLifetime spreads the connections over servers that are added
	// behind one name.
	connectionLifetime = 30 * time.Minute
	deadlocks          = 8
)

func openPostgres(ctx context.Context, c Postgres, existing bool) (engine, error) {
	c.MaxConnections = cmp.Or(c.MaxConnections, defaultConnections)
	c.Timeout = cmp.Or(c.Timeout, defaultTimeout)
	config, err := c.connection()
	if err != nil {
		return nil, err
	}
	e := &postgresEngine{pool: stdlib.OpenDB(*config), attempts: c.MaxConnections + 1 + deadlocks, timeout: c.Timeout}
	e.pool.SetMaxOpenConns(c.MaxConnections)
	e.pool.SetMaxIdleConns(c.MaxConnections)
	e.pool.SetConnMaxLifetime(connectionLifetime)
	if err := e.prepare(ctx, existing); err != nil {
		return nil, errors.Join(plainPostgres(err), e.pool.Close())
	}
	migrating := stdlib.OpenDB(*config) // a pool of its own, in which the lock takes no connection away
	if err := aloneMigrate(ctx, migrating); err != nil {
		return nil, errors.Join(fmt.Errorf("opening the database: %w", plainPostgres(err)), migrating.Close(), e.pool.Close())
	}
	return e, migrating.Close()
}

// prepare looks at the server's settings.
func (e *postgresEngine) prepare(ctx context.Context, existing bool) error {
	var commit, encoding string
	var has bool
	err := e.read(ctx, func(ctx context.Context, q querier) (bool, error) {
		return eachRow(ctx, q, func(row scanner) error { return row.Scan(&commit, &encoding, &has) },
			`SELECT current_setting('synchronous_commit'), current_setting('server_encoding'), to_regclass('goose_db_version') IS NOT NULL`, nil)
	})
	switch {
	case err != nil:
		return err
	case encoding != "UTF8":
		return fmt.Errorf("the database has the encoding %s and cannot keep every name; make one with ENCODING 'UTF8' TEMPLATE template0", encoding)
	case existing && !has:
		return ErrNoData
	}
	// All of this in one message to the server. SET LOCAL also holds behind a
	// pooler that gives each transaction another connection.
	e.begin = fmt.Sprintf(`BEGIN ISOLATION LEVEL READ COMMITTED;
		SET LOCAL statement_timeout = %[1]d; SET LOCAL idle_in_transaction_session_timeout = %[1]d`, e.timeout.Milliseconds())
	if commit == "off" { // docs/adr/0007: an answer means that it is on disk
		e.begin += `; SET LOCAL synchronous_commit = on`
	}
	return nil
}

// The keys of the locks that only one process of all may hold.
const (
	lockMigration = 0x7e6a7a01 + iota
	lockSweep
)

// tryLock takes a lock until the end of the transaction. It is one for each
// schema, so that two providers in one database do not meet.
const tryLock = `SELECT pg_try_advisory_xact_lock($1, hashtext(current_schema()))`

// alone reports whether this transaction may do what only one at a time does.
func (t *tx) alone(lock int32) (yes bool, err error) {
	if !t.postgres {
		return true, nil // there is only one
	}
	err = t.row(tryLock, lock).Scan(&yes)
	return yes, err
}

// aloneMigrate lets one process at a time look at the schema and change it.
// The lock is a transaction's, not a session's, because a session's is lost
// behind a pooler.
func aloneMigrate(ctx context.Context, db *sql.DB) error {
	waiting, cancel := context.WithTimeout(ctx, migrationTimeout)
	defer cancel()
	for {
		done, err := tryMigrate(ctx, db)
		if err != nil || done {
			return err
		}
		pause := time.NewTimer(50 * time.Millisecond)
		select {
		case <-pause.C:
		case <-waiting.Done():
			pause.Stop()
			if ctx.Err() != nil {
				return ctx.Err()
			}
			return errMigrating()
		}
	}
}

// tryMigrate reports whether nobody else is at it.
func tryMigrate(ctx context.Context, db *sql.DB) (ours bool, err error) {
	lock, err := db.BeginTx(ctx, nil)
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, lock.Rollback()) }()
	// It is idle for as long as the migrations take.
	if _, err := lock.ExecContext(ctx, `SET LOCAL idle_in_transaction_session_timeout = 0`); err != nil {
		return false, err
	}
	if err := lock.QueryRowContext(ctx, tryLock, int32(lockMigration)).Scan(&ours); err != nil || !ours {
		return false, err
	}
	return true, migrate(ctx, goose.DialectPostgres, db)
}

func (e *postgresEngine) read(ctx context.Context, do func(context.Context, querier) (bool, error)) error {
	for attempt := 1; ; attempt++ {
		again := false
		err := within(ctx, e.timeout, func(ctx context.Context) error {
			conn, err := e.pool.Conn(ctx)
			if err != nil {
				return err
			}
			defer conn.Close()
			begun, err := do(ctx, conn)
			again = err != nil && !begun && ctx.Err() == nil && broken(conn)
			return err
		})
		if !again || attempt == e.attempts {
			return err
		}
	}
}

func (e *postgresEngine) write(ctx context.Context, do func(*tx) error) error {
	e.mu.Lock()
	if e.closed {
		e.mu.Unlock()
		return errClosed
	}
	e.writes.Add(1)
	e.mu.Unlock()
	defer e.writes.Done()

	for attempt := 1; ; attempt++ {
		again, err := e.attempt(ctx, do)
		if again && attempt < e.attempts && ctx.Err() == nil {
			continue
		}
		if ctx.Err() == nil {
			e.remember(err)
		}
		return err
	}
}

// remember keeps what ping wants to know.
func (e *postgresEngine) remember(err error) {
	_, unavailable := errors.AsType[*UnavailableError](plainPostgres(err))
	e.mu.Lock()
	defer e.mu.Unlock()
	e.failure = nil
	if unavailable {
		e.failure = err
	}
}

// attempt is one transaction. again means that nothing of it has happened, and
// that the next may do better.
func (e *postgresEngine) attempt(ctx context.Context, do func(*tx) error) (again bool, err error) {
	var conn *sql.Conn
	err = within(ctx, e.timeout, func(ctx context.Context) (err error) {
		conn, err = e.pool.Conn(ctx)
		return err
	})
	if err != nil {
		return false, err
	}
	defer conn.Close()

	t := &tx{ctx: ctx, querier: conn, postgres: true, limit: e.timeout}
	err = t.exec(e.begin)
	if err == nil {
		err = do(t)
	}
	if err == nil {
		err = t.failed
	}
	switch {
	case err == nil:
		return e.commit(ctx, conn)
	case broken(conn): // and no commit was sent
		return true, err
	}
	e.rollBack(ctx, conn)
	return mayWorkAgain(err), err
}

// commit does not stop when the caller goes away: the outcome would be unknown
// for no good reason. Unless the server itself says how it ended, it is: the
// driver's word that nothing was sent does not count, because pgx v5.12.0 says
// it of a connection that broke while it waited for the answer.
func (e *postgresEngine) commit(caller context.Context, conn *sql.Conn) (again bool, err error) {
	err = within(context.WithoutCancel(caller), e.timeout, func(ctx context.Context) error {
		_, err := conn.ExecContext(ctx, `COMMIT`)
		return err
	})
	if err == nil {
		return false, nil
	}
	if refused, ok := errors.AsType[*pgconn.PgError](err); ok && refused.SeverityUnlocalized == "ERROR" {
		return mayWorkAgain(err), err
	}
	discard(conn)
	return false, &UnavailableError{reason: "the connection to PostgreSQL broke during a commit; whether the change was made is not known", unknown: true}
}

// rollBack ends a transaction, or else its connection.
func (e *postgresEngine) rollBack(caller context.Context, conn *sql.Conn) {
	err := within(context.WithoutCancel(caller), e.timeout, func(ctx context.Context) error {
		_, err := conn.ExecContext(ctx, `ROLLBACK`)
		return err
	})
	if err != nil {
		discard(conn)
	}
}

// discard takes a connection out of the pool.
func discard(conn *sql.Conn) {
	_ = conn.Raw(func(any) error { return driver.ErrBadConn }) // which is what it returns
}

// broken reports whether a connection is of no use any more, and then takes it
// out of the pool.
func broken(conn *sql.Conn) bool {
	return conn.Raw(func(inner any) error {
		if ours, ok := inner.(*stdlib.Conn); !ok || ours.Conn().IsClosed() {
			return driver.ErrBadConn
		}
		return nil
	}) != nil
}

// snapshot implements engine. It takes as long as it takes.
func (e *postgresEngine) snapshot(ctx context.Context, do func(querier) error) error {
	conn, err := e.pool.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	if _, err := conn.ExecContext(ctx, `BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL statement_timeout = 0`); err != nil {
		return err
	}
	err = do(conn)
	e.rollBack(ctx, conn)
	return err
}

// ping asks whether the database takes writes, and tries one if the last one
// failed: one that needs a place on the disk, and leaves nothing there.
func (e *postgresEngine) ping(ctx context.Context) error {
	readOnly := ""
	err := e.read(ctx, func(ctx context.Context, q querier) (bool, error) {
		return eachRow(ctx, q, func(row scanner) error { return row.Scan(&readOnly) }, `SELECT current_setting('transaction_read_only')`, nil)
	})
	if err != nil {
		return err
	}
	if readOnly == "on" {
		return errReadOnly()
	}
	e.mu.Lock()
	failure := e.failure
	e.mu.Unlock()
	if failure == nil {
		return nil
	}
	err = e.write(ctx, func(tx *tx) error {
		return tx.exec(`CREATE TEMPORARY TABLE tegata_probe ON COMMIT DROP AS SELECT 1 AS one`)
	})
	if refused, ok := errors.AsType[*pgconn.PgError](err); ok && refused.Code == notAllowed {
		return nil // the database answers; more it cannot be asked
	}
	return err
}

func (e *postgresEngine) close() error {
	e.mu.Lock()
	e.closed = true
	e.mu.Unlock()
	e.writes.Wait()
	return e.pool.Close()
}

// The codes of PostgreSQL's errors that mean something here (PostgreSQL
// manual, appendix A).
const (
	serializationFailure = "40001"
	deadlockDetected     = "40P01"
	uniqueViolation      = "23505"
	foreignKeyViolation  = "23503"
	readOnlyTransaction  = "25006"
	queryCanceled        = "57014"
	noSuchStatement      = "26000"
	statementIsThere     = "42P05"
	outOfDisk            = "53100"
	outOfResources       = "53"
	operatorIntervened   = "57"
	connectionFailed     = "08"
	notAllowed           = "42501"
)

func mayWorkAgain(err error) bool {
	failure, ok := errors.AsType[*pgconn.PgError](err)
	return ok && (failure.Code == serializationFailure || failure.Code == deadlockDetected)
}

func conflictPostgres(err error) bool {
	failure, ok := errors.AsType[*pgconn.PgError](err)
	return ok && (failure.Code == uniqueViolation || failure.Code == foreignKeyViolation)
}

func errReadOnly() error {
	return &UnavailableError{reason: "PostgreSQL takes no writes: this is a standby, or it was made read-only"}
}

func errMigrating() error {
	return &UnavailableError{reason: "another process has been changing the schema for " + migrationTimeout.String()}
}

// plainPostgres never repeats what the driver says about a connection: it
// would name more than the host, and says it in several lines.
func plainPostgres(err error) error {
	failure, answered := errors.AsType[*pgconn.PgError](err)
	refused, connecting := errors.AsType[*pgconn.ConnectError](err)
	switch {
	case err == nil, errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded) && !connecting:
		return err
	case connecting && answered:
		return &UnavailableError{reason: fmt.Sprintf("PostgreSQL at %s does not let us in: %s", address(refused.Config), failure.Message)}
	case connecting:
		return &UnavailableError{reason: fmt.Sprintf("PostgreSQL at %s cannot be reached: %s", address(refused.Config), cause(refused))}
	case !answered:
		if network, ok := errors.AsType[net.Error](err); ok || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) || errors.Is(err, driver.ErrBadConn) {
			return &UnavailableError{reason: strings.TrimSuffix("the connection to PostgreSQL broke: "+textOf(network), ": ")}
		}
		return err
	}
	switch code := failure.Code; {
	case code == outOfDisk:
		return &UnavailableError{reason: "the disk of PostgreSQL is full"}
	case code == readOnlyTransaction:
		return errReadOnly()
	case code == queryCanceled:
		return &UnavailableError{reason: "PostgreSQL gave up a statement: " + failure.Message}
	case strings.HasPrefix(code, outOfResources), strings.HasPrefix(code, operatorIntervened), strings.HasPrefix(code, connectionFailed), mayWorkAgain(err):
		return &UnavailableError{reason: "PostgreSQL cannot do it now: " + failure.Message}
	case code == noSuchStatement, code == statementIsThere:
		return errors.New("a pooler in front of PostgreSQL does not keep prepared statements; add default_query_exec_mode=exec to the URL")
	case code == notAllowed:
		return fmt.Errorf("PostgreSQL does not allow it: %s; the user must own the database or its schema", failure.Message)
	}
	return err
}

// address is where a connection should have gone: the first of several hosts.
func address(c *pgconn.Config) string {
	_, address := pgconn.NetworkAddress(c.Host, c.Port)
	return address
}

// cause is the end of a chain, in one line.
func cause(err error) string {
	for {
		next := errors.Unwrap(err)
		if several, ok := err.(interface{ Unwrap() []error }); ok && len(several.Unwrap()) > 0 {
			next = several.Unwrap()[0]
		}
		if operation, ok := next.(*net.OpError); ok {
			return textOf(operation)
		}
		if next == nil {
			return strings.ReplaceAll(err.Error(), "\n", " ")
		}
		err = next
	}
}

func textOf(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
