// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"context"
	"net/http"
	"time"

	"github.com/tegata/tegata/internal/clientregistry"
	"github.com/tegata/tegata/internal/oidc"
	"github.com/tegata/tegata/internal/provider/authorize"
	"github.com/tegata/tegata/internal/provider/discovery"
	"github.com/tegata/tegata/internal/provider/page"
	"github.com/tegata/tegata/internal/provider/token"
	"github.com/tegata/tegata/internal/provider/userinfo"
	"github.com/tegata/tegata/internal/signingkey"
)

// endpoints are the parts of one issuer.
type endpoints struct {
	metadata  *discovery.Document
	keys      *discovery.Document
	pages     *page.Renderer
	authorize *authorize.Handler
	token     *token.Handler
	userinfo  *userinfo.Handler
	ready     func(context.Context) error
}

// The paths below the issuer's. Metadata names them, so they can change.
const (
	pathAuthorize = "/authorize"
	pathToken     = "/token"
	pathUserinfo  = "/userinfo"
	pathKeys      = "/keys"
	pathLogin     = "/login"
	pathLogOut    = "/logout"
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
	mux.Handle("POST "+base+pathLogOut, own.Handler(http.HandlerFunc(e.authorize.LogOut)))
	mux.HandleFunc("GET "+base+"/{$}", e.authorize.Home)
	if base != "" {
		mux.HandleFunc("GET "+base, e.authorize.Home)
	}
	mux.HandleFunc("GET "+e.pages.AssetsPath(), e.pages.Asset)
	mux.HandleFunc("GET /", e.notFound)
	for _, path := range []string{pathLogin, pathLogOut, pathToken} {
		mux.HandleFunc("GET "+base+path, e.postOnly)
	}

	// What a client calls.
	mux.Handle("POST "+base+pathToken, e.token)
	mux.Handle("GET "+base+pathUserinfo, e.userinfo)
	mux.Handle("POST "+base+pathUserinfo, e.userinfo)

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
// is no storage.
func (e endpoints) readiness(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), time.Second)
	defer cancel()
	if err := e.ready(ctx); err != nil {
		http.Error(w, "the storage does not answer", http.StatusServiceUnavailable)
		return
	}
	w.Write([]byte("ok\n"))
}

// metadata describes the issuer (OpenID Connect Discovery 1.0, section 3).
func metadata(c Config) oidc.Metadata {
	at := func(path string) string { return string(c.Issuer) + path }
	return oidc.Metadata{
		Issuer:                            c.Issuer,
		AuthorizationEndpoint:             at(pathAuthorize),
		TokenEndpoint:                     at(pathToken),
		UserinfoEndpoint:                  at(pathUserinfo),
		JWKSURI:                           at(pathKeys),
		ScopesSupported:                   clientregistry.AllScopes(),
		ResponseTypesSupported:            []string{"code"},
		ResponseModesSupported:            []string{"query"},
		GrantTypesSupported:               []string{oidc.GrantAuthorizationCode, oidc.GrantRefreshToken},
		SubjectTypesSupported:             []string{"public"},
		IDTokenSigningAlgValuesSupported:  signingkey.Algorithms(),
		TokenEndpointAuthMethodsSupported: []string{"client_secret_basic", "client_secret_post", "none"},
		ClaimsSupported: []string{
			"iss", "sub", "aud", "exp", "iat", "auth_time", "nonce", "at_hash", "jti", "sid",
			"email", "email_verified", "name", "preferred_username", c.GroupsClaim,
		},
		ClaimTypesSupported:               []string{"normal"},
		CodeChallengeMethodsSupported:     []string{oidc.ChallengeS256},
		PromptValuesSupported:             []string{"none", "login", "consent", "select_account"},
		UILocalesSupported:                []string{"en", "ja"},
		AuthorizationResponseIssSupported: true,
	}
}
