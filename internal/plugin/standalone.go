// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"github.com/tegata/tegata/internal/exit"
	"github.com/tegata/tegata/internal/kubeconfig"
	"github.com/tegata/tegata/internal/oidc"
	"github.com/tegata/tegata/internal/secret"
	"github.com/tegata/tegata/internal/tokencache"
)

// standaloneFlags are the flags that may stand without a command: those of
// get-token that say how to reach the provider and how to log in. What the
// kubeconfig says is not among them.
type standaloneFlags struct {
	getTokenFlags
	kubeconfig string
	context    string
	user       string
	output     string
}

func (f *standaloneFlags) define() *pflag.FlagSet {
	set := newFlagSet("standalone")
	set.StringVar(&f.kubeconfig, "kubeconfig", "", "the `file` to read and write (default $KUBECONFIG or ~/.kube/config)")
	set.StringVar(&f.context, "context", "", "`name` of the context whose user logs in, instead of the current one")
	set.StringVar(&f.user, "user", "", "`name` of the user who logs in, whatever the context")
	set.StringVarP(&f.output, "output", "o", "text", "`form` of the result: text, json")
	f.getTokenFlags.define().VisitAll(func(flag *pflag.Flag) {
		switch flag.Name {
		case "oidc-issuer-url", "oidc-client-id", "oidc-client-secret", "oidc-extra-scope", "oidc-use-access-token":
		case "token-cache-dir", "token-cache-storage":
		default:
			set.AddFlag(flag)
		}
	})
	return set
}

// standalone is what the program does without a command, and the command of
// that name: it renews the tokens of a user with the section auth-provider,
// which kubectl had before it had credential plugins.
func standalone(ctx context.Context, env Env, args []string) error {
	// 1. What is asked.
	var flags standaloneFlags
	if err := parse(&env, flags.define(), args); err != nil {
		if i := slices.IndexFunc(args, func(arg string) bool { return slices.Contains(commandNames(), arg) }); i > 0 {
			return exit.Misuse("flags stand behind the command: kubectl-oidc_login "+args[i]+" --help shows them", "%w", err)
		}
		return err
	}
	switch {
	case flags.help:
		return commandHelp(env, "standalone")
	case flags.output != "text" && flags.output != "json":
		return exit.Misuse("it is one of text, json", "there is no --output=%s", flags.output)
	}
	s := stanza{env: env, flags: &flags, paths: kubeconfigPaths(flags.kubeconfig, env.Lookup)}
	if err := s.read(); err != nil {
		return err
	}
	if err := s.settle(); err != nil {
		return err
	}
	r, err := flags.request(env.Lookup)
	if err != nil {
		return err
	}
	// Not the entry of get-token: these tokens are kept elsewhere.
	sum := sha256.Sum256([]byte(strings.Join([]string{"standalone", string(r.key), s.user.Path, s.user.Name}, "\x00")))
	r.key = tokencache.Key(hex.EncodeToString(sum[:]))

	// 2. What there is.
	ctx, stop := exit.OnSignal(ctx)
	defer stop()
	if tokens := s.tokens(); flags.usable(tokens, env.Now()) && !flags.forceRefresh {
		env.trace.step("kubeconfig: the ID token is good until %s", clock(tokens.Expiry))
		return s.tell(tokens)
	}

	// 3. Whether what comes can be written, before anybody is asked.
	if err := kubeconfig.Check(ctx, s.paths, s.change(tokencache.Tokens{IDToken: secret.New("x"), RefreshToken: secret.New("x")})); err != nil {
		return adviseKubeconfig(fmt.Errorf("the kubeconfig cannot be written: %w", err))
	}

	// 4. What get-token would do, with the kubeconfig in the place of the cache.
	tokens, err := s.renew(ctx, r)
	switch {
	case s.lost != nil && err == nil:
		return adviseKubeconfig(fmt.Errorf("the login succeeded, but its tokens are not in the kubeconfig: %w", s.lost))
	case s.lost != nil:
		return errors.Join(inStanzaWords(advise(err, r)), fmt.Errorf("and a new refresh token is not in the kubeconfig: %w", s.lost))
	case err != nil:
		return inStanzaWords(advise(err, r))
	}
	return s.tell(tokens)
}

