// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package store_test

import (
	"context"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/tegata/tegata/internal/store"
	"github.com/tegata/tegata/internal/store/storetest"
)

func TestMain(m *testing.M) {
	// With -race each process would wait a second before it ends.
	os.Setenv("GORACE", "atexit_sleep_ms=0")
	if dir := os.Getenv("STORE_TEST_WRITER"); dir != "" {
		writeForEver(dir)
	}
	goleak.VerifyTestMain(m)
}

// What the suite uses, these tests use too.
var (
	noon        = storetest.Noon
	account     = storetest.Account
	newGrant    = storetest.Grant
	addIssuer   = storetest.AddIssuer
	check       = storetest.Check
	wantErr     = storetest.WantErr
	unavailable = storetest.Unavailable
)

func TestStorageOnSQLite(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(t testing.TB) *store.DB {
		db, _ := empty(t)
		return db
	})
}

func open(t testing.TB, path string) *store.DB {
	t.Helper()
	db, err := store.Open(context.Background(), store.Config{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	return db
}

// empty opens a new database.
func empty(t testing.TB) (*store.DB, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "tegata.db")
	db := open(t, path)
	t.Cleanup(func() {
		if db.Ping(context.Background()) == nil { // a test may have closed it
			check(t, db.Close())
		}
	})
	return db, path
}

// fresh opens a new database with one issuer.
func fresh(t testing.TB) (*store.DB, *store.Issuer, string) {
	t.Helper()
	db, path := empty(t)
	return db, addIssuer(t, db, "one"), path
}

// raw opens the file beside the store, as another program would.
func raw(t testing.TB, path string) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+path+"?_txlock=immediate")
	check(t, err)
	t.Cleanup(func() { db.Close() })
	return db
}

func TestDatabaseFileIsOurs(t *testing.T) {
	t.Parallel()
	db, i, path := fresh(t)
	check(t, i.AddGroup(t.Context(), "g", noon))
	for _, suffix := range []string{"", "-wal", "-shm"} {
		info, err := os.Stat(path + suffix)
		check(t, err)
		if got := info.Mode().Perm(); got != 0o600 {
			t.Errorf("%s has mode %04o, want 0600", filepath.Base(path)+suffix, got)
		}
	}
	check(t, db.Close())
	again := open(t, path)
	defer again.Close()
	groups, err := again.Issuer("one").GroupList(t.Context())
	check(t, err)
	if len(groups) != 1 {
		t.Errorf("got %v after opening again, want one group", groups)
	}
}

// A closed database is one file: who copies it has everything.
func TestClosedDatabaseIsOneFile(t *testing.T) {
	t.Parallel()
	db, i, path := fresh(t)
	check(t, i.AddGroup(t.Context(), "g", noon))
	_, err := i.GroupList(t.Context())
	check(t, err)
	check(t, db.Close())
	if info, err := os.Stat(path + "-wal"); err == nil && info.Size() > 0 {
		t.Errorf("the log of %d bytes was left beside the closed database", info.Size())
	}
}

func TestDatabaseFoldersMayHaveAnyName(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "a b?c#d%20'é&mode=ro")
	check(t, os.Mkdir(dir, 0o700))
	db := open(t, filepath.Join(dir, "tegata.db"))
	check(t, db.Close())
	if _, err := os.Stat(filepath.Join(dir, "tegata.db")); err != nil {
		t.Error(err)
	}
}

// Two processes or servers that start at once both get a database with a
// schema, whoever makes it.
func TestOpenedByManyAtOnce(t *testing.T) {
	t.Parallel()
	for range 5 {
		path := filepath.Join(t.TempDir(), "tegata.db")
		var wait sync.WaitGroup
		for range 4 {
			wait.Go(func() {
				db, err := store.Open(context.Background(), store.Config{Path: path})
				if err != nil {
					t.Error(err)
					return
				}
				if err := db.Close(); err != nil {
					t.Error(err)
				}
			})
		}
		wait.Wait()
	}
}

