// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package tokencache

import (
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/gofrs/flock"
)

// pollEvery is how often a waiting process looks whether the lock is free.
// The system offers no wait that a signal handler of Go could interrupt.
const pollEvery = 20 * time.Millisecond

// tellAfter is how long one waits in silence: a refresh is over by then, a
// person at a browser is not.
const tellAfter = time.Second

// Lock makes the caller the only one who renews the key, until it calls
// unlock. While somebody else does, it waits until ctx ends; after a second
// it calls waiting, once, with the process that holds the lock (0 if that is
// not known). An error other than ctx's means that there can be no lock here.
//
// The lock file stays. Only [Cache.Clean] removes it, while it holds the lock;
// so whoever gets a lock looks whether the file is still the one at that path.
func (c Cache) Lock(ctx context.Context, key Key, waiting func(pid int)) (unlock func(), err error) {
	if c.Dir == "" {
		return func() {}, nil
	}
	return c.lock(ctx, c.lockPath(key), waiting)
}

func (c Cache) lockPath(key Key) string { return filepath.Join(c.Dir, Prefix+string(key)+".lock") }

// lock is Lock for any lock file of the cache.
func (c Cache) lock(ctx context.Context, path string, waiting func(pid int)) (unlock func(), err error) {
	if err := os.MkdirAll(c.Dir, 0o700); err != nil {
		return nil, err
	}
	lock := flock.New(path, flock.SetPermissions(fs.FileMode(0o600)), flock.SetFlag(os.O_CREATE|os.O_RDWR|noFollow))
	tell := time.NewTimer(tellAfter)
	defer tell.Stop()
	poll := time.NewTicker(pollEvery)
	defer poll.Stop()
	for {
		if locked, err := lock.TryLock(); err != nil {
			return nil, err
		} else if locked {
			if current(lock) {
				break
			}
			lock.Close() //nolint:errcheck // the next turn opens the file that is there now
			continue
		}
		select {
		case <-ctx.Done():
			lock.Close() //nolint:errcheck // nothing was locked
			return nil, ctx.Err()
		case <-tell.C:
			waiting(holder(path))
		case <-poll.C:
		}
	}
	// For the message of those who wait; the lock itself does not need it.
	if file, err := os.OpenFile(path, os.O_WRONLY|os.O_TRUNC|noFollow, 0); err == nil {
		file.Write(strconv.AppendInt(nil, int64(os.Getpid()), 10)) //nolint:errcheck // see above
		file.Close()                                               //nolint:errcheck // see above
	}
	return func() { lock.Close() }, nil //nolint:errcheck // the end of the process unlocks too
}

// current reports whether the file that was locked is still in its place.
func current(lock *flock.Flock) bool {
	locked, err := lock.Stat()
	if err != nil {
		return false
	}
	there, err := os.Stat(lock.Path())
	return err == nil && os.SameFile(locked, there)
}

// holder reads the process ID in a lock file; 0 if there is none.
func holder(path string) int {
	text, err := os.ReadFile(path)
	if err != nil {
		return 0
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		return 0
	}
	return pid
}
