// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package tokencache

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strings"

	"github.com/gofrs/flock"
)

// Listed is one entry of a cache, with the place that it is kept at.
type Listed struct {
	Key    Key
	Path   string
	Tokens Tokens
}

// List returns all entries, sorted by issuer, client and key. What cannot be
// understood is no entry; what cannot be read is an error, which comes with
// all the others. It is [ErrKeyring], once, if sealed entries cannot be opened.
func (c Cache) List(ctx context.Context) ([]Listed, error) {
	files, err := c.files()
	if err != nil {
		return nil, err
	}
	var entries []Listed
	var problems []error
	closed := 0
	for _, file := range files {
		if file.kind != ".json" || file.note {
			continue
		}
		tokens, err := c.Read(ctx, file.key)
		switch {
		case err == nil:
			entries = append(entries, Listed{file.key, c.path(file.key), tokens})
		case errors.Is(err, context.Canceled):
			return nil, err
		case errors.Is(err, ErrKeyring):
			if closed++; closed == 1 {
				problems = append(problems, err)
			}
		case !errors.Is(err, ErrAbsent):
			problems = append(problems, err)
		}
	}
	// Not slices.SortFunc, which is compiled anew for each type: 20 kB here.
	sort.Slice(entries, func(i, j int) bool {
		a, b := entries[i].Tokens, entries[j].Tokens
		return cmp.Or(
			cmp.Compare(a.Issuer, b.Issuer), cmp.Compare(a.ClientID, b.ClientID), cmp.Compare(entries[i].Key, entries[j].Key),
		) < 0
	})
	return entries, errors.Join(problems...)
}

// Forget removes the entry, what was learnt about its provider, and
// that somebody was asked in vain. The caller holds the lock.
func (c Cache) Forget(key Key) error {
	err := c.Remove(key)
	if c.Dir == "" {
		return err
	}
	if note := os.Remove(ProviderFile{c, key}.path()); note != nil && !errors.Is(note, fs.ErrNotExist) {
		err = errors.Join(err, note)
	}
	return errors.Join(err, c.RemoveCooldown(key))
}

// Cleaned is one thing of ours, and what became of it.
type Cleaned struct {
	Path string // of a file; empty for the sealing key in the keyring

	// HeldBy is set if somebody is renewing under the file's key, so that it
	// was left where it is: the process, or -1 if that is not known.
	HeldBy int

	Err error // why it could not be removed
}

// Clean removes all files of ours and no other: entries, locks, notes about
// providers and what killed writers left; and then the sealing key, if one was
// ever made. All files of a key that somebody is renewing stay, because that
// process is about to write them anew, and so does the sealing key then. With
// dry nothing is removed, and the keyring is not asked.
func (c Cache) Clean(ctx context.Context, dry bool) ([]Cleaned, error) {
	files, err := c.files()
	if err != nil {
		return nil, err
	}
	byKey := map[Key][]string{}
	keyring := false
	for _, file := range files {
		if file.path == c.keyringLock() {
			keyring = true
			continue
		}
		byKey[file.key] = append(byKey[file.key], file.path)
	}
	var cleaned []Cleaned
	for key, paths := range byKey {
		cleaned = append(cleaned, c.cleanKey(key, paths, dry)...)
	}
	sort.Slice(cleaned, func(i, j int) bool { return cleaned[i].Path < cleaned[j].Path })
	if keyring {
		held := slices.IndexFunc(cleaned, func(one Cleaned) bool { return one.HeldBy != 0 })
		if held >= 0 {
			return append(cleaned, Cleaned{HeldBy: cleaned[held].HeldBy}), nil
		}
		cleaned = append(cleaned, c.cleanKeyring(ctx, dry)...)
	}
	return cleaned, nil
}

// cleanKeyring removes the sealing key. The lock file stays if it cannot: it
// says that there is still something to remove.
func (c Cache) cleanKeyring(ctx context.Context, dry bool) []Cleaned {
	both := []Cleaned{{}, {Path: c.keyringLock()}}
	if dry {
		return both
	}
	if c.Keyring != nil {
		if err := c.Keyring.Delete(ctx, c.keyName()); err != nil {
			return []Cleaned{{Err: keyringError(err)}}
		}
	}
	both[1].Err = remove(c.keyringLock())
	return both
}

// cleanKey removes the files of one key, the lock last, so that nobody begins
// to renew while the others go.
func (c Cache) cleanKey(key Key, paths []string, dry bool) []Cleaned {
	var cleaned []Cleaned
	lockPath := c.lockPath(key)
	if slices.Contains(paths, lockPath) {
		lock := flock.New(lockPath, flock.SetFlag(os.O_RDWR))
		// A file that cannot be locked is nobody's lock.
		if locked, err := lock.TryLock(); err == nil && !locked {
			pid := holder(lockPath)
			if pid == 0 {
				pid = -1
			}
			for _, path := range paths {
				cleaned = append(cleaned, Cleaned{Path: path, HeldBy: pid})
			}
			return cleaned
		}
		defer lock.Close()
		if os.PathSeparator != '/' {
			// Windows removes no file that is open. Nobody is harmed: who opens
			// the lock meanwhile keeps it from being removed.
			lock.Close() //nolint:errcheck // nothing follows from it
		}
	}
	slices.SortFunc(paths, func(a, b string) int {
		switch {
		case a == b:
			return 0
		case a == lockPath:
			return 1
		case b == lockPath:
			return -1
		}
		return cmp.Compare(a, b)
	})
	for _, path := range paths {
		one := Cleaned{Path: path}
		if !dry {
			one.Err = remove(path)
		}
		cleaned = append(cleaned, one)
	}
	return cleaned
}

func remove(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// file is a file of ours, by the parts of its name.
type file struct {
	path string
	key  Key    // empty for the probe and for the keyring's lock
	kind string // what follows the key
	note bool   // about a provider
}

// files returns the regular files whose names are ours. A folder that is not
// there has none.
func (c Cache) files() ([]file, error) {
	if c.Dir == "" {
		return nil, nil
	}
	entries, err := os.ReadDir(c.Dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var files []file
	for _, entry := range entries {
		if f, ok := parseName(entry.Name()); ok && entry.Type().IsRegular() {
			f.path = filepath.Join(c.Dir, entry.Name())
			files = append(files, f)
		}
	}
	return files, err
}

// parseName takes a file's name apart:
//
//	tegata-KEY.KIND             KEY is 64 hexadecimal digits
//	tegata-WORD-KEY.KIND        WORD is in lower case
//	tegata-keyring.lock
//	tegata-probe.tmp-NUMBER
//
// The prefix alone does not make a file ours: the folder may be anybody's.
func parseName(name string) (file, bool) {
	rest, ok := strings.CutPrefix(name, Prefix)
	if !ok {
		return file{}, false
	}
	if name == keyringLockName {
		return file{kind: ".lock"}, true
	}
	if strings.HasPrefix(rest, "probe.tmp-") {
		return file{kind: ".tmp"}, true
	}
	stem, kind, ok := strings.Cut(rest, ".")
	if !ok {
		return file{}, false
	}
	word, key := "", stem
	if cut := strings.LastIndexByte(stem, '-'); cut >= 0 {
		word, key = stem[:cut], stem[cut+1:]
		if word == "" || strings.Trim(word, "abcdefghijklmnopqrstuvwxyz-") != "" {
			return file{}, false
		}
	}
	if len(key) != 64 || strings.Trim(key, "0123456789abcdef") != "" {
		return file{}, false
	}
	return file{key: Key(key), kind: "." + kind, note: word != ""}, true
}
