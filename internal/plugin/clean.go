// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/pflag"

	"github.com/tegata/tegata/internal/exit"
	"github.com/tegata/tegata/internal/tokencache"
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
func clean(ctx context.Context, env Env, args []string) error {
	var flags cleanFlags
	if err := parse(&env, flags.define(), args); err != nil {
		return err
	}
	if flags.help {
		return commandHelp(env, "clean")
	}
	cache, keyring := cacheAt(flags.cacheDir, env.Lookup)
	keyring.mayAsk(env)
	env.trace.step("cache: %s", cache.Dir)
	things, err := cache.Clean(ctx, flags.dryRun)
	if things == nil && err != nil {
		return fmt.Errorf("reading the token cache: %w", err)
	}
	if len(things) == 0 {
		fmt.Fprintf(env.Stderr, "there is nothing of ours in %s\n", cache.Dir)
		return nil
	}
	held, broken := 0, 0
	for _, thing := range things {
		name := thing.Path
		if name == "" {
			name = "the key in the keyring"
		}
		switch {
		case thing.HeldBy != 0:
			held++
			by := ""
			if thing.HeldBy > 0 {
				by = fmt.Sprintf(" (pid %d)", thing.HeldBy)
			}
			fmt.Fprintf(env.Stderr, "kept %s: a login is under way%s\n", name, by)
		case errors.Is(thing.Err, context.Canceled):
			err = thing.Err
		case errors.Is(thing.Err, tokencache.ErrKeyring):
			fmt.Fprintf(env.Stderr, "kept %s: %v\n", name, thing.Err)
			err = exit.WithHint(errors.New("the key in the keyring could not be removed; it opens nothing any more"), "unlock or start the keyring and run it again")
		case thing.Err != nil:
			broken++
			fmt.Fprintf(env.Stderr, "kept %s: %v\n", name, thing.Err)
		case flags.dryRun:
			fmt.Fprintf(env.Stdout, "would remove %s\n", name)
		default:
			fmt.Fprintf(env.Stdout, "removed %s\n", name)
		}
	}
	switch {
	case flags.dryRun:
		return nil
	case broken > 0:
		return fmt.Errorf("%d of %d files could not be removed", broken, len(things))
	case held > 0:
		return exit.WithHint(fmt.Errorf("%d of %d files belong to a login that is under way", held, len(things)), "run it again when that login is over")
	}
	return err
}
