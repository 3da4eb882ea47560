// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package authorize

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/tegata/tegata/internal/audit"
	"github.com/tegata/tegata/internal/clientregistry"
	"github.com/tegata/tegata/internal/identity"
	"github.com/tegata/tegata/internal/oidc"
	"github.com/tegata/tegata/internal/provider/page"
	"github.com/tegata/tegata/internal/provider/session"
	"github.com/tegata/tegata/internal/secret"
)

// show writes the login page with the pending request sealed into it.
func (h *Handler) show(w http.ResponseWriter, r *http.Request, status int, req request, client clientregistry.Client, login string, problem page.Problem) {
	req.Session = "" // it stands on none
	sealed, err := h.sealed(w, r, req)
	if err != nil {
		h.fail(w, r, req, err)
		return
	}
	name := ""
	if req.Client != "" {
		name = client.DisplayName()
	}
	h.Pages.LogIn(w, r, status, page.LogIn{
		Client:      name,
		Request:     sealed,
		Login:       login,
		Problem:     problem,
		RedirectURI: req.RedirectURI,
	})
}

// sealed is the pending request as a page carries it.
func (h *Handler) sealed(w http.ResponseWriter, r *http.Request, req request) (string, error) {
	req.At = h.Now().Unix()
	plain, err := json.Marshal(req)
	if err != nil {
		return "", fmt.Errorf("encoding the pending request: %w", err)
	}
	return h.Seal.Seal(plain, h.bind(w, r)), nil
}

// bind returns what only this browser knows, and tells it if it does not yet:
// a page that was made for another browser cannot be posted from this one
// (RFC 9700, section 4.7.1). One cookie serves all tabs.
func (h *Handler) bind(w http.ResponseWriter, r *http.Request) string {
	if cookie, err := r.Cookie(h.Cookie); err == nil && len(cookie.Value) >= 26 {
		return cookie.Value
	}
	value := rand.Text()
	http.SetCookie(w, &http.Cookie{
		Name: h.Cookie, Value: value, Path: "/",
		Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode,
	})
	return value
}

