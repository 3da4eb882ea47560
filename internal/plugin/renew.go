// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"context"
	"errors"
	"time"

	"github.com/tegata/tegata/internal/exit"
	"github.com/tegata/tegata/internal/login"
	"github.com/tegata/tegata/internal/tokencache"
)

// renewal is one run that has to go to the provider.
type renewal struct {
	request
	env    Env
	person person
	client *login.Client

	began  time.Time
	warned bool // that nothing can be kept was said

	// elsewhere keeps the tokens in the place of the cache; nil for the cache.
	elsewhere func(ctx context.Context, tokens tokencache.Tokens)
}

// renew obtains tokens that are valid: another process's, or by a refresh, or
// by a login.
func renew(ctx context.Context, env Env, r request) (tokencache.Tokens, error) {
	ctx, stop := exit.OnSignal(ctx)
	defer stop()
	client, err := r.client(env)
	if err != nil {
		return tokencache.Tokens{}, err
	}
	defer client.Close()
	n := renewal{request: r, env: env, client: client, person: newPerson(env, r), began: env.Now()}
	tokens, err := n.run(ctx)
	if err != nil {
		return tokencache.Tokens{}, advise(err, r)
	}
	return tokens, nil
}

func (n *renewal) run(ctx context.Context) (tokencache.Tokens, error) {
	// 1. One process renews, the others wait for its result. A place without
	// locks is no reason to fail: then each one renews for itself.
	unlock, err := n.cache.Lock(ctx, n.key, n.person.waiting)
	switch {
	case ctx.Err() != nil:
		return tokencache.Tokens{}, context.Canceled
	case err == nil:
		n.env.trace.step("lock: it is ours")
		defer unlock()
		if n.keyring != nil && n.coolingDown() == nil {
			n.keyring.mayAsk(n.env)
		}
	case n.noCache == nil:
		n.noCache = err
	}

	// 2. What the process before us left.
	tokens, err := n.cache.Read(ctx, n.key)
	switch {
	case errors.Is(err, context.Canceled):
		return tokencache.Tokens{}, err
	case errors.Is(err, tokencache.ErrKeyring) && n.cache.Seal:
		n.cache.Seal = false
		warnOfKeyring(n.env, err)
	case errors.Is(err, tokencache.ErrKeyring):
		n.person.warn("%v, and what is kept was sealed with it", err)
	}
	if err != nil {
		tokens = tokencache.Tokens{}
	}
	renewed := tokens.Bearer() != n.seen && n.env.Now().Before(tokens.Expiry) // just now, so it is as good as it gets
	if (renewed || n.flags.usable(tokens, n.env.Now().Add(n.ahead))) && !n.flags.forceRefresh {
		n.env.trace.step("cache: another process has renewed the tokens")
		return tokens, nil
	}

	if err := n.unreached(); err != nil {
		return tokencache.Tokens{}, err
	}

	// 3. The refresh token.
	if !tokens.RefreshToken.IsZero() {
		renewed, why, err := n.refresh(ctx, tokens)
		n.env.trace.step("refresh: %s", ended(err, why))
		if err != nil || why == "" {
			n.noteUnreached(ctx, err)
			n.tellIfShort(renewed, err)
			return renewed, err
		}
		n.person.tell("a new login is needed: %s", why)
	}

	// 4. A person, unless a login can give nothing better, or one has just been
	// asked in vain.
	if n.asGoodAsItGets(tokens) {
		n.tellIfShort(tokens, nil)
		return tokens, nil
	}
	if err := n.coolingDown(); err != nil {
		return tokencache.Tokens{}, err
	}
	tokens, err = n.login(ctx)
	n.env.trace.step("login: %s", ended(err, ""))
	n.coolDown(ctx, err)
	n.noteUnreached(ctx, err)
	n.tellIfShort(tokens, err)
	return tokens, err
}

// tellIfShort says that the tokens end sooner than was asked for. They are
// used all the same: the provider gives no others.
func (n *renewal) tellIfShort(tokens tokencache.Tokens, err error) {
	if err == nil && !n.flags.usable(tokens, n.env.Now()) {
		n.person.warn("the token ends at %s, sooner than --minimum-validity=%s from now; it is used all the same", clock(tokens.Expiry), n.flags.minimumValidity)
	}
}

// asGoodAsItGets reports whether an ID token is valid, and was never valid for
// as long as is asked for. Another login would give the same, and with each
// call there would be another login.
func (n *renewal) asGoodAsItGets(tokens tokencache.Tokens) bool {
	if n.flags.forceRefresh || n.ahead > 0 || !n.env.Now().Add(minimumValidity).Before(tokens.Expiry) {
		return false
	}
	seen, opaque := readToken(tokens.Bearer())
	return !opaque && tokens.Expiry.Sub(seen.claims.IssuedAt.Time) <= n.flags.minimumValidity
}

