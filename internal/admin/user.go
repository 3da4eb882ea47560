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

	"github.com/tegata/tegata/internal/exit"
	"github.com/tegata/tegata/internal/identity"
	"github.com/tegata/tegata/internal/identity/local"
	"github.com/tegata/tegata/internal/store"
)

func newUser(env Env) *cobra.Command {
	return holder("user", "Manage users",
		newUserAdd(env), newUserInvite(env), newUserList(env), newUserShow(env), newUserSetPassword(env), newUserResetLink(env),
		newUserUnlock(env), newUserDisable(env, true), newUserDisable(env, false), newUserDelete(env), newUserHashPassword(env), newUserFactor(env))
}

// userView is a user as it is printed.
type userView struct {
	Username      string      `json:"username"`
	Subject       string      `json:"subject"`
	Source        string      `json:"source"`
	Email         string      `json:"email,omitempty"`
	EmailVerified bool        `json:"email_verified"`
	Name          string      `json:"name,omitempty"`
	Groups        []string    `json:"groups"`
	State         local.State `json:"state"`
	Disabled      bool        `json:"disabled"`
	HasPassword   bool        `json:"has_password"`
	Declared      bool        `json:"declared"`

	PasswordChangedAt time.Time `json:"password_changed_at,omitzero"`
	PasswordExpiresAt time.Time `json:"password_expires_at,omitzero"` // of a temporary one
	LockedUntil       time.Time `json:"locked_until,omitzero"`

	TemporaryPassword string `json:"temporary_password,omitempty"` // that was just made
}

func viewUser(a local.Account, now time.Time) userView {
	v := userView{
		Username: a.Username, Subject: string(a.Subject), Source: a.Source, Email: a.Email, EmailVerified: a.EmailVerified, Name: a.Name,
		Groups: append([]string{}, a.Groups...), State: a.State(now), Disabled: a.Disabled, HasPassword: a.PasswordHash != "", Declared: a.Declared,
	}
	if v.HasPassword {
		v.PasswordChangedAt, v.PasswordExpiresAt = a.Password.ChangedAt.UTC(), a.Password.ExpiresAt.UTC()
	}
	if a.Password.LockedUntil.After(now) {
		v.LockedUntil = a.Password.LockedUntil.UTC()
	}
	return v
}

// stateInWords is a state for a person; nothing to say of one who can log in.
func stateInWords(s local.State) string {
	return map[local.State]string{
		local.Disabled: "disabled", local.Locked: "locked", local.NoPassword: "no password",
		local.Expired: "temporary password expired", local.MustChange: "must change password",
	}[s]
}

func (v userView) table(w io.Writer) {
	row(w, "User name", v.Username)
	row(w, "Subject", v.Subject)
	row(w, "Source", v.Source)
	row(w, "E-mail address", v.Email)
	row(w, "E-mail verified", yesNo(v.EmailVerified))
	row(w, "Name", v.Name)
	row(w, "Groups", strings.Join(v.Groups, ", "))
	row(w, "State", stateInWords(v.State))
	row(w, "Disabled", yesNo(v.Disabled))
	if v.Source != local.SourceName {
		return // which knows the password
	}
	row(w, "Password", map[bool]string{true: "set", false: "none"}[v.HasPassword])
	row(w, "Password set at", moment(v.PasswordChangedAt))
	row(w, "Temporary until", moment(v.PasswordExpiresAt))
	row(w, "Locked until", moment(v.LockedUntil))
	row(w, "Declared in file", yesNo(v.Declared))
}

