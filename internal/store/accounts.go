// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/tegata/tegata/internal/identity"
	"github.com/tegata/tegata/internal/identity/local"
	"github.com/tegata/tegata/internal/oidc"
)

const accountColumns = `subject, source, username, email, email_verified, name, password_hash, disabled, epoch, declared`

func readAccount(row scanner) (local.Account, error) {
	var a local.Account
	var verified, disabled, declared int
	err := row.Scan(&a.Subject, &a.Source, &a.Username, &a.Email, &verified, &a.Name, &a.PasswordHash, &disabled, &a.Epoch, &declared)
	if errors.Is(err, sql.ErrNoRows) {
		return local.Account{}, identity.ErrNotFound
	}
	a.EmailVerified, a.Disabled, a.Declared = verified == 1, disabled == 1, declared == 1
	return a, plain(err)
}

// AccountByLogin implements [local.Accounts].
func (i *Issuer) AccountByLogin(ctx context.Context, login string) (local.Account, error) {
	key := strings.ToLower(login)
	if key == "" {
		return local.Account{}, identity.ErrNotFound
	}
	column := "username_key"
	if strings.Contains(key, "@") { // a local user name has none
		column = "email_key"
	}
	account, err := readAccount(i.db.row(ctx, `SELECT `+accountColumns+` FROM users
		WHERE issuer = $1 AND `+column+` = $2`, i.id, key))
	if errors.Is(err, identity.ErrNotFound) && column == "email_key" {
		account, err = readAccount(i.db.row(ctx, `SELECT `+accountColumns+` FROM users
			WHERE issuer = $1 AND username_key = $2`, i.id, key))
	}
	if err != nil {
		return local.Account{}, err
	}
	account.Groups, err = i.groupsOf(ctx, account.Subject)
	return account, err
}

// AccountBySubject implements [local.Accounts].
func (i *Issuer) AccountBySubject(ctx context.Context, subject oidc.Subject) (local.Account, error) {
	account, err := readAccount(i.db.row(ctx, `SELECT `+accountColumns+` FROM users
		WHERE issuer = $1 AND subject = $2`, i.id, string(subject)))
	if err != nil {
		return local.Account{}, err
	}
	account.Groups, err = i.groupsOf(ctx, account.Subject)
	return account, err
}

func (i *Issuer) groupsOf(ctx context.Context, subject oidc.Subject) ([]string, error) {
	groups := []string{}
	err := i.db.each(ctx, func(row scanner) error {
		var name string
		if err := row.Scan(&name); err != nil {
			return err
		}
		groups = append(groups, name)
		return nil
	}, `SELECT group_name FROM group_members WHERE issuer = $1 AND subject = $2 ORDER BY group_name`, i.id, string(subject))
	return groups, err
}

// AccountList returns all accounts with their groups, ordered by user name.
func (i *Issuer) AccountList(ctx context.Context) ([]local.Account, error) {
	members := map[oidc.Subject][]string{}
	err := i.db.each(ctx, func(row scanner) error {
		var subject oidc.Subject
		var group string
		if err := row.Scan(&subject, &group); err != nil {
			return err
		}
		members[subject] = append(members[subject], group)
		return nil
	}, `SELECT subject, group_name FROM group_members WHERE issuer = $1 ORDER BY subject, group_name`, i.id)
	if err != nil {
		return nil, err
	}
	accounts := []local.Account{}
	err = i.db.each(ctx, func(row scanner) error {
		account, err := readAccount(row)
		account.Groups = append([]string{}, members[account.Subject]...)
		accounts = append(accounts, account)
		return err
	}, `SELECT `+accountColumns+` FROM users WHERE issuer = $1 ORDER BY username_key`, i.id)
	return accounts, err
}

// AddAccount keeps a new user, or returns ErrExists. Its groups must exist.
func (i *Issuer) AddAccount(ctx context.Context, account local.Account, now time.Time) error {
	return i.db.write(ctx, func(tx *tx) error {
		if err := i.addAccount(tx, account, now); err != nil {
			return err
		}
		for _, group := range account.Groups {
			if err := i.addMember(tx, group, account.Subject); err != nil {
				return err
			}
		}
		return nil
	})
}

