// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"context"
	"io"
	"net/http"
	"time"

	"github.com/tegata/tegata/internal/clientregistry"
	"github.com/tegata/tegata/internal/oidc"
	"github.com/tegata/tegata/internal/provider/account"
	"github.com/tegata/tegata/internal/provider/authorize"
	"github.com/tegata/tegata/internal/provider/console"
	"github.com/tegata/tegata/internal/provider/discovery"
	"github.com/tegata/tegata/internal/provider/factors"
	"github.com/tegata/tegata/internal/provider/logout"
	"github.com/tegata/tegata/internal/provider/page"
	"github.com/tegata/tegata/internal/provider/portal"
	"github.com/tegata/tegata/internal/provider/session"
	"github.com/tegata/tegata/internal/signingkey"
)

// endpoints are the parts of one issuer.
type endpoints struct {
	metadata  *discovery.Document
	keys      *discovery.Changing
	pages     *page.Renderer
	authorize *authorize.Handler
	logout    *logout.Handler
	factors   *factors.Handler
	portal    *portal.Handler
	console   *console.Handler // nil: there are no administrators
	account   *account.Handler
	callers
	ready   func(context.Context) error
	custody custody
}

// custody tells how the signing keys are.
type custody interface {
	Ready() error
	Warnings() []string
}

// The paths below the issuer's. Metadata names them, so they can change.
const (
	pathAuthorize = "/authorize"
	pathPush      = "/par"
	pathToken     = "/token"
	pathUserinfo  = "/userinfo"

	pathIntrospect  = "/introspect"
	pathRevoke      = "/revoke"
	pathDeviceBegin = "/device_authorization"
	pathDevice      = "/device"

	pathKeys      = "/keys"
	pathLogin     = "/login"
	pathChange    = "/login/password"
	pathCallback  = "/callback"
	pathFactor    = "/factor"
	pathFactors   = "/account/factors"
	pathConsent   = "/consent"
	pathLogOut    = "/logout"
	pathLoggedOut = "/logout/done"
	pathConfirm   = "/logout/confirm"
	pathHealth    = "/healthz" // the server's own, not below the issuer's
	pathReady     = "/readyz"
)

// routes is the whole map. base is the path of the issuer, "" or "/dex".
func (e endpoints) routes(base string) http.Handler {
	mux := http.NewServeMux()

	// What everybody may read.
	mux.Handle("GET "+base+"/.well-known/openid-configuration", e.metadata)
	mux.Handle("GET /.well-known/oauth-authorization-server"+base, e.metadata) // RFC 8414, section 3.1: before the path
	mux.Handle("GET "+base+pathKeys, e.keys)

	// What a browser shows. Forms are taken from our own pages alone.
	own := http.NewCrossOriginProtection()
	own.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		e.pages.Failure(w, r, http.StatusForbidden, page.Failure{Problem: page.PageExpired})
	}))
	mux.HandleFunc("GET "+base+pathAuthorize, e.authorize.Start)
	mux.HandleFunc("POST "+base+pathAuthorize, e.authorize.Start) // OpenID Connect Core 1.0, section 3.1.2.1
	mux.Handle("POST "+base+pathLogin, own.Handler(http.HandlerFunc(e.authorize.Login)))
	mux.Handle("POST "+base+pathChange, own.Handler(http.HandlerFunc(e.authorize.ChangePassword)))
	mux.Handle("POST "+base+pathFactor, own.Handler(http.HandlerFunc(e.authorize.Factor)))
	mux.HandleFunc("GET "+base+pathCallback, e.authorize.Return)
	mux.HandleFunc("GET "+base+pathCallback+"/{source}", e.authorize.Return)
	mux.Handle("POST "+base+pathConsent, own.Handler(http.HandlerFunc(e.authorize.Consent)))
	mux.HandleFunc("GET "+base+pathLogOut, e.logout.Start)
	mux.HandleFunc("POST "+base+pathLogOut, e.logout.Start) // RP-Initiated Logout 1.0, section 2
	mux.Handle("POST "+base+pathConfirm, own.Handler(http.HandlerFunc(e.logout.Confirm)))
	mux.HandleFunc("GET "+base+pathFactors, e.factors.List)
	mux.HandleFunc("GET "+base+pathFactors+"/add", e.factors.Choose)
	mux.Handle("POST "+base+pathFactors+"/add", own.Handler(http.HandlerFunc(e.factors.Add)))
	mux.Handle("POST "+base+pathFactors+"/recovery", own.Handler(http.HandlerFunc(e.factors.Renew)))
	mux.Handle("POST "+base+pathFactors+"/remove", own.Handler(http.HandlerFunc(e.factors.Remove)))
	mux.HandleFunc("GET "+base+pathLoggedOut, e.logout.Returned)
	mux.HandleFunc("GET "+base+pathDevice, e.device.Show)
	mux.Handle("POST "+base+pathDevice, own.Handler(http.HandlerFunc(e.device.Submit)))
	e.mountPortal(mux, base, own)
	if e.console != nil {
		e.console.Routes(mux, base, own.Handler)
	}
	e.mountAccount(mux, base, own)
	mux.HandleFunc("GET "+e.pages.AssetsPath(), e.pages.Asset)
	mux.HandleFunc("GET /", e.notFound)
	for _, path := range []string{pathLogin, pathChange, pathFactor, pathConsent, pathConfirm, pathPush, pathToken, pathIntrospect, pathRevoke, pathDeviceBegin} {
		mux.HandleFunc("GET "+base+path, e.postOnly)
	}

	// What a client calls.
	mux.HandleFunc("POST "+base+pathPush, e.authorize.Push)
	e.callers.routes(mux, base)

	// What a load balancer asks.
	mux.HandleFunc("GET "+pathHealth, func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte("ok\n")) })
	mux.HandleFunc("GET "+pathReady, e.readiness)
	return mux
}

