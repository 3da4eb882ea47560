// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux || netbsd || openbsd

package keyring

func HasBus(address, socket string) bool { return hasBus(address, socket) }
