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

	"github.com/tegata/tegata/internal/clientregistry"
	"github.com/tegata/tegata/internal/identity"
	"github.com/tegata/tegata/internal/oidc"
	"github.com/tegata/tegata/internal/provider/answer"
	"github.com/tegata/tegata/internal/provider/page"
	"github.com/tegata/tegata/internal/provider/session"
	"github.com/tegata/tegata/internal/secret"
)

// show writes the login page with the pending request sealed into it.
func (h *Handler) show(w http.ResponseWriter, r *http.Request, status int, req request, client clientregistry.Client, login string, problem page.Problem) {
	req.At = h.Now().Unix()
	plain, err := json.Marshal(req)
	if err != nil {
		h.fail(w, r, req, fmt.Errorf("encoding the pending request: %w", err))
		return
	}
	name := ""
	if req.Client != "" {
		name = client.DisplayName()
	}
	h.Pages.LogIn(w, r, status, page.LogIn{
		Client:      name,
		Request:     h.Seal.Seal(plain, h.bind(w, r)),
		Login:       login,
		Problem:     problem,
		RedirectURI: req.RedirectURI,
	})
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

// pending opens the request of a login page. It reports false for a page that
// is too old, was made for another browser, or was not made here.
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

// Login serves the form of the login page.
func (h *Handler) Login(w http.ResponseWriter, r *http.Request) {
	ctx := r.Context()
	if err := r.ParseForm(); err != nil {
		h.fail(w, r, request{}, &refusal{problem: page.BadRequest, detail: "the form cannot be decoded", cause: err})
		return
	}
	req, ok := h.pending(r)
	if !ok {
		h.fail(w, r, req, &refusal{problem: page.PageExpired, cause: errors.New("a login page that is too old or of another browser")})
		return
	}
	var client clientregistry.Client
	if req.Client != "" {
		var err error
		if client, err = h.Clients.Client(ctx, req.Client); errors.Is(err, clientregistry.ErrNotFound) {
			h.fail(w, r, req, &refusal{problem: page.UnknownClient, detail: fmt.Sprintf("client_id %q", req.Client)})
			return
		} else if err != nil {
			h.fail(w, r, req, &refusal{problem: page.Unavailable, cause: fmt.Errorf("finding the client: %w", err)})
			return
		}
	}

	if req.Client != "" && !client.AllowsRedirectURI(req.RedirectURI) {
		// It was taken away while the page was open.
		h.fail(w, r, req, &refusal{problem: page.WrongRedirectURI, detail: fmt.Sprintf("redirect_uri %.200q for client_id %q", req.RedirectURI, req.Client)})
		return
	}
	r.Form.Set("ui_locales", req.UILocales) // for the page, if it is shown again

	login, password := r.PostForm.Get("login"), secret.New(r.PostForm.Get("password"))
	// What was typed as the user name is not logged: people type passwords
	// there.
	again := func(status int, problem page.Problem) {
		h.Log.LogAttrs(ctx, slog.LevelWarn, "login refused", slog.String("problem", string(problem)),
			slog.String("client", string(req.Client)), slog.String("remote", r.RemoteAddr))
		h.show(w, r, status, req, client, login, problem)
	}
	user, err := h.authenticate(ctx, login, password, r.RemoteAddr)
	switch {
	case errors.Is(err, errTooManyAttempts):
		w.Header().Set("Retry-After", "30")
		again(http.StatusTooManyRequests, page.TooManyAttempts)
		return
	case errors.Is(err, identity.ErrWrongCredentials):
		again(http.StatusForbidden, page.WrongCredentials)
		return
	case errors.Is(err, identity.ErrDisabled):
		again(http.StatusForbidden, page.UserDisabled)
		return
	case err != nil:
		h.fail(w, r, req, &refusal{problem: page.Unavailable, cause: fmt.Errorf("authenticating: %w", err)})
		return
	}
	if req.Subject != "" && user.Subject != req.Subject {
		h.fail(w, r, req, &oidc.Error{Code: oidc.LoginRequired, Description: "another end user logged in than id_token_hint names"})
		return
	}
	begun, err := h.Sessions.Begin(ctx, w, r, user)
	if errors.Is(err, session.ErrOvertaken) {
		again(http.StatusForbidden, page.WrongCredentials)
		return
	}
	if err != nil {
		h.fail(w, r, req, &refusal{problem: page.Unavailable, cause: err})
		return
	}
	if req.Client == "" { // the issuer's own page
		h.leave(w, r, string(h.Issuer))
		return
	}
	h.finish(w, r, req, begun, user)
}

var errTooManyAttempts = errors.New("too many attempts to log in")

// authenticate asks the source, as often as the throttle allows.
func (h *Handler) authenticate(ctx context.Context, login string, password secret.String, remote string) (user identity.User, err error) {
	attempt, ok := h.Throttle.Begin(ctx, login, remote)
	if !ok {
		return identity.User{}, errTooManyAttempts
	}
	defer func() {
		attempt.End(errors.Is(err, identity.ErrWrongCredentials) || errors.Is(err, identity.ErrDisabled))
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

// LogOut serves the button that ends the browser's session.
func (h *Handler) LogOut(w http.ResponseWriter, r *http.Request) {
	if err := h.Sessions.End(r.Context(), w, r); err != nil {
		_, reference := answer.Classify(err)
		answer.Log(r, h.Log, err, reference)
		h.Pages.Failure(w, r, http.StatusServiceUnavailable, page.Failure{Problem: page.Unavailable, Reference: reference})
		return
	}
	h.leave(w, r, string(h.Issuer))
}
