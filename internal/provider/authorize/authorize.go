// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

// Package authorize is the authorization endpoint and the login behind it
// (RFC 6749, section 4.1; OpenID Connect Core 1.0, section 3.1.2), and the
// endpoint to which a client may push its request before (RFC 9126).
//
//	GET|POST /authorize ──► session is good enough ─────────┬───────────────────────────► code
//	                  └───► login page ──► POST /login ─────┴► consent ──► POST /consent ─┘
//
// Nothing is stored before a credential was accepted, and no grant before the
// person agreed where that is asked for: the pending request is sealed into
// the page, and opens only in the browser that it was shown to.
//
//   - request.go, claims.go: what a client may ask
//   - pushed.go: requests that were pushed
//   - pkce.go: the code challenge
//   - login.go: the login page, its form and the session
//   - elsewhere.go: logins at a source to which the browser is sent
//   - password.go: a password that must be changed first
//   - factor.go: the second factor
//   - consent.go: the page that asks whether to go on
//   - respond.go: how the answer travels
//   - door.go: the login, for pages of other endpoints
//   - throttle.go: how often a password may be tried
package authorize

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"time"

	"github.com/tegata/tegata/internal/audit"
	"github.com/tegata/tegata/internal/clientregistry"
	"github.com/tegata/tegata/internal/identity"
	"github.com/tegata/tegata/internal/oidc"
	"github.com/tegata/tegata/internal/provider/answer"
	"github.com/tegata/tegata/internal/provider/grant"
	"github.com/tegata/tegata/internal/provider/page"
	"github.com/tegata/tegata/internal/provider/session"
	"github.com/tegata/tegata/internal/seal"
	"github.com/tegata/tegata/internal/secondfactor"
	"github.com/tegata/tegata/internal/secret"
)

// Grants is the storage of what end users grant.
type Grants interface {
	// AddGrant returns session.ErrOvertaken if the grant's session was ended.
	AddGrant(ctx context.Context, g grant.Grant) error
}

// Verifier checks the signature and the type of a token.
type Verifier interface {
	Verify(token secret.String, typ string, claims any) error
}

// Handler serves the authorization endpoint, the endpoint for pushed requests
// and the pages of a login.
type Handler struct {
	Issuer  oidc.Issuer
	Clients clientregistry.Clients
	// Authenticator is for clients that push their request.
	Authenticator *clientregistry.Authenticator
	Verifier      Verifier
	Sources       *identity.Sources
	Sessions      *session.Sessions
	Grants        Grants
	Pages         *page.Renderer
	Seal          seal.Key // for requests that are pending in a page
	PushedSeal    seal.Key // for those that were pushed
	Callback      string   // where sources to which a browser was sent answer
	Cookie        string   // the name of the cookie that binds a page to its browser
	PageLifetime  time.Duration
	CodeLifetime  time.Duration
	// GrantLifetime is how long a grant's refresh tokens work at the most.
	GrantLifetime time.Duration
	Throttle      *Throttle
	Factors       *secondfactor.Factors
	Audit         *audit.Trail
	Now           func() time.Time
	Log           *slog.Logger
}

// Start serves the authorization endpoint.
func (h *Handler) Start(w http.ResponseWriter, r *http.Request) {
	ctx := r.Context()
	if r.Method == http.MethodPost {
		// A browser that posts from another site leaves our cookies at home,
		// and by GET it brings them (SameSite=Lax): without them there is no
		// session, and the login pages of its other tabs would be cut off.
		if err := r.ParseForm(); err != nil {
			h.fail(w, r, request{}, &refusal{problem: page.BadRequest, detail: "the parameters cannot be decoded"})
			return
		}
		h.leave(w, r, r.URL.Path+"?"+r.Form.Encode())
		return
	}
	req, client, err := h.parse(ctx, r)
	if err != nil {
		h.fail(w, r, req, err)
		return
	}
	found, user, err := h.current(ctx, r)
	answers := err == nil && req.about(user.Subject) && client.AllowsSource(user.Source) && h.goodEnough(req, found)
	lacks := false
	if answers {
		_, lacks, err = h.lacks(ctx, req, client, user, found.Methods)
	}
	switch {
	case err != nil && !errors.Is(err, session.ErrNotFound):
		h.fail(w, r, req, err)
	case answers && lacks && req.prompt.Has("none"):
		h.fail(w, r, req, &oidc.Error{Code: oidc.InteractionRequired, Description: "the end user has to prove a second factor"})
	case answers && lacks:
		h.stepUp(w, r, req, client, found, user)
	case answers && !h.asks(req, client, false) && r.Method != http.MethodHead: // which is safe: it grants nothing
		h.finish(w, r, req, client, found, user)
	case answers && req.prompt.Has("none"):
		h.fail(w, r, req, &oidc.Error{Code: oidc.ConsentRequired, Description: "the end user has to agree"})
	case answers:
		h.showConsent(w, r, req, client, found, user)
	case req.prompt.Has("none"):
		h.fail(w, r, req, &oidc.Error{Code: oidc.LoginRequired, Description: "the end user has to log in"})
	default:
		h.show(w, r, http.StatusOK, req, client, req.loginHint, page.NoProblem)
	}
}

