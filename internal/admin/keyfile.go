// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io"
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

// keyPlace is where the key-encryption key is, for people.
func (c config) keyPlace() string {
	switch {
	case c.KeyEncryptionKey.Environment != "":
		return "$" + c.KeyEncryptionKey.Environment
	case c.KeyEncryptionKey.File != "":
		return c.KeyEncryptionKey.File
	}
	return filepath.Join(c.DataDir, keyFile)
}

// keyEncryptionKeys reads the key that seals everything at rest and, behind
// it, older ones that still open it. Only the one in the data directory is
// made if it does not exist.
func (c config) keyEncryptionKeys(env Env) (seal.Ring, error) {
	where := c.keyPlace()
	switch {
	case c.KeyEncryptionKey.Environment != "":
		text := env.getenv(c.KeyEncryptionKey.Environment)
		if text == "" {
			return seal.Ring{}, exit.Misuse("", "the environment variable %s, which holds the key-encryption key, is not set", c.KeyEncryptionKey.Environment)
		}
		return parseKeys(where, text)
	case c.KeyEncryptionKey.File != "":
		text, err := readKeyFile(where, nil)
		if errors.Is(err, fs.ErrNotExist) {
			err = exit.WithHint(err, "make one with: openssl rand -base64 32")
		}
		if err != nil {
			return seal.Ring{}, fmt.Errorf("reading the key-encryption key: %w", err)
		}
		return parseKeys(where, text)
	}
	// The file in the data directory is ours, so we also put it right.
	ours := func(file *os.File, exposed string) error {
		env.notef("%s could be read or changed by %s; from now on only by its owner", where, exposed)
		return file.Chmod(0o600)
	}
	text, err := readKeyFile(where, ours)
	if errors.Is(err, fs.ErrNotExist) && c.hasData() {
		// Another process may have made both since; it makes the key first.
		if text, err = readKeyFile(where, ours); errors.Is(err, fs.ErrNotExist) {
			return seal.Ring{}, exit.WithHint(
				fmt.Errorf("the key-encryption key %s is gone, but there is a database that was sealed with it", where),
				"restore the file from your backup; without it the signing keys cannot be opened")
		}
	}
	if err == nil {
		return parseKeys(where, text)
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return seal.Ring{}, fmt.Errorf("reading the key-encryption key: %w", err)
	}
	key := seal.RandomKey()
	if err := writeNew(where, base64.StdEncoding.EncodeToString(key.Bytes())+"\n"); errors.Is(err, fs.ErrExist) {
		return c.keyEncryptionKeys(env) // another process was faster
	} else if err != nil {
		return seal.Ring{}, fmt.Errorf("keeping the key-encryption key: %w", err)
	}
	return seal.NewRing(key), nil
}

// readKeyFile reads a file that nobody else may read. If somebody may, tighten
// changes that; without it the file is refused.
func readKeyFile(path string, tighten func(file *os.File, exposed string) error) (text string, err error) {
	file, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return "", err
	}
	if exposed := exposedTo(info); exposed != "" && tighten != nil {
		if err := tighten(file, exposed); err != nil {
			return "", err
		}
	} else if exposed != "" {
		return "", exit.Misuse("chmod 600 "+exit.Quote(path)+"; in Kubernetes: defaultMode: 0400. Who could read it may have it: change it",
			"%s can be read or changed by %s", path, exposed)
	}
	content, err := io.ReadAll(file)
	return string(content), err
}

// parseKeys reads keys that stand one below the other, or one behind the
// other. It never quotes them.
func parseKeys(where, text string) (seal.Ring, error) {
	var keys []seal.Key
	for _, field := range strings.Fields(text) {
		raw, err := base64.StdEncoding.DecodeString(field)
		if err != nil || len(raw) != seal.KeySize {
			keys = nil
			break
		}
		key, err := seal.NewKey(raw)
		if err != nil {
			return seal.Ring{}, err
		}
		keys = append(keys, key)
	}
	if len(keys) == 0 {
		return seal.Ring{}, exit.Misuse("make one with: openssl rand -base64 32",
			"%s holds no key-encryption key: it must be 32 bytes in base64, and nothing else but older keys below it", where)
	}
	return seal.NewRing(keys[0], keys[1:]...), nil
}

// writeNew writes a file that only we may read, whole or not at all, and
// never over another one.
func writeNew(path, content string) error {
	return writeNewWith(path, func(file io.Writer) error {
		_, err := io.WriteString(file, content)
		return err
	})
}

func writeNewWith(path string, write func(io.Writer) error) error {
	temporary, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(temporary.Name())
	if err := errors.Join(write(temporary), temporary.Sync(), temporary.Close()); err != nil {
		return err
	}
	return os.Link(temporary.Name(), path)
}
