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
	"github.com/tegata/tegata/internal/provider/session"
)

const sessionColumns = `id, secret_hash, subject, auth_time, methods, device, address, used_at, expires_at, ends_at`

func readSession(row scanner) (session.Session, error) {
	var s session.Session
	var methods string
	var authTime, used, expires, ends int64
	err := row.Scan(&s.ID, &s.SecretHash, &s.Subject, &authTime, &methods, &s.Device.Name, &s.Device.Address, &used, &expires, &ends)
	if errors.Is(err, sql.ErrNoRows) {
		return session.Session{}, session.ErrNotFound
	}
	s.AuthTime, s.UsedAt = fromMillis(authTime), fromMillis(used)
	s.ExpiresAt, s.EndsAt = fromMillis(expires), fromMillis(ends)
	s.Methods = words(methods)
	return s, plain(err)
}

// words reads a list that is kept as text.
func words(text string) []string {
	if text == "" {
		return nil
	}
	return strings.Fields(text)
}

// AddSession implements [session.Storage].
func (i *Issuer) AddSession(ctx context.Context, s session.Session) error {
	return i.db.write(ctx, func(tx *tx) error {
		added, err := tx.changed(`INSERT INTO sessions (issuer, id, secret_hash, subject, auth_time, methods, device, address,
			used_at, expires_at, ends_at)
			SELECT issuer, $1, $2, subject, $3, $4, $5, $6, $7, $8, $9 FROM users
			WHERE issuer = $10 AND subject = $11 AND epoch = $12 AND disabled = 0 FOR SHARE
			ON CONFLICT (issuer, id) DO UPDATE SET secret_hash = excluded.secret_hash, auth_time = excluded.auth_time,
			methods = excluded.methods, device = excluded.device, address = excluded.address, used_at = excluded.used_at,
			expires_at = excluded.expires_at, ends_at = excluded.ends_at
			WHERE sessions.subject = excluded.subject`,
			s.ID, s.SecretHash, millis(s.AuthTime), strings.Join(s.Methods, " "), s.Device.Name, s.Device.Address,
			millis(s.UsedAt), millis(s.ExpiresAt), millis(s.EndsAt), i.id, string(s.Subject), s.Epoch)
		if err == nil && added == 0 {
			return session.ErrOvertaken
		}
		return err
	})
}

// SessionBySecretHash implements [session.Storage].
func (i *Issuer) SessionBySecretHash(ctx context.Context, hash string) (session.Session, error) {
	return readSession(i.db.row(ctx, `SELECT `+sessionColumns+` FROM sessions WHERE issuer = $1 AND secret_hash = $2`, i.id, hash))
}

// Session returns the session of that ID, or session.ErrNotFound.
func (i *Issuer) Session(ctx context.Context, id string) (session.Session, error) {
	return readSession(i.db.row(ctx, `SELECT `+sessionColumns+` FROM sessions WHERE issuer = $1 AND id = $2`, i.id, id))
}

// SessionList returns the live sessions of a subject, or of everybody if it is
// empty, the newest first, and where the list goes on.
func (i *Issuer) SessionList(ctx context.Context, subject oidc.Subject, page Page, now time.Time) (sessions []session.Session, next string, err error) {
	q := query{text: `SELECT ` + sessionColumns + ` FROM sessions WHERE issuer = $1 AND expires_at > $2`, args: []any{i.id, millis(now)}}
	if subject != "" {
		q.and(`subject = `, string(subject))
	}
	if err := q.page("auth_time", page); err != nil {
		return nil, "", err
	}
	sessions = []session.Session{}
	err = i.db.each(ctx, func(row scanner) error {
		s, err := readSession(row)
		sessions = append(sessions, s)
		return err
	}, q.text, q.args...)
	if page.Limit > 0 && len(sessions) > page.Limit {
		sessions = sessions[:page.Limit]
		last := sessions[page.Limit-1]
		next = cursor(last.AuthTime, last.ID)
	}
	return sessions, next, err
}

// UseSession implements [session.Storage].
func (i *Issuer) UseSession(ctx context.Context, s session.Session) error {
	return i.db.write(ctx, func(tx *tx) error {
		return tx.exec(`UPDATE sessions SET used_at = $1, expires_at = $2 WHERE issuer = $3 AND id = $4 AND used_at < $1`,
			millis(s.UsedAt), millis(s.ExpiresAt), i.id, s.ID)
	})
}

// EndSession implements [session.Storage].
func (i *Issuer) EndSession(ctx context.Context, id string) error {
	return i.db.write(ctx, func(tx *tx) error {
		return tx.exec(`DELETE FROM sessions WHERE issuer = $1 AND id = $2`, i.id, id)
	})
}

// LogOut ends a session and the grants that were made in it, except those
// that may go on offline (OpenID Connect Back-Channel Logout 1.0, section
// 2.7). It returns the clients that were granted something in the session.
func (i *Issuer) LogOut(ctx context.Context, id string, now time.Time) ([]oidc.ClientID, error) {
	err := i.db.write(ctx, func(tx *tx) error {
		// The session first: from then on nothing more is granted in it.
		if err := tx.exec(`DELETE FROM sessions WHERE issuer = $1 AND id = $2`, i.id, id); err != nil {
			return err
		}
		return tx.exec(`UPDATE grants SET ended_at = $1 WHERE issuer = $2 AND session = $3 AND ended_at = 0
			AND ' ' || scopes || ' ' NOT LIKE '% offline\_access %' ESCAPE '\'`, millis(now), i.id, id)
	})
	if err != nil {
		return nil, err
	}
	clients := []oidc.ClientID{}
	err = i.db.each(ctx, func(row scanner) error {
		var client oidc.ClientID
		err := row.Scan(&client)
		clients = append(clients, client)
		return err
	}, `SELECT DISTINCT client FROM grants WHERE issuer = $1 AND session = $2 AND redeemed_at <> 0 ORDER BY client`, i.id, id)
	return clients, err
}
