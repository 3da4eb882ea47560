// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/tegata/tegata/internal/clientregistry"
	"github.com/tegata/tegata/internal/exit"
	"github.com/tegata/tegata/internal/secret"
	"github.com/tegata/tegata/internal/signingkey"
)

// clientFlags are what a person can say of a client. Each of them changes one
// thing, and what is not given stays as it is.
type clientFlags struct {
	changes []func(*clientregistry.Client)
	lists   []func(*clientregistry.Client) *[]string

	public      bool
	secretStdin bool
	newSecret   bool
}

// text declares a flag that is one text; an empty one takes it away.
func (f *clientFlags) text(c *cobra.Command, name, usage string, field func(*clientregistry.Client) *string) {
	c.Flags().Var(&clientFlag{kind: "text", set: func(value string) error {
		f.changes = append(f.changes, func(client *clientregistry.Client) { *field(client) = value })
		return nil
	}}, name, usage)
}

// list declares a flag that is repeated for more. The first one replaces what
// there was; an empty one alone takes it away. read takes a value apart.
func (f *clientFlags) list(c *cobra.Command, name, usage string, read func(string) []string, field func(*clientregistry.Client) *[]string) {
	f.lists = append(f.lists, field)
	first := true
	c.Flags().Var(&clientFlag{kind: "list", set: func(value string) error {
		replaces := first
		first = false
		f.changes = append(f.changes, func(client *clientregistry.Client) {
			list := field(client)
			if replaces {
				*list = nil
			}
			*list = slices.Concat(*list, read(value))
		})
		return nil
	}}, name, usage)
}

// whole is a value of a list as it is: an address may have a comma in it.
func whole(value string) []string { return []string{value} }

// commas are several values of a list.
func commas(value string) []string {
	return slices.DeleteFunc(strings.Split(value, ","), func(part string) bool { return part == "" })
}

func grantNames(value string) (names []string) {
	for _, name := range commas(value) {
		names = append(names, clientregistry.GrantType(name))
	}
	return names
}

func (f *clientFlags) lifetime(c *cobra.Command, name, usage string, field func(*clientregistry.Lifetimes) *time.Duration) {
	c.Flags().Var(&clientFlag{kind: "duration", set: func(value string) error {
		var d duration
		if value != "" {
			if err := d.UnmarshalText([]byte(value)); err != nil {
				return err
			}
		}
		f.changes = append(f.changes, func(client *clientregistry.Client) { *field(&client.Lifetimes) = time.Duration(d) })
		return nil
	}}, name, usage)
}

// claim declares a flag NAME=SOMETHING that sets one further claim, or takes
// it away if there is nothing.
func (f *clientFlags) claim(c *cobra.Command, name, usage string, read func(string) clientregistry.Claim) {
	c.Flags().Var(&clientFlag{kind: "list", set: func(value string) error {
		claim, source, ok := strings.Cut(value, "=")
		if !ok || claim == "" {
			return errors.New("NAME=… is wanted here")
		}
		f.changes = append(f.changes, func(client *clientregistry.Client) {
			claims := maps.Clone(client.Claims)
			if claims == nil {
				claims = map[string]clientregistry.Claim{}
			}
			if delete(claims, claim); source != "" {
				claims[claim] = read(source)
			}
			client.Claims = claims
		})
		return nil
	}}, name, usage)
}

// jsonValue is a value as it is written; what is no JSON is a text.
func jsonValue(value string) clientregistry.Claim {
	if !json.Valid([]byte(value)) {
		text, _ := json.Marshal(value) // a text always encodes
		value = string(text)
	}
	return clientregistry.Claim{Value: json.RawMessage(value)}
}

// truth declares a flag that is said or taken back.
func (f *clientFlags) truth(c *cobra.Command, name, usage string, field func(*clientregistry.Client) *bool) {
	c.Flags().Var(&clientFlag{kind: "bool", set: func(value string) error {
		yes, err := strconv.ParseBool(value)
		f.changes = append(f.changes, func(client *clientregistry.Client) { *field(client) = yes })
		return err
	}}, name, usage)
	c.Flags().Lookup(name).NoOptDefVal = "true"
}

// keys declares the flag that names a file of public keys.
func (f *clientFlags) keys(c *cobra.Command) {
	c.Flags().Var(&clientFlag{kind: "text", set: func(path string) error {
		var keys json.RawMessage
		if path != "" {
			var err error
			if keys, err = readKeySet(path); err != nil {
				return err
			}
		}
		f.changes = append(f.changes, func(client *clientregistry.Client) { client.JWKS = keys })
		return nil
	}}, "jwks", "`FILE` with its public keys: a JWK Set, or PEM with keys or certificates")
	_ = c.MarkFlagFilename("jwks")
}

