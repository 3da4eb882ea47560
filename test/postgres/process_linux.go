// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package postgres

import (
	"os/exec"
	"syscall"
)

// dieWithParent has the server told to stop at once when this process ends.
func dieWithParent(cmd *exec.Cmd) { cmd.SysProcAttr.Pdeathsig = syscall.SIGQUIT }
