// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package kubetest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
)

// process is a child that does not outlive this process. It writes to a file
// rather than to a pipe, so that no line is lost when either end dies.
type process struct {
	name    string
	logFile string
	cmd     *exec.Cmd

	gone context.Context // ends with the process
	err  error           // how the process ended; may be read once gone has
}

// startProcess starts a command; its output is appended to logFile.
func startProcess(name string, cmd *exec.Cmd, logFile string) (*process, error) {
	log, err := os.OpenFile(logFile, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("starting %s: %w", name, err)
	}
	defer log.Close()
	cmd.Stdout, cmd.Stderr = log, log
	setParentDeath(cmd)

	gone, end := context.WithCancel(context.Background())
	p := &process{name: name, logFile: logFile, cmd: cmd, gone: gone}
	started := make(chan error, 1)
	go func() {
		// The kernel looks at the thread that forked, not at its process, when it
		// tells a child that the parent has died. So that thread is kept for as
		// long as the child lives, and ends with this goroutine.
		runtime.LockOSThread()
		defer end()
		err := cmd.Start()
		started <- err
		if err == nil {
			p.err = cmd.Wait()
		}
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("starting %s: %w", name, err)
	}
	return p, nil
}

// ended reports whether the process has ended, and how.
func (p *process) ended() (bool, error) {
	if p.gone.Err() == nil {
		return false, nil
	}
	if p.err == nil {
		return true, errors.New("exit status 0")
	}
	return true, p.err
}

// kill ends the process and waits until it is gone.
func (p *process) kill() {
	_ = p.cmd.Process.Kill() // it may have ended already
	<-p.gone.Done()
}

// log returns what the process has written.
func (p *process) log() []byte {
	content, _ := os.ReadFile(p.logFile)
	return content
}

// logFrom returns what the process has written after an earlier length of the
// log.
func (p *process) logFrom(offset int) []byte {
	log := p.log()
	return log[min(offset, len(log)):]
}

// withTail adds the end of the log to an error about the process.
func (p *process) withTail(err error) error {
	return fmt.Errorf("%w; the end of its log:\n%s", err, tail(p.log(), tailLines))
}

// tail returns the last n lines of a log, indented.
func tail(log []byte, n int) string {
	text := strings.TrimRight(string(log), "\n")
	if text == "" {
		return "    (empty)"
	}
	lines := strings.Split(text, "\n")
	if len(lines) > n {
		lines = lines[len(lines)-n:]
	}
	return "    " + strings.Join(lines, "\n    ")
}
