// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tegata/tegata/internal/exit"
	"github.com/tegata/tegata/internal/identity"
	"github.com/tegata/tegata/internal/identity/local"
)

func newUser(env Env) *cobra.Command {
	return holder("user", "Manage local users",
		newUserAdd(env), newUserList(env), newUserShow(env), newUserSetPassword(env),
		newUserDisable(env, true), newUserDisable(env, false), newUserDelete(env), newUserHashPassword(env))
}

// userView is a user as it is printed.
type userView struct {
	Username      string   `json:"username"`
	Subject       string   `json:"subject"`
	Email         string   `json:"email,omitempty"`
	EmailVerified bool     `json:"email_verified"`
	Name          string   `json:"name,omitempty"`
	Groups        []string `json:"groups"`
	Disabled      bool     `json:"disabled"`
	HasPassword   bool     `json:"has_password"`
	Declared      bool     `json:"declared"`
}

func viewUser(a local.Account) userView {
	return userView{
		Username: a.Username, Subject: string(a.Subject), Email: a.Email, EmailVerified: a.EmailVerified, Name: a.Name,
		Groups: a.Groups, Disabled: a.Disabled, HasPassword: a.PasswordHash != "", Declared: a.Declared,
	}
}

func (v userView) table(w io.Writer) {
	row(w, "User name", v.Username)
	row(w, "Subject", v.Subject)
	row(w, "E-mail address", v.Email)
	row(w, "E-mail verified", yesNo(v.EmailVerified))
	row(w, "Name", v.Name)
	row(w, "Groups", strings.Join(v.Groups, ", "))
	row(w, "Disabled", yesNo(v.Disabled))
	row(w, "Password", map[bool]string{true: "set", false: "none"}[v.HasPassword])
	row(w, "Declared in file", yesNo(v.Declared))
}

func newUserAdd(env Env) *cobra.Command {
	var where place
	var out output
	var account local.Account
	var unverified, fromStdin, noPassword bool
	c := &cobra.Command{
		Use:   "add NAME",
		Short: "Add a user",
		Long: `Add a user. The password is asked for at the terminal, or read from standard
input with --password-stdin. It works beside a running server.`,
		Example: `  tegata user add alice --email alice@example.com --name "Alice Liddell"
  tegata user add bob --email bob@example.com --group platform-engineer
  printf '%s\n' "$PASSWORD" | tegata user add carol --password-stdin`,
		Args: arguments(1, 1, "one user name"),
		RunE: func(c *cobra.Command, args []string) error {
			account.Username = args[0]
			account.EmailVerified = !unverified
			if fromStdin && noPassword {
				return exit.Misuse("leave out one of them", "--password-stdin sets a password, and --no-password sets none")
			}
			for _, err := range []error{out.check(), local.CheckUsername(account.Username), local.CheckEmail(account.Email)} {
				if err != nil {
					return exit.Misuse("", "%w", err)
				}
			}
			return where.making(c.Context(), env, func(conf config, i *issuer) error {
				// Before the password is asked for, so that nobody types in vain.
				for _, login := range []string{account.Username, account.Email} {
					_, err := i.AccountByLogin(c.Context(), login)
					if err == nil {
						return exit.WithHint(fmt.Errorf("there is a user %q already", login), "tegata user show "+login+" shows who it is")
					}
					if !errors.Is(err, identity.ErrNotFound) {
						return err
					}
				}
				for _, group := range account.Groups {
					if _, err := i.managedGroup(c.Context(), conf, group); err != nil {
						return err
					}
				}
				if !noPassword {
					password, err := env.newPassword(c.Context(), account.Username, fromStdin)
					if err != nil {
						return err
					}
					hasher, err := local.NewHasher(conf.cost())
					if err != nil {
						return err
					}
					if account.PasswordHash, err = hasher.Hash(c.Context(), password); err != nil {
						return err
					}
				}
				account.Subject = local.NewSubject(account.Username)
				account.Groups = append([]string{}, slices.Compact(slices.Sorted(slices.Values(account.Groups)))...)
				if err := i.AddAccount(c.Context(), account, env.Now()); err != nil {
					return hintGroup(err)
				}
				return out.print(env.Stdout, viewUser(account), func(w io.Writer) {
					fmt.Fprintf(w, "added user %s (subject %s)\n", account.Username, account.Subject)
				})
			})
		},
	}
	c.Flags().StringVar(&account.Email, "email", "", "e-mail `ADDRESS`; the person may log in with it too")
	c.Flags().BoolVar(&unverified, "email-unverified", false, "do not vouch for the address (API servers refuse it as a user name then)")
	c.Flags().StringVar(&account.Name, "name", "", "full `NAME`")
	c.Flags().StringArrayVar(&account.Groups, "group", nil, "`GROUP` to put the user in; repeat for more")
	c.Flags().BoolVar(&fromStdin, "password-stdin", false, "read the password from standard input")
	c.Flags().BoolVar(&noPassword, "no-password", false, "set no password; the user cannot log in before one is set")
	where.flags(c)
	out.flags(c)
	return c
}

