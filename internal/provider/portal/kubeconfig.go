// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package portal

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/tegata/tegata/internal/clientregistry"
	"github.com/tegata/tegata/internal/identity"
	"github.com/tegata/tegata/internal/kubeconfig"
	"github.com/tegata/tegata/internal/provider/page"
)

// The plugin, as kubectl starts it.
const (
	pluginCommand = "kubectl-oidc_login"
	execAPI       = "client.authentication.k8s.io/v1"
)

// userName is the name of the entry of a user in a kubeconfig. It is made of
// the issuer and the client, so that kubeconfigs of several issuers can be
// merged: an issuer has no # in it.
func (h *Handler) userName(client clientregistry.Client) string {
	return strings.TrimPrefix(string(h.Issuer), "https://") + "#" + string(client.ID)
}

// user is the entry of somebody who logs in with the plugin. No scopes are
// asked for: an ID token has all that its client may get.
func (h *Handler) user(client clientregistry.Client) kubeconfig.User {
	args := []string{"get-token", "--oidc-issuer-url=" + string(h.Issuer), "--oidc-client-id=" + string(client.ID)}
	if len(h.Authority) > 0 {
		args = append(args, "--certificate-authority-data="+base64.StdEncoding.EncodeToString(h.Authority))
	}
	if byDevice(client) {
		args = append(args, "--grant-type=device-code")
	}
	return kubeconfig.User{Name: h.userName(client), Exec: &kubeconfig.Exec{
		APIVersion: execAPI, Command: pluginCommand, Args: args, InteractiveMode: "IfAvailable",
		InstallHint: "The plugin " + pluginCommand + " is missing. How to install it: " + string(h.Issuer) + "/#plugin",
	}}
}

// entries puts clusters into a kubeconfig, each with the user that as makes of
// its client.
func entries(clusters []offer, who identity.User, as func(clientregistry.Client) kubeconfig.User) (n kubeconfig.New) {
	for _, c := range clusters {
		cluster := kubeconfig.Cluster{Name: c.Name, Server: c.Server}
		if len(c.Authority) > 0 {
			cluster.AuthorityData = base64.StdEncoding.EncodeToString(c.Authority)
		}
		user := as(c.client)
		namespace, _ := c.namespace(who)
		n.Clusters = append(n.Clusters, cluster)
		n.Contexts = append(n.Contexts, kubeconfig.Context{Name: c.Name, Cluster: c.Name, User: user.Name, Namespace: namespace})
		if !slices.ContainsFunc(n.Users, func(u kubeconfig.User) bool { return u.Name == user.Name }) {
			n.Users = append(n.Users, user)
		}
	}
	n.Current = n.Contexts[0].Name
	return n
}

// Show serves the page of a cluster.
func (h *Handler) Show(w http.ResponseWriter, r *http.Request) {
	who, o, ok := h.cluster(w, r, "")
	if !ok {
		return
	}
	v := page.PortalEntry{Account: h.Account(who.user, page.Elsewhere), Cluster: h.seen(r.Context(), o, who.user), Server: o.Server}
	v.Namespace, v.Unfit = o.namespace(who.user)
	if o.usable {
		n := entries([]offer{o}, who.user, h.user)
		var err error
		if v.Kubeconfig, err = n.Text(); err != nil {
			h.fail(w, r, page.Unavailable, fmt.Errorf("writing the kubeconfig of %s: %w", o.Name, err))
			return
		}
		v.Commands, v.Legacy = commands(n), checkLegacy(o.client) == nil
	}
	h.Pages.PortalEntry(w, r, v)
}

// cluster returns who looks, and the cluster that the address names. below is
// the rest of the address. If it reports false, the answer is written.
func (h *Handler) cluster(w http.ResponseWriter, r *http.Request, below string) (person, offer, bool) {
	name := r.PathValue("cluster")
	if !IsLabel(name) { // not into the address of the login page
		h.fail(w, r, page.NotFound, errNoCluster)
		return person{}, offer{}, false
	}
	who, ok := h.who(w, r, "/clusters/"+name+below)
	if !ok {
		return person{}, offer{}, false
	}
	o, err := h.find(r.Context(), name, who.user)
	switch {
	case errors.Is(err, errNoCluster):
		h.fail(w, r, page.NotFound, err)
	case err != nil:
		h.fail(w, r, page.Unavailable, err)
	default:
		return who, o, true
	}
	return person{}, offer{}, false
}

// Download serves the kubeconfig of one cluster.
func (h *Handler) Download(w http.ResponseWriter, r *http.Request) {
	if who, o, ok := h.cluster(w, r, "/kubeconfig"); ok {
		h.download(w, r, o.Name, []offer{o}, who.user)
	}
}

// DownloadAll serves the kubeconfig of all clusters of the person.
func (h *Handler) DownloadAll(w http.ResponseWriter, r *http.Request) {
	who, ok := h.who(w, r, "/kubeconfig")
	if !ok {
		return
	}
	all, err := h.offered(r.Context(), who.user)
	if err != nil {
		h.fail(w, r, page.Unavailable, err)
		return
	}
	h.download(w, r, "kubeconfig", all, who.user)
}

func (h *Handler) download(w http.ResponseWriter, r *http.Request, name string, clusters []offer, user identity.User) {
	clusters = slices.DeleteFunc(clusters, func(o offer) bool { return !o.usable })
	if len(clusters) == 0 {
		h.fail(w, r, page.NotFound, errNoCluster)
		return
	}
	text, err := entries(clusters, user, h.user).Text()
	if err != nil {
		h.fail(w, r, page.Unavailable, fmt.Errorf("writing the kubeconfig %s: %w", name, err))
		return
	}
	header := w.Header()
	header.Set("Content-Type", "application/yaml") // RFC 9512
	header.Set("Content-Disposition", `attachment; filename="`+name+`.yaml"`)
	header.Set("Cache-Control", "no-store")
	w.Write([]byte(text))
}
