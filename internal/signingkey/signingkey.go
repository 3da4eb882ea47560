// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

// Package signingkey is the custody of an issuer's signing keys: it makes
// them on first start, keeps their private halves sealed, signs with them and
// publishes the key set (JWKS, RFC 7517).
//
// Every issuer has a key for each of [Algorithms]; both are published, and
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
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/tegata/tegata/internal/seal"
	"github.com/tegata/tegata/internal/secret"
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
	SealedPrivate string // PKCS #8, sealed for the context "signing key " + ID
	CreatedAt     time.Time
}

// Storage keeps the keys of one issuer.
type Storage interface {
	SigningKeys(ctx context.Context) ([]Record, error)
	// AddSigningKey keeps the key unless the issuer has one for the
	// algorithm; two servers that start at once must agree on one.
	AddSigningKey(ctx context.Context, key Record) error
}

// KeySet is the signing keys of one issuer, unsealed in memory. It is safe
// for concurrent use.
type KeySet struct {
	private map[string]jose.JSONWebKey // by algorithm
	public  jose.JSONWebKeySet
	jwks    []byte
}

// Open loads the keys of an issuer and makes those that are missing.
func Open(ctx context.Context, storage Storage, sealed seal.Key, now func() time.Time) (*KeySet, error) {
	records, err := storage.SigningKeys(ctx)
	if err != nil {
		return nil, fmt.Errorf("reading the signing keys: %w", err)
	}
	for _, alg := range Algorithms() {
		if slices.ContainsFunc(records, func(r Record) bool { return r.Algorithm == alg }) {
			continue
		}
		record, err := generate(alg, sealed, now())
		if err != nil {
			return nil, fmt.Errorf("making the %s signing key: %w", alg, err)
		}
		if err := storage.AddSigningKey(ctx, record); err != nil {
			return nil, fmt.Errorf("keeping the %s signing key: %w", alg, err)
		}
		if records, err = storage.SigningKeys(ctx); err != nil {
			return nil, fmt.Errorf("reading the signing keys: %w", err)
		}
	}
	set := &KeySet{private: map[string]jose.JSONWebKey{}}
	for _, record := range records {
		private, err := unseal(record, sealed)
		if err != nil {
			return nil, fmt.Errorf("opening signing key %s: %w", record.ID, err)
		}
		jwk := jose.JSONWebKey{Key: private, KeyID: record.ID, Algorithm: record.Algorithm, Use: "sig"}
		set.private[record.Algorithm] = jwk
		set.public.Keys = append(set.public.Keys, jwk.Public())
	}
	if set.jwks, err = json.Marshal(set.public); err != nil {
		return nil, fmt.Errorf("encoding the key set: %w", err)
	}
	return set, nil
}

// JWKS is the public key set as it is published (RFC 7517, section 5).
func (s *KeySet) JWKS() []byte { return s.jwks }

// Sign signs claims as a compact JWS (RFC 7515, section 7.1). typ is the type
// in the header, which keeps one kind of token from passing for another
// (RFC 8725, section 3.11).
func (s *KeySet) Sign(alg, typ string, claims any) (secret.String, error) {
	key, ok := s.private[alg]
	if !ok {
		return secret.String{}, fmt.Errorf("signing: no key for algorithm %q", alg)
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		return secret.String{}, fmt.Errorf("encoding claims: %w", err)
	}
	options := (&jose.SignerOptions{}).WithType(jose.ContentType(typ))
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.SignatureAlgorithm(alg), Key: key}, options)
	if err != nil {
		return secret.String{}, fmt.Errorf("signing: %w", err)
	}
	jws, err := signer.Sign(payload)
	if err != nil {
		return secret.String{}, fmt.Errorf("signing: %w", err)
	}
	token, err := jws.CompactSerialize()
	if err != nil {
		return secret.String{}, fmt.Errorf("signing: %w", err)
	}
	return secret.New(token), nil
}

// ErrInvalid means that a token was not signed with these keys as a token of
// the type that was asked for.
var ErrInvalid = errors.New("not a token of ours")

// Verify checks the signature and the type of a token and decodes its claims
// into v. It reads no claim: expiry and audience are the caller's.
func (s *KeySet) Verify(token secret.String, typ string, v any) error {
	jws, err := jose.ParseSignedCompact(token.Reveal(), []jose.SignatureAlgorithm{jose.RS256, jose.ES256})
	if err != nil {
		return ErrInvalid
	}
	header := jws.Signatures[0].Header
	if header.ExtraHeaders[jose.HeaderType] != typ {
		return ErrInvalid
	}
	for _, key := range s.public.Key(header.KeyID) {
		if key.Algorithm != header.Algorithm {
			continue
		}
		payload, err := jws.Verify(key.Key)
		if err != nil {
			return ErrInvalid
		}
		if err := json.Unmarshal(payload, v); err != nil {
			return ErrInvalid
		}
		return nil
	}
	return ErrInvalid
}

func generate(alg string, sealed seal.Key, now time.Time) (Record, error) {
	var private crypto.Signer
	var err error
	switch alg {
	case RS256:
		private, err = rsa.GenerateKey(rand.Reader, 2048)
	case ES256:
		private, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	default:
		err = CheckAlgorithm(alg)
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
	id := base64.RawURLEncoding.EncodeToString(thumbprint)
	return Record{ID: id, Algorithm: alg, SealedPrivate: sealed.Seal(pkcs8, "signing key "+id), CreatedAt: now}, nil
}

func unseal(record Record, sealed seal.Key) (crypto.Signer, error) {
	pkcs8, err := sealed.Open(record.SealedPrivate, "signing key "+record.ID)
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
