// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

// Package userinfo is the userinfo endpoint (OpenID Connect Core 1.0, section
// 5.3): what the access token's scopes let a client know of the end user,
// asked from the source at this moment.
package userinfo

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/tegata/tegata/internal/clientregistry"
	"github.com/tegata/tegata/internal/identity"
	"github.com/tegata/tegata/internal/oidc"
	"github.com/tegata/tegata/internal/provider/answer"
	"github.com/tegata/tegata/internal/provider/grant"
	"github.com/tegata/tegata/internal/secret"
)

// Verifier checks the signature and the type of a token.
type Verifier interface {
	Verify(token secret.String, typ string, claims any) error
}

// Grants is the storage of what end users granted.
type Grants interface {
	// Grant returns grant.ErrNotFound if there is none.
	Grant(ctx context.Context, id string) (grant.Grant, error)
}

// Handler serves the userinfo endpoint of an issuer.
type Handler struct {
	Issuer      oidc.Issuer
	Verifier    Verifier
	Grants      Grants
	Clients     clientregistry.Clients
	Source      identity.Source
	GroupsClaim string // unless the client has its own
	Now         func() time.Time
	Log         *slog.Logger
}

// ServeHTTP implements [http.Handler].
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Authorization") != "" && r.Method == http.MethodPost && r.PostFormValue("access_token") != "" {
		// RFC 6750, section 2: not more than one method.
		answer.Error(w, r, h.Log, &oidc.Error{Code: oidc.InvalidRequest, Description: "the access token was sent in two ways"})
		return
	}
	accessToken, ok := bearer(r)
	if !ok {
		// RFC 6750, section 3.1: nothing was tried, so no error is named.
		w.Header().Set("WWW-Authenticate", `Bearer realm="tegata"`)
		w.Header().Set("Cache-Control", "no-store")
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	claims, err := h.claims(r.Context(), accessToken)
	if err == nil {
		var body []byte
		if body, err = json.Marshal(claims); err == nil {
			answer.JSON(w, body)
			return
		}
	}
	answer.Error(w, r, h.Log, err)
}

func (h *Handler) claims(ctx context.Context, accessToken secret.String) (map[string]any, error) {
	void := func(why string) error { return &oidc.Error{Code: oidc.InvalidToken, Description: why} }
	var access grant.AccessToken
	if err := h.Verifier.Verify(accessToken, grant.TypeAccessToken, &access); err != nil {
		return nil, void("this is not an access token of this issuer")
	}
	now := h.Now()
	if access.Issuer != h.Issuer || !access.Audience.Has(oidc.ClientID(h.Issuer)) || !now.Before(access.Expiry.Time) {
		return nil, void("the access token has expired or is for somebody else")
	}
	// A token that was revoked is void before it expires.
	g, err := h.Grants.Grant(ctx, access.Grant)
	if errors.Is(err, grant.ErrNotFound) || (err == nil && !g.Live(now)) {
		return nil, void("the access token was revoked")
	}
	if err != nil {
		return nil, fmt.Errorf("finding the grant of an access token: %w", err)
	}
	client, err := h.Clients.Client(ctx, access.Client)
	if errors.Is(err, clientregistry.ErrNotFound) {
		return nil, void("the access token was revoked")
	}
	if err != nil {
		return nil, fmt.Errorf("finding the client of an access token: %w", err)
	}
	user, err := h.Source.Lookup(ctx, access.Subject)
	if errors.Is(err, identity.ErrNotFound) || (err == nil && user.Disabled) {
		return nil, void("the access token was revoked")
	}
	if err != nil {
		return nil, fmt.Errorf("asking the source: %w", err)
	}
	claims := user.Claims(oidc.ParseScopes(access.Scope), cmp.Or(client.GroupsClaim, h.GroupsClaim))
	claims["sub"] = user.Subject
	return claims, nil
}

// bearer finds the access token in the header or in a form body (RFC 6750,
// sections 2.1 and 2.2), never in the address (section 2.3).
func bearer(r *http.Request) (secret.String, bool) {
	scheme, value, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if strings.EqualFold(scheme, "Bearer") && value != "" {
		return secret.New(strings.TrimSpace(value)), true
	}
	if r.Method == http.MethodPost && r.Header.Get("Authorization") == "" {
		if err := r.ParseForm(); err == nil && r.PostForm.Get("access_token") != "" {
			return secret.New(r.PostForm.Get("access_token")), true
		}
	}
	return secret.String{}, false
}
