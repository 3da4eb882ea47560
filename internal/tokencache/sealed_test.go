// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package tokencache_test

import (
	"context"
	"encoding/base64"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/tegata/tegata/internal/secret"
	"github.com/tegata/tegata/internal/tokencache"
)

// keyring keeps texts in memory, and notes what it is asked.
type keyring struct {
	mu    sync.Mutex // guards the fields below
	texts map[string]secret.String
	gone  error // why it cannot be used
	asked int
	sets  int
}

func newKeyring() *keyring { return &keyring{texts: map[string]secret.String{}} }

func (k *keyring) Get(_ context.Context, name string) (secret.String, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.asked++
	return k.texts[name], k.gone
}

func (k *keyring) Set(_ context.Context, name string, value secret.String) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.asked++
	if k.gone == nil {
		k.sets++
		k.texts[name] = value
	}
	return k.gone
}

func (k *keyring) Delete(_ context.Context, name string) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.asked++
	if k.gone == nil {
		delete(k.texts, name)
	}
	return k.gone
}

func sealing(t *testing.T) (tokencache.Cache, *keyring) {
	k := newKeyring()
	return tokencache.Cache{Dir: t.TempDir(), Keyring: k, Seal: true}, k
}

// sealed is what reading gives of tokens that were saved sealed.
func sealed(tokens tokencache.Tokens) tokencache.Tokens {
	tokens.Sealed = true
	return tokens
}

// saved saves the usual tokens and returns the text of their file.
func saved(t *testing.T, c tokencache.Cache, key tokencache.Key) string {
	t.Helper()
	if err := c.Save(t.Context(), key, tokens()); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(c.Dir, "tegata-"+string(key)+".json"))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestSealedEntrySurvivesTheDisk(t *testing.T) {
	c, k := sealing(t)
	large := tokens()
	large.IDToken = secret.New(strings.Repeat("large ", 20<<10))
	for key, want := range map[tokencache.Key]tokencache.Tokens{keyOne: tokens(), keyTwo: large} {
		if err := errors.Join(c.ProbeKeyring(t.Context()), c.Save(t.Context(), key, want)); err != nil {
			t.Fatal(err)
		}
		got, err := c.Read(t.Context(), key)
		if err != nil || got != sealed(want) {
			t.Errorf("got %+v, %v, want %+v", got, err, sealed(want))
		}
	}
	for name, value := range k.texts {
		if real, err := filepath.EvalSymlinks(c.Dir); err != nil || name != real {
			t.Errorf("the key has the name %q, want %q (%v)", name, real, err)
		}
		if raw, err := base64.RawStdEncoding.DecodeString(value.Reveal()); err != nil || len(raw) != 32 {
			t.Errorf("the key has %d bytes, %v", len(raw), err)
		}
	}
	if k.sets != 1 {
		t.Errorf("%d keys were made, want 1", k.sets)
	}
}

func TestSealedFileShowsNothing(t *testing.T) {
	c, _ := sealing(t)
	text := saved(t, c, keyOne)
	for _, part := range []string{"aaa.bbb", "r/+=", "alice", "id.example.com", "kubernetes", "1800000000"} {
		if strings.Contains(text, part) || strings.Contains(text, base64.RawStdEncoding.EncodeToString([]byte(part))) {
			t.Errorf("the file holds %q", part)
		}
	}
	if again := saved(t, c, keyOne); again == text {
		t.Error("a box repeats itself")
	}
}

// The way from one storage to the other and back: each reads what the other
// one has saved, and a save leaves one entry.
func TestEntryMovesBetweenStorages(t *testing.T) {
	c, k := sealing(t)
	clear := c
	clear.Seal = false
	if !strings.Contains(saved(t, clear, keyOne), "aaa.bbb.ccc") {
		t.Fatal("the entry in the clear is not")
	}
	if got, err := c.Read(t.Context(), keyOne); err != nil || got != tokens() {
		t.Errorf("got %+v, %v", got, err)
	}
	if k.asked > 0 {
		t.Errorf("the keyring was asked %d times for an entry in the clear", k.asked)
	}
	if strings.Contains(saved(t, c, keyOne), "aaa.bbb.ccc") {
		t.Error("the old entry is still there")
	}
	if got, err := clear.Read(t.Context(), keyOne); err != nil || got != sealed(tokens()) {
		t.Errorf("got %+v, %v", got, err)
	}
	saved(t, clear, keyOne)
	if got, err := c.Read(t.Context(), keyOne); err != nil || got != tokens() {
		t.Errorf("got %+v, %v", got, err)
	}
}

