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

	"github.com/tegata/tegata/internal/audit"
	"github.com/tegata/tegata/internal/exit"
	"github.com/tegata/tegata/internal/seal"
	"github.com/tegata/tegata/internal/signingkey"
)

func newKey(env Env) *cobra.Command {
	return holder("key", "Look at the signing keys, replace them, seal them anew",
		newKeyList(env), newKeyRotate(env), newKeyRevoke(env), newKeyReseal(env))
}

// keyView is a signing key as it is printed.
type keyView struct {
	ID          string           `json:"id"`
	Algorithm   string           `json:"algorithm"`
	State       signingkey.State `json:"state"`
	Since       time.Time        `json:"since"`
	Until       time.Time        `json:"until"`
	SuccessorID string           `json:"successor,omitempty"`
	SuccessorAt *time.Time       `json:"successor_published_at,omitempty"` // nil once it is
}

func viewKey(k signingkey.Key) keyView {
	v := keyView{
		ID: k.ID, Algorithm: k.Algorithm, State: k.State, Since: k.Since.UTC(), Until: k.Until.UTC(), SuccessorID: k.SuccessorID,
	}
	if !k.SuccessorAt.IsZero() {
		at := k.SuccessorAt.UTC()
		v.SuccessorAt = &at
	}
	return v
}

// next is what happens when the state ends.
func (v keyView) next() string {
	switch {
	case v.State == signingkey.Published:
		return "it signs"
	case v.SuccessorAt != nil:
		return "a successor, to be published at " + v.SuccessorAt.Format(time.RFC3339)
	case v.State == signingkey.Active:
		return "its successor signs"
	case v.State == signingkey.Revoked:
		return "it is forgotten"
	}
	return "it leaves the key set"
}

func viewKeys(keys []signingkey.Key) (views []keyView, table func(io.Writer)) {
	views = []keyView{}
	for _, key := range keys {
		views = append(views, viewKey(key))
	}
	return views, func(w io.Writer) {
		row(w, "KEY ID", "ALGORITHM", "STATE", "SINCE", "UNTIL", "THEN")
		for _, v := range views {
			row(w, v.ID, v.Algorithm, string(v.State), v.Since.Format(time.RFC3339), v.Until.Format(time.RFC3339), v.next())
		}
	}
}

func newKeyList(env Env) *cobra.Command {
	return printing(env, &cobra.Command{
		Use:   "list",
		Short: "List the signing keys and what comes next",
		Long: `List the signing keys and what comes next. A key is

  published   in the key set for some time, so that everybody knows it in time
  active      the one that signs
  retiring    in the key set until the last token that it signed has expired
  revoked     out of the key set`,
		Example: "  tegata key list\n  tegata key list --output json",
		Args:    arguments(0, 0, ""),
	}, func(c *cobra.Command, i *issuer, _ []string) (any, func(io.Writer), error) {
		keys, err := i.keys.List(c.Context())
		views, table := viewKeys(keys)
		return views, table, err
	})
}

func newKeyRotate(env Env) *cobra.Command {
	var alg string
	var now bool
	c := printingChange(env, &cobra.Command{
		Use:   "rotate",
		Short: "Replace the signing keys before their time",
		Long: `Publish a successor for the signing key of each algorithm, or of one. It signs
after the time that publish_ahead of the configuration says, 24 hours by
default, when everybody who verifies tokens has fetched it. Nobody notices.

With --now it signs within seconds. Who fetched the key set shortly before
refuses its tokens until it is fetched again; the command says until when.

A key that was stolen is taken out by tegata key revoke.`,
		Example: "  tegata key rotate\n  tegata key rotate --alg RS256 --now",
		Args: func(c *cobra.Command, args []string) error {
			if alg != "" {
				if err := signingkey.CheckAlgorithm(alg); err != nil {
					return exit.Misuse("", "--alg: %w", err)
				}
			}
			return arguments(0, 0, "")(c, args)
		},
	}, func(c *cobra.Command, i *issuer, _ []string) (any, func(io.Writer), error) {
		algs := []string{alg}
		if alg == "" {
			algs = signingkey.Algorithms()
		}
		var successors []signingkey.Key
		for _, alg := range algs {
			successor, err := i.keys.Rotate(c.Context(), alg, now)
			if err != nil {
				return nil, nil, err
			}
			i.did(audit.Event{Object: successor.ID})
			successors = append(successors, successor)
			env.warnUnknown(successor, i.keys.Policy)
		}
		views, _ := viewKeys(successors)
		return views, func(w io.Writer) {
			for n, v := range views {
				fmt.Fprintf(w, "%s: %s is published and signs from %s\n", v.Algorithm, v.ID, rfc3339(successors[n].SignsFrom))
			}
		}, nil
	})
	c.Flags().StringVar(&alg, "alg", "", "`ALG` of the key, RS256 or ES256 (both)")
	c.Flags().BoolVar(&now, "now", false, "let the successor sign within seconds")
	_ = c.RegisterFlagCompletionFunc("alg", cobra.FixedCompletions(signingkey.Algorithms(), cobra.ShellCompDirectiveNoFileComp))
	return c
}