func TestNewerSchemaIsRefusedAndLeftAlone(t *testing.T) {
	t.Parallel()
	db, i, path := fresh(t)
	check(t, i.AddGroup(t.Context(), "g", noon))
	check(t, db.Close())
	other := raw(t, path)
	_, err := other.Exec(`INSERT INTO goose_db_version (version_id, is_applied) VALUES (9999, 1)`)
	check(t, err)
	_, err = other.Exec(`PRAGMA wal_checkpoint(TRUNCATE)`)
	check(t, err)
	check(t, other.Close())
	before, err := os.ReadFile(path)
	check(t, err)
	db, err = store.Open(t.Context(), store.Config{Path: path})
	if err == nil {
		db.Close()
		t.Fatal("a database of a newer version was opened")
	}
	for _, want := range []string{"schema version 9999", "newer version"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("got %q, want %q in it", err, want)
		}
	}
	after, err := os.ReadFile(path)
	check(t, err)
	if string(before) != string(after) {
		t.Error("the file was changed")
	}
}

func TestFileThatIsNoDatabaseIsRefusedAndLeftAlone(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "tegata.db")
	text := strings.Repeat("Dear diary. ", 1000)
	check(t, os.WriteFile(path, []byte(text), 0o600))
	db, err := store.Open(t.Context(), store.Config{Path: path})
	if err == nil {
		db.Close()
		t.Fatal("a diary was opened")
	}
	if !strings.Contains(err.Error(), "this is no SQLite database, or it is damaged") {
		t.Errorf("got %q", err)
	}
	got, err := os.ReadFile(path)
	check(t, err)
	if string(got) != text {
		t.Error("the file was changed")
	}
	if _, err := store.Open(t.Context(), store.Config{Path: filepath.Join(t.TempDir(), "none", "tegata.db")}); err == nil {
		t.Error("a database in a folder that does not exist was opened")
	}
}

// commits counts the commits in the write-ahead log: a frame whose header
// holds the size of the database ends one (SQLite file format, section 4.1).
func commits(t *testing.T, path string) (n int) {
	t.Helper()
	wal, err := os.ReadFile(path + "-wal")
	check(t, err)
	page := int(binary.BigEndian.Uint32(wal[8:]))
	salt := string(wal[16:24])
	for at := 32; at+24+page <= len(wal) && string(wal[at+8:at+16]) == salt; at += 24 + page {
		if binary.BigEndian.Uint32(wal[at+4:]) != 0 {
			n++
		}
	}
	return n
}

// hold keeps the writer busy inside a transaction until release is called,
// which waits for its answer.
func hold(t *testing.T, db *store.DB) (release func()) {
	t.Helper()
	whatever := holdWhatever(db)
	return func() {
		if err := whatever(); err != nil {
			t.Errorf("the write that held the others: %v", err)
		}
	}
}

// holdWhatever is hold for those who expect an error.
func holdWhatever(db *store.DB) (release func() error) {
	begun, end, done := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	go func() {
		done <- db.Write(context.Background(), func(func(string, ...any) error) error {
			close(begun)
			<-end
			return nil
		})
	}()
	<-begun
	return func() error {
		close(end)
		return <-done
	}
}

func awaitQueue(db *store.DB, n int) {
	for db.Queued() < n {
		runtime.Gosched()
	}
}

func TestConcurrentWritesShareACommit(t *testing.T) {
	t.Parallel()
	db, i, path := fresh(t)
	release := hold(t, db)
	before := commits(t, path)
	const writes = 100
	results := make(chan error, writes)
	for n := range writes {
		go func() { results <- i.AddGroup(context.Background(), fmt.Sprint("group", n), noon) }()
	}
	awaitQueue(db, writes)
	release()
	for range writes {
		check(t, <-results)
	}
	if got := commits(t, path) - before; got != 1 {
		t.Errorf("%d writes took %d commits, want 1", writes, got)
	}
	groups, err := i.GroupList(t.Context())
	check(t, err)
	if len(groups) != writes {
		t.Errorf("got %d groups, want %d", len(groups), writes)
	}
}

