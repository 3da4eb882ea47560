// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package authorize

import (
	"context"
	"net/http"

	"github.com/tegata/tegata/internal/clientregistry"
	"github.com/tegata/tegata/internal/identity"
	"github.com/tegata/tegata/internal/provider/page"
	"github.com/tegata/tegata/internal/provider/session"
)

// Current is the browser's session and its user as the source knows them now,
// for pages of other endpoints. Without a session that still counts, or with
// one that lacks a second factor, it returns session.ErrNotFound.
func (h *Handler) Current(ctx context.Context, r *http.Request) (session.Session, identity.User, error) {
	found, user, err := h.current(ctx, r)
	if err != nil {
		return session.Session{}, identity.User{}, err
	}
	lacks, err := h.Lacks(ctx, found, user, clientregistry.Client{})
	if err == nil && lacks {
		err = session.ErrNotFound
	}
	if err != nil {
		return session.Session{}, identity.User{}, err
	}
	return found, user, nil
}

// LogIn shows the login page on behalf of another page, or asks for the second
// factor if a session lacks nothing else. After the login the browser goes to
// next, a path below the issuer's, which nobody but that page can choose: it is
// sealed into the form.
func (h *Handler) LogIn(w http.ResponseWriter, r *http.Request, next string) {
	found, user, err := h.current(r.Context(), r)
	if err == nil {
		if lacks, err := h.Lacks(r.Context(), found, user, clientregistry.Client{}); err != nil || lacks {
			h.StepUp(w, r, next, found, user) // which says if it cannot be asked
			return
		}
	}
	// Who is logged in and comes here has to prove it once more.
	h.show(w, r, http.StatusOK, request{Next: next, Fresh: err == nil}, clientregistry.Client{}, "", page.NoProblem)
}

// Throttled tries a password on behalf of another page, as often as the login
// page would. It returns identity.ErrTooManyAttempts besides the error of try.
func (h *Handler) Throttled(ctx context.Context, login, remote string, try func() error) error {
	return h.throttled(ctx, login, remote, try)
}
