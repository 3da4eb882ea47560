// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package kubeconfig

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"time"
)

// lockPatience is how long another program may take to change a kubeconfig,
// which is a matter of milliseconds.
const lockPatience = 3 * time.Second

// lock takes the locks of files, in the order in which kubectl does it.
func lock(ctx context.Context, paths []string) (unlock func(), err error) {
	var taken []string
	unlock = func() {
		for _, name := range taken {
			os.Remove(name) //nolint:errcheck // whoever finds it says its name
		}
	}
	for _, path := range slices.Sorted(slices.Values(paths)) {
		if err := lockOne(ctx, path+".lock"); err != nil {
			unlock()
			return nil, err
		}
		taken = append(taken, path+".lock")
	}
	return unlock, nil
}

// lockOne takes a lock as client-go does: it is a file that must not be there.
func lockOne(ctx context.Context, name string) error {
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		return err
	}
	limit, cancel := context.WithTimeout(ctx, lockPatience)
	defer cancel()
	for {
		file, err := os.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0)
		if err == nil {
			return file.Close()
		}
		if !errors.Is(err, fs.ErrExist) {
			return err
		}
		timer := time.NewTimer(20 * time.Millisecond)
		select {
		case <-timer.C:
		case <-limit.Done():
			timer.Stop()
			if ctx.Err() != nil {
				return ctx.Err()
			}
			return &LockedError{name}
		}
	}
}

// LockedError says that another program changes the kubeconfig, or was killed
// while it did.
type LockedError struct{ Path string }

// Error implements [error].
func (e *LockedError) Error() string {
	return fmt.Sprintf("another program is changing the kubeconfig: %s exists", e.Path)
}

// replacement is what a file is going to hold.
type replacement struct {
	path    string
	target  string      // path, or what it is a link to
	info    fs.FileInfo // nil if there is no file yet
	before  string
	text    string
	private bool // nobody but its owner may read it
}

// open reads a file that is to be replaced.
func open(path string) (*replacement, error) {
	target, err := filepath.EvalSymlinks(path)
	if errors.Is(err, fs.ErrNotExist) {
		if link, err := os.Readlink(path); err == nil {
			return nil, fmt.Errorf("%s is a link to %s, which does not exist", path, link)
		}
		return &replacement{path: path, target: path}, nil
	} else if err != nil {
		return nil, err
	}
	text, info, err := read(target)
	if err != nil {
		return nil, err
	}
	return &replacement{path: path, target: target, info: info, before: text, text: text}, nil
}

// mode is the one that the file gets: never wider than it was, and its
// owner's alone if there are credentials in it.
func (r *replacement) mode() fs.FileMode {
	switch {
	case r.info == nil:
		return 0o600
	case r.narrows():
		return 0o600 & r.info.Mode().Perm()
	}
	return r.info.Mode().Perm()
}

// narrows reports whether others can read credentials in it. Windows keeps
// permissions elsewhere.
func (r *replacement) narrows() bool {
	return r.private && r.info != nil && r.info.Mode().Perm()&0o077 != 0 && runtime.GOOS != "windows"
}

// probe reports whether the file could be replaced now.
func (r *replacement) probe() error {
	if r.info != nil {
		if r.info.Mode().Perm()&0o200 == 0 {
			return fmt.Errorf("%s is read-only", r.target)
		}
		// Who may not write to a file should not replace it either.
		file, err := os.OpenFile(r.target, os.O_WRONLY, 0)
		if err != nil {
			return err
		}
		file.Close()
	}
	file, err := r.temporary()
	if err != nil {
		return err
	}
	return errors.Join(r.keepOwner(file), file.Close(), os.Remove(file.Name()))
}

// temporary creates a file beside the one that it is going to be.
func (r *replacement) temporary() (*os.File, error) {
	return os.CreateTemp(filepath.Dir(r.target), "."+filepath.Base(r.target)+".new-*")
}

// keepOwner gives a new file the owner and the group that the old one has.
func (r *replacement) keepOwner(file *os.File) error {
	if r.info == nil {
		return nil
	}
	if err := chown(file, r.info); err != nil {
		return fmt.Errorf("giving %s back to its owner: %w", r.target, err)
	}
	return nil
}

// write replaces the file in one step: whoever reads it finds the old text or
// the new one, and so does whoever comes after a crash.
func (r *replacement) write() (Written, error) {
	if err := r.probe(); err != nil {
		return Written{}, err
	}
	file, err := r.temporary()
	if err != nil {
		return Written{}, err
	}
	err = r.fill(file)
	if closing := file.Close(); err == nil {
		err = closing
	}
	if err == nil {
		err = r.unchanged()
	}
	if err == nil {
		err = os.Rename(file.Name(), r.target)
	}
	if err != nil {
		return Written{}, errors.Join(err, os.Remove(file.Name()))
	}
	w := Written{Path: r.path, Created: r.info == nil}
	if r.narrows() {
		w.Narrowed = r.info.Mode().Perm()
	}
	return w, nil
}

// fill writes the text, to the disk itself. The file keeps its owner.
func (r *replacement) fill(file *os.File) error {
	if _, err := file.WriteString(r.text); err != nil {
		return err
	}
	if err := r.keepOwner(file); err != nil {
		return err
	}
	// Last: to give a file away can change its mode.
	if err := file.Chmod(r.mode()); err != nil && runtime.GOOS != "windows" {
		return err
	}
	return file.Sync()
}

// unchanged reports whether the file still holds what it held: not everybody
// keeps to the lock.
func (r *replacement) unchanged() error {
	now, _, err := read(r.target)
	if errors.Is(err, fs.ErrNotExist) && r.info == nil {
		return nil
	}
	if err == nil && (now != r.before || r.info == nil) {
		err = changed(r.path)
	}
	return err
}

func changed(path string) error {
	return fmt.Errorf("%s was changed by somebody else in this moment", path)
}
