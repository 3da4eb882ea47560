// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

//go:build unix

package login

import (
	"os/exec"
	"syscall"
)

// detach gives the browser a session of its own: a Ctrl-C in our terminal is
// not meant for it.
func detach(browser *exec.Cmd) {
	browser.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
}
