// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/pflag"

	"github.com/tegata/tegata/internal/exit"
	"github.com/tegata/tegata/internal/login"
	"github.com/tegata/tegata/internal/oidc"
	"github.com/tegata/tegata/internal/tokencache"
)

// logoutFlags are the flags of logout: those of get-token, so that a command
// line can be used again, and its own.
type logoutFlags struct {
	getTokenFlags
	all bool
}

func (f *logoutFlags) define() *pflag.FlagSet {
	set := newFlagSet("logout")
	set.BoolVar(&f.all, "all", false, "log out everywhere")
	set.AddFlagSet(f.getTokenFlags.define())
	shown := map[string]bool{}
	for _, name := range []string{
		"oidc-issuer-url", "oidc-client-id", "oidc-client-secret", "oidc-client-secret-file", "oidc-client-secret-command",
		"oidc-client-assertion-key", "oidc-client-certificate", "oidc-client-key", "oidc-request-header", "token-cache-dir", "certificate-authority",
		"certificate-authority-data", "insecure-skip-tls-verify", "skip-open-browser", "browser-command", "config", "help", "all",
	} {
		shown[name] = true
	}
	// The others mean nothing here.
	set.VisitAll(func(flag *pflag.Flag) { flag.Hidden = !shown[flag.Name] })
	set.Lookup("oidc-issuer-url").Usage = "issuer `URL` to log out from"
	set.Lookup("oidc-client-id").Usage = "client `ID` to log out; all clients at the issuer if it is missing"
	set.Lookup("oidc-client-secret").Usage = "`secret` of the client that is named, if it has one"
	return set
}

// logOut is the command logout.
func logOut(ctx context.Context, env Env, args []string) error {
	// 1. What is asked.
	var flags logoutFlags
	set := flags.define()
	if err := parse(&env, set, args); err != nil {
		return err
	}
	if flags.help {
		return commandHelp(env, "logout")
	}
	switch {
	case flags.all:
		// Neither a secret nor a header is for everybody.
		flags.issuer, flags.clientID, flags.clientSecret, flags.headers = "", "", "", nil
	case flags.issuer == "":
		return exit.Misuse("kubectl-oidc_login status shows where somebody is logged in", "say where to log out: --oidc-issuer-url=URL or --all")
	}
	authorities, err := flags.authoritiesPEM(env.Lookup)
	if err != nil {
		return err
	}
	ctx, stop := exit.OnSignal(ctx)
	defer stop()

	// 2. Who is logged in there.
	cache, keyring := cacheAt(flags.cacheDir, env.Lookup)
	keyring.mayAsk(env)
	entries, err := cache.List(ctx)
	var closed error // some may be there that cannot be opened
	switch {
	case errors.Is(err, tokencache.ErrKeyring):
		closed = adviseKeyring(fmt.Errorf("reading the token cache: %w", err))
	case err != nil:
		return fmt.Errorf("reading the token cache: %w", err)
	}
	entries = selectEntries(entries, flags.issuer, flags.clientID)
	switch {
	case len(entries) == 0 && closed != nil:
		return closed
	case len(entries) == 0:
		fmt.Fprintln(env.Stderr, nobody(cache, flags.issuer, flags.clientID))
		return nil
	}

	// 3. One by one, each to its end.
	told := map[string]bool{}
	incomplete := 0
	var last error
	for _, entry := range entries {
		out := departure{
			env: env, cache: cache, key: entry.Key, told: told,
			request: request{flags: &flags.getTokenFlags, identity: tokencache.Identity{
				Issuer: entry.Tokens.Issuer, ClientID: entry.Tokens.ClientID, Authorities: authorities,
				InsecureSkipTLSVerify: flags.insecure, RequestHeaders: flags.headers,
			}},
		}
		out.person = newPerson(env, out.request)
		switch err := out.run(ctx); {
		case ctx.Err() != nil:
			return context.Canceled
		case exit.Code(err) == exit.Usage:
			return err // it would be the same for all
		case err != nil:
			incomplete++
			last = err
			if len(entries) > 1 {
				out.person.warn("%v", err)
			}
		}
	}
	switch {
	case incomplete == 1 && len(entries) == 1:
		return last
	case incomplete > 0:
		return fmt.Errorf("%d of %d logouts are not complete", incomplete, len(entries))
	}
	return closed
}

// departure is the logout of one entry.
type departure struct {
	request
	env    Env
	cache  tokencache.Cache
	key    tokencache.Key
	person person
	told   map[string]bool // addresses that the person has seen
}

