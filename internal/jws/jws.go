// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

// Package jws reads and writes JSON Web Signatures in the compact form (RFC
// 7515, section 7.1), with the algorithms that an API server accepts: RS, PS
// and ES, in three sizes each (RFC 7518, section 3.1).
//
//	jws.go      a signed text: read, then verified under one key
//	key.go      public keys and key sets               RFC 7517
//	sign.go     private keys, as PEM or JWK; signing
//	members.go  JSON and base64url, read strictly
//
// It is a leaf over crypto/... of the standard library: each signature is
// made and checked there, and only the envelope is ours. What it does not
// have is on purpose: no encryption, no symmetric algorithm, no "none", no
// key that comes along in a header. Where a specification leaves a reader
// the choice to be lenient, this one is not; record 9 in docs/adr says why
// the plugin does not use a library here, and what holds it to one.
//
// It is for the package login. A provider has more to do with keys, and
// leaves it to a library.
package jws

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	_ "crypto/sha256" // crypto.SHA256
	_ "crypto/sha512" // crypto.SHA384 and crypto.SHA512
	"errors"
	"fmt"
	"math/big"
	"strings"
)

// Limits of what is read. An API server reads no request header of more than
// a mebibyte, and so no longer token.
const (
	maxSigned = 1 << 20
	maxHeader = 32 << 10
)

// Signed is a text with its signature, which nobody has checked yet.
type Signed struct {
	Algorithm string // one of the nine
	KeyID     string // of the key that is said to have signed it; may be empty

	input     string // what is signed: header and payload, as they came
	payload   []byte
	signature []byte
}

// Parse reads a JWS in its compact form (RFC 7515, section 5.2). No part of
// the text stands in an error, but for the name of an algorithm.
func Parse(text string) (Signed, error) {
	// 1. Three parts, of a size that somebody could need.
	if len(text) > maxSigned {
		return Signed{}, fmt.Errorf("it has more than %d bytes", maxSigned)
	}
	parts := strings.SplitN(text, ".", 6)
	if len(parts) != 3 {
		return Signed{}, errors.New("it has not the three parts of a signed token")
	}
	if len(parts[0]) > maxHeader {
		return Signed{}, fmt.Errorf("its header has more than %d bytes", maxHeader)
	}
	s := Signed{input: text[:len(parts[0])+1+len(parts[1])]}
	header, err := decode(parts[0])
	if err == nil {
		s.payload, err = decode(parts[1])
	}
	if err == nil {
		s.signature, err = decode(parts[2])
	}
	if err != nil {
		return Signed{}, err
	}

	// 2. The header. A key in it (jwk, jku, x5c, x5u) is not looked at: it is
	// the word of whoever made the text.
	m, err := readMembers(header)
	if err != nil {
		return Signed{}, fmt.Errorf("its header %w", err)
	}
	for _, name := range []string{"crit", "b64"} {
		// Section 4.1.11: whoever does not understand an extension must refuse.
		// RFC 7797, section 7: the one with a name of its own is not for tokens.
		if _, ok := m[name]; ok {
			return Signed{}, errors.New("its header asks for an extension")
		}
	}
	if s.Algorithm, err = m.text("alg"); err == nil {
		s.KeyID, err = m.text("kid")
	}
	if err != nil {
		return Signed{}, fmt.Errorf("its header %w", err)
	}
	if _, ok := schemeOf(s.Algorithm); !ok {
		return Signed{}, fmt.Errorf("it is signed with %.20q, which no API server accepts", s.Algorithm)
	}
	return s, nil
}

// Verify returns the payload if the key made the signature. It is the only
// way to get at the payload.
func (s Signed) Verify(key Key) ([]byte, error) {
	scheme, ok := schemeOf(s.Algorithm)
	if !ok || !key.Fits(s.Algorithm) {
		return nil, errors.New("the key is not for this algorithm")
	}
	if !scheme.verify(key.public, scheme.digest(s.input), s.signature) {
		return nil, errors.New("the signature is wrong")
	}
	return s.payload, nil
}

// A scheme is what an algorithm's name stands for (RFC 7518, section 3.1).
type scheme struct {
	hash  crypto.Hash
	curve elliptic.Curve // nil for RSA
	pss   bool
}

func schemeOf(algorithm string) (s scheme, ok bool) {
	switch algorithm {
	case "RS256":
		return scheme{hash: crypto.SHA256}, true
	case "RS384":
		return scheme{hash: crypto.SHA384}, true
	case "RS512":
		return scheme{hash: crypto.SHA512}, true
	case "PS256":
		return scheme{hash: crypto.SHA256, pss: true}, true
	case "PS384":
		return scheme{hash: crypto.SHA384, pss: true}, true
	case "PS512":
		return scheme{hash: crypto.SHA512, pss: true}, true
	case "ES256":
		return scheme{hash: crypto.SHA256, curve: elliptic.P256()}, true
	case "ES384":
		return scheme{hash: crypto.SHA384, curve: elliptic.P384()}, true
	case "ES512":
		return scheme{hash: crypto.SHA512, curve: elliptic.P521()}, true
	}
	return scheme{}, false
}

func (s scheme) digest(input string) []byte {
	h := s.hash.New()
	h.Write([]byte(input))
	return h.Sum(nil)
}

func (s scheme) verify(public crypto.PublicKey, digest, signature []byte) bool {
	switch key := public.(type) {
	case *rsa.PublicKey:
		if s.pss {
			// Section 3.5: the salt is as long as the hash.
			options := &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash}
			return rsa.VerifyPSS(key, s.hash, digest, signature, options) == nil
		}
		return rsa.VerifyPKCS1v15(key, s.hash, digest, signature) == nil
	case *ecdsa.PublicKey:
		// Section 3.4: R and S, each as long as a coordinate.
		size := coordinateSize(key.Curve)
		if len(signature) != 2*size {
			return false
		}
		r, s := new(big.Int).SetBytes(signature[:size]), new(big.Int).SetBytes(signature[size:])
		return ecdsa.Verify(key, digest, r, s)
	}
	return false
}

func coordinateSize(curve elliptic.Curve) int { return (curve.Params().BitSize + 7) / 8 }
