// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/tegata/tegata/internal/audit"
	"github.com/tegata/tegata/internal/clientregistry"
	"github.com/tegata/tegata/internal/exit"
	"github.com/tegata/tegata/internal/oidc"
	"github.com/tegata/tegata/internal/store"
)

func newClient(env Env) *cobra.Command {
	return holder("client", "Manage the clients that may ask for tokens",
		newClientAdd(env), newClientSet(env), newClientList(env), newClientShow(env), newClientDelete(env))
}

// clientView is a client as it is printed. A secret is never kept, so none
// can be shown.
type clientView struct {
	ID             string   `json:"id"`
	Name           string   `json:"name,omitempty"`
	Public         bool     `json:"public"`
	Authentication []string `json:"authentication"`
	KeyIDs         []string `json:"key_ids,omitempty"`
	TLSSubject     string   `json:"tls_subject,omitempty"`

	RedirectURIs           []string `json:"redirect_uris"`
	PostLogoutRedirectURIs []string `json:"post_logout_redirect_uris,omitempty"`
	BackChannelLogoutURI   string   `json:"backchannel_logout_uri,omitempty"`
	Origins                []string `json:"origins,omitempty"`

	Grants    []string `json:"grants"`
	Scopes    []string `json:"scopes"`
	Audiences []string `json:"audiences,omitempty"`
	Sources   []string `json:"sources,omitempty"`
	Consent   string   `json:"consent,omitempty"`

	SecondFactor bool `json:"second_factor,omitempty"`

	GroupsClaim    string                          `json:"groups_claim,omitempty"`
	GroupsFilter   string                          `json:"groups_filter,omitempty"`
	GroupsPrefix   string                          `json:"groups_prefix,omitempty"`
	Claims         map[string]clientregistry.Claim `json:"claims,omitempty"`
	SigningAlg     string                          `json:"signing_alg,omitempty"`
	AccessTokenAlg string                          `json:"access_token_alg,omitempty"`
	Lifetimes      map[string]string               `json:"lifetimes,omitempty"`
	Declared       bool                            `json:"declared"`
}

func viewClient(c clientregistry.Client) clientView {
	v := clientView{
		ID: string(c.ID), Name: c.Name, Public: c.Public(), KeyIDs: c.KeyIDs(), TLSSubject: c.TLSSubject,
		RedirectURIs: append([]string{}, c.RedirectURIs...), PostLogoutRedirectURIs: c.PostLogoutRedirectURIs,
		BackChannelLogoutURI: c.BackChannelLogoutURI, Origins: c.Origins,
		Scopes: c.AllowedScopes(), Audiences: c.Audiences, Sources: c.Sources, Consent: c.Consent, SecondFactor: c.SecondFactor,
		GroupsClaim: c.GroupsClaim, GroupsFilter: c.GroupsFilter, GroupsPrefix: c.GroupsPrefix, Claims: c.Claims,
		SigningAlg: c.SigningAlg, AccessTokenAlg: c.AccessTokenAlg, Lifetimes: map[string]string{}, Declared: c.Declared,
	}
	for _, method := range c.AcceptedMethods() {
		v.Authentication = append(v.Authentication, string(method))
	}
	for _, grant := range c.AllowedGrants() {
		v.Grants = append(v.Grants, clientregistry.ShortGrantType(grant))
	}
	for name, lifetime := range map[string]time.Duration{
		"id_token": c.Lifetimes.IDToken, "access_token": c.Lifetimes.AccessToken,
		"refresh_idle": c.Lifetimes.RefreshIdle, "refresh_absolute": c.Lifetimes.RefreshAbsolute,
	} {
		if lifetime != 0 {
			v.Lifetimes[name] = lifetime.String()
		}
	}
	return v
}

