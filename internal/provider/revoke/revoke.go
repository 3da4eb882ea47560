// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

// Package revoke is the revocation endpoint (RFC 7009): a client gives back
// what it does not need any more.
//
//   - A refresh token ends its grant, and with it every access token of that
//     login.
//   - An access token ends alone. The login goes on: that a client throws
//     away one token says nothing about the others.
//
// An ID token cannot be taken back: who reads it asks nobody.
package revoke

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/tegata/tegata/internal/audit"
	"github.com/tegata/tegata/internal/clientregistry"
	"github.com/tegata/tegata/internal/oidc"
	"github.com/tegata/tegata/internal/provider/answer"
	"github.com/tegata/tegata/internal/provider/grant"
	"github.com/tegata/tegata/internal/secret"
)

// Grants is the storage of what end users granted.
type Grants interface {
	// Grant returns grant.ErrNotFound if there is none.
	Grant(ctx context.Context, id string) (grant.Grant, error)
	EndGrant(ctx context.Context, id string, now time.Time) error
}

// Handler serves the revocation endpoint of an issuer.
type Handler struct {
	Authenticator *clientregistry.Authenticator
	Tokens        *grant.Tokens
	RefreshTokens grant.RefreshTokens
	Grants        Grants
	Identifiers   clientregistry.Identifiers
	Audit         *audit.Trail
	Now           func() time.Time
	Log           *slog.Logger
}

// ServeHTTP implements [http.Handler].
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if err := h.revoke(w, r); err != nil {
		answer.Error(w, r, h.Log, err)
		return
	}
	answer.Done(w)
}

func (h *Handler) revoke(w http.ResponseWriter, r *http.Request) error {
	// Step 1: who asks (section 2.1). A public client shows by the token that
	// it is its own.
	form, err := answer.ReadForm(r)
	if err != nil {
		return err
	}
	client, err := h.Authenticator.Authenticate(r)
	if problem, ok := errors.AsType[*oidc.Error](err); ok {
		h.Audit.Record(audit.Event{
			Act: audit.Refused, Remote: r.RemoteAddr, Agent: r.UserAgent(), Reason: "revocation: " + string(problem.Code),
		})
	}
	if err != nil {
		return err
	}
	answer.AllowOrigin(w, r, client.AllowsOrigin)
	token := secret.New(form.Get("token"))
	if token.IsZero() {
		return &oidc.Error{Code: oidc.InvalidRequest, Description: "token is missing"}
	}

	// Step 2: what it is, whatever is hinted at. Nothing but our own storage
	// is asked: a source that does not answer keeps nobody from revoking. A
	// token that is void is revoked already (section 2.2).
	if id, _, ok := h.RefreshTokens.Read(token); ok {
		return h.refreshToken(r, client, id)
	}
	if access, err := h.Tokens.ReadAccessToken(token); err == nil {
		return h.accessToken(r, client, access)
	}
	if _, owner, err := h.Tokens.ReadIDToken(token); err == nil && owner == client.ID {
		return &oidc.Error{Code: oidc.UnsupportedTokenType, Description: "an ID token cannot be revoked; revoke the refresh token"}
	}
	return nil
}

// refreshToken ends the grant of a refresh token, be it the newest of its
// family or not.
func (h *Handler) refreshToken(r *http.Request, client clientregistry.Client, id string) error {
	ctx := r.Context()
	g, err := h.Grants.Grant(ctx, id)
	switch {
	case errors.Is(err, grant.ErrNotFound):
		return nil
	case err != nil:
		return fmt.Errorf("finding the grant of a refresh token: %w", err)
	case g.Client != client.ID:
		return errForeign()
	case !g.Live(h.Now()):
		return nil
	}
	if err := h.Grants.EndGrant(ctx, g.ID, h.Now()); err != nil {
		return fmt.Errorf("ending the grant: %w", err)
	}
	h.done(r, audit.Event{Act: audit.Revoked, Client: client.ID, Subject: g.Subject, Grant: g.ID, Session: g.SessionID, Reason: "refresh token"})
	return nil
}

// accessToken takes back one access token.
func (h *Handler) accessToken(r *http.Request, client clientregistry.Client, access grant.AccessToken) error {
	if access.Client != client.ID {
		return errForeign()
	}
	first, err := h.Identifiers.Spend(r.Context(), grant.RevokedID(access.TokenID), access.Expiry.Time)
	if err != nil {
		return fmt.Errorf("keeping that an access token was revoked: %w", err)
	}
	if first {
		h.done(r, audit.Event{
			Act: audit.Revoked, Client: client.ID, Subject: access.Subject, Grant: access.Grant, TokenID: access.TokenID,
			Reason: "access token",
		})
	}
	return nil
}

// errForeign is the answer to a token of another client (section 2.1).
func errForeign() error {
	return &oidc.Error{Code: oidc.InvalidGrant, Description: "the token was issued to another client"}
}

func (h *Handler) done(r *http.Request, event audit.Event) {
	event.Remote, event.Agent = r.RemoteAddr, r.UserAgent()
	h.Audit.Record(event)
	h.Log.LogAttrs(r.Context(), slog.LevelInfo, "token revoked", slog.String("client", string(event.Client)),
		slog.String("subject", string(event.Subject)), slog.String("grant", event.Grant), slog.String("token", event.Reason),
		slog.String("remote", r.RemoteAddr))
}
