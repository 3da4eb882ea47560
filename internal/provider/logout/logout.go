// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

// Package logout is the end session endpoint (OpenID Connect RP-Initiated
// Logout 1.0), and what it tells the other clients (OpenID Connect
// Back-Channel Logout 1.0).
//
//	GET|POST /logout ──► the ID token is of this session ──────────────► session ends ──► client or page
//	               └───► page that asks ──► POST /logout/confirm ─────────┘
//
// A logout ends the browser's session and the grants that were made in it,
// except those with the scope offline_access, which go on until their client
// ends them. A session that expires, or that another login replaces, ends no
// grant: nobody said so.
//
//   - logout.go: the endpoint and its page
//   - request.go: what a client may ask
//   - backchannel.go: telling the clients
package logout

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/tegata/tegata/internal/audit"
	"github.com/tegata/tegata/internal/clientregistry"
	"github.com/tegata/tegata/internal/identity"
	"github.com/tegata/tegata/internal/oidc"
	"github.com/tegata/tegata/internal/provider/answer"
	"github.com/tegata/tegata/internal/provider/page"
	"github.com/tegata/tegata/internal/provider/session"
	"github.com/tegata/tegata/internal/seal"
	"github.com/tegata/tegata/internal/secret"
)

// Storage is what a logout ends.
type Storage interface {
	// LogOut ends the session, and the grants that stand on it alone. It
	// returns the clients that were granted something in it.
	LogOut(ctx context.Context, sessionID string, now time.Time) ([]oidc.ClientID, error)
}

// Verifier checks the signature and the type of a token.
type Verifier interface {
	Verify(token secret.String, typ string, claims any) error
}

// Handler serves the end session endpoint of an issuer.
type Handler struct {
	Issuer       oidc.Issuer
	Clients      clientregistry.Clients
	Verifier     Verifier
	Sources      *identity.Sources
	Done         string // where sources to which a browser was sent send it back
	Sessions     *session.Sessions
	Storage      Storage
	BackChannel  *BackChannel
	Pages        *page.Renderer
	Seal         seal.Key // for requests that wait for an answer
	PageLifetime time.Duration
	Audit        *audit.Trail
	Now          func() time.Time
	Log          *slog.Logger
}

// Start serves the endpoint.
func (h *Handler) Start(w http.ResponseWriter, r *http.Request) {
	ctx := r.Context()
	req, err := h.parse(ctx, r)
	if err != nil {
		h.fail(w, r, err)
		return
	}
	if r.Method == http.MethodPost {
		// A browser that posts from another site leaves our cookies at home,
		// and by GET it brings them (SameSite=Lax). What was posted does not
		// come to stand in the address for that.
		sealed, err := h.sealed(req)
		if err != nil {
			h.fail(w, r, err)
			return
		}
		leave(w, r, r.URL.Path+"?"+url.Values{"request": {sealed}}.Encode())
		return
	}
	found, err := h.Sessions.Find(ctx, r)
	switch {
	case errors.Is(err, session.ErrNotFound): // logged out already
		h.goOn(w, r, req)
	case err != nil:
		h.fail(w, r, fmt.Errorf("finding the session: %w", err))
	case req.of(found) && r.Method != http.MethodHead: // which is safe: it ends nothing
		h.logOut(w, r, req, found)
	default:
		// Whoever sent the browser here did not show that this is the
		// session that they mean (section 2; section 6: they may be anybody).
		h.ask(w, r, req, found)
	}
}

// ask writes the page that asks the person.
func (h *Handler) ask(w http.ResponseWriter, r *http.Request, req request, found session.Session) {
	user, err := h.Sources.Lookup(r.Context(), found.Subject)
	if err != nil { // which keeps nobody from logging out
		answer.Log(r, h.Log, fmt.Errorf("asking the source: %w", err), "")
	}
	req.Asked = found.ID
	sealed, err := h.sealed(req)
	if err != nil {
		h.fail(w, r, err)
		return
	}
	h.Pages.LogOut(w, r, page.LogOut{
		Client: req.ClientName, Request: sealed, Username: cmp.Or(user.Username, string(found.Subject)), Name: user.Name, RedirectURI: req.RedirectURI,
	})
}

// Confirm serves the form of that page, and the button on the issuer's own
// page, which comes without a request. Forms of other sites do not get here.
func (h *Handler) Confirm(w http.ResponseWriter, r *http.Request) {
	if err := r.ParseForm(); err != nil {
		h.fail(w, r, &refusal{problem: page.BadRequest, detail: "the form cannot be decoded"})
		return
	}
	var req request
	if text := r.PostForm.Get("request"); text != "" {
		var ok bool
		if req, ok = h.open(text); !ok {
			h.fail(w, r, &refusal{problem: page.PageExpired})
			return
		}
		r.Form.Set("ui_locales", req.UILocales)
	}
	if r.PostForm.Get("answer") != page.AnswerLogOut {
		// The person stays. The client is not told (section 3: the browser
		// goes back to it after a logout only).
		leave(w, r, string(h.Issuer))
		return
	}
	found, err := h.Sessions.Find(r.Context(), r)
	switch {
	case errors.Is(err, session.ErrNotFound):
		h.goOn(w, r, req)
	case err != nil:
		h.fail(w, r, fmt.Errorf("finding the session: %w", err))
	case req.Asked != "" && req.Asked != found.ID:
		h.ask(w, r, req, found) // somebody else has logged in since
	default:
		h.logOut(w, r, req, found)
	}
}

