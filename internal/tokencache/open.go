// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package tokencache

import "io"

// ReadFile reads a file as [os.ReadFile] does, at less cost where every call
// of kubectl pays for it.
func ReadFile(path string) ([]byte, error) {
	file, err := open(path, 0)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return io.ReadAll(file)
}
