// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"net/http"

	"github.com/tegata/tegata/internal/identity"
	"github.com/tegata/tegata/internal/provider/logout"
	"github.com/tegata/tegata/internal/provider/page"
	"github.com/tegata/tegata/internal/provider/portal"
	"github.com/tegata/tegata/internal/provider/session"
)

// The paths of the portal, below the issuer's.
const (
	pathKubeconfig        = "/kubeconfig"
	pathCluster           = "/clusters/{cluster}"
	pathClusterKubeconfig = pathCluster + "/kubeconfig"
	pathClusterLegacy     = pathCluster + "/legacy"
)

func everybody(identity.User) bool { return true }

// newPortal makes the pages at the issuer's own address.
func newPortal(c Config, e endpoints, sessions *session.Sessions, backChannel *logout.BackChannel) *portal.Handler {
	return &portal.Handler{
		Issuer:       c.Issuer,
		Authority:    c.Authority,
		Clusters:     c.Clusters,
		SourceTitles: c.SourceTitles,
		Offers:       []portal.Offer{{Place: page.PlaceFactors, For: everybody}, {Place: page.PlaceDevice, For: everybody}},
		Clients:      c.Storage,
		Claims:       e.token.Claims,
		GroupsClaim:  c.GroupsClaim,
		Logins:       e.authorize,
		Sessions:     sessions,
		Storage:      c.Storage,
		Tokens:       e.token,
		BackChannel:  backChannel,
		Pages:        e.pages,
		Audit:        c.Audit,
		Now:          c.Now,
		Log:          c.Log,
	}
}

// mountPortal mounts them.
func (e endpoints) mountPortal(mux *http.ServeMux, base string, own *http.CrossOriginProtection) {
	mux.HandleFunc("GET "+base+"/{$}", e.portal.Home)
	if base != "" {
		mux.HandleFunc("GET "+base, e.portal.Home)
	}
	mux.HandleFunc("GET "+base+pathKubeconfig, e.portal.DownloadAll)
	mux.HandleFunc("GET "+base+pathCluster, e.portal.Show)
	mux.HandleFunc("GET "+base+pathClusterKubeconfig, e.portal.Download)
	mux.HandleFunc("GET "+base+pathClusterLegacy, e.portal.Legacy)
	mux.Handle("POST "+base+pathClusterLegacy, own.Handler(http.HandlerFunc(e.portal.MakeLegacy)))
	mux.HandleFunc("GET "+base+string(page.PlaceLogins), e.portal.ShowLogins)
	mux.Handle("POST "+base+string(page.PlaceLogins), own.Handler(http.HandlerFunc(e.portal.EndLogins)))
}
