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
	"strings"
	"time"

	"github.com/tegata/tegata/internal/audit"
	"github.com/tegata/tegata/internal/clientregistry"
	"github.com/tegata/tegata/internal/identity"
	"github.com/tegata/tegata/internal/oidc"
	"github.com/tegata/tegata/internal/provider/page"
	"github.com/tegata/tegata/internal/provider/session"
	"github.com/tegata/tegata/internal/secondfactor"
	"github.com/tegata/tegata/internal/secret"
)

// The second factor comes between the first proof and the session, or is
// added to a session that lacks it. Like a pending request, the step that
// waits for it is sealed into its page and stored nowhere. Whatever goes wrong
// here ends the login: there is no way around.
//
//	first proof ──► has factors ──► which one? ──► POST /factor ─────────────────────────► session
//	           └──► needs one ──► add the first ──► POST /factor ──► recovery codes ──► POST /factor ─┘

// step is a login that waits for its second factor.
type step struct {
	Request request         `json:"r"`
	Subject oidc.Subject    `json:"s"`
	Epoch   int64           `json:"e"`           // of the user, at the first proof
	How     session.Methods `json:"h,omitempty"` // the first proof
	Session string          `json:"b,omitempty"` // the one to raise; empty: one begins
	At      int64           `json:"t"`           // Unix seconds of the first proof

	Question *secondfactor.Question `json:"q,omitempty"` // to a passkey
	// While the first factor is added: the key of an app, in base32.
	Key string `json:"k,omitempty"`
	// After it: how it was proven, and what makes this page good once.
	Done secondfactor.Methods `json:"d,omitempty"`
	Once string               `json:"i,omitempty"`
}

// enrolFreshness is how old a session may be in which the first factor is
// added: as on the page for it, the password is fresh.
const enrolFreshness = 15 * time.Minute

// stepLifetime is from the first proof to the last page.
const stepLifetime = 15 * time.Minute

// lacks reports whether what was proven is too little for the client. Who has
// a second factor is always asked for it: it was their own choice.
func (h *Handler) lacks(ctx context.Context, req request, client clientregistry.Client, user identity.User, how session.Methods) (secondfactor.Set, bool, error) {
	if how.MultiFactor() {
		return nil, false, nil
	}
	has, err := h.Factors.Of(ctx, user.Subject)
	if err != nil {
		return nil, true, err
	}
	return has, has.Enrolled() || req.SecondFactor || h.Factors.Required(user, client.SecondFactor), nil
}

// Lacks reports whether the session is too little for the client, or, without
// one, for the issuer's own pages.
func (h *Handler) Lacks(ctx context.Context, s session.Session, user identity.User, client clientregistry.Client) (bool, error) {
	_, lacks, err := h.lacks(ctx, request{}, client, user, s.Methods)
	return lacks, err
}

// NeedsSecondFactor reports whether a password is too little for the user at
// the client.
func (h *Handler) NeedsSecondFactor(ctx context.Context, user identity.User, client clientregistry.Client) (bool, error) {
	return h.Lacks(ctx, session.Session{Methods: session.Methods{session.Password}}, user, client)
}

// afterFirst goes on after the first proof. What else another source says
// that it has seen counts only if it is trusted with that, by the policy.
func (h *Handler) afterFirst(w http.ResponseWriter, r *http.Request, req request, client clientregistry.Client, user identity.User, how session.Methods) {
	has, lacks, err := h.lacks(r.Context(), req, client, user, nil)
	switch {
	case err != nil:
		h.fail(w, r, req, &refusal{problem: page.Unavailable, cause: err})
	case lacks:
		h.showStep(w, r, http.StatusOK, step{
			Request: req, Subject: user.Subject, Epoch: user.Epoch, How: how, At: h.Now().Unix(),
		}, client, user, has, page.NoProblem)
	default:
		h.enter(w, r, req, client, user, how)
	}
}

