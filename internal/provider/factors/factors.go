// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

// Package factors is the pages on which people see, add and remove their
// second factors.
//
//	GET  /account/factors            ──► the list
//	GET  /account/factors/add        ──► an app or a passkey ──POST──► recovery codes, if it is the first
//	POST /account/factors/recovery   ──► new recovery codes
//	POST /account/factors/remove
//
// Who wants to change how they log in has logged in a short while ago, with a
// second factor if they have one. What a page carries is sealed for its
// session.
package factors

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/tegata/tegata/internal/audit"
	"github.com/tegata/tegata/internal/identity"
	"github.com/tegata/tegata/internal/oidc"
	"github.com/tegata/tegata/internal/provider/answer"
	"github.com/tegata/tegata/internal/provider/page"
	"github.com/tegata/tegata/internal/provider/session"
	"github.com/tegata/tegata/internal/seal"
	"github.com/tegata/tegata/internal/secondfactor"
	"github.com/tegata/tegata/internal/secret"
)

// Logins is the login page of the issuer. next is a path below the issuer's,
// to which the browser goes afterwards.
type Logins interface {
	// Current returns the browser's session and its user as the source knows
	// them now, or session.ErrNotFound. A session without the second factor
	// that its user has is none.
	Current(ctx context.Context, r *http.Request) (session.Session, identity.User, error)
	LogIn(w http.ResponseWriter, r *http.Request, next string)
	// Raise adds a second factor, which was proven here, to the session.
	Raise(ctx context.Context, w http.ResponseWriter, s session.Session, how secondfactor.Methods) error
}

// Handler serves these pages of an issuer.
type Handler struct {
	Issuer  oidc.Issuer
	Path    string // of the list, below the issuer's
	Factors *secondfactor.Factors
	Logins  Logins
	Pages   *page.Renderer
	Seal    seal.Key // for what is pending in a page
	Audit   *audit.Trail
	Now     func() time.Time
	Log     *slog.Logger
}

// freshness is how old a login may be that changes how one logs in.
const freshness = 15 * time.Minute

// pendingLifetime is how long the page that adds a factor is good.
const pendingLifetime = 30 * time.Minute

// pending is what that page carries: the key of an app, and the question to a
// passkey.
type pending struct {
	Key      string                 `json:"k"`
	Question *secondfactor.Question `json:"q,omitempty"`
	At       int64                  `json:"t"`
}

// visit is a person who may change their factors.
type visit struct {
	session session.Session
	user    identity.User
	has     secondfactor.Set
}

// enter finds the person. If it reports false, the answer is written.
func (h *Handler) enter(w http.ResponseWriter, r *http.Request, next string) (v visit, ok bool) {
	ctx := r.Context()
	if err := r.ParseForm(); err != nil {
		h.fail(w, r, page.BadRequest, fmt.Errorf("reading the form: %w", err))
		return v, false
	}
	var err error
	v.session, v.user, err = h.Logins.Current(ctx, r)
	if errors.Is(err, session.ErrNotFound) || err == nil && h.Now().Sub(v.session.AuthTime) > freshness {
		h.Logins.LogIn(w, r, next)
		return v, false
	}
	if err == nil {
		v.has, err = h.Factors.Of(ctx, v.user.Subject)
	}
	if err == nil && v.has.Enrolled() && !v.session.Methods.MultiFactor() { // since Current
		h.Logins.LogIn(w, r, next)
		return v, false
	}
	if err != nil {
		h.fail(w, r, page.Unavailable, err)
		return v, false
	}
	return v, true
}

// List serves the list.
func (h *Handler) List(w http.ResponseWriter, r *http.Request) {
	if v, ok := h.enter(w, r, h.Path); ok {
		h.list(w, r, http.StatusOK, v, page.NoProblem)
	}
}

func (h *Handler) list(w http.ResponseWriter, r *http.Request, status int, v visit, problem page.Problem) {
	shown := page.Factors{
		Username: v.user.Username, Name: v.user.Name, Required: v.has.Enrolled() && h.Factors.Required(v.user, false), Problem: problem,
	}
	for _, one := range v.has {
		if one.Kind == secondfactor.KindRecovery {
			shown.Left = one.Left()
			continue
		}
		shown.Factors = append(shown.Factors, page.FactorLine{
			ID: one.ID, Passkey: one.Kind == secondfactor.KindPasskey, Name: one.Name, Created: one.CreatedAt, Used: one.UsedAt,
		})
	}
	h.Pages.Factors(w, r, status, shown)
}

// Choose serves the page that adds a factor.
func (h *Handler) Choose(w http.ResponseWriter, r *http.Request) {
	if v, ok := h.enter(w, r, h.Path+"/add"); ok {
		h.choose(w, r, http.StatusOK, v, secondfactor.NewTOTP(), page.NoProblem)
	}
}

