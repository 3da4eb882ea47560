// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package store

import (
	"bytes"
	"context"
	"database/sql"
	"embed"
	"fmt"
	"io"
	"io/fs"
	"regexp"
	"time"

	"github.com/pressly/goose/v3"
)

//go:embed migrations/*.sql
var embedded embed.FS

// migrationTimeout is how long another process may take to change the schema.
const migrationTimeout = 30 * time.Second

// newestSchema is the version that this program knows.
func newestSchema() (newest int64) {
	files, _ := fs.Glob(embedded, "migrations/*.sql") // the pattern is good
	for _, file := range files {
		version, err := goose.NumericComponent(file)
		if err == nil {
			newest = max(newest, version)
		}
	}
	return newest
}

// migrate brings the schema up to date. Only one process at a time may do it.
func migrate(ctx context.Context, dialect goose.Dialect, db *sql.DB) error {
	files, err := fs.Sub(embedded, "migrations")
	if err != nil {
		return err
	}
	if dialect == goose.DialectPostgres {
		files = byteSorted{files}
	}
	provider, err := goose.NewProvider(dialect, db, files, goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return err
	}
	newest := newestSchema()
	// Version 0 means a new database; goose makes its own table on the way up.
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

// byteSorted is the migrations for PostgreSQL: text sorts and compares by
// bytes there too, whatever the locale of the database. An index then also
// survives an operating system whose locales sort differently.
type byteSorted struct{ fs.FS }

var textType = regexp.MustCompile(`\bTEXT\b`)

// Open implements [fs.FS].
func (b byteSorted) Open(name string) (fs.File, error) {
	file, err := b.FS.Open(name)
	if err != nil {
		return nil, err
	}
	if info, err := file.Stat(); err != nil || info.IsDir() {
		return file, err
	}
	text, err := io.ReadAll(file)
	return sqlFile{file, bytes.NewReader(textType.ReplaceAll(text, []byte(`TEXT COLLATE "C"`)))}, err
}

// sqlFile is a file with another content.
type sqlFile struct {
	fs.File
	content io.Reader
}

// Read implements [fs.File].
func (f sqlFile) Read(into []byte) (int, error) { return f.content.Read(into) }
