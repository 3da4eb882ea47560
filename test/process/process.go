// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

// Package process starts the real servers that tests need, so that none of
// them outlives the test, not even one that is killed.
//
// It is for the packages below test that start one kind of server each.
package process

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"time"
)

// Process is a child that does not outlive this process.
type Process struct {
	Log  string // the file that its output is appended to
	cmd  *exec.Cmd
	gone chan struct{} // closed when it has ended
}

// Start starts a command; its output is appended to the file log. When this
// process ends, the command is sent the signal that the platform has for it.
func Start(cmd *exec.Cmd, log string) (*Process, error) {
	file, err := os.OpenFile(log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	cmd.Stdout, cmd.Stderr = file, file
	dieWithParent(cmd)
	p := &Process{Log: log, cmd: cmd, gone: make(chan struct{})}
	started := make(chan error, 1)
	go func() {
		// The kernel tells the child when the thread that forked it has
		// ended; so that thread is kept for as long as the child lives.
		runtime.LockOSThread()
		defer close(p.gone)
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait()
		}
	}()
	return p, <-started
}

// Signal sends a signal to the process; it may have ended already.
func (p *Process) Signal(signal os.Signal) { _ = p.cmd.Process.Signal(signal) }

// Stall stops the process (SIGSTOP), and returns when it does nothing more.
// SIGCONT wakes it up.
func (p *Process) Stall() error {
	p.Signal(syscall.SIGSTOP)
	return p.WaitFor(10*time.Second, p.stopped)
}

// ID is the process ID.
func (p *Process) ID() int { return p.cmd.Process.Pid }

// Kill ends the process and waits until it is gone.
func (p *Process) Kill() {
	_ = p.cmd.Process.Kill()
	<-p.gone
}

// Gone is closed when the process has ended.
func (p *Process) Gone() <-chan struct{} { return p.gone }

// WaitFor calls ready until it returns nil, the process ends, or the time is
// up; then its log is part of the error.
func (p *Process) WaitFor(limit time.Duration, ready func() error) error {
	deadline := time.NewTimer(limit)
	defer deadline.Stop()
	ticker := time.NewTicker(5 * time.Millisecond)
	defer ticker.Stop()
	for {
		err := ready()
		if err == nil {
			return nil
		}
		select {
		case <-ticker.C:
			continue
		case <-p.gone:
			err = errors.New("it has ended")
		case <-deadline.C:
		}
		log, _ := os.ReadFile(p.Log)
		return fmt.Errorf("%w; its log:\n%s", err, log[max(0, len(log)-4000):])
	}
}

// FreePort is a port that nobody listened on a moment ago.
func FreePort() (int, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	return listener.Addr().(*net.TCPAddr).Port, listener.Close()
}
