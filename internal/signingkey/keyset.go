// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package signingkey

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/tegata/tegata/internal/secret"
)

// KeySet is the signing keys of one issuer, unsealed in the memory of a
// server. It is safe for concurrent use: what signs and verifies reads one
// snapshot, without a lock, while another is made.
type KeySet struct {
	custody Custody
	current atomic.Pointer[snapshot]

	tending sync.Mutex // held by who looks at the storage

	mu      sync.Mutex // guards the fields below
	readAt  time.Time  // when the keys were last read and opened
	problem error      // why not since; nil if they were
}

// snapshot is the keys as the storage had them at one time. Which of them
// signs depends on the clock alone, so that each server changes to the next
// one at the same time.
type snapshot struct {
	records []Record
	private map[string]jose.JSONWebKey // by ID
	shifts  map[string][]shift         // by algorithm
	public  jose.JSONWebKeySet
	jwks    []byte
}

// shift is when a key signs.
type shift struct {
	key         jose.JSONWebKey
	from, until time.Time // until is zero if no later key is known
}

const (
	// lookEvery is how often a server looks for what others changed.
	lookEvery = 2 * time.Second
	// lookTimeout is how long one look may take.
	lookTimeout = 10 * time.Second
	// staleAfter is how old the knowledge of a server may get before it
	// counts as none.
	staleAfter = time.Minute
)

// Open loads the keys of an issuer and makes those that are due.
func Open(ctx context.Context, custody Custody) (*KeySet, error) {
	s := &KeySet{custody: custody}
	s.current.Store(&snapshot{})
	if err := s.Tend(ctx); err != nil {
		return nil, err
	}
	return s, nil
}

// Keep tends the keys every few seconds until ctx ends.
func (s *KeySet) Keep(ctx context.Context, log *slog.Logger) {
	ticker := time.NewTicker(lookEvery)
	defer ticker.Stop()
	states, warned, problem := s.states(), []string(nil), ""
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		before, warnedBefore, problemBefore := states, warned, problem
		problem = ""
		looking, cancel := context.WithTimeout(ctx, lookTimeout)
		err := s.Tend(looking)
		cancel()
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			problem = err.Error()
		}
		if problem != "" && problem != problemBefore {
			log.Warn("the signing keys stay as they are for now", "error", problem)
		}
		states, warned = s.states(), s.Warnings()
		for id, state := range states {
			if state != before[id] {
				log.Info("a signing key has a new state", "key", id, "state", state)
			}
		}
		for id := range before {
			if _, there := states[id]; !there {
				log.Info("a signing key is gone", "key", id)
			}
		}
		for _, warning := range warned {
			if !slices.Contains(warnedBefore, warning) {
				log.Warn("a signing key is old", "problem", warning)
			}
		}
	}
}

// states is what each key is for at this time, by ID.
func (s *KeySet) states() map[string]State {
	records, now := s.current.Load().records, s.custody.now()
	states := map[string]State{}
	for _, r := range records {
		states[r.ID] = StateAt(r, records, now)
	}
	return states
}