func TestFailingWriteIsRolledBackAlone(t *testing.T) {
	t.Parallel()
	db, i, path := fresh(t)
	boom := errors.New("boom")
	release := hold(t, db)
	before := commits(t, path)
	type outcome struct {
		n   int
		err error
	}
	outcomes := make(chan outcome, 20)
	for n := range 20 {
		go func() {
			err := db.Write(context.Background(), func(exec func(string, ...any) error) error {
				if err := exec(`INSERT INTO user_groups (issuer, name, declared, created_at) VALUES ('one', $1, 0, 0)`, fmt.Sprintf("g%02d", n)); err != nil {
					return err
				}
				switch n % 4 {
				case 1:
					return boom
				case 2: // a unique row: the statement fails
					return exec(`INSERT INTO user_groups (issuer, name, declared, created_at) VALUES ('one', $1, 0, 0)`, fmt.Sprintf("g%02d", n))
				}
				return nil
			})
			outcomes <- outcome{n, err}
		}()
	}
	awaitQueue(db, 20)
	release()
	want := []string{}
	for range 20 {
		o := <-outcomes
		if fails := o.n%4 == 1 || o.n%4 == 2; fails != (o.err != nil) {
			t.Errorf("write %d: error %v, want one: %t", o.n, o.err, fails)
		}
		if o.n%4 == 1 && !errors.Is(o.err, boom) {
			t.Errorf("write %d: error %v, want boom", o.n, o.err)
		}
	}
	for n := range 20 {
		if n%4 == 0 || n%4 == 3 {
			want = append(want, fmt.Sprintf("g%02d", n))
		}
	}
	groups, err := i.GroupList(t.Context())
	check(t, err)
	got := []string{}
	for _, g := range groups {
		got = append(got, g.Name)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if got := commits(t, path) - before; got != 1 {
		t.Errorf("took %d commits, want 1", got)
	}
}

func TestWaitingWriteEndsWithItsContext(t *testing.T) {
	t.Parallel()
	db, i, _ := fresh(t)
	release := hold(t, db)
	ctx, cancel := context.WithCancel(t.Context())
	result := make(chan error, 1)
	go func() { result <- i.AddGroup(ctx, "g", noon) }()
	awaitQueue(db, 1)
	cancel()
	wantErr(t, "while waiting", <-result, context.Canceled) // although the writer is still held
	release()
	check(t, i.AddGroup(t.Context(), "next", noon))
	groups, err := i.GroupList(t.Context())
	check(t, err)
	if len(groups) != 1 || groups[0].Name != "next" {
		t.Errorf("got %v, want the second group alone: nobody waited for the first", groups)
	}
	wantErr(t, "before", i.AddGroup(ctx, "h", noon), context.Canceled)
}

// countdown is a context that is done for whoever waits, and whose Err says
// so only later: a request that ends while its write is being carried out.
type countdown struct {
	context.Context
	closed chan struct{}
}

func (c countdown) Done() <-chan struct{} { return c.closed }
func (c countdown) Err() error            { return nil }

// Whoever stops waiting must not share memory with the write that goes on.
// The race detector is the judge.
func TestAbandonedWriteSharesNothingWithItsCaller(t *testing.T) {
	t.Parallel()
	_, i, _ := fresh(t)
	check(t, i.AddGroup(t.Context(), "g", noon))
	check(t, i.AddAccount(t.Context(), account("alice"), noon))
	closed := make(chan struct{})
	close(closed)
	for range 200 {
		_, _ = i.RemoveMember(countdown{t.Context(), closed}, "g", "alice-subject") // either answer is right
	}
}

func TestCloseCarriesOutWhatIsQueued(t *testing.T) {
	t.Parallel()
	for range 20 {
		db, i, path := fresh(t)
		release := hold(t, db)
		const writes = 50
		type outcome struct {
			name string
			err  error
		}
		outcomes := make(chan outcome, writes)
		for n := range writes {
			go func() {
				name := fmt.Sprint("group", n)
				outcomes <- outcome{name, i.AddGroup(context.Background(), name, noon)}
			}()
		}
		awaitQueue(db, writes)
		closed := make(chan error, 1)
		go func() { closed <- db.Close() }()
		release()
		check(t, <-closed)
		kept := map[string]bool{}
		again := open(t, path)
		groups, err := again.Issuer("one").GroupList(t.Context())
		check(t, err)
		check(t, again.Close())
		for _, g := range groups {
			kept[g.Name] = true
		}
		for range writes {
			o := <-outcomes
			if !kept[o.name] {
				t.Errorf("%s was queued before Close and is not there (%v)", o.name, o.err)
			}
			if o.err != nil {
				t.Errorf("%s is there and its caller was told %v", o.name, o.err)
			}
		}
		wantErr(t, "after Close", i.AddGroup(t.Context(), "late", noon), store.ErrClosed)
		if t.Failed() {
			return
		}
	}
}

func TestLockedDatabaseIsUnavailableAndHeals(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "tegata.db")
	db, err := store.Open(t.Context(), store.Config{Path: path, BusyTimeout: 100 * time.Millisecond})
	check(t, err)
	defer db.Close()
	i := addIssuer(t, db, "one")
	other, err := raw(t, path).Begin()
	check(t, err)
	err = i.AddGroup(t.Context(), "g", noon)
	if !unavailable(err) || err.Error() != "the database is locked by another process" {
		t.Errorf("got %v, want an UnavailableError that says who", err)
	}
	if _, err := i.GroupList(t.Context()); err != nil {
		t.Errorf("reading while another process writes: %v", err)
	}
	check(t, other.Rollback())
	check(t, i.AddGroup(t.Context(), "g", noon))
}

