// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"context"
	"errors"

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

	warned bool // that nothing can be kept was said
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
	n := renewal{request: r, env: env, client: client, person: newPerson(env, r)}
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
	case n.noCache == nil:
		n.noCache = err
	}

	// 2. What the process before us left.
	tokens, err := n.cache.Read(n.key)
	if err != nil {
		tokens = tokencache.Tokens{}
	}
	if usable(tokens, n.env.Now().Add(n.ahead)) && !n.flags.forceRefresh {
		n.env.trace.step("cache: another process has renewed the tokens")
		return tokens, nil
	}

	// 3. The refresh token.
	if !tokens.RefreshToken.IsZero() {
		renewed, why, err := n.refresh(ctx, tokens)
		n.env.trace.step("refresh: %s", ended(err, why))
		if err != nil || why == "" {
			return renewed, err
		}
		n.person.tell("a new login is needed: %s", why)
	}

	// 4. A person, unless one has just been asked in vain.
	if err := n.coolingDown(); err != nil {
		return tokencache.Tokens{}, err
	}
	tokens, err = n.login(ctx)
	n.env.trace.step("login: %s", ended(err, ""))
	n.coolDown(ctx, err)
	return tokens, err
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
		n.keep(tokens)
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
	n.keep(tokens)
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
	n.keep(tokens)
	return tokens, nil
}

// probe finds out, before a person is asked, whether what they give can be kept.
func (n *renewal) probe() {
	if n.noCache == nil {
		n.noCache = n.cache.Probe()
	}
	if n.noCache != nil {
		n.person.warn("the tokens cannot be kept, so the next call asks again: %v", n.noCache)
		n.warned = true
	}
}

// keep saves the tokens. That it cannot is said once; the credential is good.
func (n *renewal) keep(tokens tokencache.Tokens) {
	if n.cache.Dir == "" {
		return
	}
	if err := n.cache.Save(n.key, tokens); err != nil && !n.warned {
		n.person.warn("the renewed tokens cannot be kept, so the next call may ask for a login: %v", err)
		n.warned = true
	}
}

// refreshError is a refresh that failed while the refresh token is still good.
type refreshError struct{ err error }

func (e *refreshError) Error() string { return "renewing the token: " + e.err.Error() }
func (e *refreshError) Unwrap() error { return e.err }
