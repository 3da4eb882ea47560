// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package login

import (
	"context"
	"encoding/json"
	"slices"

	"github.com/tegata/tegata/internal/jws"
)

// keys are the keys of the provider that can have signed the text: all that
// fit its algorithm if it does not name one.
func (c *Client) keys(signed jws.Signed) []jws.Key {
	set, err := jws.ParseKeySet(c.known.Keys)
	if err != nil {
		return nil
	}
	return slices.DeleteFunc(set, func(key jws.Key) bool {
		return signed.KeyID != "" && key.ID != signed.KeyID || !key.Fits(signed.Algorithm)
	})
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
