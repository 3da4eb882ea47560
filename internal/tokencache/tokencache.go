// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

// Package tokencache keeps tokens between two runs of the plugin: one file
// and one lock for each [Key], below kubectl's own cache directory.
//
//	~/.kube/cache/oidc-login/            0700
//	    tegata-KEY.json                  0600  tokens, sealed or not; replaced whole, never written in place
//	    tegata-KEY.lock                  0600  held while somebody renews; holds the process ID
//	    tegata-provider-KEY.json         0600  what was learnt about the provider
//	    tegata-cooldown-KEY.json         0600  why the last login gave nothing
//	    tegata-keyring.lock              0600  held while the sealing key is made; as long as it is
//	                                           there, the keyring may have a key of this directory
//
// Reading takes no lock and waits for nobody. Whoever has to renew takes the
// lock, reads again, and only then goes to the provider. The prefix tells our
// files from those of others that use the same directory.
//
// Tokens are too long for the keyrings of some systems. So a keyring holds one
// small key for each directory, and the tokens that it seals stay in their
// file: sealed.go. An entry is one file in either case, so there is never an
// older one beside it.
//
// It is for the package plugin. It opens no connection and asks nobody; what
// it is given as [Keyring] may.
package tokencache

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Prefix begins the name of each file of ours.
const Prefix = "tegata-"

// keyringLockName is the name of the lock that guards the making of the
// sealing key.
const keyringLockName = Prefix + "keyring.lock"

// maxSize is far above any token; a larger file is not ours.
const maxSize = 4 << 20

// ErrAbsent says that there is no usable entry: none at all, or one that
// cannot be understood. The next save repairs it.
var ErrAbsent = errors.New("no tokens in the cache")

// Cache is a directory of entries. The zero Cache keeps nothing: every read
// finds nothing, and saving and locking do nothing.
type Cache struct {
	Dir string

	// Private says that the directory is ours alone, so that it may be
	// tightened to 0700. A directory that somebody named on the command line
	// may be anything, /tmp included: it is left as it is.
	Private bool

	// Keyring has the key of sealed entries. Without it there can be none, and
	// those that are there count as absent.
	Keyring Keyring

	// Seal says that entries are sealed when they are saved. Those that were
	// saved otherwise are read all the same.
	Seal bool
}

// Read returns the entry, or [ErrAbsent], or [ErrKeyring] if it is sealed and
// cannot be opened now, or what else kept it from reading.
func (c Cache) Read(ctx context.Context, key Key) (Tokens, error) {
	if c.Dir == "" {
		return Tokens{}, ErrAbsent
	}
	text, err := readPrivate(c.path(key))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return Tokens{}, ErrAbsent
	case err != nil:
		return Tokens{}, err
	}
	entry, err := parseEntry(text)
	if err != nil || entry.sealed == "" {
		return entry.tokens, err
	}
	return c.open(ctx, key, entry.sealed)
}

// Save replaces the entry. When it returns nil the tokens are on disk. With
// [ErrKeyring] they could not be sealed, and the entry is as it was.
func (c Cache) Save(ctx context.Context, key Key, tokens Tokens) error {
	if c.Dir == "" {
		return nil
	}
	text, err := formatTokens(tokens)
	if err == nil && c.Seal {
		text, err = c.seal(ctx, key, text)
	}
	if err != nil {
		return err
	}
	return c.replace(c.path(key), text)
}

