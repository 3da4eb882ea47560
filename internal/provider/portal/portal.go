// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

// Package portal is what a person finds at the issuer's own address: who they
// are, their clusters with a kubeconfig for each, and their logins, which they
// can end.
//
//	/                           who am I, my clusters
//	/kubeconfig                 one for all of them
//	/clusters/NAME              one cluster: its kubeconfig in every form
//	/clusters/NAME/kubeconfig   the file
//	/clusters/NAME/legacy       the older form, with tokens in it
//	/account/logins             my devices and browsers
//
// A kubeconfig from here runs the credential plugin and holds no secret. The
// one exception is the older form, which is made by a form of its own, after a
// warning, and shown once.
//
// A cluster that a person may not see does not exist for them. What they end
// is looked at first: it must be theirs.
//
//   - portal.go: the handler and the first page
//   - cluster.go: clusters, who may see them, and what their API servers see
//   - kubeconfig.go: kubeconfigs, and the pages that hand them out
//   - shell.go: the same as lines for a shell
//   - legacy.go: the form with tokens
//   - logins.go: devices and browsers
package portal

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"time"

	"github.com/tegata/tegata/internal/audit"
	"github.com/tegata/tegata/internal/clientregistry"
	"github.com/tegata/tegata/internal/identity"
	"github.com/tegata/tegata/internal/oidc"
	"github.com/tegata/tegata/internal/provider/answer"
	"github.com/tegata/tegata/internal/provider/claims"
	"github.com/tegata/tegata/internal/provider/grant"
	"github.com/tegata/tegata/internal/provider/page"
	"github.com/tegata/tegata/internal/provider/session"
)

// Storage keeps the logins of people.
type Storage interface {
	// GrantsOf returns the newest live grants of a subject, at most so many.
	GrantsOf(ctx context.Context, subject oidc.Subject, most int, now time.Time) ([]grant.Grant, error)
	// SessionsOf returns the newest live sessions of a subject, at most so
	// many.
	SessionsOf(ctx context.Context, subject oidc.Subject, most int, now time.Time) ([]session.Session, error)
	// Grant returns grant.ErrNotFound if there is none.
	Grant(ctx context.Context, id string) (grant.Grant, error)
	// Session returns session.ErrNotFound if there is none.
	Session(ctx context.Context, id string) (session.Session, error)
	EndGrant(ctx context.Context, id string, now time.Time) error
	// LogOut ends the session, and the grants that stand on it alone. It
	// returns the clients that were granted something in it.
	LogOut(ctx context.Context, sessionID string, now time.Time) ([]oidc.ClientID, error)
}

// Logins is the login page of the issuer.
type Logins interface {
	// Current returns the browser's session and its user as the source knows
	// them now, or session.ErrNotFound.
	Current(ctx context.Context, r *http.Request) (session.Session, identity.User, error)
	// LogIn shows the login page; after it the browser goes to next, a path
	// below the issuer's.
	LogIn(w http.ResponseWriter, r *http.Request, next string)
	// Lacks reports whether the session wants a second factor before the
	// client may have something of it; without a client, before our own pages.
	Lacks(ctx context.Context, s session.Session, user identity.User, client clientregistry.Client) (bool, error)
	// StepUp asks for it; after it the browser goes to next.
	StepUp(w http.ResponseWriter, r *http.Request, next string, s session.Session, user identity.User)
}

// Tokens makes the tokens that the older form of kubeconfig holds.
type Tokens interface {
	// Issue gives a client the tokens of a new grant of the person, made in
	// the session. It returns an *oidc.Error if the client may not have them,
	// and session.ErrOvertaken if the session was ended.
	Issue(r *http.Request, client clientregistry.Client, user identity.User, s session.Session) (oidc.TokenResponse, error)
}

// BackChannel tells clients that a session ended.
type BackChannel interface {
	Tell(ctx context.Context, ended session.Session, clients []oidc.ClientID)
}

