// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package clientregistry

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/tegata/tegata/internal/oidc"
	"github.com/tegata/tegata/internal/secret"
)

// assertionType names a JWT as a client's proof (RFC 7523, section 2.2).
const assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

const (
	// maxProofLifetime is how far ahead a proof may expire. Each is
	// remembered until then, so that none is used twice.
	maxProofLifetime = 10 * time.Minute
	// clockSkew is how wrong the clock of a client may be.
	clockSkew = 30 * time.Second
	maxProof  = 16 << 10
	maxJTI    = 512
)

// Identifiers remembers what must not be used twice, at every replica.
type Identifiers interface {
	// Spend keeps the identifier until a time and reports whether it was not
	// there yet.
	Spend(ctx context.Context, id string, until time.Time) (first bool, err error)
}

// proof is the claims of a client's proof (RFC 7523, section 3).
type proof struct {
	Issuer    oidc.ClientID    `json:"iss"`
	Subject   oidc.ClientID    `json:"sub"`
	Audience  oidc.Audience    `json:"aud"`
	Expiry    oidc.NumericDate `json:"exp"`
	NotBefore oidc.NumericDate `json:"nbf"`
	IssuedAt  oidc.NumericDate `json:"iat"`
	ID        string           `json:"jti"`
}

// parseProof reads a proof that nobody has verified yet.
func parseProof(text secret.String) (*jose.JSONWebSignature, proof, error) {
	if len(text.Reveal()) > maxProof {
		return nil, proof{}, fmt.Errorf("a proof of more than %d bytes", maxProof)
	}
	jws, err := jose.ParseSignedCompact(text.Reveal(), proofAlgorithms)
	if err != nil {
		return nil, proof{}, errors.New("a proof that is no JWT, or has an algorithm that is not taken")
	}
	// What is made for something else is no proof, whoever signed it (RFC
	// 8725, section 3.11): access tokens and ID tokens have types too.
	typ, _ := jws.Signatures[0].Header.ExtraHeaders[jose.HeaderType].(string)
	switch strings.ToLower(typ) {
	case "", "jwt", "client-authentication+jwt":
	default:
		return nil, proof{}, fmt.Errorf("a proof of the type %.40q", typ)
	}
	var claims proof
	if err := json.Unmarshal(jws.UnsafePayloadWithoutVerification(), &claims); err != nil {
		return nil, proof{}, errors.New("a proof whose claims cannot be read")
	}
	return jws, claims, nil
}

// checkProof tells why a signed proof does not prove that the client sent the
// request (RFC 7523, section 3; OpenID Connect Core 1.0, section 9). The
// proof is used up by it.
func (a *Authenticator) checkProof(r *http.Request, client Client, jws *jose.JSONWebSignature, claims proof) error {
	// Step 1: the signature, by one of the client's own keys. A key in the
	// header is not looked at.
	header := jws.Signatures[0].Header
	keys := client.keysFor(header.KeyID, header.Algorithm)
	if len(keys) == 0 {
		keys = a.anybody().keysFor("", header.Algorithm) // for the time that it takes
	}
	verified := false
	for _, key := range keys {
		if _, err := jws.Verify(key); err == nil {
			verified = true
			break
		}
	}
	now := a.Now()
	switch {
	case !verified:
		return fmt.Errorf("a proof that none of its keys signed (kid %.60q, %s)", header.KeyID, header.Algorithm)

	// Step 2: by whom, about whom, for whom.
	case claims.Issuer != client.ID || claims.Subject != client.ID:
		return errors.New("a proof whose iss and sub are not the client")
	case !a.isAudience(r, claims.Audience):
		return fmt.Errorf("a proof for the audience %.200q", claims.Audience)

	// Step 3: when.
	case claims.Expiry.IsZero():
		return errors.New("a proof without exp")
	case !now.Before(claims.Expiry.Add(clockSkew)):
		return errors.New("a proof that has expired")
	case claims.Expiry.After(now.Add(maxProofLifetime + clockSkew)):
		return fmt.Errorf("a proof that is good for more than %s", maxProofLifetime)
	case !claims.NotBefore.IsZero() && claims.NotBefore.After(now.Add(clockSkew)):
		return errors.New("a proof that is not good yet")
	case !claims.IssuedAt.IsZero() && claims.IssuedAt.After(now.Add(clockSkew)):
		return errors.New("a proof from the future")
	case claims.ID == "" || len(claims.ID) > maxJTI:
		return fmt.Errorf("a proof whose jti is missing or longer than %d bytes", maxJTI)
	}

	// Step 4: once. Only who holds the key gets here, so nobody else can fill
	// the memory.
	sum := sha256.Sum256([]byte(string(client.ID) + "\x00" + claims.ID))
	first, err := a.Identifiers.Spend(r.Context(), "proof "+hex.EncodeToString(sum[:]), claims.Expiry.Add(clockSkew))
	switch {
	case err != nil:
		return &unavailableError{fmt.Errorf("remembering a proof: %w", err)}
	case !first:
		return errors.New("a proof that was used before")
	}
	return nil
}

// unavailableError is a failure of ours, for which no client is blamed.
type unavailableError struct{ error }

// isAudience reports whether a proof is for us and for nobody else: the
// issuer, the token endpoint, or the endpoint that is asked (RFC 7523,
// section 3, item 3; RFC 9126, section 2). A second audience could play the
// proof to us.
func (a *Authenticator) isAudience(r *http.Request, audience oidc.Audience) bool {
	for _, name := range audience {
		if name != string(a.Issuer) && name != a.TokenEndpoint && name != a.origin()+r.URL.Path {
			return false
		}
	}
	return len(audience) > 0
}

// origin is the issuer without its path.
func (a *Authenticator) origin() string {
	scheme, rest, _ := strings.Cut(string(a.Issuer), "://")
	host, _, _ := strings.Cut(rest, "/")
	return scheme + "://" + host
}