// stepUp asks for the second factor that a session lacks.
func (h *Handler) stepUp(w http.ResponseWriter, r *http.Request, req request, client clientregistry.Client, s session.Session, user identity.User) {
	has, err := h.Factors.Of(r.Context(), user.Subject)
	switch {
	case err != nil:
		h.fail(w, r, req, &refusal{problem: page.Unavailable, cause: err})
		return
	case !has.Enrolled() && h.Now().Sub(s.AuthTime) > enrolFreshness:
		h.show(w, r, http.StatusOK, req, client, user.Username, page.NoProblem)
		return
	}
	h.showStep(w, r, http.StatusOK, step{
		Request: req, Subject: user.Subject, Epoch: user.Epoch, How: s.Methods, Session: s.ID, At: h.Now().Unix(),
	}, client, user, has, page.NoProblem)
}

// StepUp is the same on behalf of another page. After it the browser goes to
// next, a path below the issuer's.
func (h *Handler) StepUp(w http.ResponseWriter, r *http.Request, next string, s session.Session, user identity.User) {
	h.stepUp(w, r, request{Next: next}, clientregistry.Client{}, s, user)
}

// Raise adds a second factor, which another page has seen, to the session.
func (h *Handler) Raise(ctx context.Context, w http.ResponseWriter, s session.Session, how secondfactor.Methods) error {
	_, err := h.Sessions.Raise(ctx, w, s, how...)
	return err
}

// showStep writes the page that asks for a second factor, or, to a person
// without one, the page where they add it.
func (h *Handler) showStep(w http.ResponseWriter, r *http.Request, status int, s step, client clientregistry.Client, user identity.User, has secondfactor.Set, problem page.Problem) {
	unavailable := func(err error) { h.fail(w, r, s.Request, &refusal{problem: page.Unavailable, cause: err}) }
	ask, enrolling := h.Factors.AskPasskey, !has.Enrolled()
	if enrolling {
		ask = h.Factors.AskNewPasskey
		if s.Key == "" {
			s.Key = secondfactor.NewTOTP().Text().Reveal()
		}
	}
	s.Question = nil
	options := ""
	if h.Factors.Passkeys() && (enrolling || has.Has(secondfactor.KindPasskey)) {
		question, err := ask(user, has)
		if err != nil {
			unavailable(err)
			return
		}
		s.Question, options = &question, string(question.Options)
	}
	sealed, err := h.sealStep(w, r, s)
	if err != nil {
		unavailable(err)
		return
	}
	if enrolling {
		key, err := secondfactor.ParseTOTP(secret.New(s.Key))
		if err != nil {
			unavailable(err)
			return
		}
		h.Pages.FactorEnrol(w, r, status, page.FactorEnrol{
			Path: "/factor", Request: sealed, Required: true, Key: key.Text(), URI: h.Factors.URI(key, user), Passkey: options,
			Name: r.PostForm.Get("name"), Problem: problem, RedirectURI: s.Request.RedirectURI,
		})
		return
	}
	name := ""
	if s.Request.Client != "" {
		name = client.DisplayName()
	}
	h.Pages.Factor(w, r, status, page.Factor{
		Client: name, Request: sealed, Username: user.Username, Name: user.Name, App: has.Has(secondfactor.KindTOTP),
		Recovery: has.Has(secondfactor.KindRecovery), Passkey: options, Problem: problem, RedirectURI: s.Request.RedirectURI,
	})
}

func (h *Handler) sealStep(w http.ResponseWriter, r *http.Request, s step) (string, error) {
	plain, err := json.Marshal(s)
	if err != nil {
		return "", fmt.Errorf("encoding a pending login: %w", err)
	}
	return h.Seal.Derive("second factor").Seal(plain, h.bind(w, r)), nil
}

// openStep reads the step of a page. It reports false for one that is too
// old, was made for another browser, or was not made here.
func (h *Handler) openStep(r *http.Request) (s step, ok bool) {
	cookie, err := r.Cookie(h.Cookie)
	if err != nil {
		return s, false
	}
	plain, err := h.Seal.Derive("second factor").Open(r.PostForm.Get("request"), cookie.Value)
	if err != nil || json.Unmarshal(plain, &s) != nil {
		return step{}, false
	}
	age := h.Now().Sub(time.Unix(s.At, 0))
	return s, age >= -time.Minute && age < stepLifetime
}

