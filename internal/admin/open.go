// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tegata/tegata/internal/audit"
	"github.com/tegata/tegata/internal/exit"
	"github.com/tegata/tegata/internal/oidc"
	"github.com/tegata/tegata/internal/seal"
	"github.com/tegata/tegata/internal/signingkey"
	"github.com/tegata/tegata/internal/store"
)

// issuerID is the ID of the issuer that a configuration file describes. It
// stays the same when its URL changes.
const issuerID = "default"

// place is the flags that say where the data is. Every command has them.
type place struct {
	configFile, dataDir, issuer string

	command *cobra.Command // that has the flags
}

// flags is for commands about one issuer.
func (p *place) flags(c *cobra.Command) {
	p.files(c)
	c.Flags().StringVar(&p.issuer, "issuer", "", "`ID` of the issuer, if the server has several (environment: TEGATA_ISSUER)")
}

// files is for commands about the whole server.
func (p *place) files(c *cobra.Command) {
	p.command = c
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
	if c.DataDir == "" && c.Storage.Postgres == nil {
		return config{}, exit.Misuse("name it with --data-dir DIR, TEGATA_DATA_DIR or data_dir in the file that --config names",
			"there is no data directory")
	}
	return c, nil
}

// one reads the configuration for a command about one issuer.
func (p place) one(env Env) (config, error) {
	c, err := p.config(env)
	if err != nil {
		return config{}, err
	}
	return p.choose(env, c)
}

// choose makes the issuer that a command is about the only one.
func (p place) choose(env Env, c config) (config, error) {
	wanted := cmp.Or(p.issuer, env.getenv("TEGATA_ISSUER"))
	var known []string
	for _, issuer := range c.issuers() {
		if issuer.ID == wanted || wanted == "" && len(c.Issuers) <= 1 {
			c.IssuerConfig = issuer
			return c, nil
		}
		known = append(known, issuer.ID)
	}
	if wanted == "" {
		return config{}, exit.Misuse("name it with --issuer ID or TEGATA_ISSUER: "+strings.Join(known, ", "), "there are several issuers")
	}
	c.IssuerConfig = IssuerConfig{ID: wanted, atRunTime: true} // or nobody's; the database knows
	return c, nil
}

// database is an open database, with what opens the secrets in it.
type database struct {
	*store.DB
	kek    seal.Ring
	config config
}

// openDatabase opens the database, and makes it if it is missing.
func (c config) openDatabase(ctx context.Context, env Env) (*database, error) {
	if err := c.makeDataDir(); err != nil {
		return nil, err
	}
	kek, err := c.keyEncryptionKeys(env)
	if err != nil {
		return nil, err
	}
	db, err := c.openStore(ctx, env)
	if err != nil {
		return nil, err
	}
	return &database{db, kek, c}, nil
}

// issuer is an open issuer.
type issuer struct {
	*store.Issuer
	db     *store.DB
	config IssuerConfig
	url    oidc.Issuer // empty before it was served for the first time
	secret seal.Key
	kek    seal.Ring
	keys   signingkey.Custody
	done   []audit.Event // what the command has done so far
}

// open opens the database and the one issuer of a command.
func (c config) open(ctx context.Context, env Env) (*issuer, error) {
	db, err := c.openDatabase(ctx, env)
	if err != nil {
		return nil, err
	}
	opened, err := db.issuer(ctx, env, c.IssuerConfig)
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return opened, nil
}

// issuer opens an issuer, and makes its row if it is missing.
func (d *database) issuer(ctx context.Context, env Env, c IssuerConfig) (*issuer, error) {
	record, err := d.IssuerRecord(ctx, c.ID)
	if c.atRunTime {
		if err == nil && record.Specification == "" {
			err = store.ErrNoIssuer // it has left the configuration
		}
		if err != nil {
			return nil, d.unknownIssuer(ctx, c.ID, err)
		}
		if c, err = readSpecification(record); err != nil {
			return nil, err
		}
	} else if errors.Is(err, store.ErrNoIssuer) {
		fresh := store.IssuerRecord{ID: c.ID, SealedSecret: d.kek.Seal(seal.RandomKey().Bytes(), store.IssuerContext(c.ID))}
		if err := d.AddIssuer(ctx, fresh, env.Now()); err != nil {
			return nil, fmt.Errorf("making the issuer: %w", err)
		}
		record, err = d.IssuerRecord(ctx, c.ID)
	}
	if err != nil {
		return nil, fmt.Errorf("reading the issuer: %w", err)
	}
	raw, err := d.kek.Open(record.SealedSecret, store.IssuerContext(c.ID))
	if err != nil {
		return nil, exit.WithHint(fmt.Errorf("the database was sealed with another key-encryption key than the one in %s", d.config.keyPlace()),
			"use the key that was in place before; to change it, give both, the new one first, and run: tegata key reseal")
	}
	own, err := seal.NewKey(raw)
	if err != nil {
		return nil, fmt.Errorf("reading the issuer's secret: %w", err)
	}
	rows := d.Issuer(c.ID)
	keys := signingkey.Custody{Storage: rows, Sealer: d.kek, Policy: c.keyPolicy(), Now: env.Now}
	return &issuer{Issuer: rows, db: d.DB, config: c, url: record.URL, secret: own, kek: d.kek, keys: keys}, nil
}

// change is with, for a command that changes something.
func (p place) change(ctx context.Context, env Env, do func(config, *issuer) error) error {
	return p.with(ctx, env, p.recorded(env, do))
}

// making is like change, and makes the data directory if there is none.
func (p place) making(ctx context.Context, env Env, do func(config, *issuer) error) error {
	c, err := p.one(env)
	if err != nil {
		return err
	}
	if !c.hasData() {
		env.notef("making a new data directory, %s", c.DataDir)
	}
	return c.using(ctx, env, p.recorded(env, do))
}

// with opens the issuer for one command and closes it again. A place without
// data is somebody's typing mistake, and is refused.
func (p place) with(ctx context.Context, env Env, do func(config, *issuer) error) error {
	c, err := p.one(env)
	if err != nil {
		return err
	}
	if !c.hasData() {
		return c.noData()
	}
	c.existing = true
	return c.using(ctx, env, do)
}

func (c config) using(ctx context.Context, env Env, do func(config, *issuer) error) error {
	opened, err := c.open(ctx, env)
	if err == nil {
		err = errors.Join(do(c, opened), opened.db.Close())
	}
	return c.advise(err)
}
