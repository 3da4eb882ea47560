// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package store_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/tegata/tegata/internal/store"
)

// Each of these tests starts itself again in a process that has a small disk
// of its own, or a limit on the size of its files, and looks at the real
// errors of the kernel there.

// alone runs the test of the caller's name in a process of its own and
// reports whether this is that process.
func alone(t *testing.T, attributes *syscall.SysProcAttr) bool {
	t.Helper()
	if os.Getenv("STORE_TEST_ALONE") == t.Name() {
		return true
	}
	t.Parallel()
	command := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
	command.Env = append(os.Environ(), "STORE_TEST_ALONE="+t.Name(), "STORE_TEST_DIR="+t.TempDir())
	command.SysProcAttr = attributes
	out, err := command.CombinedOutput()
	switch {
	case errors.Is(err, syscall.EPERM):
		lacks(t, "a mount namespace: run it as root, or allow user namespaces")
	case err != nil:
		t.Errorf("%v:\n%s", err, out)
	case strings.Contains(string(out), "--- SKIP"):
		lacks(t, "what its process says:\n"+string(out))
	}
	return false
}

// lacks ends a test whose part is not here: CI must have everything, and a
// person reads what to do.
func lacks(t *testing.T, what string) {
	t.Helper()
	if os.Getenv("CI") != "" {
		t.Fatalf("this test needs %s", what)
	}
	t.Skipf("this test needs %s", what)
}

// smallDisk runs the test of the caller's name where it can mount.
func smallDisk(t *testing.T) (dir string, ok bool) {
	t.Helper()
	attributes := &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS}
	if os.Getuid() != 0 {
		attributes.Cloneflags |= syscall.CLONE_NEWUSER
		attributes.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}}
		attributes.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}}
	}
	if !alone(t, attributes) {
		return "", false
	}
	dir = os.Getenv("STORE_TEST_DIR")
	if err := errors.Join(
		syscall.Mount("none", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""),
		syscall.Mount("none", dir, "tmpfs", 0, "size=3m"),
	); err != nil {
		t.Skipf("cannot mount a small disk: %v", err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(dir, syscall.MNT_DETACH) }) // the namespace ends with the process
	return dir, true
}

// fillDisk writes a file until nothing more fits, and returns what removes it.
func fillDisk(t *testing.T, dir string) (empty func()) {
	t.Helper()
	filler, err := os.Create(filepath.Join(dir, "filler"))
	check(t, err)
	for size := 1 << 16; size > 0; {
		if _, err := filler.Write(make([]byte, size)); errors.Is(err, syscall.ENOSPC) {
			size /= 2
		} else {
			check(t, err)
		}
	}
	check(t, filler.Close())
	return func() { check(t, os.Remove(filler.Name())) }
}

// untilUnavailable adds grants until one is refused and returns those that
// were answered.
func untilUnavailable(t *testing.T, i *store.Issuer) (answered []string) {
	t.Helper()
	for n := 0; n < 100_000; n++ {
		id := fmt.Sprint("grant", n)
		if err := i.AddGrant(t.Context(), newGrant(id, "c", "s")); err != nil {
			if !unavailable(err) {
				t.Errorf("got %T %v, want an UnavailableError", err, err)
			}
			return answered
		}
		answered = append(answered, id)
	}
	t.Fatal("the disk is never full")
	return nil
}

func wantGrants(t *testing.T, i *store.Issuer, ids []string) {
	t.Helper()
	for _, id := range ids {
		if _, err := i.Grant(t.Context(), id); err != nil {
			t.Errorf("%s was answered and is gone: %v", id, err)
		}
	}
}

// healed checks that writes work again and that everything answered is there,
// now and after the next start.
func healed(t *testing.T, db *store.DB, path string, answered []string) {
	t.Helper()
	i := db.Issuer("one")
	if err := i.AddGrant(t.Context(), newGrant("after", "c", "s")); err != nil {
		t.Errorf("with space again: %v", err)
	}
	wantGrants(t, i, append(answered, "after"))
	check(t, db.Close())
	again := open(t, path)
	wantGrants(t, again.Issuer("one"), append(answered, "after"))
	check(t, again.Close())
	wantIntegrity(t, path)
}

