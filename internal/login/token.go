// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package login

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/tegata/tegata/internal/oidc"
	"github.com/tegata/tegata/internal/secret"
)

// How a client shows its secret (OpenID Connect Core 1.0, section 9).
const (
	clientSecretBasic = "client_secret_basic"
	clientSecretPost  = "client_secret_post"
)

// refreshDeadline ends the attempts to refresh. A person waits for kubectl.
const refreshDeadline = 30 * time.Second

// Refresh redeems a refresh token (RFC 6749, section 6). It is one request if
// the provider is known. The answer has not been looked at: a refresh token
// in it must be kept before anything else is done, then see [Client.Verify].
//
// A provider that cannot answer is asked again, with growing pauses, until
// the attempts take longer than anybody wants to wait. [IsInvalidGrant] tells
// the one failure after which only a new login helps; after any other the
// refresh token is as good as before.
func (c *Client) Refresh(ctx context.Context, refreshToken secret.String) (oidc.TokenResponse, error) {
	limit, cancel := context.WithTimeout(ctx, refreshDeadline)
	defer cancel()
	form := url.Values{
		"grant_type":    {oidc.GrantRefreshToken},
		"refresh_token": {refreshToken.Reveal()},
	}
	var last error
	for pause := 250 * time.Millisecond; ; pause *= 2 {
		response, err := c.redeem(limit, form)
		switch {
		case ctx.Err() != nil:
			return oidc.TokenResponse{}, ctx.Err()
		case err == nil:
			return response, nil
		case !transient(err):
			return oidc.TokenResponse{}, err
		}
		if last == nil || limit.Err() == nil {
			last = err
		}
		if pause > 2*time.Second {
			return oidc.TokenResponse{}, last
		}
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return oidc.TokenResponse{}, ctx.Err()
		case <-limit.Done():
			timer.Stop()
			return oidc.TokenResponse{}, last
		}
	}
}

// IsInvalidGrant reports whether a refresh token or a code is no longer good
// (RFC 6749, section 5.2).
func IsInvalidGrant(err error) bool {
	refusal, ok := errors.AsType[*oidc.Error](err)
	return ok && refusal.Code == oidc.InvalidGrant
}

// redeem sends a grant to the token endpoint. It asks for the metadata anew
// if the endpoint is no longer where it was known to be, and it finds out how
// the provider takes the client's secret.
func (c *Client) redeem(ctx context.Context, form url.Values) (oidc.TokenResponse, error) {
	m, err := c.metadata(ctx)
	if err != nil {
		return oidc.TokenResponse{}, err
	}
	response, err := c.authenticate(ctx, m, form)
	if moved(err) && !c.known.metadataFresh {
		if m, err = c.Discover(ctx); err != nil {
			return oidc.TokenResponse{}, err
		}
		response, err = c.authenticate(ctx, m, form)
	}
	return response, err
}

// authenticate shows the client's secret in the way that worked last time.
// The first time it tries HTTP Basic, which every provider must offer (RFC
// 6749, section 2.3.1), unless the metadata names only the form; and the
// other way if the provider does not know the client (section 5.2).
func (c *Client) authenticate(ctx context.Context, m oidc.Metadata, form url.Values) (oidc.TokenResponse, error) {
	if c.ClientSecret.IsZero() {
		return c.post(ctx, m.TokenEndpoint, form, "")
	}
	style := c.known.ClientAuthentication
	if style == "" {
		style = clientSecretBasic
		offered := m.TokenEndpointAuthMethodsSupported
		if slices.Contains(offered, clientSecretPost) && !slices.Contains(offered, clientSecretBasic) {
			style = clientSecretPost
		}
	}
	response, err := c.post(ctx, m.TokenEndpoint, form, style)
	if refusal, ok := errors.AsType[*oidc.Error](err); ok && refusal.Code == oidc.InvalidClient {
		other := clientSecretPost
		if style == clientSecretPost {
			other = clientSecretBasic
		}
		again, second := c.post(ctx, m.TokenEndpoint, form, other)
		if refusal, ok := errors.AsType[*oidc.Error](second); !ok || refusal.Code != oidc.InvalidClient {
			response, err, style = again, second, other
		}
	}
	if err == nil && c.known.ClientAuthentication != style {
		c.known.ClientAuthentication, c.known.changed = style, true
	}
	return response, err
}

// post makes one token request.
func (c *Client) post(ctx context.Context, endpoint string, form url.Values, style string) (oidc.TokenResponse, error) {
	sent := url.Values{}
	for name, values := range form {
		sent[name] = values
	}
	if style != clientSecretBasic {
		sent.Set("client_id", string(c.ClientID))
	}
	if style == clientSecretPost {
		sent.Set("client_secret", c.ClientSecret.Reveal())
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, endpoint, strings.NewReader(sent.Encode()))
	if err != nil {
		return oidc.TokenResponse{}, problem(BadAnswer, "the metadata of %s has no usable token_endpoint", c.Issuer)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if style == clientSecretBasic {
		// RFC 6749, section 2.3.1: both parts are form-encoded first.
		r.SetBasicAuth(url.QueryEscape(string(c.ClientID)), url.QueryEscape(c.ClientSecret.Reveal()))
	}
	a, err := c.send(r)
	if err != nil {
		return oidc.TokenResponse{}, err
	}
	return readTokenAnswer(a, endpoint)
}

// readTokenAnswer reads RFC 6749, sections 5.1 and 5.2. What the answer holds
// never becomes part of a message, except for the words of a refusal.
func readTokenAnswer(a answer, endpoint string) (oidc.TokenResponse, error) {
	if a.status == http.StatusOK {
		var response oidc.TokenResponse
		if a.isHTML() {
			return response, problem(BadAnswer, "%s answered with HTML, not with tokens", endpoint)
		}
		if err := json.Unmarshal(a.body, &response); err != nil {
			return oidc.TokenResponse{}, problem(BadAnswer, "%s did not answer with tokens", endpoint)
		}
		return response, nil
	}
	var refusal oidc.Error
	if json.Unmarshal(a.body, &refusal) == nil && refusal.Code != "" {
		refusal.Code = oidc.ErrorCode(plain(string(refusal.Code)))
		refusal.Description = plain(refusal.Description)
	}
	switch {
	case a.unavailable(), refusal.Code == oidc.TemporarilyUnavailable, refusal.Code == oidc.ServerError:
		p := problem(Unavailable, "%s answered %s", endpoint, a.statusText())
		if refusal.Code != "" {
			p.Text += " (" + refusal.Error() + ")"
		}
		return oidc.TokenResponse{}, p
	case refusal.Code != "":
		return oidc.TokenResponse{}, &refusal
	case a.status == http.StatusUnauthorized:
		return oidc.TokenResponse{}, &oidc.Error{Code: oidc.InvalidClient}
	}
	p := problem(BadAnswer, "%s answered %s", endpoint, a.statusText())
	p.Err = errStatus(a.status)
	return oidc.TokenResponse{}, p
}
