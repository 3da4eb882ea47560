// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

// Package token is the token endpoint (RFC 6749, section 3.2).
//
// Every grant type passes through one pipeline, in [Handler.exchange], that
// none can leave out:
//
//	authenticate the client → may it use the grant type? → check what it sent
//	→ ask the source → make the claims → take what it sent → sign → answer
//
// A grant type fills one slot of it: it checks what the client sent, without
// changing anything, and returns an offer, which says how to take it. So a
// code or a refresh token is used up only after everything else was found in
// order.
//
//   - code.go, refresh.go: the grant types of a login in a browser
//   - device.go, password.go, clientcredentials.go: those without one
//   - narrow.go: token exchange, which narrows a token
//   - portal.go: tokens for a kubeconfig of the portal, without a request of the client
//   - pkce.go: the code verifier
//   - mint.go: the tokens
package token

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/tegata/tegata/internal/audit"
	"github.com/tegata/tegata/internal/clientregistry"
	"github.com/tegata/tegata/internal/identity"
	"github.com/tegata/tegata/internal/oidc"
	"github.com/tegata/tegata/internal/provider/answer"
	"github.com/tegata/tegata/internal/provider/claims"
	"github.com/tegata/tegata/internal/provider/grant"
	"github.com/tegata/tegata/internal/secret"
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
	// AddGrant returns session.ErrOvertaken if the grant's session was ended.
	AddGrant(ctx context.Context, g grant.Grant) error
	// AddGrantOfUser keeps a grant without a session. It returns
	// session.ErrOvertaken if the user is not of that epoch any more, or may
	// not log in.
	AddGrantOfUser(ctx context.Context, g grant.Grant, epoch int64) error
	// DeviceRequestByCode returns grant.ErrNotFound if there is none.
	DeviceRequestByCode(ctx context.Context, hash string) (grant.DeviceRequest, error)
}

// Passwords checks passwords, as often as the throttle of the login page
// allows: one allowance for both. It returns the errors of [identity.Source]
// and identity.ErrTooManyAttempts.
type Passwords interface {
	Authenticate(ctx context.Context, client clientregistry.Client, login string, password secret.String, remote string) (identity.User, error)
	// NeedsSecondFactor reports whether a password is too little for the user
	// at the client.
	NeedsSecondFactor(ctx context.Context, user identity.User, client clientregistry.Client) (bool, error)
}

// Factors is the policy of second factors.
type Factors interface {
	// Required reports whether the user must have one. byClient says that the
	// client wants one.
	Required(user identity.User, byClient bool) bool
}

// Handler serves the token endpoint of an issuer.
type Handler struct {
	Authenticator *clientregistry.Authenticator
	Clients       clientregistry.Clients
	Grants        Grants
	Source        identity.Source
	Passwords     Passwords // nil: there is no password grant
	Factors       Factors
	Tokens        *grant.Tokens
	RefreshTokens grant.RefreshTokens
	RefreshIdle   time.Duration // a refresh token not used for so long is void, unless the client has its own
	// ReplayWindow is how long after a rotation the token before it still
	// gets the same successor: the answer may have been lost.
	ReplayWindow time.Duration
	// GrantLifetime is how long the grants that are made here last, unless
	// the client has its own.
	GrantLifetime time.Duration
	Pace          *Pace // of devices that ask again and again
	Claims        *claims.Claims
	Mint          *Mint
	Audit         *audit.Trail
	Now           func() time.Time
	Log           *slog.Logger
}

// request is a token request of a client that has proved who it is.
type request struct {
	*http.Request

	form   url.Values
	client clientregistry.Client
}

// offer is what a grant type found in order.
type offer struct {
	// grant is what an end user granted. Its ID is empty if the client acts
	// for itself.
	grant  grant.Grant
	scopes oidc.Scopes // of this answer; at most the grant's
	nonce  string      // for the ID token; empty at a refresh
	// take uses up what the client sent and returns the number of the
	// refresh token that takes its place, or zero if none does. It is nil if
	// nothing is used up.
	take func(context.Context) (generation int, err error)
	// narrowed is set if an ID token for another audience is all that is
	// asked for.
	narrowed *narrowed
}

// grantType checks what a client sent for one grant_type. Its error is an
// *oidc.Error where the client is at fault.
type grantType func(context.Context, request) (offer, error)

