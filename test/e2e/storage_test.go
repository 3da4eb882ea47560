// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"database/sql"
	"errors"
	"net/http"
	"path/filepath"
	"testing"

	_ "modernc.org/sqlite" // another process that has the database open

	"github.com/tegata/tegata/internal/oidc"
)

// A database that somebody else holds is told as such, keeps what there is,
// and heals by itself.
func TestLockedDatabaseIsToldAndHeals(t *testing.T) {
	p := serve(t, "password_hash: {memory_kib: 8, time: 1}\n")
	password := p.alice()
	p.tegata("", "client", "add", "kubernetes", "--public", "--redirect-uri", "http://localhost:8000", "--signing-alg", "ES256")
	a := p.agent(t, "kubernetes")
	before, err := a.logIn(t.Context(), "alice", password)
	if err != nil {
		t.Fatal(err)
	}

	other, err := sql.Open("sqlite", "file:"+filepath.Join(p.dir, "tegata.db")+"?_txlock=immediate")
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	hold, err := other.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	_, err = a.refresh(t.Context(), before.RefreshToken)
	if refused, ok := errors.AsType[*oidc.Error](err); !ok || refused.Code != oidc.TemporarilyUnavailable {
		t.Errorf("a refresh on a locked database: %v, want temporarily_unavailable", err)
	}
	// What only reads goes on, and readiness tells the truth.
	answers := func(path string, want int) {
		t.Helper()
		response, _, err := a.send(t.Context(), http.MethodGet, path, nil)
		if err != nil || response.StatusCode != want {
			t.Errorf("GET %s: %v, %v, want %d", path, response, err, want)
		}
	}
	answers("/keys", http.StatusOK)
	answers("/authorize", http.StatusBadRequest)
	answers("/readyz", http.StatusServiceUnavailable)
	if err := hold.Rollback(); err != nil {
		t.Fatal(err)
	}
	answers("/readyz", http.StatusOK)
	if _, err := a.refresh(t.Context(), before.RefreshToken); err != nil {
		t.Errorf("after the lock is gone: %v", err)
	}
}