// refresh redeems the refresh token. If only a login helps, why says it.
func (n *renewal) refresh(ctx context.Context, old tokencache.Tokens) (tokens tokencache.Tokens, why string, err error) {
	answer, err := n.client.Refresh(ctx, old.RefreshToken)
	switch {
	case login.IsInvalidGrant(err):
		return old, "the provider no longer accepts the refresh token", nil
	case err != nil:
		return tokencache.Tokens{}, "", &refreshError{err}
	}

	// A rotated refresh token is kept before anything else can go wrong: the
	// old one is worth nothing any more.
	tokens = old
	if !answer.RefreshToken.IsZero() && answer.RefreshToken != old.RefreshToken {
		tokens.RefreshToken = answer.RefreshToken
		n.keep(ctx, tokens)
	}

	// What is handed out must have come. OpenID Connect Core 1.0, section
	// 12.2: an ID token may be missing.
	came, kind := answer.IDToken, "an ID token"
	if n.flags.accessToken {
		came, kind = answer.AccessToken, "an access token"
	}
	if came.IsZero() {
		if n.env.Now().Before(old.Expiry) && !old.Bearer().IsZero() {
			return tokens, "", nil
		}
		return tokens, "the provider renewed the tokens without " + kind, nil
	}
	if !answer.IDToken.IsZero() {
		claims, err := n.client.Verify(ctx, answer.IDToken, login.Expected{Subject: old.Subject, AccessToken: answer.AccessToken})
		if err != nil {
			if login.IsKind(err, login.SubjectChanged) {
				// These tokens are somebody else's now; the next run asks who is there.
				err = errors.Join(err, n.cache.Remove(n.key))
			}
			return tokencache.Tokens{}, "", err
		}
		tokens.IDToken, tokens.Expiry, tokens.Subject = answer.IDToken, claims.Expiry.Time, claims.Subject
	}
	if n.flags.accessToken {
		tokens.AccessToken, tokens.Expiry = answer.AccessToken, login.AccessTokenExpiry(answer, n.env.Now())
	}
	n.keep(ctx, tokens)
	return tokens, "", nil
}

// login obtains tokens without any that were there before.
func (n *renewal) login(ctx context.Context) (tokencache.Tokens, error) {
	outcome, err := n.obtain(ctx)
	if err != nil {
		return tokencache.Tokens{}, err
	}
	tokens := tokencache.Tokens{
		IDToken:      outcome.Tokens.IDToken,
		Expiry:       outcome.Claims.Expiry.Time,
		RefreshToken: outcome.Tokens.RefreshToken,
		Subject:      outcome.Claims.Subject,
		Issuer:       n.identity.Issuer,
		ClientID:     n.identity.ClientID,
	}
	if n.flags.accessToken {
		tokens.AccessToken, tokens.Expiry = outcome.Tokens.AccessToken, login.AccessTokenExpiry(outcome.Tokens, n.env.Now())
	}
	n.keep(ctx, tokens)
	return tokens, nil
}

// probe finds out, before a person is asked, whether what they give can be kept.
func (n *renewal) probe(ctx context.Context) {
	if n.elsewhere != nil {
		return // who keeps them has looked
	}
	if n.noCache == nil {
		n.noCache = n.cache.Probe()
	}
	if n.noCache == nil {
		if err := n.cache.ProbeKeyring(ctx); errors.Is(err, tokencache.ErrKeyring) {
			n.cache.Seal = false
			warnOfKeyring(n.env, err)
		}
	}
	if n.noCache != nil {
		n.person.warn("the tokens cannot be kept, so the next call asks again: %v", n.noCache)
		n.warned = true
	}
}

// keep saves the tokens. That it cannot is said once; the credential is good.
func (n *renewal) keep(ctx context.Context, tokens tokencache.Tokens) {
	if n.elsewhere != nil {
		n.elsewhere(ctx, tokens)
		return
	}
	if n.cache.Dir == "" {
		return
	}
	missed, err := n.save(ctx, tokens, n.env.Now())
	if err == nil && missed != nil {
		warnOfKeyring(n.env, missed)
	}
	if err != nil && !n.warned {
		n.person.warn("the renewed tokens cannot be kept, so the next call may ask for a login: %v", err)
		n.warned = true
	}
}

// refreshError is a refresh that failed while the refresh token is still good.
type refreshError struct{ err error }

func (e *refreshError) Error() string { return "renewing the token: " + e.err.Error() }
func (e *refreshError) Unwrap() error { return e.err }
