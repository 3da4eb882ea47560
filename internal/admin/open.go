// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/tegata/tegata/internal/exit"
	"github.com/tegata/tegata/internal/oidc"
	"github.com/tegata/tegata/internal/seal"
	"github.com/tegata/tegata/internal/store"
)

// databaseFile lies in the data directory.
const databaseFile = "tegata.db"

// issuerID is the ID of the issuer that a configuration file describes. It
// stays the same when its URL changes.
const issuerID = "default"

// place is the flags that say where the data is. Every command has them.
type place struct{ configFile, dataDir string }

func (p *place) flags(c *cobra.Command) {
	c.Flags().StringVar(&p.configFile, "config", "", "configuration `FILE` (environment: TEGATA_CONFIG)")
	c.Flags().StringVar(&p.dataDir, "data-dir", "", "`DIR` in which everything is kept (environment: TEGATA_DATA_DIR)")
	_ = c.MarkFlagFilename("config", "yaml", "yml")
	_ = c.MarkFlagDirname("data-dir")
}

// config reads the configuration; the data directory is the flag's, the
// environment's or the file's, in this order.
func (p place) config(env Env) (config, error) {
	path := p.configFile
	if path == "" {
		path = env.getenv("TEGATA_CONFIG")
	}
	c, err := loadConfig(env, path)
	if err != nil {
		return config{}, err
	}
	if dir := env.getenv("TEGATA_DATA_DIR"); dir != "" {
		c.DataDir = dir
	}
	if p.dataDir != "" {
		c.DataDir = p.dataDir
	}
	if c.DataDir == "" {
		return config{}, exit.Misuse("name it with --data-dir DIR, TEGATA_DATA_DIR or data_dir in the file that --config names",
			"there is no data directory")
	}
	return c, nil
}

// issuer is an open issuer.
type issuer struct {
	*store.Issuer
	db     *store.DB
	url    oidc.Issuer // empty before it was served for the first time
	secret seal.Key
	kek    seal.Key
}

// open opens the database and the issuer in it, and makes what is missing.
func (c config) open(ctx context.Context, env Env) (opened *issuer, err error) {
	if err := os.MkdirAll(c.DataDir, 0o700); err != nil {
		return nil, exit.WithHint(fmt.Errorf("making the data directory: %w", err), "choose one that you may write to with --data-dir")
	}
	kek, err := c.keyEncryptionKey(env)
	if err != nil {
		return nil, err
	}
	db, err := store.Open(ctx, store.Config{Path: filepath.Join(c.DataDir, databaseFile)})
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, db.Close())
		}
	}()
	record, err := db.IssuerRecord(ctx, issuerID)
	if errors.Is(err, store.ErrNoIssuer) {
		fresh := store.IssuerRecord{ID: issuerID, SealedSecret: kek.Seal(seal.RandomKey().Bytes(), "issuer "+issuerID)}
		if err := db.AddIssuer(ctx, fresh, env.Now()); err != nil {
			return nil, fmt.Errorf("making the issuer: %w", err)
		}
		record, err = db.IssuerRecord(ctx, issuerID)
	}
	if err != nil {
		return nil, fmt.Errorf("reading the issuer: %w", err)
	}
	raw, err := kek.Open(record.SealedSecret, "issuer "+issuerID)
	if err != nil {
		return nil, exit.WithHint(errors.New("the database was sealed with another key-encryption key"),
			"use the key that was in place when the database was made")
	}
	own, err := seal.NewKey(raw)
	if err != nil {
		return nil, fmt.Errorf("reading the issuer's secret: %w", err)
	}
	return &issuer{Issuer: db.Issuer(issuerID), db: db, url: record.URL, secret: own, kek: kek}, nil
}

// making is like with, and makes the data directory if there is none.
func (p place) making(ctx context.Context, env Env, do func(config, *issuer) error) error {
	c, err := p.config(env)
	if err != nil {
		return err
	}
	if !c.hasData() {
		env.notef("making a new data directory, %s", c.DataDir)
	}
	return c.using(ctx, env, do)
}

// hasData reports whether there is a database in the data directory.
func (c config) hasData() bool {
	_, err := os.Stat(filepath.Join(c.DataDir, databaseFile))
	return err == nil
}

// with opens the issuer for one command and closes it again. A data directory
// without data is somebody's typing mistake, and is refused.
func (p place) with(ctx context.Context, env Env, do func(config, *issuer) error) error {
	c, err := p.config(env)
	if err != nil {
		return err
	}
	if !c.hasData() {
		return exit.WithHint(fmt.Errorf("there is no database in the data directory %s", c.DataDir),
			"check --data-dir; tegata serve makes a new one")
	}
	return c.using(ctx, env, do)
}

func (c config) using(ctx context.Context, env Env, do func(config, *issuer) error) error {
	opened, err := c.open(ctx, env)
	if err == nil {
		err = errors.Join(do(c, opened), opened.db.Close())
	}
	if _, unavailable := errors.AsType[*store.UnavailableError](err); unavailable {
		return exit.WithHint(err, "nothing was changed; try again, or see what holds or fills "+c.DataDir)
	}
	return err
}