func TestFullDiskIsUnavailableAndHeals(t *testing.T) {
	dir, ok := smallDisk(t)
	if !ok {
		return
	}
	path := filepath.Join(dir, "tegata.db")
	db := open(t, path)
	i := addIssuer(t, db, "one")
	empty := fillDisk(t, dir)
	answered := untilUnavailable(t, i)
	if err := i.AddGroup(t.Context(), "g", noon); err == nil || err.Error() != "the disk is full" {
		t.Errorf("got %v, want: the disk is full", err)
	}
	wantGrants(t, i, answered) // reading goes on
	empty()
	healed(t, db, path, answered)
}

// docs/adr/0007: a full disk is a failed request and a readiness that says so.
func TestPingTellsOfAFullDisk(t *testing.T) {
	dir, ok := smallDisk(t)
	if !ok {
		return
	}
	db := open(t, filepath.Join(dir, "tegata.db"))
	defer db.Close()
	i := addIssuer(t, db, "one")
	empty := fillDisk(t, dir)
	untilUnavailable(t, i)
	if err := db.Ping(t.Context()); err == nil {
		t.Error("the storage says that it is ready while every write fails")
	}
	empty()
	check(t, i.AddGroup(t.Context(), "g", noon))
	if err := db.Ping(t.Context()); err != nil {
		t.Errorf("with space again: %v", err)
	}
}

// A write that does not fit into memory reaches the disk before the commit.
// If the disk is full then, SQLite rolls the whole transaction back, the
// neighbours' savepoints too. None of them may be told that it was kept.
func TestFullDiskInTheMiddleOfABatchTellsTheTruth(t *testing.T) {
	dir, ok := smallDisk(t)
	if !ok {
		return
	}
	path := filepath.Join(dir, "tegata.db")
	db := open(t, path)
	i := addIssuer(t, db, "one")
	release := holdWhatever(db)
	type outcome struct {
		id  string
		err error
	}
	outcomes := make(chan outcome, 3)
	queued := 0
	queue := func(id string, act func() error) {
		go func() { outcomes <- outcome{id, act()} }()
		queued++
		awaitQueue(db, queued) // one after the other
	}
	ctx := context.Background()
	queue("before", func() error { return i.AddGrant(ctx, newGrant("before", "c", "s")) })
	queue("giant", func() error {
		a := account("giant")
		a.Name = strings.Repeat("x", 8<<20)
		return i.AddAccount(ctx, a, noon)
	})
	queue("behind", func() error { return i.AddGrant(ctx, newGrant("behind", "c", "s")) })
	// The one that holds the others shares their fate: it wrote nothing.
	_ = release()
	answered := []string{}
	for range 3 {
		o := <-outcomes
		_, lookup := i.Grant(ctx, o.id)
		switch {
		case o.id == "giant":
			if !unavailable(o.err) {
				t.Errorf("giant: got %v, want an UnavailableError", o.err)
			}
		case o.err == nil:
			answered = append(answered, o.id)
			if lookup != nil {
				t.Errorf("%s was answered and is not there", o.id)
			}
		default:
			if !unavailable(o.err) {
				t.Errorf("%s: got %v, want an UnavailableError", o.id, o.err)
			}
			if lookup == nil {
				t.Errorf("%s was refused and is there", o.id)
			}
		}
	}
	healed(t, db, path, answered)
}

// A limit on the size of files is another way to a disk that takes no more:
// the kernel says EFBIG, to everybody and without root.
func TestFileSizeLimitIsUnavailableAndHeals(t *testing.T) {
	if !alone(t, nil) {
		return
	}
	signal.Ignore(syscall.SIGXFSZ) // the error is wanted, not the signal
	path := filepath.Join(os.Getenv("STORE_TEST_DIR"), "tegata.db")
	db := open(t, path)
	i := addIssuer(t, db, "one")
	wal, err := os.Stat(path + "-wal")
	check(t, err)
	var before syscall.Rlimit
	check(t, syscall.Getrlimit(syscall.RLIMIT_FSIZE, &before))
	check(t, syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: uint64(wal.Size()) + 100_000, Max: before.Max}))
	answered := untilUnavailable(t, i)
	if len(answered) == 0 {
		t.Error("nothing was answered before the limit")
	}
	wantGrants(t, i, answered)
	check(t, syscall.Setrlimit(syscall.RLIMIT_FSIZE, &before))
	healed(t, db, path, answered)
}
