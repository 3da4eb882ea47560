// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

//go:build !unix

package admin

import "io/fs"

// exposedTo is unknown here: the mode of a file does not say.
func exposedTo(fs.FileInfo) string { return "" }
