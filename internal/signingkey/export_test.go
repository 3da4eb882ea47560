// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package signingkey

import (
	"time"

	"github.com/go-jose/go-jose/v4"
)

// Plan is the schedule itself.
func Plan(keys []Record, now time.Time, p Policy) Change { return plan(keys, now, p) }

// Rotation and Revocation are the changes that a person forces.
func Rotation(keys []Record, alg string, now time.Time, p Policy, atOnce bool) Change {
	change, _ := rotation(keys, alg, now, p, atOnce)
	return change
}

func Revocation(keys []Record, id string, now time.Time, p Policy) Change {
	return revocation(keys, id, now, p)
}

// SignerAt is the ID of the key that signs at a time, by the snapshot's rule;
// empty if none does.
func SignerAt(keys []Record, alg string, now time.Time) string {
	s := &snapshot{shifts: map[string][]shift{}}
	for _, key := range keys {
		if key.RevokedAt.IsZero() {
			s.shifts[key.Algorithm] = append(s.shifts[key.Algorithm], shift{jose.JSONWebKey{KeyID: key.ID}, key.SignsFrom, key.stops(keys)})
		}
	}
	key, _ := s.signer(alg, now)
	return key.KeyID
}

// The margins of the schedule.
const (
	Notice    = notice
	Skew      = skew
	LookEvery = lookEvery
)
