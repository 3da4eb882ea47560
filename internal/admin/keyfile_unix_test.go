// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

//go:build unix

package admin_test

import (
	"io/fs"
	"os"
	"syscall"
	"testing"

	"github.com/tegata/tegata/internal/admin"
)

// fileOf is a file as the system tells of it.
type fileOf struct {
	fs.FileInfo
	mode  fs.FileMode
	owner int
}

func (f fileOf) Mode() fs.FileMode { return f.mode }
func (f fileOf) Sys() any          { return &syscall.Stat_t{Uid: uint32(f.owner)} }

func TestKeyFileIsItsOwnersAlone(t *testing.T) {
	us := os.Geteuid()
	for _, test := range []struct {
		name  string
		mode  fs.FileMode
		owner int
		want  string
	}{
		{"ours", 0o600, us, ""},
		{"ours, read only", 0o400, us, ""},
		{"ours, for the group", 0o640, us, "its group"},
		{"ours, for the group to run", 0o610, us, "its group"},
		{"lent to our group, as Kubernetes does", 0o440, us + 1, ""},
		{"lent to our group, which may change it", 0o460, us + 1, "its group"},
		{"for everybody to read", 0o604, us, "everybody"},
		{"for everybody to write", 0o602, us, "everybody"},
		{"another's, for everybody", 0o444, us + 1, "everybody"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := admin.ExposedTo(fileOf{mode: test.mode, owner: test.owner}); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}
