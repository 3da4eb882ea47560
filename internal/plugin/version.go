// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"encoding/json"
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/pflag"

	"github.com/tegata/tegata/internal/exit"
)

// version is the command version. Its result is on standard output.
func version(env Env, args []string) error {
	set := pflag.NewFlagSet("version", pflag.ContinueOnError)
	set.SortFlags = false
	set.Usage = func() {}
	output := set.StringP("output", "o", "text", "`form` of the result: text, json")
	helpAsked := set.BoolP("help", "h", false, "show this text")
	if err := parse(set, args); err != nil {
		return err
	}
	if *helpAsked {
		return versionHelp(env, set)
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
	switch *output {
	case "text":
		_, err := fmt.Fprintf(env.Stdout, "kubectl-oidc_login %s (%s, %s/%s)\n", build.Version, build.Go, build.OS, build.Arch)
		return err
	case "json":
		return json.NewEncoder(env.Stdout).Encode(build)
	}
	return exit.Misuse("it is one of text, json", "there is no --output=%s", *output)
}
