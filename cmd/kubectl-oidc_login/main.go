// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

// Command kubectl-oidc_login is a credential plugin of kubectl: it obtains an
// ID token from an OpenID Provider and keeps it. kubectl finds it as
// "kubectl oidc-login".
package main

import (
	"context"
	"os"

	"github.com/tegata/tegata/internal/plugin"
)

// version is set when a release is built: -ldflags "-X main.version=v1.2.3".
var version string

func main() {
	growStack(len(os.Args))
	os.Exit(plugin.Main(context.Background(), plugin.Env{
		Args:    os.Args,
		Lookup:  os.Getenv,
		Environ: os.Environ,
		Stdin:   os.Stdin,
		Stdout:  os.Stdout,
		Stderr:  os.Stderr,
		Version: version,
	}))
}

// growStack makes room on the stack for all that a warm call does, while there
// is hardly anything on it. Otherwise the runtime makes it in the middle, and
// looks up for each function up there where its pointers are, in tables that
// nothing else needs: a twentieth of the instructions, and of the memory.
//
//go:noinline
func growStack(n int) byte {
	var room [8 << 10]byte
	room[n&7] = 1
	return room[n&15]
}