func (h *Handler) choose(w http.ResponseWriter, r *http.Request, status int, v visit, key secondfactor.TOTP, problem page.Problem) {
	carried, options := pending{Key: key.Text().Reveal(), At: h.Now().Unix()}, ""
	if h.Factors.Passkeys() {
		question, err := h.Factors.AskNewPasskey(v.user, v.has)
		if err != nil {
			h.fail(w, r, page.Unavailable, err)
			return
		}
		carried.Question, options = &question, string(question.Options)
	}
	plain, err := json.Marshal(carried)
	if err != nil {
		h.fail(w, r, page.Unavailable, fmt.Errorf("encoding a new factor: %w", err))
		return
	}
	h.Pages.FactorEnrol(w, r, status, page.FactorEnrol{
		Path: h.Path + "/add", Request: h.Seal.Seal(plain, v.session.ID), Key: key.Text(), URI: h.Factors.URI(key, v.user),
		Passkey: options, Name: r.PostForm.Get("name"), Problem: problem,
	})
}

// Add serves its forms.
func (h *Handler) Add(w http.ResponseWriter, r *http.Request) {
	v, ok := h.enter(w, r, h.Path+"/add")
	if !ok {
		return
	}
	ctx := r.Context()
	var carried pending
	plain, err := h.Seal.Open(r.PostForm.Get("request"), v.session.ID)
	if err == nil {
		err = json.Unmarshal(plain, &carried)
	}
	if age := h.Now().Sub(time.Unix(carried.At, 0)); err == nil && (age < -time.Minute || age >= pendingLifetime) {
		err = errors.New("a page that is too old")
	}
	if err != nil {
		h.fail(w, r, page.PageExpired, err)
		return
	}
	key, err := secondfactor.ParseTOTP(secret.New(carried.Key))
	if err != nil {
		h.fail(w, r, page.Unavailable, err)
		return
	}
	newcomer := secondfactor.Newcomer{User: v.user, Name: r.PostForm.Get("name"), OnlyFirst: !v.has.Enrolled()}
	var codes []secret.String
	var how secondfactor.Methods
	problem := page.WrongCode
	if credential := r.PostForm.Get("credential"); credential != "" && carried.Question != nil {
		problem = page.WrongPasskey
		codes, how, err = h.Factors.AddPasskey(ctx, newcomer, *carried.Question, secret.New(credential))
	} else {
		codes, how, err = h.Factors.AddTOTP(ctx, newcomer, key, secret.New(r.PostForm.Get("code")))
	}
	switch {
	case errors.Is(err, secondfactor.ErrWrong):
		h.choose(w, r, http.StatusForbidden, v, key, problem)
		return
	case errors.Is(err, secondfactor.ErrName):
		h.choose(w, r, http.StatusBadRequest, v, key, page.WrongName)
		return
	case errors.Is(err, secondfactor.ErrTooMany):
		h.list(w, r, http.StatusForbidden, v, page.TooManyFactors)
		return
	case errors.Is(err, secondfactor.ErrOvertaken):
		h.fail(w, r, page.PageExpired, err)
		return
	case err != nil:
		h.fail(w, r, page.Unavailable, fmt.Errorf("adding a second factor: %w", err))
		return
	}
	h.record(r, v, audit.FactorAdded, strings.Join(how, " "))
	if !v.session.Methods.MultiFactor() {
		if err := h.Logins.Raise(ctx, w, v.session, how); err != nil {
			h.fail(w, r, page.Unavailable, err)
			return
		}
	}
	if codes != nil {
		h.Pages.RecoveryCodes(w, r, page.RecoveryCodes{Codes: codes})
		return
	}
	h.back(w, r)
}

// Renew serves the button that makes new recovery codes. They are the answer
// itself, because they are kept nowhere that a second page could read.
func (h *Handler) Renew(w http.ResponseWriter, r *http.Request) {
	v, ok := h.enter(w, r, h.Path)
	if !ok {
		return
	}
	codes, err := h.Factors.RenewRecoveryCodes(r.Context(), v.user)
	switch {
	case errors.Is(err, secondfactor.ErrNotFound):
		h.back(w, r)
	case err != nil:
		h.fail(w, r, page.Unavailable, fmt.Errorf("making recovery codes: %w", err))
	default:
		h.record(r, v, audit.FactorAdded, "recovery codes")
		h.Pages.RecoveryCodes(w, r, page.RecoveryCodes{Codes: codes})
	}
}

// Remove serves the button that removes a factor. The recovery codes go with
// the last of the others, and not by themselves.
func (h *Handler) Remove(w http.ResponseWriter, r *http.Request) {
	v, ok := h.enter(w, r, h.Path)
	if !ok {
		return
	}
	for _, one := range v.has {
		if one.ID != r.PostForm.Get("id") || one.Kind == secondfactor.KindRecovery {
			continue
		}
		err := h.Factors.Storage.RemoveSecondFactor(r.Context(), v.user.Subject, one.ID)
		if err != nil && !errors.Is(err, secondfactor.ErrNotFound) {
			h.fail(w, r, page.Unavailable, fmt.Errorf("removing a second factor: %w", err))
			return
		}
		h.record(r, v, audit.FactorRemoved, string(one.Kind)+" "+one.ID)
	}
	h.back(w, r)
}

func (h *Handler) back(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	http.Redirect(w, r, string(h.Issuer)+h.Path, http.StatusSeeOther)
}

func (h *Handler) record(r *http.Request, v visit, act audit.Act, reason string) {
	h.Audit.Record(audit.Event{
		Act: act, Subject: v.user.Subject, Source: v.user.Source, Session: v.session.ID, Remote: r.RemoteAddr, Agent: r.UserAgent(), Reason: reason,
	})
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