// run revokes, removes, and shows where the session ends. The tokens leave
// this machine whatever the provider says; an error is what did not happen.
func (d departure) run(ctx context.Context) error {
	// 1. What is needed to reach the provider; a mistake in it is no reason to
	// forget anything. A secret belongs to the client that it was given for.
	if string(d.identity.ClientID) != d.flags.clientID {
		without := *d.flags
		without.clientSecret, without.clientAuth = "", clientAuthFlags{}
		d.flags = &without
	}
	client, err := d.client(d.env)
	if err != nil {
		return err
	}
	client.Notebook = nil // nothing is to be kept about a provider that we leave
	defer client.Close()

	// 2. Nobody renews what we revoke: the refresh token is the last one.
	unlock, err := d.cache.Lock(ctx, d.key, d.person.waiting)
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case err != nil:
		return fmt.Errorf("locking the token cache: %w", err)
	}
	defer unlock()
	tokens, err := d.cache.Read(ctx, d.key)
	if errors.Is(err, tokencache.ErrAbsent) {
		return nil // another process was here before us
	} else if err != nil {
		return fmt.Errorf("reading the token cache: %w", err)
	}
	l := describe(tokens, "", d.env.Now())
	who := fmt.Sprintf("%s at %s with the client %s", l.person(), printable(string(l.Issuer)), printable(string(l.ClientID)))

	// 3. The provider. A crash from here on leaves tokens that it refuses.
	address, remote := d.atProvider(ctx, client, tokens)
	if ctx.Err() != nil {
		return ctx.Err()
	}

	// 4. This machine.
	if err := d.cache.Forget(d.key); err != nil {
		return fmt.Errorf("removing the tokens of %s: %w", who, err)
	}
	if remote == nil {
		fmt.Fprintf(d.env.Stdout, "logged out %s\n", who)
	} else {
		d.person.warn("the tokens of %s are no longer on this machine, but not all was done at the provider", who)
	}
	if l.Valid {
		fmt.Fprintf(d.env.Stderr, "A token that was already handed out stays valid until %s: API servers ask nobody.\n", l.until())
	}

	// 5. The browser's session.
	if address != "" && !d.told[address] {
		d.told[address] = true
		d.visit(address)
	}
	return remote
}

// atProvider revokes the refresh token, and finds out where the browser's
// session ends.
func (d departure) atProvider(ctx context.Context, client *login.Client, tokens tokencache.Tokens) (address string, err error) {
	if tokens.RefreshToken.IsZero() {
		fmt.Fprintln(d.env.Stderr, "There is no refresh token to revoke.")
	} else {
		err = client.Revoke(ctx, tokens.RefreshToken)
		d.env.trace.step("revocation: %s", ended(err, ""))
		if err == login.ErrCannotRevoke { //nolint:errorlint // a sentinel that is never wrapped
			fmt.Fprintf(d.env.Stderr, "The provider %s cannot revoke refresh tokens: this one stays good there until it ends by itself.\n", d.identity.Issuer)
			err = nil
		}
	}
	if err != nil {
		hint := "end the session at the provider, on its own pages"
		if refused, ok := errors.AsType[*oidc.Error](err); ok && (refused.Code == oidc.InvalidClient || refused.Code == oidc.UnauthorizedClient) {
			hint += "; next time name --oidc-client-id and --oidc-client-secret"
		} else if login.IsKind(err, login.UntrustedCertificate) {
			hint += "; next time name --certificate-authority=FILE"
		}
		err = exit.WithHint(fmt.Errorf("the refresh token is not revoked: %w", err), hint)
		if login.IsKind(err, login.Unreachable) || login.IsKind(err, login.TimedOut) || login.IsKind(err, login.UntrustedCertificate) {
			return "", err // nor would it tell where the session ends
		}
	}
	address, where := client.EndSession(ctx, tokens.Subject)
	return address, errors.Join(err, where)
}

// visit brings the person to the page that ends their session, if they have a
// browser, and tells its address in any case.
func (d departure) visit(address string) {
	fmt.Fprintf(d.env.Stderr, "To end the session of the browser too, open this address:\n  %s\n", address)
	if d.person.skipBrowser || !d.person.browser.CanOpen() {
		return
	}
	if err := d.person.browser.Open(address, func(error) {}); err != nil {
		d.person.warn("the browser did not open: %v", err)
	}
}