// grantType returns the slot of a grant type, or nil if the issuer has none.
func (h *Handler) grantType(name string) grantType {
	switch name {
	case oidc.GrantAuthorizationCode:
		return h.code
	case oidc.GrantRefreshToken:
		return h.refresh
	case oidc.GrantDeviceCode:
		return h.device
	case oidc.GrantClientCredentials:
		return h.clientCredentials
	case oidc.GrantTokenExchange:
		return h.narrow
	case oidc.GrantPassword:
		if h.Passwords != nil {
			return h.password
		}
	}
	return nil
}

// GrantTypes lists the grant types of the issuer.
func (h *Handler) GrantTypes() []string {
	return slices.DeleteFunc(clientregistry.GrantTypes(), func(name string) bool { return h.grantType(name) == nil })
}

// ServeHTTP implements [http.Handler].
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	response, err := h.exchange(w, r)
	if err == nil {
		var body []byte
		if body, err = response.Wire(); err == nil {
			answer.JSON(w, body)
			return
		}
	}
	answer.Error(w, r, h.Log, err)
}

func (h *Handler) exchange(w http.ResponseWriter, r *http.Request) (oidc.TokenResponse, error) {
	ctx := r.Context()

	// Step 1: the form.
	form, err := answer.ReadForm(r)
	if err != nil {
		return oidc.TokenResponse{}, err
	}

	// Step 2: the client.
	client, err := h.Authenticator.Authenticate(r)
	if err != nil {
		h.refused(r, form, "", err)
		return oidc.TokenResponse{}, err
	}
	answer.AllowOrigin(w, r, client.AllowsOrigin)

	found, err := h.answerTo(ctx, request{r, form, client})
	if err != nil {
		h.refused(r, form, client.ID, err)
	}
	return found, err
}

func (h *Handler) answerTo(ctx context.Context, r request) (oidc.TokenResponse, error) {
	// Step 3: what it may use.
	name := r.form.Get("grant_type")
	check := h.grantType(name)
	switch {
	case name == "":
		return oidc.TokenResponse{}, invalidRequest("grant_type is missing")
	case check == nil:
		return oidc.TokenResponse{}, &oidc.Error{Code: oidc.UnsupportedGrantType, Description: fmt.Sprintf("grant_type %.80q is not supported", name)}
	case !r.client.AllowsGrant(name):
		return oidc.TokenResponse{}, &oidc.Error{Code: oidc.UnauthorizedClient, Description: fmt.Sprintf("the client may not use grant_type %q", name)}
	}

	// Step 4: what it sent.
	found, err := check(ctx, r)
	if err != nil {
		return oidc.TokenResponse{}, err
	}

	return h.give(ctx, r, name, found)
}

// give goes from an offer that was found in order to the answer. name is the
// grant type, for the log.
func (h *Handler) give(ctx context.Context, r request, name string, found offer) (oidc.TokenResponse, error) {
	// Step 5: what is true of the end user now, and what the client is told
	// of it.
	user, err := h.user(ctx, r.client, found)
	if err != nil {
		return oidc.TokenResponse{}, err
	}
	told, err := h.told(ctx, r.client, found, user)
	if err != nil {
		return oidc.TokenResponse{}, err
	}

	// Step 6: take what was sent. From here on it is used up, on disk.
	generation := 0
	if found.take != nil {
		if generation, err = found.take(ctx); err != nil {
			return oidc.TokenResponse{}, err
		}
	}

	// Step 7: the tokens.
	response, tokenID, err := h.Mint.tokens(r, found, user, told)
	if err != nil {
		return oidc.TokenResponse{}, err
	}
	if generation > 0 && r.client.AllowsGrant(oidc.GrantRefreshToken) {
		response.RefreshToken = h.RefreshTokens.Token(found.grant.ID, generation)
	}
	h.Log.LogAttrs(ctx, slog.LevelInfo, "tokens issued", slog.String("grant_type", name),
		slog.String("client", string(r.client.ID)), slog.String("subject", string(user.Subject)),
		slog.String("grant", found.grant.ID), slog.Int("generation", generation), slog.String("jti", tokenID),
		slog.String("remote", r.RemoteAddr))
	h.Audit.Record(audit.Event{
		Act: audit.Issued, Client: r.client.ID, Subject: user.Subject, Source: user.Source, GrantType: name,
		Grant: found.grant.ID, Session: found.grant.SessionID, TokenID: tokenID, Remote: r.RemoteAddr, Agent: r.UserAgent(),
	})
	return response, nil
}

