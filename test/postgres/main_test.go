// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package postgres_test

import (
	"context"
	"fmt"
	"os"
	"testing"

	"go.uber.org/goleak"

	"github.com/tegata/tegata/internal/store"
	"github.com/tegata/tegata/test/postgres"
)

// shared is a server for the tests that do it no harm. Each has a database or
// a schema of its own.
var shared *postgres.Server

// aloneVariable names the test that runs in a process of its own.
const aloneVariable = "POSTGRES_TEST_ALONE"

func TestMain(m *testing.M) {
	if os.Getenv(aloneVariable) != "" {
		os.Exit(m.Run())
	}
	var err error
	if shared, err = postgres.New("fsync=off"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	goleak.VerifyTestMain(m, goleak.IgnoreCurrent(), goleak.Cleanup(func(code int) {
		shared.Close()
		os.Exit(code)
	}))
}

// open opens a database and closes it when the test ends.
func open(t testing.TB, c store.Postgres) *store.DB {
	t.Helper()
	db, err := store.Open(context.Background(), store.Config{Postgres: &c})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Errorf("closing the database: %v", err)
		}
	})
	return db
}
