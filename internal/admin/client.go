// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tegata/tegata/internal/clientregistry"
	"github.com/tegata/tegata/internal/exit"
	"github.com/tegata/tegata/internal/oidc"
	"github.com/tegata/tegata/internal/secret"
	"github.com/tegata/tegata/internal/signingkey"
	"github.com/tegata/tegata/internal/store"
)

func newClient(env Env) *cobra.Command {
	return holder("client", "Manage the clients that may ask for tokens",
		newClientAdd(env), newClientList(env), newClientShow(env), newClientDelete(env))
}

// clientView is a client as it is printed. A secret is never kept, so none
// can be shown.
type clientView struct {
	ID           string   `json:"id"`
	Name         string   `json:"name,omitempty"`
	Public       bool     `json:"public"`
	RedirectURIs []string `json:"redirect_uris"`
	Scopes       []string `json:"scopes"`
	GroupsClaim  string   `json:"groups_claim,omitempty"`
	SigningAlg   string   `json:"signing_alg,omitempty"`
	Declared     bool     `json:"declared"`
}

func viewClient(c clientregistry.Client) clientView {
	return clientView{
		ID: string(c.ID), Name: c.Name, Public: c.Public(), RedirectURIs: c.RedirectURIs, Scopes: c.AllowedScopes(),
		GroupsClaim: c.GroupsClaim, SigningAlg: c.SigningAlg, Declared: c.Declared,
	}
}

func (v clientView) table(w io.Writer) {
	row(w, "Client ID", v.ID)
	row(w, "Name", v.Name)
	row(w, "Public", yesNo(v.Public))
	for _, uri := range v.RedirectURIs {
		row(w, "Redirect URI", uri)
	}
	row(w, "Scopes", strings.Join(v.Scopes, " "))
	row(w, "Groups claim", orIssuers(v.GroupsClaim))
	row(w, "Signing algorithm", orIssuers(v.SigningAlg))
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
	var client clientregistry.Client
	var scopes []string
	var public, secretStdin bool
	c := &cobra.Command{
		Use:   "add ID --redirect-uri URI",
		Short: "Register a client",
		Long: `Register a client. A public client has no secret and must use PKCE, as the
credential plugin does. Any other gets a new secret, which is printed on
standard output this once and kept as a hash only.

A redirect URI is matched exactly, except that the port of a loopback address
is free: http://localhost:8000 allows http://localhost:18000 too.`,
		Example: `  tegata client add kubernetes --public --redirect-uri http://localhost:8000
  tegata client add microk8s --redirect-uri http://localhost:8000 --redirect-uri http://localhost:18000
  tegata client add eks --public --redirect-uri http://localhost:8000 --groups-claim cognito:groups`,
		Args: arguments(1, 1, "one client ID"),
		RunE: func(c *cobra.Command, args []string) error {
			client.ID, client.Scopes = oidc.ClientID(args[0]), scopes
			if public && secretStdin {
				return exit.Misuse("leave out one of them", "--public has no secret, and --secret-stdin reads one")
			}
			err := client.Validate()
			if err == nil && client.SigningAlg != "" {
				err = signingkey.CheckAlgorithm(client.SigningAlg)
			}
			if err != nil {
				hint := ""
				if len(client.RedirectURIs) == 0 {
					hint = "for kubectl, add: --redirect-uri http://localhost:8000"
				}
				return exit.Misuse(hint, "%w", err)
			}
			if err := out.check(); err != nil {
				return err
			}
			var made secret.String
			if !public {
				if made, err = clientSecret(c.Context(), env, secretStdin); err != nil {
					return err
				}
				client.SecretHash = clientregistry.HashSecret(made)
			}
			return where.making(c.Context(), env, func(_ config, i *issuer) error {
				if err := i.AddClient(c.Context(), client, env.Now()); err != nil {
					if errors.Is(err, store.ErrExists) {
						return exit.WithHint(err, "tegata client show "+string(client.ID)+" shows it")
					}
					return err
				}
				if secretStdin {
					made = secret.String{} // who gave it knows it
				}
				return printNewClient(env, out, client, made)
			})
		},
	}
	c.Flags().StringArrayVar(&client.RedirectURIs, "redirect-uri", nil, "`URI` that answers may go to; repeat for more")
	c.Flags().BoolVar(&public, "public", false, "a client without a secret, such as a command on people's machines")
	c.Flags().BoolVar(&secretStdin, "secret-stdin", false, "read the secret from standard input instead of making one")
	c.Flags().StringVar(&client.Name, "name", "", "`NAME` that people read on the login page")
	c.Flags().StringSliceVar(&scopes, "scope", nil, "`SCOPE` that the client may get at the most; repeat for more (all)")
	c.Flags().StringVar(&client.GroupsClaim, "groups-claim", "", "`CLAIM` that holds the groups in its tokens (the issuer's)")
	c.Flags().StringVar(&client.SigningAlg, "signing-alg", "", "`ALG` of its ID tokens, RS256 or ES256 (the issuer's)")
	_ = c.RegisterFlagCompletionFunc("signing-alg", cobra.FixedCompletions(signingkey.Algorithms(), cobra.ShellCompDirectiveNoFileComp))
	_ = c.RegisterFlagCompletionFunc("scope", cobra.FixedCompletions(clientregistry.AllScopes(), cobra.ShellCompDirectiveNoFileComp))
	where.flags(c)
	out.flags(c)
	return c
}

func clientSecret(ctx context.Context, env Env, fromStdin bool) (secret.String, error) {
	if !fromStdin {
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

// printNewClient prints a new client and, this once, the secret that was made
// for it: it is the result of the command.
func printNewClient(env Env, out output, client clientregistry.Client, made secret.String) error {
	view := struct {
		clientView
		Secret string `json:"client_secret,omitempty"`
	}{viewClient(client), made.Reveal()}
	if !made.IsZero() {
		env.notef("This is the only time that the secret is shown; it is kept as a hash.")
	}
	return out.print(env.Stdout, view, func(w io.Writer) {
		fmt.Fprintf(w, "added client %s\n", client.ID)
		if view.Secret != "" {
			fmt.Fprintf(w, "client secret: %s\n", view.Secret)
		}
	})
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
		fmt.Fprintf(env.Stdout, "deleted client %s\n", client.ID)
		return nil
	})
	c.Flags().BoolVar(&yes, "yes", false, "do not ask")
	return c
}

func (i *issuer) client(c *cobra.Command, id string) (clientregistry.Client, error) {
	client, err := i.Client(c.Context(), oidc.ClientID(id))
	if errors.Is(err, clientregistry.ErrNotFound) {
		return clientregistry.Client{}, exit.WithHint(fmt.Errorf("there is no client %q", id), "tegata client list shows which there are")
	}
	return client, err
}
