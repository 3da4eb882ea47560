// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/tegata/tegata/internal/exit"
	"github.com/tegata/tegata/internal/secondfactor"
)

// secondFactorConfig says who needs a second factor.
type secondFactorConfig struct {
	Required bool     `yaml:"required"`
	Groups   []string `yaml:"groups"`
}

func (c secondFactorConfig) check() error {
	seen := map[string]bool{}
	for _, group := range c.Groups {
		switch {
		case strings.TrimSpace(group) == "" || strings.TrimSpace(group) != group:
			return fmt.Errorf("groups: %q is no name of a group", group)
		case seen[group]:
			return fmt.Errorf("groups: %q is given twice", group)
		}
		seen[group] = true
	}
	if c.Required && len(c.Groups) > 0 {
		return errors.New("required is for everybody; leave out required or groups")
	}
	return nil
}

func (c secondFactorConfig) policy() secondfactor.Policy {
	return secondfactor.Policy{Required: c.Required, Groups: slices.Clone(c.Groups)}
}

func newUserFactor(env Env) *cobra.Command {
	return holder("factor", "Look at the second factors of a user, and remove them",
		newUserFactorList(env), newUserFactorRemove(env), newUserFactorReset(env))
}

// factorView is a second factor as it is printed.
type factorView struct {
	ID        string    `json:"id"`
	Kind      string    `json:"kind"`
	Name      string    `json:"name,omitempty"`
	CodesLeft *int      `json:"codes_left,omitempty"` // of recovery codes
	CreatedAt time.Time `json:"created_at"`
	UsedAt    time.Time `json:"used_at,omitzero"`
}

func viewFactor(f secondfactor.Factor) factorView {
	v := factorView{ID: f.ID, Kind: string(f.Kind), Name: f.Name, CreatedAt: f.CreatedAt.UTC()}
	if !f.UsedAt.IsZero() {
		v.UsedAt = f.UsedAt.UTC()
	}
	if f.Kind == secondfactor.KindRecovery {
		left := f.Left()
		v.CodesLeft = &left
	}
	return v
}

func newUserFactorList(env Env) *cobra.Command {
	return printing(env, &cobra.Command{
		Use:   "list NAME",
		Short: "List the second factors of a user",
		Long: `List the second factors of a user: apps that show codes (totp), passkeys, and
the recovery codes. People add them themselves, at /account/factors below the
issuer's address, or at their first login where one is required.`,
		Example: "  tegata user factor list alice\n  tegata user factor list alice --output json",
		Args:    arguments(1, 1, "one user name or e-mail address"),
	}, func(c *cobra.Command, i *issuer, args []string) (any, func(io.Writer), error) {
		account, err := i.account(c, args[0])
		if err != nil {
			return nil, nil, err
		}
		factors, err := i.SecondFactors(c.Context(), account.Subject)
		views := []factorView{}
		for _, f := range factors {
			views = append(views, viewFactor(f))
		}
		return views, func(w io.Writer) {
			row(w, "FACTOR", "KIND", "NAME", "ADDED", "LAST USE")
			for _, v := range views {
				name := v.Name
				if v.CodesLeft != nil {
					name = cmp.Or(name, fmt.Sprintf("%d left", *v.CodesLeft))
				}
				row(w, v.ID, v.Kind, name, moment(v.CreatedAt), moment(v.UsedAt))
			}
		}, err
	})
}

func newUserFactorRemove(env Env) *cobra.Command {
	var yes bool
	c := changing(env, &cobra.Command{
		Use:   "remove NAME ID",
		Short: "Remove one second factor of a user",
		Long: `Remove one second factor of a user, such as the passkey of a laptop that was
lost. The recovery codes go with the last of the others. The user stays logged
in; tegata session end and tegata grant end change that.`,
		Example: "  tegata user factor remove alice k3jx7q2mzzqk5v4bnl6cyr5x2a",
		Args:    arguments(2, 2, "a user name or e-mail address, and the ID of a second factor"),
	}, func(c *cobra.Command, _ config, i *issuer, args []string) error {
		account, err := i.account(c, args[0])
		if err != nil {
			return err
		}
		hint := "tegata user factor list " + account.Username + " shows which there are"
		factors, err := i.SecondFactors(c.Context(), account.Subject)
		if err != nil {
			return err
		}
		at := slices.IndexFunc(factors, func(f secondfactor.Factor) bool { return f.ID == args[1] })
		if at < 0 {
			return exit.WithHint(fmt.Errorf("%s has no second factor %q", account.Username, args[1]), hint)
		}
		if err := env.confirm(c.Context(), fmt.Sprintf("Remove this %s of %s?", factors[at].Kind, account.Username), yes); err != nil {
			return err
		}
		err = i.RemoveSecondFactor(c.Context(), account.Subject, args[1])
		if errors.Is(err, secondfactor.ErrNotFound) {
			return exit.WithHint(fmt.Errorf("%s has no second factor %q any more", account.Username, args[1]), hint)
		}
		if err != nil {
			return err
		}
		event := about(account)
		event.Object = args[1]
		i.did(event)
		fmt.Fprintf(env.Stdout, "removed %s %s of %s\n", factors[at].Kind, args[1], account.Username)
		return nil
	})
	c.Flags().BoolVar(&yes, "yes", false, "do not ask")
	return c
}

func newUserFactorReset(env Env) *cobra.Command {
	var yes bool
	c := changing(env, &cobra.Command{
		Use:   "reset NAME",
		Short: "Remove all second factors of a user, who has lost them",
		Long: `Remove all second factors of a user, with the recovery codes, and end all
sessions and logins that stand on them. Where a second factor is required,
whoever logs in next with the password adds the new one: make sure first that
it is the user who asks, and set another password if in doubt.`,
		Example: "  tegata user factor reset alice\n  tegata user factor reset alice --yes",
		Args:    arguments(1, 1, "one user name or e-mail address"),
	}, func(c *cobra.Command, _ config, i *issuer, args []string) error {
		account, err := i.account(c, args[0])
		if err != nil {
			return err
		}
		if err := env.confirm(c.Context(), fmt.Sprintf("Remove all second factors of %s, and end every login?", account.Username), yes); err != nil {
			return err
		}
		removed, err := i.ResetSecondFactors(c.Context(), account.Subject, env.Now())
		if err != nil {
			return err
		}
		i.did(about(account))
		fmt.Fprintf(env.Stdout, "removed %s of %s; every login of the user has ended\n", count(removed, "second factor"), account.Username)
		return nil
	})
	c.Flags().BoolVar(&yes, "yes", false, "do not ask")
	return c
}
