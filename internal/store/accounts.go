// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"database/sql"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/tegata/tegata/internal/identity"
	"github.com/tegata/tegata/internal/identity/local"
	"github.com/tegata/tegata/internal/oidc"
)

const accountColumns = `subject, source, username, email, email_verified, name, password_hash, disabled, epoch, declared,
	password_changed_at, password_expires_at, must_change, former_passwords, failures, locked_until, source_groups, attributes`

func readAccount(row scanner) (local.Account, error) {
	var a local.Account
	var verified, disabled, declared, mustChange int
	var changed, expires, locked int64
	var former, groups, attributes string
	err := row.Scan(&a.Subject, &a.Source, &a.Username, &a.Email, &verified, &a.Name, &a.PasswordHash, &disabled, &a.Epoch, &declared,
		&changed, &expires, &mustChange, &former, &a.Password.Failures, &locked, &groups, &attributes)
	if errors.Is(err, sql.ErrNoRows) {
		return local.Account{}, identity.ErrNotFound
	}
	if err != nil {
		return local.Account{}, plain(err)
	}
	a.EmailVerified, a.Disabled, a.Declared, a.Password.MustChange = verified == 1, disabled == 1, declared == 1, mustChange == 1
	a.Password.ChangedAt, a.Password.ExpiresAt, a.Password.LockedUntil = fromMillis(changed), fromMillis(expires), fromMillis(locked)
	a.Password.Former = words(former)
	return a, readRemembered(&a.User, groups, attributes)
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
	return i.withGroups(ctx, account, err)
}

// AccountBySubject implements [local.Accounts].
func (i *Issuer) AccountBySubject(ctx context.Context, subject oidc.Subject) (local.Account, error) {
	account, err := readAccount(i.db.row(ctx, `SELECT `+accountColumns+` FROM users
		WHERE issuer = $1 AND subject = $2`, i.id, string(subject)))
	return i.withGroups(ctx, account, err)
}

