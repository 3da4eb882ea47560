// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

// Package seal encrypts what rests on a disk or travels through a browser:
// signing keys, the secrets of an issuer, a pending login.
//
// A sealed box is XChaCha20-Poly1305 with a random nonce, so one key may seal
// without counting. Each use derives a key of its own by naming a purpose, and
// each box is bound to a context, so that a box made for one place does not
// open in another. This is a leaf package; anything that holds a key may
// import it.
package seal

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"

	"golang.org/x/crypto/chacha20poly1305"
)

// KeySize is the size of a key in bytes.
const KeySize = 32

// ErrNotOurs means that a box was not made with this key and context, or was
// changed since.
var ErrNotOurs = errors.New("this was not sealed with the key at hand")

// Key seals, opens and authenticates. It prints as [redacted].
type Key struct{ raw [KeySize]byte }

// NewKey makes a key of 32 bytes.
func NewKey(raw []byte) (Key, error) {
	if len(raw) != KeySize {
		return Key{}, fmt.Errorf("a key has %d bytes, this has %d", KeySize, len(raw))
	}
	return Key{[KeySize]byte(raw)}, nil
}

// RandomKey makes a new key.
func RandomKey() Key {
	var k Key
	rand.Read(k.raw[:]) // never fails: crypto/rand.Read crashes the program instead
	return k
}

// Bytes returns the key itself, to be sealed or to be written to a key file.
func (k Key) Bytes() []byte { return k.raw[:] }

// Format keeps the key out of every message.
func (k Key) Format(f fmt.State, _ rune) { f.Write([]byte("[redacted]")) }

// Derive makes the key for one purpose (RFC 5869, HKDF with SHA-256).
func (k Key) Derive(purpose string) Key {
	raw, err := hkdf.Expand(sha256.New, k.raw[:], "tegata "+purpose, KeySize)
	if err != nil {
		panic(err) // only for a length that SHA-256 cannot give
	}
	return Key{[KeySize]byte(raw)}
}

// Seal encrypts plain for context, as base64url text.
func (k Key) Seal(plain []byte, context string) string {
	aead, err := chacha20poly1305.NewX(k.raw[:])
	if err != nil {
		panic(err) // only for a key of the wrong size
	}
	box := make([]byte, aead.NonceSize(), aead.NonceSize()+len(plain)+aead.Overhead())
	rand.Read(box)
	return base64.RawURLEncoding.EncodeToString(aead.Seal(box, box, plain, []byte(context)))
}

// Open decrypts a box, or returns [ErrNotOurs].
func (k Key) Open(box, context string) ([]byte, error) {
	raw, err := base64.RawURLEncoding.Strict().DecodeString(box)
	if err != nil || len(raw) < chacha20poly1305.NonceSizeX {
		return nil, ErrNotOurs
	}
	aead, err := chacha20poly1305.NewX(k.raw[:])
	if err != nil {
		panic(err)
	}
	nonce, ciphertext := raw[:aead.NonceSize()], raw[aead.NonceSize():]
	plain, err := aead.Open(nil, nonce, ciphertext, []byte(context))
	if err != nil {
		return nil, ErrNotOurs
	}
	return plain, nil
}

// MAC authenticates a list of texts (HMAC-SHA-256). Lengths are part of it,
// so that no two lists run together into the same bytes.
func (k Key) MAC(parts ...string) []byte {
	mac := hmac.New(sha256.New, k.raw[:])
	for _, part := range parts {
		mac.Write(binary.BigEndian.AppendUint64(nil, uint64(len(part))))
		mac.Write([]byte(part))
	}
	return mac.Sum(nil)
}