// table prints what every client has, and of the rest what this one has.
func (v clientView) table(w io.Writer) {
	some := func(name string, values ...string) {
		for _, value := range values {
			if value != "" {
				row(w, name, value)
			}
		}
	}
	row(w, "Client ID", v.ID)
	row(w, "Name", v.Name)
	row(w, "Public", yesNo(v.Public))
	row(w, "Authentication", strings.Join(v.Authentication, ", "))
	some("Key ID", v.KeyIDs...)
	some("TLS subject", v.TLSSubject)
	some("Redirect URI", v.RedirectURIs...)
	some("After a logout", v.PostLogoutRedirectURIs...)
	some("Told of a logout", v.BackChannelLogoutURI)
	some("Origin", v.Origins...)
	row(w, "Grants", strings.Join(v.Grants, " "))
	row(w, "Scopes", strings.Join(v.Scopes, " "))
	some("Audience", v.Audiences...)
	some("Source", v.Sources...)
	some("Consent", v.Consent)
	if v.SecondFactor {
		row(w, "Second factor", "needed")
	}
	row(w, "Groups claim", orIssuers(v.GroupsClaim))
	some("Groups filter", v.GroupsFilter)
	some("Groups prefix", v.GroupsPrefix)
	for _, name := range slices.Sorted(maps.Keys(v.Claims)) {
		claim := v.Claims[name]
		some("Claim "+name, string(claim.Value), claim.Expression)
		if claim.Attribute != "" {
			row(w, "Claim "+name, "the attribute "+claim.Attribute)
		}
	}
	row(w, "Signing algorithm", orIssuers(v.SigningAlg))
	some("of access tokens", v.AccessTokenAlg)
	for _, name := range slices.Sorted(maps.Keys(v.Lifetimes)) {
		row(w, "Lifetime "+name, v.Lifetimes[name])
	}
	row(w, "Declared in file", yesNo(v.Declared))
}

func orIssuers(value string) string {
	if value == "" {
		return "as the issuer has it"
	}
	return value
}

func newClientAdd(env Env) *cobra.Command {
	var where place
	var out output
	var flags clientFlags
	c := &cobra.Command{
		Use:   "add ID --redirect-uri URI",
		Short: "Register a client",
		Long: `Register a client. A public client has no secret and must use PKCE, as the
credential plugin does. Any other gets a new secret, which is printed on
standard output this once and kept as a hash only, unless --auth says that it
proves who it is by a key or a certificate.

A redirect URI is matched exactly, except that the port of a loopback address
is free: http://localhost:8000 allows http://localhost:18000 too.`,
		Example: `  tegata client add kubernetes --public --redirect-uri http://localhost:8000
  tegata client add microk8s --redirect-uri http://localhost:8000 --redirect-uri http://localhost:18000
  tegata client add eks --public --redirect-uri http://localhost:8000 --groups-claim cognito:groups
  tegata client add terminal --public --grant device_code --grant refresh_token
  tegata client add ci --grant client_credentials --auth private_key_jwt --jwks ci.pub.pem --claim-value preferred_username=ci`,
		Args: arguments(1, 1, "one client ID"),
		RunE: func(c *cobra.Command, args []string) error {
			client := clientregistry.Client{ID: oidc.ClientID(args[0])}
			if err := cmp.Or(flags.apply(&client, true), out.check()); err != nil {
				return err
			}
			made, err := flags.secret(c.Context(), env, client.SecretHash == pending)
			if err != nil {
				return err
			}
			if !made.IsZero() {
				client.SecretHash = clientregistry.HashSecret(made)
			}
			return where.making(c.Context(), env, func(_ config, i *issuer) error {
				if err := i.AddClient(c.Context(), client, env.Now()); err != nil {
					if errors.Is(err, store.ErrExists) {
						return exit.WithHint(err, "tegata client show "+string(client.ID)+" shows it")
					}
					return err
				}
				i.did(audit.Event{Client: client.ID})
				return flags.print(env, out, "added", client, made)
			})
		},
	}
	flags.register(c)
	where.flags(c)
	out.flags(c)
	return c
}

