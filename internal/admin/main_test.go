// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package admin_test

import (
	"context"
	"flag"
	"os"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/tegata/tegata/internal/admin"
	"github.com/tegata/tegata/internal/exit"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// TestMain lets the test binary play tegata, in a process of its own.
func TestMain(m *testing.M) {
	// With -race each process would wait a second before it ends.
	os.Setenv("GORACE", "atexit_sleep_ms=0")
	testscript.Main(m, map[string]func(){
		"tegata": func() {
			ctx, stop := exit.OnSignal(context.Background())
			code := admin.Main(ctx, admin.Env{
				Args: os.Args[1:], Lookup: os.LookupEnv, Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr,
				Version: "v0.0.0-test",
			})
			stop()
			os.Exit(code)
		},
	})
}

// result is how a command line ended.
type result struct {
	code           int
	stdout, stderr string
}

// tegata runs a command line inside this process. Standard input is no
// terminal; the environment is what the test gives.
func tegata(t *testing.T, environment map[string]string, stdin string, args ...string) result {
	t.Helper()
	var stdout, stderr strings.Builder
	code := admin.Main(t.Context(), admin.Env{
		Args:    args,
		Lookup:  func(name string) (string, bool) { value, ok := environment[name]; return value, ok },
		Stdin:   strings.NewReader(stdin),
		Stdout:  &stdout,
		Stderr:  &stderr,
		Version: "v0.0.0-test",
	})
	return result{code, stdout.String(), stderr.String()}
}

// must fails the test if the command did.
func (r result) must(t *testing.T) result {
	t.Helper()
	if r.code != exit.Done {
		t.Fatalf("ended with %d, want 0; standard error:\n%s", r.code, r.stderr)
	}
	return r
}
