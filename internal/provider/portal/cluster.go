// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package portal

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"

	"github.com/tegata/tegata/internal/clientregistry"
	"github.com/tegata/tegata/internal/identity"
	"github.com/tegata/tegata/internal/oidc"
	"github.com/tegata/tegata/internal/provider/page"
)

// Cluster is a cluster that the portal offers.
type Cluster struct {
	Name      string // a DNS label; of the cluster and the context in a kubeconfig
	Title     string
	Server    string // the API server's URL
	Authority []byte // PEM: who signed its certificate; nil: the system's authorities
	Client    oidc.ClientID
	Namespace string   // of the context, with Placeholder for the person; may be empty
	Groups    []string // whose people see it; empty: everybody

	// What its API server makes of an ID token.
	UsernameClaim  string
	UsernamePrefix string
	GroupsPrefix   string
}

// Placeholder stands for the user name in the namespace of a cluster.
const Placeholder = "{username}"

// IsLabel reports whether a text is a DNS label (RFC 1123, section 2.1), as
// Kubernetes wants the name of a namespace.
func IsLabel(text string) bool {
	return text != "" && len(text) <= 63 && text[0] != '-' && text[len(text)-1] != '-' &&
		strings.Trim(text, "abcdefghijklmnopqrstuvwxyz0123456789-") == ""
}

// visible reports whether the person may see the cluster.
func (c Cluster) visible(user identity.User) bool {
	return len(c.Groups) == 0 || slices.ContainsFunc(c.Groups, func(group string) bool { return slices.Contains(user.Groups, group) })
}

// namespace is the one of the person's context. unfit means that there is none
// because of the user name.
func (c Cluster) namespace(user identity.User) (name string, unfit bool) {
	if c.Namespace == "" {
		return "", false
	}
	name = strings.ReplaceAll(c.Namespace, Placeholder, user.Username)
	if !IsLabel(name) {
		return "", true
	}
	return name, false
}

// The address at which the plugin waits for the browser.
const pluginRedirectURI = "http://localhost:8000"

// CheckClient tells why a client is none for kubeconfigs that are handed out,
// or returns nil.
func CheckClient(client clientregistry.Client) error {
	switch {
	case !client.Public():
		return errors.New("it has a secret or a key, which everybody who downloads a kubeconfig would need; name a public client")
	case client.AllowsGrant(oidc.GrantAuthorizationCode) && !client.AllowsRedirectURI(pluginRedirectURI) && !client.AllowsGrant(oidc.GrantDeviceCode):
		return fmt.Errorf("the credential plugin waits at %s, which is no redirect URI of it", pluginRedirectURI)
	case !client.AllowsGrant(oidc.GrantAuthorizationCode) && !client.AllowsGrant(oidc.GrantDeviceCode):
		return errors.New("it may use neither authorization_code nor device_code, and the credential plugin needs one of them")
	}
	return nil
}

// byDevice reports whether a code on another device is the only way in.
func byDevice(client clientregistry.Client) bool {
	return !client.AllowsGrant(oidc.GrantAuthorizationCode) || !client.AllowsRedirectURI(pluginRedirectURI)
}

// offer is a cluster with its client.
type offer struct {
	Cluster
	client clientregistry.Client
	usable bool // the client is there, and for this person
}

// offered are the clusters of a person. Each client is asked for once.
func (h *Handler) offered(ctx context.Context, user identity.User) ([]offer, error) {
	var all []offer
	for _, c := range h.Clusters {
		if !c.visible(user) {
			continue
		}
		if i := slices.IndexFunc(all, func(o offer) bool { return o.Client == c.Client }); i >= 0 {
			all = append(all, offer{c, all[i].client, all[i].usable})
			continue
		}
		one, err := h.offer(ctx, c, user)
		if err != nil {
			return nil, err
		}
		all = append(all, one)
	}
	return all, nil
}

// find returns a cluster of a person, or errNoCluster.
func (h *Handler) find(ctx context.Context, name string, user identity.User) (offer, error) {
	for _, c := range h.Clusters {
		if c.Name == name && c.visible(user) {
			return h.offer(ctx, c, user)
		}
	}
	return offer{}, errNoCluster
}

func (h *Handler) offer(ctx context.Context, c Cluster, user identity.User) (offer, error) {
	client, err := h.Clients.Client(ctx, c.Client)
	if errors.Is(err, clientregistry.ErrNotFound) {
		return offer{Cluster: c}, nil
	}
	if err != nil {
		return offer{}, fmt.Errorf("finding the client of a cluster: %w", err)
	}
	return offer{c, client, CheckClient(client) == nil && client.AllowsSource(user.Source)}, nil
}

// seen is the cluster as the person sees it, and the person as its API server
// will see them.
func (h *Handler) seen(ctx context.Context, o offer, user identity.User) page.PortalCluster {
	v := page.PortalCluster{Name: o.Name, Title: o.Title, Claim: o.UsernameClaim}
	if !o.usable {
		v.Trouble = page.NoClient
		return v
	}
	all, err := h.told(ctx, o.client, user)
	if err != nil {
		h.Log.LogAttrs(ctx, slog.LevelError, "no token can be made", slog.String("client", string(o.client.ID)),
			slog.String("subject", string(user.Subject)), slog.Any("error", err))
		v.Trouble = page.NoToken
		return v
	}
	name, _ := all[o.UsernameClaim].(string)
	switch {
	case name == "":
		v.Trouble = page.NoClaim
	case o.UsernameClaim == "email" && all["email_verified"] != nil && all["email_verified"] != true:
		v.Trouble = page.EmailUnverified
	default:
		v.Username = o.UsernamePrefix + name
		for _, group := range texts(all[cmp.Or(o.client.GroupsClaim, h.GroupsClaim)]) {
			v.Groups = append(v.Groups, o.GroupsPrefix+group)
		}
	}
	return v
}

// told is what an ID token for the client says of the user, as an API server
// reads it: decoded from JSON.
func (h *Handler) told(ctx context.Context, client clientregistry.Client, user identity.User) (map[string]any, error) {
	all, err := h.Claims.Of(ctx, user, client, client.AllowedScopes())
	if err != nil {
		return nil, err
	}
	all["sub"] = user.Subject
	wire, err := json.Marshal(all)
	if err != nil {
		return nil, fmt.Errorf("encoding the claims for client %q: %w", client.ID, err)
	}
	var read map[string]any
	return read, json.Unmarshal(wire, &read)
}

// texts are the values of a groups claim: a list of texts, or one.
func texts(claim any) (all []string) {
	switch claim := claim.(type) {
	case string:
		return []string{claim}
	case []any:
		for _, value := range claim {
			if text, ok := value.(string); ok {
				all = append(all, text)
			}
		}
	}
	return all
}
