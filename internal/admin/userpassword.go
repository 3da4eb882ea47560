// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/tegata/tegata/internal/exit"
	"github.com/tegata/tegata/internal/identity"
	"github.com/tegata/tegata/internal/identity/local"
	"github.com/tegata/tegata/internal/secret"
)

// choosePassword reads a password that the policy takes, or makes a temporary
// one that nobody types.
func (env Env) choosePassword(ctx context.Context, source *local.Source, account local.Account, fromStdin, temporary bool) (password, generated secret.String, err error) {
	if temporary && !fromStdin {
		generated = source.Generate(account.User)
		return generated, generated, nil
	}
	password, err = env.newPassword(ctx, account.Username, fromStdin, func(typed secret.String) error {
		if flaws := source.Policy.Check(typed, account.User); len(flaws) > 0 {
			return hintPassword(&identity.PasswordRefusedError{Flaws: flaws})
		}
		return nil
	})
	return password, secret.String{}, err
}

func hintPassword(err error) error {
	if _, refused := errors.AsType[*identity.PasswordRefusedError](err); refused {
		return exit.WithHint(err, "password_policy in the configuration has the rules; --temporary makes a password that keeps them")
	}
	return err
}

func newUserSetPassword(env Env) *cobra.Command {
	var where place
	var out output
	var fromStdin, temporary bool
	c := &cobra.Command{
		Use:   "set-password NAME",
		Short: "Set the password of a user",
		Long: `Set the password of a user. All sessions and logins of the user end, on every
device, because they stand on the old password. A lock ends too.

With --temporary the password must be changed at the first login, and expires
after a week (password_policy.temporary_for). If none is read from standard
input, one is made and printed once.`,
		Example: `  tegata user set-password alice
  tegata user set-password alice --temporary
  printf '%s\n' "$PASSWORD" | tegata user set-password alice --password-stdin`,
		Args: arguments(1, 1, "one user name or e-mail address"),
		RunE: func(c *cobra.Command, args []string) error {
			if err := out.check(); err != nil {
				return err
			}
			return where.change(c.Context(), env, func(conf config, i *issuer) error {
				account, err := i.ownAccount(c, conf, args[0], "password")
				if err != nil {
					return err
				}
				source, err := i.accounts(env, conf)
				if err != nil {
					return err
				}
				password, generated, err := env.choosePassword(c.Context(), source, account, fromStdin, temporary)
				if err != nil {
					return err
				}
				if _, err := source.SetPassword(c.Context(), account, password, temporary); err != nil {
					return hintPassword(err)
				}
				i.did(about(account))
				if account, err = i.AccountBySubject(c.Context(), account.Subject); err != nil {
					return err
				}
				v := viewUser(account, env.Now())
				v.TemporaryPassword = generated.Reveal()
				return out.print(env.Stdout, v, func(w io.Writer) {
					fmt.Fprintf(w, "set the password of %s; every login of the user has ended\n", account.Username)
					sayTemporary(w, generated, account.Password.ExpiresAt)
				})
			})
		},
	}
	c.Flags().BoolVar(&fromStdin, "password-stdin", false, "read the password from standard input")
	c.Flags().BoolVar(&temporary, "temporary", false, "the password must be changed at the first login; without --password-stdin, make one and print it")
	where.flags(c)
	out.flags(c)
	return c
}

func newUserUnlock(env Env) *cobra.Command {
	return changing(env, &cobra.Command{
		Use:   "unlock NAME",
		Short: "Let a user try passwords again, after too many wrong ones",
		Long: `Let a user try passwords again, after too many wrong ones. A lock ends by itself
after a while too (password_policy.lockout).`,
		Example: "  tegata user unlock alice",
		Args:    arguments(1, 1, "one user name or e-mail address"),
	}, func(c *cobra.Command, _ config, i *issuer, args []string) error {
		account, err := i.account(c, args[0])
		if err != nil {
			return err
		}
		if account.Source != local.SourceName {
			return keptElsewhere(account, "lock")
		}
		if err := i.ForgetFailures(c.Context(), account.Subject); err != nil {
			return err
		}
		i.did(about(account))
		if !account.Password.LockedUntil.After(env.Now()) {
			env.notef("%s was not locked; wrong passwords are counted from none again", account.Username)
			return nil
		}
		fmt.Fprintf(env.Stdout, "unlocked user %s\n", account.Username)
		return nil
	})
}

func newUserHashPassword(env Env) *cobra.Command {
	var fromStdin bool
	var configFile string
	c := &cobra.Command{
		Use:   "hash-password",
		Short: "Print the hash of a password, for password_hash in the configuration file",
		Long: `Print the hash of a password, for password_hash in the configuration file. No
password policy is asked: what the file declares is the operator's own.`,
		Example: "  tegata user hash-password\n  printf '%s\\n' \"$PASSWORD\" | tegata user hash-password --password-stdin",
		Args:    arguments(0, 0, ""),
		RunE: func(c *cobra.Command, _ []string) error {
			conf, err := loadConfig(env, configFile)
			if err != nil {
				return err
			}
			password, err := env.newPassword(c.Context(), "the hash", fromStdin, local.CheckPassword)
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
