// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package tokencache

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"unicode"

	"github.com/tegata/tegata/internal/secret"
)

// ErrKeyring says that the keyring cannot be used now. Why stands behind it.
var ErrKeyring = errors.New("the keyring cannot be used")

// Keyring keeps one short text under a name, where the operating system guards
// it. An error means that it cannot be used now. The calls of one process are
// not concurrent, those of several processes are.
type Keyring interface {
	// Get returns the text; the zero one if there is none.
	Get(ctx context.Context, name string) (secret.String, error)
	Set(ctx context.Context, name string, value secret.String) error
	// Delete is done if there is none.
	Delete(ctx context.Context, name string) error
}

// sealSize is the size of the sealing key in bytes: AES-256.
const sealSize = 32

// sealUse is what each box is bound to beside its entry's key. Another
// version of it opens none of the boxes of this one.
const sealUse = "tegata token cache entry 1 "

// encoding is that of the key in the keyring and of the boxes. A box that was
// changed in any bit must not open.
var encoding = base64.RawStdEncoding.Strict()

// seal writes a sealed entry, in JSON:
//
//	{"version":1,"sealed":"BASE64"}
//
// It is AES-256-GCM with a random nonce in front. A nonce of 96 bits can be
// random for four thousand million boxes of one key (NIST SP 800-38D, section
// 8.3); a login takes one each time that it is renewed. The additional data
// bind the box to its entry: a file that was copied over another one is absent.
func (c Cache) seal(ctx context.Context, key Key, text []byte) ([]byte, error) {
	aead, err := c.sealingKey(ctx, true)
	if err != nil {
		return nil, err
	}
	box := aead.Seal(nil, nil, text, []byte(sealUse+string(key)))
	return fmt.Appendf(nil, "{\"version\":%d,\"sealed\":\"%s\"}\n", entryVersion, encoding.EncodeToString(box)), nil
}

// open reads what was sealed. What this key did not seal for this entry is
// absent: it is of another machine, of another key, or broken.
func (c Cache) open(ctx context.Context, key Key, sealed string) (Tokens, error) {
	box, err := encoding.DecodeString(sealed)
	if err != nil {
		return Tokens{}, ErrAbsent
	}
	aead, err := c.sealingKey(ctx, false)
	if err != nil {
		return Tokens{}, err
	}
	text, err := aead.Open(nil, nil, box, []byte(sealUse+string(key)))
	if err != nil {
		return Tokens{}, ErrAbsent
	}
	entry, err := parseEntry(text)
	if err != nil || entry.sealed != "" {
		return Tokens{}, ErrAbsent
	}
	entry.tokens.Sealed = true
	return entry.tokens, nil
}

// ProbeKeyring tells whether an entry could be sealed now, if it is to be, and
// makes the key if there is none.
func (c Cache) ProbeKeyring(ctx context.Context) error {
	if c.Dir == "" || !c.Seal {
		return nil
	}
	_, err := c.sealingKey(ctx, true)
	return err
}

// sealingKey asks the keyring for the key of this directory: [ErrAbsent] if
// there is none and none is to be made.
func (c Cache) sealingKey(ctx context.Context, create bool) (cipher.AEAD, error) {
	if c.Keyring == nil {
		return nil, ErrAbsent
	}
	name := c.keyName()
	aead, err := c.keyringKey(ctx, name)
	if !create || !errors.Is(err, ErrAbsent) {
		return aead, err
	}
	// Two processes must not make two keys, of which the keyring would keep one.
	unlock, err := c.lock(ctx, c.keyringLock(), func(int) {})
	if err != nil {
		return nil, err
	}
	defer unlock()
	if aead, err = c.keyringKey(ctx, name); !errors.Is(err, ErrAbsent) {
		return aead, err
	}
	raw := make([]byte, sealSize)
	rand.Read(raw) //nolint:errcheck // never fails: the program crashes instead
	if err := c.Keyring.Set(ctx, name, secret.New(encoding.EncodeToString(raw))); err != nil {
		return nil, keyringError(err)
	}
	return newAEAD(raw)
}

// keyringKey asks once. A text that is no key is as good as none.
func (c Cache) keyringKey(ctx context.Context, name string) (cipher.AEAD, error) {
	text, err := c.Keyring.Get(ctx, name)
	if err != nil {
		return nil, keyringError(err)
	}
	raw, err := encoding.DecodeString(text.Reveal())
	if err != nil || len(raw) != sealSize {
		return nil, ErrAbsent
	}
	return newAEAD(raw)
}

func newAEAD(raw []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(raw)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithRandomNonce(block)
}

// keyringError makes an error [ErrKeyring], unless somebody ended the wait.
func keyringError(err error) error {
	if errors.Is(err, context.Canceled) {
		return err
	}
	return fmt.Errorf("%w: %w", ErrKeyring, err)
}

// keyName is the name of the key in the keyring: the directory, so that the
// owner of the keyring sees what it is for, and so that cleaning one directory
// leaves the logins of another one readable. Keyrings take no odd characters.
func (c Cache) keyName() string {
	dir, err := filepath.Abs(c.Dir)
	if err != nil {
		dir = c.Dir
	}
	if real, err := filepath.EvalSymlinks(dir); err == nil {
		dir = real
	}
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return unicode.ReplacementChar
	}, dir)
}

func (c Cache) keyringLock() string { return filepath.Join(c.Dir, keyringLockName) }
