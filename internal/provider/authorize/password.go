// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package authorize

import (
	"errors"
	"fmt"
	"net/http"

	"github.com/tegata/tegata/internal/audit"
	"github.com/tegata/tegata/internal/clientregistry"
	"github.com/tegata/tegata/internal/identity"
	"github.com/tegata/tegata/internal/provider/page"
	"github.com/tegata/tegata/internal/provider/session"
	"github.com/tegata/tegata/internal/secret"
)

// showPasswordChange writes the page that asks for another password, with the
// login sealed into it.
func (h *Handler) showPasswordChange(w http.ResponseWriter, r *http.Request, status int, req request, client clientregistry.Client, problem page.Problem, refused identity.PasswordRefusedError) {
	sealed, err := h.sealed(w, r, req)
	if err != nil {
		h.fail(w, r, req, err)
		return
	}
	if status == http.StatusTooManyRequests {
		w.Header().Set("Retry-After", "30")
	}
	h.Pages.ExpiredPassword(w, r, status, page.ExpiredPassword{
		Request: sealed, Login: req.Login, Problem: problem, Detail: refused.Reason, Flaws: refused.Flaws, RedirectURI: req.RedirectURI,
	})
}

// changesPasswords reports whether the source of a login lets its people
// change their password here.
func (h *Handler) changesPasswords(req request) bool {
	m, err := h.Sources.WhoseLogin(req.Source, req.Login)
	return err == nil && m.ChangesPasswords()
}

// ChangePassword serves the form of the page that asks for another password
// before the login goes on.
func (h *Handler) ChangePassword(w http.ResponseWriter, r *http.Request) {
	req, client, ok := h.resume(w, r)
	if !ok {
		return
	}
	ctx := r.Context()
	old, fresh := secret.New(r.PostForm.Get("password")), secret.New(r.PostForm.Get("new"))
	again := func(status int, problem page.Problem, refused identity.PasswordRefusedError) {
		h.showPasswordChange(w, r, status, req, client, problem, refused)
	}
	switch {
	case req.Login == "":
		h.fail(w, r, req, &refusal{problem: page.PageExpired, cause: errors.New("a new password for nobody")})
		return
	case !fresh.Equal(secret.New(r.PostForm.Get("repeated"))):
		again(http.StatusBadRequest, page.PasswordsDiffer, identity.PasswordRefusedError{})
		return
	}
	err := h.throttled(ctx, req.Login, r.RemoteAddr, func() error {
		return h.Sources.ChangePassword(ctx, req.Source, req.Login, old, fresh)
	})
	if refused, ok := errors.AsType[*identity.PasswordRefusedError](err); ok {
		again(http.StatusBadRequest, page.PasswordRefused, *refused)
		return
	}
	if problem, status := problemOf(err); err != nil && problem != page.NoProblem {
		again(status, problem, identity.PasswordRefusedError{})
		return
	}
	if err != nil {
		h.fail(w, r, req, &refusal{problem: page.Unavailable, cause: fmt.Errorf("changing a password: %w", err)})
		return
	}
	user, err := h.AuthenticateAt(ctx, req.Source, req.Login, fresh, r.RemoteAddr)
	if err == nil {
		h.Audit.Record(audit.Event{
			Act: audit.PasswordChanged, Client: req.Client, Subject: user.Subject, Source: user.Source, Remote: r.RemoteAddr, Agent: r.UserAgent(),
		})
	}
	h.proven(w, r, req, client, user, session.Methods{session.Password}, err)
}
