// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/pflag"

	"github.com/tegata/tegata/internal/exit"
	"github.com/tegata/tegata/internal/tokencache"
)

// aheadOfTime is how long a token must still be good for login to leave it.
const aheadOfTime = 5 * time.Minute

// loginFlags are the flags of login: those of get-token, and its own.
type loginFlags struct {
	getTokenFlags
	output string
}

func (f *loginFlags) define() *pflag.FlagSet {
	set := newFlagSet("login")
	set.StringVarP(&f.output, "output", "o", "text", "`form` of the result: text, json")
	set.AddFlagSet(f.getTokenFlags.define())
	return set
}

// logIn is the command login.
func logIn(ctx context.Context, env Env, args []string) error {
	// 1. What is asked.
	var flags loginFlags
	if err := parse(&env, flags.define(), args); err != nil {
		return err
	}
	if flags.help {
		return commandHelp(env, "login")
	}
	if flags.output != "text" && flags.output != "json" {
		return exit.Misuse("it is one of text, json", "there is no --output=%s", flags.output)
	}
	if err := flags.check(); err != nil {
		return err
	}
	if flags.cacheStorage == storageNone {
		return exit.Misuse("", "login keeps tokens for later, and --token-cache-storage=none keeps none")
	}
	r, err := flags.request(env.Lookup)
	if err != nil {
		return err
	}

	// 2. A place to keep it, before anybody is asked: here, keeping it is all
	// that a login is for.
	if r.noCache == nil {
		r.noCache = r.cache.Probe()
	}
	if r.noCache != nil {
		return exit.WithHint(fmt.Errorf("the tokens cannot be kept: %w", r.noCache), "--token-cache-dir=FOLDER names another place")
	}

	// 3. What is kept, or what get-token would do.
	r.ahead = aheadOfTime
	tokens, err := r.cache.Read(ctx, r.key)
	if err != nil || flags.forceRefresh || !flags.usable(tokens, env.Now().Add(r.ahead)) {
		env.trace.step("cache: %s", keptFor(tokens, err, flags.forceRefresh))
		r.seen = tokens.Bearer()
		if _, err = renew(ctx, env, r); err != nil {
			return err
		}
		// What was kept is what get-token will find.
		if tokens, err = r.cache.Read(ctx, r.key); err != nil {
			if errors.Is(err, tokencache.ErrAbsent) {
				err = errors.New("they are not in the token cache")
			}
			return fmt.Errorf("the login succeeded, but its tokens were not kept: %w", err)
		}
	}

	tokens = r.settle(ctx, env, tokens)

	// 4. Who it is.
	l := describe(tokens, "", env.Now())
	if flags.output == "json" {
		encoder := json.NewEncoder(env.Stdout)
		encoder.SetIndent("", "  ")
		return encoder.Encode(l)
	}
	_, err = fmt.Fprintf(env.Stdout, "%s is logged in at %s with the client %s until %s\n", l.person(), l.Issuer, l.ClientID, l.until())
	return err
}