// logOut ends the session, tells the clients, and goes on.
func (h *Handler) logOut(w http.ResponseWriter, r *http.Request, req request, found session.Session) {
	clients, err := h.Storage.LogOut(r.Context(), found.ID, h.Now())
	if err != nil {
		h.fail(w, r, fmt.Errorf("ending the session: %w", err))
		return
	}
	h.Log.LogAttrs(r.Context(), slog.LevelInfo, "logged out", slog.String("subject", string(found.Subject)),
		slog.String("session", found.ID), slog.String("client", string(req.Client)), slog.String("remote", r.RemoteAddr))
	h.Audit.Record(audit.Event{
		Act: audit.LoggedOut, Client: req.Client, Subject: found.Subject, Session: found.ID, Remote: r.RemoteAddr, Agent: r.UserAgent(),
	})
	h.Sessions.Forget(w)
	h.BackChannel.Tell(r.Context(), found, clients)
	h.logOutThere(w, r, req, found)
}

// logOutThere passes the logout on to the source, if it wants to know, and
// comes back to Returned.
func (h *Handler) logOutThere(w http.ResponseWriter, r *http.Request, req request, found session.Session) {
	state, err := h.sealed(req)
	address := ""
	if err == nil {
		address, err = h.Sources.LogOut(r.Context(), found.Subject, h.Done, state)
	}
	switch {
	case err != nil: // here it is done
		answer.Log(r, h.Log, fmt.Errorf("passing on a logout: %w", err), "")
		h.goOn(w, r, req)
	case address == "":
		h.goOn(w, r, req)
	case r.Method == http.MethodGet:
		leave(w, r, address)
	default:
		// A browser does not follow the answer to a form to a place that the
		// policy of the form's page does not name.
		h.Pages.LoggedOut(w, r, page.LoggedOut{Next: address})
	}
}

// Returned serves the address to which a source sends the browser back.
func (h *Handler) Returned(w http.ResponseWriter, r *http.Request) {
	req, ok := h.open(r.URL.Query().Get("state"))
	if !ok {
		req = request{} // it is done all the same
	}
	h.goOn(w, r, req)
}

// goOn sends the browser where the request says, or says that it is done.
func (h *Handler) goOn(w http.ResponseWriter, r *http.Request, req request) {
	switch {
	case req.RedirectURI == "":
		h.Pages.LoggedOut(w, r, page.LoggedOut{})
	case req.State == "":
		leave(w, r, req.RedirectURI)
	case strings.Contains(req.RedirectURI, "?"):
		leave(w, r, req.RedirectURI+"&"+url.Values{"state": {req.State}}.Encode())
	default:
		leave(w, r, req.RedirectURI+"?"+url.Values{"state": {req.State}}.Encode())
	}
}

// fail is the bridge for this endpoint: always a page, as the browser goes to
// a client after a logout only (section 4).
func (h *Handler) fail(w http.ResponseWriter, r *http.Request, err error) {
	status, failure := http.StatusBadRequest, page.Failure{LogOut: true}
	if refused, ok := errors.AsType[*refusal](err); ok {
		failure.Problem, failure.Detail = refused.problem, refused.detail
	} else {
		status, failure.Problem = http.StatusServiceUnavailable, page.Unavailable
		_, failure.Reference = answer.Classify(err)
	}
	answer.Log(r, h.Log, err, failure.Reference)
	h.Pages.Failure(w, r, status, failure)
}

func leave(w http.ResponseWriter, r *http.Request, address string) {
	w.Header().Set("Cache-Control", "no-store")
	http.Redirect(w, r, address, http.StatusSeeOther)
}

// sealed is a request as it travels through the browser.
func (h *Handler) sealed(req request) (string, error) {
	req.At = h.Now().Unix()
	plain, err := json.Marshal(req)
	if err != nil {
		return "", fmt.Errorf("encoding the logout request: %w", err)
	}
	return h.Seal.Seal(plain, "logout"), nil
}

// open is its opposite. It reports false for what is too old or not ours.
func (h *Handler) open(text string) (request, bool) {
	plain, err := h.Seal.Open(text, "logout")
	if err != nil {
		return request{}, false
	}
	var req request
	if err := json.Unmarshal(plain, &req); err != nil {
		return request{}, false
	}
	age := h.Now().Sub(time.Unix(req.At, 0))
	return req, age >= -time.Minute && age < h.PageLifetime
}
