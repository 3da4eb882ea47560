// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tegata/tegata/internal/audit"
	"github.com/tegata/tegata/internal/exit"
	"github.com/tegata/tegata/internal/identity/local"
	"github.com/tegata/tegata/internal/store"
)

func newGroup(env Env) *cobra.Command {
	return holder("group", "Manage groups of local users",
		newGroupAdd(env), newGroupList(env), newGroupMember(env, true), newGroupMember(env, false), newGroupDelete(env))
}

func newGroupAdd(env Env) *cobra.Command {
	var where place
	c := &cobra.Command{
		Use:     "add NAME",
		Short:   "Add a group",
		Example: "  tegata group add platform-engineer",
		Args:    arguments(1, 1, "one group name"),
		RunE: func(c *cobra.Command, args []string) error {
			if err := local.CheckGroup(args[0]); err != nil {
				return exit.Misuse("", "%w", err)
			}
			return where.making(c.Context(), env, func(_ config, i *issuer) error {
				if err := i.AddGroup(c.Context(), args[0], env.Now()); err != nil {
					return err
				}
				i.did(audit.Event{Object: args[0]})
				fmt.Fprintf(env.Stdout, "added group %s\n", args[0])
				return nil
			})
		},
	}
	where.flags(c)
	return c
}

// groupView is a group as it is printed.
type groupView struct {
	Name     string   `json:"name"`
	Members  []string `json:"members"`
	Declared bool     `json:"declared"`
}

func newGroupList(env Env) *cobra.Command {
	return printing(env, &cobra.Command{
		Use:     "list",
		Short:   "List the groups and their members",
		Example: "  tegata group list\n  tegata group list --output json",
		Args:    arguments(0, 0, ""),
	}, func(c *cobra.Command, i *issuer, _ []string) (any, func(io.Writer), error) {
		groups, err := i.GroupList(c.Context())
		views := []groupView{}
		for _, g := range groups {
			views = append(views, groupView(g))
		}
		return views, func(w io.Writer) {
			row(w, "GROUP", "MEMBERS", "DECLARED")
			for _, v := range views {
				row(w, v.Name, strings.Join(v.Members, ","), yesNo(v.Declared))
			}
		}, err
	})
}

func newGroupMember(env Env, add bool) *cobra.Command {
	use, short := "remove-member GROUP USER...", "Take users out of a group"
	if add {
		use, short = "add-member GROUP USER...", "Put users into a group"
	}
	return changing(env, &cobra.Command{
		Use:     use,
		Short:   short,
		Long:    short + ". The next token of each of them shows it, without a new login.",
		Example: "  tegata group " + strings.Fields(use)[0] + " platform-engineer alice bob",
		Args:    arguments(2, -1, "a group name and at least one user name"),
	}, func(c *cobra.Command, conf config, i *issuer, args []string) error {
		if _, err := i.managedGroup(c.Context(), conf, args[0]); err != nil {
			return err
		}
		// Find everybody first, so that a typing mistake changes nothing.
		var accounts []local.Account
		for _, name := range args[1:] {
			account, err := i.account(c, name)
			if err != nil {
				return err
			}
			if account.Source != local.SourceName {
				return keptElsewhere(account, "groups")
			}
			accounts = append(accounts, account)
		}
		for _, account := range accounts {
			event := about(account)
			event.Object = args[0]
			if add {
				if err := i.AddMember(c.Context(), args[0], account.Subject); err != nil {
					return err
				}
				i.did(event)
				fmt.Fprintf(env.Stdout, "%s is in %s\n", account.Username, args[0])
				continue
			}
			was, err := i.RemoveMember(c.Context(), args[0], account.Subject)
			if err != nil {
				return err
			}
			i.did(event)
			if !was {
				env.notef("%s was not in %s", account.Username, args[0])
				continue
			}
			fmt.Fprintf(env.Stdout, "%s is no longer in %s\n", account.Username, args[0])
		}
		return nil
	})
}

func newGroupDelete(env Env) *cobra.Command {
	var yes bool
	c := changing(env, &cobra.Command{
		Use:     "delete NAME",
		Short:   "Delete a group; its members stay users",
		Example: "  tegata group delete platform-engineer\n  tegata group delete platform-engineer --yes",
		Args:    arguments(1, 1, "one group name"),
	}, func(c *cobra.Command, conf config, i *issuer, args []string) error {
		group, err := i.managedGroup(c.Context(), conf, args[0])
		if err != nil {
			return err
		}
		if err := env.confirm(c.Context(), fmt.Sprintf("Delete the group %s with %d members?", group.Name, len(group.Members)), yes); err != nil {
			return err
		}
		if err := i.DeleteGroup(c.Context(), args[0]); err != nil {
			return err
		}
		i.did(audit.Event{Object: args[0]})
		fmt.Fprintf(env.Stdout, "deleted group %s\n", args[0])
		return nil
	})
	c.Flags().BoolVar(&yes, "yes", false, "do not ask")
	return c
}

// managedGroup finds a group that may be changed here.
func (i *issuer) managedGroup(ctx context.Context, conf config, name string) (store.Group, error) {
	groups, err := i.GroupList(ctx)
	if err != nil {
		return store.Group{}, err
	}
	at := slices.IndexFunc(groups, func(g store.Group) bool { return g.Name == name })
	switch {
	case at < 0:
		return store.Group{}, hintGroup(fmt.Errorf("group %q: %w", name, store.ErrNoGroup))
	case groups[at].Declared:
		return store.Group{}, declaredElsewhere("group", name, conf)
	}
	return groups[at], nil
}

// refuseDeclaredMember keeps a user whom the configuration file names: the
// server would not start without.
func (i *issuer) refuseDeclaredMember(c *cobra.Command, conf config, account local.Account) error {
	groups, err := i.GroupList(c.Context())
	if err != nil {
		return err
	}
	for _, group := range groups {
		if group.Declared && slices.Contains(group.Members, account.Username) {
			return fmt.Errorf("user %s is a member there: %w", account.Username, declaredElsewhere("group", group.Name, conf))
		}
	}
	return nil
}

func hintGroup(err error) error {
	if errors.Is(err, store.ErrNoGroup) {
		return exit.WithHint(err, "tegata group list shows which there are; tegata group add makes one")
	}
	return err
}
