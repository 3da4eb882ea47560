// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package logout

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"unicode/utf8"

	"github.com/tegata/tegata/internal/clientregistry"
	"github.com/tegata/tegata/internal/oidc"
	"github.com/tegata/tegata/internal/provider/page"
	"github.com/tegata/tegata/internal/provider/session"
	"github.com/tegata/tegata/internal/secret"
)

// request is a valid logout request (RP-Initiated Logout 1.0, section 2). It
// travels through the browser sealed, so its JSON names are short.
type request struct {
	Client      oidc.ClientID `json:"c,omitempty"`
	ClientName  string        `json:"n,omitempty"`
	RedirectURI string        `json:"r,omitempty"` // the client's own; empty: our page
	State       string        `json:"s,omitempty"`
	Subject     oidc.Subject  `json:"u,omitempty"` // of the ID token
	Session     string        `json:"i,omitempty"` // of the ID token
	UILocales   string        `json:"l,omitempty"`
	Asked       string        `json:"b,omitempty"` // the session that the page is about
	At          int64         `json:"t"`
}

// of reports whether the request shows that this session is meant.
func (req request) of(s session.Session) bool {
	return req.Session != "" && req.Session == s.ID && req.Subject == s.Subject
}

// refusal is a request that cannot go on.
type refusal struct {
	problem page.Problem
	detail  string
}

func (r *refusal) Error() string { return cmp.Or(r.detail, string(r.problem)) }

func bad(format string, args ...any) error {
	return &refusal{problem: page.BadRequest, detail: fmt.Sprintf(format, args...)}
}

// maxParameter bounds each parameter but the ID token.
const maxParameter = 2048

// parse reads and checks a logout request, by GET or by POST. logout_hint is
// taken and not needed: whoever is not named by an ID token is asked, on a
// page that says who is logged in.
func (h *Handler) parse(ctx context.Context, r *http.Request) (request, error) {
	if err := r.ParseForm(); err != nil {
		return request{}, bad("the parameters cannot be decoded")
	}
	form := r.Form
	for name, values := range form {
		switch {
		case len(values) > 1:
			return request{}, bad("parameter %.40q is given more than once", name)
		case !utf8.ValidString(values[0]):
			return request{}, bad("parameter %.40q is not UTF-8", name)
		case len(values[0]) > maxParameter && name != "id_token_hint" && name != "request":
			return request{}, bad("parameter %.40q is longer than %d bytes", name, maxParameter)
		}
	}
	if text := form.Get("request"); text != "" && r.Method != http.MethodPost {
		req, ok := h.open(text) // what was posted
		if !ok {
			return request{}, &refusal{problem: page.PageExpired}
		}
		form.Set("ui_locales", req.UILocales)
		return req, nil
	}

	req := request{Client: oidc.ClientID(form.Get("client_id")), State: form.Get("state"), UILocales: form.Get("ui_locales")}
	if hint := form.Get("id_token_hint"); hint != "" {
		// Expired ones are taken too (section 2).
		var hinted oidc.Claims
		if err := h.Verifier.Verify(secret.New(hint), "JWT", &hinted); err != nil || hinted.Issuer != h.Issuer || len(hinted.Audience) != 1 {
			return request{}, bad("id_token_hint is not an ID token of this issuer")
		}
		// An ID token for somebody else names the client that it was given to.
		client := cmp.Or(hinted.AuthorizedParty, oidc.ClientID(hinted.Audience[0]))
		if req.Client != "" && req.Client != client {
			return request{}, bad("client_id is not the client of id_token_hint")
		}
		req.Client, req.Subject, req.Session = client, hinted.Subject, hinted.SessionID
	}
	if req.Client == "" {
		// Nobody vouches for a redirect URI (section 3).
		return req, nil
	}
	client, err := h.Clients.Client(ctx, req.Client)
	uri := form.Get("post_logout_redirect_uri")
	switch {
	case errors.Is(err, clientregistry.ErrNotFound):
		return request{}, &refusal{page.UnknownClient, fmt.Sprintf("client_id %.100q", req.Client)}
	case err != nil:
		return request{}, fmt.Errorf("finding the client: %w", err)
	case uri != "" && !client.AllowsPostLogoutRedirectURI(uri):
		return request{}, &refusal{page.WrongRedirectURI, fmt.Sprintf("post_logout_redirect_uri %.200q for client_id %q", uri, client.ID)}
	}
	req.ClientName, req.RedirectURI = client.DisplayName(), uri
	return req, nil
}
