// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

// Package console is the administration pages of an issuer: users, groups,
// clients, sessions and grants, signing keys and the audit trail, for people
// in a group of administrators. Whatever it does, a command of tegata does
// too.
//
// Who may see it is asked anew at each request, and everybody else is told
// that there is no such page. Nothing changes by GET. An act needs a login of
// the last minutes; it is a form that is answered with a redirect to the page
// that shows what came of it, and that takes back what was typed. What an
// administrator might do to themselves by mistake is refused.
//
//   - console.go: who may come in, and the map of the pages
//   - notice.go: what came of a form, on its way to the next page
//   - overview.go, users.go, user.go, groups.go, clients.go, logins.go, keys.go,
//     trail.go: the pages
package console

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/tegata/tegata/internal/audit"
	"github.com/tegata/tegata/internal/identity"
	"github.com/tegata/tegata/internal/oidc"
	"github.com/tegata/tegata/internal/provider/answer"
	"github.com/tegata/tegata/internal/provider/page"
	"github.com/tegata/tegata/internal/provider/session"
	"github.com/tegata/tegata/internal/seal"
	"github.com/tegata/tegata/internal/secret"
	"github.com/tegata/tegata/internal/signingkey"
)

// Administrators are the groups whose people see the pages.
type Administrators []string

// Allow reports whether somebody in these groups may see the pages.
func (a Administrators) Allow(groups []string) bool {
	return slices.ContainsFunc(groups, func(group string) bool { return slices.Contains(a, group) })
}

// without reports whether somebody may still see them who leaves a group.
func (a Administrators) without(groups []string, group string) bool {
	return a.Allow(slices.DeleteFunc(slices.Clone(groups), func(g string) bool { return g == group }))
}

// Logins tells who is there.
type Logins interface {
	// Current returns the browser's session and its user as the source knows
	// them now, or session.ErrNotFound, also if a second factor is lacking.
	Current(ctx context.Context, r *http.Request) (session.Session, identity.User, error)
	// LogIn asks for what is lacking; after it the browser goes to next, a
	// path below the issuer's.
	LogIn(w http.ResponseWriter, r *http.Request, next string)
}

// Handler serves the pages.
type Handler struct {
	Issuer         oidc.Issuer
	Administrators Administrators
	Sources        *identity.Sources
	Storage        Storage
	Keys           signingkey.Custody
	Health         Health
	Passwords      Passwords // nil: without local accounts
	// LinkAddress is where a person sets a password by the token of a link.
	LinkAddress func(token secret.String) secret.String
	Trail       Trail
	Logins      Logins
	Pages       *page.Renderer
	Seal        seal.Key // for notices
	Cookie      string   // the name of the cookie that carries one
	Audit       *audit.Trail
	Now         func() time.Time
	Log         *slog.Logger
}

// Storage is what the pages show and change.
type Storage interface {
	People
	Groups
	Clients
	Entries
	// Counts returns how many users, groups and clients there are, and how
	// many live sessions and grants.
	Counts(ctx context.Context, now time.Time) (users, groups, clients, sessions, grants int, err error)
}

const (
	// freshness is how old the login may be of who changes something.
	freshness = 15 * time.Minute
	// perPage is how many rows a list has.
	perPage = 50
	// maxForm is as much of a form as goes back to its page when something
	// in it is wrong.
	maxForm = 6 << 10
)

// visit is one request of an administrator.
type visit struct {
	w       http.ResponseWriter
	r       *http.Request
	session session.Session
	user    identity.User
	query   url.Values
	form    url.Values // of a POST
}

// Routes mounts the pages below the path of the issuer. own is put around
// everything that takes a form.
func (h *Handler) Routes(mux *http.ServeMux, base string, own func(http.Handler) http.Handler) {
	for path, show := range map[string]func(*visit) error{
		"": h.overview, "/users": h.users, "/users/add": h.newUser, "/user": h.user, "/groups": h.groups, "/group": h.group,
		"/clients": h.clients, "/clients/add": h.newClient, "/client": h.client, "/logins": h.logins, "/keys": h.keys, "/trail": h.trail,
	} {
		mux.HandleFunc("GET "+base+"/admin"+path, h.get(show))
	}
	for path, act := range map[string]func(*visit) error{
		"/users/add": h.addUser, "/user": h.changeUser, "/groups": h.addGroup, "/group": h.changeGroup,
		"/clients/add": h.addClient, "/client": h.changeClient, "/logins": h.end, "/keys": h.rotate,
	} {
		mux.Handle("POST "+base+"/admin"+path, own(h.post(act)))
	}
}

