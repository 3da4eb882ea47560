// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package store

import (
	"bufio"
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
)

// Counts is how many rows each table had.
type Counts map[string]int

// Export writes everything that is kept, of all issuers, as of one moment.
// What is sealed stays sealed and what is hashed stays hashed; the
// key-encryption key is not in it.
func (db *DB) Export(ctx context.Context, to io.Writer, now time.Time) (Counts, error) {
	buffered := bufio.NewWriter(to)
	hash := sha256.New()
	lines := json.NewEncoder(io.MultiWriter(buffered, hash))
	lines.SetEscapeHTML(false)
	counts := Counts{}
	all := 0
	err := db.engine.snapshot(ctx, func(q querier) error {
		if err := lines.Encode(exportHead{Format: exportFormat, Schema: newestSchema(), MadeAt: now.UTC().Truncate(time.Second)}); err != nil {
			return err
		}
		for _, table := range tables() {
			n, err := exportRows(ctx, q, table, lines)
			if err != nil {
				return fmt.Errorf("exporting %s: %w", table, plain(err))
			}
			counts[table] = n
			all += n
		}
		return nil
	})
	if err != nil {
		return nil, plain(err)
	}
	end := exportEnd{Rows: all, SHA256: hex.EncodeToString(hash.Sum(nil))}
	if err := lines.Encode(end); err != nil {
		return nil, err
	}
	return counts, buffered.Flush()
}

func exportRows(ctx context.Context, q querier, table string, lines *json.Encoder) (n int, err error) {
	columns, err := columnsOf(ctx, q, table)
	if err != nil {
		return 0, err
	}
	names, order := make([]string, len(columns)), make([]string, len(columns))
	for i, column := range columns {
		names[i], order[i] = column.Name(), strconv.Itoa(i+1)
	}
	if err := lines.Encode(exportTable{table, names}); err != nil {
		return 0, err
	}
	rows, err := q.QueryContext(ctx, `SELECT `+strings.Join(names, ", ")+` FROM `+table+` ORDER BY `+strings.Join(order, ", "))
	if err != nil {
		return 0, err
	}
	defer rows.Close()
	row, into := make([]any, len(columns)), make([]any, len(columns))
	for i := range row {
		into[i] = &row[i]
	}
	for ; rows.Next(); n++ {
		if err := rows.Scan(into...); err != nil {
			return n, err
		}
		if err := lines.Encode(row); err != nil {
			return n, err
		}
	}
	return n, rows.Err()
}

func columnsOf(ctx context.Context, q querier, table string) ([]*sql.ColumnType, error) {
	rows, err := q.QueryContext(ctx, `SELECT * FROM `+table+` LIMIT 0`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	return rows.ColumnTypes()
}
