// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package postgres

import "os/exec"

// dieWithParent is for Linux alone.
func dieWithParent(*exec.Cmd) {}
