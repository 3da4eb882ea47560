// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

// Package postgres starts real PostgreSQL servers for tests, of the programs
// that the operating system's package brings, each in a temporary directory
// and on a free port, and stops them. What it has tests for is the storage on
// PostgreSQL: the suite of package store, crashes, restarts, broken networks.
package postgres

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver named pgx

	"github.com/tegata/tegata/test/process"
)

// Server is a PostgreSQL server of a test. Its superuser is "postgres", whom
// it lets in without a password.
type Server struct {
	Port int
	Dir  string // its socket is here, its data in "data", its log in "log"

	programs string              // the folder of initdb and postgres
	owner    *syscall.Credential // nil: we
	process  *process.Process
	names    atomic.Int64
}

// startTimeout is how long a server may take to start, also after a crash.
const startTimeout = time.Minute

// Start starts a server with settings such as "fsync=off", and stops it when
// the test ends.
func Start(t testing.TB, settings ...string) *Server {
	t.Helper()
	s, err := New(settings...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// New starts a server that several tests share. Close stops it.
func New(settings ...string) (*Server, error) {
	programs, err := findPrograms()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "tegata-postgres-")
	if err != nil {
		return nil, err
	}
	s := &Server{Dir: dir, programs: programs}
	if err := s.makeCluster(settings); err != nil {
		s.Close()
		return nil, fmt.Errorf("making a PostgreSQL cluster: %w", err)
	}
	if err := s.Restart(); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

// Close stops the server and removes its data.
func (s *Server) Close() {
	s.Kill()
	os.RemoveAll(s.Dir)
}

// findPrograms looks where Debian's package has them, the newest first, and
// then in the path.
func findPrograms() (string, error) {
	folders, err := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if err != nil {
		return "", err
	}
	slices.Sort(folders)
	if len(folders) > 0 {
		return filepath.Dir(folders[len(folders)-1]), nil
	}
	if initdb, err := exec.LookPath("initdb"); err == nil {
		return filepath.Dir(initdb), nil
	}
	return "", errors.New("this test needs a PostgreSQL server: apt-get install postgresql")
}

func (s *Server) makeCluster(settings []string) error {
	if os.Getuid() == 0 { // PostgreSQL refuses to run as root
		uid, gid, err := somebody()
		if err != nil {
			return err
		}
		s.owner = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
		if err := s.Own(s.Dir); err != nil {
			return err
		}
	}
	initdb := s.command("initdb", "--pgdata=data", "--username=postgres", "--auth=trust", "--encoding=UTF8",
		"--locale=C.UTF-8", "--locale-provider=icu", "--icu-locale=en-US", // which sorts unlike SQLite, as most databases do
		"--no-sync", "--no-instructions")
	if out, err := initdb.CombinedOutput(); err != nil {
		return fmt.Errorf("%w:\n%s", err, out)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	s.Port = listener.Addr().(*net.TCPAddr).Port
	if err := listener.Close(); err != nil {
		return err
	}
	settings = append([]string{
		"listen_addresses=127.0.0.1", "port=" + strconv.Itoa(s.Port), "unix_socket_directories=" + s.Dir,
		"max_connections=200", "shared_buffers=16MB",
	}, settings...)
	var lines strings.Builder
	for _, setting := range settings {
		name, value, _ := strings.Cut(setting, "=")
		fmt.Fprintf(&lines, "%s = '%s'\n", name, value)
	}
	file, err := os.OpenFile(filepath.Join(s.Dir, "data", "postgresql.conf"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = file.WriteString(lines.String())
	return errors.Join(err, file.Close())
}

// Own gives a file to the user that the server runs as.
func (s *Server) Own(path string) error {
	if s.owner == nil {
		return nil
	}
	return os.Chown(path, int(s.owner.Uid), int(s.owner.Gid))
}

// somebody is the user that PostgreSQL runs as when the test runs as root.
func somebody() (uid, gid int, err error) {
	for _, name := range []string{"postgres", "nobody"} {
		found, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, err := strconv.Atoi(found.Uid)
		if err != nil {
			return 0, 0, err
		}
		gid, err := strconv.Atoi(found.Gid)
		return uid, gid, err
	}
	return 0, 0, errors.New("PostgreSQL refuses to run as root, and there is no user postgres or nobody")
}

func (s *Server) command(name string, args ...string) *exec.Cmd {
	command := exec.Command(filepath.Join(s.programs, name), args...)
	command.Dir = s.Dir
	command.SysProcAttr = &syscall.SysProcAttr{Credential: s.owner}
	command.Env = []string{"PATH=" + os.Getenv("PATH"), "LC_ALL=C", "TZ=UTC"}
	return command
}

// Restart starts the server again and waits until it takes connections.
func (s *Server) Restart() error {
	deadline := time.Now().Add(startTimeout)
	for {
		if s.process == nil {
			started, err := process.Start(s.command("postgres", "-D", "data"), filepath.Join(s.Dir, "log"))
			if err != nil {
				return fmt.Errorf("starting PostgreSQL: %w", err)
			}
			s.process = started
		}
		if s.answers() {
			return nil
		}
		select {
		case <-s.process.Gone():
			// After kill -9 its children may still hold the shared memory.
			s.process = nil
		case <-time.After(20 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("PostgreSQL did not start:\n%s", s.Log())
		}
	}
}

func (s *Server) answers() bool {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	db, err := sql.Open("pgx", s.URL("postgres"))
	if err != nil {
		return false
	}
	defer db.Close()
	return db.PingContext(ctx) == nil
}

// Kill ends the server and all its processes with kill -9.
func (s *Server) Kill() {
	if s.process == nil {
		return
	}
	s.signal(syscall.SIGKILL)
	<-s.process.Gone()
	s.process = nil
}

// Stop ends the server as an administrator does who is in a hurry: each
// connection is told, and closed.
func (s *Server) Stop() {
	s.process.Signal(syscall.SIGINT)
	<-s.process.Gone()
	s.process = nil
}

// Pause stops all processes of the server in their tracks, as a machine does
// that is out of reach. Resume lets them go on.
func (s *Server) Pause()  { s.signal(syscall.SIGSTOP) }
func (s *Server) Resume() { s.signal(syscall.SIGCONT) }

// signal reaches the server first, so that it starts no other process
// meanwhile, and then its children. Those that end in between have ended.
func (s *Server) signal(signal syscall.Signal) {
	server := s.process.ID()
	children, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", server, server))
	s.process.Signal(signal)
	for child := range strings.FieldsSeq(string(children)) {
		if pid, err := strconv.Atoi(child); err == nil {
			_ = syscall.Kill(pid, signal)
		}
	}
}

// URL leads to one of its databases, over TCP and without encryption.
func (s *Server) URL(database string) string {
	return fmt.Sprintf("postgres://postgres@127.0.0.1:%d/%s", s.Port, database)
}

// Database makes an empty database and returns its URL.
func (s *Server) Database(t testing.TB) string {
	t.Helper()
	name := fmt.Sprintf("test%d", s.names.Add(1))
	s.Exec(t, "postgres", `CREATE DATABASE `+name)
	return s.URL(name)
}

// Schema makes an empty schema and returns the URL of a database in which
// there is nothing else. It takes a tenth of the time.
func (s *Server) Schema(t testing.TB) string {
	t.Helper()
	name := fmt.Sprintf("test%d", s.names.Add(1))
	s.Exec(t, "postgres", `CREATE SCHEMA `+name)
	return s.URL("postgres") + "?search_path=" + name
}

// Guard makes a user who needs a password over TCP.
func (s *Server) Guard(t testing.TB, name, password string) {
	t.Helper()
	rules := filepath.Join(s.Dir, "data", "pg_hba.conf")
	before, err := os.ReadFile(rules)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(rules, append([]byte("host all "+name+" 127.0.0.1/32 scram-sha-256\n"), before...), 0); err != nil {
		t.Fatal(err)
	}
	s.Exec(t, "postgres", `CREATE ROLE `+name+` LOGIN PASSWORD '`+password+`'; SELECT pg_reload_conf()`)
}

// Exec runs SQL as the superuser.
func (s *Server) Exec(t testing.TB, database, statements string) {
	t.Helper()
	db := s.Open(t, s.URL(database))
	defer db.Close()
	for statement := range strings.SplitSeq(statements, ";") { // CREATE DATABASE wants to be alone
		if _, err := db.ExecContext(context.Background(), statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
}

// Open connects to a database as another program would.
func (s *Server) Open(t testing.TB, url string) *sql.DB {
	t.Helper()
	db, err := sql.Open("pgx", url)
	if err != nil {
		t.Fatal(err)
	}
	return db
}

// Log is the end of what the server has written.
func (s *Server) Log() string {
	text, _ := os.ReadFile(filepath.Join(s.Dir, "log"))
	lines := bytes.SplitAfter(text, []byte("\n"))
	return string(bytes.Join(lines[max(0, len(lines)-30):], nil))
}
