// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package kubetest

import (
	"os/exec"
	"syscall"
)

// setParentDeath makes the kernel kill a command when the thread that starts it
// ends, and puts it in a process group of its own, so that Ctrl-C reaches only
// us and we decide about the order.
func setParentDeath(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

// interruptGroup sends SIGINT to a command and to what it has started.
func interruptGroup(cmd *exec.Cmd) {
	_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGINT) // it may have ended already
}
