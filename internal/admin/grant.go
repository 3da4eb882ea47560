// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/tegata/tegata/internal/audit"
	"github.com/tegata/tegata/internal/exit"
	"github.com/tegata/tegata/internal/oidc"
	"github.com/tegata/tegata/internal/provider/grant"
	"github.com/tegata/tegata/internal/store"
)

func newGrant(env Env) *cobra.Command {
	return holder("grant", "Look at what people granted to clients, device by device, and end it",
		newGrantList(env), newGrantEnd(env))
}

// grantView is a grant as it is printed.
type grantView struct {
	ID         string    `json:"id"`
	Client     string    `json:"client"`
	Username   string    `json:"username,omitempty"`
	Subject    string    `json:"subject"`
	Scopes     []string  `json:"scopes"`
	Device     string    `json:"device"`
	Address    string    `json:"address"`
	Session    string    `json:"session,omitempty"`
	GrantedAt  time.Time `json:"granted_at"`
	LastUsedAt time.Time `json:"last_used_at"`
	ExpiresAt  time.Time `json:"expires_at"`
}

// grantFilter is which grants are meant. An unknown client is an error.
func (i *issuer) grantFilter(c *cobra.Command, subject oidc.Subject, client string) (store.GrantFilter, error) {
	if client != "" {
		if _, err := i.client(c, client); err != nil {
			return store.GrantFilter{}, err
		}
	}
	return store.GrantFilter{Subject: subject, Client: oidc.ClientID(client)}, nil
}

func newGrantList(env Env) *cobra.Command {
	var l listing
	var client string
	c := printing(env, &cobra.Command{
		Use:   "list",
		Short: "List what people granted to clients",
		Long: `List the grants: each is one login of a person at a client, on one device. The
last use is the last time that the client renewed its tokens. What a browser
says of itself proves nothing.`,
		Example: "  tegata grant list --user alice\n  tegata grant list --client kubernetes --output json",
		Args:    arguments(0, 0, ""),
	}, func(c *cobra.Command, i *issuer, _ []string) (any, func(io.Writer), error) {
		subject, err := l.subject(c, i)
		if err != nil {
			return nil, nil, err
		}
		filter, err := i.grantFilter(c, subject, client)
		if err != nil {
			return nil, nil, err
		}
		found, next, err := i.GrantList(c.Context(), filter, l.page, env.Now())
		if err := l.more(env, next, err); err != nil {
			return nil, nil, err
		}
		names := usernames{i, map[oidc.Subject]string{}}
		views := []grantView{}
		for _, g := range found {
			name, err := names.of(c, g.Subject)
			if err != nil {
				return nil, nil, err
			}
			views = append(views, grantView{
				ID: g.ID, Client: string(g.Client), Username: name, Subject: string(g.Subject), Scopes: append([]string{}, g.Scopes...),
				Device: g.Device.Name, Address: g.Device.Address, Session: g.SessionID,
				GrantedAt: g.CreatedAt.UTC(), LastUsedAt: g.RotatedAt.UTC(), ExpiresAt: g.ExpiresAt.UTC(),
			})
		}
		return views, func(w io.Writer) {
			row(w, "GRANT", "CLIENT", "USER NAME", "SCOPES", "DEVICE", "ADDRESS", "GRANTED", "LAST USE", "EXPIRES")
			for _, v := range views {
				row(w, v.ID, v.Client, v.Username, strings.Join(v.Scopes, " "), v.Device, v.Address, moment(v.GrantedAt), moment(v.LastUsedAt), moment(v.ExpiresAt))
			}
		}, nil
	})
	l.flags(c)
	c.Flags().StringVar(&client, "client", "", "only those of the client with this `ID`")
	return c
}

func newGrantEnd(env Env) *cobra.Command {
	var user, client string
	var yes bool
	c := changing(env, &cobra.Command{
		Use:   "end GRANT... | --user NAME | --client ID",
		Short: "End what a person granted to a client",
		Long: `End grants: no token is renewed any more, and userinfo refuses the access
token. An ID token that an API server has seen works until it expires. The
browser stays logged in (tegata session end ends that).`,
		Example: "  tegata grant end k3jx7q2mzzqk5v4bnl6cyr5x2a\n  tegata grant end --user alice --client kubernetes --yes",
		Args:    arguments(0, -1, ""),
	}, func(c *cobra.Command, _ config, i *issuer, args []string) error {
		many := user != "" || client != ""
		if many == (len(args) > 0) {
			return exit.Misuse("tegata grant list shows them", "name grants, or all of a user or a client with --user NAME and --client ID")
		}
		if many {
			return i.endGrants(c, env, user, client, yes)
		}
		var grants []grant.Grant
		for _, id := range args { // before the first one has ended
			g, err := i.Grant(c.Context(), id)
			if errors.Is(err, grant.ErrNotFound) || err == nil && !g.Live(env.Now()) {
				return exit.WithHint(fmt.Errorf("there is no grant %q", id), "tegata grant list shows which there are")
			} else if err != nil {
				return err
			}
			grants = append(grants, g)
		}
		for _, g := range grants {
			if err := i.EndGrant(c.Context(), g.ID, env.Now()); err != nil {
				return err
			}
			i.did(audit.Event{Grant: g.ID, Subject: g.Subject, Client: g.Client})
		}
		fmt.Fprintf(env.Stdout, "ended %s\n", count(len(args), "grant"))
		return nil
	})
	c.Flags().StringVar(&user, "user", "", "all grants of the user with this `NAME` or e-mail address")
	c.Flags().StringVar(&client, "client", "", "all grants of the client with this `ID`")
	c.Flags().BoolVar(&yes, "yes", false, "do not ask")
	return c
}

// endGrants ends all grants of a user, of a client, or of both.
func (i *issuer) endGrants(c *cobra.Command, env Env, user, client string, yes bool) error {
	var subject oidc.Subject
	whose := ""
	if user != "" {
		account, err := i.account(c, user)
		if err != nil {
			return err
		}
		subject, whose = account.Subject, " of "+account.Username
	}
	filter, err := i.grantFilter(c, subject, client)
	if err != nil {
		return err
	}
	if client != "" {
		whose += " at " + client
	}
	found, _, err := i.GrantList(c.Context(), filter, store.Page{}, env.Now())
	if err != nil {
		return err
	}
	if err := env.confirm(c.Context(), fmt.Sprintf("End %s%s?", count(len(found), "grant"), whose), yes); err != nil {
		return err
	}
	ended, err := i.EndGrants(c.Context(), filter, env.Now())
	if err != nil {
		return err
	}
	i.did(audit.Event{Subject: subject, Client: oidc.ClientID(client)})
	fmt.Fprintf(env.Stdout, "ended %s%s\n", count(int(ended), "grant"), whose)
	return nil
}
