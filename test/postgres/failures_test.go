// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tegata/tegata/internal/secret"
	"github.com/tegata/tegata/internal/store"
	"github.com/tegata/tegata/internal/store/storetest"
	"github.com/tegata/tegata/test/postgres"
)

// Each of these is somebody's first try. The message says what is wrong, and
// never the password.
func TestOpeningTellsWhatIsWrong(t *testing.T) {
	t.Parallel()
	shared.Guard(t, "guarded", "the right password")
	shared.Exec(t, "postgres", `CREATE DATABASE guarded OWNER guarded; CREATE ROLE guest LOGIN; CREATE DATABASE foreign_land;
		CREATE DATABASE narrow ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0`)
	guarded := strings.Replace(shared.URL("guarded"), "postgres@", "guarded@", 1)
	const wrong = "not-the-password"
	for _, test := range []struct {
		name     string
		config   store.Postgres
		want     string
		tryAgain bool
	}{
		{"wrong password", store.Postgres{URL: guarded, Password: secret.New(wrong)}, `does not let us in: password authentication failed for user "guarded"`, true},
		{"no password", store.Postgres{URL: guarded}, `PostgreSQL at 127.0.0.1:`, true},
		{"no database", store.Postgres{URL: shared.URL("nowhere"), Password: secret.New(wrong)}, `does not let us in: database "nowhere" does not exist`, true},
		{"no server", store.Postgres{URL: "postgres://tegata@127.0.0.1:1/tegata", Password: secret.New(wrong)}, `PostgreSQL at 127.0.0.1:1 cannot be reached: dial tcp 127.0.0.1:1: connect: connection refused`, true},
		{"no host", store.Postgres{URL: "postgres://tegata@db.invalid/tegata", Password: secret.New(wrong)}, `PostgreSQL at db.invalid:5432 cannot be reached: lookup db.invalid`, true},
		{"no socket", store.Postgres{URL: "postgres:///tegata?host=/nowhere", Password: secret.New(wrong)}, `cannot be reached: dial unix /nowhere/.s.PGSQL.5432`, true},
		{"no encryption there", store.Postgres{URL: shared.URL("postgres") + "?sslmode=require", Password: secret.New(wrong)}, `cannot be reached: server refused TLS connection`, true},
		{"a schema of somebody else", store.Postgres{URL: strings.Replace(shared.URL("foreign_land"), "postgres@", "guest@", 1)}, `PostgreSQL does not allow it: permission denied for schema public; the user must own the database or its schema`, false},
		{"another encoding", store.Postgres{URL: shared.URL("narrow")}, `the database has the encoding LATIN1 and cannot keep every name`, false},
		{"password in the URL", store.Postgres{URL: "postgres://tegata:" + wrong + "@db.example.com/tegata"}, `reading the PostgreSQL URL: it holds a password`, false},
		{"no such authority", store.Postgres{URL: shared.URL("postgres"), CAFile: "/nowhere/ca.crt"}, `open /nowhere/ca.crt: no such file`, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			db, err := store.Open(t.Context(), store.Config{Postgres: &test.config})
			if err == nil {
				db.Close()
				t.Fatal("it was opened")
			}
			if !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("got %q, want one line with %q", err, test.want)
			}
			if storetest.Unavailable(err) != test.tryAgain {
				t.Errorf("%v: worth trying again: %t, want %t", err, !test.tryAgain, test.tryAgain)
			}
			for _, form := range []string{"%v", "%+v", "%#v"} {
				if text := fmt.Sprintf(form, err); strings.Contains(text, wrong) {
					t.Errorf("%s shows the password: %s", form, text)
				}
			}
		})
	}
	t.Run("right password", func(t *testing.T) {
		t.Parallel()
		open(t, store.Postgres{URL: guarded, Password: secret.New("the right password")})
	})
}

