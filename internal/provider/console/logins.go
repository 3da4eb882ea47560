// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package console

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/tegata/tegata/internal/audit"
	"github.com/tegata/tegata/internal/identity"
	"github.com/tegata/tegata/internal/oidc"
	"github.com/tegata/tegata/internal/provider/grant"
	"github.com/tegata/tegata/internal/provider/page"
	"github.com/tegata/tegata/internal/provider/session"
)

// Entries are sessions and grants.
type Entries interface {
	// SessionList returns the live sessions of a subject, or of everybody if
	// it is empty, and where the list goes on.
	SessionList(ctx context.Context, subject oidc.Subject, page identity.Page, now time.Time) ([]session.Session, string, error)
	// Session returns session.ErrNotFound if there is none.
	Session(ctx context.Context, id string) (session.Session, error)
	// LogOut ends a session, and the grants that stand on it alone.
	LogOut(ctx context.Context, id string, now time.Time) ([]oidc.ClientID, error)
	// GrantList is as SessionList.
	GrantList(ctx context.Context, filter grant.Filter, page identity.Page, now time.Time) ([]grant.Grant, string, error)
	// Grant returns grant.ErrNotFound if there is none.
	Grant(ctx context.Context, id string) (grant.Grant, error)
	EndGrant(ctx context.Context, id string, now time.Time) error
	// EndGrants returns how many lived.
	EndGrants(ctx context.Context, filter grant.Filter, now time.Time) (int64, error)
}

// The commands that do what the acts do.
const (
	endSession = "tegata session end"
	endGrant   = "tegata grant end"
)

func (h *Handler) logins(v *visit) error {
	shown := page.ConsoleLoginList{
		Console: h.frame(v, page.ConsoleLogins, "tegata session list", "tegata grant list", endSession+" SESSION", endGrant+" GRANT"),
		User:    strings.TrimSpace(v.query.Get("user")), Client: strings.TrimSpace(v.query.Get("client")),
	}
	subject := oidc.Subject("")
	if shown.User != "" {
		account, err := h.Storage.AccountByLogin(v.r.Context(), shown.User)
		if errors.Is(err, identity.ErrNotFound) { // a subject will do
			account, err = h.Storage.AccountBySubject(v.r.Context(), oidc.Subject(shown.User))
		}
		if errors.Is(err, identity.ErrNotFound) {
			shown.Unknown = true
			h.Pages.ConsoleLoginList(v.w, v.r, shown)
			return nil
		}
		if err != nil {
			return fmt.Errorf("finding the user: %w", err)
		}
		subject = account.Subject
	}
	var err error
	if shown.Client == "" { // a session is of no client
		if shown.Sessions, shown.NextSessions, err = h.sessionList(v, subject, h.part(v, "sessions")); err != nil {
			return err
		}
	}
	if shown.Grants, shown.NextGrants, err = h.grantList(v, subject, oidc.ClientID(shown.Client), h.part(v, "grants")); err != nil {
		return err
	}
	h.Pages.ConsoleLoginList(v.w, v.r, shown)
	return nil
}

func (h *Handler) sessionList(v *visit, subject oidc.Subject, part identity.Page) (sessions []page.ConsoleSession, next string, err error) {
	found, next, err := h.Storage.SessionList(v.r.Context(), subject, part, h.Now())
	if err != nil {
		return nil, "", listing("sessions", err)
	}
	subjects := []oidc.Subject{}
	for _, s := range found {
		subjects = append(subjects, s.Subject)
	}
	names, err := h.usernames(v, subjects...)
	if err != nil {
		return nil, "", err
	}
	for _, s := range found {
		sessions = append(sessions, page.ConsoleSession{
			ID: s.ID, Subject: string(s.Subject), Username: names[s.Subject], Device: s.Device.Name, Address: s.Device.Address,
			Began: s.AuthTime, Used: s.UsedAt, Expires: s.ExpiresAt, This: s.ID == v.session.ID,
		})
	}
	return sessions, next, nil
}

func (h *Handler) grantList(v *visit, subject oidc.Subject, client oidc.ClientID, part identity.Page) (grants []page.ConsoleGrant, next string, err error) {
	found, next, err := h.Storage.GrantList(v.r.Context(), grant.Filter{Subject: subject, Client: client}, part, h.Now())
	if err != nil {
		return nil, "", listing("grants", err)
	}
	subjects := []oidc.Subject{}
	for _, g := range found {
		subjects = append(subjects, g.Subject)
	}
	names, err := h.usernames(v, subjects...)
	if err != nil {
		return nil, "", err
	}
	for _, g := range found {
		grants = append(grants, page.ConsoleGrant{
			ID: g.ID, Subject: string(g.Subject), Username: names[g.Subject], Client: string(g.Client), Device: g.Device.Name, Address: g.Device.Address,
			Began: g.CreatedAt, Used: g.RotatedAt, Expires: g.ExpiresAt,
		})
	}
	return grants, next, nil
}

