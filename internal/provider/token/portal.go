// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package token

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"strings"

	"github.com/tegata/tegata/internal/audit"
	"github.com/tegata/tegata/internal/clientregistry"
	"github.com/tegata/tegata/internal/identity"
	"github.com/tegata/tegata/internal/oidc"
	"github.com/tegata/tegata/internal/provider/grant"
	"github.com/tegata/tegata/internal/provider/session"
)

// GrantPortal is what the log and the audit trail have as the grant type of
// [Handler.Issue]. The token endpoint does not know it.
const GrantPortal = "portal"

// Issue gives a public client the tokens of a new grant, which the person asks
// for on a page of ours instead of the client: for a kubeconfig that holds
// them. From the offer on it is the pipeline of every grant type. A client
// that may have offline_access gets it, so that the grant outlives the
// session. It returns session.ErrOvertaken if the session was ended.
func (h *Handler) Issue(r *http.Request, client clientregistry.Client, user identity.User, s session.Session) (oidc.TokenResponse, error) {
	refused := func(description string) (oidc.TokenResponse, error) {
		h.Audit.Record(audit.Event{
			Act: audit.Denied, Client: client.ID, Subject: user.Subject, Source: user.Source, GrantType: GrantPortal, Session: s.ID,
			Remote: r.RemoteAddr, Agent: r.UserAgent(), Reason: description,
		})
		return oidc.TokenResponse{}, &oidc.Error{Code: oidc.UnauthorizedClient, Description: description}
	}
	switch {
	case !client.Public():
		return refused("only a public client may have its tokens in a kubeconfig")
	case !client.AllowsGrant(oidc.GrantRefreshToken):
		return refused("the client may not use refresh tokens")
	case !client.AllowsSource(user.Source):
		return refused("end users of this source may not use the client")
	}
	now := h.Now()
	g := grant.Grant{
		ID:         grant.NewID(),
		Client:     client.ID,
		Subject:    user.Subject,
		Scopes:     client.AllowedScopes(),
		SessionID:  s.ID,
		AuthTime:   s.AuthTime,
		Methods:    s.Methods,
		Device:     session.DeviceOf(r),
		CreatedAt:  now,
		ExpiresAt:  now.Add(cmp.Or(client.Lifetimes.RefreshAbsolute, h.GrantLifetime)),
		RedeemedAt: now,
		Generation: 1,
		RotatedAt:  now,
	}
	// Whatever holds the file is the device; the browser only made it.
	g.Device.Name = strings.TrimSuffix("kubeconfig of "+g.Device.Name, " of ")
	take := func(ctx context.Context) (int, error) {
		if err := h.Grants.AddGrant(ctx, g); err != nil {
			return 0, fmt.Errorf("keeping the grant: %w", err)
		}
		h.Audit.Record(audit.Event{
			Act: audit.Granted, Client: g.Client, Subject: g.Subject, Source: user.Source, GrantType: GrantPortal,
			Grant: g.ID, Session: s.ID, Remote: r.RemoteAddr, Agent: r.UserAgent(),
		})
		return g.Generation, nil
	}
	return h.give(r.Context(), request{Request: r, client: client}, GrantPortal, offer{grant: g, scopes: g.Scopes, take: take})
}
