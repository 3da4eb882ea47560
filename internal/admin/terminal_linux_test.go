// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package admin_test

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"
)

// terminal is a pseudo-terminal: the test types at one end, tegata runs at
// the other and has it as its controlling terminal.
type terminal struct {
	person  *os.File
	command *exec.Cmd
	output  transcript
	ended   chan struct{}
}

// atTerminal starts tegata at a terminal of its own.
func atTerminal(t *testing.T, args ...string) *terminal {
	t.Helper()
	person, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Skipf("no pseudo-terminal: %v", err)
	}
	var locked, number int32
	for request, argument := range map[uintptr]*int32{syscall.TIOCSPTLCK: &locked, syscall.TIOCGPTN: &number} {
		if _, _, failed := syscall.Syscall(syscall.SYS_IOCTL, person.Fd(), request, uintptr(unsafe.Pointer(argument))); failed != 0 {
			t.Fatal(failed)
		}
	}
	far, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer far.Close()
	tt := &terminal{person: person, command: exec.Command("tegata", args...), ended: make(chan struct{})}
	tt.output.grew = make(chan struct{}, 1)
	tt.command.Stdin, tt.command.Stdout, tt.command.Stderr = far, far, far
	tt.command.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := tt.command.Start(); err != nil {
		t.Fatal(err)
	}
	read := make(chan struct{})
	go func() {
		defer close(read)
		_, _ = io.Copy(&tt.output, person) // ends with EIO when the far end is closed
	}()
	go func() {
		defer close(tt.ended)
		_ = tt.command.Wait() // the exit code is what is asked for
		<-read
	}()
	t.Cleanup(func() {
		_ = tt.command.Process.Kill() // it may have ended already
		<-tt.ended
		person.Close()
	})
	return tt
}

func (tt *terminal) await(text string) error {
	deadline := time.NewTimer(20 * time.Second)
	defer deadline.Stop()
	for !strings.Contains(tt.output.String(), text) {
		select {
		case <-tt.output.grew:
		case <-tt.ended:
			if strings.Contains(tt.output.String(), text) {
				return nil
			}
			return fmt.Errorf("tegata ended without %q:\n%s", text, tt.output.String())
		case <-deadline.C:
			return fmt.Errorf("no %q:\n%s", text, tt.output.String())
		}
	}
	return nil
}

func (tt *terminal) code() (int, error) {
	deadline := time.NewTimer(5 * time.Second)
	defer deadline.Stop()
	select {
	case <-tt.ended:
		return tt.command.ProcessState.ExitCode(), nil
	case <-deadline.C:
		return 0, errors.New("it does not end")
	}
}

// holds reports whether tegata has the database's log open.
func (tt *terminal) holds(dir string) bool {
	open, err := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", tt.command.Process.Pid))
	return err == nil && slices.ContainsFunc(open, func(file string) bool {
		target, err := os.Readlink(file)
		return err == nil && target == filepath.Join(dir, "tegata.db-wal")
	})
}

// echoes reports whether the terminal shows what is typed.
func (tt *terminal) echoes(t *testing.T) bool {
	t.Helper()
	var state syscall.Termios
	if _, _, failed := syscall.Syscall(syscall.SYS_IOCTL, tt.person.Fd(), syscall.TCGETS, uintptr(unsafe.Pointer(&state))); failed != 0 {
		t.Fatal(failed)
	}
	return state.Lflag&syscall.ECHO != 0
}

func TestPasswordIsNotShownAtTheTerminal(t *testing.T) {
	t.Parallel()
	tt := atTerminal(t, "user", "add", "alice", "--data-dir", t.TempDir())
	for _, prompt := range []string{"Password for alice: ", "Once more: "} {
		if err := tt.await(prompt); err != nil {
			t.Fatal(err)
		}
		// The prompt comes before the echo goes; a person is slower than this.
		for deadline := time.Now().Add(5 * time.Second); tt.echoes(t) && time.Now().Before(deadline); {
			time.Sleep(time.Millisecond) // another process; nothing tells when
		}
		if _, err := tt.person.WriteString("correct horse battery\n"); err != nil {
			t.Fatal(err)
		}
	}
	if err := tt.await("added user alice"); err != nil {
		t.Fatal(err)
	}
	if code, err := tt.code(); err != nil || code != 0 {
		t.Errorf("ended with %d, %v; want 0", code, err)
	}
	if out := tt.output.String(); strings.Contains(out, "horse") {
		t.Errorf("the password is on the screen:\n%s", out)
	}
}

// Issue 2: Ctrl-C at every waiting point ends with 130 and leaves nothing
// behind, the terminal without its echo least of all.
func TestInterruptAtThePrompt(t *testing.T) {
	for _, test := range []struct {
		name   string
		args   []string
		prompt string // empty: it reads without a word
	}{
		{"password", []string{"user", "set-password", "alice"}, "Password for alice: "},
		{"question", []string{"user", "delete", "alice"}, "[y/N] "},
		{"password from standard input", []string{"user", "set-password", "alice", "--password-stdin"}, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			tegata(t, nil, "", "user", "add", "alice", "--no-password", "--data-dir", dir).must(t)
			tt := atTerminal(t, append(test.args, "--data-dir", dir)...)
			if err := tt.await(test.prompt); err != nil {
				t.Fatal(err)
			}
			// The database is opened before anything is read.
			for deadline := time.Now().Add(20 * time.Second); !tt.holds(dir) && time.Now().Before(deadline); {
				time.Sleep(time.Millisecond) // another process; nothing tells when
			}
			if _, err := tt.person.Write([]byte{3}); err != nil {
				t.Fatal(err)
			}
			code, err := tt.code()
			if err != nil || code != 130 {
				t.Errorf("Ctrl-C: ended with %d, %v; want 130\n%s", code, err, tt.output.String())
			}
			if err == nil && !tt.echoes(t) {
				t.Error("the terminal is left without echo")
			}
			if out := tt.output.String(); strings.Contains(out, "error") {
				t.Errorf("an interrupt is no news, got:\n%s", out)
			}
		})
	}
}