// warnUnknown says whose tokens may be refused, and until when, if a key signs
// before everybody can know it.
func (env Env) warnUnknown(key signingkey.Key, policy signingkey.Policy) {
	if known := key.PublishedAt.Add(policy.SafeLead()); key.SignsFrom.Before(known) {
		env.notef("warning: an API server that fetched the key set before %s refuses tokens of %s, until %s at the latest",
			rfc3339(key.PublishedAt), key.ID, rfc3339(known))
	}
}

func rfc3339(t time.Time) string { return t.UTC().Format(time.RFC3339) }

func newKeyRevoke(env Env) *cobra.Command {
	var yes bool
	c := printingChange(env, &cobra.Command{
		Use:   "revoke KEY-ID",
		Short: "Take out a signing key that was stolen",
		Long: `Take out a signing key that was stolen. It leaves the key set at once, its
private half is deleted, and this issuer accepts no token of it any more. If it
was the one that signs, its successor does, or a new key.

An API server goes on accepting tokens of the key until it fetches the key set
again, and it does that when it meets a key that it does not know. So the
command publishes such a key, which signs as soon as that refuses nobody:
after some 20 minutes. Restart the API servers if that is too late.

Who holds a token of the key gets another one, without a login, when it expires.`,
		Example: "  tegata key revoke XEvNR7lFjyUhw4D8uOlMpHzBIWIXfRBPGaxWjXhgC5U",
		Args:    arguments(1, 1, "one key ID; tegata key list shows them"),
	}, func(c *cobra.Command, i *issuer, args []string) (any, func(io.Writer), error) {
		keys, err := i.keys.List(c.Context())
		if err != nil {
			return nil, nil, err
		}
		at := slices.IndexFunc(keys, func(k signingkey.Key) bool { return k.ID == args[0] })
		switch {
		case at < 0:
			return nil, nil, exit.WithHint(fmt.Errorf("there is no signing key %q", args[0]), "tegata key list shows which there are")
		case keys[at].State == signingkey.Revoked:
			return nil, nil, fmt.Errorf("the signing key %q is revoked already", args[0])
		}
		if err := env.confirm(c.Context(), fmt.Sprintf("Revoke the signing key %s for ever?", args[0]), yes); err != nil {
			return nil, nil, err
		}
		if keys, err = i.keys.Revoke(c.Context(), args[0]); err != nil {
			return nil, nil, err
		}
		i.did(audit.Event{Object: args[0]})
		env.tellRevoked(keys, args[0], i.keys.Policy)
		views, table := viewKeys(keys)
		return views, table, nil
	})
	c.Flags().BoolVar(&yes, "yes", false, "do not ask")
	return c
}

// tellRevoked says what a revocation means for API servers.
func (env Env) tellRevoked(keys []signingkey.Key, id string, policy signingkey.Policy) {
	var revoked signingkey.Key
	for _, key := range keys {
		if key.ID == id {
			revoked = key
		}
	}
	for _, key := range keys {
		if key.Algorithm != revoked.Algorithm {
			continue
		}
		if key.State == signingkey.Active {
			env.warnUnknown(key, policy)
		}
		if !key.PublishedAt.Before(revoked.Since) {
			env.notef("API servers accept tokens of the revoked key until they meet one of %s, which signs from %s; restart them if that is too late",
				key.ID, rfc3339(key.SignsFrom))
		}
	}
}

func newKeyReseal(env Env) *cobra.Command {
	return changing(env, &cobra.Command{
		Use:   "reseal",
		Short: "Seal everything with a new key-encryption key",
		Long: `Seal everything that rests in the database with a new key-encryption key:

  1. Put the new key above the old one, in the file or the variable that holds
     it: openssl rand -base64 32 makes one. The first seals, all of them open.
  2. Start the servers again, so that each knows both.
  3. tegata key reseal
  4. Take the old key away.

It works beside running servers, and changes all or nothing.`,
		Example: "  tegata key reseal --config /etc/tegata/tegata.yaml",
		Args:    arguments(0, 0, ""),
	}, func(c *cobra.Command, conf config, i *issuer, _ []string) error {
		all, changed, err := i.db.Reseal(c.Context(), i.kek.Reseal)
		if errors.Is(err, seal.ErrNotOurs) {
			return exit.WithHint(err, "nothing was changed; put the key that it was sealed with below the others in "+conf.keyPlace())
		} else if err != nil {
			return err
		}
		where := "the key"
		if i.kek.Len() > 1 {
			where = "the first key"
		}
		fmt.Fprintf(env.Stdout, "all %d secrets are sealed with %s in %s; %d were not\n", all, where, conf.keyPlace(), changed)
		return nil
	})
}