// pending opens the request of a page. It reports false for a page that is
// too old, was made for another browser, or was not made here.
func (h *Handler) pending(r *http.Request) (request, bool) {
	cookie, err := r.Cookie(h.Cookie)
	if err != nil {
		return request{}, false
	}
	plain, err := h.Seal.Open(r.PostForm.Get("request"), cookie.Value)
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

// resume reads the form of a page and finds the client of its request again:
// it may have been taken away, or its redirect URI, while the page was open.
// If it reports false, the answer is written.
func (h *Handler) resume(w http.ResponseWriter, r *http.Request) (req request, client clientregistry.Client, ok bool) {
	err := r.ParseForm()
	if err != nil {
		h.fail(w, r, req, &refusal{problem: page.BadRequest, detail: "the form cannot be decoded", cause: err})
		return req, client, false
	}
	if req, ok = h.pending(r); !ok {
		h.fail(w, r, req, &refusal{problem: page.PageExpired, cause: errors.New("a page that is too old or of another browser")})
		return req, client, false
	}
	if req.Client != "" {
		if client, err = h.client(r.Context(), req.Client, req.RedirectURI); err != nil {
			h.fail(w, r, req, err)
			return req, client, false
		}
	}
	r.Form.Set("ui_locales", req.UILocales) // for the page, if another is shown
	return req, client, true
}

// Login serves the form of the login page.
func (h *Handler) Login(w http.ResponseWriter, r *http.Request) {
	ctx := r.Context()
	req, client, ok := h.resume(w, r)
	if !ok {
		return
	}
	login, password := r.PostForm.Get("login"), secret.New(r.PostForm.Get("password"))
	// What was typed as the user name is not logged: people type passwords
	// there.
	again := func(status int, problem page.Problem) {
		h.Log.LogAttrs(ctx, slog.LevelWarn, "login refused", slog.String("problem", string(problem)),
			slog.String("client", string(req.Client)), slog.String("remote", r.RemoteAddr))
		h.Audit.Record(audit.Event{Act: audit.LoginRefused, Client: req.Client, Remote: r.RemoteAddr, Agent: r.UserAgent(), Reason: string(problem)})
		h.show(w, r, status, req, client, login, problem)
	}
	user, err := h.Authenticate(ctx, login, password, r.RemoteAddr)
	switch {
	case errors.Is(err, identity.ErrTooManyAttempts):
		w.Header().Set("Retry-After", "30")
		again(http.StatusTooManyRequests, page.TooManyAttempts)
		return
	case errors.Is(err, identity.ErrWrongCredentials):
		again(http.StatusForbidden, page.WrongCredentials)
		return
	case errors.Is(err, identity.ErrDisabled):
		again(http.StatusForbidden, page.UserDisabled)
		return
	case errors.Is(err, identity.ErrLocked):
		again(http.StatusForbidden, page.UserLocked)
		return
	case errors.Is(err, identity.ErrPasswordExpired):
		again(http.StatusForbidden, page.PasswordExpired)
		return
	case err != nil:
		h.fail(w, r, req, &refusal{problem: page.Unavailable, cause: fmt.Errorf("authenticating: %w", err)})
		return
	}
	if !req.about(user.Subject) {
		h.fail(w, r, req, &oidc.Error{Code: oidc.LoginRequired, Description: "another end user logged in than the request names"})
		return
	}
	if !client.AllowsSource(user.Source) {
		const why = "end users of this source may not use the client"
		h.Audit.Record(audit.Event{
			Act: audit.Denied, Client: req.Client, Subject: user.Subject, Source: user.Source, Remote: r.RemoteAddr, Agent: r.UserAgent(), Reason: why,
		})
		h.fail(w, r, req, &oidc.Error{Code: oidc.AccessDenied, Description: why})
		return
	}
	begun, err := h.Sessions.Begin(ctx, w, r, user, session.Methods{session.Password})
	if errors.Is(err, session.ErrOvertaken) {
		again(http.StatusForbidden, page.WrongCredentials)
		return
	}
	if err != nil {
		h.fail(w, r, req, &refusal{problem: page.Unavailable, cause: err})
		return
	}
	h.Audit.Record(audit.Event{
		Act: audit.LoggedIn, Client: req.Client, Subject: user.Subject, Source: user.Source, Session: begun.ID, Remote: r.RemoteAddr, Agent: r.UserAgent(),
	})
	switch {
	case req.Client == "": // the issuer's own page
		h.leave(w, r, string(h.Issuer)+req.Next)
	case h.asks(req, client, true):
		h.showConsent(w, r, req, client, begun, user)
	default:
		h.finish(w, r, req, client, begun, user)
	}
}

// Authenticate asks the source, as often as the throttle allows: on the login
// page, and for a client that may send passwords itself. remote is host:port.
// It returns identity.ErrTooManyAttempts besides the source's errors.
func (h *Handler) Authenticate(ctx context.Context, login string, password secret.String, remote string) (user identity.User, err error) {
	attempt, ok := h.Throttle.Begin(ctx, login, remote)
	if !ok {
		return identity.User{}, identity.ErrTooManyAttempts
	}
	defer func() {
		attempt.End(errors.Is(err, identity.ErrWrongCredentials) || errors.Is(err, identity.ErrDisabled) || errors.Is(err, identity.ErrLocked))
	}()
	return h.Source.Authenticate(ctx, login, password)
}

// Home serves the issuer's own address: who is logged in, or the login page.
func (h *Handler) Home(w http.ResponseWriter, r *http.Request) {
	_, user, err := h.current(r.Context(), r)
	switch {
	case errors.Is(err, session.ErrNotFound):
		h.show(w, r, http.StatusOK, request{}, clientregistry.Client{}, "", page.NoProblem)
	case err != nil:
		h.fail(w, r, request{}, &refusal{problem: page.Unavailable, cause: err})
	default:
		h.Pages.LoggedIn(w, r, page.LoggedIn{Username: user.Username, Name: user.Name, Email: user.Email, Groups: user.Groups})
	}
}
