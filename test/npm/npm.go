// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

// Package npm installs modules of Node.js for tests. A folder says which: its
// package.json, and its package-lock.json with the sum of each file. They are
// installed once, into the user's cache, and no script of theirs runs.
package npm

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// Install returns the node_modules of a folder. Several processes may ask for
// the same.
func Install(folder string) (string, error) {
	for _, program := range []string{"node", "npm"} {
		if _, err := exec.LookPath(program); err != nil {
			return "", fmt.Errorf("there is no %s here; install the packages nodejs and npm", program)
		}
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	sum := sha256.New()
	files := map[string][]byte{}
	for _, name := range []string{"package.json", "package-lock.json"} {
		if files[name], err = os.ReadFile(filepath.Join(folder, name)); err != nil {
			return "", err
		}
		sum.Write(files[name])
	}
	cache = filepath.Join(cache, "tegata", "npm")
	dir := filepath.Join(cache, hex.EncodeToString(sum.Sum(nil))[:16])
	modules := filepath.Join(dir, "node_modules")
	if _, err := os.Stat(modules); err == nil {
		return modules, nil
	}

	// Into a folder that then gets its name: one with that name is complete.
	if err := os.MkdirAll(cache, 0o700); err != nil {
		return "", err
	}
	temp, err := os.MkdirTemp(cache, "installing-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(temp)
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(temp, name), text, 0o600); err != nil {
			return "", err
		}
	}
	fmt.Fprintf(os.Stderr, "installing the modules of %s with npm, once\n", folder)
	npm := exec.Command("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund")
	npm.Dir = temp
	if out, err := npm.CombinedOutput(); err != nil {
		return "", fmt.Errorf("npm ci: %w\n%s", err, bytes.TrimSpace(out))
	}
	if err := os.Rename(temp, dir); err != nil {
		if _, missing := os.Stat(modules); missing != nil {
			return "", err
		} // else another process was faster
	}
	return modules, nil
}
