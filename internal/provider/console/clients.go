// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package console

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/tegata/tegata/internal/audit"
	"github.com/tegata/tegata/internal/clientregistry"
	"github.com/tegata/tegata/internal/identity"
	"github.com/tegata/tegata/internal/oidc"
	"github.com/tegata/tegata/internal/provider/grant"
	"github.com/tegata/tegata/internal/provider/page"
	"github.com/tegata/tegata/internal/secret"
)

// Clients are the registered ones.
type Clients interface {
	clientregistry.Clients
	// ClientList returns all, ordered by ID.
	ClientList(ctx context.Context) ([]clientregistry.Client, error)
	// AddClient returns identity.ErrExists if there is one of that ID.
	AddClient(ctx context.Context, client clientregistry.Client, now time.Time) error
	// DeleteClient ends what was granted to it. It returns
	// clientregistry.ErrNotFound if there is none.
	DeleteClient(ctx context.Context, id oidc.ClientID) error
}

// The commands that do what the acts do.
const (
	addClient    = "tegata client add"
	deleteClient = "tegata client delete"
)

// clients shows them by ID: a part of the list that begins after one.
func (h *Handler) clients(v *visit) error {
	all, err := h.Storage.ClientList(v.r.Context())
	if err != nil {
		return fmt.Errorf("listing clients: %w", err)
	}
	shown := page.ConsoleClientList{
		Console: h.frame(v, page.ConsoleClients, "tegata client list", addClient+" ID --redirect-uri URI"),
		Search:  strings.TrimSpace(v.query.Get("q")),
	}
	part := strings.ToLower(shown.Search)
	for _, client := range all {
		if string(client.ID) <= v.query.Get("after") ||
			!strings.Contains(strings.ToLower(string(client.ID)), part) && !strings.Contains(strings.ToLower(client.Name), part) {
			continue
		}
		if len(shown.Clients) == perPage {
			shown.Next = shown.Clients[perPage-1].ID
			break
		}
		shown.Clients = append(shown.Clients, clientEntry(client))
	}
	h.Pages.ConsoleClientList(v.w, v.r, shown)
	return nil
}

func clientEntry(c clientregistry.Client) page.ConsoleClientEntry {
	return page.ConsoleClientEntry{ID: string(c.ID), Name: c.Name, Public: c.Public(), Declared: c.Declared}
}

func (h *Handler) client(v *visit) error {
	id := oidc.ClientID(v.query.Get("id"))
	client, err := h.Storage.Client(v.r.Context(), id)
	if errors.Is(err, clientregistry.ErrNotFound) {
		h.leave(v, "/admin/clients", nil, page.ConsoleNotice{What: page.ClientIsGone, About: string(id)})
		return nil
	}
	if err != nil {
		return fmt.Errorf("finding the client: %w", err)
	}
	shown := page.ConsoleClient{
		Console:            h.frame(v, page.ConsoleClients, "tegata client show ID", "tegata client set ID", endGrant+" --client ID", deleteClient+" ID"),
		ConsoleClientEntry: clientEntry(client), Settings: settings(client), Seen: seenClient(client),
	}
	grants, next, err := h.grantList(v, "", id, identity.Page{Limit: perPage})
	if err != nil {
		return err
	}
	shown.Grants, shown.More = grants, next != ""
	h.Pages.ConsoleClient(v.w, v.r, shown)
	return nil
}

// settings are all that a client is, by the keys of the configuration file.
// Of a secret nobody sees more than that there is one.
func settings(c clientregistry.Client) (all []page.ConsoleSetting) {
	some := func(key string, values ...string) {
		if values = slices.DeleteFunc(values, func(value string) bool { return value == "" }); len(values) > 0 {
			all = append(all, page.ConsoleSetting{Key: key, Values: values})
		}
	}
	some("id", string(c.ID))
	some("name", c.Name)
	var methods, grants []string
	for _, method := range c.AcceptedMethods() {
		methods = append(methods, string(method))
	}
	for _, name := range c.AllowedGrants() {
		grants = append(grants, clientregistry.ShortGrantType(name))
	}
	some("authentication", methods...)
	some("jwks", c.KeyIDs()...)
	some("tls_subject", c.TLSSubject)
	some("redirect_uris", slices.Clone(c.RedirectURIs)...)
	some("post_logout_redirect_uris", slices.Clone(c.PostLogoutRedirectURIs)...)
	some("backchannel_logout_uri", c.BackChannelLogoutURI)
	some("origins", slices.Clone(c.Origins)...)
	some("grants", strings.Join(grants, " "))
	some("scopes", strings.Join(c.AllowedScopes(), " "))
	some("audiences", slices.Clone(c.Audiences)...)
	some("sources", slices.Clone(c.Sources)...)
	some("consent", c.Consent)
	if c.SecondFactor {
		some("second_factor", "true")
	}
	some("groups_claim", c.GroupsClaim)
	some("groups_filter", c.GroupsFilter)
	some("groups_prefix", c.GroupsPrefix)
	for _, name := range slices.Sorted(maps.Keys(c.Claims)) {
		claim := c.Claims[name]
		some("claims: "+name, string(claim.Value), claim.Attribute, claim.Expression)
	}
	some("signing_alg", c.SigningAlg)
	some("access_token_alg", c.AccessTokenAlg)
	for _, lifetime := range []struct {
		key string
		of  time.Duration
	}{
		{"id_token", c.Lifetimes.IDToken},
		{"access_token", c.Lifetimes.AccessToken},
		{"refresh_idle", c.Lifetimes.RefreshIdle},
		{"refresh_absolute", c.Lifetimes.RefreshAbsolute},
	} {
		if lifetime.of != 0 {
			some("lifetimes: "+lifetime.key, lifetime.of.String())
		}
	}
	return all
}

