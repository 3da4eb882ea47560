// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package postgres_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/tegata/tegata/internal/store"
	"github.com/tegata/tegata/internal/store/storetest"
	"github.com/tegata/tegata/test/postgres"
)

// A full disk is a failed request and a readiness that says so, and nothing
// that was answered is lost. The test starts itself again where it can mount a
// small disk, and looks at the real errors of the kernel there.
func TestFullDiskIsUnavailableAndHeals(t *testing.T) {
	if os.Getenv(aloneVariable) != t.Name() {
		t.Parallel()
		command := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
		command.Env = append(os.Environ(), aloneVariable+"="+t.Name())
		command.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS}
		out, err := command.CombinedOutput()
		if errors.Is(err, syscall.EPERM) {
			t.Fatal("this test mounts a small disk: run it as root")
		} else if err != nil {
			t.Errorf("%v:\n%s", err, out)
		}
		return
	}
	server := postgres.Start(t)
	disk := filepath.Join(server.Dir, "disk")
	storetest.Check(t, errors.Join(
		os.Mkdir(disk, 0o777),
		syscall.Mount("none", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""),
		syscall.Mount("none", disk, "tmpfs", 0, "size=24m,mode=777"),
		os.Mkdir(filepath.Join(disk, "space"), 0o777),
	))
	t.Cleanup(func() { _ = syscall.Unmount(disk, syscall.MNT_DETACH) })
	// The server was started before the disk was mounted; it shares the mount.
	space := filepath.Join(disk, "space")
	storetest.Check(t, server.Own(space))
	server.Exec(t, "postgres", `CREATE TABLESPACE small LOCATION '`+space+`'; CREATE DATABASE small TABLESPACE small`)
	db := open(t, store.Postgres{URL: server.URL("small")})
	i := storetest.AddIssuer(t, db, "one")
	filler := filepath.Join(disk, "filler")
	fill(t, filler)

	answered := []string{}
	var refused error
	for n := 0; refused == nil; n++ {
		id := fmt.Sprint("grant", n)
		g := storetest.Grant(id, "c", "s")
		g.Nonce = strings.Repeat("n", 1000)
		if refused = i.AddGrant(t.Context(), g); refused == nil {
			answered = append(answered, id)
		}
	}
	if !storetest.Unavailable(refused) || refused.Error() != "the disk of PostgreSQL is full" {
		t.Errorf("got %T %v, want: the disk of PostgreSQL is full", refused, refused)
	}
	if err := db.Ping(t.Context()); !storetest.Unavailable(err) {
		t.Errorf("Ping says %v while every write fails", err)
	}
	still := func() {
		t.Helper()
		for _, id := range answered {
			if _, err := i.Grant(t.Context(), id); err != nil {
				t.Errorf("%s was answered and is gone: %v", id, err)
			}
		}
	}
	still()
	storetest.Check(t, os.Remove(filler))
	if err := db.Ping(t.Context()); err != nil {
		t.Errorf("with space again, Ping says %v", err)
	}
	storetest.Check(t, i.AddGrant(t.Context(), storetest.Grant("after", "c", "s")))
	still()
}

// fill writes a file until nothing more fits.
func fill(t *testing.T, path string) {
	t.Helper()
	file, err := os.Create(path)
	storetest.Check(t, err)
	for size := 1 << 16; size > 0; {
		if _, err := file.Write(make([]byte, size)); errors.Is(err, syscall.ENOSPC) {
			size /= 2
		} else {
			storetest.Check(t, err)
		}
	}
	storetest.Check(t, file.Close())
}
