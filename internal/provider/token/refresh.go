// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package token

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/tegata/tegata/internal/audit"
	"github.com/tegata/tegata/internal/oidc"
	"github.com/tegata/tegata/internal/provider/grant"
	"github.com/tegata/tegata/internal/secret"
)

// refresh is the refresh_token grant (RFC 6749, section 6) with rotation
// (RFC 9700, section 4.14.2; docs/adr/0006). Of the family of one grant, the
// newest token is good; the one before it is good for a short while and gets
// the same successor; any older one is a replay and ends the family.
func (h *Handler) refresh(ctx context.Context, r request) (offer, error) {
	token := secret.New(r.form.Get("refresh_token"))
	if token.IsZero() {
		return offer{}, invalidRequest("refresh_token is missing")
	}
	unknown := invalidGrant("the refresh token is unknown, has expired or was revoked")
	id, generation, ok := h.RefreshTokens.Read(token)
	if !ok {
		return offer{}, unknown
	}
	g, err := h.Grants.Grant(ctx, id)
	if errors.Is(err, grant.ErrNotFound) {
		return offer{}, unknown
	}
	if err != nil {
		return offer{}, fmt.Errorf("finding the grant of a refresh token: %w", err)
	}
	now := h.Now()
	switch {
	case g.Client != r.client.ID: // RFC 6749, section 10.4
		return offer{}, invalidGrant("the refresh token was issued to another client")
	case !g.Live(now) || now.Sub(g.RotatedAt) > cmp.Or(r.client.Lifetimes.RefreshIdle, h.RefreshIdle) || generation > g.Generation:
		return offer{}, unknown
	}
	again, err := h.replayed(ctx, g, generation)
	if err != nil {
		return offer{}, err
	}
	scopes := g.Scopes.Only(r.client.AllowedScopes()) // the client may get less now
	if asked := oidc.ParseScopes(r.form.Get("scope")); len(asked) > 0 {
		if scopes = asked.Only(scopes); len(scopes) < len(asked) {
			return offer{}, &oidc.Error{Code: oidc.InvalidScope, Description: "scope goes beyond what was granted"}
		}
	}
	take := func(ctx context.Context) (int, error) {
		if again {
			return g.Generation, nil
		}
		err := h.Grants.RotateRefreshToken(ctx, g.ID, generation, now)
		if !errors.Is(err, grant.ErrSuperseded) {
			return generation + 1, err
		}
		// Another request with the same token was faster, or the grant has
		// just been ended.
		if g, err = h.Grants.Grant(ctx, g.ID); err != nil {
			return 0, fmt.Errorf("finding the grant of a refresh token: %w", err)
		}
		if !g.Live(now) {
			return 0, unknown
		}
		if again, err = h.replayed(ctx, g, generation); err == nil && !again {
			return 0, fmt.Errorf("generation %d of grant %s was superseded and is the newest", generation, g.ID)
		}
		return g.Generation, err
	}
	return offer{grant: g, scopes: scopes, take: take}, nil
}

// replayed reports whether the token of this generation was rotated before.
// Within the window that is the loss of an answer: the same successor is
// given again. Otherwise it is a theft, and the family ends.
func (h *Handler) replayed(ctx context.Context, g grant.Grant, generation int) (again bool, err error) {
	switch {
	case generation == g.Generation:
		return false, nil
	case generation == g.Generation-1 && h.Now().Sub(g.RotatedAt) <= h.ReplayWindow:
		return true, nil
	}
	h.Log.LogAttrs(ctx, slog.LevelWarn, "refresh token replayed", slog.String("grant", g.ID),
		slog.String("client", string(g.Client)), slog.String("subject", string(g.Subject)),
		slog.Int("generation", generation), slog.Int("newest", g.Generation))
	h.Audit.Record(audit.Event{Act: audit.Replayed, Client: g.Client, Subject: g.Subject, Grant: g.ID, Session: g.SessionID, Reason: "refresh token"})
	return false, h.end(ctx, g, "the refresh token was used before; the login has been revoked")
}
