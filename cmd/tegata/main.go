// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

// Command tegata is the OpenID Provider and its administration.
package main

import (
	"context"
	"os"

	"github.com/tegata/tegata/internal/admin"
	"github.com/tegata/tegata/internal/exit"
)

// version is set by the linker when a release is built.
var version string

func main() {
	ctx, stop := exit.OnSignal(context.Background())
	code := admin.Main(ctx, admin.Env{
		Args:    os.Args[1:],
		Lookup:  os.LookupEnv,
		Stdin:   os.Stdin,
		Stdout:  os.Stdout,
		Stderr:  os.Stderr,
		Version: version,
	})
	stop()
	os.Exit(code)
}
