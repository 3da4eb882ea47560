// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package signingkey

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// Custody is the keys of one issuer for who may change them: its servers and
// the people who administer it. Several at once are safe.
type Custody struct {
	Storage Storage
	Sealer  Sealer
	Policy  Policy
	Now     func() time.Time // nil: time.Now
}

// now is rounded as a storage rounds it, so that the two can be compared.
func (c Custody) now() time.Time {
	if c.Now == nil {
		c.Now = time.Now
	}
	return c.Now().Truncate(time.Millisecond)
}

// Key is a signing key as a person sees it.
type Key struct {
	ID          string
	Algorithm   string
	Generation  int
	PublishedAt time.Time
	SignsFrom   time.Time
	State       State
	Since       time.Time // of the state
	Until       time.Time // then comes the next state; of an active key, at the latest
	// SuccessorID is the key that takes over from an active one. Until there
	// is one, SuccessorAt is when it will be published.
	SuccessorID string
	SuccessorAt time.Time
}

// ErrNotFound means that there is no such key.
var ErrNotFound = errors.New("no such signing key")

// ErrRevoked means that a key was revoked before.
var ErrRevoked = errors.New("the signing key is revoked already")

// List returns the keys that are not gone, and changes nothing.
func (c Custody) List(ctx context.Context) ([]Key, error) {
	records, err := c.read(ctx)
	return c.view(records), err
}

func (c Custody) read(ctx context.Context) ([]Record, error) {
	records, err := c.Storage.SigningKeys(ctx)
	if err != nil {
		return nil, fmt.Errorf("reading the signing keys: %w", err)
	}
	return records, nil
}

func (c Custody) view(records []Record) []Key {
	now, policy := c.now(), c.Policy.WithDefaults()
	keys := []Key{}
	for _, r := range records {
		leaves, stops := r.leaves(records), r.stops(records)
		if !leaves.IsZero() && !now.Before(leaves) {
			continue // no server has tidied up yet
		}
		key := Key{
			ID: r.ID, Algorithm: r.Algorithm, Generation: r.Generation, PublishedAt: r.PublishedAt, SignsFrom: r.SignsFrom,
			State: StateAt(r, records, now), Until: leaves,
		}
		switch key.State {
		case Published:
			key.Since, key.Until = r.PublishedAt, r.SignsFrom
		case Active:
			key.Since, key.Until = r.SignsFrom, stops
			if at := slices.IndexFunc(records, func(next Record) bool {
				return next.Algorithm == r.Algorithm && next.RevokedAt.IsZero() && next.SignsFrom.Equal(stops)
			}); at >= 0 {
				key.SuccessorID = records[at].ID
			} else {
				key.SuccessorAt = latest(policy.publishes(r), now)
				key.Until = latest(r.SignsFrom.Add(policy.RotateEvery), now.Add(policy.PublishAhead))
			}
		case Retiring:
			key.Since = stops
		case Revoked:
			key.Since = r.RevokedAt
		}
		keys = append(keys, key)
	}
	return keys
}

// Rotate publishes a successor for the key of an algorithm, unless there is
// one, and returns it. It signs after the usual time; atOnce, as soon as every
// server has seen it.
func (c Custody) Rotate(ctx context.Context, alg string, atOnce bool) (Key, error) {
	records, err := c.read(ctx)
	if err != nil {
		return Key{}, err
	}
	change, generation := rotation(records, alg, c.now(), c.Policy, atOnce)
	if err := c.carryOut(ctx, records, change); err != nil {
		return Key{}, err
	}
	// If another server was faster, the key of this generation is its.
	if records, err = c.read(ctx); err != nil {
		return Key{}, err
	}
	for _, key := range c.view(records) {
		if key.Algorithm == alg && key.Generation == generation {
			return key, nil
		}
	}
	return Key{}, ErrNotFound // it was revoked and forgotten in this moment
}

// Revoke takes a key out of the key set at once and deletes its private half.
// Another key signs in its place, and one that nobody knows yet is published,
// so that verifiers fetch the key set. It returns the keys as they are then.
func (c Custody) Revoke(ctx context.Context, id string) ([]Key, error) {
	records, err := c.read(ctx)
	if err != nil {
		return nil, err
	}
	at := slices.IndexFunc(records, func(r Record) bool { return r.ID == id })
	switch {
	case at < 0:
		return nil, ErrNotFound
	case !records[at].RevokedAt.IsZero():
		return nil, ErrRevoked
	}
	if err := c.carryOut(ctx, records, revocation(records, id, c.now(), c.Policy)); err != nil {
		return nil, err
	}
	// If another server published a key of the same generation meanwhile,
	// ours was left out.
	records, err = c.settle(ctx)
	if err != nil {
		return nil, fmt.Errorf("the key is revoked, but: %w", err)
	}
	return c.view(records), nil
}

// attempts is how often servers that change the keys at once may get into
// each other's way.
const attempts = 5

// settle carries out what is due, and returns the keys as it last read them;
// they are nil if they could not be read.
func (c Custody) settle(ctx context.Context) (records []Record, err error) {
	for range attempts {
		if records, err = c.read(ctx); err != nil {
			return nil, err
		}
		change := plan(records, c.now(), c.Policy)
		if change.none() {
			return records, nil
		}
		if err := c.carryOut(ctx, records, change); err != nil {
			return records, err
		}
	}
	return records, errors.New("the signing keys do not come to rest: other servers keep changing them")
}

// carryOut makes the keys that a change adds and hands it to the storage.
func (c Custody) carryOut(ctx context.Context, records []Record, change Change) error {
	if change.none() {
		return nil
	}
	if len(change.Add) > 0 {
		if err := c.sealsForAll(records); err != nil {
			return err
		}
	}
	for i, planned := range change.Add {
		made, err := generate(planned, c.Sealer)
		if err != nil {
			return fmt.Errorf("making the %s signing key: %w", planned.Algorithm, err)
		}
		change.Add[i] = made
	}
	if err := c.Storage.ChangeSigningKeys(ctx, change); err != nil {
		return fmt.Errorf("changing the signing keys: %w", err)
	}
	return nil
}

// sealsForAll finds out whether the key-encryption key was changed without us.
// What we sealed then, nobody could open.
func (c Custody) sealsForAll(records []Record) error {
	for _, record := range records {
		if !record.RevokedAt.IsZero() {
			continue
		}
		if _, err := c.Sealer.Open(record.SealedPrivate, Context(record.ID)); err != nil {
			return fmt.Errorf("the signing keys were sealed anew with a key-encryption key that this process does not have: %w", err)
		}
	}
	return nil
}
