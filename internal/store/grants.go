// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/tegata/tegata/internal/oidc"
	"github.com/tegata/tegata/internal/provider/grant"
	"github.com/tegata/tegata/internal/provider/session"
)

// AddGrant keeps a new grant, or returns session.ErrOvertaken if its session,
// if it has one, was ended in the meantime.
func (i *Issuer) AddGrant(ctx context.Context, g grant.Grant) error {
	return i.db.write(ctx, func(tx *tx) error {
		added, err := tx.changed(`INSERT INTO grants (issuer, id, client, subject, scopes, session, auth_time, created_at,
			expires_at, ended_at, redirect_uri, code_challenge, nonce, code_hash, code_expires_at, redeemed_at,
			generation, rotated_at)
			SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18
			WHERE $6 = '' OR EXISTS (SELECT 1 FROM sessions WHERE issuer = $1 AND id = $6 AND subject = $4)`,
			i.id, g.ID, string(g.Client), string(g.Subject), g.Scopes.String(), g.SessionID, millis(g.AuthTime),
			millis(g.CreatedAt), millis(g.ExpiresAt), millis(g.EndedAt), g.RedirectURI, g.CodeChallenge, g.Nonce,
			g.CodeHash, millis(g.CodeExpiresAt), millis(g.RedeemedAt), g.Generation, millis(g.RotatedAt))
		if err == nil && added == 0 {
			return session.ErrOvertaken
		}
		return err
	})
}

// Grant returns the grant, or grant.ErrNotFound.
func (i *Issuer) Grant(ctx context.Context, id string) (grant.Grant, error) {
	g := grant.Grant{ID: id}
	var scopes string
	var authTime, created, expires, ended, codeExpires, redeemed, rotated int64
	err := i.db.row(ctx, `SELECT client, subject, scopes, session, auth_time, created_at, expires_at, ended_at,
		redirect_uri, code_challenge, nonce, code_hash, code_expires_at, redeemed_at, generation, rotated_at
		FROM grants WHERE issuer = $1 AND id = $2`, i.id, id).
		Scan(&g.Client, &g.Subject, &scopes, &g.SessionID, &authTime, &created, &expires, &ended,
			&g.RedirectURI, &g.CodeChallenge, &g.Nonce, &g.CodeHash, &codeExpires, &redeemed, &g.Generation, &rotated)
	if errors.Is(err, sql.ErrNoRows) {
		return grant.Grant{}, grant.ErrNotFound
	}
	if err != nil {
		return grant.Grant{}, plain(err)
	}
	g.Scopes = oidc.ParseScopes(scopes)
	g.AuthTime, g.CreatedAt, g.ExpiresAt = fromMillis(authTime), fromMillis(created), fromMillis(expires)
	g.EndedAt, g.CodeExpiresAt = fromMillis(ended), fromMillis(codeExpires)
	g.RedeemedAt, g.RotatedAt = fromMillis(redeemed), fromMillis(rotated)
	return g, nil
}

// RedeemCode marks the code of a live grant as used; its first refresh token
// becomes the newest. If it was used before, it returns grant.ErrCodeUsed.
func (i *Issuer) RedeemCode(ctx context.Context, id string, now time.Time) error {
	return i.db.write(ctx, func(tx *tx) error {
		changed, err := tx.changed(`UPDATE grants SET redeemed_at = $1, generation = 1, rotated_at = $1
			WHERE issuer = $2 AND id = $3 AND redeemed_at = 0 AND ended_at = 0`, millis(now), i.id, id)
		if err == nil && changed == 0 {
			return grant.ErrCodeUsed
		}
		return err
	})
}

// RotateRefreshToken makes the refresh token after generation from the
// newest. If it is not the newest any more, or the grant was ended, it
// returns grant.ErrSuperseded.
func (i *Issuer) RotateRefreshToken(ctx context.Context, id string, from int, now time.Time) error {
	return i.db.write(ctx, func(tx *tx) error {
		changed, err := tx.changed(`UPDATE grants SET generation = generation + 1, rotated_at = $1
			WHERE issuer = $2 AND id = $3 AND generation = $4 AND ended_at = 0`, millis(now), i.id, id, from)
		if err == nil && changed == 0 {
			return grant.ErrSuperseded
		}
		return err
	})
}

// EndGrant ends a grant; none of its tokens is renewed any more. To end it
// twice is no error.
func (i *Issuer) EndGrant(ctx context.Context, id string, now time.Time) error {
	return i.db.write(ctx, func(tx *tx) error {
		return tx.exec(`UPDATE grants SET ended_at = $1 WHERE issuer = $2 AND id = $3 AND ended_at = 0`,
			millis(now), i.id, id)
	})
}
