// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"context"
	"errors"
	"time"

	"github.com/tegata/tegata/internal/execcredential"
	"github.com/tegata/tegata/internal/exit"
	"github.com/tegata/tegata/internal/tokencache"
)

// minimumValidity is how long a token must still be valid to be handed out,
// if nobody says otherwise: it has a way to go, to a machine with a clock of
// its own.
const minimumValidity = 10 * time.Second

// getToken is the command get-token. It ends here on the warm path.
func getToken(ctx context.Context, env Env, args []string) error {
	// 1. What kubectl speaks comes first: nobody logs in for an answer that
	// nobody can read.
	asked, err := execcredential.ReadRequest(env.Lookup(execcredential.Variable))
	if err != nil {
		return exit.WithHint(err, "set apiVersion: client.authentication.k8s.io/v1 in the user's exec section of the kubeconfig")
	}

	// 2. What is asked.
	var flags getTokenFlags
	if err := parse(&env, flags.define(), args); err != nil {
		return err
	}
	if flags.help {
		return commandHelp(env, "get-token")
	}
	if err := flags.check(); err != nil {
		return err
	}
	r, err := flags.request(env.Lookup)
	if err != nil {
		return err
	}

	// 3. What is kept.
	tokens, err := r.cache.Read(ctx, r.key)
	if err != nil || flags.forceRefresh || !flags.usable(tokens, env.Now()) {
		switch {
		case errors.Is(err, context.Canceled):
			return err
		case err != nil && !errors.Is(err, tokencache.ErrAbsent) && !errors.Is(err, tokencache.ErrKeyring) && r.noCache == nil:
			r.noCache = err
		}
		env.trace.step("cache: %s", keptFor(tokens, err, flags.forceRefresh))
		r.seen = tokens.Bearer()
		if tokens, err = renew(ctx, env, r); err != nil {
			return err
		}
	} else {
		env.trace.step("cache: the ID token is good until %s", clock(tokens.Expiry))
		defer r.settle(ctx, env, tokens) // the credential is out by then
	}

	// 4. What kubectl gets.
	return execcredential.Write(env.Stdout, asked.APIVersion, execcredential.Credential{
		Token:  tokens.Bearer(),
		Expiry: tokens.Expiry,
	})
}

// usable reports whether the token may be handed out as it is.
func (f *getTokenFlags) usable(tokens tokencache.Tokens, now time.Time) bool {
	return !tokens.Bearer().IsZero() && now.Add(f.minimumValidity).Before(tokens.Expiry)
}

// keptFor says, for a trace, why what is kept is not handed out.
func keptFor(tokens tokencache.Tokens, err error, force bool) string {
	switch {
	case errors.Is(err, tokencache.ErrAbsent):
		return "nothing is kept for these flags"
	case err != nil:
		return err.Error()
	case force:
		return "what is kept is not used, as --force-refresh says"
	case tokens.IDToken.IsZero():
		return "there is no ID token, but a refresh token"
	}
	return "the ID token ends at " + clock(tokens.Expiry)
}