func (i *Issuer) addAccount(tx *tx, a local.Account, now time.Time) error {
	err := tx.exec(`INSERT INTO users (issuer, subject, source, username, username_key, email, email_key, email_verified,
		name, disabled, epoch, declared, created_at, password_hash, password_changed_at, password_expires_at, must_change,
		former_passwords, failures, locked_until, source_groups, attributes, confirmed_at, sealed_upstream, asking_until)
		VALUES ($1, $2, '`+local.SourceName+`', $3, $4, $5, $6, $7, $8, $9, 0, $10, $11, $12, $11, 0, 0, '', 0, 0, '', '', 0, '', 0)`,
		i.id, string(a.Subject), a.Username, strings.ToLower(a.Username), a.Email, strings.ToLower(a.Email),
		oneIf(a.EmailVerified), a.Name, oneIf(a.Disabled), oneIf(a.Declared), millis(now), a.PasswordHash)
	if conflict(err) {
		return fmt.Errorf("a user with the name %q or the e-mail address %q %w", a.Username, a.Email, ErrExists)
	}
	return err
}

// UpgradePasswordHash implements [local.Accounts].
func (i *Issuer) UpgradePasswordHash(ctx context.Context, subject oidc.Subject, old, upgraded string) error {
	return i.db.write(ctx, func(tx *tx) error {
		return tx.exec(`UPDATE users SET password_hash = $1 WHERE issuer = $2 AND subject = $3 AND password_hash = $4`,
			upgraded, i.id, string(subject), old)
	})
}

// SetPasswordHash sets the password of a user and ends all sessions and
// grants that stand on the old one.
func (i *Issuer) SetPasswordHash(ctx context.Context, subject oidc.Subject, hash string, now time.Time) error {
	return i.db.write(ctx, func(tx *tx) error {
		if err := mustChange(tx.changed(`UPDATE users SET password_hash = $1 WHERE issuer = $2 AND subject = $3`,
			hash, i.id, string(subject))); err != nil {
			return err
		}
		return i.endEverything(tx, subject, now)
	})
}

// SetDisabled disables or enables a user. To disable ends all sessions and
// grants of the user.
func (i *Issuer) SetDisabled(ctx context.Context, subject oidc.Subject, disabled bool, now time.Time) error {
	return i.db.write(ctx, func(tx *tx) error {
		if err := mustChange(tx.changed(`UPDATE users SET disabled = $1 WHERE issuer = $2 AND subject = $3`,
			oneIf(disabled), i.id, string(subject))); err != nil || !disabled {
			return err
		}
		return i.endEverything(tx, subject, now)
	})
}

// DeleteAccount forgets a user, with all sessions, grants and memberships.
func (i *Issuer) DeleteAccount(ctx context.Context, subject oidc.Subject, now time.Time) error {
	return i.db.write(ctx, func(tx *tx) error {
		if err := mustChange(tx.changed(`DELETE FROM users WHERE issuer = $1 AND subject = $2`, i.id, string(subject))); err != nil {
			return err
		}
		return i.endEverything(tx, subject, now)
	})
}

// endEverything ends all sessions and grants of a user, and those that a
// login under way is about to begin.
func (i *Issuer) endEverything(tx *tx, subject oidc.Subject, now time.Time) error {
	if err := tx.exec(`UPDATE users SET epoch = epoch + 1 WHERE issuer = $1 AND subject = $2`, i.id, string(subject)); err != nil {
		return err
	}
	if err := tx.exec(`DELETE FROM sessions WHERE issuer = $1 AND subject = $2`, i.id, string(subject)); err != nil {
		return err
	}
	return tx.exec(`UPDATE grants SET ended_at = $1 WHERE issuer = $2 AND subject = $3 AND ended_at = 0`,
		millis(now), i.id, string(subject))
}

func mustChange(changed int64, err error) error {
	if err == nil && changed == 0 {
		return identity.ErrNotFound
	}
	return err
}