// Handler serves the portal of an issuer.
type Handler struct {
	Issuer oidc.Issuer
	// Authority is PEM: who signed the issuer's certificate, for the plugin;
	// nil if its machine knows that authority.
	Authority []byte
	Clusters  []Cluster
	// SourceTitles are the sources as people know them, by name.
	SourceTitles map[string]string
	// Offers are the places that other endpoints serve, and for whom.
	Offers []Offer

	Clients     clientregistry.Clients
	Claims      *claims.Claims
	GroupsClaim string // unless the client has its own
	Logins      Logins
	Sessions    *session.Sessions
	Storage     Storage
	Tokens      Tokens
	BackChannel BackChannel
	Pages       *page.Renderer
	Audit       *audit.Trail
	Now         func() time.Time
	Log         *slog.Logger
}

// Offer is a place for the people for whom it is there.
type Offer struct {
	Place page.Place
	For   func(identity.User) bool
}

// person is who looks at a page.
type person struct {
	session session.Session
	user    identity.User
}

// who returns who is logged in. Who is not sees the login page, and comes
// back to next. If it reports false, the answer is written.
func (h *Handler) who(w http.ResponseWriter, r *http.Request, next string) (person, bool) {
	found, user, err := h.Logins.Current(r.Context(), r)
	switch {
	case errors.Is(err, session.ErrNotFound):
		h.Logins.LogIn(w, r, next)
	case err != nil:
		h.fail(w, r, page.Unavailable, err)
	default:
		who := person{found, user}
		return who, h.enough(w, r, next, who, clientregistry.Client{})
	}
	return person{}, false
}

// enough asks for the second factor that the session lacks. If it reports
// false, the answer is written.
func (h *Handler) enough(w http.ResponseWriter, r *http.Request, next string, who person, client clientregistry.Client) bool {
	lacks, err := h.Logins.Lacks(r.Context(), who.session, who.user, client)
	switch {
	case err != nil:
		h.fail(w, r, page.Unavailable, err)
	case lacks:
		h.Logins.StepUp(w, r, next, who.session, who.user)
	default:
		return true
	}
	return false
}

// Account is what every page of a person who is logged in shows around it.
func (h *Handler) Account(user identity.User, here page.Place) page.Account {
	a := page.Account{Username: user.Username, Name: user.Name, Here: here}
	for _, place := range page.Places() {
		if place == page.PlaceHome || place == page.PlaceLogins || slices.ContainsFunc(h.Offers, func(o Offer) bool {
			return o.Place == place && o.For(user)
		}) {
			a.Places = append(a.Places, place)
		}
	}
	return a
}

// Home serves the first page.
func (h *Handler) Home(w http.ResponseWriter, r *http.Request) {
	who, ok := h.who(w, r, "")
	if !ok {
		return
	}
	all, err := h.offered(r.Context(), who.user)
	if err != nil {
		h.fail(w, r, page.Unavailable, err)
		return
	}
	v := page.Portal{
		Account: h.Account(who.user, page.PlaceHome), Email: who.user.Email, Groups: who.user.Groups, Source: h.sourceTitle(who.user.Source),
	}
	usable := 0
	for _, o := range all {
		seen := h.seen(r.Context(), o, who.user)
		if seen.Usable() {
			usable++
		}
		v.Clusters = append(v.Clusters, seen)
	}
	v.All = usable > 1
	h.Pages.Portal(w, r, v)
}

// sourceTitle is empty for what this server knows by itself.
func (h *Handler) sourceTitle(name string) string {
	if title := h.SourceTitles[name]; title != "" || name == identity.Local {
		return title
	}
	return name
}

// fail is the bridge from an error to the page.
func (h *Handler) fail(w http.ResponseWriter, r *http.Request, problem page.Problem, err error) {
	status, failure := http.StatusBadRequest, page.Failure{Problem: problem}
	switch problem {
	case page.Unavailable:
		status = http.StatusServiceUnavailable
		_, failure.Reference = answer.Classify(err)
	case page.NotFound:
		status = http.StatusNotFound
	}
	answer.Log(r, h.Log, err, failure.Reference)
	h.Pages.Failure(w, r, status, failure)
}

func (h *Handler) record(r *http.Request, event audit.Event) {
	event.Remote, event.Agent = r.RemoteAddr, r.UserAgent()
	h.Audit.Record(event)
}

// redirect answers a form.
func (h *Handler) redirect(w http.ResponseWriter, r *http.Request, path string) {
	w.Header().Set("Cache-Control", "no-store")
	http.Redirect(w, r, string(h.Issuer)+path, http.StatusSeeOther)
}

var errNoCluster = errors.New("there is no such cluster for this person")
