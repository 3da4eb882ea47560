// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"context"
	"fmt"

	"github.com/spf13/pflag"

	"github.com/tegata/tegata/internal/exit"
)

// cleanFlags are the flags of clean.
type cleanFlags struct {
	cacheDir string
	dryRun   bool
	config   string
	help     bool
}

func (f *cleanFlags) define() *pflag.FlagSet {
	set := newFlagSet("clean")
	defineCacheDir(set, &f.cacheDir)
	set.BoolVar(&f.dryRun, "dry-run", false, "say what would be removed, and remove nothing")
	defineConfig(set, &f.config)
	set.BoolVarP(&f.help, "help", "h", false, "show this text")
	return set
}

// clean is the command clean: what is ours goes, and is named.
func clean(_ context.Context, env Env, args []string) error {
	var flags cleanFlags
	if err := parse(&env, flags.define(), args); err != nil {
		return err
	}
	if flags.help {
		return commandHelp(env, "clean")
	}
	cache := cacheAt(flags.cacheDir, env.Lookup)
	env.trace.step("cache: %s", cache.Dir)
	files, err := cache.Clean(flags.dryRun)
	if err != nil {
		return fmt.Errorf("reading the token cache: %w", err)
	}
	if len(files) == 0 {
		fmt.Fprintf(env.Stderr, "there is nothing of ours in %s\n", cache.Dir)
		return nil
	}
	held, broken := 0, 0
	for _, file := range files {
		switch {
		case file.HeldBy != 0:
			held++
			by := ""
			if file.HeldBy > 0 {
				by = fmt.Sprintf(" (pid %d)", file.HeldBy)
			}
			fmt.Fprintf(env.Stderr, "kept %s: a login is under way%s\n", file.Path, by)
		case file.Err != nil:
			broken++
			fmt.Fprintf(env.Stderr, "kept %s: %v\n", file.Path, file.Err)
		case flags.dryRun:
			fmt.Fprintf(env.Stdout, "would remove %s\n", file.Path)
		default:
			fmt.Fprintf(env.Stdout, "removed %s\n", file.Path)
		}
	}
	switch {
	case flags.dryRun:
		return nil
	case broken > 0:
		return fmt.Errorf("%d of %d files could not be removed", broken, len(files))
	case held > 0:
		return exit.WithHint(fmt.Errorf("%d of %d files belong to a login that is under way", held, len(files)), "run it again when that login is over")
	}
	return nil
}
