// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

// Package device is the device authorization endpoint and the page on which a
// person lets a device in (RFC 8628).
//
//	device ──POST /device_authorization──► codes ──► the person
//	person ──GET /device──► the code ──► log in ──► is it yours? ──POST──► grant
//	device ──POST /token, again and again──► tokens
//
// A device that waits is a row, because its code is too short to carry the
// request. So rows are bounded: they live for minutes, an address gets few at
// a time, and a client has a limit. A code can only be tried by a person who
// has logged in, and few times.
//
// That the person is who started it, nobody can prove (section 5.4): the page
// names the client, what it gets and where it asked from, and nothing has the
// focus.
//
//   - device.go: the endpoint for devices
//   - page.go: the page for people
//   - limit.go: how often an address may ask
package device

import (
	"context"
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
	"github.com/tegata/tegata/internal/seal"
)

// Storage keeps the devices that wait. Each change is atomic and on disk when
// the call returns.
type Storage interface {
	// AddDeviceRequest returns grant.ErrTooMany if so many devices of the
	// client wait already, and grant.ErrTaken if one of the issuer waits with
	// the same user code.
	AddDeviceRequest(ctx context.Context, d grant.DeviceRequest, most int) error
	// DeviceRequestByUserCode returns grant.ErrNotFound if there is none.
	DeviceRequestByUserCode(ctx context.Context, hash string) (grant.DeviceRequest, error)
	// AllowDevice keeps the grant and gives it to the device. It returns
	// grant.ErrDecided if the device does not wait any more, and
	// session.ErrOvertaken if the session was ended.
	AllowDevice(ctx context.Context, id string, g grant.Grant, sessionID string, now time.Time) error
	// DenyDevice returns grant.ErrDecided too.
	DenyDevice(ctx context.Context, id string, now time.Time) error
}

// Logins is the login page of the issuer.
type Logins interface {
	// Current returns the browser's session and its user as the source knows
	// them now, or session.ErrNotFound.
	Current(ctx context.Context, r *http.Request) (session.Session, identity.User, error)
	// LogIn shows the login page; after it the browser goes to next, a path
	// below the issuer's.
	LogIn(w http.ResponseWriter, r *http.Request, next string)
	// Lacks reports whether the session lacks a second factor that the client
	// wants; StepUp asks for it.
	Lacks(ctx context.Context, s session.Session, user identity.User, client clientregistry.Client) (bool, error)
	StepUp(w http.ResponseWriter, r *http.Request, next string, s session.Session, user identity.User)
}

// Handler serves both sides of an issuer's device authorization.
type Handler struct {
	Issuer        oidc.Issuer
	Path          string // of the page, below the issuer's
	Authenticator *clientregistry.Authenticator
	Clients       clientregistry.Clients
	Storage       Storage
	Logins        Logins
	Pages         *page.Renderer
	UserCodes     grant.UserCodes
	Seal          seal.Key      // for questions that are pending in a page
	Lifetime      time.Duration // of a device that waits
	Interval      time.Duration // between two requests of a device
	// GrantLifetime is how long a grant's refresh tokens work at the most,
	// unless the client has its own.
	GrantLifetime time.Duration
	Limits        *Limits
	Audit         *audit.Trail
	Now           func() time.Time
	Log           *slog.Logger
}

// maxWaiting is how many devices of one client wait at the most: more than
// there are people who log in within minutes, and so many that it takes many
// addresses to keep the others out.
const maxWaiting = 10_000

// Begin serves the device authorization endpoint (RFC 8628, section 3.1).
func (h *Handler) Begin(w http.ResponseWriter, r *http.Request) {
	body, err := h.begin(r)
	if err != nil {
		answer.Error(w, r, h.Log, err)
		return
	}
	answer.JSON(w, body)
}

func (h *Handler) begin(r *http.Request) ([]byte, error) {
	// Step 1: the client.
	form, err := answer.ReadForm(r)
	if err != nil {
		return nil, err
	}
	client, err := h.Authenticator.Authenticate(r)
	if err != nil {
		return nil, err
	}
	if !client.AllowsGrant(oidc.GrantDeviceCode) {
		return nil, &oidc.Error{Code: oidc.UnauthorizedClient, Description: "the client may not use the device code grant"}
	}
	if err := checkCodeChallenge(form); err != nil {
		return nil, err
	}
	if !h.Limits.begin(r.RemoteAddr) {
		return nil, tooMany("this address")
	}

	// Step 2: the row. Unknown scopes, and those beyond the client's, are left
	// out (RFC 6749, section 3.3).
	code, now := grant.NewDeviceCode(), h.Now()
	d := grant.DeviceRequest{
		ID:            grant.NewID(),
		Client:        client.ID,
		Scopes:        oidc.ParseScopes(form.Get("scope")).Only(client.AllowedScopes()),
		CodeHash:      grant.HashCode(code),
		CodeChallenge: form.Get("code_challenge"),
		From:          session.DeviceOf(r),
		CreatedAt:     now,
		ExpiresAt:     now.Add(h.Lifetime),
	}
	var userCode string
	for err = grant.ErrTaken; errors.Is(err, grant.ErrTaken); {
		userCode = h.UserCodes.New()
		d.UserCodeHash = h.UserCodes.Hash(userCode)
		err = h.Storage.AddDeviceRequest(r.Context(), d, maxWaiting)
	}
	if errors.Is(err, grant.ErrTooMany) {
		return nil, tooMany("this client")
	}
	if err != nil {
		return nil, fmt.Errorf("keeping the request of a device: %w", err)
	}

	// Step 3: the answer (RFC 8628, section 3.2). The code in the address is
	// shown again on the page, for comparison (section 3.3.1).
	address := string(h.Issuer) + h.Path
	return json.Marshal(struct {
		DeviceCode string `json:"device_code"`
		UserCode   string `json:"user_code"`
		URI        string `json:"verification_uri"`
		Complete   string `json:"verification_uri_complete"`
		ExpiresIn  int    `json:"expires_in"`
		Interval   int    `json:"interval"`
	}{
		code.Reveal(), userCode, address, address + "?" + url.Values{"user_code": {userCode}}.Encode(),
		int(h.Lifetime / time.Second), int(h.Interval / time.Second),
	})
}

// tooMany refuses for a while. There is no code for it at this endpoint, and
// slow_down means that polling goes on.
func tooMany(who string) error {
	return &oidc.Error{Code: oidc.TemporarilyUnavailable, Description: "too many devices of " + who + " wait; try again in a minute"}
}

// checkCodeChallenge takes PKCE, which a device may use like any client (RFC
// 7636): S256 or nothing.
func checkCodeChallenge(form url.Values) error {
	challenge, method := form.Get("code_challenge"), form.Get("code_challenge_method")
	switch {
	case challenge == "" && method == "":
		return nil
	case method != oidc.ChallengeS256:
		return &oidc.Error{Code: oidc.InvalidRequest, Description: "code_challenge_method must be S256"}
	case !oidc.ValidCodeChallenge(challenge):
		return &oidc.Error{Code: oidc.InvalidRequest, Description: "code_challenge is not 32 bytes in base64url"}
	}
	return nil
}
