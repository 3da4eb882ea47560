// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

// Package signingkey is the custody and rotation of an issuer's signing keys:
// it makes them, keeps their private halves sealed, signs with them,
// publishes the key set (JWKS, RFC 7517) and replaces them by age.
//
//   - schedule.go: when keys change, as a function of the keys and the clock
//   - custody.go: a person looks at the keys, rotates and revokes them
//   - keyset.go: the keys in the memory of a server, which follow the storage
//
// Every issuer has keys for each of [Algorithms]; all are published, and
// each client may choose the one of its ID tokens. Nothing but this package
// sees a private key.
package signingkey

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"slices"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// The algorithms (RFC 7518, section 3.1). RS256 is what every API server
// accepts; ES256 costs a twenty-fifth of the CPU.
const (
	RS256 = string(jose.RS256)
	ES256 = string(jose.ES256)
)

// Algorithms lists the algorithms for which each issuer has a key.
func Algorithms() []string { return []string{RS256, ES256} }

// CheckAlgorithm tells why ID tokens cannot be signed so, or returns nil.
func CheckAlgorithm(alg string) error {
	if !slices.Contains(Algorithms(), alg) {
		return fmt.Errorf("unknown signing algorithm %q; RS256 and ES256 are offered, EdDSA is refused by API servers", alg)
	}
	return nil
}

// Record is a signing key as it is kept.
type Record struct {
	ID            string // RFC 7638 thumbprint
	Algorithm     string
	Generation    int    // counts the keys of the algorithm; of those that may sign, the last does
	SealedPrivate string // PKCS #8, sealed for [Context]; empty once it is revoked
	PublishedAt   time.Time
	SignsFrom     time.Time
	RevokedAt     time.Time // zero unless it is
}

// Context is what the private half of a key is sealed for.
func Context(id string) string { return "signing key " + id }

// Storage keeps the keys of one issuer.
type Storage interface {
	// SigningKeys returns all that were not removed, by algorithm and
	// generation.
	SigningKeys(ctx context.Context) ([]Record, error)
	// ChangeSigningKeys carries out a change as [Apply] does, as one.
	ChangeSigningKeys(ctx context.Context, change Change) error
}

// Sealer seals private keys; it is a [seal.Key] or a [seal.Ring].
type Sealer interface {
	Seal(plain []byte, context string) string
	Open(box, context string) ([]byte, error)
}

// generate makes the key that a record of a plan stands for.
func generate(record Record, sealer Sealer) (Record, error) {
	for {
		var private crypto.Signer
		var err error
		switch record.Algorithm {
		case RS256:
			private, err = rsa.GenerateKey(rand.Reader, 2048)
		case ES256:
			private, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		default:
			err = CheckAlgorithm(record.Algorithm)
		}
		if err != nil {
			return Record{}, err
		}
		pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
		if err != nil {
			return Record{}, err
		}
		jwk := jose.JSONWebKey{Key: private.Public()}
		thumbprint, err := jwk.Thumbprint(crypto.SHA256)
		if err != nil {
			return Record{}, err
		}
		record.ID = base64.RawURLEncoding.EncodeToString(thumbprint)
		if record.ID[0] == '-' {
			continue // a person types the ID, and a command would take it for a flag
		}
		record.SealedPrivate = sealer.Seal(pkcs8, Context(record.ID))
		return record, nil
	}
}

func unseal(record Record, sealer Sealer) (crypto.Signer, error) {
	pkcs8, err := sealer.Open(record.SealedPrivate, Context(record.ID))
	if err != nil {
		return nil, err
	}
	private, err := x509.ParsePKCS8PrivateKey(pkcs8)
	if err != nil {
		return nil, fmt.Errorf("parsing PKCS #8: %w", err)
	}
	signer, ok := private.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("a key of type %T", private)
	}
	return signer, nil
}
