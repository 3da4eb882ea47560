// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

// Package token is the token endpoint (RFC 6749, section 3.2).
//
// Every grant type passes through one pipeline, in [Handler.exchange], that
// none can leave out:
//
//	authenticate the client → check the grant → ask the source → take it → mint → answer
//
// A grant type fills one slot of it: it checks what the client sent, without
// changing anything, and returns how to take it. So a code or a refresh token
// is used up only after everything else was found in order.
//
//   - code.go, refresh.go: the grant types
//   - pkce.go: the code verifier
//   - mint.go: the tokens
package token

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"mime"
	"net/http"
	"net/url"
	"time"

	"github.com/tegata/tegata/internal/clientregistry"
	"github.com/tegata/tegata/internal/identity"
	"github.com/tegata/tegata/internal/oidc"
	"github.com/tegata/tegata/internal/provider/answer"
	"github.com/tegata/tegata/internal/provider/grant"
)

// Grants is the storage of what end users granted. Each change is atomic and
// on disk when the call returns.
type Grants interface {
	// Grant returns grant.ErrNotFound if there is none.
	Grant(ctx context.Context, id string) (grant.Grant, error)
	// RedeemCode returns grant.ErrCodeUsed unless this call is the first.
	RedeemCode(ctx context.Context, id string, now time.Time) error
	// RotateRefreshToken returns grant.ErrSuperseded unless from is the
	// newest generation of a grant that was not ended.
	RotateRefreshToken(ctx context.Context, id string, from int, now time.Time) error
	EndGrant(ctx context.Context, id string, now time.Time) error
}

// Handler serves the token endpoint of an issuer.
type Handler struct {
	Clients       clientregistry.Clients
	Grants        Grants
	Source        identity.Source
	RefreshTokens grant.RefreshTokens
	RefreshIdle   time.Duration // a refresh token not used for so long is void
	// ReplayWindow is how long after a rotation the token before it still
	// gets the same successor: the answer may have been lost.
	ReplayWindow time.Duration
	Mint         *Mint
	Now          func() time.Time
	Log          *slog.Logger
}

// redemption is what a grant type found in order.
type redemption struct {
	grant  grant.Grant
	scopes oidc.Scopes // of this answer; at most the grant's
	nonce  string      // for the ID token; empty at a refresh
	// take uses up what the client sent and returns the number of the
	// refresh token that takes its place.
	take func(context.Context) (generation int, err error)
}

// grantType checks what a client sent for one grant_type. Its error is an
// *oidc.Error where the client is at fault.
type grantType func(context.Context, clientregistry.Client, url.Values) (redemption, error)

func (h *Handler) grantTypes() map[string]grantType {
	return map[string]grantType{
		oidc.GrantAuthorizationCode: h.code,
		oidc.GrantRefreshToken:      h.refresh,
	}
}

// ServeHTTP implements [http.Handler].
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	response, err := h.exchange(r)
	if err == nil {
		var body []byte
		if body, err = response.Wire(); err == nil {
			answer.JSON(w, body)
			return
		}
	}
	answer.Error(w, r, h.Log, err)
}

func (h *Handler) exchange(r *http.Request) (oidc.TokenResponse, error) {
	ctx := r.Context()

	// Step 1: the form. Parameters in the address would end up in logs.
	if media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || media != "application/x-www-form-urlencoded" {
		return oidc.TokenResponse{}, invalidRequest("the body must be application/x-www-form-urlencoded")
	}
	if err := r.ParseForm(); err != nil {
		return oidc.TokenResponse{}, invalidRequest("the form cannot be decoded")
	}
	form := r.PostForm
	for name, values := range form {
		if len(values) > 1 { // RFC 6749, section 3.2
			return oidc.TokenResponse{}, invalidRequest(fmt.Sprintf("parameter %.40q is given more than once", name))
		}
	}

	// Step 2: the client.
	client, err := clientregistry.Authenticate(ctx, h.Clients, r)
	if err != nil {
		return oidc.TokenResponse{}, err
	}

	// Step 3: the grant that it holds.
	check, ok := h.grantTypes()[form.Get("grant_type")]
	switch {
	case form.Get("grant_type") == "":
		return oidc.TokenResponse{}, invalidRequest("grant_type is missing")
	case !ok:
		return oidc.TokenResponse{}, &oidc.Error{Code: oidc.UnsupportedGrantType, Description: fmt.Sprintf("grant_type %.80q is not supported", form.Get("grant_type"))}
	}
	found, err := check(ctx, client, form)
	if err != nil {
		return oidc.TokenResponse{}, err
	}

	// Step 4: what is true of the end user now.
	user, err := h.Source.Lookup(ctx, found.grant.Subject)
	switch {
	case errors.Is(err, identity.ErrNotFound):
		return oidc.TokenResponse{}, h.end(ctx, found.grant, "the end user does not exist any more")
	case err != nil:
		return oidc.TokenResponse{}, fmt.Errorf("asking the source: %w", err)
	case user.Disabled:
		return oidc.TokenResponse{}, h.end(ctx, found.grant, "the end user is disabled")
	}

	// Step 5: take what was sent. From here on it is used up, on disk.
	generation, err := found.take(ctx)
	if err != nil {
		return oidc.TokenResponse{}, err
	}

	// Step 6: the tokens.
	response, tokenID, err := h.Mint.tokens(client, user, found)
	if err != nil {
		return oidc.TokenResponse{}, err
	}
	response.RefreshToken = h.RefreshTokens.Token(found.grant.ID, generation)
	h.Log.LogAttrs(ctx, slog.LevelInfo, "tokens issued", slog.String("grant_type", form.Get("grant_type")),
		slog.String("client", string(client.ID)), slog.String("subject", string(user.Subject)),
		slog.String("grant", found.grant.ID), slog.Int("generation", generation), slog.String("jti", tokenID),
		slog.String("remote", r.RemoteAddr))
	return response, nil
}

// end ends a grant whose end user may not have tokens any more.
func (h *Handler) end(ctx context.Context, g grant.Grant, why string) error {
	if err := h.Grants.EndGrant(ctx, g.ID, h.Now()); err != nil {
		return fmt.Errorf("ending the grant: %w", err)
	}
	return invalidGrant(why)
}

func invalidRequest(description string) error {
	return &oidc.Error{Code: oidc.InvalidRequest, Description: description}
}

func invalidGrant(description string) error {
	return &oidc.Error{Code: oidc.InvalidGrant, Description: description}
}
