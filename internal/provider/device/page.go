// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package device

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"time"

	"github.com/tegata/tegata/internal/audit"
	"github.com/tegata/tegata/internal/clientregistry"
	"github.com/tegata/tegata/internal/identity"
	"github.com/tegata/tegata/internal/oidc"
	"github.com/tegata/tegata/internal/provider/answer"
	"github.com/tegata/tegata/internal/provider/grant"
	"github.com/tegata/tegata/internal/provider/page"
	"github.com/tegata/tegata/internal/provider/session"
)

// question is what the page that asks carries, sealed for the session that it
// was shown to.
type question struct {
	Device string        `json:"d"`
	Client oidc.ClientID `json:"c"`
	Scopes oidc.Scopes   `json:"o"`
}

// Show serves the page: it asks for the code, unless the address has it.
func (h *Handler) Show(w http.ResponseWriter, r *http.Request) {
	if err := r.ParseForm(); err != nil {
		h.fail(w, r, page.BadRequest, fmt.Errorf("reading the form: %w", err))
		return
	}
	h.enter(w, r, r.Form.Get("user_code"))
}

// Submit serves the forms of both pages: the code, and the answer.
func (h *Handler) Submit(w http.ResponseWriter, r *http.Request) {
	if err := r.ParseForm(); err != nil {
		h.fail(w, r, page.BadRequest, fmt.Errorf("reading the form: %w", err))
		return
	}
	if sealed := r.PostForm.Get("request"); sealed != "" {
		h.decide(w, r, sealed)
		return
	}
	h.enter(w, r, r.PostForm.Get("user_code"))
}

// enter goes from the code to the question. Who has not logged in does so
// first, so that nobody else can try codes.
func (h *Handler) enter(w http.ResponseWriter, r *http.Request, typed string) {
	ctx := r.Context()
	if typed == "" {
		h.Pages.Device(w, r, http.StatusOK, page.Device{})
		return
	}
	code, ok := h.UserCodes.Read(typed)
	if !ok {
		h.Pages.Device(w, r, http.StatusNotFound, page.Device{UserCode: typed[:min(len(typed), 32)], Problem: page.WrongUserCode})
		return
	}
	found, user, err := h.Logins.Current(ctx, r)
	switch {
	case errors.Is(err, session.ErrNotFound):
		h.Logins.LogIn(w, r, h.Path+"?"+url.Values{"user_code": {code}}.Encode())
		return
	case err != nil:
		h.fail(w, r, page.Unavailable, err)
		return
	case !h.Limits.try(r.RemoteAddr, found.ID):
		w.Header().Set("Retry-After", "30")
		h.Pages.Device(w, r, http.StatusTooManyRequests, page.Device{UserCode: code, Problem: page.TooManyAttempts})
		return
	}
	d, err := h.Storage.DeviceRequestByUserCode(ctx, h.UserCodes.Hash(code))
	if errors.Is(err, grant.ErrNotFound) || err == nil && !d.Waits(h.Now()) {
		h.Log.LogAttrs(ctx, slog.LevelWarn, "user code refused", slog.String("subject", string(user.Subject)), slog.String("remote", r.RemoteAddr))
		h.Pages.Device(w, r, http.StatusNotFound, page.Device{UserCode: code, Problem: page.WrongUserCode})
		return
	}
	if err != nil {
		h.fail(w, r, page.Unavailable, fmt.Errorf("finding the request of a device: %w", err))
		return
	}
	h.Limits.right(r.RemoteAddr, found.ID)
	h.ask(w, r, d, code, found, user)
}

func (h *Handler) ask(w http.ResponseWriter, r *http.Request, d grant.DeviceRequest, code string, s session.Session, user identity.User) {
	client, ok := h.client(w, r, d.Client, user)
	if !ok {
		return
	}
	lacks, err := h.Logins.Lacks(r.Context(), s, user, client)
	switch {
	case err != nil:
		h.fail(w, r, page.Unavailable, err)
		return
	case lacks:
		h.Logins.StepUp(w, r, h.Path+"?"+url.Values{"user_code": {code}}.Encode(), s, user)
		return
	}
	plain, err := json.Marshal(question{d.ID, d.Client, d.Scopes})
	if err != nil {
		h.fail(w, r, page.Unavailable, fmt.Errorf("encoding a question: %w", err))
		return
	}
	// An ID token has all that the client may get, whether it asked or not.
	gets := append(oidc.Scopes{}, client.AllowedScopes().Only(oidc.Scopes{oidc.ScopeProfile, oidc.ScopeEmail, oidc.ScopeGroups})...)
	h.Pages.DeviceAsk(w, r, page.DeviceAsk{
		Client: client.DisplayName(), UserCode: code, Request: h.Seal.Seal(plain, s.ID), Username: user.Username, Name: user.Name,
		Device: d.From.Name, Address: d.From.Address, Minutes: int(h.Now().Sub(d.CreatedAt) / time.Minute), Scopes: gets,
	})
}

