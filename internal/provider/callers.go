// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"context"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/tegata/tegata/internal/clientregistry"
	"github.com/tegata/tegata/internal/oidc"
	"github.com/tegata/tegata/internal/provider/answer"
	"github.com/tegata/tegata/internal/provider/authorize"
	"github.com/tegata/tegata/internal/provider/claims"
	"github.com/tegata/tegata/internal/provider/device"
	"github.com/tegata/tegata/internal/provider/grant"
	"github.com/tegata/tegata/internal/provider/introspect"
	"github.com/tegata/tegata/internal/provider/page"
	"github.com/tegata/tegata/internal/provider/revoke"
	"github.com/tegata/tegata/internal/provider/token"
	"github.com/tegata/tegata/internal/provider/userinfo"
)

// callers are the endpoints that clients call themselves, over the parts that
// these share.
type callers struct {
	token      *token.Handler
	userinfo   *userinfo.Handler
	introspect *introspect.Handler
	revoke     *revoke.Handler
	device     *device.Handler
	origins    *origins
}

// newAuthenticator makes what every endpoint that a client calls asks first.
func newAuthenticator(c Config) *clientregistry.Authenticator {
	return &clientregistry.Authenticator{
		Clients: c.Storage, Issuer: c.Issuer, TokenEndpoint: string(c.Issuer) + pathToken, Identifiers: c.Storage,
		Authorities: c.ClientAuthorities, Now: c.Now,
	}
}

func newCallers(c Config, authenticator *clientregistry.Authenticator, logins *authorize.Handler, pages *page.Renderer) callers {
	refreshTokens := grant.RefreshTokens{Key: c.Secret.Derive("refresh token")}
	tokens := &grant.Tokens{
		Issuer: c.Issuer, Verifier: c.Keys, Grants: c.Storage, Clients: c.Storage, Source: c.Source, Identifiers: c.Storage,
		RefreshTokens: refreshTokens, Now: c.Now,
	}
	told := &claims.Claims{GroupsClaim: c.GroupsClaim}
	var checked token.Passwords
	if c.PasswordGrant {
		checked = logins
	}
	return callers{
		token: &token.Handler{
			Authenticator: authenticator,
			Clients:       c.Storage,
			Grants:        c.Storage,
			Source:        c.Source,
			Passwords:     checked,
			Factors:       logins.Factors,
			Tokens:        tokens,
			RefreshTokens: refreshTokens,
			RefreshIdle:   c.Lifetimes.RefreshIdle,
			ReplayWindow:  c.Lifetimes.ReplayWindow,
			GrantLifetime: c.Lifetimes.RefreshAbsolute,
			Pace:          token.NewPace(c.Now),
			Claims:        told,
			Mint: &token.Mint{
				Issuer: c.Issuer, Signer: c.Keys, SigningAlg: c.SigningAlg, IDTokenLifetime: c.Lifetimes.IDToken,
				AccessTokenLifetime: c.Lifetimes.AccessToken, Now: c.Now,
			},
			Audit: c.Audit,
			Now:   c.Now,
			Log:   c.Log,
		},
		userinfo: &userinfo.Handler{Tokens: tokens, Claims: told, Log: c.Log},
		introspect: &introspect.Handler{
			Issuer: c.Issuer, Authenticator: authenticator, Tokens: tokens, Audit: c.Audit, Log: c.Log,
		},
		revoke: &revoke.Handler{
			Authenticator: authenticator, Tokens: tokens, RefreshTokens: refreshTokens, Grants: c.Storage, Identifiers: c.Storage,
			Audit: c.Audit, Now: c.Now, Log: c.Log,
		},
		device: &device.Handler{
			Issuer:        c.Issuer,
			Path:          pathDevice,
			Authenticator: authenticator,
			Clients:       c.Storage,
			Storage:       c.Storage,
			Logins:        logins,
			Pages:         pages,
			UserCodes:     grant.UserCodes{Key: c.Secret.Derive("user code")},
			Seal:          c.Secret.Derive("device page"),
			Lifetime:      c.Lifetimes.DeviceCode,
			Interval:      token.PollInterval,
			GrantLifetime: c.Lifetimes.RefreshAbsolute,
			Limits:        device.NewLimits(c.Now),
			Audit:         c.Audit,
			Now:           c.Now,
			Log:           c.Log,
		},
		origins: &origins{storage: c.Storage, now: c.Now, log: c.Log},
	}
}

