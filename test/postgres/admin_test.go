// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package postgres_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tegata/tegata/internal/admin"
	"github.com/tegata/tegata/internal/exit"
	"github.com/tegata/tegata/internal/store/storetest"
)

// person runs command lines, one after the other.
type person struct {
	t           *testing.T
	environment map[string]string
}

// tegata runs a command line and returns what it printed. Nothing that it
// prints holds a password.
func (p person) tegata(want int, stdin string, args ...string) (stdout, stderr string) {
	p.t.Helper()
	var out, problems strings.Builder
	code := admin.Main(p.t.Context(), admin.Env{
		Args:   args,
		Lookup: func(name string) (string, bool) { value, ok := p.environment[name]; return value, ok },
		Stdin:  strings.NewReader(stdin), Stdout: &out, Stderr: &problems,
	})
	what := strings.Join(args, " ")
	if code != want {
		p.t.Errorf("tegata %s ended with %d, want %d:\n%s", what, code, want, problems.String())
	}
	if strings.Contains(out.String()+problems.String(), p.environment["DB_PASSWORD"]) {
		p.t.Errorf("tegata %s prints the password of the database", what)
	}
	return out.String(), problems.String()
}

func (p person) wants(text, part string) {
	p.t.Helper()
	if !strings.Contains(text, part) {
		p.t.Errorf("got\n%s\nwant: %s", text, part)
	}
}

// The commands of an administrator, on a database with a password: what is
// missing is said, everything works as on SQLite, and moves there and back.
func TestCommandsOnPostgreSQL(t *testing.T) {
	t.Parallel()
	const password = "shibboleth"
	shared.Guard(t, "admin", password)
	shared.Exec(t, "postgres", `CREATE DATABASE admin OWNER admin`)
	dir := t.TempDir()
	file := filepath.Join(dir, "tegata.yaml")
	storetest.Check(t, os.WriteFile(file, fmt.Appendf(nil, `
storage: {postgres: {url: "postgres://admin@127.0.0.1:%d/admin", password_environment: DB_PASSWORD}}
key_encryption_key: {environment: KEK}
password_hash: {memory_kib: 8, time: 1}
`, shared.Port), 0o600))
	p := person{t, map[string]string{
		"TEGATA_CONFIG": file, "DB_PASSWORD": "wrong-" + password,
		"KEK": "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=",
	}}

	_, said := p.tegata(exit.Failed, "", "user", "list")
	p.wants(said, `does not let us in: password authentication failed for user "admin"`)
	p.wants(said, "hint: nothing was changed; see whether PostgreSQL runs and storage.postgres leads to it, and try again")
	p.environment["DB_PASSWORD"] = password

	_, said = p.tegata(exit.Failed, "", "user", "list")
	p.wants(said, fmt.Sprintf("error: there is no data in postgres://admin@127.0.0.1:%d/admin\n", shared.Port))
	p.wants(said, "hint: check storage.postgres.url in the configuration; tegata serve begins with an empty database")

	p.tegata(exit.Done, "", "group", "add", "platform")
	p.tegata(exit.Done, "correct horse battery", "user", "add", "alice", "--group", "platform", "--password-stdin")
	p.tegata(exit.Done, "", "client", "add", "kubernetes", "--public", "--redirect-uri", "http://localhost:8000")
	p.tegata(exit.Failed, "correct horse battery", "user", "add", "ALICE", "--password-stdin")
	out, _ := p.tegata(exit.Done, "", "user", "list")
	p.wants(out, "alice")

	_, said = p.tegata(exit.Failed, "", "backup", filepath.Join(dir, "copy.db"))
	p.wants(said, "error: PostgreSQL makes its backups itself\nhint: use pg_dump")

	moved := filepath.Join(dir, "moved.jsonl")
	_, said = p.tegata(exit.Done, "", "export", moved)
	p.wants(said, "exported 1 users, 1 groups, 1 clients")
	p.wants(said, "Whoever imports this needs the key from $KEK.")
	here := filepath.Join(dir, "data")
	storetest.Check(t, os.Mkdir(here, 0o700))
	storetest.Check(t, os.WriteFile(filepath.Join(here, "key-encryption-key"), []byte(p.environment["KEK"]), 0o600))
	onSQLite := person{t, map[string]string{"TEGATA_DATA_DIR": here, "DB_PASSWORD": password}}
	onSQLite.tegata(exit.Done, "", "import", moved)
	out, _ = onSQLite.tegata(exit.Done, "", "user", "show", "alice")
	onSQLite.wants(out, "platform")
	onSQLite.tegata(exit.Done, "", "user", "delete", "alice", "--yes")
	back, _ := onSQLite.tegata(exit.Done, "", "export", "-")
	_, said = p.tegata(exit.Failed, back, "import", "-")
	p.wants(said, "already\nhint: nothing was changed; --replace deletes it first")
	p.tegata(exit.Done, back, "import", "-", "--replace")
	if out, _ = p.tegata(exit.Done, "", "user", "list"); strings.Contains(out, "alice") {
		t.Errorf("the import did not replace what was there:\n%s", out)
	}
	p.environment["KEK"] = "QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVphYmNkZWY="
	_, said = p.tegata(exit.Failed, back, "import", "-", "--replace")
	p.wants(said, "error: the key-encryption key in $KEK does not open the export")
}
