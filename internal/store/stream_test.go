// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package store_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/tegata/tegata/internal/store"
	"github.com/tegata/tegata/internal/store/storetest"
)

// Whoever adds a table adds it to the list in stream.go, behind those that
// its rows need; without it, exports would leave it out.
func TestExportHasEveryTable(t *testing.T) {
	t.Parallel()
	_, _, path := fresh(t)
	rows, err := raw(t, path).Query(`SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite%' AND name <> 'goose_db_version'`)
	check(t, err)
	defer rows.Close()
	var all []string
	for rows.Next() {
		var name string
		check(t, rows.Scan(&name))
		all = append(all, name)
	}
	check(t, rows.Err())
	if diff := cmp.Diff(all, store.Tables(), cmpopts.SortSlices(strings.Compare)); diff != "" {
		t.Errorf("-in the schema +in the list:\n%s", diff)
	}
}

func TestDamagedExportIsRefused(t *testing.T) {
	t.Parallel()
	db, _ := empty(t)
	storetest.Fill(t, db)
	good := string(storetest.Export(t, db))
	if _, err := store.ReadExport(strings.NewReader(good)); err != nil {
		t.Fatal(err)
	}
	lines := strings.SplitAfter(good, "\n")
	last := len(lines) - 2 // nothing is behind its end
	without := func(from, to int) string { return strings.Join(lines[:from], "") + strings.Join(lines[to:], "") }
	for name, test := range map[string]struct{ stream, want string }{
		"nothing":              {"", "it ends in line 1, and that is not its last: a part is missing"},
		"something else":       {"apiVersion: v1\nkind: Config\n", "this is no export of tegata"},
		"other JSON":           {"{}\n", "this is no export of tegata"},
		"another format":       {strings.Replace(good, `"tegata_export":1`, `"tegata_export":2`, 1), "this is an export of format 2, and this program knows 1: it was written by another version"},
		"another schema":       {strings.Replace(good, `"schema":1`, `"schema":9999`, 1), "the export has schema version 9999, this program knows"},
		"half a line":          {good[:len(good)/2], "and that is not its last: a part is missing"},
		"no last line":         {without(last, last+1), "and that is not its last: a part is missing"},
		"no end of the line":   {strings.TrimSuffix(good, "\n"), "and that is not its last: a part is missing"},
		"a row less":           {without(2, 3), "its checksum does not fit: it was changed, or a part is missing"},
		"a row less, and sum":  {storetest.Sum(without(2, 3)), "its checksum does not fit"},
		"a table less":         {storetest.Sum(without(last-1, last)), "it does not have every table"},
		"no table":             {storetest.Sum(lines[0] + `{"rows":0,`), "it does not have every table"},
		"a row twice":          {strings.Join(lines[:3], "") + lines[2] + strings.Join(lines[3:], ""), "its checksum does not fit"},
		"another word":         {strings.Replace(good, "user7", "user9", 1), "its checksum does not fit"},
		"more behind it":       {good + "\n", "there is something behind its last line"},
		"two of them":          {good + good, "there is something behind its last line"},
		"an empty line":        {strings.Replace(good, "\n", "\n\n", 1), "line 2 cannot be read"},
		"a table of ours":      {strings.Replace(good, `"table":"users"`, `"table":"goose_db_version"`, 1), `names the table "goose_db_version", which is unknown or was there before`},
		"a table twice":        {strings.Replace(good, `"table":"users"`, `"table":"clients"`, 1), `names the table "clients", which is unknown or was there before`},
		"a statement":          {strings.Replace(good, `"table":"users"`, `"table":"users; DROP TABLE users"`, 1), "which is unknown or was there before"},
		"a value too many":     {strings.Replace(good, `["one",`, `["one","one",`, 1), " columns of \"issuers\""},
		"a value of no type":   {strings.Replace(good, `["one",`, `[true,`, 1), "line 3: a text or a number is wanted, not true"},
		"a number with a dot":  {strings.Replace(good, `["one",`, `[1.5,`, 1), "line 3: "},
		"something in the row": {strings.Replace(good, `["one",`, `[{"a":1},`, 1), "line 3: a text or a number is wanted"},
		"an unknown key":       {strings.Replace(good, `"made_at"`, `"made_by"`, 1), "line 1 cannot be read"},
		"a line for ever":      {lines[0] + strings.Repeat("[", 17<<20), "line 2 is longer than 16 MiB"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := store.ReadExport(strings.NewReader(test.stream))
			if _, ok := errors.AsType[*store.DamagedError](err); !ok || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %T %v, want a DamagedError: %s", err, err, test.want)
			}
		})
	}
}

