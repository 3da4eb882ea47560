// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/tegata/tegata/internal/identity"
	"github.com/tegata/tegata/internal/oidc"
)

// Remember implements [identity.Memory].
func (i *Issuer) Remember(ctx context.Context, r identity.Remembered) (identity.User, error) {
	user := r.User
	groups, err := json.Marshal(user.Groups)
	if err != nil {
		return identity.User{}, err
	}
	attributes, err := json.Marshal(user.Attributes)
	if err != nil {
		return identity.User{}, err
	}
	// An address that nobody has checked names nobody.
	emailKey := ""
	if user.EmailVerified {
		emailKey = strings.ToLower(user.Email)
	}
	err = i.db.write(ctx, func(tx *tx) error {
		if err := i.makeRoom(tx, r, emailKey); err != nil {
			return err
		}
		var disabled int
		err := tx.row(`INSERT INTO users (issuer, subject, source, username, username_key, email, email_key, email_verified,
			name, disabled, epoch, declared, created_at, password_hash, password_changed_at, password_expires_at, must_change,
			former_passwords, failures, locked_until, source_groups, attributes, confirmed_at, sealed_upstream, asking_until)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 0, 0, 0, $10, '', 0, 0, 0, '', 0, 0, $11, $12, $10, $13, 0)
			ON CONFLICT (issuer, subject) DO UPDATE SET username = excluded.username, username_key = excluded.username_key,
			email = excluded.email, email_key = excluded.email_key, email_verified = excluded.email_verified, name = excluded.name,
			source_groups = excluded.source_groups, attributes = excluded.attributes, confirmed_at = excluded.confirmed_at,
			sealed_upstream = excluded.sealed_upstream, asking_until = 0
			WHERE users.source = excluded.source
			RETURNING disabled, epoch`,
			i.id, string(user.Subject), user.Source, user.Username, strings.ToLower(user.Username), user.Email, emailKey,
			oneIf(user.EmailVerified), user.Name, millis(r.ConfirmedAt), string(groups), string(attributes), r.Sealed,
		).Scan(&disabled, &user.Epoch)
		if errors.Is(err, sql.ErrNoRows) {
			return &identity.NameTakenError{What: "subject", Name: string(user.Subject), Source: "another source"}
		}
		user.Disabled = disabled == 1
		return err
	})
	return user, err
}

// makeRoom looks whether others have the names of the user. Of a source that
// gives names itself they have them no longer; else they keep them.
func (i *Issuer) makeRoom(tx *tx, r identity.Remembered, emailKey string) error {
	user := r.User
	for _, name := range []struct{ what, column, key, shown, empty string }{
		{"user name", "username_key", strings.ToLower(user.Username), user.Username, `'/' || subject`},
		{"e-mail address", "email_key", emailKey, user.Email, `''`},
	} {
		if name.key == "" {
			continue
		}
		var subject, source string
		err := tx.row(`SELECT subject, source FROM users WHERE issuer = $1 AND `+name.column+` = $2 AND subject <> $3`,
			i.id, name.key, string(user.Subject)).Scan(&subject, &source)
		switch {
		case errors.Is(err, sql.ErrNoRows):
			continue
		case err != nil:
			return err
		case source != user.Source || !r.OwnNames:
			return &identity.NameTakenError{What: name.what, Name: name.shown, Source: source}
		}
		if err := tx.exec(`UPDATE users SET `+name.column+` = `+name.empty+` WHERE issuer = $1 AND subject = $2`, i.id, subject); err != nil {
			return err
		}
	}
	return nil
}

// Recall implements [identity.Memory].
func (i *Issuer) Recall(ctx context.Context, subject oidc.Subject) (identity.Remembered, error) {
	r := identity.Remembered{User: identity.User{Subject: subject}}
	var verified, disabled int
	var confirmed int64
	var groups, attributes string
	err := i.db.row(ctx, `SELECT source, username, email, email_verified, name, disabled, epoch, source_groups, attributes,
		confirmed_at, sealed_upstream FROM users WHERE issuer = $1 AND subject = $2`, i.id, string(subject)).Scan(
		&r.User.Source, &r.User.Username, &r.User.Email, &verified, &r.User.Name, &disabled, &r.User.Epoch, &groups, &attributes,
		&confirmed, &r.Sealed)
	if errors.Is(err, sql.ErrNoRows) {
		return identity.Remembered{}, identity.ErrNotFound
	}
	if err != nil {
		return identity.Remembered{}, plain(err)
	}
	r.User.EmailVerified, r.User.Disabled, r.ConfirmedAt = verified == 1, disabled == 1, fromMillis(confirmed)
	return r, readRemembered(&r.User, groups, attributes)
}

// readRemembered fills in what is kept as JSON; local accounts have none.
func readRemembered(user *identity.User, groups, attributes string) error {
	for text, into := range map[string]any{groups: &user.Groups, attributes: &user.Attributes} {
		if text == "" {
			continue
		}
		if err := json.Unmarshal([]byte(text), into); err != nil {
			return fmt.Errorf("what is kept of the user %s cannot be read: %w", user.Subject, err)
		}
	}
	return nil
}

// Doubt implements [identity.Memory].
func (i *Issuer) Doubt(ctx context.Context, subject oidc.Subject) error {
	return i.db.write(ctx, func(tx *tx) error {
		return tx.exec(`UPDATE users SET confirmed_at = 0, sealed_upstream = '', asking_until = 0 WHERE issuer = $1 AND subject = $2`,
			i.id, string(subject))
	})
}

// Ask implements [identity.Memory].
func (i *Issuer) Ask(ctx context.Context, subject oidc.Subject, now, until time.Time) (mine bool, err error) {
	err = i.db.write(ctx, func(tx *tx) error {
		changed, err := tx.changed(`UPDATE users SET asking_until = $1 WHERE issuer = $2 AND subject = $3 AND asking_until <= $4`,
			millis(until), i.id, string(subject), millis(now))
		mine = changed == 1
		return err
	})
	return mine && err == nil, err
}
