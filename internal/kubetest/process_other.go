// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package kubetest

import (
	"os"
	"os/exec"
)

// setParentDeath does nothing: only Linux can tie a child's life to its parent's.
// Stop, signals and failed tests are cleaned up after on every system; after
// SIGKILL a control plane stays here.
func setParentDeath(*exec.Cmd) {}

// interruptGroup interrupts a command.
func interruptGroup(cmd *exec.Cmd) {
	_ = cmd.Process.Signal(os.Interrupt) // it may have ended already
}