// Whatever the stream is, it is read or refused as damaged; what is read has
// a row for each line that says so.
func FuzzReadExport(f *testing.F) {
	good := `{"tegata_export":1,"schema":1,"made_at":"2026-11-22T12:00:00Z"}` + "\n"
	for _, table := range store.Tables() {
		good += `{"table":"` + table + `","columns":["id"]}` + "\n[\"one\"]\n[2]\n"
	}
	f.Add(good + `{"rows":` + fmt.Sprint(2*len(store.Tables())) + ",")
	f.Add(`{"tegata_export":1}` + "\n[]\n")
	f.Fuzz(func(t *testing.T, stream string) {
		if strings.Contains(stream, `{"rows":`) {
			stream = storetest.Sum(stream) // or nothing would come so far
		}
		export, err := store.ReadExport(strings.NewReader(stream))
		if err != nil {
			if _, ok := errors.AsType[*store.DamagedError](err); !ok {
				t.Errorf("got %T %v, want a DamagedError", err, err)
			}
			return
		}
		rows := 0
		for _, n := range export.Counts {
			rows += n
		}
		if want := strings.Count(stream, "\n["); rows != want || len(export.Issuers) != export.Counts["issuers"] {
			t.Errorf("%d rows and %d issuers of %d lines", rows, len(export.Issuers), want)
		}
	})
}

// A copy of a database in use: everything that was answered before it began
// is in it, and it is whole, and nobody else may read it.
func TestBackupWhileOthersWrite(t *testing.T) {
	t.Parallel()
	db, i, path := fresh(t)
	quit := make(chan struct{})
	var writers sync.WaitGroup
	answered := make([][]string, 4)
	var mu sync.Mutex
	for n := range answered {
		writers.Go(func() {
			for round := 0; ; round++ {
				id := fmt.Sprint(n, "-", round)
				if err := i.AddGrant(t.Context(), newGrant(id, "c", "s")); err != nil {
					t.Error(err)
				}
				mu.Lock()
				answered[n] = append(answered[n], id)
				mu.Unlock()
				select {
				case <-quit:
					return
				default:
				}
			}
		})
	}
	copied := filepath.Join(filepath.Dir(path), "copy of 'it'?.db")
	for round := range 5 {
		mu.Lock()
		var before []string
		for _, ids := range answered {
			before = append(before, ids...)
		}
		mu.Unlock()
		check(t, db.Backup(t.Context(), copied))
		info, err := os.Stat(copied)
		check(t, err)
		if got := info.Mode().Perm(); got != 0o600 {
			t.Errorf("the copy has mode %04o, want 0600", got)
		}
		if err := db.Backup(t.Context(), copied); !errors.Is(err, os.ErrExist) {
			t.Errorf("over another file: got %v, want that it exists", err)
		}
		restored := open(t, copied)
		for _, id := range before {
			if _, err := restored.Issuer("one").Grant(t.Context(), id); err != nil {
				t.Fatalf("round %d: %s was answered before and is not in the copy: %v", round, id, err)
			}
		}
		check(t, restored.Close())
		wantIntegrity(t, copied)
		check(t, os.Remove(copied))
	}
	close(quit)
	writers.Wait()
	left, err := filepath.Glob(filepath.Join(filepath.Dir(path), ".copy*"))
	check(t, err)
	if len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}
