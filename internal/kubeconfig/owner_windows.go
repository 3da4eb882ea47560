// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package kubeconfig

import (
	"io/fs"
	"os"
)

// chown has nothing to do: who may create a file in a folder owns it.
func chown(*os.File, fs.FileInfo) error { return nil }
