// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/tegata/tegata/internal/exit"
	"github.com/tegata/tegata/internal/store"
)

func newBackup(env Env) *cobra.Command {
	var where place
	c := &cobra.Command{
		Use:   "backup FILE",
		Short: "Copy the SQLite database beside a running server",
		Long: `Copy the SQLite database to a new file, as of one moment, beside a running
server. The copy is checked, and only its owner may read it. To restore it,
put it in the place of the database while no server runs.

The key-encryption key is not in it. Keep a copy of the key too, and not with
the copies of the database. PostgreSQL is backed up with its own tools.`,
		Example: "  tegata backup /backup/tegata-2026-11-22.db --config /etc/tegata/tegata.yaml",
		Args:    arguments(1, 1, "the name of one file"),
		RunE: func(c *cobra.Command, args []string) error {
			return where.bare(c.Context(), env, func(conf config, db *store.DB) error {
				err := db.Backup(c.Context(), args[0])
				if errors.Is(err, store.ErrNoBackup) {
					return exit.WithHint(err, "use pg_dump or your provider's backups; tegata export FILE writes what any tegata can import")
				}
				if err != nil {
					return otherName(fmt.Errorf("copying the database: %w", err))
				}
				env.notef("copied %s to %s", conf.storageName(), args[0])
				env.notef("The key-encryption key is not in it. Keep a copy of %s elsewhere.", conf.keyPlace())
				return nil
			})
		},
	}
	where.files(c)
	return c
}
