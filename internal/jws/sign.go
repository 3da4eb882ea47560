// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package jws

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"math/big"
)

// PrivateKey signs.
type PrivateKey struct {
	Key                  // what verifies; its algorithm is never empty here
	signer crypto.Signer // *rsa.PrivateKey or *ecdsa.PrivateKey
}

var (
	errNoPrivateJWK = errors.New("it holds no private key in the form of a JWK")
	errKind         = errors.New("it is neither RSA of at least 2048 bits nor ECDSA on P-256, P-384 or P-521")
)

// ParsePrivateKey reads a private key, in PEM or as a JWK. It signs with the
// algorithm that a JWK names, otherwise with RS256 or that of its curve. An
// error repeats nothing of the text, which may hold the key.
func ParsePrivateKey(text []byte) (*PrivateKey, error) {
	parse := parsePEM
	if bytes.HasPrefix(bytes.TrimSpace(text), []byte("{")) {
		parse = parsePrivateJWK
	}
	k, err := parse(text)
	if err != nil {
		return nil, err
	}
	for _, algorithm := range []string{"RS256", "ES256", "ES384", "ES512"} {
		if k.algorithm == "" && k.Fits(algorithm) {
			k.algorithm = algorithm
		}
	}
	if k.algorithm == "" {
		return nil, errKind
	}
	return k, nil
}

func parsePrivateJWK(text []byte) (*PrivateKey, error) {
	m, err := readKey(text, "sign")
	if err != nil {
		return nil, errNoPrivateJWK
	}
	public, err := m.public()
	if err != nil {
		return nil, errKind
	}
	var signer crypto.Signer
	switch key := public.public.(type) {
	case *rsa.PublicKey:
		signer, err = m.privateRSA(key)
	case *ecdsa.PublicKey:
		signer, err = m.privateEC(key)
	}
	if err != nil {
		return nil, errNoPrivateJWK
	}
	return &PrivateKey{public, signer}, nil
}

// privateRSA reads what RFC 7518, section 6.3.2, adds to a public key. dp, dq
// and qi are computed, so that nobody has to check them.
func (m members) privateRSA(public *rsa.PublicKey) (*rsa.PrivateKey, error) {
	d, errD := m.bytes("d")
	p, errP := m.bytes("p")
	q, errQ := m.bytes("q")
	if err := errors.Join(errD, errP, errQ); err != nil {
		return nil, err
	}
	if _, more := m["oth"]; more || len(p)+len(q) > maxModulus/8+2 || len(d) > maxModulus/8+1 {
		return nil, errNoPrivateJWK
	}
	number := func(text []byte) *big.Int { return new(big.Int).SetBytes(text) }
	private := &rsa.PrivateKey{PublicKey: *public, D: number(d), Primes: []*big.Int{number(p), number(q)}}
	private.Precompute()
	return private, private.Validate()
}

func (m members) privateEC(public *ecdsa.PublicKey) (*ecdsa.PrivateKey, error) {
	d, err := m.bytes("d")
	if err != nil {
		return nil, err
	}
	private, err := ecdsa.ParseRawPrivateKey(public.Curve, d)
	if err != nil {
		return nil, err
	}
	if !private.PublicKey.Equal(public) {
		return nil, errNoPrivateJWK
	}
	return private, nil
}

func parsePEM(text []byte) (*PrivateKey, error) {
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, errors.New("it holds neither PEM nor a JWK")
	}
	key, err := parseDER(block.Bytes)
	if err != nil {
		return nil, errors.New("it holds no private key that can be read; one with a passphrase cannot")
	}
	switch key := key.(type) {
	case *rsa.PrivateKey:
		if _, err := checkRSA(key.N, big.NewInt(int64(key.E))); err == nil {
			return &PrivateKey{Key{public: &key.PublicKey}, key}, nil
		}
	case *ecdsa.PrivateKey:
		return &PrivateKey{Key{public: &key.PublicKey}, key}, nil
	}
	return nil, errKind
}

// parseDER tries the three forms in which a private key is found in PEM.
func parseDER(der []byte) (any, error) {
	if key, err := x509.ParsePKCS8PrivateKey(der); err == nil {
		return key, nil
	}
	if key, err := x509.ParsePKCS1PrivateKey(der); err == nil {
		return key, nil
	}
	return x509.ParseECPrivateKey(der)
}

// Sign makes a JWS in its compact form. kind is its typ (RFC 7515, section
// 4.1.9), and its kid is that of the key.
func (k *PrivateKey) Sign(kind string, payload []byte) (string, error) {
	header, err := json.Marshal(struct {
		Algorithm string `json:"alg"`
		KeyID     string `json:"kid,omitempty"`
		Type      string `json:"typ,omitempty"`
	}{k.algorithm, k.ID, kind})
	if err != nil {
		return "", err
	}
	s, ok := schemeOf(k.algorithm)
	if !ok {
		return "", errKind
	}
	input := encode(header) + "." + encode(payload)
	signature, err := s.sign(k.signer, s.digest(input))
	if err != nil {
		return "", err
	}
	return input + "." + encode(signature), nil
}

func (s scheme) sign(signer crypto.Signer, digest []byte) ([]byte, error) {
	if key, ok := signer.(*ecdsa.PrivateKey); ok {
		r, s, err := ecdsa.Sign(rand.Reader, key, digest)
		if err != nil {
			return nil, err
		}
		size := coordinateSize(key.Curve)
		signature := make([]byte, 2*size)
		r.FillBytes(signature[:size])
		s.FillBytes(signature[size:])
		return signature, nil
	}
	if s.pss {
		return signer.Sign(rand.Reader, digest, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: s.hash})
	}
	return signer.Sign(rand.Reader, digest, s.hash)
}
