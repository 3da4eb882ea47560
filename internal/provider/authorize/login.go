// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package authorize

import (
	"cmp"
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

// show begins the login: with the login page, or, if there is one source and
// it redirects, with that. The pending request is sealed into either.
func (h *Handler) show(w http.ResponseWriter, r *http.Request, status int, req request, client clientregistry.Client, login string, problem page.Problem) {
	req.Session, req.Login, req.Source = "", login, "" // it stands on none
	members := h.Sources.Members
	if len(members) == 1 && members[0].Redirect != nil && req.Client != "" && !req.prompt.Has("select_account") &&
		problem == page.NoProblem && r.Method == http.MethodGet {
		req.Unseen = true
		h.depart(w, r, req, client, members[0].Name)
		return
	}
	h.showAgain(w, r, status, req, client, problem, "")
}

// showAgain writes the login page, with what was typed and chosen before.
func (h *Handler) showAgain(w http.ResponseWriter, r *http.Request, status int, req request, client clientregistry.Client, problem page.Problem, detail string) {
	login, source := req.Login, req.Source
	req.Login, req.Source, req.Unseen = "", "", false
	sealed, err := h.sealed(w, r, req)
	if err != nil {
		h.fail(w, r, req, err)
		return
	}
	v := page.LogIn{Request: sealed, Login: login, Problem: problem, Detail: detail, RedirectURI: req.RedirectURI}
	if req.Client != "" {
		v.Client = client.DisplayName()
	}
	for _, m := range h.Sources.Members {
		if req.Client != "" && !client.AllowsSource(m.Name) {
			continue
		}
		choice := page.Choice{Name: m.Name, Title: title(m), Chosen: m.Name == source}
		if m.Passwords != nil {
			v.Sources = append(v.Sources, choice)
		} else {
			v.Elsewhere = append(v.Elsewhere, choice)
		}
	}
	h.Pages.LogIn(w, r, status, v)
}

// title is what people know a source by; local accounts have words of their
// own on the page.
func title(m identity.Member) string {
	if m.Name == identity.Local {
		return m.Title
	}
	return m.Words()
}

// sealed is the pending request as a page carries it.
func (h *Handler) sealed(w http.ResponseWriter, r *http.Request, req request) (string, error) {
	req.At = h.Now().Unix()
	plain, err := json.Marshal(req)
	if err != nil {
		return "", fmt.Errorf("encoding the pending request: %w", err)
	}
	return h.Seal.Seal(plain, "login page "+h.bind(w, r)), nil
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

// open reads the pending request that a page, or an answer from elsewhere,
// brings along. It reports false for what is too old, was made for another
// browser, or was not made here.
func (h *Handler) open(r *http.Request, sealed string) (request, bool) {
	cookie, err := r.Cookie(h.Cookie)
	if err != nil {
		return request{}, false
	}
	plain, err := h.Seal.Open(sealed, "login page "+cookie.Value)
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
	if req, ok = h.open(r, r.PostForm.Get("request")); !ok {
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
	req, client, ok := h.resume(w, r)
	if !ok {
		return
	}
	req.Source, req.Login = cmp.Or(r.PostForm.Get("source"), h.firstSource(client)), r.PostForm.Get("login")
	if elsewhere := r.PostForm.Get("elsewhere"); elsewhere != "" {
		h.depart(w, r, req, client, elsewhere)
		return
	}
	user, err := h.AuthenticateAt(r.Context(), req.Source, req.Login, secret.New(r.PostForm.Get("password")), r.RemoteAddr)
	if elsewhere, ok := errors.AsType[*identity.ElsewhereError](err); ok {
		h.depart(w, r, req, client, elsewhere.Source)
		return
	}
	h.proven(w, r, req, client, user, session.Methods{session.Password}, err)
}

// proven goes on after the first proof of who it is, or says why there is
// none.
func (h *Handler) proven(w http.ResponseWriter, r *http.Request, req request, client clientregistry.Client, user identity.User, how session.Methods, err error) {
	if err == nil {
		h.proceed(w, r, req, client, user, how)
		return
	}
	problem, status := problemOf(err)
	if problem == page.NoProblem {
		h.fail(w, r, req, &refusal{problem: page.Unavailable, cause: fmt.Errorf("authenticating: %w", err)})
		return
	}
	// What was typed as the user name is not logged: people type passwords
	// there.
	h.Log.LogAttrs(r.Context(), slog.LevelWarn, "login refused", slog.String("problem", string(problem)),
		slog.String("client", string(req.Client)), slog.String("remote", r.RemoteAddr), slog.Any("error", err))
	source := ""
	if _, known := h.Sources.Of(req.Source); known { // it was typed, or could have been
		source = req.Source
	}
	h.Audit.Record(audit.Event{
		Act: audit.LoginRefused, Client: req.Client, Source: source, Remote: r.RemoteAddr, Agent: r.UserAgent(), Reason: string(problem),
	})
	if problem == page.PasswordExpired && h.changesPasswords(req) {
		h.showPasswordChange(w, r, http.StatusForbidden, req, client, page.NoProblem, identity.PasswordRefusedError{}) // which says it all
		return
	}
	if status == http.StatusTooManyRequests {
		w.Header().Set("Retry-After", "30")
	}
	h.showAgain(w, r, status, req, client, problem, detailOf(err))
}

// problemOf is what a person is told of an error of a source, and
// page.NoProblem for what is none of their business.
func problemOf(err error) (page.Problem, int) {
	for _, known := range []struct {
		err     error
		problem page.Problem
		status  int
	}{
		{identity.ErrTooManyAttempts, page.TooManyAttempts, http.StatusTooManyRequests},
		{identity.ErrWrongCredentials, page.WrongCredentials, http.StatusForbidden},
		{identity.ErrDisabled, page.UserDisabled, http.StatusForbidden},
		{identity.ErrLocked, page.UserLocked, http.StatusForbidden},
		{identity.ErrPasswordExpired, page.PasswordExpired, http.StatusForbidden},
		{identity.ErrTemporaryExpired, page.TemporaryExpired, http.StatusForbidden},
		{session.ErrOvertaken, page.WrongCredentials, http.StatusForbidden},
	} {
		if errors.Is(err, known.err) {
			return known.problem, known.status
		}
	}
	if _, ok := errors.AsType[*identity.NameTakenError](err); ok {
		return page.NameTaken, http.StatusForbidden
	}
	if _, ok := errors.AsType[*identity.DeniedError](err); ok {
		return page.SourceDenied, http.StatusForbidden
	}
	if _, ok := errors.AsType[*identity.UnavailableError](err); ok {
		return page.SourceUnavailable, http.StatusServiceUnavailable
	}
	return page.NoProblem, 0
}

// detailOf is what the person is told besides.
func detailOf(err error) string {
	if denied, ok := errors.AsType[*identity.DeniedError](err); ok {
		return denied.Reason
	}
	if taken, ok := errors.AsType[*identity.NameTakenError](err); ok {
		return taken.Error()
	}
	return ""
}

// proceed goes on with a person whose proof was accepted: to the session, and
// to what they were asked for.
func (h *Handler) proceed(w http.ResponseWriter, r *http.Request, req request, client clientregistry.Client, user identity.User, how session.Methods) {
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
	h.afterFirst(w, r, req, client, user, how)
}

// enter begins the session of a person who has proven all that it takes.
func (h *Handler) enter(w http.ResponseWriter, r *http.Request, req request, client clientregistry.Client, user identity.User, how session.Methods) {
	begun, err := h.Sessions.Begin(r.Context(), w, r, user, how)
	if errors.Is(err, session.ErrOvertaken) {
		h.proven(w, r, req, client, user, how, err)
		return
	}
	if err != nil {
		h.fail(w, r, req, &refusal{problem: page.Unavailable, cause: err})
		return
	}
	h.Audit.Record(audit.Event{
		Act: audit.LoggedIn, Client: req.Client, Subject: user.Subject, Source: user.Source, Session: begun.ID, Remote: r.RemoteAddr, Agent: r.UserAgent(),
	})
	h.goOn(w, r, req, client, begun, user)
}

// goOn takes a person with a good session to what they were asked for.
func (h *Handler) goOn(w http.ResponseWriter, r *http.Request, req request, client clientregistry.Client, s session.Session, user identity.User) {
	switch {
	case req.Client == "": // the issuer's own page
		h.leave(w, r, string(h.Issuer)+req.Next)
	case h.asks(req, client, !req.Unseen):
		h.showConsent(w, r, req, client, s, user)
	default:
		h.finish(w, r, req, client, s, user)
	}
}

// Authenticate asks the source, as often as the throttle allows: for a client
// that may send passwords itself. remote is host:port. It returns
// identity.ErrTooManyAttempts besides the errors of the sources.
func (h *Handler) Authenticate(ctx context.Context, client clientregistry.Client, login string, password secret.String, remote string) (identity.User, error) {
	return h.AuthenticateAt(ctx, h.firstSource(client), login, password, remote)
}

// firstSource is where a login goes if nobody had a choice: to the first
// source that takes passwords and whose users may use the client.
func (h *Handler) firstSource(client clientregistry.Client) string {
	for _, m := range h.Sources.Members {
		if m.Passwords != nil && client.AllowsSource(m.Name) {
			return m.Name
		}
	}
	return ""
}

// AuthenticateAt is Authenticate at the source that a person chose; empty: they
// had no choice.
func (h *Handler) AuthenticateAt(ctx context.Context, source, login string, password secret.String, remote string) (user identity.User, err error) {
	err = h.throttled(ctx, login, remote, func() (err error) {
		user, err = h.Sources.AuthenticateAt(ctx, source, login, password)
		return err
	})
	return user, err
}

// throttled tries a password, if there were not too many failures before.
func (h *Handler) throttled(ctx context.Context, login, remote string, try func() error) (err error) {
	attempt, ok := h.Throttle.Begin(ctx, login, remote)
	if !ok {
		return identity.ErrTooManyAttempts
	}
	defer func() {
		attempt.End(errors.Is(err, identity.ErrWrongCredentials) || errors.Is(err, identity.ErrDisabled) || errors.Is(err, identity.ErrLocked))
	}()
	return try()
}
