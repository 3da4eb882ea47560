// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package jws

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/big"
	"slices"
)

// Limits of an RSA key. RFC 7518, section 3.3: 2048 bits or more. What is
// above 8192 crypto/tls refuses as well, since it is only good for making a
// verifier work.
const (
	minModulus = 2048
	maxModulus = 8192
)

// maxKeys limits what is read of keys: far above the largest key set.
const maxKeys = 1 << 20

// Key is a public key that verifies signatures.
type Key struct {
	ID string // may be empty

	algorithm string           // the only one that it is for; empty if it does not say
	public    crypto.PublicKey // *rsa.PublicKey or *ecdsa.PublicKey
}

// Fits reports whether signatures with the algorithm can be this key's: by
// its kind, by its curve and by its own word (RFC 7517, section 4.4). A text
// that chooses the algorithm cannot choose what is done with the key.
func (k Key) Fits(algorithm string) bool {
	s, ok := schemeOf(algorithm)
	if !ok || k.algorithm != "" && k.algorithm != algorithm {
		return false
	}
	switch public := k.public.(type) {
	case *rsa.PublicKey:
		return s.curve == nil
	case *ecdsa.PublicKey:
		return s.curve == public.Curve
	}
	return false
}

// ParseKeySet reads the keys of a JWK Set that verify signatures. Others are
// passed over: they may be for others, or of a kind that is newer than this
// reader (RFC 7517, section 5).
func ParseKeySet(text []byte) ([]Key, error) {
	if len(text) > maxKeys {
		return nil, fmt.Errorf("the key set has more than %d bytes", maxKeys)
	}
	m, err := readMembers(text)
	if err != nil {
		return nil, fmt.Errorf("the key set %w", err)
	}
	var list []json.RawMessage
	if json.Unmarshal(m["keys"], &list) != nil || list == nil {
		return nil, errors.New("the key set has no list of keys")
	}
	var keys []Key
	for _, text := range list {
		if key, err := ParseKey(text); err == nil {
			keys = append(keys, key)
		}
	}
	return keys, nil
}

// ParseKey reads a public key in the form of a JWK.
func ParseKey(text []byte) (Key, error) {
	m, err := readKey(text, "verify")
	if err != nil {
		return Key{}, err
	}
	for _, name := range []string{"d", "p", "q", "dp", "dq", "qi", "oth", "k"} {
		if _, ok := m[name]; ok {
			return Key{}, errors.New("the key is not public")
		}
	}
	return m.public()
}

// readKey reads the members of a JWK that is for the operation.
func readKey(text []byte, operation string) (members, error) {
	if len(text) > maxKeys {
		return nil, fmt.Errorf("the key has more than %d bytes", maxKeys)
	}
	m, err := readMembers(text)
	if err != nil {
		return nil, fmt.Errorf("the key %w", err)
	}
	// Some providers write null for what a key does not have.
	maps.DeleteFunc(m, func(_ string, value json.RawMessage) bool { return string(value) == "null" })
	// RFC 7517, sections 4.2 and 4.3.
	use, err := m.text("use")
	if err != nil {
		return nil, fmt.Errorf("the key %w", err)
	}
	if _, ok := m["use"]; ok && use != "sig" {
		return nil, errors.New("the key is not for signatures")
	}
	if value, ok := m["key_ops"]; ok {
		var operations []string
		if json.Unmarshal(value, &operations) != nil || !slices.Contains(operations, operation) {
			return nil, fmt.Errorf("the key is not to %s with", operation)
		}
	}
	return m, nil
}

// public is the public part of a JWK (RFC 7518, section 6).
func (m members) public() (Key, error) {
	var k Key
	kind, err := m.text("kty")
	if err == nil {
		k.ID, err = m.text("kid")
	}
	if err == nil {
		k.algorithm, err = m.text("alg")
	}
	if err == nil {
		switch kind {
		case "RSA":
			k.public, err = m.rsa()
		case "EC":
			k.public, err = m.ec()
		default:
			err = errors.New("is of a kind that is not known here")
		}
	}
	if err != nil {
		return Key{}, fmt.Errorf("the key %w", err)
	}
	if k.algorithm != "" && !k.Fits(k.algorithm) {
		return Key{}, errors.New("the key says that it is for another algorithm")
	}
	return k, nil
}

func (m members) rsa() (*rsa.PublicKey, error) {
	n, err := m.bytes("n")
	if err != nil {
		return nil, err
	}
	e, err := m.bytes("e")
	if err != nil {
		return nil, err
	}
	return checkRSA(new(big.Int).SetBytes(n), new(big.Int).SetBytes(e))
}

// checkRSA makes a key of modulus and exponent.
func checkRSA(n, e *big.Int) (*rsa.PublicKey, error) {
	switch {
	case n.BitLen() < minModulus:
		return nil, fmt.Errorf("has only %d bits", n.BitLen())
	case n.BitLen() > maxModulus:
		return nil, fmt.Errorf("has more than %d bits", maxModulus)
	case n.Bit(0) == 0:
		return nil, errors.New("has an even modulus")
	case e.BitLen() < 2 || e.BitLen() > 31 || e.Bit(0) == 0:
		return nil, errors.New("has an exponent that is even, or not between 3 and 2147483647")
	}
	return &rsa.PublicKey{N: n, E: int(e.Int64())}, nil
}

func (m members) ec() (*ecdsa.PublicKey, error) {
	curve, err := m.curve()
	if err != nil {
		return nil, err
	}
	x, err := m.bytes("x")
	if err != nil {
		return nil, err
	}
	y, err := m.bytes("y")
	if err != nil {
		return nil, err
	}
	// RFC 7518, section 6.2.1: each coordinate has its full size.
	if size := coordinateSize(curve); len(x) != size || len(y) != size {
		return nil, errors.New("has coordinates of another size than its curve")
	}
	public, err := ecdsa.ParseUncompressedPublicKey(curve, slices.Concat([]byte{4}, x, y))
	if err != nil {
		return nil, errors.New("is no point on its curve")
	}
	return public, nil
}

func (m members) curve() (elliptic.Curve, error) {
	name, err := m.text("crv")
	switch name {
	case "P-256":
		return elliptic.P256(), nil
	case "P-384":
		return elliptic.P384(), nil
	case "P-521":
		return elliptic.P521(), nil
	}
	if err == nil {
		err = errors.New("is on a curve that is not known here")
	}
	return nil, err
}
