// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"database/sql"
	"errors"

	"github.com/tegata/tegata/internal/provider/session"
)

// AddSession implements [session.Storage].
func (i *Issuer) AddSession(ctx context.Context, s session.Session) error {
	return i.db.write(ctx, func(tx *tx) error {
		added, err := tx.changed(`INSERT INTO sessions (issuer, id, secret_hash, subject, auth_time, expires_at)
			SELECT issuer, $1, $2, subject, $3, $4 FROM users
			WHERE issuer = $5 AND subject = $6 AND epoch = $7 AND disabled = 0`,
			s.ID, s.SecretHash, millis(s.AuthTime), millis(s.ExpiresAt), i.id, string(s.Subject), s.Epoch)
		if err == nil && added == 0 {
			return session.ErrOvertaken
		}
		return err
	})
}

// SessionBySecretHash implements [session.Storage].
func (i *Issuer) SessionBySecretHash(ctx context.Context, hash string) (session.Session, error) {
	s := session.Session{SecretHash: hash}
	var authTime, expires int64
	err := i.db.row(ctx, `SELECT id, subject, auth_time, expires_at FROM sessions
		WHERE issuer = $1 AND secret_hash = $2`, i.id, hash).Scan(&s.ID, &s.Subject, &authTime, &expires)
	if errors.Is(err, sql.ErrNoRows) {
		return session.Session{}, session.ErrNotFound
	}
	s.AuthTime, s.ExpiresAt = fromMillis(authTime), fromMillis(expires)
	return s, plain(err)
}

// EndSession implements [session.Storage].
func (i *Issuer) EndSession(ctx context.Context, id string) error {
	return i.db.write(ctx, func(tx *tx) error {
		return tx.exec(`DELETE FROM sessions WHERE issuer = $1 AND id = $2`, i.id, id)
	})
}
