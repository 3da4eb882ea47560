// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package account

import (
	"errors"
	"fmt"
	"net/http"

	"github.com/tegata/tegata/internal/audit"
	"github.com/tegata/tegata/internal/identity"
	"github.com/tegata/tegata/internal/provider/page"
	"github.com/tegata/tegata/internal/provider/session"
	"github.com/tegata/tegata/internal/secret"
)

// visit is a person who has logged in, and what their new password must be
// like.
type visit struct {
	session   session.Session
	user      identity.User
	rules     []identity.Flaw
	elsewhere bool // it is not changed here
}

// enter finds the person. If it reports false, the answer is written.
func (h *Handler) enter(w http.ResponseWriter, r *http.Request) (v visit, ok bool) {
	if err := r.ParseForm(); err != nil {
		h.fail(w, r, page.BadRequest, fmt.Errorf("reading the form: %w", err))
		return v, false
	}
	var err error
	v.session, v.user, err = h.Logins.Current(r.Context(), r)
	if errors.Is(err, session.ErrNotFound) {
		h.Logins.LogIn(w, r, PathPassword)
		return v, false
	}
	if err == nil {
		v.rules, err = h.Passwords.PasswordRules(r.Context(), v.user)
		if v.elsewhere = errors.Is(err, identity.ErrNoPasswordChange); v.elsewhere {
			err = nil
		}
	}
	if err != nil {
		h.fail(w, r, page.Unavailable, err)
		return v, false
	}
	return v, true
}

func (h *Handler) show(w http.ResponseWriter, r *http.Request, status int, v visit, p page.NewPassword) {
	p.Rules = v.rules
	if status == http.StatusTooManyRequests {
		w.Header().Set("Retry-After", "30")
	}
	h.Pages.ChangePassword(w, r, status, page.ChangePassword{Account: h.Frame(v.user, page.PlacePassword), NewPassword: p, Elsewhere: v.elsewhere})
}

// ShowPassword serves the page of who has logged in.
func (h *Handler) ShowPassword(w http.ResponseWriter, r *http.Request) {
	if v, ok := h.enter(w, r); ok {
		h.show(w, r, http.StatusOK, v, page.NewPassword{})
	}
}

// ChangePassword serves its form. All other logins of the person end; the one
// of this browser goes on, with another secret.
func (h *Handler) ChangePassword(w http.ResponseWriter, r *http.Request) {
	v, ok := h.enter(w, r)
	if !ok {
		return
	}
	ctx := r.Context()
	if v.elsewhere {
		h.show(w, r, http.StatusForbidden, v, page.NewPassword{})
		return
	}

	// Step 1: the password.
	fresh, err := typed(r)
	if err == nil {
		err = h.Logins.Throttled(ctx, v.user.Username, r.RemoteAddr, func() error {
			return h.Passwords.ChangePasswordOf(ctx, v.user, secret.New(r.PostForm.Get("password")), fresh)
		})
	}
	if p, status, known := problemOf(err); known {
		h.refused(r, v.user, err)
		if p.Problem == page.WrongOldPassword || p.Problem == page.TooManyAttempts {
			h.record(r, audit.Event{
				Act: audit.LoginRefused, Subject: v.user.Subject, Source: v.user.Source, Session: v.session.ID, Reason: string(p.Problem),
			})
		}
		h.show(w, r, status, v, p)
		return
	}
	if err != nil {
		h.fail(w, r, page.Unavailable, fmt.Errorf("changing a password: %w", err))
		return
	}
	h.record(r, audit.Event{Act: audit.PasswordChanged, Subject: v.user.Subject, Source: v.user.Source, Session: v.session.ID})

	// Step 2: what stands on the one before. Our own source has ended it with
	// the password.
	if v.user.Source != identity.Local {
		if err := h.Storage.EndLogins(ctx, v.user.Subject, h.Now()); err != nil {
			h.fail(w, r, page.Unavailable, fmt.Errorf("ending the logins on a former password: %w", err))
			return
		}
	}

	// Step 3: this browser goes on. Its login is no younger for it: a password
	// says nothing of a second factor that was proven long ago.
	user, err := h.Passwords.Lookup(ctx, v.user.Subject)
	if err == nil {
		_, err = h.Sessions.Renew(ctx, w, v.session, user)
	}
	if err != nil {
		h.fail(w, r, page.Unavailable, fmt.Errorf("going on after a change of the password: %w", err))
		return
	}
	leave(w, r, string(h.Issuer)+PathChanged)
}

// ShowChanged serves the page that says that it is done.
func (h *Handler) ShowChanged(w http.ResponseWriter, r *http.Request) {
	if v, ok := h.enter(w, r); ok {
		h.Pages.PasswordChanged(w, r, page.PasswordChanged{Account: h.Frame(v.user, page.PlacePassword)})
	}
}