// seenClient stands for a client as a page shows it.
func seenClient(c clientregistry.Client) string {
	text, err := json.Marshal(c)
	if err != nil {
		return "" // it came from there
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:8])
}

func (h *Handler) changeClient(v *visit) error {
	act, id := v.form.Get("act"), v.form.Get("id")
	if act != "delete" && act != "end-grants" || len(id) > 255 {
		return errUnknownAct
	}
	query := url.Values{"id": {id}}
	if !h.mayChange(v, "/admin/client", query) {
		return nil
	}
	ctx := v.r.Context()
	client, err := h.Storage.Client(ctx, oidc.ClientID(id))
	notice := page.ConsoleNotice{About: id}
	switch {
	case errors.Is(err, clientregistry.ErrNotFound):
		notice.What = page.ClientIsGone
	case err != nil:
		return fmt.Errorf("finding the client: %w", err)
	case act == "delete" && client.Declared:
		notice.What = page.IsDeclared
	case act == "delete" && v.form.Get("seen") != seenClient(client):
		notice.What = page.PageIsStale
	case v.form.Get("confirm") != id:
		notice.What = page.NotConfirmed
	case act == "delete":
		notice.What = page.ClientDeleted
		if err := h.Storage.DeleteClient(ctx, client.ID); errors.Is(err, clientregistry.ErrNotFound) { // in this moment
			notice.What = page.ClientIsGone
		} else if err != nil {
			return fmt.Errorf("deleting the client: %w", err)
		} else {
			h.record(v, deleteClient, audit.Event{Client: client.ID})
		}
	default:
		ended, err := h.Storage.EndGrants(ctx, grant.Filter{Client: client.ID}, h.Now())
		if err != nil {
			return fmt.Errorf("ending grants: %w", err)
		}
		if notice.What = page.NothingToChange; ended > 0 {
			notice.What = page.GrantsEnded
			h.record(v, endGrant, audit.Event{Client: client.ID})
		}
	}
	if notice.What == page.ClientDeleted || notice.What == page.ClientIsGone {
		h.leave(v, "/admin/clients", nil, notice)
		return nil
	}
	h.leave(v, "/admin/client", query, notice)
	return nil
}

// newClient shows the form, with what the address has of it.
func (h *Handler) newClient(v *visit) error {
	h.Pages.ConsoleNewClient(v.w, v.r, page.ConsoleNewClient{
		Console: h.frame(v, page.ConsoleClients, addClient+" ID --public --redirect-uri URI", addClient+" ID --redirect-uri URI"),
		ID:      v.query.Get("id"), Name: v.query.Get("name"), RedirectURIs: v.query.Get("redirect_uris"),
		Confidential: v.query.Get("kind") == "confidential",
	})
	return nil
}

func (h *Handler) addClient(v *visit) error {
	const back = "/admin/clients/add"
	typed, err := v.typed("id", "name", "redirect_uris", "kind")
	if err != nil || !h.mayChange(v, back, typed) {
		return err
	}
	client := clientregistry.Client{
		ID: oidc.ClientID(typed.Get("id")), Name: typed.Get("name"), RedirectURIs: strings.Fields(typed.Get("redirect_uris")),
	}
	var made secret.String
	switch typed.Get("kind") {
	case "public":
	case "confidential":
		made = clientregistry.NewSecret()
		client.SecretHash = clientregistry.HashSecret(made)
	default:
		return errUnknownAct
	}
	err = checkName(client.Name)
	if err == nil {
		err = client.Validate()
	}
	if err != nil {
		h.leave(v, back, typed, page.ConsoleNotice{What: page.NotValid, Detail: err.Error()})
		return nil
	}
	switch err := h.Storage.AddClient(v.r.Context(), client, h.Now()); {
	case errors.Is(err, identity.ErrExists):
		h.leave(v, back, typed, page.ConsoleNotice{What: page.ClientTaken, About: string(client.ID)})
		return nil
	case err != nil:
		return fmt.Errorf("adding the client: %w", err)
	}
	h.record(v, addClient, audit.Event{Client: client.ID})
	h.leave(v, "/admin/client", url.Values{"id": {string(client.ID)}}, page.ConsoleNotice{What: page.ClientAdded, About: string(client.ID), Secret: made})
	return nil
}
