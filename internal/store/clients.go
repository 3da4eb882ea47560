// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/tegata/tegata/internal/clientregistry"
	"github.com/tegata/tegata/internal/identity"
	"github.com/tegata/tegata/internal/oidc"
)

// ErrExists means that a user, group or client of that name is there already.
var ErrExists = identity.ErrExists

// Client implements [clientregistry.Clients].
func (i *Issuer) Client(ctx context.Context, id oidc.ClientID) (clientregistry.Client, error) {
	return readClient(i.db.row(ctx, `SELECT specification FROM clients WHERE issuer = $1 AND id = $2`, i.id, string(id)))
}

// ClientList returns all clients, ordered by ID.
func (i *Issuer) ClientList(ctx context.Context) ([]clientregistry.Client, error) {
	clients := []clientregistry.Client{}
	err := i.db.each(ctx, func(row scanner) error {
		client, err := readClient(row)
		clients = append(clients, client)
		return err
	}, `SELECT specification FROM clients WHERE issuer = $1 ORDER BY id`, i.id)
	return clients, err
}

func readClient(row scanner) (clientregistry.Client, error) {
	var specification string
	err := row.Scan(&specification)
	if errors.Is(err, sql.ErrNoRows) {
		return clientregistry.Client{}, clientregistry.ErrNotFound
	}
	if err != nil {
		return clientregistry.Client{}, plain(err)
	}
	var client clientregistry.Client
	if err := json.Unmarshal([]byte(specification), &client); err != nil {
		return clientregistry.Client{}, fmt.Errorf("decoding a client: %w", err)
	}
	return client, nil
}

// AddClient registers a client, or returns ErrExists.
func (i *Issuer) AddClient(ctx context.Context, client clientregistry.Client, now time.Time) error {
	return i.db.write(ctx, func(tx *tx) error { return i.addClient(tx, client, now) })
}

func (i *Issuer) addClient(tx *tx, client clientregistry.Client, now time.Time) error {
	specification, err := json.Marshal(client)
	if err != nil {
		return fmt.Errorf("encoding a client: %w", err)
	}
	changed, err := tx.changed(`INSERT INTO clients (issuer, id, declared, specification, created_at)
		VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING`,
		i.id, string(client.ID), oneIf(client.Declared), string(specification), millis(now))
	if err == nil && changed == 0 {
		return fmt.Errorf("client %q %w", client.ID, ErrExists)
	}
	return err
}

// ChangeClient changes a client as it is at this moment and returns the new
// one. It returns clientregistry.ErrNotFound if there is none. change may be
// called more than once.
func (i *Issuer) ChangeClient(ctx context.Context, id oidc.ClientID, change func(*clientregistry.Client) error) (changed clientregistry.Client, err error) {
	err = i.db.write(ctx, func(tx *tx) error {
		client, err := readClient(tx.row(`SELECT specification FROM clients WHERE issuer = $1 AND id = $2 FOR NO KEY UPDATE`, i.id, string(id)))
		if err != nil {
			return err
		}
		if err := change(&client); err != nil {
			return err
		}
		specification, err := json.Marshal(client)
		if err != nil {
			return fmt.Errorf("encoding a client: %w", err)
		}
		changed = client
		return tx.exec(`UPDATE clients SET specification = $1 WHERE issuer = $2 AND id = $3`, string(specification), i.id, string(id))
	})
	return changed, err
}

// ClientOrigins returns the origins of all clients that have any: of whose
// pages scripts may call.
func (i *Issuer) ClientOrigins(ctx context.Context) ([]string, error) {
	var origins []string
	err := i.db.each(ctx, func(row scanner) error {
		client, err := readClient(row)
		origins = append(origins, client.Origins...)
		return err
	}, `SELECT specification FROM clients WHERE issuer = $1 AND specification LIKE '%"origins":%'`, i.id)
	return origins, err
}

// DeleteClient forgets a client and ends what was granted to it. It returns
// clientregistry.ErrNotFound if there is none.
func (i *Issuer) DeleteClient(ctx context.Context, id oidc.ClientID) error {
	return i.db.write(ctx, func(tx *tx) error {
		changed, err := tx.changed(`DELETE FROM clients WHERE issuer = $1 AND id = $2`, i.id, string(id))
		if err != nil {
			return err
		}
		if changed == 0 {
			return clientregistry.ErrNotFound
		}
		if err := tx.exec(`DELETE FROM device_requests WHERE issuer = $1 AND client = $2`, i.id, string(id)); err != nil {
			return err
		}
		return tx.exec(`DELETE FROM grants WHERE issuer = $1 AND client = $2`, i.id, string(id))
	})
}