// current is the browser's session and its user as the source knows them
// now. Without a session that still counts it returns session.ErrNotFound.
func (h *Handler) current(ctx context.Context, r *http.Request) (session.Session, identity.User, error) {
	found, err := h.Sessions.Find(ctx, r)
	if err != nil {
		return session.Session{}, identity.User{}, err
	}
	user, err := h.Sources.Lookup(ctx, found.Subject)
	if errors.Is(err, identity.ErrNotFound) || (err == nil && user.Disabled) {
		return session.Session{}, identity.User{}, session.ErrNotFound
	}
	if err != nil {
		return session.Session{}, identity.User{}, err
	}
	return found, user, h.Sessions.Use(ctx, found)
}

// goodEnough reports whether the session answers the request without asking
// for the password (OpenID Connect Core 1.0, section 3.1.2.3).
func (h *Handler) goodEnough(req request, s session.Session) bool {
	if req.prompt.Has("login") {
		return false
	}
	// max_age=0 means prompt=login.
	return req.maxAge == nil || *req.maxAge > 0 && h.Now().Sub(s.AuthTime) <= *req.maxAge
}

// finish grants what was asked and sends the code to the client.
func (h *Handler) finish(w http.ResponseWriter, r *http.Request, req request, client clientregistry.Client, s session.Session, user identity.User) {
	now := h.Now()
	id := grant.NewID()
	code := grant.NewCode(id)
	err := h.Grants.AddGrant(r.Context(), grant.Grant{
		ID:            id,
		Client:        req.Client,
		Subject:       user.Subject,
		Scopes:        req.Scopes,
		Claims:        req.UserinfoClaims,
		SessionID:     s.ID,
		AuthTime:      s.AuthTime,
		Methods:       s.Methods,
		Device:        session.DeviceOf(r),
		CreatedAt:     now,
		ExpiresAt:     now.Add(cmp.Or(client.Lifetimes.RefreshAbsolute, h.GrantLifetime)),
		RedirectURI:   req.RedirectURI,
		CodeChallenge: req.CodeChallenge,
		Nonce:         req.Nonce,
		CodeHash:      grant.HashCode(code),
		CodeExpiresAt: now.Add(h.CodeLifetime),
	})
	if errors.Is(err, session.ErrOvertaken) {
		err = &oidc.Error{Code: oidc.AccessDenied, Description: "the session was ended; start again", Cause: err}
	}
	if err != nil {
		h.fail(w, r, req, fmt.Errorf("keeping the grant: %w", err))
		return
	}
	h.Log.LogAttrs(r.Context(), slog.LevelInfo, "login granted", slog.String("client", string(req.Client)),
		slog.String("subject", string(user.Subject)), slog.String("grant", id), slog.String("remote", r.RemoteAddr))
	h.Audit.Record(audit.Event{
		Act: audit.Granted, Client: req.Client, Subject: user.Subject, Source: user.Source, GrantType: oidc.GrantAuthorizationCode,
		Grant: id, Session: s.ID, Remote: r.RemoteAddr, Agent: r.UserAgent(),
	})
	h.respond(w, r, req, url.Values{"code": {code.Reveal()}})
}

// fail is the bridge for this endpoint: a page while the redirect URI is in
// doubt, an answer to the client from then on.
func (h *Handler) fail(w http.ResponseWriter, r *http.Request, req request, err error) {
	if refused, ok := errors.AsType[*refusal](err); ok {
		status, failure := http.StatusBadRequest, page.Failure{Problem: refused.problem, Detail: refused.detail}
		if refused.problem == page.Unavailable {
			status = http.StatusServiceUnavailable
			_, failure.Reference = answer.Classify(refused.cause)
		}
		answer.Log(r, h.Log, err, failure.Reference)
		h.Pages.Failure(w, r, status, failure)
		return
	}
	problem, reference := answer.Classify(err)
	answer.Log(r, h.Log, err, reference)
	values := url.Values{"error": {string(problem.Code)}}
	if problem.Description != "" {
		values.Set("error_description", problem.Description)
	}
	h.respond(w, r, req, values)
}
