// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
)

// ErrNotEmpty means that there is something already where an import should go.
var ErrNotEmpty = errors.New("the database is not empty")

// Import is an export that is whole, and fits this program.
type Import struct {
	Issuers []IssuerRecord
	Counts  Counts
	from    io.ReadSeeker
}

// ReadExport reads an export from its start to its end, and returns it if it
// is whole. A *DamagedError says what is wrong with it.
func ReadExport(from io.ReadSeeker) (*Import, error) {
	read := &Import{from: from, Counts: Counts{}}
	p, err := read.parse()
	if err != nil {
		return nil, err
	}
	for {
		row, err := p.next()
		if errors.Is(err, io.EOF) {
			return read, nil
		}
		if err != nil {
			return nil, err
		}
		read.Counts[p.table.Table]++
		if p.table.Table == "issuers" {
			read.Issuers = append(read.Issuers, IssuerRecord{ID: p.text(row, "id"), SealedSecret: p.text(row, "sealed_secret")})
		}
	}
}

func (i *Import) parse() (*parser, error) {
	if _, err := i.from.Seek(0, io.SeekStart); err != nil {
		return nil, fmt.Errorf("reading the export: %w", err)
	}
	p, err := newParser(i.from)
	if err != nil {
		return nil, err
	}
	if has, knows := p.head.Schema, newestSchema(); has != knows {
		return nil, damaged("the export has schema version %d, this program knows %d: import it with the version of tegata that wrote it, and then start this one", has, knows)
	}
	return p, nil
}

// text is a value of the row, or empty.
func (p *parser) text(row []any, column string) string {
	if at := slices.Index(p.table.Columns, column); at >= 0 {
		text, _ := row[at].(string)
		return text
	}
	return ""
}

// Import puts an export into the database, whole or not at all. If there is
// anything in it, that is [ErrNotEmpty], unless replace deletes it first.
func (db *DB) Import(ctx context.Context, export *Import, replace bool) error {
	return db.write(ctx, func(tx *tx) error {
		if err := tx.patient(); err != nil {
			return err
		}
		for _, table := range slices.Backward(tables()) {
			if replace {
				if err := tx.exec(`DELETE FROM ` + table); err != nil {
					return err
				}
			}
			var one int
			err := tx.row(`SELECT 1 FROM ` + table + ` LIMIT 1`).Scan(&one)
			if err == nil {
				return ErrNotEmpty
			} else if !errors.Is(err, sql.ErrNoRows) {
				return err
			}
		}
		return export.insert(tx)
	})
}

// patient lets the statements of the transaction take as long as they take.
func (t *tx) patient() error {
	if !t.postgres {
		return nil
	}
	t.limit = 0
	return t.exec(`SET LOCAL statement_timeout = 0`)
}

// rowsAtOnce is how many rows are inserted with one statement.
const rowsAtOnce = 50

func (i *Import) insert(tx *tx) error {
	p, err := i.parse()
	if err != nil {
		return err
	}
	var columns []*sql.ColumnType
	var values []any
	table := ""
	flush := func() error {
		for width := len(columns); len(values) > 0; {
			n := width
			if len(values) >= rowsAtOnce*width {
				n = rowsAtOnce * width
			}
			if err := tx.exec(insertion(table, columns, n/width), values[:n]...); err != nil {
				return fmt.Errorf("importing %s: %w", table, err)
			}
			values = values[n:]
		}
		return nil
	}
	for {
		row, err := p.next()
		if errors.Is(err, io.EOF) {
			return flush()
		}
		if err != nil {
			return err
		}
		if p.table.Table != table {
			if err := flush(); err != nil {
				return err
			}
			table = p.table.Table
			if columns, err = columnsOf(tx.ctx, tx, table); err != nil {
				return err
			}
		}
		for _, column := range columns {
			at := slices.Index(p.table.Columns, column.Name())
			if at < 0 || len(columns) != len(row) {
				return damaged("the columns of %s are not those that this program knows", table)
			}
			if _, text := row[at].(string); text != (column.DatabaseTypeName() == "TEXT") {
				return damaged("line %d has a value of the wrong type for %s", p.number, column.Name())
			}
			values = append(values, row[at])
		}
		if len(values) >= rowsAtOnce*len(columns) {
			if err := flush(); err != nil {
				return err
			}
		}
	}
}

func insertion(table string, columns []*sql.ColumnType, rows int) string {
	names := make([]string, len(columns))
	for i, column := range columns {
		names[i] = column.Name()
	}
	var text strings.Builder
	fmt.Fprintf(&text, "INSERT INTO %s (%s) VALUES ", table, strings.Join(names, ", "))
	for n := range rows * len(columns) {
		switch {
		case n == 0:
			text.WriteString("($1")
			continue
		case n%len(columns) == 0:
			text.WriteString("), (")
		default:
			text.WriteString(", ")
		}
		text.WriteString("$" + strconv.Itoa(n+1))
	}
	return text.String() + ")"
}
