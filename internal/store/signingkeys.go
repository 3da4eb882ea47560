// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"fmt"

	"github.com/tegata/tegata/internal/signingkey"
)

// SigningKeys implements [signingkey.Storage].
func (i *Issuer) SigningKeys(ctx context.Context) ([]signingkey.Record, error) {
	var keys []signingkey.Record
	err := i.db.each(ctx, func(row scanner) error {
		var key signingkey.Record
		var published, signs, revoked int64
		if err := row.Scan(&key.ID, &key.Algorithm, &key.Generation, &key.SealedPrivate, &published, &signs, &revoked); err != nil {
			return err
		}
		key.PublishedAt, key.SignsFrom, key.RevokedAt = fromMillis(published), fromMillis(signs), fromMillis(revoked)
		keys = append(keys, key)
		return nil
	}, `SELECT id, algorithm, generation, sealed_private, published_at, signs_from, revoked_at
		FROM signing_keys WHERE issuer = $1 ORDER BY algorithm DESC, generation`, i.id)
	return keys, err
}

// ChangeSigningKeys implements [signingkey.Storage].
func (i *Issuer) ChangeSigningKeys(ctx context.Context, change signingkey.Change) error {
	return i.db.write(ctx, func(tx *tx) error {
		for _, key := range change.Add {
			if err := tx.exec(`INSERT INTO signing_keys
				(issuer, id, algorithm, generation, sealed_private, published_at, signs_from, revoked_at)
				VALUES ($1, $2, $3, $4, $5, $6, $7, 0) ON CONFLICT DO NOTHING`,
				i.id, key.ID, key.Algorithm, key.Generation, key.SealedPrivate, millis(key.PublishedAt), millis(key.SignsFrom)); err != nil {
				return fmt.Errorf("adding: %w", err)
			}
		}
		for _, start := range change.Start {
			if err := tx.exec(`UPDATE signing_keys SET signs_from = $1
				WHERE issuer = $2 AND id = $3 AND revoked_at = 0 AND signs_from > $1`, millis(start.At), i.id, start.ID); err != nil {
				return fmt.Errorf("starting: %w", err)
			}
		}
		for _, revoke := range change.Revoke {
			if err := tx.exec(`UPDATE signing_keys SET revoked_at = $1, sealed_private = ''
				WHERE issuer = $2 AND id = $3 AND revoked_at = 0`, millis(revoke.At), i.id, revoke.ID); err != nil {
				return fmt.Errorf("revoking: %w", err)
			}
		}
		for _, id := range change.Remove {
			if err := tx.exec(`DELETE FROM signing_keys WHERE issuer = $1 AND id = $2`, i.id, id); err != nil {
				return fmt.Errorf("removing: %w", err)
			}
		}
		return nil
	})
}

// Resealer seals anew what was sealed for a context. What needs no change
// comes back as it is.
type Resealer func(box, context string) (string, error)

// Reseal puts everything that is sealed with the key-encryption key through
// reseal, in one transaction, and returns how much there was and how much of
// it changed. If one thing cannot be opened, all of it stays as it was.
func (db *DB) Reseal(ctx context.Context, reseal Resealer) (all, changed int, err error) {
	// sealed is the secret of an issuer or, if key is not empty, a private key.
	type sealed struct{ issuer, key, box string }
	err = db.write(ctx, func(tx *tx) error {
		var found []sealed
		take := func(row scanner) error {
			var s sealed
			err := row.Scan(&s.issuer, &s.key, &s.box)
			found = append(found, s)
			return err
		}
		if err := tx.each(take, `SELECT id, '', sealed_secret FROM issuers FOR NO KEY UPDATE`); err != nil {
			return err
		}
		if err := tx.each(take, `SELECT issuer, id, sealed_private FROM signing_keys
			WHERE revoked_at = 0 FOR NO KEY UPDATE`); err != nil {
			return err
		}
		all, changed = len(found), 0
		for _, s := range found {
			what, update := IssuerContext(s.issuer), `UPDATE issuers SET sealed_secret = $1 WHERE id = $2`
			args := []any{s.issuer}
			if s.key != "" {
				what, update = signingkey.Context(s.key), `UPDATE signing_keys SET sealed_private = $1 WHERE issuer = $2 AND id = $3`
				args = append(args, s.key)
			}
			box, err := reseal(s.box, what)
			if err != nil {
				return fmt.Errorf("opening the %s: %w", what, err)
			}
			if box == s.box {
				continue
			}
			changed++
			if err := tx.exec(update, append([]any{box}, args...)...); err != nil {
				return err
			}
		}
		return nil
	})
	return all, changed, err
}

// IssuerContext is what the secret of an issuer is sealed for.
func IssuerContext(id string) string { return "issuer " + id }