func newUserList(env Env) *cobra.Command {
	return printing(env, &cobra.Command{
		Use:     "list",
		Short:   "List the users",
		Example: "  tegata user list\n  tegata user list --output json",
		Args:    arguments(0, 0, ""),
	}, func(c *cobra.Command, i *issuer, _ []string) (any, func(io.Writer), error) {
		accounts, err := i.AccountList(c.Context())
		views := []userView{}
		for _, account := range accounts {
			views = append(views, viewUser(account))
		}
		return views, func(w io.Writer) {
			row(w, "USER NAME", "E-MAIL ADDRESS", "NAME", "GROUPS", "DISABLED")
			for _, v := range views {
				row(w, v.Username, v.Email, v.Name, strings.Join(v.Groups, ","), yesNo(v.Disabled))
			}
		}, err
	})
}

func newUserShow(env Env) *cobra.Command {
	return printing(env, &cobra.Command{
		Use:     "show NAME",
		Short:   "Show a user",
		Example: "  tegata user show alice\n  tegata user show alice@example.com --output json",
		Args:    arguments(1, 1, "one user name or e-mail address"),
	}, func(c *cobra.Command, i *issuer, args []string) (any, func(io.Writer), error) {
		account, err := i.account(c, args[0])
		v := viewUser(account)
		return v, v.table, err
	})
}

func newUserSetPassword(env Env) *cobra.Command {
	var fromStdin bool
	c := changing(env, &cobra.Command{
		Use:   "set-password NAME",
		Short: "Set the password of a user",
		Long: `Set the password of a user. All sessions and logins of the user end, on every
device, because they stand on the old password.`,
		Example: "  tegata user set-password alice\n  printf '%s\\n' \"$PASSWORD\" | tegata user set-password alice --password-stdin",
		Args:    arguments(1, 1, "one user name or e-mail address"),
	}, func(c *cobra.Command, conf config, i *issuer, args []string) error {
		account, err := i.managedAccount(c, conf, args[0])
		if err != nil {
			return err
		}
		password, err := env.newPassword(c.Context(), account.Username, fromStdin)
		if err != nil {
			return err
		}
		hasher, err := local.NewHasher(conf.cost())
		if err != nil {
			return err
		}
		hash, err := hasher.Hash(c.Context(), password)
		if err != nil {
			return err
		}
		if err := i.SetPasswordHash(c.Context(), account.Subject, hash, env.Now()); err != nil {
			return err
		}
		fmt.Fprintf(env.Stdout, "set the password of %s; every login of the user has ended\n", account.Username)
		return nil
	})
	c.Flags().BoolVar(&fromStdin, "password-stdin", false, "read the password from standard input")
	return c
}

