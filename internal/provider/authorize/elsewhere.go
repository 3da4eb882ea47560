// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package authorize

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"

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
		RedirectURI: h.callback(source), LoginHint: h.hint(source, req.Login), UILocales: req.UILocales, Fresh: req.Fresh,
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

// callback is where the source answers: each at an address of its own, so that
// none can pass off its answer as another's (RFC 9700, section 4.4).
func (h *Handler) callback(source string) string {
	if m, _ := h.Sources.Of(source); m.SharedCallback {
		return h.Callback
	}
	return h.Callback + "/" + source
}

// hint is what the source may know of what was typed: an address of its own.
// Anything else may be a password.
func (h *Handler) hint(source, login string) string {
	m, _ := h.Sources.WhoseLogin("", login)
	if m.Name == source && strings.Contains(login, "@") {
		return login
	}
	return ""
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
	if named := r.PathValue("source"); !ok || req.Attempt == "" || h.callback(req.Source) != strings.TrimSuffix(h.Callback+"/"+named, "/") {
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
	tried, ok := h.Throttle.beginElsewhere(r.Context(), r.RemoteAddr)
	if !ok {
		h.proven(w, r, req, client, identity.User{}, nil, identity.ErrTooManyAttempts)
		return
	}
	user, err := h.Sources.Finish(r.Context(), req.Source, h.callback(req.Source), attempt, query)
	tried.End(err != nil)
	if errors.Is(err, identity.ErrNotFound) {
		err = &identity.UnavailableError{Source: req.Source, Cause: err} // it is not configured any more
	}
	h.proven(w, r, req, client, user, nil, err)
}

// beginElsewhere bounds how often an address can make us ask a source in vain:
// a source that is asked too often stops answering, for everybody.
func (t *Throttle) beginElsewhere(ctx context.Context, remote string) (Attempt, bool) {
	host, _, err := net.SplitHostPort(remote)
	if err != nil {
		host = remote
	}
	name := "elsewhere " + network(host)
	if !t.pairs.begin(ctx, name, t.now) {
		return Attempt{}, false
	}
	return Attempt{now: t.now, taken: []taken{{t.pairs, name}}}, true
}
