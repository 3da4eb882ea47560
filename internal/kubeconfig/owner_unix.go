// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

//go:build unix

package kubeconfig

import (
	"io/fs"
	"os"
	"syscall"
)

// chown gives a new file the owner and the group of the old one, which
// root can, and everybody else for their own.
func chown(file *os.File, old fs.FileInfo) error {
	now, err := file.Stat()
	if err != nil {
		return err
	}
	want, ok := old.Sys().(*syscall.Stat_t)
	have, also := now.Sys().(*syscall.Stat_t)
	if !ok || !also || want.Uid == have.Uid && want.Gid == have.Gid {
		return nil
	}
	return file.Chown(int(want.Uid), int(want.Gid))
}
