// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/tegata/tegata/internal/exit"
	"github.com/tegata/tegata/internal/identity"
	"github.com/tegata/tegata/internal/identity/local"
	"github.com/tegata/tegata/internal/secret"
)

// newcomer is a user who is added, by the flags of a command.
type newcomer struct {
	local.Account
	unverified bool
}

func (n *newcomer) flags(c *cobra.Command) {
	c.Flags().StringVar(&n.Email, "email", "", "e-mail `ADDRESS`; the person may log in with it too")
	c.Flags().BoolVar(&n.unverified, "email-unverified", false, "do not vouch for the address (API servers refuse it as a user name then)")
	c.Flags().StringVar(&n.Name, "name", "", "full `NAME`")
	c.Flags().StringArrayVar(&n.Groups, "group", nil, "`GROUP` to put the user in; repeat for more")
}

// check takes the user name and looks at what can be seen without a database.
func (n *newcomer) check(username string) error {
	n.Username, n.EmailVerified, n.Source = username, !n.unverified, local.SourceName
	for _, err := range []error{local.CheckUsername(n.Username), local.CheckEmail(n.Email)} {
		if err != nil {
			return exit.Misuse("", "%w", err)
		}
	}
	return nil
}

// prepare makes sure that the user can be added, before a password is asked
// for, so that nobody types in vain.
func (n *newcomer) prepare(c *cobra.Command, conf config, i *issuer) error {
	for _, login := range []string{n.Username, n.Email} {
		_, err := i.AccountByLogin(c.Context(), login)
		if err == nil {
			return exit.WithHint(fmt.Errorf("there is a user %q already", login), "tegata user show "+login+" shows who it is")
		}
		if !errors.Is(err, identity.ErrNotFound) {
			return err
		}
	}
	for _, group := range n.Groups {
		if _, err := i.managedGroup(c.Context(), conf, group); err != nil {
			return err
		}
	}
	n.Subject = local.NewSubject(n.Username)
	n.Groups = append([]string{}, slices.Compact(slices.Sorted(slices.Values(n.Groups)))...)
	return nil
}

func newUserAdd(env Env) *cobra.Command {
	var where place
	var out output
	var who newcomer
	var fromStdin, noPassword, temporary bool
	c := &cobra.Command{
		Use:   "add NAME",
		Short: "Add a user",
		Long: `Add a user. The password is asked for at the terminal, or read from standard
input with --password-stdin. With --temporary it must be changed at the first
login; if none is read, one is made and printed once. tegata user invite prints
a link instead, on which the person sets a password. It works beside a running
server.`,
		Example: `  tegata user add alice --email alice@example.com --name "Alice Liddell"
  tegata user add bob --email bob@example.com --group platform-engineer --temporary
  printf '%s\n' "$PASSWORD" | tegata user add carol --password-stdin`,
		Args: arguments(1, 1, "one user name"),
		RunE: func(c *cobra.Command, args []string) error {
			switch {
			case fromStdin && noPassword:
				return exit.Misuse("leave out one of them", "--password-stdin sets a password, and --no-password sets none")
			case temporary && noPassword:
				return exit.Misuse("leave out one of them", "--temporary sets a password, and --no-password sets none")
			}
			if err := out.check(); err != nil {
				return err
			}
			if err := who.check(args[0]); err != nil {
				return err
			}
			return where.making(c.Context(), env, func(conf config, i *issuer) error {
				if err := who.prepare(c, conf, i); err != nil {
					return err
				}
				var generated secret.String
				if !noPassword {
					source, err := i.accounts(env, conf)
					if err != nil {
						return err
					}
					password, made, err := env.choosePassword(c.Context(), source, who.Account, fromStdin, temporary)
					if err != nil {
						return err
					}
					p, err := source.Prepare(c.Context(), who.Account, password)
					if err != nil {
						return hintPassword(err)
					}
					if temporary {
						p = source.Temporary(p)
					}
					generated = made
					who.PasswordHash = p.Hash
					who.Password = local.PasswordState{ChangedAt: env.Now(), MustChange: p.MustChange, ExpiresAt: p.ExpiresAt}
				}
				if err := i.AddAccount(c.Context(), who.Account, env.Now()); err != nil {
					return hintGroup(err)
				}
				i.didAdd(who.Account)
				v := viewUser(who.Account, env.Now())
				v.TemporaryPassword = generated.Reveal()
				return out.print(env.Stdout, v, func(w io.Writer) {
					fmt.Fprintf(w, "added user %s (subject %s)\n", who.Username, who.Subject)
					sayTemporary(w, generated, who.Password.ExpiresAt)
				})
			})
		},
	}
	who.flags(c)
	c.Flags().BoolVar(&fromStdin, "password-stdin", false, "read the password from standard input")
	c.Flags().BoolVar(&noPassword, "no-password", false, "set no password; the user cannot log in before one is set")
	c.Flags().BoolVar(&temporary, "temporary", false, "the password must be changed at the first login; without --password-stdin, make one and print it")
	where.flags(c)
	out.flags(c)
	return c
}

// sayTemporary prints a temporary password, the only time that it can be seen.
func sayTemporary(w io.Writer, generated secret.String, until time.Time) {
	if until.IsZero() {
		return
	}
	fmt.Fprintf(w, "the password must be changed at the first login, until %s\n", moment(until))
	if !generated.IsZero() {
		fmt.Fprintf(w, "it is %s\n", generated.Reveal())
	}
}