func (e endpoints) notFound(w http.ResponseWriter, r *http.Request) {
	e.pages.Failure(w, r, http.StatusNotFound, page.Failure{Problem: page.NotFound})
}

// postOnly answers who looks at the address of a form: a reloaded page, or a
// client that sends its parameters in the address.
func (e endpoints) postOnly(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Allow", http.MethodPost)
	e.pages.Failure(w, r, http.StatusMethodNotAllowed, page.Failure{Problem: page.NotFound})
}

// readiness tells the truth within a second: a storage that does not answer
// is no storage, and a server that does not know the signing keys of the
// others would sign and publish wrong ones. A key that is too old is told, and
// does not take the server away from people who can still log in.
func (e endpoints) readiness(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), time.Second)
	defer cancel()
	if err := e.ready(ctx); err != nil {
		http.Error(w, "the storage does not answer", http.StatusServiceUnavailable)
		return
	}
	if e.custody.Ready() != nil {
		http.Error(w, "the signing keys cannot be read", http.StatusServiceUnavailable)
		return
	}
	io.WriteString(w, "ok\n")
	for _, warning := range e.custody.Warnings() {
		io.WriteString(w, "warning: "+warning+"\n")
	}
}

// metadata describes the issuer (OpenID Connect Discovery 1.0, section 3).
func metadata(c Config) oidc.Metadata {
	at := func(path string) string { return string(c.Issuer) + path }
	m := oidc.Metadata{
		Issuer:                           c.Issuer,
		AuthorizationEndpoint:            at(pathAuthorize),
		TokenEndpoint:                    at(pathToken),
		UserinfoEndpoint:                 at(pathUserinfo),
		JWKSURI:                          at(pathKeys),
		ScopesSupported:                  clientregistry.AllScopes(),
		ResponseTypesSupported:           []string{"code"},
		ResponseModesSupported:           authorize.ResponseModes(),
		SubjectTypesSupported:            []string{"public"},
		IDTokenSigningAlgValuesSupported: signingkey.Algorithms(),
		ClaimsSupported: []string{
			"iss", "sub", "aud", "exp", "iat", "auth_time", "nonce", "acr", "amr", "at_hash", "jti", "sid",
			"email", "email_verified", "name", "preferred_username", c.GroupsClaim,
		},
		ClaimTypesSupported:               []string{"normal"},
		CodeChallengeMethodsSupported:     []string{oidc.ChallengeS256},
		PromptValuesSupported:             []string{"none", "login", "consent", "select_account"},
		UILocalesSupported:                []string{"en", "ja"},
		DisplayValuesSupported:            []string{"page", "touch"},
		ACRValuesSupported:                session.ACRs(),
		AuthorizationResponseIssSupported: true,
		ClaimsParameterSupported:          true,

		PushedAuthorizationRequestEndpoint: at(pathPush),
		EndSessionEndpoint:                 at(pathLogOut),
		BackChannelLogoutSupported:         true,
		BackChannelLogoutSessionSupported:  true,
	}
	describe(c, &m)
	return m
}