func TestNewerSchemaIsRefused(t *testing.T) {
	t.Parallel()
	url := shared.Database(t)
	i := storetest.AddIssuer(t, open(t, store.Postgres{URL: url}), "one")
	storetest.Check(t, i.AddGroup(t.Context(), "g", storetest.Noon))
	raw := shared.Open(t, url)
	defer raw.Close()
	_, err := raw.Exec(`INSERT INTO goose_db_version (version_id, is_applied) VALUES (9999, true)`)
	storetest.Check(t, err)
	_, err = store.Open(t.Context(), store.Config{Postgres: &store.Postgres{URL: url}})
	if err == nil || !strings.Contains(err.Error(), "schema version 9999") || !strings.Contains(err.Error(), "newer version") {
		t.Errorf("got %v", err)
	}
	// Who runs already goes on.
	if groups, err := i.GroupList(t.Context()); err != nil || len(groups) != 1 {
		t.Errorf("got %v, %v", groups, err)
	}
}

// Replicas that start at once on a new database: one makes the schema, and
// all of them work. One whose process died in the middle holds nobody up.
func TestManyMakeTheSchemaAtOnce(t *testing.T) {
	t.Parallel()
	for range 3 {
		url := shared.Database(t)
		var wait sync.WaitGroup
		for range 8 {
			wait.Go(func() {
				db, err := store.Open(context.Background(), store.Config{Postgres: &store.Postgres{URL: url, MaxConnections: 1}})
				if err != nil {
					t.Error(err)
					return
				}
				if err := errors.Join(db.Ping(context.Background()), db.Close()); err != nil {
					t.Error(err)
				}
			})
		}
		wait.Wait()
	}
}

// A database in which nothing was kept is no database to look into.
func TestExistingDataIsWanted(t *testing.T) {
	t.Parallel()
	url := shared.Database(t)
	existing := store.Config{Postgres: &store.Postgres{URL: url}, Existing: true}
	_, err := store.Open(t.Context(), existing)
	storetest.WantErr(t, "empty", err, store.ErrNoData)
	open(t, store.Postgres{URL: url})
	db, err := store.Open(t.Context(), existing)
	storetest.Check(t, err)
	storetest.Check(t, db.Close())
}

func TestDatabaseThatTakesNoWritesIsUnavailableAndHeals(t *testing.T) {
	t.Parallel()
	url := shared.Database(t)
	name := url[strings.LastIndex(url, "/")+1:]
	// Its connections are made anew, so that they see the setting.
	use := func(then func(*store.DB, *store.Issuer)) {
		db, err := store.Open(t.Context(), store.Config{Postgres: &store.Postgres{URL: url}})
		storetest.Check(t, err)
		defer db.Close()
		then(db, db.Issuer("one"))
	}
	use(func(db *store.DB, i *store.Issuer) { storetest.AddIssuer(t, db, "one") })
	shared.Exec(t, "postgres", `ALTER DATABASE `+name+` SET default_transaction_read_only = on`)
	use(func(db *store.DB, i *store.Issuer) {
		const want = "PostgreSQL takes no writes: this is a standby, or it was made read-only"
		if err := i.AddGroup(t.Context(), "g", storetest.Noon); !storetest.Unavailable(err) || err.Error() != want {
			t.Errorf("AddGroup: got %v, want: %s", err, want)
		}
		if err := db.Ping(t.Context()); !storetest.Unavailable(err) || err.Error() != want {
			t.Errorf("Ping: got %v, want: %s", err, want)
		}
		if groups, err := i.GroupList(t.Context()); err != nil || len(groups) != 0 {
			t.Errorf("reading: %v, %v", groups, err)
		}
	})
	shared.Exec(t, "postgres", `ALTER DATABASE `+name+` RESET default_transaction_read_only`)
	use(func(db *store.DB, i *store.Issuer) {
		storetest.Check(t, i.AddGroup(t.Context(), "g", storetest.Noon))
		storetest.Check(t, db.Ping(t.Context()))
	})
}

// docs/adr/0007: a server that answers before it has written is told to write
// first.
func TestCommitsAreSynchronousWhateverTheDefault(t *testing.T) {
	t.Parallel()
	server := postgres.Start(t, "synchronous_commit=off")
	db := open(t, store.Postgres{URL: server.Database(t)})
	i := storetest.AddIssuer(t, db, "one")
	for n := range 200 {
		storetest.Check(t, i.AddGrant(t.Context(), storetest.Grant(fmt.Sprint(n), "c", "s")))
	}
	server.Kill()
	storetest.Check(t, server.Restart())
	for n := range 200 {
		if _, err := i.Grant(t.Context(), fmt.Sprint(n)); err != nil {
			t.Fatalf("grant %d was answered and is gone: %v", n, err)
		}
	}
}

