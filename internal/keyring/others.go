// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

//go:build !linux && !netbsd && !openbsd

package keyring

// locked cannot be known beforehand. The Credential Manager is open while its
// owner is logged in; the Keychain asks by itself.
func locked(_, _ string) (bool, error) { return false, nil }
