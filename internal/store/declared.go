// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"errors"
	"fmt"
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

// Declare makes the declared rows what the file says, in one transaction:
// what was declared before and is not any more is deleted, what was added at
// run time stays. A name that was added at run time cannot be declared too.
func (i *Issuer) Declare(ctx context.Context, d Declaration, now time.Time) error {
	return i.db.write(ctx, func(tx *tx) error {
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

func (i *Issuer) declareUsers(tx *tx, users []local.Account, now time.Time) error {
	keep := map[oidc.Subject]bool{}
	for _, user := range users {
		user.Declared = true
		var subject oidc.Subject
		var declared int
		err := tx.row(`SELECT subject, declared FROM users WHERE issuer = $1 AND username_key = $2`,
			i.id, strings.ToLower(user.Username)).Scan(&subject, &declared)
		switch {
		case err == nil && declared == 0:
			return taken(ErrExists, "user", user.Username)
		case err == nil && (user.Subject == "" || user.Subject == subject):
			user.Subject = subject
			err = tx.exec(`UPDATE users SET username = $1, email = $2, email_key = $3, email_verified = $4, name = $5,
				password_hash = $6, disabled = $7 WHERE issuer = $8 AND subject = $9`,
				user.Username, user.Email, strings.ToLower(user.Email), oneIf(user.EmailVerified), user.Name,
				user.PasswordHash, oneIf(user.Disabled), i.id, string(subject))
			if conflict(err) {
				return taken(ErrExists, "e-mail address", user.Email)
			}
			if err == nil && user.Disabled {
				err = i.endEverything(tx, subject, now)
			}
		default: // no such user, or a declared one with another subject
			if err == nil {
				if err := tx.exec(`DELETE FROM users WHERE issuer = $1 AND subject = $2`, i.id, string(subject)); err != nil {
					return err
				}
			}
			if user.Subject == "" {
				user.Subject = local.NewSubject(user.Username)
			}
			if err = i.addAccount(tx, user, now); errors.Is(err, ErrExists) {
				return taken(ErrExists, "user or e-mail address", user.Username)
			}
		}
		if err != nil {
			return err
		}
		keep[user.Subject] = true
	}
	gone, err := i.declaredSubjects(tx)
	if err != nil {
		return err
	}
	for _, subject := range gone {
		if keep[subject] {
			continue
		}
		if err := tx.exec(`DELETE FROM users WHERE issuer = $1 AND subject = $2`, i.id, string(subject)); err != nil {
			return err
		}
		if err := i.endEverything(tx, subject, now); err != nil {
			return err
		}
	}
	return nil
}

func (i *Issuer) declaredSubjects(tx *tx) ([]oidc.Subject, error) {
	stmt, err := tx.statement(`SELECT subject FROM users WHERE issuer = $1 AND declared = 1`)
	if err != nil {
		return nil, err
	}
	rows, err := stmt.Query(i.id)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var subjects []oidc.Subject
	for rows.Next() {
		var subject oidc.Subject
		if err := rows.Scan(&subject); err != nil {
			return nil, err
		}
		subjects = append(subjects, subject)
	}
	return subjects, rows.Err()
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
				return fmt.Errorf("group %q names the member %q, who does not exist", group.Name, member)
			}
			if err != nil {
				return err
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
		return fmt.Errorf("%s %q is declared in the configuration but was added at run time; delete the one that was added, or take it out of the file: %w", what, name, ErrExists)
	}
	return err
}