// get serves a page.
func (h *Handler) get(show func(*visit) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		query, err := url.ParseQuery(r.URL.RawQuery)
		if err != nil {
			h.fail(w, r, &refusal{page.BadRequest, err})
			return
		}
		again := query.Has("login")
		query.Del("login")
		v, ok := h.enter(w, r, h.here(r, query))
		if !ok {
			return
		}
		if v.query = query; again && !h.fresh(v) {
			h.Logins.LogIn(w, r, h.here(r, query))
			return
		}
		if err := show(v); err != nil {
			h.fail(w, r, err)
		}
	}
}

// post carries out an act, and goes to the page that shows what came of it.
func (h *Handler) post(act func(*visit) error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := r.ParseForm(); err != nil {
			h.fail(w, r, &refusal{page.BadRequest, err})
			return
		}
		v, ok := h.enter(w, r, "/admin")
		if !ok {
			return
		}
		v.form = r.PostForm
		if err := act(v); err != nil {
			h.fail(w, r, err)
		}
	})
}

// enter lets administrators in. If it reports false, the answer is written.
// next is where somebody goes who has to log in first.
func (h *Handler) enter(w http.ResponseWriter, r *http.Request, next string) (*visit, bool) {
	found, user, err := h.Logins.Current(r.Context(), r)
	switch {
	case errors.Is(err, session.ErrNotFound):
		h.Logins.LogIn(w, r, next)
	case err != nil:
		h.fail(w, r, fmt.Errorf("finding out who it is: %w", err))
	case !h.Administrators.Allow(user.Groups):
		h.Pages.Failure(w, r, http.StatusNotFound, page.Failure{Problem: page.NotFound})
	default:
		return &visit{w: w, r: r, session: found, user: user}, true
	}
	return nil, false
}

func (h *Handler) fresh(v *visit) bool { return h.Now().Sub(v.session.AuthTime) <= freshness }

// here is the address of a request below the issuer's.
func (h *Handler) here(r *http.Request, query url.Values) string {
	return at(r.URL.Path[len(h.base()):], query)
}

func (h *Handler) base() string {
	u, err := url.Parse(string(h.Issuer))
	if err != nil {
		return "" // the provider has looked
	}
	return u.Path
}

func at(path string, query url.Values) string {
	if len(query) == 0 {
		return path
	}
	return path + "?" + query.Encode()
}

// mayChange reports whether the login is young enough for an act. If not, the
// browser goes to the page back, which asks for another one.
func (h *Handler) mayChange(v *visit, path string, query url.Values) bool {
	if h.fresh(v) {
		return true
	}
	again := url.Values{"login": {"again"}}
	for name, values := range query {
		again[name] = values
	}
	h.leave(v, path, again, page.ConsoleNotice{What: page.LogInAgain})
	return false
}

// frame is what all pages have, as this one shows it.
func (h *Handler) frame(v *visit, area page.ConsoleArea, commands ...string) page.Console {
	f := page.Console{
		Who: cmp.Or(v.user.Name, v.user.Username), Here: area, Notice: h.notice(v), Back: h.here(v.r, v.query), Commands: commands,
	}
	if !h.fresh(v) {
		again := url.Values{"login": {"again"}}
		for name, values := range v.query {
			again[name] = values
		}
		f.Again = h.here(v.r, again)
	}
	return f
}

// record tells that an administrator did what a command of tegata does.
func (h *Handler) record(v *visit, command string, about audit.Event) {
	about.Act, about.Actor, about.Reason = audit.Administered, string(v.user.Subject), command
	about.Remote, about.Agent = v.r.RemoteAddr, v.r.UserAgent()
	h.Audit.Record(about)
	h.Log.LogAttrs(v.r.Context(), slog.LevelInfo, "administered", slog.String("actor", about.Actor), slog.String("act", command),
		slog.String("subject", string(about.Subject)), slog.String("client", string(about.Client)), slog.String("object", about.Object),
		slog.String("remote", about.Remote))
}

// refusal is a request that no page of ours sends.
type refusal struct {
	problem page.Problem
	cause   error
}

func (r *refusal) Error() string { return string(r.problem) + ": " + r.cause.Error() }

var errUnknownAct = &refusal{page.BadRequest, errors.New("a form that asks for no act that there is")}

// fail is the bridge from an error to the page.
func (h *Handler) fail(w http.ResponseWriter, r *http.Request, err error) {
	if refused, ok := errors.AsType[*refusal](err); ok {
		answer.Log(r, h.Log, err, "")
		h.Pages.Failure(w, r, http.StatusBadRequest, page.Failure{Problem: refused.problem})
		return
	}
	_, reference := answer.Classify(err)
	answer.Log(r, h.Log, err, reference)
	h.Pages.Failure(w, r, http.StatusServiceUnavailable, page.Failure{Problem: page.Unavailable, Reference: reference})
}
