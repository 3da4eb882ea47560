// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"net/url"
	"time"

	"github.com/spf13/cobra"

	"github.com/tegata/tegata/internal/exit"
	"github.com/tegata/tegata/internal/identity"
	"github.com/tegata/tegata/internal/identity/local"
	"github.com/tegata/tegata/internal/provider/account"
)

// maxLinkAge is how long a link may be good: it is a password that lies in a
// mailbox.
const maxLinkAge = 30 * 24 * time.Hour

// linkAge is the flag --valid-for.
type linkAge time.Duration

// String implements [pflag.Value].
func (a *linkAge) String() string { return "" } // the default stands in the help text

// Type implements [pflag.Value].
func (a *linkAge) Type() string { return "duration" }

// Set implements [pflag.Value].
func (a *linkAge) Set(text string) error {
	var d duration
	if err := d.UnmarshalText([]byte(text)); err != nil {
		return err
	}
	if time.Duration(d) > maxLinkAge {
		return errors.New("a link is good for 30d at the most")
	}
	*a = linkAge(d)
	return nil
}

// linkView is a link as it is printed.
type linkView struct {
	Username  string    `json:"username"`
	Subject   string    `json:"subject"`
	Email     string    `json:"email,omitempty"`
	Link      string    `json:"link"`
	ExpiresAt time.Time `json:"expires_at"`
}

func (v linkView) say(w io.Writer) {
	fmt.Fprintf(w, "give %s this link; it is good once, until %s\n%s\n", v.Username, moment(v.ExpiresAt), v.Link)
}

// address is where the issuer is reached, for links to it.
func (i *issuer) address() (string, error) {
	at := cmp.Or(i.config.Issuer, string(i.url))
	if at == "" {
		return "", exit.WithHint(errors.New("the issuer has no URL yet, so there is no place for a link to lead to"),
			"set issuer in the configuration, or start tegata serve once")
	}
	return at, nil
}

// newLink makes a link for an account that is there.
func (i *issuer) newLink(env Env, conf config, to local.Account, purpose identity.LinkPurpose, age time.Duration) (linkView, error) {
	at, err := i.address()
	if err != nil {
		return linkView{}, err
	}
	source, err := i.accounts(env, conf)
	if err != nil {
		return linkView{}, err
	}
	until := env.Now().Add(age).Truncate(time.Second)
	token, err := source.NewLink(to, purpose, until)
	if err != nil {
		return linkView{}, err
	}
	return linkView{
		Username: to.Username, Subject: string(to.Subject), Email: to.Email, ExpiresAt: until.UTC(),
		Link: at + account.PathWelcome + "?" + url.Values{account.TokenField: {token.Reveal()}}.Encode(),
	}, nil
}

func newUserInvite(env Env) *cobra.Command {
	var where place
	var out output
	var who newcomer
	var age linkAge
	c := &cobra.Command{
		Use:   "invite NAME",
		Short: "Add a user without a password, and print a link on which the person sets one",
		Long: `Add a user without a password, and print a link on which the person sets one.
Tegata sends no mail: give the link to the person yourself, on a way that others
do not read. Whoever has it first sets the password. It is good once; tegata
user reset-link prints another one.`,
		Example: `  tegata user invite alice --email alice@example.com --group platform-engineer
  tegata user invite bob --email bob@example.com --valid-for 7d --output json`,
		Args: arguments(1, 1, "one user name"),
		RunE: func(c *cobra.Command, args []string) error {
			if err := out.check(); err != nil {
				return err
			}
			if err := who.check(args[0]); err != nil {
				return err
			}
			return where.making(c.Context(), env, func(conf config, i *issuer) error {
				if _, err := i.address(); err != nil { // before somebody is added
					return err
				}
				if err := who.prepare(c, conf, i); err != nil {
					return err
				}
				if err := i.AddAccount(c.Context(), who.Account, env.Now()); err != nil {
					return hintGroup(err)
				}
				i.didAdd(who.Account)
				v, err := i.newLink(env, conf, who.Account, identity.Invitation, cmp.Or(time.Duration(age), 72*time.Hour))
				if err != nil {
					return err
				}
				return out.print(env.Stdout, v, func(w io.Writer) {
					fmt.Fprintf(w, "added user %s (subject %s)\n", v.Username, v.Subject)
					v.say(w)
				})
			})
		},
	}
	who.flags(c)
	c.Flags().Var(&age, "valid-for", "how `LONG` the link is good: 1h, 7d, at most 30d (72h)")
	where.flags(c)
	out.flags(c)
	return c
}

func newUserResetLink(env Env) *cobra.Command {
	var where place
	var out output
	var age linkAge
	c := &cobra.Command{
		Use:   "reset-link NAME",
		Short: "Print a link on which a user sets another password",
		Long: `Print a link on which a user sets another password, or the first one. Until the
link is used, the password and all logins stay as they are. Tegata sends no
mail: give the link to the person yourself, on a way that others do not read. It
is good once, and no longer after anything else ended all logins of the user.`,
		Example: `  tegata user reset-link alice
  tegata user reset-link alice --valid-for 15m --output json`,
		Args: arguments(1, 1, "one user name or e-mail address"),
		RunE: func(c *cobra.Command, args []string) error {
			if err := out.check(); err != nil {
				return err
			}
			return where.change(c.Context(), env, func(conf config, i *issuer) error {
				found, err := i.ownAccount(c, conf, args[0], "password")
				if err != nil {
					return err
				}
				if found.Disabled {
					return exit.WithHint(fmt.Errorf("user %s is disabled, so the link would be good for nothing", found.Username),
						"tegata user enable "+found.Username)
				}
				purpose := identity.Reset
				if found.PasswordHash == "" {
					purpose = identity.Invitation
				}
				v, err := i.newLink(env, conf, found, purpose, cmp.Or(time.Duration(age), time.Hour))
				if err != nil {
					return err
				}
				i.did(about(found))
				return out.print(env.Stdout, v, v.say)
			})
		},
	}
	c.Flags().Var(&age, "valid-for", "how `LONG` the link is good: 1h, 7d, at most 30d (1h)")
	where.flags(c)
	out.flags(c)
	return c
}
