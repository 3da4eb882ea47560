// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"github.com/spf13/cobra"

	"github.com/tegata/tegata/internal/audit"
	"github.com/tegata/tegata/internal/exit"
	"github.com/tegata/tegata/internal/store"
)

func newExport(env Env) *cobra.Command {
	var where place
	c := &cobra.Command{
		Use:   "export FILE",
		Short: "Write everything that is kept to a file, or to standard output",
		Long: `Write everything that is kept to a new file, or with - to standard output:
users, groups, clients, signing keys, sessions and logins, as of one moment,
beside a running server. tegata import reads it, on SQLite and on PostgreSQL.

Passwords and client secrets are in it as hashes, and signing keys sealed. The
key-encryption key is not in it: the other side needs it too. Keep the two
apart.`,
		Example: `  tegata export tegata-export.jsonl --config /etc/tegata/tegata.yaml
  tegata export - --config old.yaml | tegata import - --config new.yaml`,
		Args: arguments(1, 1, "the name of one file, or -"),
		RunE: func(c *cobra.Command, args []string) error {
			return where.bare(c.Context(), env, func(conf config, db *store.DB) error {
				var counts store.Counts
				write := func(to io.Writer) (err error) {
					counts, err = db.Export(c.Context(), to, env.Now())
					return err
				}
				var err error
				if args[0] == "-" {
					err = write(env.Stdout)
				} else {
					err = otherName(writeNewWith(args[0], write))
				}
				if err != nil {
					return fmt.Errorf("exporting: %w", err)
				}
				env.notef("exported %s", inWords(counts))
				env.notef("The key-encryption key is not in it. Whoever imports this needs the key from %s.", conf.keyPlace())
				return nil
			})
		},
	}
	where.files(c)
	return c
}

// bare opens the database for one command that needs no key, and closes it.
func (p place) bare(ctx context.Context, env Env, do func(config, *store.DB) error) error {
	c, err := p.config(env)
	if err != nil {
		return err
	}
	c.existing = true
	db, err := c.openStore(ctx, env)
	if err == nil {
		err = errors.Join(p.record(env, c, "", func() ([]audit.Event, error) { return nil, do(c, db) }), db.Close())
	}
	return c.advise(err)
}

// inWords counts what people care about.
func inWords(counts store.Counts) string {
	return fmt.Sprintf("%d users, %d groups, %d clients, %d signing keys, %d sessions, %d grants",
		counts["users"], counts["user_groups"], counts["clients"], counts["signing_keys"], counts["sessions"], counts["grants"])
}

// otherName adds to a failure what to do about a file that is there.
func otherName(err error) error {
	if errors.Is(err, fs.ErrExist) {
		return exit.WithHint(err, "choose a name that is not taken")
	}
	return err
}
