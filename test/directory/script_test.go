// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package directory_test

import (
	"errors"
	"flag"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/tegata/tegata/test/directory"
)

var update = flag.Bool("update", false, "rewrite the scripts")

// TestScripts plays the sessions in testdata beside a laboratory of their own.
// $LDAPS and $LDAP are its addresses, $CA is its authority.
//
//	fill FILE…                puts variables into files
//	exits CODE PROGRAM ARG…   runs a program; no password may be on its output
//	directory stop|go|kill    stalls the server, lets it go on, ends it
//	settle FILE               keeps standard output, without what is another at each run
func TestScripts(t *testing.T) {
	t.Parallel()
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		UpdateScripts:       *update,
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(e *testscript.Env) error {
			server := laboratory(e.T().(testing.TB))
			e.Values[serverKey{}] = server
			for name, value := range map[string]string{
				"GORACE": os.Getenv("GORACE"), "LDAPS": server.LDAPS, "LDAP": server.LDAP, "CA": server.CAFile,
				"TEST_BIND_PASSWORD": directory.SearcherPassword, "BIND": directory.SearcherPassword,
			} {
				e.Setenv(name, value)
			}
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"fill": fill, "exits": exits, "directory": signal, "settle": settle},
	})
}

type serverKey struct{}

func fill(ts *testscript.TestScript, _ bool, args []string) {
	for _, file := range args {
		ts.Check(os.WriteFile(ts.MkAbs(file), []byte(os.Expand(ts.ReadFile(file), ts.Getenv)), 0o600))
	}
}

func exits(ts *testscript.TestScript, _ bool, args []string) {
	code := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		ended, ok := errors.AsType[*exec.ExitError](err)
		if !ok {
			ts.Fatalf("%v", err)
		}
		code = ended.ExitCode()
	}
	if strconv.Itoa(code) != args[0] {
		ts.Fatalf("%s ended with %d, want %s", strings.Join(args[1:], " "), code, args[0])
	}
	if said := ts.ReadFile("stdout") + ts.ReadFile("stderr"); strings.Contains(strings.ReplaceAll(said, "--password", ""), "-password") {
		ts.Fatalf("a password was printed")
	}
}

func signal(ts *testscript.TestScript, _ bool, args []string) {
	server := ts.Value(serverKey{}).(*directory.Server)
	switch args[0] {
	case "stop":
		server.Stall(ts)
	case "go":
		server.Process().Signal(syscall.SIGCONT)
	case "kill":
		server.Process().Kill()
	default:
		ts.Fatalf("directory %q", args)
	}
}

func settle(ts *testscript.TestScript, _ bool, args []string) {
	text := ts.ReadFile("stdout")
	for unsettled, settled := range map[string]string{
		`127\.0\.0\.1:\d+`:                          "ldap1.example.com:636",
		`[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}`: "6e5f3a2c-1111-2222-3333-444455556666",
		`(took: +)\S+`:                              "${1}1ms",
		`("took_ns": )\d+`:                          "${1}1",
	} {
		text = regexp.MustCompile(unsettled).ReplaceAllString(text, settled)
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(text), 0o600))
}
