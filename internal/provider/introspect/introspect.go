// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

// Package introspect is the introspection endpoint (RFC 7662): whether a
// token is good at this moment, and what it stands for. What it says is newer
// than the token: a grant that was ended, a user who was disabled.
//
// Only a client that proves who it is may ask, and only about tokens that
// were given to it or are made out to it. Everything else is an inactive
// token, of which nothing is said.
package introspect

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"

	"github.com/tegata/tegata/internal/audit"
	"github.com/tegata/tegata/internal/clientregistry"
	"github.com/tegata/tegata/internal/oidc"
	"github.com/tegata/tegata/internal/provider/answer"
	"github.com/tegata/tegata/internal/provider/grant"
	"github.com/tegata/tegata/internal/secret"
)

// Handler serves the introspection endpoint of an issuer.
type Handler struct {
	Issuer        oidc.Issuer
	Authenticator *clientregistry.Authenticator
	Tokens        *grant.Tokens
	Audit         *audit.Trail
	Log           *slog.Logger
}

// response is what is said of a token (RFC 7662, section 2.2).
type response struct {
	Active       bool                `json:"active"`
	Scope        string              `json:"scope,omitempty"`
	Client       oidc.ClientID       `json:"client_id,omitempty"`
	Username     string              `json:"username,omitempty"`
	TokenType    string              `json:"token_type,omitempty"` // of access tokens
	Expiry       oidc.NumericDate    `json:"exp,omitzero"`
	IssuedAt     oidc.NumericDate    `json:"iat,omitzero"`
	AuthTime     oidc.NumericDate    `json:"auth_time,omitzero"`
	Subject      oidc.Subject        `json:"sub,omitempty"`
	Audience     oidc.Audience       `json:"aud,omitempty"`
	Issuer       oidc.Issuer         `json:"iss,omitempty"`
	TokenID      string              `json:"jti,omitempty"`
	Confirmation *grant.Confirmation `json:"cnf,omitempty"` // RFC 8705, section 3.2
}

// ServeHTTP implements [http.Handler].
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	found, err := h.introspect(w, r)
	if err == nil {
		var body []byte
		if body, err = json.Marshal(found); err == nil {
			answer.JSON(w, body)
			return
		}
	}
	answer.Error(w, r, h.Log, err)
}

func (h *Handler) introspect(w http.ResponseWriter, r *http.Request) (response, error) {
	// Step 1: who asks (section 2.1).
	form, err := answer.ReadForm(r)
	if err != nil {
		return response{}, err
	}
	client, err := h.Authenticator.Authenticate(r)
	if err == nil && client.Public() {
		err = &oidc.Error{Code: oidc.InvalidClient, Description: "a public client may not introspect tokens"}
	}
	if problem, ok := errors.AsType[*oidc.Error](err); ok {
		h.Audit.Record(audit.Event{
			Act: audit.Refused, Client: client.ID, Remote: r.RemoteAddr, Agent: r.UserAgent(),
			Reason: "introspection: " + string(problem.Code),
		})
	}
	if err != nil {
		return response{}, err
	}
	answer.AllowOrigin(w, r, client.AllowsOrigin)
	token := secret.New(form.Get("token"))
	if token.IsZero() {
		return response{}, &oidc.Error{Code: oidc.InvalidRequest, Description: "token is missing"}
	}

	// Step 2: what it is. token_type_hint would save nothing: the kinds are
	// told apart by how they look (section 2.1: a server may ignore it).
	for _, read := range []func(context.Context, secret.String) (response, error){h.accessToken, h.refreshToken, h.idToken} {
		found, err := read(r.Context(), token)
		if _, void := errors.AsType[*grant.VoidError](err); void {
			continue
		}
		if err != nil {
			return response{}, err
		}
		// Section 4: not a token that is somebody else's business. The
		// audience of an access token is ourselves, whatever a client is
		// called.
		if found.Client == client.ID || found.TokenType == "" && found.Audience.Has(client.ID) {
			return found, nil
		}
		break
	}
	return response{}, nil
}

func (h *Handler) accessToken(ctx context.Context, token secret.String) (response, error) {
	access, holder, err := h.Tokens.AccessToken(ctx, token)
	return response{
		Active: true, Scope: access.Scope, Client: access.Client, Username: holder.User.Username, TokenType: "Bearer",
		Expiry: access.Expiry, IssuedAt: access.IssuedAt, AuthTime: access.AuthTime, Subject: access.Subject,
		Audience: access.Audience, Issuer: access.Issuer, TokenID: access.TokenID, Confirmation: access.Confirmation,
	}, err
}

// refreshToken says when the login ends if it is refreshed until then. A
// token that was rotated is not active any more.
func (h *Handler) refreshToken(ctx context.Context, token secret.String) (response, error) {
	generation, holder, err := h.Tokens.RefreshToken(ctx, token)
	if err == nil && generation != holder.Grant.Generation {
		err = &grant.VoidError{Why: "the refresh token was rotated"}
	}
	g := holder.Grant
	return response{
		Active: true, Scope: g.Scopes.String(), Client: g.Client, Username: holder.User.Username,
		Expiry: oidc.Date(g.ExpiresAt), IssuedAt: oidc.Date(g.RotatedAt), AuthTime: oidc.Date(g.AuthTime),
		Subject: g.Subject, Issuer: h.Issuer,
	}, err
}

func (h *Handler) idToken(ctx context.Context, token secret.String) (response, error) {
	claims, holder, err := h.Tokens.IDToken(ctx, token)
	return response{
		Active: true, Client: holder.Client.ID, Username: holder.User.Username, Expiry: claims.Expiry, IssuedAt: claims.IssuedAt,
		AuthTime: claims.AuthTime, Subject: claims.Subject, Audience: claims.Audience, Issuer: claims.Issuer, TokenID: claims.TokenID,
	}, err
}
