// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package postgres

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tegata/tegata/test/process"
)

// Pooler starts a PgBouncer in front of the server that gives each transaction
// another connection, and stops it when the test ends. It returns what turns a
// URL of the server into one of the pooler.
func (s *Server) Pooler(t testing.TB) (through func(url string) string) {
	t.Helper()
	program, err := exec.LookPath("pgbouncer")
	if err != nil {
		program = "/usr/sbin/pgbouncer" // where Debian has it, which is not in everybody's path
		if _, err := os.Stat(program); err != nil {
			t.Fatal("this test needs a pooler: apt-get install pgbouncer")
		}
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	listener.Close()
	_, port, _ := net.SplitHostPort(address)
	config := filepath.Join(s.Dir, "pgbouncer.ini")
	if err := os.WriteFile(config, fmt.Appendf(nil, `[databases]
* = host=127.0.0.1 port=%d user=postgres
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = %s
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = 4
max_db_connections = 4
server_idle_timeout = 1
`, s.Port, port), 0o644); err != nil {
		t.Fatal(err)
	}
	command := s.command("pgbouncer", config)
	command.Path = program
	p, err := process.Start(command, filepath.Join(s.Dir, "pooler.log"))
	if err != nil {
		t.Fatalf("starting PgBouncer: %v", err)
	}
	t.Cleanup(p.Kill)
	for deadline := time.Now().Add(startTimeout); ; time.Sleep(20 * time.Millisecond) {
		conn, err := net.Dial("tcp", address)
		if err == nil {
			conn.Close()
			break
		}
		if time.Now().After(deadline) {
			log, _ := os.ReadFile(filepath.Join(s.Dir, "pooler.log"))
			t.Fatalf("PgBouncer did not start: %v\n%s", err, log)
		}
	}
	return func(url string) string {
		return strings.Replace(url, fmt.Sprint("127.0.0.1:", s.Port), address, 1)
	}
}
