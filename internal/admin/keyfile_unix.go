// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

//go:build unix

package admin

import (
	"io/fs"
	"os"
	"syscall"
)

// exposedTo tells who beside us can read or change a file; it is empty if
// nobody can. A file that another user gives us through its group, as
// Kubernetes does with fsGroup, may be read by that group.
func exposedTo(info fs.FileInfo) string {
	owner, known := info.Sys().(*syscall.Stat_t)
	lent := known && int(owner.Uid) != os.Geteuid()
	switch mode := info.Mode().Perm(); {
	case mode&0o007 != 0:
		return "everybody"
	case mode&0o020 != 0 || mode&0o050 != 0 && !lent:
		return "its group"
	}
	return ""
}
