// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package kubetest_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/gofrs/flock"

	"github.com/tegata/tegata/internal/kubetest"
)

// TestBuildOnce builds a module that looks like ours but compiles in no time,
// from two places at once and once again later.
func TestBuildOnce(t *testing.T) {
	// Neither may matter, the first of them would fail.
	t.Setenv("GOFLAGS", "-mod=vendor")
	t.Setenv("GOOS", "plan9")
	source, cache := smallSource(t), t.TempDir()

	// Whoever builds first does not go on before the other one waits.
	var group sync.WaitGroup
	waits := make(chan struct{})
	logs := make([]strings.Builder, 2)
	binaries := make([]kubetest.Binaries, 2)
	for i := range logs {
		group.Go(func() {
			var err error
			if binaries[i], err = kubetest.BuildFrom(t.Context(), writerFunc(func(p []byte) (int, error) {
				logs[i].Write(p)
				switch line := string(p); {
				case strings.HasPrefix(line, "another process builds"):
					close(waits)
				case strings.HasPrefix(line, "building"):
					<-waits
				}
				return len(p), nil
			}), source, cache); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	if t.Failed() {
		return
	}
	if binaries[0] != binaries[1] {
		t.Errorf("two builds of the same: %v and %v", binaries[0], binaries[1])
	}
	said := logs[0].String() + logs[1].String()
	if got := strings.Count(said, "built after"); got != 1 {
		t.Errorf("number of builds: got %d, want 1:\n%s", got, said)
	}
	if got := strings.Count(said, "another process builds"); got != 1 {
		t.Errorf("number of those who wait: got %d, want 1:\n%s", got, said)
	}
	if dir := filepath.Base(filepath.Dir(binaries[0].Etcd)); !strings.HasPrefix(dir, "v1.2.3-") {
		t.Errorf("folder of the build: got %q, want v1.2.3-…", dir)
	}

	// The same again is found, without a word.
	var log strings.Builder
	again, err := kubetest.BuildFrom(t.Context(), &log, source, cache)
	if err != nil || again != binaries[0] || log.String() != "" {
		t.Errorf("building again: got %v, %v and %q, want %v and no words", again, err, log.String(), binaries[0])
	}

	// Another source is another build, which also repairs what a cleaner of
	// caches took and what a killed process left.
	write(t, filepath.Join(source, "cmd", "etcd", "main.go"), "package main\nfunc main() { println() }\n")
	cut := filepath.Join(cache, ".building-1")
	if err := errors.Join(os.Mkdir(cut, 0o700), os.Remove(binaries[0].Kubectl)); err != nil {
		t.Fatal(err)
	}
	other, err := kubetest.BuildFrom(t.Context(), nil, source, cache)
	if err != nil || other == binaries[0] {
		t.Errorf("building another source: got %v, %v", other, err)
	}
	if _, err := os.Stat(cut); err == nil {
		t.Error("what a killed build left is still there")
	}
}

// TestBuildSaysWhy builds what does not compile.
func TestBuildSaysWhy(t *testing.T) {
	t.Parallel()
	source, cache := smallSource(t), t.TempDir()
	write(t, filepath.Join(source, "cmd", "kubectl", "main.go"), "package main\nfunc main() { oops() }\n")
	_, err := kubetest.BuildFrom(t.Context(), nil, source, cache)
	if want := "undefined: oops"; err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("got error %v, want %q in it", err, want)
	}
	if found, _ := filepath.Glob(filepath.Join(cache, "*building*")); found != nil {
		t.Errorf("left behind: %q", found)
	}
}

// TestBuildIsInterruptible ends a build, and the wait for another's build.
func TestBuildIsInterruptible(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		locked bool // another process holds the lock
	}{
		{"building", false},
		{"waiting", true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			source, cache := smallSource(t), t.TempDir()
			if test.locked {
				other := flock.New(filepath.Join(cache, "lock"))
				if err := other.Lock(); err != nil {
					t.Fatal(err)
				}
				defer other.Close()
			}
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			// The line that says what it is about to do is the moment to stop it.
			_, err := kubetest.BuildFrom(ctx, writerFunc(func(p []byte) (int, error) {
				cancel()
				return len(p), nil
			}), source, cache)
			if !errors.Is(err, context.Canceled) {
				t.Errorf("got error %v, want %v", err, context.Canceled)
			}
			if found, _ := filepath.Glob(filepath.Join(cache, "*building*")); found != nil {
				t.Errorf("left behind: %q", found)
			}
		})
	}
}

// smallSource makes a module with the same three programs, which do nothing.
func smallSource(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range map[string]string{
		"go.mod": "module example.com/controlplane\n\ngo 1.26.0\n\nrequire k8s.io/kubernetes v1.2.3\n\n" +
			"replace k8s.io/kubernetes => ./kubernetes\n",
		"kubernetes/go.mod":          "module k8s.io/kubernetes\n\ngo 1.26.0\n",
		"cmd/etcd/main.go":           "package main\nfunc main() {}\n",
		"cmd/kube-apiserver/main.go": "package main\nfunc main() {}\n",
		"cmd/kubectl/main.go":        "package main\nfunc main() {}\n",
	} {
		write(t, filepath.Join(dir, filepath.FromSlash(name)), content)
	}
	return dir
}

// write writes a file and the folders that it needs.
func write(t *testing.T, name, content string) {
	t.Helper()
	if err := errors.Join(os.MkdirAll(filepath.Dir(name), 0o700), os.WriteFile(name, []byte(content), 0o600)); err != nil {
		t.Fatal(err)
	}
}

// writerFunc is a function as a writer.
type writerFunc func(p []byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }
