// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package upstream

import (
	"cmp"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/tegata/tegata/internal/oidc"
	"github.com/tegata/tegata/internal/secret"
)

// How a client shows who it is (OpenID Connect Core 1.0, section 9).
const (
	clientSecretBasic = "client_secret_basic"
	clientSecretPost  = "client_secret_post"
	privateKeyJWT     = "private_key_jwt"
)

// assertionType names a JWT as a client's proof (RFC 7523, section 2.2).
const assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

// assertionLifetime is how long a proof is good. It is made for one request.
const assertionLifetime = time.Minute

// ClientKey signs our proofs of who we are.
type ClientKey struct{ signer jose.Signer }

// ReadClientKey reads a private key, in PEM or as a JWK: RSA, EC or Ed25519. A
// JWK brings its key ID and its algorithm along. keyID is how the provider
// names the key; left out, it is the key's own ID or else its thumbprint (RFC
// 7638).
func ReadClientKey(text secret.String, keyID string) (*ClientKey, error) {
	key, err := readPrivateKey([]byte(text.Reveal()))
	if err != nil {
		return nil, err
	}
	if key.KeyID = cmp.Or(keyID, key.KeyID); key.KeyID == "" {
		sum, err := key.Thumbprint(crypto.SHA256)
		if err != nil {
			return nil, errors.New("the client's key is of a kind that does not sign")
		}
		key.KeyID = base64.RawURLEncoding.EncodeToString(sum)
	}
	algorithm := jose.SignatureAlgorithm(key.Algorithm)
	switch private := key.Key.(type) {
	case *rsa.PrivateKey:
		if algorithm == "" {
			algorithm = jose.RS256
		}
		if private.N.BitLen() < 2048 {
			return nil, errors.New("the client's key is RSA of less than 2048 bits")
		}
	case *ecdsa.PrivateKey:
		algorithm = map[int]jose.SignatureAlgorithm{256: jose.ES256, 384: jose.ES384, 521: jose.ES512}[private.Params().BitSize]
	case ed25519.PrivateKey:
		algorithm = jose.EdDSA
	}
	if !slices.Contains(signatures, algorithm) {
		return nil, errors.New("the client's key must be RSA, P-256, P-384, P-521 or Ed25519")
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: algorithm, Key: key}, (&jose.SignerOptions{}).WithType("JWT"))
	if err != nil {
		return nil, fmt.Errorf("the client's key: %w", err)
	}
	return &ClientKey{signer}, nil
}

// readPrivateKey never puts what it read into an error.
func readPrivateKey(text []byte) (jose.JSONWebKey, error) {
	var key jose.JSONWebKey
	if json.Unmarshal(text, &key) == nil && key.Valid() && !key.IsPublic() {
		return key, nil
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return jose.JSONWebKey{}, errors.New("the client's key is neither PEM nor a private JWK")
	}
	for _, parse := range []func([]byte) (any, error){
		x509.ParsePKCS8PrivateKey,
		func(der []byte) (any, error) { return x509.ParsePKCS1PrivateKey(der) },
		func(der []byte) (any, error) { return x509.ParseECPrivateKey(der) },
	} {
		if private, err := parse(block.Bytes); err == nil {
			return jose.JSONWebKey{Key: private}, nil
		}
	}
	return jose.JSONWebKey{}, fmt.Errorf("the client's key is a %s that cannot be read; take a PRIVATE KEY without a password", plain(block.Type))
}

// assert adds a proof for one request to its form (RFC 7523, section 3).
func (o *OIDC) assert(form url.Values, audience string) error {
	now := o.config.Now()
	claims, err := json.Marshal(map[string]any{
		"iss": o.config.ClientID, "sub": o.config.ClientID, "aud": audience, "jti": rand.Text(),
		"iat": oidc.Date(now), "exp": oidc.Date(now.Add(assertionLifetime)),
	})
	if err != nil {
		return err
	}
	signed, err := o.config.ClientKey.signer.Sign(claims)
	if err != nil {
		return fmt.Errorf("signing the proof of who we are: %w", err)
	}
	proof, err := signed.CompactSerialize()
	if err != nil {
		return fmt.Errorf("signing the proof of who we are: %w", err)
	}
	form.Set("client_assertion_type", assertionType)
	form.Set("client_assertion", proof)
	return nil
}

// submit sends a form to an endpoint at which we authenticate. A provider that
// does not know us by the secret in one place is asked with it in the other
// (RFC 6749, section 2.3.1), and the way that works is remembered.
func (o *OIDC) submit(ctx context.Context, m metadata, endpoint string, form url.Values) (answer, error) {
	switch {
	case o.config.ClientKey != nil:
		return o.post(ctx, m, endpoint, form, privateKeyJWT)
	case o.config.ClientSecret.IsZero():
		return o.post(ctx, m, endpoint, form, "")
	}
	style, _ := o.style.Load().(string)
	if style == "" {
		style = clientSecretBasic
		if offered := m.TokenEndpointAuthMethodsSupported; slices.Contains(offered, clientSecretPost) && !slices.Contains(offered, clientSecretBasic) {
			style = clientSecretPost
		}
	}
	a, err := o.post(ctx, m, endpoint, form, style)
	if err == nil && a.refusesClient() {
		other := clientSecretPost
		if style == clientSecretPost {
			other = clientSecretBasic
		}
		if second, wrong := o.post(ctx, m, endpoint, form, other); wrong == nil && !second.refusesClient() {
			a, style = second, other
		}
	}
	if err == nil && !a.refusesClient() {
		o.style.Store(style)
	}
	return a, err
}

// post makes one request of a client that authenticates.
func (o *OIDC) post(ctx context.Context, m metadata, endpoint string, form url.Values, style string) (answer, error) {
	sent := url.Values{}
	for name, values := range form {
		sent[name] = values
	}
	if style != clientSecretBasic {
		sent.Set("client_id", string(o.config.ClientID))
	}
	switch style {
	case clientSecretPost:
		sent.Set("client_secret", o.config.ClientSecret.Reveal())
	case privateKeyJWT:
		// The token endpoint is the audience that OpenID Connect Core 1.0,
		// section 9, asks for, at the other endpoints too.
		if err := o.assert(sent, m.TokenEndpoint); err != nil {
			return answer{}, err
		}
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, endpoint, strings.NewReader(sent.Encode()))
	if err != nil {
		return answer{}, fmt.Errorf("%s is no address", plain(endpoint))
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if style == clientSecretBasic {
		// RFC 6749, section 2.3.1: both parts are form-encoded first.
		r.SetBasicAuth(url.QueryEscape(string(o.config.ClientID)), url.QueryEscape(o.config.ClientSecret.Reveal()))
	}
	return send(o.http, r)
}

// refusesClient reports whether the provider does not know us.
func (a answer) refusesClient() bool {
	refusal := a.refusal()
	return refusal != nil && refusal.Code == oidc.InvalidClient || refusal == nil && a.status == http.StatusUnauthorized
}
