// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package admin_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tegata/tegata/internal/admin"
	"github.com/tegata/tegata/internal/exit"
)

type closedPipe struct{}

func (closedPipe) Write([]byte) (int, error) { return 0, errors.New("the pipe is closed") }

// What was done is written down also if the command fails after it.
func TestWhatWasDoneIsToldBeforeAFailure(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file, trail := filepath.Join(dir, "tegata.yaml"), filepath.Join(dir, "audit.jsonl")
	text := "data_dir: " + filepath.Join(dir, "data") + "\naudit: {file: " + trail + "}\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	var stderr strings.Builder
	code := admin.Main(t.Context(), admin.Env{
		Args:   []string{"user", "add", "alice", "--no-password", "--output", "json", "--config", file},
		Lookup: func(string) (string, bool) { return "", false },
		Stdin:  strings.NewReader(""), Stdout: closedPipe{}, Stderr: &stderr, Version: "v0.0.0-test",
	})
	if code != exit.Failed || !strings.Contains(stderr.String(), "the pipe is closed") {
		t.Fatalf("ended with %d:\n%s", code, stderr.String())
	}
	told, err := os.ReadFile(trail)
	if err != nil {
		t.Fatal(err)
	}
	if got := string(told); strings.Count(got, "\n") != 1 || !strings.Contains(got, `"subject":"alice-`) || !strings.Contains(got, `"reason":"tegata user add"`) {
		t.Errorf("got %s", got)
	}
}
