// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package authorize

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"

	"github.com/tegata/tegata/internal/clientregistry"
	"github.com/tegata/tegata/internal/identity"
	"github.com/tegata/tegata/internal/provider/page"
	"github.com/tegata/tegata/internal/secret"
)

// depart sends the browser to a source whose users prove who they are there.
// What is pending goes along as the state: sealed, and for this browser alone,
// so that nothing is stored and nobody can finish it in another one.
func (h *Handler) depart(w http.ResponseWriter, r *http.Request, req request, client clientregistry.Client, source string) {
	if req.Client != "" && !client.AllowsSource(source) {
		h.showAgain(w, r, http.StatusForbidden, req, client, page.SourceDenied, "")
		return
	}
	address, attempt, err := h.Sources.Begin(r.Context(), source, identity.Departure{
		RedirectURI: h.Callback, LoginHint: req.Login, UILocales: req.UILocales, Fresh: req.Fresh,
	})
	if errors.Is(err, identity.ErrNotFound) {
		h.fail(w, r, req, &refusal{problem: page.BadRequest, detail: "there is no such source"})
		return
	}
	if err != nil {
		h.proven(w, r, req, client, identity.User{}, nil, err)
		return
	}
	req.Source, req.Attempt, req.Login = source, attempt.Reveal(), ""
	state, err := h.sealed(w, r, req)
	if err == nil {
		address, err = withState(address, state)
	}
	if err != nil {
		h.fail(w, r, req, &refusal{problem: page.Unavailable, cause: err})
		return
	}
	h.leave(w, r, address)
}

func withState(address, state string) (string, error) {
	u, err := url.Parse(address)
	if err != nil {
		return "", fmt.Errorf("the source named an address that is none: %w", err)
	}
	query := u.Query()
	query.Set("state", state)
	u.RawQuery = query.Encode()
	return u.String(), nil
}

// Return serves the address to which such a source sends the browser back.
func (h *Handler) Return(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet { // HEAD must not use up the answer
		w.Header().Set("Allow", http.MethodGet)
		w.WriteHeader(http.StatusMethodNotAllowed)
		return
	}
	query := r.URL.Query()
	req, ok := h.open(r, query.Get("state"))
	if !ok || req.Attempt == "" {
		h.fail(w, r, req, &refusal{problem: page.PageExpired, cause: errors.New("an answer to nothing that this browser asked")})
		return
	}
	var client clientregistry.Client
	if req.Client != "" {
		var err error
		if client, err = h.client(r.Context(), req.Client, req.RedirectURI); err != nil {
			h.fail(w, r, req, err)
			return
		}
	}
	r.Form = query
	r.Form.Set("ui_locales", req.UILocales)
	attempt := secret.New(req.Attempt)
	req.Attempt = ""
	user, err := h.Sources.Finish(r.Context(), req.Source, h.Callback, attempt, query)
	if errors.Is(err, identity.ErrNotFound) {
		err = &identity.UnavailableError{Source: req.Source, Cause: err} // it is not configured any more
	}
	h.proven(w, r, req, client, user, nil, err)
}
