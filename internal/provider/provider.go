// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

// Package provider is one issuer as an [http.Handler]: an OpenID Provider
// (OpenID Connect Core 1.0) over finished parts. It knows no database, no
// file and no flag; package admin hands it what it needs.
//
// routes.go is the map of the whole: each line names an endpoint and the
// package that serves it.
package provider

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/tegata/tegata/internal/audit"
	"github.com/tegata/tegata/internal/clientregistry"
	"github.com/tegata/tegata/internal/identity"
	"github.com/tegata/tegata/internal/oidc"
	"github.com/tegata/tegata/internal/provider/account"
	"github.com/tegata/tegata/internal/provider/authorize"
	"github.com/tegata/tegata/internal/provider/console"
	"github.com/tegata/tegata/internal/provider/device"
	"github.com/tegata/tegata/internal/provider/discovery"
	"github.com/tegata/tegata/internal/provider/factors"
	"github.com/tegata/tegata/internal/provider/grant"
	"github.com/tegata/tegata/internal/provider/logout"
	"github.com/tegata/tegata/internal/provider/page"
	"github.com/tegata/tegata/internal/provider/portal"
	"github.com/tegata/tegata/internal/provider/session"
	"github.com/tegata/tegata/internal/provider/token"
	"github.com/tegata/tegata/internal/seal"
	"github.com/tegata/tegata/internal/secondfactor"
	"github.com/tegata/tegata/internal/signingkey"
)

// Storage keeps the clients, sessions and grants of one issuer. Each endpoint
// sees the few methods that it declares itself.
type Storage interface {
	clientregistry.Clients
	session.Storage
	authorize.Grants
	logout.Storage
	token.Grants
	device.Storage
	portal.Storage
	console.Storage
	account.Storage
	clientregistry.Identifiers
	grant.Identifiers
	secondfactor.Storage
	// ClientOrigins returns the origins of all clients.
	ClientOrigins(ctx context.Context) ([]string, error)
}

// Config is what an issuer is made of.
type Config struct {
	// ID tells the issuers of a server apart. It stays when the URL changes.
	ID          string
	Issuer      oidc.Issuer
	Storage     Storage
	Source      identity.Source
	Keys        *signingkey.KeySet
	Secret      seal.Key // the issuer's own; purposes are derived from it
	SigningAlg  string   // of ID tokens; empty: RS256
	GroupsClaim string   // empty: groups
	Lifetimes   Lifetimes
	// Throttle is what is known of those who guess; nil: nothing yet. Two
	// providers of the same issuer, one after the other, share it.
	Throttle *authorize.Throttle
	// SecondFactor says who needs one.
	SecondFactor secondfactor.Policy
	// PasswordGrant lets clients that may send passwords themselves.
	PasswordGrant bool
	// ClientAuthorities vouch for certificates of clients. If it is not nil,
	// the server must ask for certificates.
	ClientAuthorities *x509.CertPool
	// Clusters are those that the portal offers.
	Clusters []portal.Cluster
	// Authority is PEM: who signed the issuer's certificate, for kubeconfigs
	// of the portal; nil: an authority that everybody's machine knows.
	Authority []byte
	// SourceTitles are the sources as people know them, by name.
	SourceTitles map[string]string
	// Administration is for people who may do more than others.
	Administration Administration
	// Ready reports whether the storage answers, within the context's
	// deadline.
	Ready func(context.Context) error
	// BackChannel is how clients are told of a logout; nil: by https, with
	// the system's certificate authorities.
	BackChannel *http.Client
	Audit       *audit.Trail     // nil: nobody is told
	Now         func() time.Time // nil: time.Now
	Log         *slog.Logger     // nil: no log
}

// Lifetimes are how long things last. A zero value means its default.
type Lifetimes struct {
	LoginPage       time.Duration // from the page to the password; 30 minutes
	Code            time.Duration // from the redirect to the token request; 1 minute
	IDToken         time.Duration // 15 minutes
	AccessToken     time.Duration // 15 minutes
	DeviceCode      time.Duration // from the code on the device to the answer of the person; 10 minutes
	Session         time.Duration // of a browser, used or not; 12 hours
	SessionIdle     time.Duration // of a browser's session that nobody uses; 2 hours
	RefreshIdle     time.Duration // of a refresh token that nobody uses; 7 days
	RefreshAbsolute time.Duration // of a login, refreshed or not; 30 days
	ReplayWindow    time.Duration // for a refresh token whose answer was lost; 30 seconds
}

