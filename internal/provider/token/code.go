// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package token

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"log/slog"
	"net/url"

	"github.com/tegata/tegata/internal/clientregistry"
	"github.com/tegata/tegata/internal/provider/grant"
	"github.com/tegata/tegata/internal/secret"
)

// code is the authorization_code grant (RFC 6749, section 4.1.3).
func (h *Handler) code(ctx context.Context, client clientregistry.Client, form url.Values) (redemption, error) {
	code := secret.New(form.Get("code"))
	if code.IsZero() {
		return redemption{}, invalidRequest("code is missing")
	}
	unknown := invalidGrant("the code is unknown or has expired")
	id, ok := grant.CodeGrant(code)
	if !ok {
		return redemption{}, unknown
	}
	g, err := h.Grants.Grant(ctx, id)
	if errors.Is(err, grant.ErrNotFound) {
		return redemption{}, unknown
	}
	if err != nil {
		return redemption{}, fmt.Errorf("finding the grant of a code: %w", err)
	}
	now := h.Now()
	switch {
	case subtle.ConstantTimeCompare([]byte(g.CodeHash), []byte(grant.HashCode(code))) != 1:
		return redemption{}, unknown
	case g.Client != client.ID:
		return redemption{}, invalidGrant("the code was issued to another client")
	case !g.RedeemedAt.IsZero():
		return redemption{}, h.codeReplayed(ctx, g)
	case !g.Live(now) || !now.Before(g.CodeExpiresAt):
		return redemption{}, unknown
	case g.RedirectURI != form.Get("redirect_uri"):
		return redemption{}, invalidGrant("redirect_uri is not the one of the authorization request")
	}
	if err := checkCodeVerifier(g.CodeChallenge, secret.New(form.Get("code_verifier"))); err != nil {
		return redemption{}, err
	}
	take := func(ctx context.Context) (int, error) {
		err := h.Grants.RedeemCode(ctx, g.ID, now)
		if errors.Is(err, grant.ErrCodeUsed) { // another request was faster
			return 0, h.codeReplayed(ctx, g)
		}
		return 1, err
	}
	return redemption{grant: g, scopes: g.Scopes, nonce: g.Nonce, take: take}, nil
}

// codeReplayed answers the second use of a code: one of the two users stole
// it, so what it gave is taken back (RFC 6749, section 4.1.2).
func (h *Handler) codeReplayed(ctx context.Context, g grant.Grant) error {
	h.Log.LogAttrs(ctx, slog.LevelWarn, "code replayed", slog.String("grant", g.ID),
		slog.String("client", string(g.Client)), slog.String("subject", string(g.Subject)))
	return h.end(ctx, g, "the code was used before; what it gave has been revoked")
}
