// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package upstream

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/tegata/tegata/internal/identity"
	"github.com/tegata/tegata/internal/oidc"
	"github.com/tegata/tegata/internal/secret"
)

// leeway is how far the clocks of the provider and of this machine may be
// apart (RFC 7519, section 4.1.4).
const leeway = time.Minute

// claimSet is a JSON object of claims; numbers are json.Number.
type claimSet map[string]any

func parseClaims(text []byte) (claimSet, error) {
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	var claims claimSet
	if err := decoder.Decode(&claims); err != nil || claims == nil {
		return nil, errors.New("its claims are no JSON object")
	}
	return claims, nil
}

// expected is what an ID token must say beside the issuer and the client.
type expected struct {
	nonce       string
	nonceMust   bool         // it must be there; else it may be missing
	subject     oidc.Subject // empty at a login
	accessToken secret.String
	since       time.Time // the credential was given after it; zero: whenever
}

// verify checks an ID token (OpenID Connect Core 1.0, sections 3.1.3.7 and
// 12.2) and returns its claims.
func (o *OIDC) verify(ctx context.Context, m metadata, idToken secret.String, want expected) (claimSet, error) {
	// 1. It is signed, with one of the algorithms that the provider names.
	signed, err := jose.ParseSignedCompact(idToken.Reveal(), m.algorithms)
	if err != nil {
		return nil, fmt.Errorf("the ID token is no JWT that is signed with one of %v, as the provider's metadata has it", m.algorithms)
	}
	// What is made for something else is no ID token, whoever signed it (RFC
	// 8725, section 3.11): access tokens and logout tokens have types too.
	header := signed.Signatures[0].Header
	if typ, _ := header.ExtraHeaders[jose.HeaderType].(string); strings.HasSuffix(strings.ToLower(typ), "+jwt") {
		return nil, fmt.Errorf("the ID token is of the type %q", plain(typ))
	}

	// 2. By one of the provider's keys. If none of those known did it, the
	// provider may have others by now. A key in the header is not looked at.
	payload, err := o.payload(ctx, m, signed, false)
	if err != nil {
		if payload, err = o.payload(ctx, m, signed, true); err != nil {
			return nil, err
		}
	}

	// 3. It says what it must.
	var claims oidc.Claims
	if err := json.Unmarshal(payload, &claims); err != nil {
		return nil, errors.New("the claims of the ID token cannot be read")
	}
	if err := o.check(claims, header.Algorithm, want); err != nil {
		return nil, err
	}
	return parseClaims(payload)
}

// payload returns what one of the provider's keys signed.
func (o *OIDC) payload(ctx context.Context, m metadata, signed *jose.JSONWebSignature, again bool) ([]byte, error) {
	keys, err := o.keySet(ctx, m, again)
	if err != nil {
		return nil, err
	}
	header := signed.Signatures[0].Header
	err = fmt.Errorf("the ID token is signed with the key %q (%s), which the provider does not publish", plain(header.KeyID), header.Algorithm)
	for _, key := range keys {
		if header.KeyID != "" && key.KeyID != header.KeyID || !fits(key, jose.SignatureAlgorithm(header.Algorithm)) {
			continue
		}
		payload, wrong := signed.Verify(key.Key)
		if wrong == nil {
			return payload, nil
		}
		err = errors.New("the signature of the ID token is wrong")
	}
	return nil, err
}

// fits reports whether signatures with the algorithm can be the key's: by its
// use, by its own word (RFC 7517, sections 4.2 and 4.4) and by its kind (RFC
// 8725, section 3.1).
func fits(key jose.JSONWebKey, alg jose.SignatureAlgorithm) bool {
	if key.Use != "" && key.Use != "sig" || key.Algorithm != "" && key.Algorithm != string(alg) {
		return false
	}
	switch public := key.Key.(type) {
	case *rsa.PublicKey:
		bits := public.N.BitLen()
		return slices.Contains(signatures[:6], alg) && bits >= 2048 && bits <= 16384
	case *ecdsa.PublicKey:
		return map[jose.SignatureAlgorithm]int{jose.ES256: 256, jose.ES384: 384, jose.ES512: 521}[alg] == public.Params().BitSize
	case ed25519.PublicKey:
		return alg == jose.EdDSA
	}
	return false
}

// check applies the rules of OpenID Connect Core 1.0, section 3.1.3.7, and at
// a refresh those of section 12.2.
func (o *OIDC) check(claims oidc.Claims, algorithm string, want expected) error {
	now := o.config.Now()
	client := o.config.ClientID
	at := func(t time.Time) string { return t.UTC().Format(time.RFC3339) }
	switch {
	case !o.isIssuer(claims.Issuer): // rule 2
		return fmt.Errorf("the ID token is from %q, not from %q", plain(string(claims.Issuer)), o.config.Issuer)
	case !claims.Audience.Has(client): // rule 3
		return fmt.Errorf("the ID token is for %q, not for the client %q", plain(strings.Join(claims.Audience, " ")), client)
	case len(claims.Audience) > 1 && claims.AuthorizedParty == "": // rules 3 and 4
		return fmt.Errorf("the ID token is for others too (%s), and does not say for whom it was made", plain(strings.Join(claims.Audience, " ")))
	case claims.AuthorizedParty != "" && claims.AuthorizedParty != client: // rule 5
		return fmt.Errorf("the ID token was made for %q, not for the client %q", plain(string(claims.AuthorizedParty)), client)
	case claims.Subject == "" || len(claims.Subject) > maxSubject: // section 2
		return fmt.Errorf("the ID token has no subject, or one of more than %d bytes", maxSubject)
	case claims.Expiry.IsZero() || claims.IssuedAt.IsZero(): // section 2
		return errors.New("the ID token does not say when it was issued and when it expires")
	case !now.Before(claims.Expiry.Add(leeway)): // rule 9
		return fmt.Errorf("the ID token expired at %s, and it is %s here; compare the clocks", at(claims.Expiry.Time), at(now))
	case claims.IssuedAt.After(now.Add(leeway)): // rule 10
		return fmt.Errorf("the ID token was issued at %s, and it is only %s here; compare the clocks", at(claims.IssuedAt.Time), at(now))
	case claims.NotBefore.After(now.Add(leeway)): // RFC 7519, section 4.1.5
		return fmt.Errorf("the ID token is good from %s on, and it is only %s here; compare the clocks", at(claims.NotBefore.Time), at(now))
	case claims.Nonce != want.nonce && (want.nonceMust || claims.Nonce != ""): // rule 11
		return errors.New("the ID token answers another login: its nonce is not ours")
	case want.subject != "" && claims.Subject != want.subject: // section 12.2
		return fmt.Errorf("%w: the provider answered with another user (%q, not %q)", identity.ErrNotFound, plain(string(claims.Subject)), want.subject)
	case !want.since.IsZero() && !claims.AuthTime.IsZero() && claims.AuthTime.Before(want.since.Add(-leeway)): // rule 13
		return &NotAllowedError{"the provider did not ask for the credential again; log out there first, then come back"}
	// Section 3.1.3.8: optional in this flow, binding when it is there.
	case claims.AccessTokenHash != "" && !want.accessToken.IsZero() && claims.AccessTokenHash != oidc.AccessTokenHash(algorithm, want.accessToken):
		return errors.New("the ID token does not belong to the access token beside it")
	}
	return nil
}

// isIssuer compares byte by byte. Google alone documents a second form.
func (o *OIDC) isIssuer(issuer oidc.Issuer) bool {
	return issuer == o.config.Issuer || o.config.Issuer == google && issuer == "accounts.google.com"
}