// routes mounts them.
func (c callers) routes(mux *http.ServeMux, base string) {
	mux.Handle("POST "+base+pathToken, c.token)
	mux.Handle("GET "+base+pathUserinfo, c.userinfo)
	mux.Handle("POST "+base+pathUserinfo, c.userinfo)
	mux.Handle("POST "+base+pathIntrospect, c.introspect)
	mux.Handle("POST "+base+pathRevoke, c.revoke)
	mux.HandleFunc("POST "+base+pathDeviceBegin, c.device.Begin)
	for path, methods := range map[string]string{
		pathPush: "POST", pathToken: "POST", pathUserinfo: "GET, POST", pathIntrospect: "POST", pathRevoke: "POST",
	} {
		mux.HandleFunc("OPTIONS "+base+path, c.origins.preflight(methods))
	}
}

// origins is the pages whose scripts may call some client's endpoints.
type origins struct {
	storage interface {
		ClientOrigins(ctx context.Context) ([]string, error)
	}
	now func() time.Time
	log *slog.Logger

	mu    sync.Mutex // guards the fields below
	until time.Time  // when known is read again
	known []string
}

// originsLifetime is how long what is known of origins is used. Anybody can
// ask, and the answer takes all clients into account.
const originsLifetime = 5 * time.Second

func (o *origins) allow(ctx context.Context, origin string) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if now := o.now(); !now.Before(o.until) {
		known, err := o.storage.ClientOrigins(ctx)
		if err != nil {
			o.log.LogAttrs(ctx, slog.LevelWarn, "origins of clients cannot be read", slog.Any("error", err))
			return false
		}
		o.known, o.until = known, now.Add(originsLifetime)
	}
	return slices.Contains(o.known, origin)
}

// preflight answers a browser that asks whether a script may send a request
// (the Fetch standard, CORS-preflight). It does not say for which client, so
// the origin of any will do; the answer to the request itself is for the
// pages of its client alone.
func (o *origins) preflight(methods string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Origin") == "" || r.Header.Get("Access-Control-Request-Method") == "" {
			w.Header().Set("Allow", strings.ReplaceAll(methods, "GET", "GET, HEAD"))
			w.WriteHeader(http.StatusMethodNotAllowed)
			return
		}
		answer.AllowOrigin(w, r, func(origin string) bool { return o.allow(r.Context(), origin) })
		if w.Header().Get("Access-Control-Allow-Origin") != "" {
			w.Header().Set("Access-Control-Allow-Methods", methods)
			w.Header().Set("Access-Control-Allow-Headers", "Authorization, Content-Type")
			w.Header().Set("Access-Control-Max-Age", "600")
		}
		w.WriteHeader(http.StatusNoContent)
	}
}

// describe says what is offered to clients (RFC 8414, section 2; RFC 8628,
// section 4; RFC 8705, section 3.3).
func describe(c Config, m *oidc.Metadata) {
	at := func(path string) string { return string(c.Issuer) + path }
	m.DeviceAuthorizationEndpoint = at(pathDeviceBegin)
	m.IntrospectionEndpoint = at(pathIntrospect)
	m.RevocationEndpoint = at(pathRevoke)

	m.GrantTypesSupported = slices.DeleteFunc(clientregistry.GrantTypes(), func(name string) bool {
		return name == oidc.GrantPassword && !c.PasswordGrant
	})
	for _, method := range clientregistry.Methods() {
		if c.ClientAuthorities != nil || method != clientregistry.TLS && method != clientregistry.SelfSignedTLS {
			m.TokenEndpointAuthMethodsSupported = append(m.TokenEndpointAuthMethodsSupported, string(method))
		}
	}
	m.TokenEndpointAuthSigningAlgValuesSupported = clientregistry.ProofAlgorithms()
	m.RevocationEndpointAuthMethodsSupported = m.TokenEndpointAuthMethodsSupported
	m.RevocationEndpointAuthSigningAlgValuesSupported = m.TokenEndpointAuthSigningAlgValuesSupported
	m.IntrospectionEndpointAuthMethodsSupported = slices.DeleteFunc(slices.Clone(m.TokenEndpointAuthMethodsSupported), func(name string) bool {
		return name == string(clientregistry.None)
	})
	m.IntrospectionEndpointAuthSigningAlgValuesSupported = m.TokenEndpointAuthSigningAlgValuesSupported
	m.TLSClientCertificateBoundAccessTokens = c.ClientAuthorities != nil
}
