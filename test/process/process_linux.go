// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package process

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
)

// dieWithParent has the kernel end the command when this process ends.
func dieWithParent(cmd *exec.Cmd) {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	if cmd.SysProcAttr.Pdeathsig == 0 {
		cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
	}
}

// stopped returns nil if each thread of the process is stopped: they do so
// one after the other.
func (p *Process) stopped() error {
	states, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", p.ID()))
	if err != nil || len(states) == 0 {
		return errors.New("the threads of the process cannot be seen")
	}
	for _, path := range states {
		text, err := os.ReadFile(path)
		if err != nil {
			continue // it has ended
		}
		// The name of the program is in brackets and may hold anything.
		if _, rest, _ := strings.Cut(string(text[strings.LastIndexByte(string(text), ')'):]), " "); !strings.HasPrefix(rest, "T") {
			return errors.New("a thread is still running")
		}
	}
	return nil
}