// withGroups adds the groups of a local account. Those of another one came
// with it, as its source said last.
func (i *Issuer) withGroups(ctx context.Context, account local.Account, err error) (local.Account, error) {
	if err != nil || account.Source != local.SourceName {
		return account, err
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
	accounts, _, err := i.AccountPage(ctx, AccountFilter{}, Page{})
	return accounts, err
}

// AccountFilter says which accounts are meant.
type AccountFilter = local.Filter

// AccountPage returns accounts of all sources with their groups, ordered by
// user name, and where the list goes on.
func (i *Issuer) AccountPage(ctx context.Context, filter AccountFilter, page Page) (accounts []local.Account, next string, err error) {
	after, err := base64.RawURLEncoding.DecodeString(page.After)
	if err != nil {
		return nil, "", ErrPage
	}
	q := query{text: `SELECT username_key, ` + accountColumns + ` FROM users WHERE issuer = $1`, args: []any{i.id}}
	if filter.Source != "" {
		q.and(`source = `, filter.Source)
	}
	if filter.Group != "" {
		q.args = append(q.args, filter.Group)
		q.text += ` AND subject IN (SELECT subject FROM group_members WHERE issuer = $1 AND group_name = $` + strconv.Itoa(len(q.args)) + `)`
	}
	if filter.Search != "" {
		part := "%" + strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`).Replace(filter.Search) + "%"
		q.args = append(q.args, strings.ToLower(part), part)
		lower, typed := `$`+strconv.Itoa(len(q.args)-1), `$`+strconv.Itoa(len(q.args))
		// The full name has no key; letters beyond ASCII are found as typed.
		q.text += ` AND (username_key LIKE ` + lower + ` ESCAPE '\' OR email_key LIKE ` + lower + ` ESCAPE '\'
			OR LOWER(name) LIKE ` + lower + ` ESCAPE '\' OR name LIKE ` + typed + ` ESCAPE '\')`
	}
	if len(after) > 0 {
		q.and(`username_key > `, string(after))
	}
	q.text += ` ORDER BY username_key`
	if page.Limit > 0 {
		q.args = append(q.args, page.Limit+1)
		q.text += ` LIMIT $` + strconv.Itoa(len(q.args))
	}
	accounts, keys := []local.Account{}, []string{}
	err = i.db.each(ctx, func(row scanner) error {
		var key string
		account, err := readAccount(keyed{row, &key})
		accounts, keys = append(accounts, account), append(keys, key)
		return err
	}, q.text, q.args...)
	if err != nil || len(accounts) == 0 {
		return accounts, "", err
	}
	if page.Limit > 0 && len(accounts) > page.Limit {
		accounts, keys = accounts[:page.Limit], keys[:page.Limit]
		next = base64.RawURLEncoding.EncodeToString([]byte(keys[page.Limit-1]))
	}
	return accounts, next, i.addGroups(ctx, accounts, keys[0], keys[len(keys)-1])
}

// keyed is a row whose first column is another one's.
type keyed struct {
	scanner
	key *string
}

// Scan implements [scanner].
func (k keyed) Scan(into ...any) error { return k.scanner.Scan(append([]any{k.key}, into...)...) }

// addGroups fills in the groups of local accounts, whose user names are in a
// range.
func (i *Issuer) addGroups(ctx context.Context, accounts []local.Account, first, last string) error {
	members := map[oidc.Subject][]string{}
	err := i.db.each(ctx, func(row scanner) error {
		var subject oidc.Subject
		var group string
		if err := row.Scan(&subject, &group); err != nil {
			return err
		}
		members[subject] = append(members[subject], group)
		return nil
	}, `SELECT m.subject, m.group_name FROM users u JOIN group_members m ON m.issuer = u.issuer AND m.subject = u.subject
		WHERE u.issuer = $1 AND u.username_key >= $2 AND u.username_key <= $3 ORDER BY m.subject, m.group_name`, i.id, first, last)
	for n := range accounts {
		if a := &accounts[n]; a.Source == local.SourceName {
			a.Groups = append([]string{}, members[a.Subject]...)
		}
	}
	return err
}

// Usernames returns the names of those subjects that are users.
func (i *Issuer) Usernames(ctx context.Context, subjects []oidc.Subject) (map[oidc.Subject]string, error) {
	names := map[oidc.Subject]string{}
	if len(subjects) == 0 {
		return names, nil
	}
	places, args := []string{}, []any{i.id}
	for _, subject := range subjects {
		args = append(args, string(subject))
		places = append(places, `$`+strconv.Itoa(len(args)))
	}
	err := i.db.each(ctx, func(row scanner) error {
		var subject oidc.Subject
		var name string
		err := row.Scan(&subject, &name)
		names[subject] = name
		return err
	}, `SELECT subject, username FROM users WHERE issuer = $1 AND subject IN (`+strings.Join(places, `, `)+`)`, args...)
	return names, err
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
	changed := int64(0)
	if a.PasswordHash != "" {
		changed = millis(now)
	}
	err := tx.exec(`INSERT INTO users (issuer, subject, source, username, username_key, email, email_key, email_verified,
		name, disabled, epoch, declared, created_at, password_hash, password_changed_at, password_expires_at, must_change,
		former_passwords, failures, locked_until, source_groups, attributes, confirmed_at, sealed_upstream, asking_until)
		VALUES ($1, $2, '`+local.SourceName+`', $3, $4, $5, $6, $7, $8, $9, 0, $10, $11, $12, $13, $14, $15, '', 0, 0, '', '', 0, '', 0)`,
		i.id, string(a.Subject), a.Username, strings.ToLower(a.Username), a.Email, strings.ToLower(a.Email),
		oneIf(a.EmailVerified), a.Name, oneIf(a.Disabled), oneIf(a.Declared), millis(now), a.PasswordHash, changed,
		millis(a.Password.ExpiresAt), oneIf(a.Password.MustChange))
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

// SetPassword implements [local.Accounts].
func (i *Issuer) SetPassword(ctx context.Context, subject oidc.Subject, p local.NewPassword, now time.Time) error {
	return i.db.write(ctx, func(tx *tx) error { return i.setPassword(tx, subject, anyEpoch, p, now) })
}

// ReplacePassword implements [local.Accounts].
func (i *Issuer) ReplacePassword(ctx context.Context, subject oidc.Subject, epoch int64, p local.NewPassword, now time.Time) error {
	return i.db.write(ctx, func(tx *tx) error { return i.setPassword(tx, subject, epoch, p, now) })
}

const anyEpoch = -1

func (i *Issuer) setPassword(tx *tx, subject oidc.Subject, epoch int64, p local.NewPassword, now time.Time) error {
	var hash, former string
	var is int64
	err := tx.row(`SELECT password_hash, former_passwords, epoch FROM users WHERE issuer = $1 AND subject = $2
		AND source = '`+local.SourceName+`' FOR NO KEY UPDATE`, i.id, string(subject)).Scan(&hash, &former, &is)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return identity.ErrNotFound
	case err != nil:
		return err
	case epoch != anyEpoch && epoch != is:
		return local.ErrOvertaken
	}
	had := words(hash + " " + former)
	err = tx.exec(`UPDATE users SET password_hash = $1, password_changed_at = $2, password_expires_at = $3, must_change = $4,
		former_passwords = $5, failures = 0, locked_until = 0 WHERE issuer = $6 AND subject = $7`,
		p.Hash, millis(now), millis(p.ExpiresAt), oneIf(p.MustChange), strings.Join(had[:min(len(had), p.Former)], " "), i.id, string(subject))
	if err != nil {
		return err
	}
	return i.endEverything(tx, subject, now)
}

// CountFailure implements [local.Accounts]. It is one statement, so that none
// of many at once is lost, on however many servers.
func (i *Issuer) CountFailure(ctx context.Context, subject oidc.Subject, most int, now, until time.Time) (locked bool, err error) {
	err = i.db.write(ctx, func(tx *tx) error {
		var lockedUntil int64
		err := tx.row(`UPDATE users SET
			failures = CASE WHEN locked_until <> 0 THEN 1 ELSE failures + 1 END,
			locked_until = CASE WHEN (CASE WHEN locked_until <> 0 THEN 1 ELSE failures + 1 END) >= $1 THEN CAST($2 AS BIGINT) ELSE 0 END
			WHERE issuer = $3 AND subject = $4 AND locked_until <= $5 RETURNING locked_until`,
			most, millis(until), i.id, string(subject), millis(now)).Scan(&lockedUntil)
		if errors.Is(err, sql.ErrNoRows) { // gone, or locked
			locked = false
			return nil
		}
		locked = lockedUntil != 0
		return err
	})
	return locked && err == nil, err
}

// ForgetFailures implements [local.Accounts].
func (i *Issuer) ForgetFailures(ctx context.Context, subject oidc.Subject) error {
	return i.db.write(ctx, func(tx *tx) error {
		return tx.exec(`UPDATE users SET failures = 0, locked_until = 0 WHERE issuer = $1 AND subject = $2 AND (failures <> 0 OR locked_until <> 0)`,
			i.id, string(subject))
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

// DeleteAccount forgets a user, with all sessions, grants and memberships. It
// returns [local.ErrKeptOut] for a disabled user of another source.
func (i *Issuer) DeleteAccount(ctx context.Context, subject oidc.Subject, now time.Time) error {
	return i.db.write(ctx, func(tx *tx) error {
		var source string
		var disabled int
		err := tx.row(`SELECT source, disabled FROM users WHERE issuer = $1 AND subject = $2 FOR NO KEY UPDATE`,
			i.id, string(subject)).Scan(&source, &disabled)
		switch {
		case errors.Is(err, sql.ErrNoRows):
			return identity.ErrNotFound
		case err != nil:
			return err
		case disabled == 1 && source != local.SourceName:
			return fmt.Errorf("%w: the source is %s", local.ErrKeptOut, source)
		}
		if err := tx.exec(`DELETE FROM users WHERE issuer = $1 AND subject = $2`, i.id, string(subject)); err != nil {
			return err
		}
		return i.endEverything(tx, subject, now)
	})
}

// EndLogins ends all sessions and grants of a user, of whatever source.
func (i *Issuer) EndLogins(ctx context.Context, subject oidc.Subject, now time.Time) error {
	return i.db.write(ctx, func(tx *tx) error { return i.endEverything(tx, subject, now) })
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
