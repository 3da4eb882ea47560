// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package upstream

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/tegata/tegata/internal/oidc"
)

// How long something that a provider publishes is kept.
const (
	keepAtLeast = 5 * time.Minute
	keepAtMost  = time.Hour
	// keepInNeed is for how long it serves when it cannot be fetched again.
	keepInNeed = 24 * time.Hour
	// keyPause is between two searches for an unknown key.
	keyPause = 5 * time.Second
	// After an attempt that got no answer: failurePause if there is nothing
	// yet, needPause if there is a copy that serves.
	failurePause = 2 * time.Second
	needPause    = time.Minute
)

// document is something that the provider publishes. It is fetched when it is
// first needed, and kept.
type document[T any] struct {
	now     func() time.Time
	timeout time.Duration // of fetching it
	turn    chan struct{} // holds one element; who takes it may fetch, and owns the fields below

	value   T
	fetched time.Time // zero: never
	until   time.Time // when it is fetched anew
	tried   time.Time // the last attempt
	asked   time.Time // the last attempt for which somebody asked again
	problem error     // of the last attempt
}

// newDocument makes one that leaves half of a call's time for what the call is
// about.
func newDocument[T any](c OIDCConfig) *document[T] {
	d := &document[T]{now: c.Now, timeout: c.Timeout / 2, turn: make(chan struct{}, 1)}
	d.turn <- struct{}{}
	return d
}

// get returns the value. again asks for one that was fetched now, or at least
// a moment ago.
func (d *document[T]) get(ctx context.Context, again bool, fetch func(context.Context) (T, time.Duration, error)) (T, error) {
	var none T
	select {
	case <-d.turn:
		defer func() { d.turn <- struct{}{} }()
	case <-ctx.Done():
		return none, fmt.Errorf("waiting for what the provider publishes: %w", ctx.Err())
	}
	at := d.now()
	known := !d.fetched.IsZero() && at.Before(d.fetched.Add(keepInNeed))
	switch {
	case known && !again && at.Before(d.until), known && again && at.Before(d.asked.Add(keyPause)):
		return d.value, nil
	case !known && d.problem != nil && at.Before(d.tried.Add(failurePause)):
		return none, d.problem
	}
	if again {
		d.asked = at
	}
	limit, cancel := context.WithTimeout(ctx, d.timeout)
	defer cancel()
	value, age, err := fetch(limit)
	switch {
	case err == nil:
		d.value, d.problem, d.fetched, d.tried = value, nil, at, at
		d.until = at.Add(min(max(age, keepAtLeast), keepAtMost))
		return value, nil
	case ctx.Err() == nil: // else it was the caller's haste
		d.problem, d.tried, d.until = err, at, at.Add(needPause)
	}
	if known && !again {
		return d.value, nil
	}
	return none, err
}

// metadata is what the provider says of itself, read with our eyes.
type metadata struct {
	oidc.Metadata
	algorithms []jose.SignatureAlgorithm // of ID tokens
}

// discover returns the provider's metadata.
func (o *OIDC) discover(ctx context.Context) (metadata, error) {
	return o.metadata.get(ctx, false, o.fetchMetadata)
}

