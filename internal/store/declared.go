// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/tegata/tegata/internal/clientregistry"
	"github.com/tegata/tegata/internal/identity"
	"github.com/tegata/tegata/internal/identity/local"
	"github.com/tegata/tegata/internal/oidc"
)

// Declaration is what a configuration file declares of one issuer. A user
// without a Subject keeps the one that it has, or gets a new one.
type Declaration struct {
	Users   []local.Account
	Groups  []Group // members by user name; they may be users that are not declared
	Clients []clientregistry.Client
}

// DeclarationError means that the file declares what cannot be.
type DeclarationError struct{ reason error }

// Error implements [error].
func (e *DeclarationError) Error() string { return e.reason.Error() }

// Declare makes the declared rows what the file says, in one transaction:
// what was declared before and is not any more is deleted, what was added at
// run time stays. A name that was added at run time cannot be declared too: that
// is a *DeclarationError.
//
// Of several processes that declare at once, one follows the other. If their
// files are the same, the later ones change nothing.
func (i *Issuer) Declare(ctx context.Context, d Declaration, now time.Time) error {
	return i.db.write(ctx, func(tx *tx) error {
		var id string
		if err := tx.row(`SELECT id FROM issuers WHERE id = $1 FOR NO KEY UPDATE`, i.id).Scan(&id); err != nil {
			return err
		}
		if err := i.declareClients(tx, d.Clients, now); err != nil {
			return err
		}
		if err := i.declareUsers(tx, d.Users, now); err != nil {
			return err
		}
		return i.declareGroups(tx, d.Groups, now)
	})
}

func (i *Issuer) declareClients(tx *tx, clients []clientregistry.Client, now time.Time) error {
	// Declared clients have no rows that hang on them: they can be rewritten.
	if err := tx.exec(`DELETE FROM clients WHERE issuer = $1 AND declared = 1`, i.id); err != nil {
		return err
	}
	for _, client := range clients {
		client.Declared = true
		if err := i.addClient(tx, client, now); err != nil {
			return taken(err, "client", string(client.ID))
		}
	}
	// What was granted to a client that is gone ends with it.
	return tx.exec(`UPDATE grants SET ended_at = $1 WHERE issuer = $2 AND ended_at = 0
		AND client NOT IN (SELECT id FROM clients WHERE issuer = $2)`, millis(now), i.id)
}

// declareUsers works in steps that make room before they move in, so that
// names, addresses and subjects may change hands within the file.
func (i *Issuer) declareUsers(tx *tx, users []local.Account, now time.Time) error {
	before, err := i.declaredAccounts(tx)
	if err != nil {
		return err
	}

	// Step 1: who is who. A subject that is given decides; else the name does.
	users = slices.Clone(users) // the caller's stay as they are: this may run again
	keep := map[oidc.Subject]bool{}
	for n := range users {
		user := &users[n]
		user.Declared, user.Source = true, local.SourceName
		if user.Subject == "" {
			user.Subject = subjectOf(before, user.Username)
		}
		if user.Subject == "" {
			user.Subject = local.NewSubject(user.Username)
		}
		if keep[user.Subject] {
			return &DeclarationError{fmt.Errorf("user %q has the subject of another user, %q", user.Username, user.Subject)}
		}
		keep[user.Subject] = true
	}

	// Step 2: those who are gone leave, and those who change step aside.
	// Whoever has not changed is not touched, so that a start costs nothing.
	old := map[oidc.Subject]local.Account{}
	for _, account := range before {
		old[account.Subject] = account
		if !keep[account.Subject] {
			if err := tx.exec(`DELETE FROM users WHERE issuer = $1 AND subject = $2`, i.id, string(account.Subject)); err != nil {
				return err
			}
			if err := i.endEverything(tx, account.Subject, now); err != nil {
				return err
			}
		}
	}
	users = slices.DeleteFunc(users, func(user local.Account) bool { return sameFile(old[user.Subject], user) })
	for _, user := range users {
		err := tx.exec(`UPDATE users SET username_key = '/' || subject, email_key = ''
			WHERE issuer = $1 AND subject = $2 AND declared = 1`, i.id, string(user.Subject))
		if err != nil {
			return err
		}
	}

	// Step 3: they take their places. Who has their names from another source
	// gives them up: the file is the word of who runs the issuer.
	for _, user := range users {
		if err := i.standAside(tx, user, now); err != nil {
			return err
		}
		was, known := old[user.Subject]
		err := tx.try(func() error {
			if !known {
				return i.addAccount(tx, user, now)
			}
			err := tx.exec(`UPDATE users SET username = $1, username_key = $2, email = $3, email_key = $4,
				email_verified = $5, name = $6, disabled = $7 WHERE issuer = $8 AND subject = $9`,
				user.Username, strings.ToLower(user.Username), user.Email, strings.ToLower(user.Email),
				oneIf(user.EmailVerified), user.Name, oneIf(user.Disabled), i.id, string(user.Subject))
			if err != nil || user.PasswordHash == was.PasswordHash {
				return err
			}
			return tx.exec(`UPDATE users SET password_hash = $1, password_changed_at = $2, failures = 0, locked_until = 0
				WHERE issuer = $3 AND subject = $4`, user.PasswordHash, millis(now), i.id, string(user.Subject))
		})
		if conflict(err) {
			err = ErrExists
		}
		if err != nil {
			return i.takenBy(tx, user, err)
		}
		if known && (user.Disabled || user.PasswordHash != was.PasswordHash) {
			if err := i.endEverything(tx, user.Subject, now); err != nil {
				return err
			}
		}
	}
	return nil
}