// clientFlag is a flag that hands on what it is given, in the order of the
// command line.
type clientFlag struct {
	kind string
	set  func(string) error
}

// Set implements [pflag.Value].
func (f *clientFlag) Set(value string) error { return f.set(value) }

// String implements [pflag.Value]: no flag has a value of its own.
func (f *clientFlag) String() string { return "" }

// Type implements [pflag.Value].
func (f *clientFlag) Type() string { return f.kind }

func (f *clientFlags) register(c *cobra.Command) {
	type client = clientregistry.Client
	type lifetimes = clientregistry.Lifetimes

	f.text(c, "name", "`NAME` that people read on the login page", func(c *client) *string { return &c.Name })
	c.Flags().BoolVar(&f.public, "public", false, "a client without a secret, such as a command on people's machines")
	f.text(c, "auth", "`METHOD` by which it proves who it is (its secret, in both ways)", func(c *client) *string { return (*string)(&c.Authentication) })
	c.Flags().BoolVar(&f.secretStdin, "secret-stdin", false, "read the secret from standard input instead of making one")
	f.keys(c)
	f.text(c, "tls-subject", "`NAME` in its certificate: CN=…,O=… or dns:, uri:, email: or ip: and a name", func(c *client) *string { return &c.TLSSubject })

	f.list(c, "redirect-uri", "`URI` that answers may go to; repeat for more", whole, func(c *client) *[]string { return &c.RedirectURIs })
	f.list(c, "post-logout-redirect-uri", "`URI` that the browser may go to after a logout; repeat for more", whole, func(c *client) *[]string { return &c.PostLogoutRedirectURIs })
	f.text(c, "backchannel-logout-uri", "`URI` that is told of a logout", func(c *client) *string { return &c.BackChannelLogoutURI })
	f.list(c, "origin", "`ORIGIN` of pages whose scripts may call, as https://app.example.com; repeat for more", whole, func(c *client) *[]string { return &c.Origins })

	f.list(c, "grant", "`GRANT` that it may use, such as device_code; repeat for more (authorization_code and refresh_token)", grantNames, func(c *client) *[]string { return &c.Grants })
	f.list(c, "scope", "`SCOPE` that the client may get at the most; repeat for more (all)", commas, func(c *client) *[]string { return (*[]string)(&c.Scopes) })
	f.list(c, "audience", "`AUDIENCE` that a token exchange may narrow its tokens to; repeat for more", commas, func(c *client) *[]string { return &c.Audiences })
	f.list(c, "source", "`SOURCE` whose end users may use it; repeat for more (all)", commas, func(c *client) *[]string { return &c.Sources })
	f.text(c, "consent", "`WHEN` the end user is asked: always or never (by what the client is)", func(c *client) *string { return &c.Consent })
	f.truth(c, "second-factor", "everybody who uses it needs a second factor; =false takes it back", func(c *client) *bool { return &c.SecondFactor })

	f.text(c, "groups-claim", "`CLAIM` that holds the groups in its tokens (the issuer's)", func(c *client) *string { return &c.GroupsClaim })
	f.text(c, "groups-filter", "`REGEXP` that a group must match as a whole to be told", func(c *client) *string { return &c.GroupsFilter })
	f.text(c, "groups-prefix", "`PREFIX` before each group", func(c *client) *string { return &c.GroupsPrefix })
	f.claim(c, "claim-value", "`NAME=JSON` of a claim that is the same for everybody; a plain text will do", jsonValue)
	f.claim(c, "claim-attribute", "`NAME=ATTRIBUTE` of a claim that is an attribute of the end user", func(name string) clientregistry.Claim {
		return clientregistry.Claim{Attribute: name}
	})
	f.claim(c, "claim-expression", "`NAME=EXPRESSION` of a claim that is computed, in CEL", func(source string) clientregistry.Claim {
		return clientregistry.Claim{Expression: source}
	})
	f.text(c, "signing-alg", "`ALG` of its ID tokens, RS256 or ES256 (the issuer's)", func(c *client) *string { return &c.SigningAlg })
	f.text(c, "access-token-alg", "`ALG` of its access tokens, RS256 or ES256 (ES256)", func(c *client) *string { return &c.AccessTokenAlg })
	f.lifetime(c, "id-token-lifetime", "`DURATION` of its ID tokens (the issuer's)", func(l *lifetimes) *time.Duration { return &l.IDToken })
	f.lifetime(c, "access-token-lifetime", "`DURATION` of its access tokens (the issuer's)", func(l *lifetimes) *time.Duration { return &l.AccessToken })
	f.lifetime(c, "refresh-idle", "`DURATION` of a refresh token that nobody uses (the issuer's)", func(l *lifetimes) *time.Duration { return &l.RefreshIdle })
	f.lifetime(c, "refresh-absolute", "`DURATION` of a login, refreshed or not (the issuer's)", func(l *lifetimes) *time.Duration { return &l.RefreshAbsolute })

	var methods, grants []string
	for _, method := range clientregistry.Methods() {
		methods = append(methods, string(method))
	}
	for _, grant := range clientregistry.GrantTypes() {
		grants = append(grants, clientregistry.ShortGrantType(grant))
	}
	for flag, values := range map[string][]string{
		"auth": methods, "grant": grants, "scope": clientregistry.AllScopes(), "signing-alg": signingkey.Algorithms(),
		"access-token-alg": signingkey.Algorithms(), "consent": {clientregistry.ConsentAlways, clientregistry.ConsentNever},
	} {
		_ = c.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp))
	}
}

