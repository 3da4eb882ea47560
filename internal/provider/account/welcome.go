// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package account

import (
	"errors"
	"fmt"
	"net"
	"net/http"

	"github.com/tegata/tegata/internal/audit"
	"github.com/tegata/tegata/internal/identity"
	"github.com/tegata/tegata/internal/provider/page"
	"github.com/tegata/tegata/internal/secret"
)

// ShowWelcome serves the page of a link. It changes nothing.
func (h *Handler) ShowWelcome(w http.ResponseWriter, r *http.Request) {
	if err := r.ParseForm(); err != nil {
		h.fail(w, r, page.BadRequest, errors.New("the address cannot be decoded")) // which is the secret
		return
	}
	if h.Links == nil {
		h.Pages.LinkSpent(w, r)
		return
	}
	token := secret.New(r.Form.Get(TokenField))
	found, err := h.Links.Link(r.Context(), token)
	switch {
	case errors.Is(err, identity.ErrLinkSpent):
		h.spent(w, r)
	case err != nil:
		h.fail(w, r, page.Unavailable, err)
	default:
		h.welcome(w, r, http.StatusOK, token, found, page.NewPassword{})
	}
}

func (h *Handler) welcome(w http.ResponseWriter, r *http.Request, status int, token secret.String, found identity.Link, p page.NewPassword) {
	p.Rules = found.Rules
	h.Pages.Welcome(w, r, status, page.Welcome{
		NewPassword: p, Token: token.Reveal(), Invited: found.Purpose == identity.Invitation, Username: found.User.Username, Name: found.User.Name,
	})
}

func (h *Handler) spent(w http.ResponseWriter, r *http.Request) {
	h.refused(r, identity.User{}, identity.ErrLinkSpent)
	h.Pages.LinkSpent(w, r)
}

// SetPassword serves the form of a link. It asks for no session and no cookie:
// what it takes is the link, which no page of another site has.
func (h *Handler) SetPassword(w http.ResponseWriter, r *http.Request) {
	if err := r.ParseForm(); err != nil {
		h.fail(w, r, page.BadRequest, fmt.Errorf("reading the form: %w", err))
		return
	}
	if h.Links == nil {
		h.Pages.LinkSpent(w, r)
		return
	}
	ctx, token := r.Context(), secret.New(r.PostForm.Get(TokenField))
	found, err := h.Links.Link(ctx, token) // for the page, if it is shown again
	if err == nil {
		err = h.redeem(r, token)
	}
	if errors.Is(err, identity.ErrLinkSpent) {
		h.spent(w, r)
		return
	}
	if p, status, known := problemOf(err); known {
		h.refused(r, found.User, err)
		if status == http.StatusTooManyRequests {
			w.Header().Set("Retry-After", "30")
		}
		h.welcome(w, r, status, token, found, p)
		return
	}
	if err != nil {
		h.fail(w, r, page.Unavailable, fmt.Errorf("setting a password: %w", err))
		return
	}
	h.record(r, audit.Event{Act: audit.PasswordChanged, Subject: found.User.Subject, Source: identity.Local, Reason: "by a link: " + string(found.Purpose)})
	leave(w, r, string(h.Issuer)+"/")
}

// redeem sets the password, as often as the throttle allows: each password
// that is refused for those before it costs as much as some logins.
func (h *Handler) redeem(r *http.Request, token secret.String) error {
	fresh, err := typed(r)
	if err != nil {
		return err
	}
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		host = r.RemoteAddr
	}
	var answered error
	err = h.Logins.Throttled(r.Context(), "a link from "+host, r.RemoteAddr, func() error {
		_, answered = h.Links.Redeem(r.Context(), token, fresh)
		if _, _, known := problemOf(answered); known || errors.Is(answered, identity.ErrLinkSpent) {
			return identity.ErrWrongCredentials // which counts
		}
		return answered
	})
	if answered != nil {
		return answered
	}
	return err
}
