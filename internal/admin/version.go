// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"fmt"
	"io"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

func newVersion(env Env) *cobra.Command {
	var out output
	c := &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Args:  arguments(0, 0, ""),
		RunE: func(*cobra.Command, []string) error {
			if err := out.check(); err != nil {
				return err
			}
			v := struct {
				Version  string `json:"version"`
				Go       string `json:"go"`
				Platform string `json:"platform"`
			}{env.version(), runtime.Version(), runtime.GOOS + "/" + runtime.GOARCH}
			return out.print(env.Stdout, v, func(w io.Writer) {
				fmt.Fprintf(w, "tegata %s (%s, %s)\n", v.Version, v.Go, v.Platform)
			})
		},
	}
	out.flags(c)
	return c
}

func (env Env) version() string {
	if env.Version != "" {
		return env.Version
	}
	if build, ok := debug.ReadBuildInfo(); ok && build.Main.Version != "" {
		return build.Main.Version
	}
	return "unknown"
}
