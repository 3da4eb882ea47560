// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/tegata/tegata/internal/exit"
	"github.com/tegata/tegata/internal/identity"
	"github.com/tegata/tegata/internal/identity/ldap"
	"github.com/tegata/tegata/internal/oidc"
	"github.com/tegata/tegata/internal/secret"
)

func newLDAP(env Env) *cobra.Command {
	return holder("ldap", "Look into the directories of the configuration", newLDAPTest(env))
}

// ldapReport is what tegata ldap test prints.
type ldapReport struct {
	Source string         `json:"source"`
	Login  string         `json:"login"`
	Steps  []ldap.Step    `json:"steps"`
	Claims map[string]any `json:"claims,omitempty"`
	// LeftOut are groups whose names belong to Kubernetes.
	LeftOut []string `json:"groups_left_out,omitempty"`
	Error   string   `json:"error,omitempty"`

	cause error
}

func newLDAPTest(env Env) *cobra.Command {
	var where place
	var out output
	var source string
	var withPassword, fromStdin bool
	c := &cobra.Command{
		Use:   "test LOGIN",
		Short: "Show what a directory says of somebody",
		Long: `Show what a directory says of somebody: each question, what was found, and the
claims that would come out. Nothing is changed, and no server need run.

LOGIN is what the person types on the login page. Without a password the
directory is asked as at a refresh; with one, as at a login.`,
		Example: `  tegata ldap test user01 --config /etc/tegata/tegata.yaml
  tegata ldap test user01@example.com --source corp --output json
  tegata ldap test user01 --ask-password`,
		Args: arguments(1, 1, "what the person types as their user name"),
		RunE: func(c *cobra.Command, args []string) error {
			if err := out.check(); err != nil {
				return err
			}
			conf, err := loadConfig(env, cmp.Or(where.configFile, env.getenv("TEGATA_CONFIG")))
			if err != nil {
				return err
			}
			if conf, err = where.choose(env, conf); err != nil {
				return err
			}
			chosen, err := conf.directory(source)
			if err != nil {
				return err
			}
			var password secret.String
			if withPassword || fromStdin {
				if password, err = env.password(c.Context(), args[0], fromStdin); err != nil {
					return err
				}
			}
			member, end, err := chosen.member(env, nil)
			if err != nil {
				return err
			}
			defer end()
			return out.report(c, env, testLDAP(c, member, args[0], password, cmp.Or(conf.GroupsClaim, "groups")))
		},
	}
	c.Flags().StringVar(&source, "source", "", "`NAME` of the source, if there are several directories")
	c.Flags().BoolVar(&withPassword, "ask-password", false, "ask for the password and try it")
	c.Flags().BoolVar(&fromStdin, "password-stdin", false, "read the password from standard input and try it")
	where.command = c
	c.Flags().StringVar(&where.configFile, "config", "", "configuration `FILE` (environment: TEGATA_CONFIG)")
	c.Flags().StringVar(&where.issuer, "issuer", "", "`ID` of the issuer, if the server has several (environment: TEGATA_ISSUER)")
	_ = c.MarkFlagFilename("config", "yaml", "yml")
	out.flags(c)
	return c
}

// directory is the source that somebody means.
func (c IssuerConfig) directory(name string) (sourceConfig, error) {
	var known []string
	for _, source := range c.Sources {
		if source.LDAP == nil {
			continue
		}
		if source.Name == name {
			return source, nil
		}
		known = append(known, source.Name)
	}
	switch {
	case len(known) == 0:
		return sourceConfig{}, exit.Misuse("docs/howto/log-in-with-ldap.md shows the section sources", "the configuration has no source with an ldap block")
	case name != "":
		return sourceConfig{}, exit.Misuse("these are directories: "+strings.Join(known, ", "), "the configuration has no directory %q", name)
	case len(known) > 1:
		return sourceConfig{}, exit.Misuse("choose with --source: "+strings.Join(known, ", "), "there are several directories")
	}
	return c.directory(known[0])
}