func newUserDisable(env Env, disable bool) *cobra.Command {
	use, short, long, done := "enable NAME", "Let a disabled user log in again", "", "enabled"
	if disable {
		use, short, done = "disable NAME", "Stop a user from logging in", "disabled"
		long = `Stop a user from logging in. No token is renewed any more; an ID token that an
API server has seen works until it expires.`
	}
	return changing(env, &cobra.Command{
		Use:     use,
		Short:   short,
		Long:    long,
		Example: "  tegata user " + strings.Replace(use, "NAME", "alice", 1),
		Args:    arguments(1, 1, "one user name or e-mail address"),
	}, func(c *cobra.Command, conf config, i *issuer, args []string) error {
		account, err := i.managedAccount(c, conf, args[0])
		if err != nil {
			return err
		}
		if err := i.SetDisabled(c.Context(), account.Subject, disable, env.Now()); err != nil {
			return err
		}
		fmt.Fprintf(env.Stdout, "%s user %s\n", done, account.Username)
		return nil
	})
}

func newUserDelete(env Env) *cobra.Command {
	var yes bool
	c := changing(env, &cobra.Command{
		Use:     "delete NAME",
		Short:   "Delete a user, with all sessions and logins",
		Example: "  tegata user delete alice\n  tegata user delete alice --yes",
		Args:    arguments(1, 1, "one user name or e-mail address"),
	}, func(c *cobra.Command, conf config, i *issuer, args []string) error {
		account, err := i.managedAccount(c, conf, args[0])
		if err != nil {
			return err
		}
		if err := i.refuseDeclaredMember(c, conf, account); err != nil {
			return err
		}
		if err := env.confirm(c.Context(), fmt.Sprintf("Delete the user %s?", account.Username), yes); err != nil {
			return err
		}
		if err := i.DeleteAccount(c.Context(), account.Subject, env.Now()); err != nil {
			return err
		}
		fmt.Fprintf(env.Stdout, "deleted user %s\n", account.Username)
		return nil
	})
	c.Flags().BoolVar(&yes, "yes", false, "do not ask")
	return c
}

func newUserHashPassword(env Env) *cobra.Command {
	var fromStdin bool
	var configFile string
	c := &cobra.Command{
		Use:     "hash-password",
		Short:   "Print the hash of a password, for password_hash in the configuration file",
		Example: "  tegata user hash-password\n  printf '%s\\n' \"$PASSWORD\" | tegata user hash-password --password-stdin",
		Args:    arguments(0, 0, ""),
		RunE: func(c *cobra.Command, _ []string) error {
			conf, err := loadConfig(env, configFile)
			if err != nil {
				return err
			}
			password, err := env.newPassword(c.Context(), "the hash", fromStdin)
			if err != nil {
				return err
			}
			hasher, err := local.NewHasher(conf.cost())
			if err != nil {
				return err
			}
			hash, err := hasher.Hash(c.Context(), password)
			if err != nil {
				return err
			}
			fmt.Fprintln(env.Stdout, hash)
			return nil
		},
	}
	c.Flags().BoolVar(&fromStdin, "password-stdin", false, "read the password from standard input")
	c.Flags().StringVar(&configFile, "config", "", "configuration `FILE`, for the cost of the hash")
	return c
}

// account finds a user by name or e-mail address.
func (i *issuer) account(c *cobra.Command, login string) (local.Account, error) {
	account, err := i.AccountByLogin(c.Context(), login)
	if errors.Is(err, identity.ErrNotFound) {
		return local.Account{}, exit.WithHint(fmt.Errorf("there is no user %q", login), "tegata user list shows who there is")
	}
	return account, err
}

// managedAccount finds a user that may be changed here.
func (i *issuer) managedAccount(c *cobra.Command, conf config, login string) (local.Account, error) {
	account, err := i.account(c, login)
	if err == nil && account.Declared {
		return local.Account{}, declaredElsewhere("user", account.Username, conf)
	}
	return account, err
}

func declaredElsewhere(what, name string, conf config) error {
	file := conf.path
	if file == "" {
		file = "the configuration file of the server"
	}
	return exit.WithHint(fmt.Errorf("%s %q is declared in the configuration file", what, name), "change it in "+file+" and start the server again")
}