// Factor serves the forms of these pages.
func (h *Handler) Factor(w http.ResponseWriter, r *http.Request) {
	ctx := r.Context()
	expired := func(why string) { h.fail(w, r, request{}, &refusal{problem: page.PageExpired, cause: errors.New(why)}) }
	if err := r.ParseForm(); err != nil {
		h.fail(w, r, request{}, &refusal{problem: page.BadRequest, detail: "the form cannot be decoded", cause: err})
		return
	}

	// Step 1: the login, its client and its user, as they are now.
	s, ok := h.openStep(r)
	if !ok {
		expired("a second factor on a page that is too old or of another browser")
		return
	}
	var client clientregistry.Client
	if s.Request.Client != "" {
		var err error
		if client, err = h.client(ctx, s.Request.Client, s.Request.RedirectURI); err != nil {
			h.fail(w, r, s.Request, err)
			return
		}
	}
	r.Form.Set("ui_locales", s.Request.UILocales)
	user, err := h.Sources.Lookup(ctx, s.Subject)
	if errors.Is(err, identity.ErrNotFound) || err == nil && (user.Disabled || user.Epoch != s.Epoch) {
		expired("a second factor after all logins of the user were ended")
		return
	}
	if err != nil {
		h.fail(w, r, s.Request, &refusal{problem: page.Unavailable, cause: fmt.Errorf("looking up the user: %w", err)})
		return
	}

	// Step 2: the proof.
	if s.Done != nil {
		first, err := h.Factors.Storage.Spend(ctx, "second factor "+s.Once, time.Unix(s.At, 0).Add(stepLifetime+time.Minute))
		switch {
		case err != nil:
			h.fail(w, r, s.Request, &refusal{problem: page.Unavailable, cause: err})
		case !first:
			expired("a page that was used before")
		default:
			h.afterSecond(w, r, s, client, user, s.Done)
		}
		return
	}
	has, err := h.Factors.Of(ctx, s.Subject)
	switch {
	case err != nil:
		h.fail(w, r, s.Request, &refusal{problem: page.Unavailable, cause: err})
	case has.Enrolled() && s.Key != "":
		// Another page was faster; this one must not add a second.
		s.Key = ""
		h.showStep(w, r, http.StatusOK, s, client, user, has, page.NoProblem)
	case has.Enrolled():
		h.prove(w, r, s, client, user, has)
	case s.Key != "":
		h.enrol(w, r, s, client, user)
	default:
		expired("a second factor that is there no more")
	}
}

// prove takes the proof of a factor that the person has.
func (h *Handler) prove(w http.ResponseWriter, r *http.Request, s step, client clientregistry.Client, user identity.User, has secondfactor.Set) {
	ctx := r.Context()
	again := func(status int, problem page.Problem, err error) {
		h.Log.LogAttrs(ctx, slog.LevelWarn, "second factor refused", slog.String("subject", string(user.Subject)),
			slog.String("client", string(s.Request.Client)), slog.String("remote", r.RemoteAddr), slog.Any("error", err))
		reason := string(problem)
		if errors.Is(err, secondfactor.ErrCloned) {
			reason = "cloned-passkey"
		}
		h.record(r, s, user, audit.LoginRefused, reason)
		h.showStep(w, r, status, s, client, user, has, problem)
	}
	attempt, ok := h.Throttle.BeginFactor(ctx, string(user.Subject))
	if !ok {
		w.Header().Set("Retry-After", "300")
		again(http.StatusTooManyRequests, page.TooManyCodes, errors.New("too many wrong codes"))
		return
	}
	var how secondfactor.Methods
	var err error
	problem := page.WrongCode
	credential, recovery := r.PostForm.Get("credential"), r.PostForm.Get("recovery")
	switch {
	case credential != "" && s.Question != nil:
		problem = page.WrongPasskey
		how, err = h.Factors.CheckPasskey(ctx, user, has, *s.Question, secret.New(credential))
	case recovery != "":
		problem = page.WrongRecovery
		how, err = h.Factors.CheckRecoveryCode(ctx, has, secret.New(recovery))
	default:
		how, err = h.Factors.CheckCode(ctx, has, secret.New(r.PostForm.Get("code")))
	}
	attempt.End(errors.Is(err, secondfactor.ErrWrong))
	switch {
	case errors.Is(err, secondfactor.ErrWrong):
		again(http.StatusForbidden, problem, err)
	case err != nil:
		h.fail(w, r, s.Request, &refusal{problem: page.Unavailable, cause: fmt.Errorf("checking a second factor: %w", err)})
	default:
		h.afterSecond(w, r, s, client, user, how)
	}
}

