// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/tegata/tegata/internal/oidc"
)

// Issuer is the rows of one issuer. It implements what the domain packages
// ask of a storage.
type Issuer struct {
	db *DB
	id string
}

// IssuerRecord is an issuer as it is kept.
type IssuerRecord struct {
	ID           string // the same for ever, unlike its URL
	URL          oidc.Issuer
	SealedSecret string
}

// ErrNoIssuer means that no such issuer was ever served from this database.
var ErrNoIssuer = errors.New("no such issuer")

// Issuer returns the handle for the issuer's rows. It does not look whether
// there are any.
func (db *DB) Issuer(id string) *Issuer { return &Issuer{db, id} }

// IssuerRecord returns the issuer's own row, or ErrNoIssuer.
func (db *DB) IssuerRecord(ctx context.Context, id string) (IssuerRecord, error) {
	record := IssuerRecord{ID: id}
	err := db.row(ctx, `SELECT url, sealed_secret FROM issuers WHERE id = $1`, id).Scan(&record.URL, &record.SealedSecret)
	if errors.Is(err, sql.ErrNoRows) {
		return IssuerRecord{}, ErrNoIssuer
	}
	return record, plain(err)
}

// AddIssuer keeps a new issuer. If it is there already, nothing changes.
func (db *DB) AddIssuer(ctx context.Context, record IssuerRecord, now time.Time) error {
	return db.write(ctx, func(tx *tx) error {
		return tx.exec(`INSERT INTO issuers (id, url, sealed_secret, created_at) VALUES ($1, $2, $3, $4)
			ON CONFLICT DO NOTHING`, record.ID, string(record.URL), record.SealedSecret, millis(now))
	})
}

// SetIssuerURL changes the URL of an issuer.
func (db *DB) SetIssuerURL(ctx context.Context, id string, url oidc.Issuer) error {
	return db.write(ctx, func(tx *tx) error {
		return tx.exec(`UPDATE issuers SET url = $1 WHERE id = $2`, string(url), id)
	})
}

// Sweep deletes the sessions and grants that have expired, and the grants
// whose code nobody came for.
func (i *Issuer) Sweep(ctx context.Context, now time.Time) error {
	return i.db.write(ctx, func(tx *tx) error {
		if err := tx.exec(`DELETE FROM sessions WHERE issuer = $1 AND expires_at <= $2`, i.id, millis(now)); err != nil {
			return fmt.Errorf("sweeping sessions: %w", err)
		}
		// A redeemed grant is kept until it expires even if it was ended, so
		// that a replay is still told from a guess.
		if err := tx.exec(`DELETE FROM grants WHERE issuer = $1 AND expires_at <= $2`, i.id, millis(now)); err != nil {
			return fmt.Errorf("sweeping grants: %w", err)
		}
		if err := tx.exec(`DELETE FROM grants WHERE issuer = $1 AND redeemed_at = 0 AND code_expires_at <= $2`, i.id, millis(now)); err != nil {
			return fmt.Errorf("sweeping codes: %w", err)
		}
		return nil
	})
}