// fetchMetadata asks for it (OpenID Connect Discovery 1.0, section 4).
func (o *OIDC) fetchMetadata(ctx context.Context) (metadata, time.Duration, error) {
	var m metadata
	a, err := get(ctx, o.http, o.config.Issuer.ConfigurationURL(), "OpenID metadata", &m.Metadata)
	if err != nil {
		return m, 0, fmt.Errorf("%w; check the issuer of the source %s", err, o.config.Name)
	}
	// Section 4.3: the issuer MUST be identical to the one that was asked.
	if m.Issuer != o.config.Issuer {
		return m, 0, fmt.Errorf("the provider at %s calls itself %q; write the issuer exactly so, if it is yours", o.config.Issuer, plain(string(m.Issuer)))
	}
	for _, endpoint := range []struct {
		name, address string
		optional      bool
	}{
		{"authorization_endpoint", m.AuthorizationEndpoint, false},
		{"token_endpoint", m.TokenEndpoint, false},
		{"jwks_uri", m.JWKSURI, false},
		{"userinfo_endpoint", m.UserinfoEndpoint, true},
		{"revocation_endpoint", m.RevocationEndpoint, true},
		{"end_session_endpoint", m.EndSessionEndpoint, true},
	} {
		if endpoint.address == "" && endpoint.optional {
			continue
		}
		if err := o.checkEndpoint(endpoint.address); err != nil {
			return m, 0, fmt.Errorf("the metadata of %s: %s %w", o.config.Issuer, endpoint.name, err)
		}
	}
	if m.algorithms = algorithmsOf(m.IDTokenSigningAlgValuesSupported); len(m.algorithms) == 0 {
		return m, 0, fmt.Errorf("the provider %s signs ID tokens with %s alone; have it use RS256 or ES256", o.config.Issuer, plain(strings.Join(m.IDTokenSigningAlgValuesSupported, ", ")))
	}
	return m, a.maxAge(), nil
}

// checkEndpoint wants an endpoint that is as safe as the issuer.
func (o *OIDC) checkEndpoint(address string) error {
	u, err := url.Parse(address)
	switch {
	case address == "":
		return errors.New("is missing; is this an OpenID Provider?")
	case err != nil || u.Host == "" || u.User != nil:
		return fmt.Errorf("is %q, which is no address", plain(address))
	case u.Scheme == "https", u.Scheme == "http" && strings.HasPrefix(string(o.config.Issuer), "http://"):
		return nil
	}
	return fmt.Errorf("is %s, without https", plain(address))
}

// signatures are what an ID token may be signed with (RFC 7518, section 3.1;
// RFC 8037). None is symmetric, and none is none.
var signatures = []jose.SignatureAlgorithm{
	jose.RS256, jose.RS384, jose.RS512, jose.PS256, jose.PS384, jose.PS512, jose.ES256, jose.ES384, jose.ES512, jose.EdDSA,
}

// algorithmsOf picks those that are signatures. A provider that names none
// signs with RS256, which all must know (OpenID Connect Discovery 1.0, section
// 3).
func algorithmsOf(names []string) (found []jose.SignatureAlgorithm) {
	if len(names) == 0 {
		return []jose.SignatureAlgorithm{jose.RS256}
	}
	for _, alg := range signatures {
		if slices.Contains(names, string(alg)) {
			found = append(found, alg)
		}
	}
	return found
}

// keySet returns the provider's public keys; again: because the known ones do
// not fit.
func (o *OIDC) keySet(ctx context.Context, m metadata, again bool) ([]jose.JSONWebKey, error) {
	return o.keys.get(ctx, again, func(ctx context.Context) ([]jose.JSONWebKey, time.Duration, error) {
		var text json.RawMessage
		a, err := get(ctx, o.http, m.JWKSURI, "a key set", &text)
		if err != nil {
			return nil, 0, err
		}
		keys, err := parseKeySet(text)
		if err != nil {
			return nil, 0, fmt.Errorf("%s: %w", a.from, err)
		}
		return keys, a.maxAge(), nil
	})
}

// maxKeys is far above what anybody publishes.
const maxKeys = 200

// parseKeySet reads the public keys that can be read. Others are passed over
// (RFC 7517, section 5).
func parseKeySet(text []byte) ([]jose.JSONWebKey, error) {
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if json.Unmarshal(text, &set) != nil || set.Keys == nil {
		return nil, errors.New("this is no JWK Set")
	}
	if len(set.Keys) > maxKeys {
		return nil, fmt.Errorf("a JWK Set of %d keys; at most %d are read", len(set.Keys), maxKeys)
	}
	var keys []jose.JSONWebKey
	for _, raw := range set.Keys {
		var key jose.JSONWebKey
		if json.Unmarshal(raw, &key) == nil && key.IsPublic() {
			keys = append(keys, key)
		}
	}
	return keys, nil
}
