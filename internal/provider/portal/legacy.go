// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package portal

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"

	"github.com/tegata/tegata/internal/clientregistry"
	"github.com/tegata/tegata/internal/kubeconfig"
	"github.com/tegata/tegata/internal/oidc"
	"github.com/tegata/tegata/internal/provider/answer"
	"github.com/tegata/tegata/internal/provider/page"
	"github.com/tegata/tegata/internal/provider/session"
	"github.com/tegata/tegata/internal/secret"
)

// checkLegacy tells why there is no kubeconfig with tokens for a client, or
// returns nil.
func checkLegacy(client clientregistry.Client) error {
	if !client.AllowsGrant(oidc.GrantRefreshToken) {
		return fmt.Errorf("client %q may not use refresh tokens", client.ID)
	}
	return nil
}

// legacy is the cluster of the address, if there is a kubeconfig with tokens
// for it.
func (h *Handler) legacy(w http.ResponseWriter, r *http.Request) (person, offer, bool) {
	who, o, ok := h.cluster(w, r, "/legacy")
	if !ok {
		return who, o, false
	}
	if err := checkLegacy(o.client); !o.usable || err != nil {
		h.fail(w, r, page.NotFound, fmt.Errorf("cluster %s: %w", o.Name, errors.Join(errNoCluster, err)))
		return who, o, false
	}
	// What comes of it is a login at the client.
	return who, o, h.enough(w, r, "/clusters/"+o.Name+"/legacy", who, o.client)
}

// Legacy serves the page that warns of a kubeconfig with tokens.
func (h *Handler) Legacy(w http.ResponseWriter, r *http.Request) {
	if who, o, ok := h.legacy(w, r); ok {
		h.Pages.PortalLegacy(w, r, http.StatusOK, page.PortalLegacy{
			Account: h.Account(who.user, page.Elsewhere), Cluster: h.seen(r.Context(), o, who.user),
		})
	}
}

// MakeLegacy serves the form of that page. The answer is not a redirect: what
// it shows is kept nowhere, so it can be shown this once.
func (h *Handler) MakeLegacy(w http.ResponseWriter, r *http.Request) {
	who, o, ok := h.legacy(w, r)
	if !ok {
		return
	}
	v := page.PortalLegacy{Account: h.Account(who.user, page.Elsewhere), Cluster: h.seen(r.Context(), o, who.user)}
	tokens, err := h.Tokens.Issue(r, o.client, who.user, who.session)
	if _, refused := errors.AsType[*oidc.Error](err); refused || errors.Is(err, session.ErrOvertaken) {
		answer.Log(r, h.Log, err, "")
		v.Refused = true
		h.Pages.PortalLegacy(w, r, http.StatusForbidden, v)
		return
	}
	if err != nil {
		h.fail(w, r, page.Unavailable, err)
		return
	}
	n := entries([]offer{o}, who.user, func(client clientregistry.Client) kubeconfig.User { return h.legacyUser(client, tokens) })
	text, err := n.Text()
	if err != nil {
		h.fail(w, r, page.Unavailable, fmt.Errorf("writing the kubeconfig of %s: %w", o.Name, err))
		return
	}
	v.Kubeconfig, v.Commands = secret.New(text), commands(n)
	h.Pages.PortalLegacy(w, r, http.StatusOK, v)
}

// legacyUser is the entry that kubectl keeps fresh by itself. It has a name of
// its own, so that it can stand beside the one with the plugin.
func (h *Handler) legacyUser(client clientregistry.Client, tokens oidc.TokenResponse) kubeconfig.User {
	config := map[string]secret.String{
		"idp-issuer-url": secret.New(string(h.Issuer)),
		"client-id":      secret.New(string(client.ID)),
		"id-token":       tokens.IDToken,
		"refresh-token":  tokens.RefreshToken,
	}
	if len(h.Authority) > 0 {
		config["idp-certificate-authority-data"] = secret.New(base64.StdEncoding.EncodeToString(h.Authority))
	}
	return kubeconfig.User{Name: h.userName(client) + "#auth-provider", AuthProvider: &kubeconfig.AuthProvider{Name: "oidc", Config: config}}
}