func defaultLifetimes() Lifetimes {
	return Lifetimes{
		LoginPage:       30 * time.Minute,
		Code:            time.Minute,
		IDToken:         15 * time.Minute,
		AccessToken:     15 * time.Minute,
		DeviceCode:      10 * time.Minute,
		Session:         12 * time.Hour,
		SessionIdle:     2 * time.Hour,
		RefreshIdle:     7 * 24 * time.Hour,
		RefreshAbsolute: 30 * 24 * time.Hour,
		ReplayWindow:    30 * time.Second,
	}
}

func (l Lifetimes) withDefaults() Lifetimes {
	defaults := defaultLifetimes()
	for _, pair := range []struct{ value, fallback *time.Duration }{
		{&l.LoginPage, &defaults.LoginPage},
		{&l.Code, &defaults.Code},
		{&l.IDToken, &defaults.IDToken},
		{&l.AccessToken, &defaults.AccessToken},
		{&l.DeviceCode, &defaults.DeviceCode},
		{&l.Session, &defaults.Session},
		{&l.SessionIdle, &defaults.SessionIdle},
		{&l.RefreshIdle, &defaults.RefreshIdle},
		{&l.RefreshAbsolute, &defaults.RefreshAbsolute},
		{&l.ReplayWindow, &defaults.ReplayWindow},
	} {
		if *pair.value == 0 {
			*pair.value = *pair.fallback
		}
	}
	return l
}

// CheckIssuer tells why a URL cannot be an issuer, or returns nil (OpenID
// Connect Core 1.0, section 2: https, without query and fragment; a path is
// allowed). API servers compare it byte by byte, so only one spelling of it
// is taken.
func CheckIssuer(issuer oidc.Issuer) error {
	u, err := url.Parse(string(issuer))
	switch {
	case err != nil:
		return fmt.Errorf("issuer %q is not a URL", issuer)
	case !strings.HasPrefix(string(issuer), "https://"):
		return fmt.Errorf("issuer %q must begin with https://", issuer)
	case u.Host == "" || u.User != nil:
		return fmt.Errorf("issuer %q must be https://HOST, with a path if you like", issuer)
	case u.RawQuery != "" || u.ForceQuery || strings.Contains(string(issuer), "#"):
		return fmt.Errorf("issuer %q must have no query and no fragment", issuer)
	case strings.HasSuffix(string(issuer), "/"):
		return fmt.Errorf("issuer %q ends with a slash; leave it out, here and in every client", issuer)
	case u.Host != strings.ToLower(u.Host):
		return fmt.Errorf("issuer %q has capital letters in its host", issuer)
	case u.EscapedPath() != u.Path || strings.Contains(u.Path, "//") || strings.Contains(u.Path, "/.") || strings.ContainsAny(u.Path, "{}"):
		return fmt.Errorf("issuer %q has a path with unusual characters", issuer)
	case u.Path == pathHealth || u.Path == pathReady:
		return fmt.Errorf("issuer %q has a path at which the server tells its health", issuer)
	}
	return nil
}

// Provider serves one issuer.
type Provider struct {
	handler     http.Handler
	backChannel *logout.BackChannel
}

