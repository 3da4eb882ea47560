// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/tegata/tegata/internal/audit"
	"github.com/tegata/tegata/internal/exit"
	"github.com/tegata/tegata/internal/identity"
	"github.com/tegata/tegata/internal/oidc"
	"github.com/tegata/tegata/internal/provider/session"
	"github.com/tegata/tegata/internal/store"
)

func newSession(env Env) *cobra.Command {
	return holder("session", "Look at the browsers in which people are logged in, and log them out",
		newSessionList(env), newSessionEnd(env))
}

// sessionView is a session as it is printed.
type sessionView struct {
	ID         string    `json:"id"`
	Username   string    `json:"username,omitempty"`
	Subject    string    `json:"subject"`
	Device     string    `json:"device"`
	Address    string    `json:"address"`
	LoggedInAt time.Time `json:"logged_in_at"`
	LastUsedAt time.Time `json:"last_used_at"`
	ExpiresAt  time.Time `json:"expires_at"` // unless it is used again
}

// listing is the flags of a command that prints a list part by part.
type listing struct {
	user string
	page store.Page
}

func (l *listing) flags(c *cobra.Command) {
	c.Flags().StringVar(&l.user, "user", "", "only those of the user with this `NAME` or e-mail address")
	c.Flags().IntVar(&l.page.Limit, "limit", 0, "print `N` at the most, the newest first (all)")
	c.Flags().StringVar(&l.page.After, "after", "", "go on after this `PLACE`, as the command printed it before")
}

// subject is whose rows are meant; empty: everybody's.
func (l *listing) subject(c *cobra.Command, i *issuer) (oidc.Subject, error) {
	if l.page.Limit < 0 {
		return "", exit.Misuse("leave it out to see all", "--limit cannot be negative")
	}
	if l.user == "" {
		return "", nil
	}
	account, err := i.account(c, l.user)
	return account.Subject, err
}

// more tells how to see the rest.
func (l *listing) more(env Env, next string, err error) error {
	if errors.Is(err, store.ErrPage) {
		return exit.Misuse("take the value from the end of the output before", "--after %q is no place in the list", l.page.After)
	}
	if next != "" {
		env.notef("There are more: add --after %s", next)
	}
	return err
}

// usernames finds the names of subjects, each once.
type usernames struct {
	issuer *issuer
	known  map[oidc.Subject]string
}

// of returns an empty name for a subject that is gone, or from elsewhere.
func (u *usernames) of(c *cobra.Command, subject oidc.Subject) (string, error) {
	if name, ok := u.known[subject]; ok {
		return name, nil
	}
	account, err := u.issuer.AccountBySubject(c.Context(), subject)
	if err != nil && !errors.Is(err, identity.ErrNotFound) {
		return "", err
	}
	u.known[subject] = account.Username
	return account.Username, nil
}

// moment is a time as a table has it.
func moment(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}

func newSessionList(env Env) *cobra.Command {
	var l listing
	c := printing(env, &cobra.Command{
		Use:   "list",
		Short: "List the sessions of browsers",
		Long: `List the sessions: each is one browser in which a person logged in. The last
use is known to the nearest five minutes. What a browser says of itself proves
nothing.`,
		Example: "  tegata session list\n  tegata session list --user alice --output json",
		Args:    arguments(0, 0, ""),
	}, func(c *cobra.Command, i *issuer, _ []string) (any, func(io.Writer), error) {
		subject, err := l.subject(c, i)
		if err != nil {
			return nil, nil, err
		}
		found, next, err := i.SessionList(c.Context(), subject, l.page, env.Now())
		if err := l.more(env, next, err); err != nil {
			return nil, nil, err
		}
		names := usernames{i, map[oidc.Subject]string{}}
		views := []sessionView{}
		for _, s := range found {
			name, err := names.of(c, s.Subject)
			if err != nil {
				return nil, nil, err
			}
			views = append(views, sessionView{
				ID: s.ID, Username: name, Subject: string(s.Subject), Device: s.Device.Name, Address: s.Device.Address,
				LoggedInAt: s.AuthTime.UTC(), LastUsedAt: s.UsedAt.UTC(), ExpiresAt: s.ExpiresAt.UTC(),
			})
		}
		return views, func(w io.Writer) {
			row(w, "SESSION", "USER NAME", "DEVICE", "ADDRESS", "LOGGED IN", "LAST USE", "EXPIRES")
			for _, v := range views {
				row(w, v.ID, v.Username, v.Device, v.Address, moment(v.LoggedInAt), moment(v.LastUsedAt), moment(v.ExpiresAt))
			}
		}, nil
	})
	l.flags(c)
	return c
}

func newSessionEnd(env Env) *cobra.Command {
	var user string
	var yes bool
	c := changing(env, &cobra.Command{
		Use:   "end SESSION... | --user NAME",
		Short: "Log a person out, in one browser or in all",
		Long: `End sessions, as if the person had logged out: the browser asks for the
password again, and what clients were granted in the session ends, except what
has the scope offline_access (tegata grant end ends that). An ID token that an
API server has seen works until it expires.

Clients with a back-channel logout URI are told when a person logs out in the
browser. This command does not tell them.`,
		Example: "  tegata session end k3jx7q2mzzqk5v4bnl6cyr5x2a\n  tegata session end --user alice --yes",
		Args:    arguments(0, -1, ""),
	}, func(c *cobra.Command, _ config, i *issuer, args []string) error {
		var sessions []session.Session
		switch {
		case user == "" && len(args) == 0 || user != "" && len(args) > 0:
			return exit.Misuse("tegata session list shows them", "name sessions, or all of a user with --user NAME")
		case user != "":
			account, err := i.account(c, user)
			if err != nil {
				return err
			}
			found, _, err := i.SessionList(c.Context(), account.Subject, store.Page{}, env.Now())
			if err != nil {
				return err
			}
			if len(found) == 0 {
				i.did(about(account))
				fmt.Fprintf(env.Stdout, "%s has no session\n", account.Username)
				return nil
			}
			if err := env.confirm(c.Context(), fmt.Sprintf("End %s of %s?", count(len(found), "session"), account.Username), yes); err != nil {
				return err
			}
			sessions = found
		default:
			for _, id := range args { // before the first one has ended
				s, err := i.Session(c.Context(), id)
				if errors.Is(err, session.ErrNotFound) {
					return exit.WithHint(fmt.Errorf("there is no session %q", id), "tegata session list shows which there are")
				} else if err != nil {
					return err
				}
				sessions = append(sessions, s)
			}
		}
		for _, s := range sessions {
			if _, err := i.LogOut(c.Context(), s.ID, env.Now()); err != nil {
				return err
			}
			i.did(audit.Event{Session: s.ID, Subject: s.Subject})
		}
		fmt.Fprintf(env.Stdout, "ended %s\n", count(len(sessions), "session"))
		return nil
	})
	c.Flags().StringVar(&user, "user", "", "all sessions of the user with this `NAME` or e-mail address")
	c.Flags().BoolVar(&yes, "yes", false, "do not ask")
	return c
}

// count is "1 session" or "2 sessions".
func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