// usernames are the names of subjects: the subject itself for one who is
// gone, or who is no user but a client that acts for itself.
func (h *Handler) usernames(v *visit, subjects ...oidc.Subject) (map[oidc.Subject]string, error) {
	slices.Sort(subjects)
	subjects = slices.Compact(subjects)
	names, err := h.Storage.Usernames(v.r.Context(), subjects)
	if err != nil {
		return nil, fmt.Errorf("finding the names of users: %w", err)
	}
	for _, subject := range subjects {
		names[subject] = cmp.Or(names[subject], string(subject))
	}
	return names, nil
}

// end ends one session or one grant, and goes back to the page whose form it
// was: that of a user, of a client, or the list.
func (h *Handler) end(v *visit) error {
	path, query := "/admin/logins", url.Values{}
	if back, err := url.Parse(v.form.Get("back")); err == nil && len(v.form.Get("back")) <= maxForm {
		for _, page := range []string{"/admin/user", "/admin/client"} {
			if back.Path == page {
				path = page
			}
		}
		if query, err = url.ParseQuery(back.RawQuery); err != nil {
			return &refusal{page.BadRequest, err}
		}
	}
	if !h.mayChange(v, path, query) {
		return nil
	}
	notice, event, command, err := page.ConsoleNotice{What: page.LoginIsGone}, audit.Event{}, "", error(nil)
	switch {
	case v.form.Get("session") != "":
		command = endSession
		notice, event, err = h.endSession(v, v.form.Get("session"))
	case v.form.Get("grant") != "":
		command = endGrant
		notice, event, err = h.endGrant(v, v.form.Get("grant"))
	default:
		return errUnknownAct
	}
	if err != nil {
		return err
	}
	if notice.What.Done() {
		h.record(v, command, event)
	}
	h.leave(v, path, query, notice)
	return nil
}

// endSession does not end the one that asks: there is a button to log out.
func (h *Handler) endSession(v *visit, id string) (page.ConsoleNotice, audit.Event, error) {
	ctx := v.r.Context()
	found, err := h.Storage.Session(ctx, id)
	switch {
	case errors.Is(err, session.ErrNotFound) || err == nil && !h.Now().Before(found.ExpiresAt):
		return page.ConsoleNotice{What: page.LoginIsGone}, audit.Event{}, nil
	case err != nil:
		return page.ConsoleNotice{}, audit.Event{}, fmt.Errorf("finding the session: %w", err)
	case found.ID == v.session.ID:
		return page.ConsoleNotice{What: page.IsYourself}, audit.Event{}, nil
	}
	names, err := h.usernames(v, found.Subject)
	if err != nil {
		return page.ConsoleNotice{}, audit.Event{}, err
	}
	if _, err := h.Storage.LogOut(ctx, id, h.Now()); err != nil {
		return page.ConsoleNotice{}, audit.Event{}, fmt.Errorf("ending the session: %w", err)
	}
	return page.ConsoleNotice{What: page.SessionIsEnded, About: names[found.Subject]}, audit.Event{Subject: found.Subject, Session: id}, nil
}

func (h *Handler) endGrant(v *visit, id string) (page.ConsoleNotice, audit.Event, error) {
	ctx := v.r.Context()
	found, err := h.Storage.Grant(ctx, id)
	switch {
	case errors.Is(err, grant.ErrNotFound) || err == nil && !found.Live(h.Now()):
		return page.ConsoleNotice{What: page.LoginIsGone}, audit.Event{}, nil
	case err != nil:
		return page.ConsoleNotice{}, audit.Event{}, fmt.Errorf("finding the grant: %w", err)
	}
	names, err := h.usernames(v, found.Subject)
	if err != nil {
		return page.ConsoleNotice{}, audit.Event{}, err
	}
	if err := h.Storage.EndGrant(ctx, id, h.Now()); err != nil {
		return page.ConsoleNotice{}, audit.Event{}, fmt.Errorf("ending the grant: %w", err)
	}
	return page.ConsoleNotice{What: page.GrantIsEnded, About: names[found.Subject]}, audit.Event{Subject: found.Subject, Client: found.Client, Grant: id}, nil
}
