// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package store

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"slices"
	"time"
)

// tables are all that there are, each behind those that its rows need.
func tables() []string {
	return []string{
		"issuers", "signing_keys", "clients", "users", "second_factors", "user_groups", "group_members", "sessions", "grants",
		"device_requests", "spent_identifiers",
	}
}

// An export is a stream of lines, each of them JSON:
//
//	{"tegata_export":1,"schema":1,"made_at":"2026-11-22T12:00:00Z"}
//	{"table":"issuers","columns":["id","url","sealed_secret","created_at"]}
//	["default","https://id.example.com","…",1763812800000]
//	{"table":"signing_keys","columns":[…]}
//	…
//	{"rows":1,"sha256":"…"}
//
// The tables come in the order of tables, the rows in the order of their
// columns. The last line has the hash of all bytes before it. The same rows
// make the same lines on both engines.
const exportFormat = 1

type exportHead struct {
	Format int       `json:"tegata_export"`
	Schema int64     `json:"schema"`
	MadeAt time.Time `json:"made_at"`
}

type exportTable struct {
	Table   string   `json:"table"`
	Columns []string `json:"columns"`
}

type exportEnd struct {
	Rows   int    `json:"rows"`
	SHA256 string `json:"sha256"`
}

// DamagedError means that a stream is no export, or not a whole one.
type DamagedError struct{ reason string }

// Error implements [error].
func (e *DamagedError) Error() string { return e.reason }

func damaged(format string, args ...any) error { return &DamagedError{fmt.Sprintf(format, args...)} }

// maxLine bounds the memory that a stream can ask for.
const maxLine = 16 << 20

// parser reads a stream, row by row.
type parser struct {
	lines  *bufio.Scanner
	number int       // of the line
	hash   hash.Hash // of the lines before the last one
	head   exportHead
	table  exportTable // whose rows come
	seen   []string    // the tables so far
	rows   int
}

// newParser reads the first line.
func newParser(r io.Reader) (*parser, error) {
	p := &parser{lines: bufio.NewScanner(r), hash: sha256.New()}
	p.lines.Buffer(nil, maxLine)
	p.lines.Split(wholeLines)
	line, err := p.line()
	if err != nil {
		return nil, err
	}
	var format struct {
		Format int `json:"tegata_export"`
	}
	if json.Unmarshal(line, &format) != nil || format.Format == 0 {
		return nil, damaged("this is no export of tegata")
	}
	if format.Format != exportFormat {
		return nil, damaged("this is an export of format %d, and this program knows %d: it was written by another version", format.Format, exportFormat)
	}
	if err := strict(line, &p.head); err != nil {
		return nil, damaged("line 1 cannot be read")
	}
	p.hash.Write(line)
	return p, nil
}

var errCutOff = errors.New("the last line has no end")

// wholeLines cuts a stream into lines with their ends.
func wholeLines(data []byte, atEOF bool) (advance int, line []byte, err error) {
	if at := bytes.IndexByte(data, '\n'); at >= 0 {
		return at + 1, data[:at+1], nil
	}
	if atEOF && len(data) > 0 {
		return 0, nil, errCutOff
	}
	return 0, nil, nil
}

// line returns the next line. It is good until the one after it.
func (p *parser) line() ([]byte, error) {
	p.number++
	if p.lines.Scan() {
		return p.lines.Bytes(), nil
	}
	switch err := p.lines.Err(); {
	case errors.Is(err, bufio.ErrTooLong):
		return nil, damaged("line %d is longer than %d MiB", p.number, maxLine>>20)
	case err == nil || errors.Is(err, errCutOff):
		return nil, damaged("it ends in line %d, and that is not its last: a part is missing", p.number)
	default:
		return nil, fmt.Errorf("reading the export: %w", err)
	}
}

// next returns a row of p.table, or io.EOF behind the last line, whose hash
// was right.
func (p *parser) next() ([]any, error) {
	for {
		line, err := p.line()
		if err != nil {
			return nil, err
		}
		var row []any
		var table exportTable
		var end exportEnd
		switch {
		case line[0] == '[':
			if err := strict(line, &row); err != nil {
				return nil, damaged("line %d cannot be read", p.number)
			}
			if len(row) != len(p.table.Columns) {
				return nil, damaged("line %d has %d values for the %d columns of %q", p.number, len(row), len(p.table.Columns), p.table.Table)
			}
			for n, value := range row {
				if row[n], err = plainValue(value); err != nil {
					return nil, damaged("line %d: %v", p.number, err)
				}
			}
			p.rows++
			p.hash.Write(line)
			return row, nil
		case strict(line, &table) == nil && table.Table != "":
			if !slices.Contains(tables(), table.Table) || slices.Contains(p.seen, table.Table) || len(table.Columns) == 0 {
				return nil, damaged("line %d names the table %q, which is unknown or was there before", p.number, table.Table)
			}
			p.table, p.seen = table, append(p.seen, table.Table)
			p.hash.Write(line)
		case strict(line, &end) == nil && end.SHA256 != "":
			return nil, p.finish(end)
		default:
			return nil, damaged("line %d cannot be read", p.number)
		}
	}
}

// finish checks the last line and returns io.EOF if all is well.
func (p *parser) finish(end exportEnd) error {
	switch {
	case end.Rows != p.rows || end.SHA256 != hex.EncodeToString(p.hash.Sum(nil)):
		return damaged("its checksum does not fit: it was changed, or a part is missing")
	case !slices.Equal(p.seen, tables()):
		return damaged("it does not have every table")
	}
	if p.lines.Scan() || p.lines.Err() != nil {
		return damaged("there is something behind its last line")
	}
	return io.EOF
}

// strict decodes one line into v: nothing unknown, nothing behind it, and
// numbers as they stand there.
func strict(line []byte, v any) error {
	decoder := json.NewDecoder(bytes.NewReader(line))
	decoder.DisallowUnknownFields()
	decoder.UseNumber()
	if err := decoder.Decode(v); err != nil {
		return err
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return errors.New("something is behind it")
	}
	return nil
}

// plainValue is a value as it is kept: a text, a whole number or nothing.
func plainValue(value any) (any, error) {
	switch value := value.(type) {
	case nil, string:
		return value, nil
	case json.Number:
		return value.Int64()
	}
	return nil, fmt.Errorf("a text or a number is wanted, not %v", value)
}
