// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/tegata/tegata/internal/exit"
	"github.com/tegata/tegata/internal/seal"
)

// keyFile is the key-encryption key inside the data directory, used unless
// the configuration names another place.
const keyFile = "key-encryption-key"

// keyEncryptionKey reads the key that seals everything at rest. Only the one
// in the data directory is made if it does not exist.
func (c config) keyEncryptionKey(env Env) (seal.Key, error) {
	switch {
	case c.KeyEncryptionKey.Environment != "":
		text := env.getenv(c.KeyEncryptionKey.Environment)
		if text == "" {
			return seal.Key{}, exit.Misuse("", "the environment variable %s, which holds the key-encryption key, is not set", c.KeyEncryptionKey.Environment)
		}
		return parseKey("$"+c.KeyEncryptionKey.Environment, text)
	case c.KeyEncryptionKey.File != "":
		text, err := os.ReadFile(c.KeyEncryptionKey.File)
		if err != nil {
			return seal.Key{}, exit.WithHint(fmt.Errorf("reading the key-encryption key: %w", err), "make one with: openssl rand -base64 32")
		}
		return parseKey(c.KeyEncryptionKey.File, string(text))
	}
	path := filepath.Join(c.DataDir, keyFile)
	text, err := os.ReadFile(path)
	if err == nil {
		return parseKey(path, string(text))
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return seal.Key{}, fmt.Errorf("reading the key-encryption key: %w", err)
	}
	if _, err := os.Stat(filepath.Join(c.DataDir, databaseFile)); err == nil {
		// Another process may have made both since; it makes the key first.
		if text, err := os.ReadFile(path); err == nil {
			return parseKey(path, string(text))
		}
		return seal.Key{}, exit.WithHint(
			fmt.Errorf("the key-encryption key %s is gone, but there is a database that was sealed with it", path),
			"restore the file from your backup; without it the signing keys cannot be opened")
	}
	key := seal.RandomKey()
	if err := writeNew(path, base64.StdEncoding.EncodeToString(key.Bytes())+"\n"); errors.Is(err, fs.ErrExist) {
		return c.keyEncryptionKey(env) // another process was faster
	} else if err != nil {
		return seal.Key{}, fmt.Errorf("keeping the key-encryption key: %w", err)
	}
	return key, nil
}

func parseKey(where, text string) (seal.Key, error) {
	raw, err := base64.StdEncoding.DecodeString(strings.TrimSpace(text))
	if err != nil || len(raw) != seal.KeySize {
		return seal.Key{}, exit.Misuse("make one with: openssl rand -base64 32", "%s holds no key-encryption key: it must be 32 bytes in base64", where)
	}
	return seal.NewKey(raw)
}

// writeNew writes a file that only we may read, whole or not at all, and
// never over another one.
func writeNew(path, content string) (err error) {
	temporary, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(temporary.Name())
	_, err = temporary.WriteString(content)
	if err = errors.Join(err, temporary.Sync(), temporary.Close()); err != nil {
		return err
	}
	return os.Link(temporary.Name(), path)
}