// stanza is a user with the section auth-provider.
type stanza struct {
	env   Env
	flags *standaloneFlags
	paths []string
	user  kubeconfig.User

	written []writtenFile
	lost    error // why the last tokens could not be written
}

// read finds the user whom the flags and the kubeconfig mean.
func (s *stanza) read() error {
	config, err := kubeconfig.Load(s.paths)
	if err != nil {
		return fmt.Errorf("reading the kubeconfig: %w", err)
	}
	if len(config.Paths) == 0 {
		return exit.Misuse("kubectl-oidc_login help shows the commands", "there is no kubeconfig: %s", strings.Join(s.paths, ", "))
	}
	who, name := "", s.flags.user
	if name == "" {
		context := s.flags.context
		if context == "" {
			context = config.CurrentContext()
		}
		if context == "" {
			return exit.Misuse("--context=NAME or --user=NAME says who logs in; kubectl-oidc_login help shows the commands", "the kubeconfig has no current context")
		}
		found, ok := config.Context(context)
		switch {
		case !ok:
			return exit.Misuse(nearest(context, config.Contexts(), "", "kubectl config get-contexts shows them"), "there is no context %q in the kubeconfig", context)
		case found.User == "":
			return exit.Misuse("kubectl-oidc_login setup makes one", "the context %q has no user", context)
		}
		who, name = fmt.Sprintf(" of the context %q", context), found.User
	}
	user, ok := config.User(name)
	if !ok {
		return exit.Misuse(nearest(name, config.Users(), "", "kubectl config get-users shows them"), "there is no user %q in the kubeconfig", name)
	}
	if user.AuthProvider == nil || user.AuthProvider.Name != "oidc" {
		return exit.Misuse(otherWay(user), "the user %q%s does not have the auth-provider oidc: %s", name, who, describeUser(user))
	}
	s.user, s.flags.user = user, name // whatever becomes of the context meanwhile
	return nil
}

// otherWay is what to do for a user of another kind.
func otherWay(user kubeconfig.User) string {
	if user.Exec != nil && runsUs(user, "") {
		args := user.Exec.Args
		if i := slices.Index(args, "get-token"); i >= 0 {
			args = args[i+1:]
		}
		return "kubectl logs in when need be; ahead of time:\n" + commandLine(append([]string{"kubectl-oidc_login", "login"}, args...))
	}
	if user.Exec != nil {
		return "nothing is to be done here: kubectl asks that program"
	}
	return "kubectl-oidc_login setup makes a user who logs in by this program"
}

// settle gives the flags what the kubeconfig says.
func (s *stanza) settle() error {
	config := s.user.AuthProvider.Config
	f := s.flags
	for _, key := range []string{"idp-issuer-url", "client-id"} {
		if config[key].IsZero() {
			return exit.Misuse("kubectl config set-credentials "+exit.Quote(s.user.Name)+" --auth-provider=oidc --auth-provider-arg="+key+"=…",
				"the user %q in %s has no %s", s.user.Name, s.user.Path, key)
		}
	}
	f.issuer, f.clientID = config["idp-issuer-url"].Reveal(), config["client-id"].Reveal()
	if f.clientAuth == (clientAuthFlags{}) {
		f.clientSecret = config["client-secret"].Reveal()
	}
	for scope := range strings.SplitSeq(config["extra-scopes"].Reveal(), ",") {
		if scope = strings.TrimSpace(scope); scope != "" {
			f.extraScopes = append(f.extraScopes, scope)
		}
	}
	if path := config["idp-certificate-authority"].Reveal(); path != "" {
		if !filepath.IsAbs(path) && !strings.HasPrefix(path, "~") {
			path = filepath.Join(filepath.Dir(s.user.Path), path)
		}
		f.authorities = append(f.authorities, path)
	}
	if data := config["idp-certificate-authority-data"].Reveal(); data != "" {
		f.authorityData = append(f.authorityData, data)
	}
	if err := f.check(); err != nil {
		return exit.Misuse("", "%s", stanzaWords(err.Error()))
	}
	return nil
}

// inStanzaWords says in a hint what the kubeconfig calls what the flags of
// get-token call otherwise.
func inStanzaWords(err error) error {
	for e, ok := errors.AsType[*exit.Error](err); ok; e, ok = errors.AsType[*exit.Error](e.Err) {
		if e.Hint != "" {
			return &exit.Error{Err: err, Hint: stanzaWords(e.Hint), Code: exit.Code(err)}
		}
	}
	return err
}

