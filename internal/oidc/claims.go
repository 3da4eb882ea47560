// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package oidc

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// NumericDate is a point in time in seconds since 1970 (RFC 7519, section 2).
// It is written as an integer and read with or without a fraction. The zero
// value is the absent date.
type NumericDate struct{ time.Time }

// Date makes a NumericDate of t.
func Date(t time.Time) NumericDate { return NumericDate{t} }

// MarshalJSON implements [json.Marshaler].
func (d NumericDate) MarshalJSON() ([]byte, error) {
	return strconv.AppendInt(nil, d.Unix(), 10), nil
}

// UnmarshalJSON implements [json.Unmarshaler].
func (d *NumericDate) UnmarshalJSON(data []byte) error {
	seconds, err := strconv.ParseFloat(string(data), 64)
	// Years beyond 9999 are nobody's date; they overflow what reads it next.
	if err != nil || math.IsNaN(seconds) || math.Abs(seconds) > 253402300799 {
		return fmt.Errorf("reading a date in seconds since 1970: %.40q is none", data)
	}
	whole, fraction := math.Modf(seconds)
	d.Time = time.Unix(int64(whole), int64(fraction*1e9))
	return nil
}

// Audience is the aud claim: one string or a list (RFC 7519, section 4.1.3).
// A single audience is written as a string.
type Audience []string

// MarshalJSON implements [json.Marshaler].
func (a Audience) MarshalJSON() ([]byte, error) {
	if len(a) == 1 {
		return json.Marshal(a[0])
	}
	return json.Marshal([]string(a))
}

// UnmarshalJSON implements [json.Unmarshaler].
func (a *Audience) UnmarshalJSON(data []byte) error {
	if len(data) > 0 && data[0] == '"' {
		var one string
		if err := json.Unmarshal(data, &one); err != nil {
			return err
		}
		*a = Audience{one}
		return nil
	}
	return json.Unmarshal(data, (*[]string)(a))
}

// Has reports whether the audience names the client.
func (a Audience) Has(client ClientID) bool { return slices.Contains(a, string(client)) }

// Claims are the claims of an ID token that the protocol itself reads
// (OpenID Connect Core 1.0, section 2). Other holds all the rest: what is
// said about the end user, under names that a deployment may choose.
type Claims struct {
	Issuer          Issuer      `json:"iss"`
	Subject         Subject     `json:"sub"`
	Audience        Audience    `json:"aud"`
	Expiry          NumericDate `json:"exp,omitzero"`
	NotBefore       NumericDate `json:"nbf,omitzero"`
	IssuedAt        NumericDate `json:"iat,omitzero"`
	AuthTime        NumericDate `json:"auth_time,omitzero"`
	Nonce           string      `json:"nonce,omitempty"`
	AuthorizedParty ClientID    `json:"azp,omitempty"`
	AccessTokenHash string      `json:"at_hash,omitempty"`
	ACR             string      `json:"acr,omitempty"`
	Methods         []string    `json:"amr,omitempty"`
	TokenID         string      `json:"jti,omitempty"`
	SessionID       string      `json:"sid,omitempty"`

	Other map[string]any `json:"-"`
}

// MarshalJSON implements [json.Marshaler]. Other never replaces a claim of
// the protocol: a name that stands in both is an error.
func (c Claims) MarshalJSON() ([]byte, error) {
	type protocol Claims
	text, err := json.Marshal(protocol(c))
	if err != nil || len(c.Other) == 0 {
		return text, err
	}
	for _, name := range slices.Sorted(maps.Keys(c.Other)) {
		if IsProtocolClaim(name) {
			return nil, fmt.Errorf("claim %q belongs to the protocol", name)
		}
	}
	other, err := json.Marshal(c.Other)
	if err != nil {
		return nil, err
	}
	// Both are objects and the first is never empty: "{a}" and "{b}" make "{a,b}".
	return slices.Concat(text[:len(text)-1], []byte(","), other[1:]), nil
}

// UnmarshalJSON implements [json.Unmarshaler].
func (c *Claims) UnmarshalJSON(data []byte) error {
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber()
	if err := decoder.Decode(&c.Other); err != nil {
		return err
	}
	if c.Other == nil {
		return errors.New("claims are no JSON object")
	}
	// Step 2: the claims of the protocol, by their exact names (RFC 7519,
	// section 7.3); encoding/json alone would take "SUB" for sub.
	exact := map[string]any{}
	for name, value := range c.Other {
		if !IsProtocolClaim(name) {
			continue
		}
		delete(c.Other, name)
		// acr and amr are written only: nobody here decides by them, and
		// providers write them in more ways than one.
		if name == strings.ToLower(name) && name != "acr" && name != "amr" {
			exact[name] = value
		}
	}
	text, err := json.Marshal(exact)
	if err != nil {
		return err
	}
	type protocol Claims
	return json.Unmarshal(text, (*protocol)(c))
}

// IsProtocolClaim reports whether the name is one of the claims that the
// protocol itself sets, so that a deployment cannot choose it for its own.
func IsProtocolClaim(name string) bool {
	switch strings.ToLower(name) { // many readers of JSON take another case for the same
	case "iss", "sub", "aud", "exp", "nbf", "iat", "auth_time", "nonce", "azp", "at_hash", "c_hash", "jti", "sid", "acr", "amr":
		return true
	}
	return false
}
