// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package token

import (
	"context"
	"errors"
	"fmt"

	"github.com/tegata/tegata/internal/audit"
	"github.com/tegata/tegata/internal/identity"
	"github.com/tegata/tegata/internal/oidc"
	"github.com/tegata/tegata/internal/provider/grant"
	"github.com/tegata/tegata/internal/provider/session"
	"github.com/tegata/tegata/internal/secret"
)

// password is the password grant (RFC 6749, section 4.3). The client sees the
// password, which is why RFC 9700, section 2.4, is against it: an issuer and
// each client must ask for it by name. It counts at the throttle of the login
// page, and an unknown user takes as long as one who is known.
func (h *Handler) password(ctx context.Context, r request) (offer, error) {
	login, password := r.form.Get("username"), secret.New(r.form.Get("password"))
	if login == "" || password.IsZero() {
		return offer{}, invalidRequest("username and password are needed")
	}
	user, err := h.Passwords.Authenticate(ctx, r.client, login, password, r.RemoteAddr)
	if err != nil {
		return offer{}, h.noLogin(r, err)
	}
	if !r.client.AllowsSource(user.Source) {
		return offer{}, h.noLogin(r, identity.ErrWrongCredentials)
	}
	needs, err := h.Passwords.NeedsSecondFactor(ctx, user, r.client)
	if err != nil {
		return offer{}, fmt.Errorf("asking for second factors: %w", err)
	}
	if needs {
		return offer{}, h.noLogin(r, errSecondFactor)
	}
	now := h.Now()
	g := grant.Grant{
		ID:         grant.NewID(),
		Client:     r.client.ID,
		Subject:    user.Subject,
		Scopes:     oidc.ParseScopes(r.form.Get("scope")).Only(r.client.AllowedScopes()),
		AuthTime:   now,
		Methods:    session.Methods{session.Password},
		Device:     session.DeviceOf(r.Request),
		CreatedAt:  now,
		ExpiresAt:  now.Add(h.Mint.grantLifetime(r.client, h.GrantLifetime)),
		RedeemedAt: now,
		Generation: 1,
		RotatedAt:  now,
	}
	take := func(ctx context.Context) (int, error) {
		err := h.Grants.AddGrantOfUser(ctx, g, user.Epoch)
		if errors.Is(err, session.ErrOvertaken) {
			return 0, h.noLogin(r, identity.ErrWrongCredentials)
		}
		if err != nil {
			return 0, fmt.Errorf("keeping the grant: %w", err)
		}
		h.Audit.Record(audit.Event{
			Act: audit.LoggedIn, Client: g.Client, Subject: g.Subject, Source: user.Source, GrantType: oidc.GrantPassword,
			Grant: g.ID, Remote: r.RemoteAddr, Agent: r.UserAgent(),
		})
		return g.Generation, nil
	}
	return offer{grant: g, scopes: g.Scopes, take: take}, nil
}

// errSecondFactor means that a password is not enough. A client cannot ask for
// more.
var errSecondFactor = errors.New("the end user needs a second factor")

// noLogin turns the reason why nobody was let in into an answer. Who was
// meant is not logged: people type passwords there.
func (h *Handler) noLogin(r request, err error) error {
	var reason string
	switch {
	case errors.Is(err, identity.ErrTooManyAttempts):
		reason = "there were too many attempts to log in; wait half a minute"
	case errors.Is(err, identity.ErrWrongCredentials):
		reason = "the user name or the password is wrong"
	case errors.Is(err, identity.ErrDisabled):
		reason = "the end user is disabled"
	case errors.Is(err, identity.ErrLocked):
		reason = "the account is locked for now, after too many wrong passwords"
	case errors.Is(err, identity.ErrPasswordExpired):
		reason = "the password has expired and must be changed first"
	case errors.Is(err, identity.ErrTemporaryExpired):
		reason = "the temporary password has expired; an administrator has to set another"
	case errors.Is(err, errSecondFactor):
		reason = "the end user needs a second factor; log in with a browser or a device code"
	default:
		reason = refusedBySource(err)
	}
	if reason == "" {
		return fmt.Errorf("authenticating: %w", err)
	}
	h.Audit.Record(audit.Event{
		Act: audit.LoginRefused, Client: r.client.ID, GrantType: oidc.GrantPassword, Remote: r.RemoteAddr,
		Agent: r.UserAgent(), Reason: reason,
	})
	return &oidc.Error{Code: oidc.InvalidGrant, Description: reason, Cause: err}
}

// refusedBySource is why a source, or the names of others, keep somebody out;
// empty for any other failure.
func refusedBySource(err error) string {
	if elsewhere, ok := errors.AsType[*identity.ElsewhereError](err); ok {
		return elsewhere.Error()
	}
	if taken, ok := errors.AsType[*identity.NameTakenError](err); ok {
		return taken.Error()
	}
	if denied, ok := errors.AsType[*identity.DeniedError](err); ok {
		return denied.Error()
	}
	return ""
}