// standAside takes the names of a declared user from users of other sources,
// and ends their logins, in which they still have them.
func (i *Issuer) standAside(tx *tx, user local.Account, now time.Time) error {
	var others []oidc.Subject
	err := tx.each(func(row scanner) error {
		var other oidc.Subject
		err := row.Scan(&other)
		others = append(others, other)
		return err
	}, `SELECT subject FROM users WHERE issuer = $1 AND source <> $2 AND subject <> $3
		AND (username_key = $4 OR email_key = $5 AND email_key <> '')`,
		i.id, local.SourceName, string(user.Subject), strings.ToLower(user.Username), strings.ToLower(user.Email))
	if err != nil {
		return err
	}
	for _, other := range others {
		err := tx.exec(`UPDATE users SET username_key = '/' || subject, email_key = '' WHERE issuer = $1 AND subject = $2`, i.id, string(other))
		if err != nil {
			return err
		}
		if err := i.endEverything(tx, other, now); err != nil {
			return err
		}
	}
	return nil
}

// sameFile reports whether the file says of a user what it said before.
func sameFile(was, user local.Account) bool {
	was.Groups, was.Epoch, was.Password = user.Groups, user.Epoch, user.Password // not said there
	return reflect.DeepEqual(was, user)
}

// takenBy says which of a declared user's names somebody else has.
func (i *Issuer) takenBy(tx *tx, user local.Account, err error) error {
	if !errors.Is(err, ErrExists) {
		return err
	}
	for _, name := range []struct{ what, column, key, value string }{
		{"user", "username_key", strings.ToLower(user.Username), user.Username},
		{"e-mail address", "email_key", strings.ToLower(user.Email), user.Email},
		{"subject", "subject", string(user.Subject), string(user.Subject)},
	} {
		var others int
		row := tx.row(`SELECT COUNT(*) FROM users WHERE issuer = $1 AND declared = 0 AND `+name.column+` = $2`, i.id, name.key)
		if err := row.Scan(&others); err != nil {
			return err
		}
		if others > 0 {
			return taken(ErrExists, name.what, name.value)
		}
	}
	return taken(err, "user", user.Username)
}

func subjectOf(accounts []local.Account, username string) oidc.Subject {
	for _, account := range accounts {
		if strings.EqualFold(account.Username, username) {
			return account.Subject
		}
	}
	return ""
}

func (i *Issuer) declaredAccounts(tx *tx) ([]local.Account, error) {
	var accounts []local.Account
	err := tx.each(func(row scanner) error {
		account, err := readAccount(row)
		accounts = append(accounts, account)
		return err
	}, `SELECT `+accountColumns+` FROM users WHERE issuer = $1 AND declared = 1`, i.id)
	return accounts, err
}

func (i *Issuer) declareGroups(tx *tx, groups []Group, now time.Time) error {
	if err := tx.exec(`DELETE FROM user_groups WHERE issuer = $1 AND declared = 1`, i.id); err != nil {
		return err
	}
	for _, group := range groups {
		group.Declared = true
		if err := i.addGroup(tx, group, now); err != nil {
			return taken(err, "group", group.Name)
		}
		for _, member := range group.Members {
			account, err := readAccount(tx.row(`SELECT `+accountColumns+` FROM users
				WHERE issuer = $1 AND username_key = $2`, i.id, strings.ToLower(member)))
			if errors.Is(err, identity.ErrNotFound) {
				return &DeclarationError{fmt.Errorf("group %q names the member %q, who does not exist", group.Name, member)}
			}
			if err != nil {
				return err
			}
			if account.Source != local.SourceName {
				return &DeclarationError{fmt.Errorf("group %q names the member %q, whose groups are kept by the source %s", group.Name, member, account.Source)}
			}
			if err := i.addMember(tx, group.Name, account.Subject); err != nil {
				return err
			}
		}
	}
	return nil
}

func taken(err error, what, name string) error {
	if errors.Is(err, ErrExists) {
		return &DeclarationError{fmt.Errorf("%s %q is declared in the configuration but was added at run time; delete the one that was added, or take it out of the file", what, name)}
	}
	return err
}
