// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"context"
	"encoding/json"
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/pflag"

	"github.com/tegata/tegata/internal/exit"
)

// versionFlags are the flags of version.
type versionFlags struct {
	output string
	config string
	help   bool
}

func (f *versionFlags) define() *pflag.FlagSet {
	set := newFlagSet("version")
	set.StringVarP(&f.output, "output", "o", "text", "`form` of the result: text, json")
	defineConfig(set, &f.config)
	set.BoolVarP(&f.help, "help", "h", false, "show this text")
	return set
}

// version is the command version. Its result is on standard output.
func version(_ context.Context, env Env, args []string) error {
	var flags versionFlags
	if err := parse(&env, flags.define(), args); err != nil {
		return err
	}
	if flags.help {
		return commandHelp(env, "version")
	}
	build := struct {
		Version string `json:"version"`
		Go      string `json:"go"`
		OS      string `json:"os"`
		Arch    string `json:"arch"`
	}{env.Version, runtime.Version(), runtime.GOOS, runtime.GOARCH}
	if build.Version == "" {
		build.Version = "(devel)"
		if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
			build.Version = info.Main.Version
		}
	}
	switch flags.output {
	case "text":
		_, err := fmt.Fprintf(env.Stdout, "kubectl-oidc_login %s (%s, %s/%s)\n", build.Version, build.Go, build.OS, build.Arch)
		return err
	case "json":
		return json.NewEncoder(env.Stdout).Encode(build)
	}
	return exit.Misuse("it is one of text, json", "there is no --output=%s", flags.output)
}