// Remove forgets the entry.
func (c Cache) Remove(key Key) error {
	if c.Dir == "" {
		return nil
	}
	if err := os.Remove(c.path(key)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// Probe tells whether a file could be saved now, by writing as much as an
// entry may need and taking it away again. It is asked before a person is
// asked to log in, and so is [Cache.ProbeKeyring].
func (c Cache) Probe() error {
	if c.Dir == "" {
		return nil
	}
	path := filepath.Join(c.Dir, Prefix+"probe")
	file, err := c.temporary(path)
	if err != nil {
		return err
	}
	_, err = file.Write(make([]byte, 16<<10))
	return errors.Join(err, file.Close(), os.Remove(file.Name()))
}

func (c Cache) path(key Key) string { return filepath.Join(c.Dir, Prefix+string(key)+".json") }

// replace puts text at path in one step: a reader sees the old file or the
// new one, and after a crash there is one of the two.
func (c Cache) replace(path string, text []byte) error {
	file, err := c.temporary(path)
	if err != nil {
		return err
	}
	_, err = file.Write(text)
	if err == nil {
		err = file.Sync()
	}
	if closing := file.Close(); err == nil {
		err = closing
	}
	if err == nil {
		err = os.Rename(file.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(file.Name()))
	}
	return nil
}

// temporary creates the directory if need be, and in it a file of mode 0600
// that is about to become path. What a killed process left there is removed.
func (c Cache) temporary(path string) (*os.File, error) {
	if err := os.MkdirAll(c.Dir, 0o700); err != nil {
		return nil, err
	}
	if c.Private {
		if info, err := os.Stat(c.Dir); err == nil && info.Mode().Perm()&0o077 != 0 {
			os.Chmod(c.Dir, 0o700) //nolint:errcheck // a directory of somebody else's is still usable
		}
	}
	pattern := path + ".tmp-"
	file, err := os.CreateTemp(c.Dir, filepath.Base(pattern)+"*")
	if err != nil {
		return nil, err
	}
	now, err := file.Stat()
	if err != nil {
		return nil, errors.Join(err, file.Close(), os.Remove(file.Name()))
	}
	leftovers, _ := filepath.Glob(pattern + "*")
	for _, leftover := range leftovers {
		// A writer needs milliseconds; a minute is nobody's any more.
		if info, err := os.Stat(leftover); err == nil && now.ModTime().Sub(info.ModTime()) > time.Minute {
			os.Remove(leftover) //nolint:errcheck // the next save tries again
		}
	}
	return file, nil
}

// readPrivate reads a file of ours and tightens its mode to 0600: restored
// backups and copied homes come with wider ones.
func readPrivate(path string) ([]byte, error) {
	file, err := open(path, noFollow)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	if !ours(info) {
		// Somebody else put it there, in a directory that several people
		// write to: its tokens and its endpoints are theirs.
		return nil, fmt.Errorf("%s belongs to another user: %w", path, fs.ErrNotExist)
	}
	if !info.Mode().IsRegular() || info.Size() > maxSize {
		return nil, fmt.Errorf("%s is no token cache entry", path)
	}
	if info.Mode().Perm()&0o077 != 0 {
		file.Chmod(0o600) //nolint:errcheck // the tokens are usable all the same
	}
	text := make([]byte, info.Size())
	_, err = io.ReadFull(file, text)
	return text, err
}

// Dir is where the cache is kept when nobody named a directory: the place
// that kubelogin uses. An empty KUBECACHEDIR counts as unset. It is empty if
// there is no home either.
func Dir(lookup func(string) string) string {
	if dir := lookup("KUBECACHEDIR"); dir != "" {
		return filepath.Join(dir, "oidc-login")
	}
	if home := Home(lookup); home != "" {
		return filepath.Join(home, ".kube", "cache", "oidc-login")
	}
	return ""
}

// Home is the home directory as kubectl finds it.
func Home(lookup func(string) string) string {
	if home := lookup("HOME"); home != "" || os.PathSeparator == '/' {
		return home
	}
	return lookup("USERPROFILE")
}

// ExpandHome replaces a leading "~" or "~/". "~name" is a file of that name.
func ExpandHome(path string, lookup func(string) string) string {
	rest, ok := strings.CutPrefix(path, "~")
	if !ok || rest != "" && !os.IsPathSeparator(rest[0]) {
		return path
	}
	home := Home(lookup)
	if home == "" {
		return path
	}
	return filepath.Join(home, rest)
}