// enrol adds the first factor of a person who cannot go on without. Nobody
// but them knew the password, and from now on that is not enough.
func (h *Handler) enrol(w http.ResponseWriter, r *http.Request, s step, client clientregistry.Client, user identity.User) {
	ctx := r.Context()
	newcomer := secondfactor.Newcomer{User: user, Name: r.PostForm.Get("name"), OnlyFirst: true}
	var codes []secret.String
	var how secondfactor.Methods
	var err error
	problem := page.WrongCode
	if credential := r.PostForm.Get("credential"); credential != "" && s.Question != nil {
		problem = page.WrongPasskey
		codes, how, err = h.Factors.AddPasskey(ctx, newcomer, *s.Question, secret.New(credential))
	} else {
		var key secondfactor.TOTP
		if key, err = secondfactor.ParseTOTP(secret.New(s.Key)); err == nil {
			codes, how, err = h.Factors.AddTOTP(ctx, newcomer, key, secret.New(r.PostForm.Get("code")))
		}
	}
	switch {
	case errors.Is(err, secondfactor.ErrOvertaken):
		h.fail(w, r, s.Request, &refusal{problem: page.PageExpired, cause: err})
		return
	case errors.Is(err, secondfactor.ErrName):
		h.showStep(w, r, http.StatusBadRequest, s, client, user, nil, page.WrongName)
		return
	case errors.Is(err, secondfactor.ErrWrong):
		h.showStep(w, r, http.StatusForbidden, s, client, user, nil, problem)
		return
	case err != nil:
		h.fail(w, r, s.Request, &refusal{problem: page.Unavailable, cause: fmt.Errorf("adding a second factor: %w", err)})
		return
	}
	h.record(r, s, user, audit.FactorAdded, strings.Join(how, " "))
	s.Key, s.Question, s.Done, s.Once = "", nil, how, rand.Text()
	sealed, err := h.sealStep(w, r, s)
	if err != nil {
		h.fail(w, r, s.Request, err)
		return
	}
	h.Pages.RecoveryCodes(w, r, page.RecoveryCodes{Codes: codes, Request: sealed, RedirectURI: s.Request.RedirectURI})
}

// afterSecond goes on with a person who has proven both.
func (h *Handler) afterSecond(w http.ResponseWriter, r *http.Request, s step, client clientregistry.Client, user identity.User, how secondfactor.Methods) {
	h.record(r, s, user, audit.FactorProven, strings.Join(how, " "))
	if s.Session == "" {
		h.enter(w, r, s.Request, client, user, s.How.Raised(how...))
		return
	}
	found, err := h.Sessions.Find(r.Context(), r)
	if err == nil && (found.ID != s.Session || found.Subject != s.Subject) {
		err = session.ErrNotFound
	}
	if err == nil {
		found, err = h.Sessions.Raise(r.Context(), w, found, how...)
	}
	switch {
	case errors.Is(err, session.ErrNotFound):
		h.fail(w, r, s.Request, &refusal{problem: page.PageExpired, cause: err})
	case err != nil:
		h.fail(w, r, s.Request, &refusal{problem: page.Unavailable, cause: err})
	default:
		h.goOn(w, r, s.Request, client, found, user)
	}
}

func (h *Handler) record(r *http.Request, s step, user identity.User, act audit.Act, reason string) {
	h.Audit.Record(audit.Event{
		Act: act, Client: s.Request.Client, Subject: user.Subject, Source: user.Source, Session: s.Session, Remote: r.RemoteAddr,
		Agent: r.UserAgent(), Reason: reason,
	})
}
