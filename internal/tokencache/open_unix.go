// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

//go:build unix

package tokencache

import (
	"io/fs"
	"os"
	"syscall"
)

// open opens a file to read. [os.Open] offers it to the poller first, which
// takes no file of a disk: a dozen system calls, and a thread that is woken
// for nothing in a program that lives for a millisecond.
func open(path string, flags int) (*os.File, error) {
	for {
		descriptor, err := syscall.Open(path, syscall.O_RDONLY|syscall.O_CLOEXEC|flags, 0)
		switch err { //nolint:errorlint // system calls do not wrap
		case nil:
			return os.NewFile(uintptr(descriptor), path), nil
		case syscall.EINTR:
			continue
		}
		return nil, &fs.PathError{Op: "open", Path: path, Err: err}
	}
}
