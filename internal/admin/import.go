// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/spf13/cobra"

	"github.com/tegata/tegata/internal/audit"
	"github.com/tegata/tegata/internal/exit"
	"github.com/tegata/tegata/internal/seal"
	"github.com/tegata/tegata/internal/store"
)

func newImport(env Env) *cobra.Command {
	var where place
	var replace bool
	c := &cobra.Command{
		Use:   "import FILE",
		Short: "Take over what tegata export wrote",
		Long: `Take over what tegata export wrote, from a file or with - from standard input,
into SQLite or PostgreSQL. All of it goes in or nothing does.

The key-encryption key of the other side must be in place first; the import is
refused if it does not open what is in there. Stop every tegata serve of this
storage before, and start them again afterwards: they keep keys in memory.`,
		Example: `  tegata import tegata-export.jsonl --config /etc/tegata/tegata.yaml
  tegata import tegata-export.jsonl --replace --config /etc/tegata/tegata.yaml`,
		Args: arguments(1, 1, "the name of one file, or -"),
		RunE: func(c *cobra.Command, args []string) error {
			conf, err := where.config(env)
			if err != nil {
				return err
			}
			keys, err := conf.existingKeys(env)
			if err != nil {
				return err
			}
			from, closeFile, err := rewindable(env, args[0])
			if err != nil {
				return err
			}
			export, err := readExport(from, keys, conf)
			if err == nil {
				err = where.record(env, conf, "", func() ([]audit.Event, error) {
					return nil, conf.importInto(c.Context(), env, export, replace)
				})
			}
			if err = errors.Join(err, closeFile()); err != nil {
				return conf.advise(err)
			}
			env.notef("imported %s", inWords(export.Counts))
			return nil
		},
	}
	c.Flags().BoolVar(&replace, "replace", false, "delete everything that is there first")
	where.files(c)
	return c
}

// existingKeys reads the key-encryption key and makes none: a new one would
// not open what comes.
func (c config) existingKeys(env Env) (seal.Ring, error) {
	if _, err := os.Stat(c.keyPlace()); c.KeyEncryptionKey == (keySource{}) && errors.Is(err, fs.ErrNotExist) {
		return seal.Ring{}, exit.WithHint(fmt.Errorf("there is no key-encryption key %s to open the export with", c.keyPlace()),
			"copy the key of the other side there first, with mode 0600")
	}
	return c.keyEncryptionKeys(env)
}

// rewindable is the file, or a copy of standard input, which can be read only
// once. The copy is gone when it is closed.
func rewindable(env Env, name string) (*os.File, func() error, error) {
	if name != "-" {
		file, err := os.Open(name)
		if err != nil {
			return nil, nil, fmt.Errorf("opening the export: %w", err)
		}
		return file, file.Close, nil
	}
	file, err := os.CreateTemp("", "tegata-import-*") // mode 0600
	if err != nil {
		return nil, nil, fmt.Errorf("keeping the export: %w", err)
	}
	remove := func() error { return errors.Join(file.Close(), os.Remove(file.Name())) }
	if _, err := io.Copy(file, env.Stdin); err != nil {
		return nil, nil, errors.Join(fmt.Errorf("keeping the export: %w", err), remove())
	}
	return file, remove, nil
}

// readExport reads it to its end, and sees whether our key opens it.
func readExport(from io.ReadSeeker, keys seal.Ring, c config) (*store.Import, error) {
	export, err := store.ReadExport(from)
	if _, damaged := errors.AsType[*store.DamagedError](err); damaged {
		return nil, exit.WithHint(fmt.Errorf("reading the export: %w", err), "nothing was changed; export again")
	} else if err != nil {
		return nil, err
	}
	for _, issuer := range export.Issuers {
		if _, err := keys.Open(issuer.SealedSecret, store.IssuerContext(issuer.ID)); err != nil {
			return nil, exit.WithHint(fmt.Errorf("the key-encryption key in %s does not open the export", c.keyPlace()),
				"nothing was changed; put the key of the other side there")
		}
	}
	return export, nil
}

func (c config) importInto(ctx context.Context, env Env, export *store.Import, replace bool) error {
	if err := c.makeDataDir(); err != nil {
		return err
	}
	db, err := c.openStore(ctx, env)
	if err != nil {
		return err
	}
	err = errors.Join(db.Import(ctx, export, replace), db.Close())
	if errors.Is(err, store.ErrNotEmpty) {
		return exit.WithHint(fmt.Errorf("there is data in %s already", c.storageName()),
			"nothing was changed; --replace deletes it first")
	}
	if _, damaged := errors.AsType[*store.DamagedError](err); damaged {
		return exit.WithHint(err, "nothing was changed; export again")
	}
	return err
}
