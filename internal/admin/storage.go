// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/tegata/tegata/internal/exit"
	"github.com/tegata/tegata/internal/secret"
	"github.com/tegata/tegata/internal/store"
)

// databaseFile lies in the data directory.
const databaseFile = "tegata.db"

// storageConfig says where the rows are: in a file, unless it is PostgreSQL.
type storageConfig struct {
	SQLite   sqliteConfig    `yaml:"sqlite"`
	Postgres *postgresConfig `yaml:"postgres"`
}

type sqliteConfig struct {
	Path string `yaml:"path"`
}

type postgresConfig struct {
	URL            string `yaml:"url"`
	PasswordFile   string `yaml:"password_file"`
	PasswordEnv    string `yaml:"password_environment"`
	CA             string `yaml:"ca"`
	MaxConnections uint32 `yaml:"max_connections"`
}

func (c config) checkStorage() error {
	p := c.Storage.Postgres
	switch {
	case p == nil:
		return nil
	case c.Storage.SQLite != (sqliteConfig{}):
		return errors.New("storage: give sqlite or postgres, not both")
	case p.URL == "":
		return errors.New("storage.postgres: url is missing: postgres://USER@HOST:PORT/DATABASE")
	case p.PasswordFile != "" && p.PasswordEnv != "":
		return errors.New("storage.postgres: give password_file or password_environment, not both")
	case p.MaxConnections > 10_000:
		return errors.New("storage.postgres: max_connections is more than 10000")
	}
	if err := store.CheckPostgresURL(p.URL); err != nil {
		return fmt.Errorf("storage.postgres.url: %w", err)
	}
	if err := checkEnvironment("storage.postgres.password_environment", p.PasswordEnv); err != nil {
		return err
	}
	if c.KeyEncryptionKey == (keySource{}) {
		return errors.New("storage.postgres needs key_encryption_key, a file or an environment variable that all replicas share: there is no data directory to keep the key in")
	}
	return nil
}

// storage is what the store needs. The password of PostgreSQL is read.
func (c config) storage(env Env) (store.Config, error) {
	p := c.Storage.Postgres
	if p == nil {
		return store.Config{Path: c.databasePath(), Existing: c.existing}, nil
	}
	var password secret.String
	switch {
	case p.PasswordFile != "":
		text, err := os.ReadFile(p.PasswordFile)
		if err != nil {
			return store.Config{}, exit.Misuse("", "reading the password of PostgreSQL: %w", err)
		}
		password = secret.New(strings.TrimRight(string(text), "\r\n"))
	case p.PasswordEnv != "":
		password = secret.New(env.getenv(p.PasswordEnv))
		if password.IsZero() {
			return store.Config{}, exit.Misuse("", "the environment variable %s, which holds the password of PostgreSQL, is not set", p.PasswordEnv)
		}
	}
	postgres := &store.Postgres{URL: p.URL, Password: password, CAFile: p.CA, MaxConnections: int(p.MaxConnections)}
	if err := postgres.Check(); err != nil {
		return store.Config{}, exit.Misuse("", "storage.postgres: %w", err)
	}
	return store.Config{Postgres: postgres, Existing: c.existing}, nil
}

// databasePath is the SQLite file.
func (c config) databasePath() string {
	return cmp.Or(c.Storage.SQLite.Path, filepath.Join(c.DataDir, databaseFile))
}

// storageName is where the rows are, for people.
func (c config) storageName() string {
	if p := c.Storage.Postgres; p != nil {
		name, _, _ := strings.Cut(p.URL, "?")
		return name
	}
	return c.databasePath()
}

// hasData reports whether there is a database file. Of PostgreSQL nobody
// knows before it was asked.
func (c config) hasData() bool {
	if c.Storage.Postgres != nil {
		return true
	}
	_, err := os.Stat(c.databasePath())
	return err == nil
}

// makeDataDir makes the data directory, if there is to be one.
func (c config) makeDataDir() error {
	if c.DataDir == "" {
		return nil
	}
	if err := os.MkdirAll(c.DataDir, 0o700); err != nil {
		return exit.WithHint(fmt.Errorf("making the data directory: %w", err), "choose one that you may write to with --data-dir")
	}
	return nil
}

// openStore opens the database.
func (c config) openStore(ctx context.Context, env Env) (*store.DB, error) {
	where, err := c.storage(env)
	if err != nil {
		return nil, err
	}
	db, err := store.Open(ctx, where)
	if errors.Is(err, store.ErrNoData) {
		return nil, c.noData()
	}
	return db, err
}

func (c config) noData() error {
	if c.Storage.Postgres != nil {
		return exit.WithHint(fmt.Errorf("there is no data in %s", c.storageName()),
			"check storage.postgres.url in the configuration; tegata serve begins with an empty database")
	}
	if c.Storage.SQLite.Path != "" {
		return exit.WithHint(fmt.Errorf("there is no database %s", c.storageName()),
			"check storage.sqlite.path in the configuration; tegata serve makes a new one")
	}
	return exit.WithHint(fmt.Errorf("there is no database in the data directory %s", c.DataDir),
		"check --data-dir; tegata serve makes a new one")
}

// advise adds to a failure of the storage what a person can do about it.
func (c config) advise(err error) error {
	failure, unavailable := errors.AsType[*store.UnavailableError](err)
	switch {
	case !unavailable:
		return err
	case failure.Unknown():
		return exit.WithHint(err, "look whether the change was made before you try again")
	case c.Storage.Postgres != nil:
		return exit.WithHint(err, "nothing was changed; see whether PostgreSQL runs and storage.postgres leads to it, and try again")
	}
	return exit.WithHint(err, "nothing was changed; try again, or see what holds or fills "+filepath.Dir(c.databasePath()))
}
