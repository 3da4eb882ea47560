// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/tegata/tegata/internal/exit"
)

func newConfig(env Env) *cobra.Command {
	return holder("config", "Work with the configuration file", newConfigCheck(env), newConfigImport(env))
}

func newConfigCheck(env Env) *cobra.Command {
	var path string
	c := &cobra.Command{
		Use:   "check [FILE]",
		Short: "Say what is wrong with a configuration file",
		Long: `Say what is wrong with a configuration file: unknown keys, wrong values, and
secrets and certificates that cannot be read. Nothing is changed.`,
		Example: "  tegata config check /etc/tegata/tegata.yaml",
		Args:    arguments(0, 1, "at most one file"),
		RunE: func(_ *cobra.Command, args []string) error {
			if len(args) == 1 {
				path = args[0]
			}
			if path == "" {
				path = env.getenv("TEGATA_CONFIG")
			}
			if path == "" {
				return exit.Misuse("tegata config check FILE", "there is no configuration file to check")
			}
			conf, err := loadConfig(env, path)
			if err != nil {
				return err
			}
			declared, err := conf.declarations(env)
			if err != nil {
				return err
			}
			if conf.KeyEncryptionKey != (keySource{}) {
				if _, err := conf.keyEncryptionKeys(env); err != nil {
					return err
				}
			}
			if _, err := conf.storage(env); err != nil {
				return err
			}
			if conf.TLS.Certificate != "" {
				if _, err := conf.TLS.load(); err != nil {
					return err
				}
			}
			if _, err := conf.TLS.clientAuthorities(); err != nil {
				return err
			}
			for _, one := range conf.issuers() {
				if err := one.readSources(env); err != nil {
					return err
				}
			}
			for _, one := range conf.issuers() {
				for _, sentence := range append(one.sourceNotes(), one.undeclaredClients()...) {
					fmt.Fprintln(env.Stderr, "note: "+sentence)
				}
			}
			var users, groups, clients int
			for _, one := range declared {
				users, groups, clients = users+len(one.Users), groups+len(one.Groups), clients+len(one.Clients)
			}
			fmt.Fprintf(env.Stdout, "%s is good: %d users, %d groups, %d clients declared\n", path, users, groups, clients)
			return nil
		},
	}
	c.Flags().StringVar(&path, "config", "", "configuration `FILE` (environment: TEGATA_CONFIG)")
	return c
}
