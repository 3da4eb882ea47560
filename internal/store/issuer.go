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
	// Specification is the settings of an issuer that was made at run time,
	// as package admin writes them; empty for one of the configuration file.
	Specification string
}

// ErrNoIssuer means that no such issuer was ever served from this database.
var ErrNoIssuer = errors.New("no such issuer")

// Issuer returns the handle for the issuer's rows. It does not look whether
// there are any.
func (db *DB) Issuer(id string) *Issuer { return &Issuer{db, id} }

// IssuerRecord returns the issuer's own row, or ErrNoIssuer.
func (db *DB) IssuerRecord(ctx context.Context, id string) (IssuerRecord, error) {
	record := IssuerRecord{ID: id}
	err := db.row(ctx, `SELECT url, sealed_secret, specification FROM issuers WHERE id = $1`, id).
		Scan(&record.URL, &record.SealedSecret, &record.Specification)
	if errors.Is(err, sql.ErrNoRows) {
		return IssuerRecord{}, ErrNoIssuer
	}
	return record, plain(err)
}

// AddIssuer keeps a new issuer. If it is there already, nothing changes.
func (db *DB) AddIssuer(ctx context.Context, record IssuerRecord, now time.Time) error {
	return db.write(ctx, func(tx *tx) error {
		return tx.exec(`INSERT INTO issuers (id, url, sealed_secret, specification, created_at) VALUES ($1, $2, $3, $4, $5)
			ON CONFLICT DO NOTHING`, record.ID, string(record.URL), record.SealedSecret, record.Specification, millis(now))
	})
}

// Issuers returns all issuers, sorted by ID.
func (db *DB) Issuers(ctx context.Context) ([]IssuerRecord, error) {
	var records []IssuerRecord
	err := db.each(ctx, func(row scanner) error {
		var r IssuerRecord
		err := row.Scan(&r.ID, &r.URL, &r.SealedSecret, &r.Specification)
		records = append(records, r)
		return err
	}, `SELECT id, url, sealed_secret, specification FROM issuers ORDER BY id`)
	return records, err
}

// DeleteIssuer deletes an issuer that was made at run time, with all that is
// its own, or returns ErrNoIssuer.
func (db *DB) DeleteIssuer(ctx context.Context, id string) error {
	return db.write(ctx, func(tx *tx) error {
		deleted, err := tx.changed(`DELETE FROM issuers WHERE id = $1 AND specification <> ''`, id)
		if err == nil && deleted == 0 {
			return ErrNoIssuer
		}
		return err
	})
}

// SetIssuerURL changes the URL of an issuer.
func (db *DB) SetIssuerURL(ctx context.Context, id string, url oidc.Issuer) error {
	return db.write(ctx, func(tx *tx) error {
		return tx.exec(`UPDATE issuers SET url = $1 WHERE id = $2`, string(url), id)
	})
}

// Counts returns how many users, groups and clients there are, and how many
// live sessions and grants.
func (i *Issuer) Counts(ctx context.Context, now time.Time) (users, groups, clients, sessions, grants int, err error) {
	err = i.db.row(ctx, `SELECT (SELECT COUNT(*) FROM users WHERE issuer = $1), (SELECT COUNT(*) FROM user_groups WHERE issuer = $1),
		(SELECT COUNT(*) FROM clients WHERE issuer = $1), (SELECT COUNT(*) FROM sessions WHERE issuer = $1 AND expires_at > $2),
		(SELECT COUNT(*) FROM grants WHERE issuer = $1 AND expires_at > $2 AND ended_at = 0 AND redeemed_at <> 0)`,
		i.id, millis(now)).Scan(&users, &groups, &clients, &sessions, &grants)
	return users, groups, clients, sessions, grants, plain(err)
}

// Sweep deletes the sessions and grants that have expired, and the grants
// whose code nobody came for. If another process is at it, it leaves the rest
// to that one.
func (i *Issuer) Sweep(ctx context.Context, now time.Time) error {
	for _, expired := range []struct{ what, table, condition string }{
		{"sessions", "sessions", "expires_at <= $2"},
		// A redeemed grant is kept until it expires even if it was ended, so
		// that a replay is still told from a guess.
		{"grants", "grants", "expires_at <= $2"},
		{"codes", "grants", "redeemed_at = 0 AND code_expires_at <= $2"},
		{"devices", "device_requests", "expires_at <= $2"},
		{"identifiers", "spent_identifiers", "expires_at <= $2"},
	} {
		for more := true; more; {
			var swept int64
			err := i.db.write(ctx, func(tx *tx) error {
				swept = 0
				if ours, err := tx.alone(lockSweep); err != nil || !ours {
					return err
				}
				var err error
				// The condition stands there twice: a row may have been used
				// since it was found.
				swept, err = tx.changed(`DELETE FROM `+expired.table+` WHERE issuer = $1 AND `+expired.condition+` AND id IN (
					SELECT id FROM `+expired.table+` WHERE issuer = $1 AND `+expired.condition+` LIMIT $3)`, i.id, millis(now), sweepBatch)
				return err
			})
			if err != nil {
				return fmt.Errorf("sweeping %s: %w", expired.what, err)
			}
			more = swept == sweepBatch
		}
	}
	return nil
}

// sweepBatch is how many rows are deleted at once, so that nobody waits long
// for the rest of the writes.
const sweepBatch = 1000