// Tend looks at the storage once: it takes over what others changed, and
// carries out what is due. If it cannot, the keys stay as they are.
func (s *KeySet) Tend(ctx context.Context) error {
	s.tending.Lock()
	defer s.tending.Unlock()
	records, err := s.custody.settle(ctx)
	problem := err
	if records != nil {
		// What is due may wait, but what the others have must be known.
		problem = s.takeOver(records)
		err = errors.Join(problem, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.problem = problem; problem == nil {
		s.readAt = s.custody.now()
	}
	return err
}

// takeOver makes a snapshot of the records and puts it in place.
func (s *KeySet) takeOver(records []Record) error {
	before := s.current.Load()
	if slices.Equal(before.records, records) {
		return nil
	}
	next := &snapshot{records: records, private: map[string]jose.JSONWebKey{}, shifts: map[string][]shift{}}
	next.public.Keys = []jose.JSONWebKey{}
	for _, record := range records {
		if !record.RevokedAt.IsZero() {
			continue
		}
		jwk, known := before.private[record.ID]
		if !known {
			private, err := unseal(record, s.custody.Sealer)
			if err != nil {
				return fmt.Errorf("opening signing key %s: %w", record.ID, err)
			}
			jwk = jose.JSONWebKey{Key: private, KeyID: record.ID, Algorithm: record.Algorithm, Use: "sig"}
		}
		next.private[record.ID] = jwk
		next.public.Keys = append(next.public.Keys, jwk.Public())
		next.shifts[record.Algorithm] = append(next.shifts[record.Algorithm],
			shift{jwk, record.SignsFrom, record.stops(records)})
	}
	var err error
	if next.jwks, err = json.Marshal(next.public); err != nil {
		return fmt.Errorf("encoding the key set: %w", err)
	}
	s.current.Store(next)
	return nil
}

// JWKS is the public key set as it is published (RFC 7517, section 5). The
// caller does not change it.
func (s *KeySet) JWKS() []byte { return s.current.Load().jwks }

// MaxAge is how long others may keep the key set.
func (s *KeySet) MaxAge() time.Duration { return s.custody.Policy.MaxAge() }

// Ready tells why this server must not sign nor publish its key set, or
// returns nil: it does not know what the others know. Another server that
// does should be asked instead.
func (s *KeySet) Ready() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.problem == nil || s.custody.now().Sub(s.readAt) < staleAfter {
		return nil
	}
	return fmt.Errorf("the signing keys were last read at %s: %w", s.readAt.UTC().Format(time.RFC3339), s.problem)
}

// Warnings tells of keys that sign for longer than they should. They are no
// reason to stop: tokens are as good as before, and nobody could log in.
func (s *KeySet) Warnings() (warnings []string) {
	policy, now := s.custody.Policy.WithDefaults(), s.custody.now()
	for _, key := range s.custody.view(s.current.Load().records) {
		due := key.Since.Add(policy.RotateEvery)
		if key.State == Active && now.After(due.Add(skew)) {
			warnings = append(warnings, fmt.Sprintf("the %s signing key %s should have been replaced at %s",
				key.Algorithm, key.ID, due.UTC().Format(time.RFC3339)))
		}
	}
	return warnings
}

// signer is the key that signs at a time.
func (n *snapshot) signer(alg string, now time.Time) (key jose.JSONWebKey, ok bool) {
	var soonest time.Time
	for _, shift := range n.shifts[alg] {
		switch over := !shift.until.IsZero() && !now.Before(shift.until); {
		case !now.Before(shift.from) && !over:
			return shift.key, true
		case !over && (!ok || shift.from.Before(soonest)):
			// If none signs yet, the next one has to: it is published.
			key, soonest, ok = shift.key, shift.from, true
		}
	}
	return key, ok
}

// Sign signs claims as a compact JWS (RFC 7515, section 7.1). typ is the type
// in the header, which keeps one kind of token from passing for another
// (RFC 8725, section 3.11). What is signed lives for [MaxTokenLifetime] at
// the most.
func (s *KeySet) Sign(alg, typ string, claims any) (secret.String, error) {
	key, ok := s.current.Load().signer(alg, s.custody.now())
	if !ok {
		return secret.String{}, fmt.Errorf("signing: no key for algorithm %q", alg)
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		return secret.String{}, fmt.Errorf("encoding claims: %w", err)
	}
	options := (&jose.SignerOptions{}).WithType(jose.ContentType(typ))
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.SignatureAlgorithm(alg), Key: key}, options)
	if err != nil {
		return secret.String{}, fmt.Errorf("signing: %w", err)
	}
	jws, err := signer.Sign(payload)
	if err != nil {
		return secret.String{}, fmt.Errorf("signing: %w", err)
	}
	token, err := jws.CompactSerialize()
	if err != nil {
		return secret.String{}, fmt.Errorf("signing: %w", err)
	}
	return secret.New(token), nil
}

// ErrInvalid means that a token was not signed with these keys as a token of
// the type that was asked for.
var ErrInvalid = errors.New("not a token of ours")

// Verify checks the signature and the type of a token and decodes its claims
// into v. It reads no claim: expiry and audience are the caller's.
func (s *KeySet) Verify(token secret.String, typ string, v any) error {
	jws, err := jose.ParseSignedCompact(token.Reveal(), []jose.SignatureAlgorithm{jose.RS256, jose.ES256})
	if err != nil {
		return ErrInvalid
	}
	header := jws.Signatures[0].Header
	if header.ExtraHeaders[jose.HeaderType] != typ {
		return ErrInvalid
	}
	for _, key := range s.current.Load().public.Key(header.KeyID) {
		if key.Algorithm != header.Algorithm {
			continue
		}
		payload, err := jws.Verify(key.Key)
		if err != nil {
			return ErrInvalid
		}
		if err := json.Unmarshal(payload, v); err != nil {
			return ErrInvalid
		}
		return nil
	}
	return ErrInvalid
}
