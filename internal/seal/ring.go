// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package seal

import "fmt"

// Ring is a key that seals and, behind it, older ones that open what was
// sealed before the key was changed. It prints as [redacted].
type Ring struct{ keys []Key }

// NewRing makes a ring whose first key seals.
func NewRing(first Key, older ...Key) Ring { return Ring{append([]Key{first}, older...)} }

// Len is how many keys there are.
func (r Ring) Len() int { return len(r.keys) }

// Format keeps the keys out of every message.
func (r Ring) Format(f fmt.State, _ rune) { f.Write([]byte("[redacted]")) }

// Seal encrypts plain for context with the first key.
func (r Ring) Seal(plain []byte, context string) string { return r.keys[0].Seal(plain, context) }

// Open decrypts a box with the key that it was sealed with, or returns
// [ErrNotOurs].
func (r Ring) Open(box, context string) ([]byte, error) {
	for _, key := range r.keys {
		if plain, err := key.Open(box, context); err == nil {
			return plain, nil
		}
	}
	return nil, ErrNotOurs
}

// Reseal seals the content of a box anew with the first key. A box that was
// sealed with it comes back as it is.
func (r Ring) Reseal(box, context string) (string, error) {
	if _, err := r.keys[0].Open(box, context); err == nil {
		return box, nil
	}
	plain, err := r.Open(box, context)
	if err != nil {
		return "", err
	}
	return r.Seal(plain, context), nil
}
