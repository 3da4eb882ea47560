// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/tegata/tegata/internal/identity"
	"github.com/tegata/tegata/internal/identity/local"
	"github.com/tegata/tegata/internal/oidc"
)

// Group is a group of local users.
type Group = local.Group

// ErrNoGroup means that there is no such group.
var ErrNoGroup = local.ErrNoGroup

// GroupSizes returns all groups, ordered by name.
func (i *Issuer) GroupSizes(ctx context.Context) ([]local.GroupSize, error) {
	groups := []local.GroupSize{}
	err := i.db.each(ctx, func(row scanner) error {
		var group local.GroupSize
		var declared int
		err := row.Scan(&group.Name, &declared, &group.Members)
		group.Declared = declared == 1
		groups = append(groups, group)
		return err
	}, `SELECT name, declared, (SELECT COUNT(*) FROM group_members m WHERE m.issuer = g.issuer AND m.group_name = g.name)
		FROM user_groups g WHERE issuer = $1 ORDER BY name`, i.id)
	return groups, err
}

// GroupList returns all groups with their members, ordered by name.
func (i *Issuer) GroupList(ctx context.Context) ([]Group, error) {
	groups := []Group{}
	err := i.db.each(ctx, func(row scanner) error {
		var name, member string
		var declared int
		if err := row.Scan(&name, &declared, &member); err != nil {
			return err
		}
		if n := len(groups); n == 0 || groups[n-1].Name != name {
			groups = append(groups, Group{Name: name, Members: []string{}, Declared: declared == 1})
		}
		if last := &groups[len(groups)-1]; member != "" {
			last.Members = append(last.Members, member)
		}
		return nil
	}, `SELECT g.name, g.declared, COALESCE(u.username, '') FROM user_groups g
		LEFT JOIN group_members m ON m.issuer = g.issuer AND m.group_name = g.name
		LEFT JOIN users u ON u.issuer = m.issuer AND u.subject = m.subject
		WHERE g.issuer = $1 ORDER BY g.name, u.username`, i.id)
	return groups, err
}

// AddGroup makes an empty group, or returns ErrExists.
func (i *Issuer) AddGroup(ctx context.Context, name string, now time.Time) error {
	return i.db.write(ctx, func(tx *tx) error { return i.addGroup(tx, Group{Name: name}, now) })
}

func (i *Issuer) addGroup(tx *tx, group Group, now time.Time) error {
	changed, err := tx.changed(`INSERT INTO user_groups (issuer, name, declared, created_at) VALUES ($1, $2, $3, $4)
		ON CONFLICT DO NOTHING`, i.id, group.Name, oneIf(group.Declared), millis(now))
	if err == nil && changed == 0 {
		return fmt.Errorf("group %q %w", group.Name, ErrExists)
	}
	return err
}

// DeleteGroup deletes a group and its memberships, or returns ErrNoGroup.
func (i *Issuer) DeleteGroup(ctx context.Context, name string) error {
	return i.db.write(ctx, func(tx *tx) error {
		changed, err := tx.changed(`DELETE FROM user_groups WHERE issuer = $1 AND name = $2`, i.id, name)
		if err == nil && changed == 0 {
			return ErrNoGroup
		}
		return err
	})
}

// AddMember puts a user into a group. To add twice is no error. It returns
// ErrNoGroup or identity.ErrNotFound.
func (i *Issuer) AddMember(ctx context.Context, group string, subject oidc.Subject) error {
	return i.db.write(ctx, func(tx *tx) error { return i.addMember(tx, group, subject) })
}

func (i *Issuer) addMember(tx *tx, group string, subject oidc.Subject) error {
	var found string
	err := tx.row(`SELECT name FROM user_groups WHERE issuer = $1 AND name = $2 FOR SHARE`, i.id, group).Scan(&found)
	if errors.Is(err, sql.ErrNoRows) {
		return fmt.Errorf("group %q: %w", group, ErrNoGroup)
	}
	if err != nil {
		return err
	}
	err = tx.exec(`INSERT INTO group_members (issuer, subject, group_name) VALUES ($1, $2, $3)
		ON CONFLICT DO NOTHING`, i.id, string(subject), group)
	if conflict(err) { // the foreign key: the group is there, so the user is not
		return identity.ErrNotFound
	}
	return err
}

// RemoveMember takes a user out of a group; it reports whether the user was
// in it.
func (i *Issuer) RemoveMember(ctx context.Context, group string, subject oidc.Subject) (bool, error) {
	var changed int64
	err := i.db.write(ctx, func(tx *tx) (err error) {
		changed, err = tx.changed(`DELETE FROM group_members WHERE issuer = $1 AND subject = $2 AND group_name = $3`,
			i.id, string(subject), group)
		return err
	})
	if err != nil {
		return false, err // the write may still be under way
	}
	return changed > 0, nil
}
