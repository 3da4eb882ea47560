// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// ErrNoBackup means that the database is PostgreSQL's to back up.
var ErrNoBackup = errors.New("PostgreSQL makes its backups itself")

// Backup copies the SQLite database, as of one moment, into a new file that
// only we may read, while others read and write. The file is a database of
// its own, and was checked. It is there whole or not at all, and replaces no
// other.
func (db *DB) Backup(ctx context.Context, path string) (err error) {
	e, ok := db.engine.(*sqliteEngine)
	if !ok {
		return ErrNoBackup
	}
	temporary, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(temporary.Name())
	defer func() { err = errors.Join(err, temporary.Close()) }()
	from, err := sql.Open("sqlite", dsn(e.config))
	if err != nil {
		return err
	}
	defer from.Close()
	if _, err := from.ExecContext(ctx, `VACUUM INTO $1`, temporary.Name()); err != nil {
		return plain(err)
	}
	if err := checkCopy(ctx, temporary.Name()); err != nil {
		return err
	}
	if err := temporary.Sync(); err != nil {
		return err
	}
	if err := os.Link(temporary.Name(), path); err != nil {
		return err
	}
	if folder, err := os.Open(filepath.Dir(path)); err == nil {
		_ = folder.Sync() // not every system can
		_ = folder.Close()
	}
	return nil
}

func checkCopy(ctx context.Context, path string) error {
	db, err := sql.Open("sqlite", "file:"+escapedPath(path)+"?mode=ro&immutable=1")
	if err != nil {
		return err
	}
	defer db.Close()
	var result string
	if err := db.QueryRowContext(ctx, `PRAGMA quick_check(1)`).Scan(&result); err != nil {
		return plain(err)
	}
	if result != "ok" {
		return fmt.Errorf("the copy is damaged, as the database must be: %s", result)
	}
	return nil
}
