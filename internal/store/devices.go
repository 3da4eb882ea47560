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
)

const deviceRequestColumns = `id, client, scopes, code_hash, user_code_hash, code_challenge, device, address, created_at,
	expires_at, decided_at, grant_id`

func readDeviceRequest(row scanner) (grant.DeviceRequest, error) {
	var d grant.DeviceRequest
	var scopes string
	var created, expires, decided int64
	err := row.Scan(&d.ID, &d.Client, &scopes, &d.CodeHash, &d.UserCodeHash, &d.CodeChallenge, &d.From.Name, &d.From.Address,
		&created, &expires, &decided, &d.Grant)
	if errors.Is(err, sql.ErrNoRows) {
		return grant.DeviceRequest{}, grant.ErrNotFound
	}
	d.Scopes = oidc.ParseScopes(scopes)
	d.CreatedAt, d.ExpiresAt, d.DecidedAt = fromMillis(created), fromMillis(expires), fromMillis(decided)
	return d, plain(err)
}

// AddDeviceRequest keeps a device that waits. It returns grant.ErrTooMany if
// so many of the client wait already, and grant.ErrTaken if one of the issuer
// has the same user code.
func (i *Issuer) AddDeviceRequest(ctx context.Context, d grant.DeviceRequest, most int) error {
	return i.db.write(ctx, func(tx *tx) error {
		var waiting int
		if err := tx.row(`SELECT COUNT(*) FROM device_requests WHERE issuer = $1 AND client = $2 AND decided_at = 0 AND expires_at > $3`,
			i.id, string(d.Client), millis(d.CreatedAt)).Scan(&waiting); err != nil {
			return err
		}
		if waiting >= most {
			return grant.ErrTooMany
		}
		added, err := tx.changed(`INSERT INTO device_requests (issuer, `+deviceRequestColumns+`)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, 0, '') ON CONFLICT DO NOTHING`,
			i.id, d.ID, string(d.Client), d.Scopes.String(), d.CodeHash, d.UserCodeHash, d.CodeChallenge, d.From.Name,
			d.From.Address, millis(d.CreatedAt), millis(d.ExpiresAt))
		if err == nil && added == 0 {
			return grant.ErrTaken
		}
		return err
	})
}

// DeviceRequestByUserCode returns grant.ErrNotFound if there is none.
func (i *Issuer) DeviceRequestByUserCode(ctx context.Context, hash string) (grant.DeviceRequest, error) {
	return readDeviceRequest(i.db.row(ctx, `SELECT `+deviceRequestColumns+` FROM device_requests
		WHERE issuer = $1 AND user_code_hash = $2`, i.id, hash))
}

// DeviceRequestByCode returns grant.ErrNotFound if there is none.
func (i *Issuer) DeviceRequestByCode(ctx context.Context, hash string) (grant.DeviceRequest, error) {
	return readDeviceRequest(i.db.row(ctx, `SELECT `+deviceRequestColumns+` FROM device_requests
		WHERE issuer = $1 AND code_hash = $2`, i.id, hash))
}

// AllowDevice gives a grant to a device that waits. The device's code becomes
// the grant's, with its challenge, and where it asked from is the grant's
// device. It returns grant.ErrDecided if the device does not wait any more,
// and session.ErrOvertaken if the session of who allows it was ended.
func (i *Issuer) AllowDevice(ctx context.Context, id string, g grant.Grant, sessionID string, now time.Time) error {
	return i.db.write(ctx, func(tx *tx) error {
		if err := i.decide(tx, id, g.ID, now); err != nil {
			return err
		}
		d, err := readDeviceRequest(tx.row(`SELECT `+deviceRequestColumns+` FROM device_requests WHERE issuer = $1 AND id = $2`, i.id, id))
		if err != nil {
			return err
		}
		g.CodeHash, g.CodeChallenge, g.CodeExpiresAt, g.Device = d.CodeHash, d.CodeChallenge, d.ExpiresAt, d.From
		return i.addGrant(tx, g, `EXISTS (SELECT 1 FROM sessions WHERE issuer = $1 AND id = $23 AND subject = $4 FOR SHARE)`, sessionID)
	})
}

// DenyDevice refuses a device that waits, or returns grant.ErrDecided.
func (i *Issuer) DenyDevice(ctx context.Context, id string, now time.Time) error {
	return i.db.write(ctx, func(tx *tx) error { return i.decide(tx, id, "", now) })
}

func (i *Issuer) decide(tx *tx, id, grantID string, now time.Time) error {
	changed, err := tx.changed(`UPDATE device_requests SET decided_at = $1, grant_id = $2
		WHERE issuer = $3 AND id = $4 AND decided_at = 0 AND expires_at > $1`, millis(now), grantID, i.id, id)
	if err == nil && changed == 0 {
		return grant.ErrDecided
	}
	return err
}

// AddGrantOfUser keeps a new grant that stands on no session. It returns
// session.ErrOvertaken if the user is not of that epoch any more, or may not
// log in.
func (i *Issuer) AddGrantOfUser(ctx context.Context, g grant.Grant, epoch int64) error {
	return i.db.write(ctx, func(tx *tx) error {
		return i.addGrant(tx, g, `EXISTS (SELECT 1 FROM users WHERE issuer = $1 AND subject = $4 AND epoch = $23 AND disabled = 0 FOR SHARE)`, epoch)
	})
}

// Spend keeps an identifier until a time, and reports whether it was not there
// yet.
func (i *Issuer) Spend(ctx context.Context, id string, until time.Time) (first bool, err error) {
	err = i.db.write(ctx, func(tx *tx) error {
		added, err := tx.changed(`INSERT INTO spent_identifiers (issuer, id, expires_at) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING`,
			i.id, id, millis(until))
		first = added == 1
		return err
	})
	return first && err == nil, err
}

// Spent reports whether an identifier is kept.
func (i *Issuer) Spent(ctx context.Context, id string) (bool, error) {
	var found int
	err := i.db.row(ctx, `SELECT 1 FROM spent_identifiers WHERE issuer = $1 AND id = $2`, i.id, id).Scan(&found)
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	return err == nil, plain(err)
}
