// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package authorize

import (
	"errors"
	"net/http"
	"strings"

	"github.com/tegata/tegata/internal/audit"
	"github.com/tegata/tegata/internal/clientregistry"
	"github.com/tegata/tegata/internal/identity"
	"github.com/tegata/tegata/internal/oidc"
	"github.com/tegata/tegata/internal/provider/page"
	"github.com/tegata/tegata/internal/provider/session"
)

// asks reports whether the person must agree before the client gets a code.
// typed says that they gave their password just now, on a page that names the
// client.
//
// A public client on a loopback address, or at a private-use scheme, must not
// get a code from a session while nobody looks (RFC 8252, section 8.6).
func (h *Handler) asks(req request, client clientregistry.Client, typed bool) bool {
	switch {
	case req.Consent || client.Consent == clientregistry.ConsentAlways:
		return true
	case typed:
		return false
	case req.prompt.Has("select_account"):
		return true
	case client.Consent == clientregistry.ConsentNever:
		return false
	}
	return anybodys(req, client)
}

// anybodys reports whether any program on the end user's machine can say that
// it is the client, and get the answer.
func anybodys(req request, client clientregistry.Client) bool {
	return client.Public() && !strings.HasPrefix(req.RedirectURI, "https://")
}

// showConsent writes the page that asks whether to go on, with the pending
// request sealed into it, for this session alone.
func (h *Handler) showConsent(w http.ResponseWriter, r *http.Request, req request, client clientregistry.Client, s session.Session, user identity.User) {
	req.Session = s.ID
	sealed, err := h.sealed(w, r, req)
	if err != nil {
		h.fail(w, r, req, err)
		return
	}
	v := page.Consent{
		Client:      client.DisplayName(),
		Request:     sealed,
		Username:    user.Username,
		Name:        user.Name,
		Local:       anybodys(req, client),
		RedirectURI: req.RedirectURI,
	}
	if req.Consent || client.Consent == clientregistry.ConsentAlways {
		// What it will know: an ID token has all that the client may get,
		// whether it asked or not.
		v.Scopes = append(oidc.Scopes{}, client.AllowedScopes().Only(oidc.Scopes{oidc.ScopeProfile, oidc.ScopeEmail, oidc.ScopeGroups})...)
		v.Scopes = append(v.Scopes, req.Scopes.Only(oidc.Scopes{oidc.ScopeOfflineAccess})...)
	}
	h.Pages.Consent(w, r, v)
}

// Consent serves the form of that page.
func (h *Handler) Consent(w http.ResponseWriter, r *http.Request) {
	req, client, ok := h.resume(w, r)
	if !ok {
		return
	}
	switch r.PostForm.Get("answer") {
	case page.AnswerContinue:
		found, user, err := h.current(r.Context(), r)
		lacks := false
		if err == nil {
			_, lacks, err = h.lacks(r.Context(), req, client, user, found.Methods)
		}
		switch {
		case err == nil && found.ID == req.Session && lacks:
			h.stepUp(w, r, req, client, found, user)
		case err == nil && found.ID == req.Session && client.AllowsSource(user.Source):
			h.finish(w, r, req, client, found, user)
		case err == nil || errors.Is(err, session.ErrNotFound):
			// The session has ended, or it is somebody else's by now.
			h.show(w, r, http.StatusOK, req, client, "", page.NoProblem)
		default:
			h.fail(w, r, req, err)
		}
	case page.AnswerOther:
		h.show(w, r, http.StatusOK, req, client, "", page.NoProblem)
	case page.AnswerCancel:
		h.Audit.Record(audit.Event{
			Act: audit.Denied, Client: req.Client, Session: req.Session, Remote: r.RemoteAddr, Agent: r.UserAgent(), Reason: "the end user did not agree",
		})
		h.fail(w, r, req, &oidc.Error{Code: oidc.AccessDenied, Description: "the end user did not agree"})
	default:
		h.fail(w, r, req, &refusal{problem: page.BadRequest, detail: "the form has no answer"})
	}
}