func newClientSet(env Env) *cobra.Command {
	var where place
	var out output
	var flags clientFlags
	c := &cobra.Command{
		Use:   "set ID",
		Short: "Change a client",
		Long: `Change a client. What is not given stays as it is. A list is replaced as a
whole, a further claim by its name; an empty text takes something away. Logins
that were granted go on, within what the client may do from now on.`,
		Example: `  tegata client set kubernetes --groups-prefix corp: --id-token-lifetime 5m
  tegata client set microk8s --redirect-uri http://localhost:8000 --redirect-uri http://localhost:18000
  tegata client set dashboard --new-secret
  tegata client set eks --groups-claim ""`,
		Args: arguments(1, 1, "one client ID"),
		RunE: func(c *cobra.Command, args []string) error {
			if err := out.check(); err != nil {
				return err
			}
			if flags.nothing() {
				return exit.Misuse(c.CommandPath()+" --help lists what can be changed", "nothing is to be changed")
			}
			made, err := flags.secret(c.Context(), env, flags.secretStdin || flags.newSecret)
			if err != nil {
				return err
			}
			return where.change(c.Context(), env, func(conf config, i *issuer) error {
				client, err := i.ChangeClient(c.Context(), oidc.ClientID(args[0]), func(client *clientregistry.Client) error {
					if client.Declared {
						return declaredElsewhere("client", args[0], conf)
					}
					if err := flags.apply(client, false); err != nil {
						return err
					}
					if client.SecretHash == pending {
						client.SecretHash = clientregistry.HashSecret(made)
					}
					return nil
				})
				if errors.Is(err, clientregistry.ErrNotFound) {
					return unknownClient(args[0])
				}
				if err != nil {
					return err
				}
				i.did(audit.Event{Client: client.ID})
				return flags.print(env, out, "changed", client, made)
			})
		},
	}
	flags.register(c)
	c.Flags().BoolVar(&flags.newSecret, "new-secret", false, "make a new secret; the old one works no more")
	where.flags(c)
	out.flags(c)
	return c
}

func newClientList(env Env) *cobra.Command {
	return printing(env, &cobra.Command{
		Use:     "list",
		Short:   "List the clients",
		Example: "  tegata client list\n  tegata client list --output json",
		Args:    arguments(0, 0, ""),
	}, func(c *cobra.Command, i *issuer, _ []string) (any, func(io.Writer), error) {
		clients, err := i.ClientList(c.Context())
		views := []clientView{}
		for _, client := range clients {
			views = append(views, viewClient(client))
		}
		return views, func(w io.Writer) {
			row(w, "CLIENT ID", "NAME", "PUBLIC", "REDIRECT URIS")
			for _, v := range views {
				row(w, v.ID, v.Name, yesNo(v.Public), strings.Join(v.RedirectURIs, " "))
			}
		}, err
	})
}

func newClientShow(env Env) *cobra.Command {
	return printing(env, &cobra.Command{
		Use:     "show ID",
		Short:   "Show a client",
		Example: "  tegata client show kubernetes --output json",
		Args:    arguments(1, 1, "one client ID"),
	}, func(c *cobra.Command, i *issuer, args []string) (any, func(io.Writer), error) {
		client, err := i.client(c, args[0])
		v := viewClient(client)
		return v, v.table, err
	})
}

func newClientDelete(env Env) *cobra.Command {
	var yes bool
	c := changing(env, &cobra.Command{
		Use:     "delete ID",
		Aliases: []string{"rm"},
		Short:   "Delete a client and end what was granted to it",
		Example: "  tegata client delete kubernetes\n  tegata client delete kubernetes --yes",
		Args:    arguments(1, 1, "one client ID"),
	}, func(c *cobra.Command, conf config, i *issuer, args []string) error {
		client, err := i.client(c, args[0])
		if err != nil {
			return err
		}
		if client.Declared {
			return declaredElsewhere("client", args[0], conf)
		}
		if err := env.confirm(c.Context(), fmt.Sprintf("Delete the client %s?", client.ID), yes); err != nil {
			return err
		}
		if err := i.DeleteClient(c.Context(), client.ID); err != nil {
			return err
		}
		i.did(audit.Event{Client: client.ID})
		fmt.Fprintf(env.Stdout, "deleted client %s\n", client.ID)
		return nil
	})
	c.Flags().BoolVar(&yes, "yes", false, "do not ask")
	return c
}

func (i *issuer) client(c *cobra.Command, id string) (clientregistry.Client, error) {
	client, err := i.Client(c.Context(), oidc.ClientID(id))
	if errors.Is(err, clientregistry.ErrNotFound) {
		return clientregistry.Client{}, unknownClient(id)
	}
	return client, err
}

func unknownClient(id string) error {
	return exit.WithHint(fmt.Errorf("there is no client %q", id), "tegata client list shows which there are")
}
