// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package clientregistry

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"

	"github.com/go-jose/go-jose/v4"
)

// Limits of a client's key set.
const (
	maxKeySet = 32 << 10
	maxKeys   = 16
)

// proofAlgorithms are those that a client may sign a proof with (RFC 7518,
// section 3.1; RFC 8037). None is symmetric: there is no key of ours to
// confuse a public one with.
var proofAlgorithms = []jose.SignatureAlgorithm{jose.RS256, jose.PS256, jose.ES256, jose.ES384, jose.EdDSA}

// ProofAlgorithms lists the algorithms of private_key_jwt.
func ProofAlgorithms() []string {
	var names []string
	for _, alg := range proofAlgorithms {
		names = append(names, string(alg))
	}
	return names
}

// ReadKeySet reads a client's public keys: a JWK Set, one JWK, or PEM with
// public keys and certificates. It returns them as a JWK Set, which
// Client.Validate has yet to check.
func ReadKeySet(text []byte) (json.RawMessage, error) {
	if len(text) > maxKeySet {
		return nil, fmt.Errorf("the public keys have more than %d bytes", maxKeySet)
	}
	var set jose.JSONWebKeySet
	switch text = bytes.TrimSpace(text); {
	case !bytes.HasPrefix(text, []byte("{")):
		var err error
		if set.Keys, err = readPEM(text); err != nil {
			return nil, err
		}
	case hasKeys(text):
		return text, nil
	default:
		var key jose.JSONWebKey
		if json.Unmarshal(text, &key) != nil {
			return nil, errors.New("the public key is no JWK that can be read")
		}
		set.Keys = []jose.JSONWebKey{key}
	}
	return json.Marshal(set)
}

func hasKeys(text []byte) bool {
	var members map[string]json.RawMessage
	return json.Unmarshal(text, &members) == nil && members["keys"] != nil
}

func readPEM(text []byte) (keys []jose.JSONWebKey, err error) {
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		key := jose.JSONWebKey{Use: "sig"}
		switch block.Type {
		case "PUBLIC KEY":
			key.Key, err = x509.ParsePKIXPublicKey(block.Bytes)
		case "CERTIFICATE":
			var certificate *x509.Certificate
			if certificate, err = x509.ParseCertificate(block.Bytes); err == nil {
				key.Key, key.Certificates = certificate.PublicKey, []*x509.Certificate{certificate}
			}
		default:
			err = fmt.Errorf("it is a %s, and only PUBLIC KEY and CERTIFICATE belong here", block.Type)
		}
		if err != nil {
			return nil, fmt.Errorf("reading the public keys: %w", err)
		}
		keys = append(keys, key)
	}
	if len(keys) == 0 {
		return nil, errors.New("the public keys are neither a JWK Set nor PEM")
	}
	return keys, nil
}

// parseKeySet reads the keys that can be read. Others are passed over (RFC
// 7517, section 5).
func parseKeySet(text []byte) ([]jose.JSONWebKey, error) {
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if len(text) > maxKeySet || json.Unmarshal(text, &set) != nil || set.Keys == nil {
		return nil, errors.New("the public keys (JWKS) are no JWK Set that can be read")
	}
	if len(set.Keys) > maxKeys {
		return nil, fmt.Errorf("the public keys (JWKS) are more than %d", maxKeys)
	}
	var keys []jose.JSONWebKey
	for _, raw := range set.Keys {
		var kind struct {
			Type    string `json:"kty"`
			Private string `json:"d"`
			Secret  string `json:"k"`
		}
		if json.Unmarshal(raw, &kind) != nil || kind.Private != "" || kind.Secret != "" || kind.Type == "oct" {
			return nil, errors.New("the public keys (JWKS) hold a key that is private or secret; take it out, and out of use")
		}
		var key jose.JSONWebKey
		if json.Unmarshal(raw, &key) == nil && key.IsPublic() {
			keys = append(keys, key)
		}
	}
	return keys, nil
}

