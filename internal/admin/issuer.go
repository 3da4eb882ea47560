// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tegata/tegata/internal/audit"
	"github.com/tegata/tegata/internal/exit"
	"github.com/tegata/tegata/internal/oidc"
	"github.com/tegata/tegata/internal/seal"
	"github.com/tegata/tegata/internal/store"
)

// specification is the settings of an issuer that was made at run time, as
// they are kept.
type specification struct {
	SigningAlg    string `json:"signing_alg,omitempty"`
	GroupsClaim   string `json:"groups_claim,omitempty"`
	PasswordGrant bool   `json:"password_grant,omitempty"`
}

func readSpecification(record store.IssuerRecord) (IssuerConfig, error) {
	var s specification
	if err := json.Unmarshal([]byte(record.Specification), &s); err != nil {
		return IssuerConfig{}, fmt.Errorf("reading the settings of the issuer %s: %w", record.ID, err)
	}
	return IssuerConfig{
		ID: record.ID, Issuer: string(record.URL), SigningAlg: s.SigningAlg, GroupsClaim: s.GroupsClaim,
		PasswordGrant: s.PasswordGrant, atRunTime: true,
	}, nil
}

// issuers are those of the configuration, then those that were made at run
// time. One that stands in both is the configuration's.
func (d *database) issuers(ctx context.Context, c config) ([]IssuerConfig, error) {
	all := c.issuers()
	records, err := d.Issuers(ctx)
	if err != nil {
		return nil, fmt.Errorf("reading the issuers: %w", err)
	}
	for _, record := range records {
		if record.Specification == "" || slices.ContainsFunc(all, func(one IssuerConfig) bool { return one.ID == record.ID }) {
			continue
		}
		one, err := readSpecification(record)
		if err != nil {
			return nil, err
		}
		all = append(all, one)
	}
	return all, nil
}

// unknownIssuer says which issuers there are.
func (d *database) unknownIssuer(ctx context.Context, id string, err error) error {
	if !errors.Is(err, store.ErrNoIssuer) {
		return fmt.Errorf("reading the issuer: %w", err)
	}
	var known []string
	if all, err := d.issuers(ctx, d.config); err == nil {
		for _, one := range all {
			if one.ID != id {
				known = append(known, one.ID)
			}
		}
	}
	hint := "known are " + strings.Join(known, ", ")
	if near := exit.Nearest(id, known); near != "" {
		hint = fmt.Sprintf("did you mean %q?", near)
	}
	return exit.Misuse(hint, "there is no issuer %q", id)
}

func newIssuer(env Env) *cobra.Command {
	return holder("issuer", "Manage the issuers of a server", newIssuerAdd(env), newIssuerList(env), newIssuerDelete(env))
}

func newIssuerAdd(env Env) *cobra.Command {
	var where place
	var url string
	var s specification
	c := &cobra.Command{
		Use:   "add ID --url URL",
		Short: "Add an issuer",
		Long: `Add an issuer to the server, with users, clients and keys of its own. A running
server answers at its URL within seconds; the URL's host must lead to it. An
issuer that the configuration file describes is added there.`,
		Example: "  tegata issuer add students --url https://id.example.com/students\n  tegata user add bob --issuer students",
		Args:    arguments(1, 1, "one issuer ID"),
		RunE: func(c *cobra.Command, args []string) error {
			one := IssuerConfig{ID: args[0], Issuer: url, SigningAlg: s.SigningAlg, GroupsClaim: s.GroupsClaim}
			if err := checkIssuerID(one.ID); err != nil {
				return exit.Misuse("", "%w", err)
			}
			if url == "" {
				return exit.Misuse("add --url https://…", "an issuer needs a URL")
			}
			if err := one.check(); err != nil {
				return exit.Misuse("", "%w", err)
			}
			return where.bareDatabase(c.Context(), env, func(db *database) error {
				all, err := db.issuers(c.Context(), db.config)
				if err != nil {
					return err
				}
				for _, other := range all {
					switch {
					case other.ID == one.ID:
						return exit.WithHint(fmt.Errorf("there is an issuer %q already", one.ID), "tegata issuer list shows them")
					case other.Issuer == one.Issuer:
						return exit.WithHint(fmt.Errorf("the issuer %q has this URL already", other.ID), "each issuer needs a host or a path of its own")
					}
				}
				settings, err := json.Marshal(s)
				if err != nil {
					return err
				}
				record := store.IssuerRecord{
					ID: one.ID, URL: oidc.Issuer(url), Specification: string(settings),
					SealedSecret: db.kek.Seal(seal.RandomKey().Bytes(), store.IssuerContext(one.ID)),
				}
				if err := where.record(env, db.config, record.URL, func() ([]audit.Event, error) {
					return once(audit.Event{Object: one.ID}, db.AddIssuer(c.Context(), record, env.Now()))
				}); err != nil {
					return fmt.Errorf("adding the issuer: %w", err)
				}
				fmt.Fprintf(env.Stdout, "%s is added: %s\n", one.ID, url)
				return nil
			})
		},
	}
	c.Flags().StringVar(&url, "url", "", "`URL` of the issuer, https://…")
	c.Flags().StringVar(&s.SigningAlg, "signing-alg", "", "`ALGORITHM` of ID tokens, unless the client has its own: RS256 or ES256 (RS256)")
	c.Flags().StringVar(&s.GroupsClaim, "groups-claim", "", "`NAME` under which groups appear, unless the client has its own (groups)")
	c.Flags().BoolVar(&s.PasswordGrant, "password-grant", false, "let clients that may send passwords themselves")
	where.files(c)
	return c
}

