// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package kubetest

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/gofrs/flock"
)

const (
	// directoryPattern names the directories of control planes.
	directoryPattern = "tegata-kubetest-*"

	// ownerFile is locked by the process that owns the directory around it. The
	// lock goes with the process, however that ends.
	ownerFile = "owner"

	// ownerlessAge is how old a directory without an owner file must be before
	// it counts as left behind rather than as just being made.
	ownerlessAge = time.Minute
)

// directory is the temporary directory of one control plane.
type directory struct {
	path  string
	owner *flock.Flock
}

// newDirectory makes a directory in parent that only this user can read.
func newDirectory(parent string) (*directory, error) {
	path, err := os.MkdirTemp(parent, directoryPattern)
	if err != nil {
		return nil, fmt.Errorf("making a temporary directory: %w", err)
	}
	// The file gets its name once it is locked: whoever sees an owner file that
	// is not locked knows that the owner is dead.
	temp := filepath.Join(path, ownerFile+".new")
	d := &directory{path: path, owner: flock.New(temp)}
	if _, err = d.owner.TryLock(); err == nil {
		err = os.Rename(temp, filepath.Join(path, ownerFile))
	}
	if err == nil {
		d.path, err = filepath.Abs(path)
	}
	if err != nil {
		_ = d.remove() // err says more
		return nil, fmt.Errorf("locking a temporary directory: %w", err)
	}
	return d, nil
}

// remove removes the directory and gives up the lock.
func (d *directory) remove() error {
	return errors.Join(os.RemoveAll(d.path), d.owner.Close())
}

// sweep removes the directories in parent whose owner has died. What cannot be
// removed, such as another user's, stays.
func sweep(parent string) {
	if parent == "" {
		parent = os.TempDir()
	}
	found, err := filepath.Glob(filepath.Join(parent, directoryPattern))
	if err != nil {
		return
	}
	for _, path := range found {
		if leftBehind(path) {
			_ = os.RemoveAll(path)
		}
	}
}

// leftBehind reports whether the owner of a directory has died.
func leftBehind(path string) bool {
	info, err := os.Lstat(path)
	if err != nil || !info.IsDir() {
		return false
	}
	// O_RDWR, which is without O_CREATE, leaves a missing file missing.
	owner := flock.New(filepath.Join(path, ownerFile), flock.SetFlag(os.O_RDWR))
	locked, err := owner.TryLock()
	if errors.Is(err, fs.ErrNotExist) {
		return time.Since(info.ModTime()) > ownerlessAge
	}
	if locked {
		_ = owner.Close() // nobody else wants it
	}
	return locked
}
