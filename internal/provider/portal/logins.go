// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package portal

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"

	"github.com/tegata/tegata/internal/audit"
	"github.com/tegata/tegata/internal/clientregistry"
	"github.com/tegata/tegata/internal/oidc"
	"github.com/tegata/tegata/internal/provider/grant"
	"github.com/tegata/tegata/internal/provider/page"
	"github.com/tegata/tegata/internal/provider/session"
)

// mostLogins is how many of a kind are shown.
const mostLogins = 100

// ShowLogins serves the page of a person's devices and browsers.
func (h *Handler) ShowLogins(w http.ResponseWriter, r *http.Request) {
	who, ok := h.who(w, r, string(page.PlaceLogins))
	if !ok {
		return
	}
	ctx, now := r.Context(), h.Now()
	grants, err := h.Storage.GrantsOf(ctx, who.user.Subject, mostLogins, now)
	if err != nil {
		h.fail(w, r, page.Unavailable, fmt.Errorf("listing grants: %w", err))
		return
	}
	sessions, err := h.Storage.SessionsOf(ctx, who.user.Subject, mostLogins, now)
	if err != nil {
		h.fail(w, r, page.Unavailable, fmt.Errorf("listing sessions: %w", err))
		return
	}
	names, err := h.clientNames(ctx, grants)
	if err != nil {
		h.fail(w, r, page.Unavailable, err)
		return
	}
	v := page.PortalLogins{Account: h.Account(who.user, page.PlaceLogins), More: len(grants) == mostLogins || len(sessions) == mostLogins}
	for _, g := range grants {
		v.Devices = append(v.Devices, page.PortalDevice{
			ID: g.ID, Client: names[g.Client], Device: g.Device.Name, Address: g.Device.Address, Created: g.CreatedAt, Used: g.RotatedAt,
		})
	}
	for _, s := range sessions {
		this := s.ID == who.session.ID
		v.Others = v.Others || !this
		v.Browsers = append(v.Browsers, page.PortalBrowser{
			ID: s.ID, This: this, Device: s.Device.Name, Address: s.Device.Address, Created: s.AuthTime, Used: s.UsedAt,
		})
	}
	h.Pages.PortalLogins(w, r, v)
}

// clientNames are the clients of grants as a person knows them.
func (h *Handler) clientNames(ctx context.Context, grants []grant.Grant) (map[oidc.ClientID]string, error) {
	names := map[oidc.ClientID]string{}
	for _, g := range grants {
		if names[g.Client] != "" {
			continue
		}
		client, err := h.Clients.Client(ctx, g.Client)
		if errors.Is(err, clientregistry.ErrNotFound) {
			client, err = clientregistry.Client{ID: g.Client}, nil
		}
		if err != nil {
			return nil, fmt.Errorf("finding the client of a grant: %w", err)
		}
		names[g.Client] = client.DisplayName()
	}
	return names, nil
}

// EndLogins serves the forms of that page.
func (h *Handler) EndLogins(w http.ResponseWriter, r *http.Request) {
	if err := r.ParseForm(); err != nil {
		h.fail(w, r, page.BadRequest, fmt.Errorf("reading the form: %w", err))
		return
	}
	who, ok := h.who(w, r, string(page.PlaceLogins))
	if !ok {
		return
	}
	ctx, id := r.Context(), r.PostForm.Get("id")
	var err error
	back := string(page.PlaceLogins)
	switch r.PostForm.Get("end") {
	case page.EndDevice:
		err = h.endDevice(r, who, id)
	case page.EndBrowser:
		err = h.endBrowser(r, who, id)
		if err == nil && id == who.session.ID {
			h.Sessions.Forget(w)
			back = ""
		}
	case page.EndDevices:
		err = h.endDevices(r, who)
	case page.EndBrowsers:
		err = h.endOtherBrowsers(r, who)
	default:
		h.fail(w, r, page.BadRequest, errors.New("a form that does not say what to end"))
		return
	}
	// What is gone already, or was never theirs, is not there: the page that
	// follows shows what is.
	if err != nil && !errors.Is(err, grant.ErrNotFound) && !errors.Is(err, session.ErrNotFound) {
		h.fail(w, r, page.Unavailable, err)
		return
	}
	if err != nil {
		h.Log.LogAttrs(ctx, slog.LevelWarn, "nothing to end", slog.String("subject", string(who.user.Subject)), slog.Any("error", err))
	}
	h.redirect(w, r, back)
}

func (h *Handler) endDevice(r *http.Request, who person, id string) error {
	found, err := h.Storage.Grant(r.Context(), id)
	if err != nil {
		return fmt.Errorf("finding a grant: %w", err)
	}
	if found.Subject != who.user.Subject {
		return fmt.Errorf("the grant %s of somebody else: %w", found.ID, grant.ErrNotFound)
	}
	return h.endGrant(r, who, found)
}

func (h *Handler) endDevices(r *http.Request, who person) error {
	for {
		grants, err := h.Storage.GrantsOf(r.Context(), who.user.Subject, mostLogins, h.Now())
		if err != nil || len(grants) == 0 {
			return err
		}
		for _, g := range grants {
			if err := h.endGrant(r, who, g); err != nil {
				return err
			}
		}
	}
}

func (h *Handler) endGrant(r *http.Request, who person, g grant.Grant) error {
	if !g.Live(h.Now()) {
		return nil
	}
	if err := h.Storage.EndGrant(r.Context(), g.ID, h.Now()); err != nil {
		return fmt.Errorf("ending a grant: %w", err)
	}
	h.record(r, audit.Event{
		Act: audit.GrantEnd, Client: g.Client, Subject: g.Subject, Source: who.user.Source, Grant: g.ID, Session: g.SessionID,
		Reason: "the end user ended it",
	})
	return nil
}

func (h *Handler) endBrowser(r *http.Request, who person, id string) error {
	found, err := h.Storage.Session(r.Context(), id)
	if err != nil {
		return fmt.Errorf("finding a session: %w", err)
	}
	if found.Subject != who.user.Subject {
		return fmt.Errorf("the session %s of somebody else: %w", found.ID, session.ErrNotFound)
	}
	return h.endSession(r, who, found)
}

func (h *Handler) endOtherBrowsers(r *http.Request, who person) error {
	for {
		sessions, err := h.Storage.SessionsOf(r.Context(), who.user.Subject, mostLogins, h.Now())
		if err != nil {
			return err
		}
		ended := false
		for _, s := range sessions {
			if s.ID == who.session.ID {
				continue
			}
			if err := h.endSession(r, who, s); err != nil {
				return err
			}
			ended = true
		}
		if !ended {
			return nil
		}
	}
}

// endSession is a logout in that browser: the grants that stand on the session
// alone end too, and their clients are told.
func (h *Handler) endSession(r *http.Request, who person, s session.Session) error {
	clients, err := h.Storage.LogOut(r.Context(), s.ID, h.Now())
	if err != nil {
		return fmt.Errorf("ending a session: %w", err)
	}
	event := audit.Event{Act: audit.LoggedOut, Subject: s.Subject, Source: who.user.Source, Session: s.ID}
	if s.ID != who.session.ID {
		event.Reason = "the end user ended it in another browser"
	}
	h.record(r, event)
	h.BackChannel.Tell(r.Context(), s, clients)
	return nil
}
