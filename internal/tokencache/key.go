// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package tokencache

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"maps"
	"slices"

	"github.com/tegata/tegata/internal/oidc"
)

// keyVersion changes when tokens that were kept under a key of the same
// fields can no longer be used: a new version asks everybody to log in again.
const keyVersion = "tegata token cache key 1"

// Key names one entry. It is computed once per run, and it is the same on
// every machine and in every run for the same [Identity].
type Key string

// Identity is all that decides whose tokens an entry holds, and how far they
// can be trusted. Two runs with an equal identity share one login; what is
// not here (client secret, redirect URL, PKCE method, addresses, browser)
// changes how tokens are obtained, not which.
type Identity struct {
	Issuer   oidc.Issuer
	ClientID oidc.ClientID

	// Scopes decide which claims the ID token has. Their order does not.
	Scopes oidc.Scopes

	// Authorities is PEM: whom the issuer's certificate was checked against.
	// It counts by content: a file, the same bytes inline and the same
	// certificates in another order are one identity.
	Authorities [][]byte

	// InsecureSkipTLSVerify keeps tokens from an unverified connection apart
	// from all the others.
	InsecureSkipTLSVerify bool

	// RequestHeaders and AuthRequestExtraParams can choose a tenant, an
	// audience or an account; only the provider knows.
	RequestHeaders         map[string]string
	AuthRequestExtraParams map[string]string

	// AccessToken says that the entry's token is the access token: another API
	// server reads it, and it may be nobody's ID token.
	AccessToken bool

	// Username is whom the command line logs in, with the password grant. A
	// name that is typed at a prompt, or in a browser, is not here: then the
	// entry is of whoever logged in.
	Username string

	// Client says that the tokens are the client's own and no end user's (the
	// client credentials grant). No other grant is here: how somebody logged
	// in does not change whose tokens they got.
	Client bool
}

// Key is the SHA-256 of the version and then, for each field that is set, its
// name and its values, every piece preceded by its length. Lists are sorted,
// and absent fields leave no trace: a field that is added later does not
// change the keys of those who do not use it.
func (i Identity) Key() (Key, error) {
	authorities, err := fingerprints(i.Authorities)
	if err != nil {
		return "", err
	}
	k := keyWriter{}
	k.piece(keyVersion)
	k.list("issuer", []string{string(i.Issuer)})
	k.list("client_id", []string{string(i.ClientID)})
	k.list("scope", sortedSet(i.Scopes))
	k.list("certificate_authority", authorities)
	if i.InsecureSkipTLSVerify {
		k.list("insecure_skip_tls_verify", []string{"true"})
	}
	k.list("request_header", sortedPairs(i.RequestHeaders))
	k.list("auth_request_extra_param", sortedPairs(i.AuthRequestExtraParams))
	if i.AccessToken {
		k.list("access_token", []string{"true"})
	}
	if i.Username != "" {
		k.list("username", []string{i.Username})
	}
	if i.Client {
		k.list("client", []string{"true"})
	}
	sum := sha256.Sum256(k.text)
	return Key(hex.EncodeToString(sum[:])), nil
}

// keyWriter writes pieces so that no two different sequences of pieces give
// the same bytes.
type keyWriter struct{ text []byte }

func (k *keyWriter) piece(s string) {
	k.text = binary.BigEndian.AppendUint64(k.text, uint64(len(s)))
	k.text = append(k.text, s...)
}

func (k *keyWriter) list(name string, values []string) {
	if len(values) == 0 {
		return
	}
	k.piece(name)
	k.text = binary.BigEndian.AppendUint64(k.text, uint64(len(values)))
	for _, value := range values {
		k.piece(value)
	}
}

func sortedSet(values []string) []string {
	return slices.Compact(slices.Sorted(slices.Values(values)))
}

// sortedPairs flattens a map into key, value, key, value.
func sortedPairs(m map[string]string) []string {
	var pairs []string
	for _, name := range slices.Sorted(maps.Keys(m)) {
		pairs = append(pairs, name, m[name])
	}
	return pairs
}

// fingerprints returns the sorted SHA-256 of each certificate in the PEM texts,
// over the base64 that stands between the markers: it says the same as the
// bytes it encodes, and the warm path need not decode it. Whether it is a
// certificate at all is found out by who uses it to trust somebody.
func fingerprints(authorities [][]byte) ([]string, error) {
	var sums []string
	for _, text := range authorities {
		found := false
		for {
			_, rest, begins := bytes.Cut(text, []byte("-----BEGIN CERTIFICATE-----"))
			body, rest, ends := bytes.Cut(rest, []byte("-----END CERTIFICATE-----"))
			if !begins || !ends {
				break
			}
			for _, blank := range []string{"\n", "\r", " ", "\t"} { // [bytes.Fields] looks at each byte by itself
				body = bytes.ReplaceAll(body, []byte(blank), nil)
			}
			sum := sha256.Sum256(body)
			sums = append(sums, string(sum[:]))
			text, found = rest, true
		}
		if !found {
			return nil, errors.New("the certificate authority holds no certificate in PEM form")
		}
	}
	return sortedSet(sums), nil
}
