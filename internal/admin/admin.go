// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

// Package admin is the tegata command: one file per subcommand. It is the
// only place that reads configuration and wires the provider's parts
// together; everything below it receives finished parts.
package admin

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/tegata/tegata/internal/exit"
)

// Env is what the command gets from the operating system.
type Env struct {
	Args           []string // without the program's name
	Lookup         func(string) (string, bool)
	Stdin          io.Reader
	Stdout, Stderr io.Writer
	Version        string           // empty: what the Go toolchain recorded
	Now            func() time.Time // nil: time.Now
}

// Main runs one command line and returns its exit code.
func Main(ctx context.Context, env Env) int {
	if env.Now == nil {
		env.Now = time.Now
	}
	root := newRoot(env)
	root.SetArgs(env.Args)
	err := root.ExecuteContext(ctx)
	if err != nil && ctx.Err() != nil && !errors.Is(err, context.Canceled) {
		err = ctx.Err() // what failed, failed because of the signal
	}
	return exit.Report(env.Stderr, err)
}

func newRoot(env Env) *cobra.Command {
	root := &cobra.Command{
		Use:   "tegata",
		Short: "OpenID Provider for Kubernetes, and its administration",
		Long: `tegata lets every person use kubectl under their own name.

  tegata serve    is the OpenID Provider
  tegata user     and the others manage who may log in, beside a running server`,
		Example: `  tegata serve --dev --data-dir ./tegata-data
  tegata user add alice --email alice@example.com --data-dir ./tegata-data`,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          cobra.ArbitraryArgs,
		RunE:          needsSubcommand,

		SuggestionsMinimumDistance: 2,
	}
	root.SetIn(env.Stdin)
	root.SetOut(env.Stdout)
	root.SetErr(env.Stderr)
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return exit.Misuse(c.CommandPath()+" --help lists the flags", "%w", err)
	})
	root.AddCommand(
		newServe(env),
		newUser(env),
		newGroup(env),
		newClient(env),
		newSession(env),
		newGrant(env),
		newKey(env),
		newLDAP(env),
		newIssuer(env),
		newBackup(env),
		newExport(env),
		newImport(env),
		newConfig(env),
		newVersion(env),
	)
	return root
}

// needsSubcommand is run by commands that only hold others.
func needsSubcommand(c *cobra.Command, args []string) error {
	if len(args) == 0 {
		return c.Help()
	}
	hint := c.CommandPath() + " --help lists the commands"
	if near := c.SuggestionsFor(args[0]); len(near) > 0 {
		hint = "did you mean: " + c.CommandPath() + " " + strings.Join(near, ", ")
	}
	return exit.Misuse(hint, "unknown command %q", c.CommandPath()+" "+args[0])
}

// holder is a command that only holds others.
func holder(use, short string, commands ...*cobra.Command) *cobra.Command {
	c := &cobra.Command{Use: use, Short: short, Args: cobra.ArbitraryArgs, RunE: needsSubcommand}
	c.SuggestionsMinimumDistance = 2
	c.AddCommand(commands...)
	return c
}

// arguments checks how many arguments there are and names them if not.
func arguments(least, most int, names string) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if len(args) < least || (most >= 0 && len(args) > most) {
			return exit.Misuse("usage: "+c.UseLine(), "%s needs %s", c.CommandPath(), cmp.Or(names, "no arguments"))
		}
		return nil
	}
}

// getenv is the value of an environment variable; empty counts as unset.
func (env Env) getenv(name string) string {
	value, _ := env.Lookup(name)
	return value
}

// notef tells a person something beside the results, which go to stdout.
func (env Env) notef(format string, args ...any) { fmt.Fprintf(env.Stderr, format+"\n", args...) }
