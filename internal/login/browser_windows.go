// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package login

import (
	"os/exec"
	"syscall"
)

// detach gives the browser a process group of its own: a Ctrl-C in our
// console is not meant for it.
func detach(browser *exec.Cmd) {
	browser.SysProcAttr = &syscall.SysProcAttr{CreationFlags: syscall.CREATE_NEW_PROCESS_GROUP}
}