// client finds the client of a device again, which may not be what it was.
// If it reports false, the answer is written.
func (h *Handler) client(w http.ResponseWriter, r *http.Request, id oidc.ClientID, user identity.User) (clientregistry.Client, bool) {
	client, err := h.Clients.Client(r.Context(), id)
	switch {
	case errors.Is(err, clientregistry.ErrNotFound):
		h.fail(w, r, page.UnknownClient, fmt.Errorf("client_id %q: %w", id, err))
	case err != nil:
		h.fail(w, r, page.Unavailable, fmt.Errorf("finding the client: %w", err))
	case !client.AllowsGrant(oidc.GrantDeviceCode) || !client.AllowsSource(user.Source):
		h.fail(w, r, page.UnknownClient, fmt.Errorf("client %q may not let this end user in by a device", id))
	default:
		return client, true
	}
	return client, false
}

// decide carries out the answer.
func (h *Handler) decide(w http.ResponseWriter, r *http.Request, sealed string) {
	ctx := r.Context()
	found, user, err := h.Logins.Current(ctx, r)
	if err != nil && !errors.Is(err, session.ErrNotFound) {
		h.fail(w, r, page.Unavailable, err)
		return
	}
	var asked question
	plain, openErr := h.Seal.Open(sealed, found.ID)
	if err != nil || openErr != nil || json.Unmarshal(plain, &asked) != nil {
		h.fail(w, r, page.PageExpired, errors.New("a question that was put to another session, or to none"))
		return
	}
	client, ok := h.client(w, r, asked.Client, user)
	if !ok {
		return
	}
	// The question was put to a session that lacked nothing; the client may
	// want more since.
	switch lacks, err := h.Logins.Lacks(ctx, found, user, client); {
	case err != nil:
		h.fail(w, r, page.Unavailable, err)
		return
	case lacks:
		h.Logins.StepUp(w, r, h.Path, found, user)
		return
	}
	allowed := false
	switch r.PostForm.Get("answer") {
	case page.AnswerAllow:
		allowed = true
		err = h.allow(r, asked, client, found, user)
	case page.AnswerDeny:
		err = h.Storage.DenyDevice(ctx, asked.Device, h.Now())
		if err == nil {
			h.record(r, audit.Event{Act: audit.Denied, Client: client.ID, Subject: user.Subject, Session: found.ID, Reason: "the end user said no"})
		}
	default:
		h.fail(w, r, page.BadRequest, errors.New("a form without an answer"))
		return
	}
	switch {
	case errors.Is(err, grant.ErrDecided):
		h.Pages.Device(w, r, http.StatusNotFound, page.Device{Problem: page.WrongUserCode})
	case errors.Is(err, session.ErrOvertaken):
		h.fail(w, r, page.PageExpired, err)
	case err != nil:
		h.fail(w, r, page.Unavailable, fmt.Errorf("deciding on a device: %w", err))
	default:
		h.Pages.DeviceDone(w, r, page.DeviceDone{Client: client.DisplayName(), Allowed: allowed})
	}
}

// allow gives the device a grant, whose code is the device's. It is no part of
// the browser's session: who logs out here stays logged in there.
func (h *Handler) allow(r *http.Request, asked question, client clientregistry.Client, s session.Session, user identity.User) error {
	now := h.Now()
	g := grant.Grant{
		ID:        grant.NewID(),
		Client:    client.ID,
		Subject:   user.Subject,
		Scopes:    asked.Scopes.Only(client.AllowedScopes()),
		AuthTime:  s.AuthTime,
		Methods:   s.Methods,
		CreatedAt: now,
		ExpiresAt: now.Add(cmp.Or(client.Lifetimes.RefreshAbsolute, h.GrantLifetime)),
	}
	if err := h.Storage.AllowDevice(r.Context(), asked.Device, g, s.ID, now); err != nil {
		return err
	}
	h.Log.LogAttrs(r.Context(), slog.LevelInfo, "device allowed", slog.String("client", string(client.ID)),
		slog.String("subject", string(user.Subject)), slog.String("grant", g.ID), slog.String("remote", r.RemoteAddr))
	h.record(r, audit.Event{
		Act: audit.Granted, Client: client.ID, Subject: user.Subject, Source: user.Source, GrantType: oidc.GrantDeviceCode,
		Grant: g.ID, Session: s.ID,
	})
	return nil
}

func (h *Handler) record(r *http.Request, event audit.Event) {
	event.Remote, event.Agent = r.RemoteAddr, r.UserAgent()
	h.Audit.Record(event)
}

// fail is the bridge from an error to the page.
func (h *Handler) fail(w http.ResponseWriter, r *http.Request, problem page.Problem, err error) {
	status, failure := http.StatusBadRequest, page.Failure{Problem: problem}
	if problem == page.Unavailable {
		status = http.StatusServiceUnavailable
		_, failure.Reference = answer.Classify(err)
	}
	answer.Log(r, h.Log, err, failure.Reference)
	h.Pages.Failure(w, r, status, failure)
}
