// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"database/sql"
	"errors"
	"strings"
	"time"

	"github.com/tegata/tegata/internal/oidc"
	"github.com/tegata/tegata/internal/provider/grant"
	"github.com/tegata/tegata/internal/provider/session"
)

const grantColumns = `id, client, subject, scopes, claims, session, auth_time, methods, device, address, created_at,
	expires_at, ended_at, redirect_uri, code_challenge, nonce, code_hash, code_expires_at, redeemed_at, generation, rotated_at`

func readGrant(row scanner) (grant.Grant, error) {
	var g grant.Grant
	var scopes, claims, methods string
	var authTime, created, expires, ended, codeExpires, redeemed, rotated int64
	err := row.Scan(&g.ID, &g.Client, &g.Subject, &scopes, &claims, &g.SessionID, &authTime, &methods, &g.Device.Name,
		&g.Device.Address, &created, &expires, &ended, &g.RedirectURI, &g.CodeChallenge, &g.Nonce, &g.CodeHash, &codeExpires,
		&redeemed, &g.Generation, &rotated)
	if errors.Is(err, sql.ErrNoRows) {
		return grant.Grant{}, grant.ErrNotFound
	}
	g.Scopes, g.Claims, g.Methods = oidc.ParseScopes(scopes), words(claims), words(methods)
	g.AuthTime, g.CreatedAt, g.ExpiresAt = fromMillis(authTime), fromMillis(created), fromMillis(expires)
	g.EndedAt, g.CodeExpiresAt = fromMillis(ended), fromMillis(codeExpires)
	g.RedeemedAt, g.RotatedAt = fromMillis(redeemed), fromMillis(rotated)
	return g, plain(err)
}

// AddGrant keeps a new grant, or returns session.ErrOvertaken if its session,
// if it has one, was ended in the meantime.
func (i *Issuer) AddGrant(ctx context.Context, g grant.Grant) error {
	return i.db.write(ctx, func(tx *tx) error {
		return i.addGrant(tx, g, `$7 = '' OR EXISTS (SELECT 1 FROM sessions WHERE issuer = $1 AND id = $7 AND subject = $4 FOR SHARE)`)
	})
}

// addGrant keeps a new grant if a condition holds, or returns
// session.ErrOvertaken. The condition's own arguments begin with $23.
func (i *Issuer) addGrant(tx *tx, g grant.Grant, condition string, args ...any) error {
	added, err := tx.changed(`INSERT INTO grants (issuer, `+grantColumns+`)
		SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22
		WHERE `+condition,
		append([]any{
			i.id, g.ID, string(g.Client), string(g.Subject), g.Scopes.String(), strings.Join(g.Claims, " "), g.SessionID,
			millis(g.AuthTime), strings.Join(g.Methods, " "), g.Device.Name, g.Device.Address, millis(g.CreatedAt),
			millis(g.ExpiresAt), millis(g.EndedAt), g.RedirectURI, g.CodeChallenge, g.Nonce, g.CodeHash,
			millis(g.CodeExpiresAt), millis(g.RedeemedAt), g.Generation, millis(g.RotatedAt),
		}, args...)...)
	if err == nil && added == 0 {
		return session.ErrOvertaken
	}
	return err
}

// Grant returns the grant, or grant.ErrNotFound.
func (i *Issuer) Grant(ctx context.Context, id string) (grant.Grant, error) {
	return readGrant(i.db.row(ctx, `SELECT `+grantColumns+` FROM grants WHERE issuer = $1 AND id = $2`, i.id, id))
}

// GrantFilter says which grants are meant.
type GrantFilter = grant.Filter

func (q *query) only(f GrantFilter) {
	if f.Subject != "" {
		q.and(`subject = `, string(f.Subject))
	}
	if f.Client != "" {
		q.and(`client = `, string(f.Client))
	}
}

// GrantList returns the live grants whose code was exchanged, the newest
// first, and where the list goes on.
func (i *Issuer) GrantList(ctx context.Context, filter GrantFilter, page Page, now time.Time) (grants []grant.Grant, next string, err error) {
	q := query{
		text: `SELECT ` + grantColumns + ` FROM grants WHERE issuer = $1 AND expires_at > $2 AND ended_at = 0 AND redeemed_at <> 0`,
		args: []any{i.id, millis(now)},
	}
	q.only(filter)
	if err := q.page("created_at", page); err != nil {
		return nil, "", err
	}
	grants = []grant.Grant{}
	err = i.db.each(ctx, func(row scanner) error {
		g, err := readGrant(row)
		grants = append(grants, g)
		return err
	}, q.text, q.args...)
	if page.Limit > 0 && len(grants) > page.Limit {
		grants = grants[:page.Limit]
		last := grants[page.Limit-1]
		next = cursor(last.CreatedAt, last.ID)
	}
	return grants, next, err
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

// EndGrants ends all grants that the filter means, and returns how many lived.
// A code that nobody came for yet ends with them.
func (i *Issuer) EndGrants(ctx context.Context, filter GrantFilter, now time.Time) (ended int64, err error) {
	q := query{
		text: `UPDATE grants SET ended_at = $1 WHERE issuer = $2 AND ended_at = 0 AND expires_at > $1`,
		args: []any{millis(now), i.id},
	}
	q.only(filter)
	err = i.db.write(ctx, func(tx *tx) error {
		ended, err = tx.changed(q.text, q.args...)
		return err
	})
	return ended, err
}
