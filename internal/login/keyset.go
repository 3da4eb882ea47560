// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package login

import (
	"context"
	"encoding/json"

	"github.com/go-jose/go-jose/v4"
)

// keys are the signing keys of the provider that go with a key ID; all of
// them for a token without one. Keys of a kind that is not known here are
// passed over: they may sign for others (RFC 7517, section 5).
func (c *Client) keys(keyID string) []jose.JSONWebKey {
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if json.Unmarshal(c.known.Keys, &set) != nil {
		return nil
	}
	var keys []jose.JSONWebKey
	for _, text := range set.Keys {
		var key jose.JSONWebKey
		if key.UnmarshalJSON(text) != nil || !key.Valid() || !key.IsPublic() {
			continue
		}
		if key.Use != "" && key.Use != "sig" || keyID != "" && key.KeyID != keyID {
			continue
		}
		keys = append(keys, key)
	}
	return keys
}

// haveKeys makes sure that a key set is known.
func (c *Client) haveKeys(ctx context.Context) error {
	c.openNotebook()
	if c.known.Keys != nil {
		return nil
	}
	return c.fetchKeys(ctx)
}

// fetchKeys asks for the key set, and for the metadata if the key set is no
// longer where it was.
func (c *Client) fetchKeys(ctx context.Context) error {
	m, err := c.metadata(ctx)
	if err != nil {
		return err
	}
	var set json.RawMessage
	header, err := c.get(ctx, m.JWKSURI, "a key set", &set)
	if moved(err) && !c.known.metadataFresh {
		if m, err = c.Discover(ctx); err != nil {
			return err
		}
		header, err = c.get(ctx, m.JWKSURI, "a key set", &set)
	}
	if err != nil {
		return err
	}
	c.known.Keys, c.known.KeysUntil = set, c.keepUntil(maxAge(header))
	c.known.keysFresh, c.known.changed = true, true
	return nil
}