func testLDAP(c *cobra.Command, member identity.Member, login string, password secret.String, groupsClaim string) (report ldapReport) {
	report = ldapReport{Source: member.Name, Login: login}
	directory := member.Passwords.(*ldap.Source)
	var user identity.User
	var err error
	if password.IsZero() {
		user, report.Steps, err = directory.Explain(c.Context(), login)
	} else {
		user, report.Steps, err = directory.ExplainLogin(c.Context(), login, password)
	}
	if err == nil && user.Disabled {
		err = identity.ErrDisabled
	}
	if err == nil {
		user, report.LeftOut, err = member.Named(user)
	}
	if err != nil {
		report.Error, report.cause = err.Error(), err
		return report
	}
	report.Claims = user.Claims(oidc.Scopes{oidc.ScopeProfile, oidc.ScopeEmail, oidc.ScopeGroups}, groupsClaim)
	report.Claims["sub"] = user.Subject
	for name, values := range user.Attributes {
		report.Claims["attribute "+name] = values
	}
	return report
}

// report prints it. What was found missing is a finding, not a failure.
func (o output) report(c *cobra.Command, env Env, report ldapReport) error {
	if err := o.print(env.Stdout, report, report.table); err != nil {
		return err
	}
	if report.Error != "" {
		return &exit.Error{
			Err:  fmt.Errorf("%s cannot log in from the source %s: %s", report.Login, report.Source, report.Error),
			Hint: report.hint(), Code: exit.Findings,
		}
	}
	return nil
}

// hint is the next thing to try.
func (r ldapReport) hint() string {
	_, refused := errors.AsType[*ldap.BindError](r.cause)
	switch last := len(r.Steps) - 1; {
	case refused:
		return "the directory refused bind_dn: check it, and the password that the configuration names"
	case last < 0 || r.Steps[last].Server == "":
		return "no server answered: check servers, start_tls, ca, and the way there"
	case errors.Is(r.cause, ldap.ErrAmbiguous):
		return "users.filter and users.login must tell the entries apart"
	case errors.Is(r.cause, identity.ErrNotFound) || errors.Is(r.cause, identity.ErrWrongCredentials) && r.Steps[0].Count == 0:
		return "nothing matched: check users.base_dn, users.filter, and the attributes in users.login"
	case errors.Is(r.cause, identity.ErrWrongCredentials):
		return "the entry is there; the password is another"
	}
	return "the last question above is the one that failed"
}

func (r ldapReport) table(w io.Writer) {
	for n, step := range r.Steps {
		fmt.Fprintf(w, "%d. %s\n", n+1, step.What)
		for _, line := range [][2]string{
			{"server", cmp.Or(step.Server, "none answered")},
			{"base", step.BaseDN},
			{"scope", step.Scope},
			{"filter", step.Filter},
			{"attributes", strings.Join(step.Attributes, ", ")},
		} {
			if line[1] != "" {
				fmt.Fprintf(w, "   %s:\t%s\n", line[0], line[1])
			}
		}
		for _, found := range step.Found {
			fmt.Fprintf(w, "   found:\t%s\n", found)
		}
		if more := step.Count - len(step.Found); more > 0 {
			fmt.Fprintf(w, "   found:\tand %d more\n", more)
		}
		if step.Filter != "" && step.Count == 0 && step.Error == "" {
			fmt.Fprintf(w, "   found:\tnothing\n")
		}
		if step.Error != "" {
			fmt.Fprintf(w, "   failed:\t%s\n", step.Error)
		}
		fmt.Fprintf(w, "   took:\t%s\n\n", step.Took.Round(100*time.Microsecond))
	}
	if len(r.LeftOut) > 0 {
		fmt.Fprintf(w, "left out, because these names belong to Kubernetes:\t%s\n\n", strings.Join(r.LeftOut, ", "))
	}
	if r.Claims == nil {
		return
	}
	fmt.Fprintln(w, "claims:")
	names := []string{}
	for name := range r.Claims {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		value, err := json.Marshal(r.Claims[name])
		if err != nil {
			value = []byte(errors.Unwrap(err).Error())
		}
		fmt.Fprintf(w, "   %s:\t%s\n", name, value)
	}
}
