// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

// Package userinfo is the userinfo endpoint (OpenID Connect Core 1.0, section
// 5.3): what the access token's scopes let a client know of the end user,
// asked from the source at this moment.
package userinfo

import (
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"strings"

	"github.com/tegata/tegata/internal/clientregistry"
	"github.com/tegata/tegata/internal/oidc"
	"github.com/tegata/tegata/internal/provider/answer"
	"github.com/tegata/tegata/internal/provider/claims"
	"github.com/tegata/tegata/internal/provider/grant"
	"github.com/tegata/tegata/internal/secret"
)

// Handler serves the userinfo endpoint of an issuer.
type Handler struct {
	Tokens *grant.Tokens
	Claims *claims.Claims
	Log    *slog.Logger
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
	told, err := h.told(w, r, accessToken)
	if err == nil {
		var body []byte
		if body, err = json.Marshal(told); err == nil {
			answer.JSON(w, body)
			return
		}
	}
	answer.Error(w, r, h.Log, err)
}

func (h *Handler) told(w http.ResponseWriter, r *http.Request, accessToken secret.String) (map[string]any, error) {
	ctx := r.Context()
	void := func(why string) error { return &oidc.Error{Code: oidc.InvalidToken, Description: why} }
	access, holder, err := h.Tokens.AccessToken(ctx, accessToken)
	if why, ok := errors.AsType[*grant.VoidError](err); ok {
		return nil, void(why.Why)
	}
	if err != nil {
		return nil, err
	}
	answer.AllowOrigin(w, r, holder.Client.AllowsOrigin)
	switch {
	case holder.ForItself():
		return nil, void("the access token is of no end user")
	case access.Confirmation != nil && access.Confirmation.Certificate != clientregistry.CertificateThumbprint(r):
		// RFC 8705, section 3: who has the token must have the key too.
		return nil, void("the access token is bound to another certificate")
	case !oidc.ParseScopes(access.Scope).Has(oidc.ScopeOpenID):
		// OpenID Connect Core 1.0, section 5.3: a token of a login.
		return nil, &oidc.Error{Code: oidc.InsufficientScope, Description: "the access token has not the scope openid"}
	}
	told, err := h.Claims.Of(ctx, holder.User, holder.Client, oidc.ParseScopes(access.Scope))
	if err != nil {
		return nil, err
	}
	if len(holder.Grant.Claims) > 0 {
		// OpenID Connect Core 1.0, section 5.5: what was asked for by name, of
		// that which the client may get at all.
		all, err := h.Claims.Of(ctx, holder.User, holder.Client, holder.Client.AllowedScopes())
		if err != nil {
			return nil, err
		}
		for _, name := range holder.Grant.Claims {
			if value, ok := all[name]; ok {
				told[name] = value
			}
		}
	}
	told["sub"] = holder.User.Subject
	return told, nil
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