// nothing reports whether no flag says anything.
func (f *clientFlags) nothing() bool {
	return len(f.changes) == 0 && !f.public && !f.secretStdin && !f.newSecret
}

// apply makes the changes, in the order of the command line, and checks what
// comes of them. A secret that is still to come is pending.
func (f *clientFlags) apply(client *clientregistry.Client, isNew bool) error {
	if f.public && (f.secretStdin || f.newSecret) {
		return exit.Misuse("leave out one of them", "--public has no secret, and --secret-stdin reads one")
	}
	for _, change := range f.changes {
		change(client)
	}
	for _, field := range f.lists {
		if list := field(client); !isNew && slices.Equal(*list, []string{""}) {
			*list = nil // there is something to take away
		}
	}
	method := client.Authentication
	switch {
	case f.public && method != "" && method != clientregistry.None && isNew:
		return exit.Misuse("leave out one of them", "--public has nothing to prove itself with, and --auth names %s", method)
	case f.public:
		client.Authentication, client.SecretHash, client.JWKS, client.TLSSubject = "", "", nil, ""
	case f.secretStdin || f.newSecret || isNew && (method == "" || method.NeedsSecret()):
		client.SecretHash = pending
		if !isNew && method == clientregistry.None {
			client.Authentication = ""
		}
	case method != "" && !method.NeedsSecret():
		client.SecretHash = "" // it proves itself by something else now
	}
	if err := checkClient(*client); err != nil {
		hint := ""
		if len(client.RedirectURIs) == 0 && strings.Contains(err.Error(), "redirect URI") {
			hint = "for kubectl, add: --redirect-uri http://localhost:8000"
		}
		return exit.Misuse(hint, "%w", err)
	}
	return nil
}

// secret is the secret that a client is to have, if it is to have one.
func (f *clientFlags) secret(ctx context.Context, env Env, needed bool) (secret.String, error) {
	switch {
	case !needed:
		return secret.String{}, nil
	case !f.secretStdin:
		return clientregistry.NewSecret(), nil
	}
	given, err := readSecret(ctx, env.Stdin)
	if err != nil {
		return secret.String{}, fmt.Errorf("reading the secret: %w", err)
	}
	if err := clientregistry.CheckSecret(given); err != nil {
		return secret.String{}, exit.Misuse("leave --secret-stdin out and one is made", "%w", err)
	}
	return given, nil
}

// print prints what became of a client and, this once, the secret that was
// made for it: it is the result of the command. Who gave one knows it.
func (f *clientFlags) print(env Env, out output, done string, client clientregistry.Client, made secret.String) error {
	view := struct {
		clientView
		Secret string `json:"client_secret,omitempty"`
	}{clientView: viewClient(client)}
	if !made.IsZero() && !f.secretStdin {
		view.Secret = made.Reveal()
		env.notef("This is the only time that the secret is shown; it is kept as a hash.")
	}
	return out.print(env.Stdout, view, func(w io.Writer) {
		fmt.Fprintf(w, "%s client %s\n", done, client.ID)
		if view.Secret != "" {
			fmt.Fprintf(w, "client secret: %s\n", view.Secret)
		}
	})
}
