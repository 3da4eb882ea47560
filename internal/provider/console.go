// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"net/url"

	"github.com/tegata/tegata/internal/identity"
	"github.com/tegata/tegata/internal/provider/account"
	"github.com/tegata/tegata/internal/provider/console"
	"github.com/tegata/tegata/internal/provider/page"
	"github.com/tegata/tegata/internal/provider/portal"
	"github.com/tegata/tegata/internal/secret"
	"github.com/tegata/tegata/internal/signingkey"
)

// Administration is what the administration pages need besides.
type Administration struct {
	Administrators console.Administrators // nobody: there are no such pages
	Keys           signingkey.Custody
	Trail          console.Trail
}

// newConsole makes the administration pages, and offers them in the portal to
// those who may see them. It returns nil if nobody may.
func newConsole(c Config, e endpoints, sources *identity.Sources) *console.Handler {
	allowed := c.Administration.Administrators
	if len(allowed) == 0 {
		return nil
	}
	e.portal.Offers = append(e.portal.Offers, portal.Offer{
		Place: page.PlaceAdministration, For: func(user identity.User) bool { return allowed.Allow(user.Groups) },
	})
	var passwords console.Passwords
	if ours, ok := sources.Of(identity.Local); ok {
		passwords, _ = ours.Passwords.(console.Passwords)
	}
	return &console.Handler{
		Issuer: c.Issuer, Administrators: allowed, Sources: sources, Storage: c.Storage, Keys: c.Administration.Keys, Health: c.Keys,
		Passwords: passwords, LinkAddress: func(token secret.String) secret.String {
			return secret.New(string(c.Issuer) + account.PathWelcome + "?" + url.Values{account.TokenField: {token.Reveal()}}.Encode())
		},
		Trail: c.Administration.Trail, Logins: e.authorize, Pages: e.pages, Seal: c.Secret.Derive("administration notice"),
		Cookie: "__Host-tegata-notice-" + c.ID, Audit: c.Audit, Now: c.Now, Log: c.Log,
	}
}