// listedIssuer is one line of tegata issuer list.
type listedIssuer struct {
	ID       string `json:"id"`
	URL      string `json:"url"`
	Declared bool   `json:"declared"`
}

func newIssuerList(env Env) *cobra.Command {
	var where place
	var out output
	c := &cobra.Command{
		Use:     "list",
		Short:   "List the issuers",
		Example: "  tegata issuer list --output json",
		Args:    arguments(0, 0, ""),
		RunE: func(c *cobra.Command, _ []string) error {
			if err := out.check(); err != nil {
				return err
			}
			return where.bareDatabase(c.Context(), env, func(db *database) error {
				all, err := db.issuers(c.Context(), db.config)
				if err != nil {
					return err
				}
				listed := []listedIssuer{}
				for _, one := range all {
					if record, err := db.IssuerRecord(c.Context(), one.ID); err == nil && one.Issuer == "" {
						one.Issuer = string(record.URL) // of --dev
					}
					listed = append(listed, listedIssuer{one.ID, one.Issuer, !one.atRunTime})
				}
				return out.print(env.Stdout, listed, func(w io.Writer) {
					row(w, "ID", "URL", "DECLARED")
					for _, one := range listed {
						row(w, one.ID, one.URL, yesNo(one.Declared))
					}
				})
			})
		},
	}
	where.files(c)
	out.flags(c)
	return c
}

func newIssuerDelete(env Env) *cobra.Command {
	var where place
	var sure bool
	c := &cobra.Command{
		Use:     "delete ID",
		Short:   "Delete an issuer and all that is its own",
		Example: "  tegata issuer delete students --yes",
		Args:    arguments(1, 1, "one issuer ID; tegata issuer list shows them"),
		RunE: func(c *cobra.Command, args []string) error {
			return where.bareDatabase(c.Context(), env, func(db *database) error {
				for _, one := range db.config.issuers() {
					if one.ID == args[0] {
						return exit.WithHint(fmt.Errorf("the issuer %q stands in the configuration", args[0]), "take it out there; its data stays until then")
					}
				}
				opened, err := db.issuer(c.Context(), env, IssuerConfig{ID: args[0], atRunTime: true})
				if err != nil {
					return err
				}
				if err := env.confirm(c.Context(), "Delete the issuer "+args[0]+" with its users, clients and keys?", sure); err != nil {
					return err
				}
				if err := where.record(env, db.config, opened.url, func() ([]audit.Event, error) {
					return once(audit.Event{Object: args[0]}, db.DeleteIssuer(c.Context(), args[0]))
				}); err != nil {
					return fmt.Errorf("deleting the issuer: %w", err)
				}
				fmt.Fprintf(env.Stdout, "%s is deleted\n", args[0])
				return nil
			})
		},
	}
	c.Flags().BoolVar(&sure, "yes", false, "do not ask")
	where.files(c)
	return c
}

// bareDatabase opens the database for a command about no issuer in
// particular.
func (p place) bareDatabase(ctx context.Context, env Env, do func(*database) error) error {
	c, err := p.config(env)
	if err != nil {
		return err
	}
	if !c.hasData() {
		return c.noData()
	}
	c.existing = true
	db, err := c.openDatabase(ctx, env)
	if err == nil {
		err = errors.Join(do(db), db.Close())
	}
	return c.advise(err)
}