// New makes the provider of an issuer.
func New(c Config) (*Provider, error) {
	if err := CheckIssuer(c.Issuer); err != nil {
		return nil, err
	}
	if c.ID == "" || c.Storage == nil || c.Source == nil || c.Keys == nil || c.Ready == nil {
		return nil, errors.New("an issuer needs an ID, a storage, a source, signing keys and a readiness check")
	}
	if c.SigningAlg == "" {
		c.SigningAlg = signingkey.RS256
	}
	if c.GroupsClaim == "" {
		c.GroupsClaim = "groups"
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Throttle == nil {
		c.Throttle = authorize.NewThrottle(c.Now)
	}
	c.Lifetimes = c.Lifetimes.withDefaults()
	u, err := url.Parse(string(c.Issuer))
	if err != nil {
		return nil, err
	}
	pages, err := page.New(u)
	if err != nil {
		return nil, err
	}
	metadata, err := json.Marshal(metadata(c))
	if err != nil {
		return nil, fmt.Errorf("encoding the metadata: %w", err)
	}
	sessions := &session.Sessions{
		Storage: c.Storage, Cookie: "__Host-tegata-session-" + c.ID,
		Lifetime: c.Lifetimes.Session, Idle: c.Lifetimes.SessionIdle, Now: c.Now,
	}
	backChannel := &logout.BackChannel{
		Issuer: c.Issuer, Clients: c.Storage, Signer: c.Keys, SigningAlg: c.SigningAlg, HTTP: c.BackChannel, Now: c.Now, Log: c.Log,
	}
	sources, ok := c.Source.(*identity.Sources)
	if !ok {
		sources = identity.Only(c.Source)
	}
	for _, m := range sources.Members {
		if m.OwnSecondFactor {
			c.SecondFactor.Exempt = append(slices.Clone(c.SecondFactor.Exempt), m.Name)
		}
	}
	second, err := secondfactor.New(c.Issuer, c.Storage, c.Secret.Derive("second factor"), c.SecondFactor, c.Now)
	if err != nil {
		return nil, err
	}
	authenticator := newAuthenticator(c)
	e := endpoints{
		metadata: discovery.New(metadata, discovery.MetadataLifetime),
		keys:     discovery.Follow(c.Keys.JWKS, c.Keys.MaxAge()),
		pages:    pages,
		authorize: &authorize.Handler{
			Issuer:        c.Issuer,
			Clients:       c.Storage,
			Authenticator: authenticator,
			Verifier:      c.Keys,
			Sources:       sources,
			Callback:      string(c.Issuer) + pathCallback,
			Sessions:      sessions,
			Grants:        c.Storage,
			Pages:         pages,
			Seal:          c.Secret.Derive("login page"),
			PushedSeal:    c.Secret.Derive("pushed authorization request"),
			Cookie:        "__Host-tegata-browser-" + c.ID,
			PageLifetime:  c.Lifetimes.LoginPage,
			CodeLifetime:  c.Lifetimes.Code,
			GrantLifetime: c.Lifetimes.RefreshAbsolute,
			Throttle:      c.Throttle,
			Factors:       second,
			Audit:         c.Audit,
			Now:           c.Now,
			Log:           c.Log,
		},
		logout: &logout.Handler{
			Issuer: c.Issuer, Clients: c.Storage, Verifier: c.Keys, Sources: sources, Done: string(c.Issuer) + pathLoggedOut, Sessions: sessions, Storage: c.Storage,
			BackChannel: backChannel, Pages: pages, Seal: c.Secret.Derive("logout page"), PageLifetime: c.Lifetimes.LoginPage,
			Audit: c.Audit, Now: c.Now, Log: c.Log,
		},
		ready:   c.Ready,
		custody: c.Keys,
	}
	e.factors = &factors.Handler{
		Issuer: c.Issuer, Path: pathFactors, Factors: second, Logins: e.authorize, Pages: pages, Seal: c.Secret.Derive("factors page"),
		Audit: c.Audit, Now: c.Now, Log: c.Log,
	}
	e.callers = newCallers(c, authenticator, e.authorize, pages)
	e.portal = newPortal(c, e, sessions, backChannel)
	e.account = newAccount(c, e, sources, sessions)
	e.console = newConsole(c, e, sources)
	return &Provider{
		handler:     harden(e.routes(strings.TrimSuffix(u.Path, "/")), oidc.LoopbackHost(u.Hostname()), c.Log),
		backChannel: backChannel,
	}, nil
}

// Close waits, until ctx ends, for the clients that are being told of a
// logout. It comes after the last request.
func (p *Provider) Close(ctx context.Context) error { return p.backChannel.Close(ctx) }

// ServeHTTP implements [http.Handler].
func (p *Provider) ServeHTTP(w http.ResponseWriter, r *http.Request) { p.handler.ServeHTTP(w, r) }
