// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"time"

	"github.com/tegata/tegata/internal/exit"
	"github.com/tegata/tegata/internal/keyring"
	"github.com/tegata/tegata/internal/secret"
	"github.com/tegata/tegata/internal/tokencache"
)

// The values of --token-cache-storage.
const (
	storageDisk    = "disk"
	storageKeyring = "keyring"
	storageNone    = "none"
)

// keyringPause is how long tokens that had to be kept in the clear are left
// there before the keyring is asked again.
const keyringPause = time.Minute

// cacheAt is the cache in a folder that was named, or in the usual one, and the
// keyring that its sealed entries need.
func cacheAt(dir string, lookup func(string) string) (tokencache.Cache, *oneKeyring) {
	k := newKeyring()
	if dir != "" {
		return tokencache.Cache{Dir: tokencache.ExpandHome(dir, lookup), Keyring: k}, k
	}
	return tokencache.Cache{Dir: tokencache.Dir(lookup), Private: true, Keyring: k}, k
}

// oneKeyring is the system's keyring for one run and one name: what it said is
// not asked for again, so that a run waits for it once.
type oneKeyring struct {
	system keyring.Keyring
	found  secret.String
	broken error
}

// newKeyring asks nobody to unlock it: a storm of calls would be a storm of
// questions.
func newKeyring() *oneKeyring { return &oneKeyring{system: keyring.Keyring{Service: "tegata"}} }

// mayAsk lets the keyring ask the person who is there to unlock it. Only one
// process at a time gets so far. The question comes at a display or, from some
// keyrings, at a terminal.
func (k *oneKeyring) mayAsk(env Env) {
	display := env.Lookup("DISPLAY") != "" || env.Lookup("WAYLAND_DISPLAY") != "" || runtime.GOOS == "darwin" || runtime.GOOS == "windows"
	if !display && !env.watched() {
		return
	}
	k.broken = nil
	k.system.Unlock = func() {
		if env.watched() {
			fmt.Fprintln(env.Stderr, "waiting for the keyring to be unlocked")
		}
	}
}

// Get, Set and Delete are [tokencache.Keyring].
func (k *oneKeyring) Get(ctx context.Context, name string) (secret.String, error) {
	if !k.found.IsZero() {
		return k.found, nil
	}
	err := k.call(ctx, func(ctx context.Context) (err error) {
		k.found, err = k.system.Get(ctx, name)
		return err
	})
	return k.found, err
}

func (k *oneKeyring) Set(ctx context.Context, name string, value secret.String) error {
	err := k.call(ctx, func(ctx context.Context) error { return k.system.Set(ctx, name, value) })
	if err == nil {
		k.found = value
	}
	return err
}

func (k *oneKeyring) Delete(ctx context.Context, name string) error {
	return k.call(ctx, func(ctx context.Context) error { return k.system.Delete(ctx, name) })
}

// call asks the keyring, unless it was asked in vain before. Ctrl-C ends it
// with the exit code that it has everywhere.
func (k *oneKeyring) call(ctx context.Context, act func(context.Context) error) error {
	if k.broken != nil {
		return k.broken
	}
	ctx, stop := exit.OnSignal(ctx)
	defer stop()
	err := act(ctx)
	if ctx.Err() != nil {
		return context.Canceled
	}
	k.broken = err
	return err
}

// warnOfKeyring says that the keyring is done without.
func warnOfKeyring(env Env, err error) {
	fmt.Fprintf(env.Stderr, "warning: %v; until it can, tokens are kept in a file that only you can read. Unlock or start the keyring, or choose --token-cache-storage=disk.\n", err)
}

// adviseKeyring adds what a person can do about entries that stay closed.
func adviseKeyring(err error) error {
	if !errors.Is(err, tokencache.ErrKeyring) {
		return err
	}
	return exit.WithHint(err, "unlock or start the keyring and try again; kubectl-oidc_login clean removes the logins from this machine")
}

// save keeps the tokens: sealed, or in the clear if they should be sealed and
// cannot be. A login is worth more than the place it is kept in. missed says
// why; after Ctrl-C it says nothing.
func (r *request) save(ctx context.Context, tokens tokencache.Tokens, now time.Time) (missed, err error) {
	tokens.KeyringMissed = time.Time{}
	if r.cache.Seal {
		err := r.cache.Save(ctx, r.key, tokens)
		switch {
		case errors.Is(err, tokencache.ErrKeyring):
			missed = err
		case !errors.Is(err, context.Canceled):
			return nil, err
		}
		r.cache.Seal = false
	}
	if r.flags.cacheStorage == storageKeyring {
		tokens.KeyringMissed = now
	}
	return missed, r.cache.Save(ctx, r.key, tokens)
}

// settle moves an entry to where it is wanted now: after a change of
// --token-cache-storage, or when the keyring is there again. It returns what is
// kept then. That it cannot move it is no failure: the tokens are good.
func (r request) settle(ctx context.Context, env Env, tokens tokencache.Tokens) tokencache.Tokens {
	if r.settled(tokens, env.Now()) {
		return tokens
	}
	// Whoever renews the entry moves it, too.
	atOnce, cancel := context.WithCancel(ctx)
	cancel()
	unlock, err := r.cache.Lock(atOnce, r.key, nil)
	if err != nil {
		return tokens
	}
	defer unlock()
	kept, err := r.cache.Read(ctx, r.key)
	if err != nil || r.settled(kept, env.Now()) {
		return tokens
	}
	missed, err := r.save(ctx, kept, env.Now())
	if missed != nil && kept.KeyringMissed.IsZero() {
		warnOfKeyring(env, missed)
	}
	env.trace.step("cache: moving to another storage: %s", ended(errors.Join(missed, err), ""))
	if err == nil {
		kept.Sealed = r.cache.Seal
	}
	return kept
}

// settled reports whether an entry may stay where it is, for the time being.
func (r request) settled(tokens tokencache.Tokens, now time.Time) bool {
	if r.cache.Seal == tokens.Sealed {
		return true
	}
	since := now.Sub(tokens.KeyringMissed)
	return r.cache.Seal && since >= 0 && since < keyringPause
}
