// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

// Package keyring keeps one small secret in the keyring of the operating
// system: the Secret Service, the Keychain, the Credential Manager.
//
// A library speaks to them. This package sees to it that nobody waits for
// ever, that no person is asked to unlock anything unless the caller wants it,
// that no message bus is started where there is none, and that an error says
// in a few words what is the matter. It is for the package plugin.
package keyring

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/zalando/go-keyring"

	"github.com/tegata/tegata/internal/secret"
)

// ErrLocked says that a person has to unlock the keyring first.
var ErrLocked = errors.New("it is locked")

const (
	// answersWithin is how long a keyring may take that asks nobody. Its
	// service may have to be started first.
	answersWithin = 5 * time.Second

	// unlocksWithin is how long a person may take to unlock it.
	unlocksWithin = time.Minute
)

// Keyring is the part of the keyring that has the name of one service.
type Keyring struct {
	Service string

	// Unlock is called when somebody is about to be asked to unlock the
	// keyring. If it is nil nobody is asked: a locked keyring is [ErrLocked].
	Unlock func()
}

// Get returns the secret of the account; the zero one if there is none.
func (k Keyring) Get(ctx context.Context, account string) (secret.String, error) {
	var value string
	err := k.call(ctx, account, func() (err error) {
		value, err = keyring.Get(k.Service, account)
		return err
	})
	if errors.Is(err, keyring.ErrNotFound) {
		return secret.String{}, nil
	}
	if err != nil {
		return secret.String{}, err
	}
	return secret.New(value), nil
}

// Set keeps the secret of the account, in the place of another one.
func (k Keyring) Set(ctx context.Context, account string, value secret.String) error {
	return k.call(ctx, account, func() error { return keyring.Set(k.Service, account, value.Reveal()) })
}

// Delete removes the secret of the account, if there is one, and nothing else.
func (k Keyring) Delete(ctx context.Context, account string) error {
	err := k.call(ctx, account, func() error { return keyring.Delete(k.Service, account) })
	if errors.Is(err, keyring.ErrNotFound) {
		return nil
	}
	return err
}

// call finds out whether the keyring is locked, and calls it.
func (k Keyring) call(ctx context.Context, account string, act func() error) error {
	closed := false
	err := within(ctx, answersWithin, func() (err error) {
		closed, err = locked(k.Service, account)
		return err
	})
	switch {
	case err != nil:
		return err
	case k.Unlock == nil && closed:
		return ErrLocked
	case k.Unlock == nil:
		return within(ctx, answersWithin, act)
	case closed:
		k.Unlock()
	}
	// Not each system tells beforehand that it is going to ask.
	err = within(ctx, unlocksWithin, act)
	if closed && err != nil && ctx.Err() == nil && !errors.Is(err, keyring.ErrNotFound) {
		return ErrLocked // and nobody has changed that
	}
	return err
}

// within calls act and waits for its end, but not longer than limit or than
// ctx lasts. The library offers no way to interrupt a call: one that goes on
// is left to the end of the process, which is near.
func within(ctx context.Context, limit time.Duration, act func() error) error {
	timer := time.NewTimer(limit)
	defer timer.Stop()
	ended := make(chan error, 1)
	go func() {
		defer func() {
			// The library takes it for granted that the bus stays, and that
			// each answer has the right form.
			if problem := recover(); problem != nil {
				ended <- fmt.Errorf("its answer makes no sense: %v", problem)
			}
		}()
		ended <- act()
	}()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return fmt.Errorf("it did not answer within %s", limit)
	}
}