// user asks the source about the end user. A client that acts for itself
// stands for itself.
func (h *Handler) user(ctx context.Context, client clientregistry.Client, found offer) (identity.User, error) {
	if found.grant.ID == "" {
		return identity.User{Subject: oidc.Subject(client.ID)}, nil
	}
	user, err := h.Source.Lookup(ctx, found.grant.Subject)
	switch {
	case errors.Is(err, identity.ErrNotFound):
		return identity.User{}, h.end(ctx, found.grant, "the end user does not exist any more")
	case err != nil:
		return identity.User{}, fmt.Errorf("asking the source: %w", err)
	case user.Disabled:
		return identity.User{}, h.end(ctx, found.grant, "the end user is disabled")
	case !client.AllowsSource(user.Source):
		return identity.User{}, h.end(ctx, found.grant, "end users of this source may not use the client")
	case h.lacks(found.grant, user, client):
		return identity.User{}, h.end(ctx, found.grant, "a second factor is needed now; log in again")
	case found.narrowed != nil && h.lacks(found.grant, user, found.narrowed.like):
		// The grant is enough for its own client. RFC 8693, section 2.2.2.
		return identity.User{}, invalidTarget("the target needs a second factor, and this login had none; log in again with one")
	}
	return user, nil
}

// lacks reports whether the login of the grant is too little for the client
// and for the user as they are now: a group that needs a second factor gives
// its rights to no login from before. That the user has a factor by choice
// counts when they log in.
func (h *Handler) lacks(g grant.Grant, user identity.User, client clientregistry.Client) bool {
	return !g.Methods.MultiFactor() && h.Factors.Required(user, client.SecondFactor)
}

// told is the claims of the ID token, or nil if there is none to be.
func (h *Handler) told(ctx context.Context, client clientregistry.Client, found offer, user identity.User) (map[string]any, error) {
	switch {
	case found.narrowed != nil:
		return found.narrowed.claims(ctx, h.Claims, user)
	case found.grant.ID == "" && found.scopes.Has(oidc.ScopeOpenID):
		return h.Claims.OfClient(ctx, client)
	case found.grant.Scopes.Has(oidc.ScopeOpenID):
		// What the client may get at all, whether it asked for the scope or
		// not: API servers read ID tokens and nothing else, and kubeconfigs
		// rarely name scopes.
		return h.Claims.Of(ctx, user, client, client.AllowedScopes())
	}
	return nil, nil
}

// refused tells the audit trail what was refused, and why.
func (h *Handler) refused(r *http.Request, form url.Values, client oidc.ClientID, err error) {
	problem, ok := errors.AsType[*oidc.Error](err)
	if !ok || problem.Code == oidc.AuthorizationPending || problem.Code == oidc.SlowDown {
		return // no decision: ours to mend, or still to come
	}
	grantType := form.Get("grant_type")
	if h.grantType(grantType) == nil {
		grantType = "" // nothing that somebody made up
	}
	h.Audit.Record(audit.Event{
		Act: audit.Refused, Client: client, GrantType: grantType, Remote: r.RemoteAddr, Agent: r.UserAgent(),
		Reason: string(problem.Code),
	})
}

// end ends a grant whose end user may not have tokens any more.
func (h *Handler) end(ctx context.Context, g grant.Grant, why string) error {
	if err := h.Grants.EndGrant(ctx, g.ID, h.Now()); err != nil {
		return fmt.Errorf("ending the grant: %w", err)
	}
	h.Audit.Record(audit.Event{Act: audit.GrantEnd, Client: g.Client, Subject: g.Subject, Grant: g.ID, Session: g.SessionID, Reason: why})
	return invalidGrant(why)
}

func invalidRequest(description string) error {
	return &oidc.Error{Code: oidc.InvalidRequest, Description: description}
}

func invalidGrant(description string) error {
	return &oidc.Error{Code: oidc.InvalidGrant, Description: description}
}
