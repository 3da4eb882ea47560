// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package upstream

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"

	"github.com/tegata/tegata/internal/secret"
)

// Microsoft's tokens hold no groups of a user who has more than fit. They say
// so in the way of distributed claims (OpenID Connect Core 1.0, section
// 5.6.2), or with hasgroups. The address that they name is one of a retired
// service, and an address out of a token is nothing to send an access token
// to, so the configured one is asked.

// overage reports whether the groups stand elsewhere.
func (c OIDCConfig) overage(claims claimSet) bool {
	if distributed, ok := claims["_claim_names"]; ok && distributed != nil {
		names, isObject := distributed.(map[string]any)
		if _, ok := names[c.Claims.Groups]; ok || !isObject {
			return true
		}
	}
	has, _ := claims.truth("hasgroups")
	return has && c.Claims.Groups == "groups"
}

// groups are those that the claims tell, or those for which they say that
// somebody else has to be asked.
func (o *OIDC) groups(ctx context.Context, claims claimSet, token secret.String) ([]string, error) {
	if !o.config.overage(claims) {
		groups, _, err := claims.list(o.config.Claims.Groups)
		return groups, err
	}
	if o.config.GroupOverage.Endpoint == "" {
		return nil, errors.New("the user has more groups than fit into a token, and nobody is configured who could be asked for them; set group_overage.endpoint, or have the provider tell only the groups that are assigned to our client")
	}
	groups, err := o.memberObjects(ctx, token)
	if err != nil {
		return nil, fmt.Errorf("the user has more groups than fit into a token, and they cannot be had elsewhere: %w", err)
	}
	return groups, nil
}

// maxPages is far more than the 11,000 groups that Microsoft Graph tells.
const maxPages = 120

// memberObjects asks Microsoft Graph for the groups of whose access token it
// is.
func (o *OIDC) memberObjects(ctx context.Context, token secret.String) ([]string, error) {
	endpoint, err := url.Parse(o.config.GroupOverage.Endpoint)
	if err != nil {
		return nil, err
	}
	question, err := json.Marshal(map[string]bool{"securityEnabledOnly": o.config.GroupOverage.SecurityGroupsOnly})
	if err != nil {
		return nil, err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, endpoint.String(), bytes.NewReader(question))
	if err != nil {
		return nil, err
	}
	r.Header.Set("Content-Type", "application/json")
	var groups []string
	for range maxPages {
		bearer(r, token)
		a, err := send(o.http, r)
		switch {
		case err != nil:
			return nil, err
		case a.status == http.StatusUnauthorized || a.status == http.StatusForbidden:
			return nil, fmt.Errorf("%s answered %s: the access token is not for it; allow our client the delegated permission User.Read there, and ask for no scope of another resource", a.from, a.statusText())
		case a.status != http.StatusOK:
			return nil, a.unexpected()
		}
		page, next, err := parseMemberObjects(a.body)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", a.from, err)
		}
		groups = append(groups, page...)
		if next == "" {
			return tidy(groups), nil
		}
		following, err := sameOrigin(endpoint, next)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", a.from, err)
		}
		if r, err = http.NewRequestWithContext(ctx, http.MethodGet, following, nil); err != nil {
			return nil, err
		}
	}
	return nil, fmt.Errorf("the list of %s has no end", endpoint.Host)
}

// parseMemberObjects reads one page.
func parseMemberObjects(text []byte) (groups []string, next string, err error) {
	var page struct {
		Value []string `json:"value"`
		Next  string   `json:"@odata.nextLink"`
	}
	if json.Unmarshal(text, &page) != nil || page.Value == nil {
		return nil, "", errors.New("this is no list of groups")
	}
	return page.Value, page.Next, nil
}

// sameOrigin returns the address of the next page, if it is where the first
// one was: the access token goes nowhere else.
func sameOrigin(first *url.URL, next string) (string, error) {
	u, err := first.Parse(next)
	if err != nil || u.Scheme != first.Scheme || u.Host != first.Host || u.User != nil {
		return "", fmt.Errorf("the next page is said to be at %s, which is elsewhere", plain(next))
	}
	return u.String(), nil
}