func newUserList(env Env) *cobra.Command {
	var filter store.AccountFilter
	var page store.Page
	c := printing(env, &cobra.Command{
		Use:   "list",
		Short: "List the users",
		Long: `List the users of all sources, by their user name. Those of another source than
local are here from their first login on, as their source said last.`,
		Example: `  tegata user list
  tegata user list --search example.com --limit 50
  tegata user list --source local --output json`,
		Args: arguments(0, 0, ""),
	}, func(c *cobra.Command, i *issuer, _ []string) (any, func(io.Writer), error) {
		if page.Limit < 0 {
			return nil, nil, exit.Misuse("leave it out to see all", "--limit cannot be negative")
		}
		accounts, next, err := i.AccountPage(c.Context(), filter, page)
		if errors.Is(err, store.ErrPage) {
			return nil, nil, exit.Misuse("take the value from the end of the output before", "--after %q is no place in the list", page.After)
		}
		if err != nil {
			return nil, nil, err
		}
		if next != "" {
			env.notef("There are more: add --after %s", next)
		}
		views := []userView{}
		for _, account := range accounts {
			views = append(views, viewUser(account, env.Now()))
		}
		return views, func(w io.Writer) {
			row(w, "USER NAME", "E-MAIL ADDRESS", "NAME", "GROUPS", "SOURCE", "STATE")
			for _, v := range views {
				row(w, v.Username, v.Email, v.Name, strings.Join(v.Groups, ","), v.Source, stateInWords(v.State))
			}
		}, nil
	})
	c.Flags().StringVar(&filter.Search, "search", "", "only those with this `TEXT` in the user name, e-mail address or full name")
	c.Flags().StringVar(&filter.Source, "source", "", "only those of this `SOURCE`: local, or its name in the configuration")
	c.Flags().IntVar(&page.Limit, "limit", 0, "print `N` at the most (all)")
	c.Flags().StringVar(&page.After, "after", "", "go on after this `PLACE`, as the command printed it before")
	return c
}

func newUserShow(env Env) *cobra.Command {
	return printing(env, &cobra.Command{
		Use:     "show NAME",
		Short:   "Show a user",
		Example: "  tegata user show alice\n  tegata user show alice@example.com --output json",
		Args:    arguments(1, 1, "one user name or e-mail address"),
	}, func(c *cobra.Command, i *issuer, args []string) (any, func(io.Writer), error) {
		account, err := i.account(c, args[0])
		v := viewUser(account, env.Now())
		return v, v.table, err
	})
}

func newUserDisable(env Env, disable bool) *cobra.Command {
	use, short, long, done := "enable NAME", "Let a disabled user log in again", "", "enabled"
	if disable {
		use, short, done = "disable NAME", "Stop a user from logging in", "disabled"
		long = `Stop a user from logging in, of whatever source. No token is renewed any more; an
ID token that an API server has seen works until it expires.`
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
		i.did(about(account))
		fmt.Fprintf(env.Stdout, "%s user %s\n", done, account.Username)
		return nil
	})
}

func newUserDelete(env Env) *cobra.Command {
	var yes bool
	c := changing(env, &cobra.Command{
		Use:   "delete NAME",
		Short: "Delete a user, with all sessions and logins",
		Long: `Delete a user, with all sessions and logins. A user of another source than local
is forgotten until they log in again; tegata user disable keeps such a person
out, and who is kept out is not deleted.`,
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
		if account.Disabled && account.Source != local.SourceName {
			return keptOut(account)
		}
		if err := env.confirm(c.Context(), fmt.Sprintf("Delete the user %s?", account.Username), yes); err != nil {
			return err
		}
		err = i.DeleteAccount(c.Context(), account.Subject, env.Now())
		if errors.Is(err, local.ErrKeptOut) { // disabled in this moment
			return keptOut(account)
		}
		if err != nil {
			return err
		}
		i.did(about(account))
		fmt.Fprintf(env.Stdout, "deleted user %s\n", account.Username)
		if account.Source != local.SourceName {
			env.notef("The source %s still has this person, who can log in again; tegata user disable would keep them out", account.Source)
		}
		return nil
	})
	c.Flags().BoolVar(&yes, "yes", false, "do not ask")
	return c
}

// keptOut is the answer to who would delete a disabled user of another source.
func keptOut(account local.Account) error {
	return exit.WithHint(fmt.Errorf("%s is a user of the source %s and is disabled here: deleting would let them in again at their next login",
		account.Username, account.Source), "if that is meant, tegata user enable "+account.Username+" first")
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

// ownAccount finds a user of whom what is kept here, and not at another source.
func (i *issuer) ownAccount(c *cobra.Command, conf config, login, what string) (local.Account, error) {
	account, err := i.managedAccount(c, conf, login)
	if err == nil && account.Source != local.SourceName {
		return local.Account{}, keptElsewhere(account, what)
	}
	return account, err
}

func keptElsewhere(account local.Account, what string) error {
	return exit.WithHint(fmt.Errorf("%s is a user of the source %s, which keeps the %s", account.Username, account.Source, what),
		"change it at that source")
}

func declaredElsewhere(what, name string, conf config) error {
	file := conf.path
	if file == "" {
		file = "the configuration file of the server"
	}
	return exit.WithHint(fmt.Errorf("%s %q is declared in the configuration file", what, name), "change it in "+file+" and start the server again")
}
