// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package postgres

import (
	"os"
	"os/exec"
	"runtime"
)

// process is a child that does not outlive this process.
type process struct {
	cmd  *exec.Cmd
	gone chan struct{} // closed when it has ended
}

// startProcess starts a command; its output is appended to logFile.
func startProcess(cmd *exec.Cmd, logFile string) (*process, error) {
	log, err := os.OpenFile(logFile, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	cmd.Stdout, cmd.Stderr = log, log
	dieWithParent(cmd)
	p := &process{cmd: cmd, gone: make(chan struct{})}
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