// checkKeySet tells why a JWK Set cannot be a client's, or returns nil.
func checkKeySet(text []byte) error {
	keys, err := parseKeySet(text)
	if err != nil {
		return err
	}
	seen := map[string]bool{}
	for _, key := range keys {
		if key.KeyID != "" && seen[key.KeyID] {
			return fmt.Errorf("the public keys (JWKS) hold two keys with the ID %.60q", key.KeyID)
		}
		seen[key.KeyID] = true
	}
	if !slices.ContainsFunc(keys, usable) {
		return fmt.Errorf("the public keys (JWKS) hold none for signatures with %s: RSA of 2048 to 8192 bits, P-256, P-384 or Ed25519", list(proofAlgorithms))
	}
	return nil
}

// usable reports whether the key verifies proofs.
func usable(key jose.JSONWebKey) bool {
	return slices.ContainsFunc(proofAlgorithms, func(alg jose.SignatureAlgorithm) bool { return fits(key, string(alg)) })
}

// fits reports whether signatures with the algorithm can be the key's: by its
// use, by its own word (RFC 7517, sections 4.2 and 4.4) and by its kind. Who
// chooses the algorithm cannot choose what is done with the key (RFC 8725,
// section 3.1).
func fits(key jose.JSONWebKey, alg string) bool {
	if key.Use != "" && key.Use != "sig" || key.Algorithm != "" && key.Algorithm != alg {
		return false
	}
	switch public := key.Key.(type) {
	case *rsa.PublicKey:
		bits := public.N.BitLen()
		return (alg == string(jose.RS256) || alg == string(jose.PS256)) && bits >= 2048 && bits <= 8192
	case *ecdsa.PublicKey:
		size := public.Params().BitSize
		return alg == string(jose.ES256) && size == 256 || alg == string(jose.ES384) && size == 384
	case ed25519.PublicKey:
		return alg == string(jose.EdDSA)
	}
	return false
}

// checkKeys tells why the client's keys do not serve its method.
func (c Client) checkKeys() error {
	if c.Authentication == PrivateKeyJWT {
		return checkKeySet(c.JWKS)
	}
	keys, err := parseKeySet(c.JWKS)
	if err != nil {
		return err
	}
	for _, key := range keys {
		if len(key.Certificates) > 0 {
			return nil
		}
	}
	// RFC 8705, section 2.2.
	return errors.New("a client that authenticates with self_signed_tls_client_auth needs its certificate among its public keys (JWKS, x5c)")
}

// thumbprints returns the SHA-256 of each registered certificate.
func (c Client) thumbprints() (found []string) {
	keys, err := parseKeySet(c.JWKS)
	if err != nil {
		return nil
	}
	for _, key := range keys {
		if len(key.Certificates) > 0 {
			found = append(found, thumbprint(key.Certificates[0]))
		}
	}
	return found
}

// keysFor returns the client's keys that may have signed a proof. A key
// without an ID is any key.
func (c Client) keysFor(keyID, alg string) (found []crypto.PublicKey) {
	keys, err := parseKeySet(c.JWKS)
	if err != nil {
		return nil
	}
	for _, key := range keys {
		if (keyID == "" || key.KeyID == "" || key.KeyID == keyID) && fits(key, alg) {
			found = append(found, key.Key)
		}
	}
	return found
}

// KeyIDs names the client's keys: by their own IDs, or else by their
// thumbprints (RFC 7638).
func (c Client) KeyIDs() (ids []string) {
	keys, err := parseKeySet(c.JWKS)
	if err != nil {
		return nil
	}
	for _, key := range keys {
		if key.KeyID != "" {
			ids = append(ids, key.KeyID)
		} else if sum, err := key.Thumbprint(crypto.SHA256); err == nil {
			ids = append(ids, base64.RawURLEncoding.EncodeToString(sum))
		}
	}
	return ids
}
