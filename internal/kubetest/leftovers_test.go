// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package kubetest_test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tegata/tegata/internal/kubetest"
)

// childDir is the environment variable that makes this test binary the child of
// TestNothingIsLeft: it names the directory to use.
const childDir = "KUBETEST_CHILD_DIR"

// childPlanes is the environment variable that says how many control planes the
// child starts.
const childPlanes = "KUBETEST_CHILD_PLANES"

// childPanics is the environment variable that makes the child panic.
const childPanics = "KUBETEST_CHILD_PANICS"

// TestNothingIsLeft ends a test process with running control planes in the ways
// in which people and systems end processes, and looks for what it leaves.
func TestNothingIsLeft(t *testing.T) {
	if dir := os.Getenv(childDir); dir != "" {
		child(t, dir)
		return
	}
	t.Parallel()

	tests := []struct {
		name string
		env  string // for the child
		n    int    // how many control planes it starts
		end  func(cmd *exec.Cmd) error
		want syscall.Signal // what the process is seen to die of; 0 for a panic
	}{
		{
			name: "SIGINT with two control planes",
			n:    2,
			end:  func(cmd *exec.Cmd) error { return cmd.Process.Signal(os.Interrupt) },
			want: syscall.SIGINT,
		},
		{
			name: "SIGTERM to the process group",
			n:    1,
			end:  func(cmd *exec.Cmd) error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) },
			want: syscall.SIGTERM,
		},
		{
			name: "SIGKILL",
			n:    1,
			end:  func(cmd *exec.Cmd) error { return cmd.Process.Kill() },
			want: syscall.SIGKILL,
		},
		{
			name: "panic",
			n:    1,
			env:  childPanics + "=yes",
			end:  func(*exec.Cmd) error { return nil },
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			dir := t.TempDir()
			cmd := exec.Command(os.Args[0], "-test.run=^TestNothingIsLeft$", "-test.v")
			cmd.Env = append(os.Environ(), childDir+"="+dir, childPlanes+"="+strconv.Itoa(test.n), test.env)
			cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
			var stderr bytes.Buffer
			cmd.Stderr = &stderr
			stdout, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			// It says which processes it has started, and then waits.
			var pids []int
			var said strings.Builder
			for lines := bufio.NewScanner(stdout); len(pids) < 2*test.n && lines.Scan(); {
				said.WriteString(lines.Text() + "\n")
				var etcd, apiServer int
				if n, _ := fmt.Sscanf(lines.Text(), "child: %d %d", &etcd, &apiServer); n == 2 {
					pids = append(pids, etcd, apiServer)
				}
			}
			if err := errors.Join(test.end(cmd), ignoreExit(cmd.Wait())); err != nil {
				t.Fatal(err)
			}
			if len(pids) != 2*test.n {
				t.Fatalf("the child did not start its control planes:\n%s%s", said.String(), stderr.String())
			}
			status := cmd.ProcessState.Sys().(syscall.WaitStatus)
			if got := status.Signal(); test.want != 0 && got != test.want {
				t.Errorf("the process died of: got %v, want %v", got, test.want)
			}
			if test.want == 0 && !strings.Contains(stderr.String(), "panic: on purpose") {
				t.Errorf("the child did not panic:\n%s", stderr.String())
			}
			checkGone(t, pids...)

			// After SIGKILL it is the next start that removes the directory.
			if test.want == syscall.SIGKILL {
				if found := controlPlanes(t, dir); len(found) != 1 {
					t.Errorf("directories after SIGKILL: got %q, want one", found)
				}
				if _, err := kubetest.Start(t.Context(), kubetest.Config{
					Dir:      dir,
					Binaries: kubetest.Binaries{Etcd: "/does/not/exist"},
				}); err == nil {
					t.Error("started etcd from a file that does not exist")
				}
			}
			checkEmpty(t, dir)
		})
	}
}

// child is what the test binary does as the child of TestNothingIsLeft.
func child(t *testing.T, dir string) {
	n, err := strconv.Atoi(os.Getenv(childPlanes))
	if err != nil {
		t.Fatal(err)
	}
	for range n {
		pids := kubetest.New(t, kubetest.Config{Dir: dir}).ProcessIDs()
		fmt.Printf("child: %d %d\n", pids[0], pids[1])
	}
	if os.Getenv(childPanics) != "" {
		panic("on purpose")
	}
	time.Sleep(time.Minute) // until the parent ends this process
}

// ignoreExit drops the error that says only that a process did not end well.
func ignoreExit(err error) error {
	if _, ok := errors.AsType[*exec.ExitError](err); ok {
		return nil
	}
	return err
}
