// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package console

import (
	"context"
	"errors"
	"fmt"

	"github.com/tegata/tegata/internal/audit"
	"github.com/tegata/tegata/internal/identity"
	"github.com/tegata/tegata/internal/oidc"
	"github.com/tegata/tegata/internal/provider/page"
)

// Trail is where the audit events of this server go.
type Trail struct {
	Place page.ConsoleTrailPlace
	Whole bool        // what concerns the whole server is this issuer's: there is no other
	Files interface { // that they can be read from, if the place is a file
		Read(ctx context.Context, filter audit.Filter, after string, limit int) (audit.Found, error)
	}
}

// trail shows the events of this issuer. Others of the server are others'.
func (h *Handler) trail(v *visit) error {
	shown := page.ConsoleEventList{
		Console: h.frame(v, page.ConsoleTrail),
		Place:   h.Trail.Place, Act: v.query.Get("act"), Person: v.query.Get("person"), Client: v.query.Get("client"),
		After: v.query.Get("after") != "",
	}
	for _, act := range audit.Acts() {
		shown.Acts = append(shown.Acts, string(act))
	}
	if h.Trail.Place == page.TrailInFile {
		err := h.readTrail(v, &shown)
		if errors.Is(err, audit.ErrNoFile) {
			shown.Place = page.TrailOnOutput
		} else if err != nil {
			return err
		}
	}
	h.Pages.ConsoleEventList(v.w, v.r, shown)
	return nil
}

func (h *Handler) readTrail(v *visit, shown *page.ConsoleEventList) error {
	ctx := v.r.Context()
	filter := audit.Filter{Issuer: h.Issuer, OrNone: h.Trail.Whole, Act: audit.Act(shown.Act), Person: shown.Person, Client: oidc.ClientID(shown.Client)}
	if shown.Person != "" { // a user name will do
		account, err := h.Storage.AccountByLogin(ctx, shown.Person)
		if err != nil && !errors.Is(err, identity.ErrNotFound) {
			return fmt.Errorf("finding the user: %w", err)
		}
		if err == nil {
			filter.Person = string(account.Subject)
		}
	}
	found, err := h.Trail.Files.Read(ctx, filter, v.query.Get("after"), perPage)
	if errors.Is(err, audit.ErrPlace) {
		shown.Gone = true
		return nil
	}
	if err != nil {
		return err
	}
	shown.Next, shown.Unreadable, shown.Exhausted = found.Next, found.Unreadable, found.Exhausted
	for _, e := range found.Events {
		event := page.ConsoleEvent{
			Time: e.Time, Act: string(e.Act), Subject: string(e.Subject), Actor: e.Actor, Client: string(e.Client), Source: e.Source,
			Remote: e.Remote, Agent: e.Agent, Reason: e.Reason,
		}
		for _, id := range []string{e.Object, e.Session, e.Grant, e.TokenID} {
			if id != "" {
				event.IDs = append(event.IDs, id)
			}
		}
		shown.Events = append(shown.Events, event)
	}
	return nil
}