// One row that somebody holds: each who wants it waits for as long as it has,
// and no longer; the others are not held up.
func TestHeldRowEndsInATimeout(t *testing.T) {
	t.Parallel()
	url := shared.Database(t)
	const timeout = time.Second
	db := open(t, store.Postgres{URL: url, MaxConnections: 2, Timeout: timeout})
	i := storetest.AddIssuer(t, db, "one")
	storetest.Check(t, i.AddGrant(t.Context(), storetest.Grant("held", "c", "s")))
	storetest.Check(t, i.AddGrant(t.Context(), storetest.Grant("free", "c", "s")))
	raw := shared.Open(t, url)
	defer raw.Close()
	hold, err := raw.Begin()
	storetest.Check(t, err)
	_, err = hold.Exec(`UPDATE grants SET rotated_at = 1 WHERE id = 'held'`)
	storetest.Check(t, err)

	began := time.Now()
	if err := i.RedeemCode(t.Context(), "held", storetest.Noon); !storetest.Unavailable(err) {
		t.Errorf("got %v, want an UnavailableError", err)
	}
	if took := time.Since(began); took < timeout || took > 10*timeout {
		t.Errorf("it took %s, want about %s", took, timeout)
	}
	// A caller who has less time is told that this was it.
	ctx, cancel := context.WithTimeout(t.Context(), timeout/6)
	defer cancel()
	storetest.WantErr(t, "deadline", i.RedeemCode(ctx, "held", storetest.Noon), context.DeadlineExceeded)
	// Both connections are still the same two, and of use.
	storetest.Check(t, i.RedeemCode(t.Context(), "free", storetest.Noon))
	storetest.Check(t, db.Ping(t.Context()))
	var connections int
	storetest.Check(t, raw.QueryRow(`SELECT COUNT(*) FROM pg_stat_activity WHERE application_name = 'tegata' AND datname = current_database()`).Scan(&connections))
	if connections > 2 {
		t.Errorf("%d connections are open, want at most 2", connections)
	}
	storetest.Check(t, hold.Rollback())
	storetest.Check(t, i.RedeemCode(t.Context(), "held", storetest.Noon))
}

// A server that is out of reach, without a word: everything ends in its time,
// readiness first, and goes on when the server does.
func TestSilentServerIsUnavailableAndHeals(t *testing.T) {
	t.Parallel()
	server := postgres.Start(t, "fsync=off")
	const timeout = time.Second
	db := open(t, store.Postgres{URL: server.Database(t), MaxConnections: 2, Timeout: timeout})
	i := storetest.AddIssuer(t, db, "one")
	server.Pause()
	ctx, cancel := context.WithTimeout(t.Context(), timeout/2)
	defer cancel()
	began := time.Now()
	if err := db.Ping(ctx); err == nil {
		t.Error("Ping: the storage is ready")
	}
	if took := time.Since(began); took > 2*timeout {
		t.Errorf("Ping took %s, and had %s", took, timeout/2)
	}
	if _, err := i.GroupList(t.Context()); !storetest.Unavailable(err) {
		t.Errorf("reading: got %v, want an UnavailableError", err)
	}
	if err := i.AddGroup(t.Context(), "g", storetest.Noon); !storetest.Unavailable(err) {
		t.Errorf("writing: got %v, want an UnavailableError", err)
	}
	server.Resume()
	for deadline := time.Now().Add(20 * time.Second); db.Ping(t.Context()) != nil; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("it does not heal")
		}
	}
	storetest.Check(t, i.AddGroup(t.Context(), "h", storetest.Noon))
}

func TestClosedDatabaseSaysSo(t *testing.T) {
	t.Parallel()
	db, err := store.Open(t.Context(), store.Config{Postgres: &store.Postgres{URL: shared.Database(t)}})
	storetest.Check(t, err)
	i := storetest.AddIssuer(t, db, "one")
	storetest.Check(t, db.Close())
	if err := i.AddGroup(t.Context(), "g", storetest.Noon); err == nil || err.Error() != "the database is closed" {
		t.Errorf("got %v", err)
	}
}