// Forty requests that met a locked database are told so together. One after
// the other, the last would wait forty busy timeouts.
func TestLockedDatabaseTellsAllWhoWait(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "tegata.db")
	const timeout, writes = 200 * time.Millisecond, 40
	db, err := store.Open(t.Context(), store.Config{Path: path, BusyTimeout: timeout})
	check(t, err)
	defer db.Close()
	i := addIssuer(t, db, "one")
	other, err := raw(t, path).Begin()
	check(t, err)
	begun := time.Now()
	results := make(chan error, writes)
	for n := range writes {
		go func() { results <- i.AddGroup(context.Background(), fmt.Sprint("group", n), noon) }()
	}
	for range writes {
		if err := <-results; !unavailable(err) {
			t.Errorf("got %v, want an UnavailableError", err)
		}
	}
	if took := time.Since(begun); took > 10*timeout {
		t.Errorf("the last of %d was told after %s, want within a few busy timeouts of %s", writes, took.Round(10*time.Millisecond), timeout)
	}
	check(t, other.Rollback())
}

func TestIntegrityAfterEverything(t *testing.T) {
	t.Parallel()
	db, i, path := fresh(t)
	for n := range 300 {
		check(t, i.AddGrant(t.Context(), newGrant(fmt.Sprint(n), "c", "s")))
	}
	check(t, db.Close())
	wantIntegrity(t, path)
}

func wantIntegrity(t *testing.T, path string) {
	t.Helper()
	other := raw(t, path)
	var result string
	check(t, other.QueryRow(`PRAGMA integrity_check`).Scan(&result))
	if result != "ok" {
		t.Errorf("integrity_check: %s", result)
	}
	rows, err := other.Query(`PRAGMA foreign_key_check`)
	check(t, err)
	defer rows.Close()
	if rows.Next() {
		t.Error("foreign_key_check found something")
	}
	check(t, rows.Err())
	check(t, other.Close())
}

func BenchmarkSQLite(b *testing.B) {
	storetest.Benchmark(b, func(t testing.TB) *store.DB {
		db, _ := empty(t)
		return db
	})
}