func stanzaWords(text string) string {
	return strings.NewReplacer(
		"--oidc-issuer-url", "idp-issuer-url", "--oidc-client-id", "client-id",
		"--oidc-client-secret", "client-secret", "--oidc-extra-scope", "extra-scopes",
	).Replace(text)
}

// tokens are those in the kubeconfig. An ID token of another issuer or client
// counts for nothing; whether its signature is right, the API server finds out.
func (s *stanza) tokens() tokencache.Tokens {
	config := s.user.AuthProvider.Config
	tokens := tokencache.Tokens{
		Issuer: oidc.Issuer(s.flags.issuer), ClientID: oidc.ClientID(s.flags.clientID), RefreshToken: config["refresh-token"],
	}
	if seen, opaque := readToken(config["id-token"]); !opaque && seen.claims.Issuer == tokens.Issuer && seen.claims.Audience.Has(tokens.ClientID) {
		tokens.IDToken, tokens.Expiry, tokens.Subject = config["id-token"], seen.claims.Expiry.Time, seen.claims.Subject
	}
	return tokens
}

// change is what tokens mean for the kubeconfig. What did not come stays.
func (s *stanza) change(tokens tokencache.Tokens) kubeconfig.Change {
	values := map[string]secret.String{"id-token": tokens.IDToken, "refresh-token": tokens.RefreshToken}
	maps.DeleteFunc(values, func(_ string, value secret.String) bool { return value.IsZero() })
	return kubeconfig.SetAuthProvider(s.user.Name, values)
}

// renew obtains tokens, and writes them down each time that some come.
func (s *stanza) renew(ctx context.Context, r request) (tokencache.Tokens, error) {
	client, err := r.client(s.env)
	if err != nil {
		return tokencache.Tokens{}, err
	}
	defer client.Close()
	n := renewal{request: r, env: s.env, client: client, person: newPerson(s.env, r)}
	n.elsewhere = func(ctx context.Context, tokens tokencache.Tokens) {
		var written []kubeconfig.Written
		written, s.lost = kubeconfig.Update(ctx, s.paths, s.change(tokens))
		s.written = append(s.written, tellWritten(written)...)
	}

	// 1. One process after the other: a refresh token is good once.
	unlock, err := n.cache.Lock(ctx, n.key, n.person.waiting)
	if ctx.Err() != nil {
		return tokencache.Tokens{}, context.Canceled
	} else if err == nil {
		defer unlock()
	}
	if err := s.read(); err != nil {
		return tokencache.Tokens{}, err
	}
	tokens := s.tokens()
	if s.flags.usable(tokens, s.env.Now()) && !s.flags.forceRefresh {
		return tokens, nil
	}

	// 2. The refresh token.
	if !tokens.RefreshToken.IsZero() {
		renewed, why, err := n.refresh(ctx, tokens)
		s.env.trace.step("refresh: %s", ended(err, why))
		if err != nil || why == "" {
			return renewed, err
		}
		n.person.tell("a new login is needed: %s", why)
	}

	// 3. A person.
	tokens, err = n.login(ctx)
	s.env.trace.step("login: %s", ended(err, ""))
	return tokens, err
}

// tell says who is logged in now, and what was written.
func (s *stanza) tell(tokens tokencache.Tokens) error {
	l := describe(tokens, s.user.Path, s.env.Now())
	l.Storage = "kubeconfig"
	if s.flags.output == "json" {
		encoder := json.NewEncoder(s.env.Stdout)
		encoder.SetIndent("", "  ")
		return encoder.Encode(l)
	}
	how := "the token is still good"
	var modes []string
	for _, file := range s.written {
		how = "the tokens are new"
		if file.Mode != "" {
			modes = append(modes, fmt.Sprintf("The mode of %s was %s, and is 0600 now: there are credentials in it.\n", file.File, file.Mode))
		}
	}
	_, err := fmt.Fprintf(s.env.Stdout, "%s is logged in at %s with the client %s until %s; %s, in %s\n%s",
		l.person(), l.Issuer, l.ClientID, l.until(), how, l.File, strings.Join(modes, ""))
	return err
}