// Whatever is wrong with a sealed file or with its key: the entry is absent,
// and the next save repairs it.
func TestForeignSealedEntryIsAbsent(t *testing.T) {
	for _, test := range []struct {
		name   string
		change func(t *testing.T, c tokencache.Cache, k *keyring, text string) string // the new text of keyOne's file
	}{
		{"no key", func(_ *testing.T, _ tokencache.Cache, k *keyring, text string) string {
			clear(k.texts)
			return text
		}},
		{"another key", func(t *testing.T, c tokencache.Cache, k *keyring, text string) string {
			clear(k.texts)
			saved(t, c, keyTwo)
			return text
		}},
		{"a key that is none", func(_ *testing.T, _ tokencache.Cache, k *keyring, text string) string {
			for name := range k.texts {
				k.texts[name] = secret.New("hunter2")
			}
			return text
		}},
		{"another entry's box", func(t *testing.T, c tokencache.Cache, _ *keyring, _ string) string {
			return saved(t, c, keyTwo)
		}},
		{"one bit changed", func(_ *testing.T, _ tokencache.Cache, _ *keyring, text string) string {
			middle := len(text) / 2
			other := byte('A')
			if text[middle] == other {
				other = 'B'
			}
			return text[:middle] + string(other) + text[middle+1:]
		}},
		{"cut", func(_ *testing.T, _ tokencache.Cache, _ *keyring, text string) string {
			return text[:len(text)-12] + "\"}\n"
		}},
		{"cut by the disk", func(_ *testing.T, _ tokencache.Cache, _ *keyring, text string) string { return text[:len(text)-12] }},
		{"short", func(*testing.T, tokencache.Cache, *keyring, string) string { return `{"version":1,"sealed":"AAAA"}` }},
		{"no base64", func(*testing.T, tokencache.Cache, *keyring, string) string { return `{"version":1,"sealed":"*"}` }},
		{"another version", func(_ *testing.T, _ tokencache.Cache, _ *keyring, text string) string {
			return strings.Replace(text, `"version":1`, `"version":2`, 1)
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			c, k := sealing(t)
			text := test.change(t, c, k, saved(t, c, keyOne))
			if err := os.WriteFile(filepath.Join(c.Dir, "tegata-"+string(keyOne)+".json"), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			if got, err := c.Read(t.Context(), keyOne); !errors.Is(err, tokencache.ErrAbsent) {
				t.Errorf("got %+v, %v, want ErrAbsent", got, err)
			}
			if entries, err := c.List(t.Context()); err != nil || len(entries) > 1 {
				t.Errorf("got the list %+v, %v", entries, err)
			}
			saved(t, c, keyOne)
			if got, err := c.Read(t.Context(), keyOne); err != nil || got != sealed(tokens()) {
				t.Errorf("after the repair: got %+v, %v", got, err)
			}
		})
	}
}

func TestKeyringThatCannotBeUsed(t *testing.T) {
	c, k := sealing(t)
	text := saved(t, c, keyOne)
	k.gone = errors.New("it is locked")
	plain := c
	plain.Seal = false
	if err := plain.Save(t.Context(), keyTwo, tokens()); err != nil {
		t.Fatal(err)
	}
	for name, act := range map[string]func() error{
		"read":  func() error { _, err := c.Read(t.Context(), keyOne); return err },
		"save":  func() error { return c.Save(t.Context(), keyOne, tokens()) },
		"probe": func() error { return c.ProbeKeyring(t.Context()) },
		"list": func() error {
			entries, err := c.List(t.Context())
			if len(entries) != 1 || entries[0].Key != keyTwo {
				t.Errorf("got the list %+v, want the entry in the clear", entries)
			}
			return err
		},
	} {
		if err := act(); !errors.Is(err, tokencache.ErrKeyring) || err.Error() != "the keyring cannot be used: it is locked" {
			t.Errorf("%s: got %v", name, err)
		}
	}
	if after, err := os.ReadFile(filepath.Join(c.Dir, "tegata-"+string(keyOne)+".json")); err != nil || string(after) != text {
		t.Errorf("the entry was changed (%v)", err)
	}
	// Somebody who ends the wait does not hear that the keyring is no good.
	k.gone = context.Canceled
	if err := c.Save(t.Context(), keyOne, tokens()); !errors.Is(err, context.Canceled) || errors.Is(err, tokencache.ErrKeyring) {
		t.Errorf("after an interrupt: got %v", err)
	}
	k.gone = nil
	if got, err := c.Read(t.Context(), keyOne); err != nil || got != sealed(tokens()) {
		t.Errorf("when it is there again: got %+v, %v", got, err)
	}
	// Without any keyring a sealed entry is of no use.
	c.Keyring = nil
	if _, err := c.Read(t.Context(), keyOne); !errors.Is(err, tokencache.ErrAbsent) {
		t.Errorf("without a keyring: got %v", err)
	}
}

func TestProcessesMakeOneKey(t *testing.T) {
	c, k := sealing(t)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			if err := c.ProbeKeyring(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if k.sets != 1 {
		t.Errorf("%d keys were made, want 1", k.sets)
	}
}

// Two names of one directory are one key, two directories are two. A keyring
// takes text alone.
func TestKeyBelongsToTheDirectory(t *testing.T) {
	k := newKeyring()
	dir := t.TempDir()
	link := filepath.Join(t.TempDir(), "link")
	odd := filepath.Join(t.TempDir(), "a\nb\xff")
	if err := errors.Join(os.Symlink(dir, link), os.Mkdir(odd, 0o700)); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{dir, link, filepath.Join(dir, ".")} {
		saved(t, tokencache.Cache{Dir: dir, Keyring: k, Seal: true}, keyOne)
	}
	saved(t, tokencache.Cache{Dir: odd, Keyring: k, Seal: true}, keyOne)
	if k.sets != 2 {
		t.Errorf("got keys for %v, want two", maps.Keys(k.texts))
	}
	for name := range k.texts {
		if !utf8.ValidString(name) || strings.Contains(name, "\n") {
			t.Errorf("%q is no text", name)
		}
	}
}

func TestCleanTakesTheKeyToo(t *testing.T) {
	c, k := sealing(t)
	saved(t, c, keyOne)
	k.texts["somebody else's"] = secret.New("text")
	paths := func(cleaned []tokencache.Cleaned) (paths []string) {
		for _, one := range cleaned {
			name := filepath.Base(one.Path)
			if one.Path == "" {
				name = "key"
			}
			switch {
			case one.HeldBy != 0:
				name += " held"
			case one.Err != nil:
				name += " kept"
			}
			paths = append(paths, name)
		}
		return paths
	}
	clean := func(dry bool, want ...string) {
		t.Helper()
		cleaned, err := c.Clean(t.Context(), dry)
		if got := strings.Join(paths(cleaned), "\n"); err != nil || got != strings.Join(want, "\n") {
			t.Errorf("got %q, %v, want %q", got, err, want)
		}
	}
	entry, lock := "tegata-"+string(keyOne)+".json", "tegata-keyring.lock"

	// A dry run asks nobody.
	k.asked = 0
	clean(true, entry, "key", lock)
	if k.asked > 0 || len(k.texts) != 2 {
		t.Errorf("a dry run asked the keyring %d times", k.asked)
	}

	// A renewal is about to use the key.
	unlock, err := c.Lock(t.Context(), keyOne, nil)
	if err != nil {
		t.Fatal(err)
	}
	clean(false, entry+" held", "tegata-"+string(keyOne)+".lock held", "key held")
	unlock()

	// Without the keyring the files go, and the next time it is tried again.
	k.gone = errors.New("it is locked")
	clean(false, entry, "tegata-"+string(keyOne)+".lock", "key kept")
	k.gone = nil
	clean(false, "key", lock)
	if _, kept := k.texts["somebody else's"]; !kept || len(k.texts) != 1 {
		t.Errorf("left in the keyring: %v", maps.Keys(k.texts))
	}
	k.asked = 0
	clean(false)
	if k.asked > 0 || names(t, c.Dir) != nil {
		t.Errorf("the keyring was asked %d times, left: %q", k.asked, names(t, c.Dir))
	}
}

func TestMissedKeyringIsRemembered(t *testing.T) {
	c := tokencache.Cache{Dir: t.TempDir()}
	want := tokens()
	want.KeyringMissed = time.Unix(1700000000, 0)
	if err := c.Save(t.Context(), keyOne, want); err != nil {
		t.Fatal(err)
	}
	if got, err := c.Read(t.Context(), keyOne); err != nil || got != want {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
}

// Nothing but what was sealed under this key for this entry opens.
func FuzzSealed(f *testing.F) {
	dir := f.TempDir()
	c := tokencache.Cache{Dir: dir, Keyring: newKeyring(), Seal: true}
	path := filepath.Join(dir, "tegata-"+string(keyOne)+".json")
	for _, key := range []tokencache.Key{keyTwo, keyOne} {
		if err := c.Save(f.Context(), key, tokens()); err != nil {
			f.Fatal(err)
		}
	}
	box, err := os.ReadFile(path)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(box)
	f.Add(box[:len(box)-10])
	for _, seed := range []string{`{"version":1,"sealed":""}`, `{"version":1,"sealed":"AAAA","id_token":"a"}`, `{"version":1,"sealed":1}`, `{"sealed":"A","version":1}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := c.Read(t.Context(), keyOne)
		switch {
		case err != nil && !errors.Is(err, tokencache.ErrAbsent):
			t.Errorf("%q: %v", text, err)
		case got.Sealed && got != sealed(tokens()):
			t.Errorf("%q opened to %+v", text, got)
		}
	})
}
