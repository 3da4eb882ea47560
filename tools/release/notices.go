// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"debug/buildinfo"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
)

// license is a file that has to go along with a program.
var license = regexp.MustCompile(`^(?i)(licen[cs]e|copying|notice)([-.].*)?$`)

// notices are the licenses of all that the program is linked with, as most of
// them ask: Go itself, and each module.
func (r release) notices(path string) ([]byte, error) {
	info, err := buildinfo.ReadFile(path)
	if err != nil {
		return nil, err
	}
	// 1. Where their files are.
	root, err := r.tool("env", "GOROOT")
	if err != nil {
		return nil, err
	}
	args := []string{"list", "-m", "-f", "{{.Path}} {{.Version}}\t{{.Dir}}"}
	for _, module := range info.Deps {
		args = append(args, module.Path)
	}
	list, err := r.tool(args...)
	if err != nil {
		return nil, err
	}

	// 2. What they say.
	var text bytes.Buffer
	fmt.Fprintf(&text, "This program contains the work of others, under these licenses.\n")
	for line := range strings.SplitSeq("Go "+info.GoVersion+"\t"+root+"\n"+list, "\n") {
		name, dir, _ := strings.Cut(line, "\t")
		entries, err := os.ReadDir(dir)
		if err != nil {
			return nil, err
		}
		found := false
		for _, entry := range entries {
			if entry.IsDir() || !license.MatchString(entry.Name()) {
				continue
			}
			content, err := os.ReadFile(filepath.Join(dir, entry.Name()))
			if err != nil {
				return nil, err
			}
			fmt.Fprintf(&text, "\n%s\n%s: %s\n\n%s\n", strings.Repeat("=", 72), name, entry.Name(), bytes.TrimSpace(content))
			found = true
		}
		if !found {
			return nil, fmt.Errorf("%s has no license", name)
		}
	}
	return text.Bytes(), nil
}

// tool asks the go command.
func (r release) tool(args ...string) (string, error) {
	c := exec.Command("go", args...)
	c.Dir = r.source
	out, err := c.Output()
	if err != nil {
		return "", fmt.Errorf("%s: %w", c, err)
	}
	return strings.TrimSpace(string(out)), nil
}
