// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/tegata/tegata/internal/exit"
)

// output is the flag that chooses how results are printed.
type output struct{ format string }

func (o *output) flags(c *cobra.Command) {
	c.Flags().StringVarP(&o.format, "output", "o", "table", "`FORMAT` of the result: table or json")
	_ = c.RegisterFlagCompletionFunc("output", cobra.FixedCompletions([]string{"table", "json"}, cobra.ShellCompDirectiveNoFileComp))
}

func (o output) check() error {
	if o.format != "table" && o.format != "json" {
		return exit.Misuse("use --output table or --output json", "unknown output format %q", o.format)
	}
	return nil
}

// print writes v as JSON or calls table.
func (o output) print(w io.Writer, v any, table func(io.Writer)) error {
	if o.format == "json" {
		encoder := json.NewEncoder(w)
		encoder.SetEscapeHTML(false)
		encoder.SetIndent("", "  ")
		return encoder.Encode(v)
	}
	columns := tabwriter.NewWriter(w, 0, 0, 3, ' ', 0)
	table(columns)
	return columns.Flush()
}

// printing completes a command that reads from the issuer and prints what it
// found, as a table or as JSON.
func printing(env Env, c *cobra.Command, read func(c *cobra.Command, i *issuer, args []string) (any, func(io.Writer), error)) *cobra.Command {
	return showing(env, c, place.with, read)
}

// printingChange is printing, for a command that changes what it then shows.
func printingChange(env Env, c *cobra.Command, read func(c *cobra.Command, i *issuer, args []string) (any, func(io.Writer), error)) *cobra.Command {
	return showing(env, c, place.change, read)
}

func showing(env Env, c *cobra.Command, use func(place, context.Context, Env, func(config, *issuer) error) error, read func(c *cobra.Command, i *issuer, args []string) (any, func(io.Writer), error)) *cobra.Command {
	var where place
	var out output
	c.RunE = func(c *cobra.Command, args []string) error {
		if err := out.check(); err != nil {
			return err
		}
		return use(where, c.Context(), env, func(_ config, i *issuer) error {
			found, table, err := read(c, i, args)
			if err != nil {
				return err
			}
			return out.print(env.Stdout, found, table)
		})
	}
	where.flags(c)
	out.flags(c)
	return c
}

// changing completes a command that changes something of the issuer and says
// so itself.
func changing(env Env, c *cobra.Command, change func(c *cobra.Command, conf config, i *issuer, args []string) error) *cobra.Command {
	var where place
	c.RunE = func(c *cobra.Command, args []string) error {
		return where.change(c.Context(), env, func(conf config, i *issuer) error { return change(c, conf, i, args) })
	}
	where.flags(c)
	return c
}

// row writes one line of a table; an empty cell shows as "-".
func row(w io.Writer, cells ...string) {
	for i, cell := range cells {
		if cell == "" {
			cells[i] = "-"
		}
	}
	fmt.Fprintln(w, strings.Join(cells, "\t"))
}

func yesNo(yes bool) string {
	if yes {
		return "yes"
	}
	return "no"
}
