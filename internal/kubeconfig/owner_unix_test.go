// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

//go:build unix

package kubeconfig_test

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/tegata/tegata/internal/kubeconfig"
)

// Root changes the file of somebody else, and it stays theirs.
func TestUpdateKeepsTheOwner(t *testing.T) {
	path := put(t, filepath.Join(t.TempDir(), "config"), stanza, 0o600)
	owner := os.Getuid()
	if owner == 0 {
		owner = 65534
		if err := os.Chown(path, owner, owner); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := kubeconfig.Update(t.Context(), []string{path}, tokens); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if got := int(info.Sys().(*syscall.Stat_t).Uid); got != owner {
		t.Errorf("the file is now that of %d, and was that of %d", got, owner)
	}
}
