// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package token

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"log/slog"

	"github.com/tegata/tegata/internal/audit"
	"github.com/tegata/tegata/internal/provider/grant"
	"github.com/tegata/tegata/internal/secret"
)

// code is the authorization_code grant (RFC 6749, section 4.1.3).
func (h *Handler) code(ctx context.Context, r request) (offer, error) {
	code := secret.New(r.form.Get("code"))
	if code.IsZero() {
		return offer{}, invalidRequest("code is missing")
	}
	unknown := invalidGrant("the code is unknown or has expired")
	id, ok := grant.CodeGrant(code)
	if !ok {
		return offer{}, unknown
	}
	g, err := h.Grants.Grant(ctx, id)
	if errors.Is(err, grant.ErrNotFound) {
		return offer{}, unknown
	}
	if err != nil {
		return offer{}, fmt.Errorf("finding the grant of a code: %w", err)
	}
	switch {
	case subtle.ConstantTimeCompare([]byte(g.CodeHash), []byte(grant.HashCode(code))) != 1:
		return offer{}, unknown
	case g.Client != r.client.ID:
		return offer{}, invalidGrant("the code was issued to another client")
	}
	return h.redeem(ctx, r, g, unknown)
}

// redeem offers what the code of a grant stands for, once. void is the error
// for a code that is none any more.
func (h *Handler) redeem(ctx context.Context, r request, g grant.Grant, void error) (offer, error) {
	now := h.Now()
	switch {
	case !g.RedeemedAt.IsZero():
		return offer{}, h.codeReplayed(ctx, g)
	case !g.Live(now) || !now.Before(g.CodeExpiresAt):
		return offer{}, void
	case g.RedirectURI != r.form.Get("redirect_uri"):
		return offer{}, invalidGrant("redirect_uri is not the one of the authorization request")
	}
	if err := checkCodeVerifier(g.CodeChallenge, secret.New(r.form.Get("code_verifier"))); err != nil {
		return offer{}, err
	}
	take := func(ctx context.Context) (int, error) {
		err := h.Grants.RedeemCode(ctx, g.ID, now)
		if errors.Is(err, grant.ErrCodeUsed) { // another request was faster
			return 0, h.codeReplayed(ctx, g)
		}
		return 1, err
	}
	return offer{grant: g, scopes: g.Scopes, nonce: g.Nonce, take: take}, nil
}

// codeReplayed answers the second use of a code: one of the two users stole
// it, so what it gave is taken back (RFC 6749, section 4.1.2).
func (h *Handler) codeReplayed(ctx context.Context, g grant.Grant) error {
	h.Log.LogAttrs(ctx, slog.LevelWarn, "code replayed", slog.String("grant", g.ID),
		slog.String("client", string(g.Client)), slog.String("subject", string(g.Subject)))
	h.Audit.Record(audit.Event{Act: audit.Replayed, Client: g.Client, Subject: g.Subject, Grant: g.ID, Session: g.SessionID, Reason: "code"})
	return h.end(ctx, g, "the code was used before; what it gave has been revoked")
}
