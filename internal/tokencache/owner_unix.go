// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

//go:build unix

package tokencache

import (
	"io/fs"
	"os"
	"syscall"
)

// noFollow keeps a link that somebody else made from leading elsewhere.
const noFollow = syscall.O_NOFOLLOW

// ours reports whether a file is the user's own, or root's, who can write
// everywhere. Root itself takes the files of the person it works for.
func ours(info fs.FileInfo) bool {
	status, ok := info.Sys().(*syscall.Stat_t)
	return ok && (int(status.Uid) == os.Geteuid() || status.Uid == 0 || os.Geteuid() == 0)
}
