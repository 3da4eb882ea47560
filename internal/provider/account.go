// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"net/http"

	"github.com/tegata/tegata/internal/identity"
	"github.com/tegata/tegata/internal/provider/account"
	"github.com/tegata/tegata/internal/provider/page"
	"github.com/tegata/tegata/internal/provider/portal"
	"github.com/tegata/tegata/internal/provider/session"
)

// newAccount makes the pages on which people set their passwords, and offers
// them in the portal.
func newAccount(c Config, e endpoints, sources *identity.Sources, sessions *session.Sessions) *account.Handler {
	var links account.Links
	if ours, ok := sources.Of(identity.Local); ok {
		links, _ = ours.Passwords.(account.Links)
	}
	e.portal.Offers = append(e.portal.Offers, portal.Offer{Place: page.PlacePassword, For: func(user identity.User) bool {
		m, ok := sources.Of(user.Source)
		return ok && m.ChangesPasswords()
	}})
	return &account.Handler{
		Issuer: c.Issuer, Logins: e.authorize, Passwords: sources, Links: links, Storage: c.Storage, Sessions: sessions,
		Frame: e.portal.Account, Pages: e.pages, Audit: c.Audit, Now: c.Now, Log: c.Log,
	}
}

// mountAccount mounts them. The form of a link comes without the protection
// of other forms: it carries the link itself, and its page keeps its address
// to itself, so that old browsers do not say where the form comes from.
func (e endpoints) mountAccount(mux *http.ServeMux, base string, own *http.CrossOriginProtection) {
	mux.HandleFunc("GET "+base+account.PathPassword, e.account.ShowPassword)
	mux.Handle("POST "+base+account.PathPassword, own.Handler(http.HandlerFunc(e.account.ChangePassword)))
	mux.HandleFunc("GET "+base+account.PathChanged, e.account.ShowChanged)
	mux.HandleFunc("GET "+base+account.PathWelcome, e.account.ShowWelcome)
	mux.HandleFunc("POST "+base+account.PathWelcome, e.account.SetPassword)
}
