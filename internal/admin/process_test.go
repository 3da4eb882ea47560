// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package admin_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

const terminate = syscall.SIGTERM

// process is one run of tegata serve in a process of its own.
type process struct {
	command         *exec.Cmd
	ended           chan struct{} // closed when it has ended
	stdout, stderr  transcript
	issuer, address string
}

// transcript is output that is read while it is written.
type transcript struct {
	mu   sync.Mutex
	text bytes.Buffer // guarded by mu
	grew chan struct{}
}

func (t *transcript) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	n, err := t.text.Write(p)
	select {
	case t.grew <- struct{}{}:
	default:
	}
	return n, err
}

func (t *transcript) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.text.String()
}

var servingLine = regexp.MustCompile(`msg=serving issuer=(\S+) listen=(\S+)`)

// start begins tegata serve and returns when it serves.
func (p *process) start(dir string, environment []string, args ...string) error {
	p.stderr.grew = make(chan struct{}, 1)
	p.stdout.grew = make(chan struct{}, 1)
	p.command = exec.Command("tegata", append([]string{"serve"}, args...)...)
	p.command.Dir, p.command.Env = dir, environment
	p.command.Stdout, p.command.Stderr = &p.stdout, &p.stderr
	if err := p.command.Start(); err != nil {
		return err
	}
	p.ended = make(chan struct{})
	go func() {
		defer close(p.ended)
		_ = p.command.Wait() // the exit code is what is asked for
	}()
	deadline := time.NewTimer(30 * time.Second)
	defer deadline.Stop()
	for {
		if found := servingLine.FindStringSubmatch(p.stderr.String()); found != nil {
			p.issuer, p.address = found[1], found[2]
			return nil
		}
		select {
		case <-p.stderr.grew:
		case <-p.ended:
			return fmt.Errorf("tegata serve ended with %d:\n%s", p.command.ProcessState.ExitCode(), p.stderr.String())
		case <-deadline.C:
			p.kill()
			return fmt.Errorf("tegata serve does not serve:\n%s", p.stderr.String())
		}
	}
}

// stop sends a signal and returns the exit code.
func (p *process) stop(signal os.Signal) (int, error) {
	if err := p.command.Process.Signal(signal); err != nil {
		return 0, err
	}
	deadline := time.NewTimer(30 * time.Second)
	defer deadline.Stop()
	select {
	case <-p.ended:
		return p.command.ProcessState.ExitCode(), nil
	case <-deadline.C:
		p.kill()
		return 0, errors.New("the server does not end")
	}
}

func (p *process) kill() {
	if p.command == nil || p.command.Process == nil {
		return
	}
	_ = p.command.Process.Kill() // it may have ended already
	<-p.ended
}

func (p *process) dial(ctx context.Context, network, _ string) (net.Conn, error) {
	return new(net.Dialer).DialContext(ctx, network, p.address)
}

// startServer starts tegata serve --dev on a free port for one test.
func startServer(t *testing.T, dataDir string, args ...string) *process {
	t.Helper()
	p := &process{}
	t.Cleanup(p.kill)
	args = append([]string{"--dev", "--listen", "127.0.0.1:0", "--data-dir", dataDir}, args...)
	if err := p.start(t.TempDir(), os.Environ(), args...); err != nil {
		t.Fatal(err)
	}
	return p
}

// run runs tegata in a process of its own and returns what it printed.
func run(t *testing.T, stdin string, args ...string) (string, error) {
	t.Helper()
	command := exec.Command("tegata", args...)
	command.Stdin = strings.NewReader(stdin)
	out, err := command.CombinedOutput()
	return string(out), err
}
