// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"

	"github.com/tegata/tegata/internal/signingkey"
)

// SigningKeys implements [signingkey.Storage].
func (i *Issuer) SigningKeys(ctx context.Context) ([]signingkey.Record, error) {
	var keys []signingkey.Record
	err := i.db.each(ctx, func(row scanner) error {
		var key signingkey.Record
		var created int64
		if err := row.Scan(&key.ID, &key.Algorithm, &key.SealedPrivate, &created); err != nil {
			return err
		}
		key.CreatedAt = fromMillis(created)
		keys = append(keys, key)
		return nil
	}, `SELECT id, algorithm, sealed_private, created_at FROM signing_keys WHERE issuer = $1
		ORDER BY algorithm DESC, generation`, i.id)
	return keys, err
}

// AddSigningKey implements [signingkey.Storage].
func (i *Issuer) AddSigningKey(ctx context.Context, key signingkey.Record) error {
	return i.db.write(ctx, func(tx *tx) error {
		return tx.exec(`INSERT INTO signing_keys (issuer, id, algorithm, generation, sealed_private, created_at)
			VALUES ($1, $2, $3, 1, $4, $5) ON CONFLICT DO NOTHING`,
			i.id, key.ID, key.Algorithm, key.SealedPrivate, millis(key.CreatedAt))
	})
}
