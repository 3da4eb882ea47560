// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

// Package account is the pages on which people set their passwords.
//
//	GET|POST /account/password   who has logged in changes it
//	GET|POST /account/welcome    who has a link sets the first one, or another
//
// A link is a secret of its own, made by an administrator. To look at it never
// uses it up, because mail scanners look at links; to set a password does.
package account

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"github.com/tegata/tegata/internal/audit"
	"github.com/tegata/tegata/internal/identity"
	"github.com/tegata/tegata/internal/oidc"
	"github.com/tegata/tegata/internal/provider/answer"
	"github.com/tegata/tegata/internal/provider/page"
	"github.com/tegata/tegata/internal/provider/session"
	"github.com/tegata/tegata/internal/secret"
)

// The paths below the issuer's.
const (
	PathPassword = string(page.PlacePassword)
	PathChanged  = PathPassword + "/changed"
	PathWelcome  = "/account/welcome"
)

// TokenField is the parameter of a link.
const TokenField = "token"

// Logins is the login page of the issuer.
type Logins interface {
	// Current returns the browser's session and its user as the source knows
	// them now, or session.ErrNotFound.
	Current(ctx context.Context, r *http.Request) (session.Session, identity.User, error)
	// LogIn shows the login page. next is a path below the issuer's, to which
	// the browser goes afterwards.
	LogIn(w http.ResponseWriter, r *http.Request, next string)
	// Throttled tries a password, or returns identity.ErrTooManyAttempts.
	Throttled(ctx context.Context, login, remote string, try func() error) error
}

// Passwords are the sources of the issuer.
type Passwords interface {
	identity.Source
	// PasswordRules returns identity.ErrNoPasswordChange for a user whose
	// password is not changed here.
	PasswordRules(ctx context.Context, user identity.User) ([]identity.Flaw, error)
	ChangePasswordOf(ctx context.Context, user identity.User, old, replacement secret.String) error
}

// Links is the source of those who get links.
type Links interface {
	// Link returns identity.ErrLinkSpent for one that is no good.
	Link(ctx context.Context, token secret.String) (identity.Link, error)
	// Redeem sets the password. It returns identity.ErrLinkSpent, or a
	// *identity.PasswordRefusedError and whose link it is.
	Redeem(ctx context.Context, token, password secret.String) (identity.Link, error)
}

// Storage ends logins.
type Storage interface {
	EndLogins(ctx context.Context, subject oidc.Subject, now time.Time) error
}

// Handler serves these pages of an issuer.
type Handler struct {
	Issuer    oidc.Issuer
	Logins    Logins
	Passwords Passwords
	Links     Links // nil: there are no local accounts
	Storage   Storage
	Sessions  *session.Sessions
	Frame     func(identity.User, page.Place) page.Account // what is around a page of a person
	Pages     *page.Renderer
	Audit     *audit.Trail
	Now       func() time.Time
	Log       *slog.Logger
}

// problemOf is what a person is told, and the status. It reports false for an
// error that is ours.
func problemOf(err error) (p page.NewPassword, status int, known bool) {
	if refused, ok := errors.AsType[*identity.PasswordRefusedError](err); ok {
		return page.NewPassword{Problem: page.PasswordRefused, Flaws: refused.Flaws, Reason: refused.Reason}, http.StatusBadRequest, true
	}
	for _, one := range []struct {
		err     error
		problem page.Problem
		status  int
	}{
		{errDiffer, page.PasswordsDiffer, http.StatusBadRequest},
		{identity.ErrTooManyAttempts, page.TooManyAttempts, http.StatusTooManyRequests},
		{identity.ErrWrongCredentials, page.WrongOldPassword, http.StatusForbidden},
		{identity.ErrLocked, page.UserLocked, http.StatusForbidden},
		{identity.ErrDisabled, page.UserDisabled, http.StatusForbidden},
		{identity.ErrNoPasswordChange, page.NoPasswordChange, http.StatusForbidden},
	} {
		if errors.Is(err, one.err) {
			return page.NewPassword{Problem: one.problem}, one.status, true
		}
	}
	if _, ok := errors.AsType[*identity.UnavailableError](err); ok {
		return page.NewPassword{Problem: page.SourceUnavailable}, http.StatusServiceUnavailable, true
	}
	return page.NewPassword{}, 0, false
}

var errDiffer = errors.New("the two new passwords differ")

// typed is the new password of a form, if it stands there twice.
func typed(r *http.Request) (secret.String, error) {
	fresh := secret.New(r.PostForm.Get("new"))
	if !fresh.Equal(secret.New(r.PostForm.Get("repeated"))) {
		return secret.String{}, errDiffer
	}
	return fresh, nil
}

func (h *Handler) refused(r *http.Request, user identity.User, err error) {
	h.Log.LogAttrs(r.Context(), slog.LevelWarn, "a new password was refused", slog.String("subject", string(user.Subject)),
		slog.String("remote", r.RemoteAddr), slog.Any("error", err))
}

func (h *Handler) record(r *http.Request, event audit.Event) {
	event.Remote, event.Agent = r.RemoteAddr, r.UserAgent()
	h.Audit.Record(event)
}

func leave(w http.ResponseWriter, r *http.Request, address string) {
	w.Header().Set("Cache-Control", "no-store")
	http.Redirect(w, r, address, http.StatusSeeOther)
}

// fail is the bridge from an error to a page.
func (h *Handler) fail(w http.ResponseWriter, r *http.Request, problem page.Problem, err error) {
	status, failure := http.StatusBadRequest, page.Failure{Problem: problem}
	if problem == page.Unavailable {
		status = http.StatusServiceUnavailable
		_, failure.Reference = answer.Classify(err)
	}
	answer.Log(r, h.Log, err, failure.Reference)
	h.Pages.Failure(w, r, status, failure)
}
