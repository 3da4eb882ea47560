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
		case err == nil: // before all else: the old refresh token is void now
			return response, nil
		case ctx.Err() != nil:
			return oidc.TokenResponse{}, ctx.Err()
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

// redeem sends a grant to the token endpoint.
func (c *Client) redeem(ctx context.Context, form url.Values) (oidc.TokenResponse, error) {
	a, err := c.submit(ctx, func(m oidc.Metadata) string { return m.TokenEndpoint }, form)
	if err != nil {
		return oidc.TokenResponse{}, err
	}
	return readTokens(a)
}

// submit sends a form to an endpoint at which the client authenticates. It
// asks for the metadata anew if the endpoint is no longer where it was known
// to be, and it finds out how the provider takes the client's secret.
func (c *Client) submit(ctx context.Context, endpoint func(oidc.Metadata) string, form url.Values) (answer, error) {
	m, err := c.metadata(ctx)
	if err != nil {
		return answer{}, err
	}
	a, err := c.authenticate(ctx, m, endpoint(c.aliased(m)), form)
	if moved(err) && !c.known.metadataFresh {
		if m, err = c.Discover(ctx); err != nil {
			return answer{}, err
		}
		a, err = c.authenticate(ctx, m, endpoint(c.aliased(m)), form)
	}
	return a, err
}

// authenticate shows the client's secret in the way that worked last time.
// The first time it tries HTTP Basic, which every provider must offer (RFC
// 6749, section 2.3.1), unless the metadata names only the form; and the
// other way if the provider does not know the client (section 5.2).
func (c *Client) authenticate(ctx context.Context, m oidc.Metadata, endpoint string, form url.Values) (answer, error) {
	if c.AssertionKey != nil {
		return c.post(ctx, endpoint, form, privateKeyJWT)
	}
	// Without a secret the client is a public one, or its certificate says who
	// it is (RFC 8705, section 2): both send their ID alone.
	if known, err := c.clientSecret(ctx); err != nil || known.IsZero() {
		if err != nil {
			return answer{}, err
		}
		return c.post(ctx, endpoint, form, "")
	}
	style := c.known.ClientAuthentication
	if style == "" {
		style = clientSecretBasic
		offered := m.TokenEndpointAuthMethodsSupported
		if slices.Contains(offered, clientSecretPost) && !slices.Contains(offered, clientSecretBasic) {
			style = clientSecretPost
		}
	}
	a, err := c.post(ctx, endpoint, form, style)
	if refusal, ok := errors.AsType[*oidc.Error](err); ok && refusal.Code == oidc.InvalidClient {
		other := clientSecretPost
		if style == clientSecretPost {
			other = clientSecretBasic
		}
		again, second := c.post(ctx, endpoint, form, other)
		if refusal, ok := errors.AsType[*oidc.Error](second); !ok || refusal.Code != oidc.InvalidClient {
			a, err, style = again, second, other
		}
	}
	if err == nil && c.known.ClientAuthentication != style {
		c.known.ClientAuthentication, c.known.changed = style, true
	}
	return a, err
}

// post makes one request of a client that authenticates. An answer without an
// error is one of status 200.
func (c *Client) post(ctx context.Context, endpoint string, form url.Values, style string) (answer, error) {
	sent := url.Values{}
	for name, values := range form {
		sent[name] = values
	}
	if style != clientSecretBasic {
		sent.Set("client_id", string(c.ClientID))
	}
	switch style {
	case clientSecretPost:
		sent.Set("client_secret", c.ClientSecret.Reveal())
	case privateKeyJWT:
		if err := c.assert(sent, endpoint); err != nil {
			return answer{}, err
		}
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, endpoint, strings.NewReader(sent.Encode()))
	if err != nil {
		return answer{}, problem(BadAnswer, "the metadata of %s has an endpoint that is no address", c.Issuer)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if style == clientSecretBasic {
		// RFC 6749, section 2.3.1: both parts are form-encoded first.
		r.SetBasicAuth(url.QueryEscape(string(c.ClientID)), url.QueryEscape(c.ClientSecret.Reveal()))
	}
	a, err := c.send(r)
	if err != nil {
		return answer{}, err
	}
	a.from = endpoint
	return a, a.refusal()
}

// accept makes an outcome of a token response: what came is verified, and
// what has to come is there.
func (c *Client) accept(ctx context.Context, tokens oidc.TokenResponse, expected Expected) (Outcome, error) {
	switch {
	case c.UseAccessToken && tokens.AccessToken.IsZero():
		return Outcome{}, problem(BadAnswer, "the provider answered the login without an access token")
	case c.UseAccessToken && tokens.IDToken.IsZero():
		return Outcome{Tokens: tokens}, nil
	case tokens.IDToken.IsZero():
		return Outcome{}, problem(NoIDToken, "the provider answered the login without an ID token")
	}
	expected.AccessToken = tokens.AccessToken
	claims, err := c.Verify(ctx, tokens.IDToken, expected)
	if err != nil {
		return Outcome{}, err
	}
	return Outcome{Tokens: tokens, Claims: claims}, nil
}

// readTokens reads RFC 6749, section 5.1. What the answer holds never becomes
// part of a message.
func readTokens(a answer) (oidc.TokenResponse, error) {
	var response oidc.TokenResponse
	if a.isHTML() {
		return response, problem(BadAnswer, "%s answered with HTML, not with tokens", a.from)
	}
	if err := json.Unmarshal(a.body, &response); err != nil {
		return oidc.TokenResponse{}, problem(BadAnswer, "%s did not answer with tokens", a.from)
	}
	return response, nil
}

// refusal reads RFC 6749, section 5.2; nil if the answer is none.
func (a answer) refusal() error {
	if a.status == http.StatusOK {
		return nil
	}
	var refusal oidc.Error
	if json.Unmarshal(a.body, &refusal) == nil && refusal.Code != "" {
		refusal.Code = oidc.ErrorCode(plain(string(refusal.Code)))
		refusal.Description = plain(refusal.Description)
	}
	switch {
	// RFC 8628, section 3.5: some providers send slow_down with status 429.
	case refusal.Code == slowDown:
		return &refusal
	case a.unavailable(), refusal.Code == oidc.TemporarilyUnavailable, refusal.Code == oidc.ServerError:
		p := problem(Unavailable, "%s answered %s", a.from, a.statusText())
		if refusal.Code != "" {
			p.Text += " (" + refusal.Error() + ")"
		}
		return p
	case refusal.Code != "":
		return &refusal
	case a.status == http.StatusUnauthorized:
		return &oidc.Error{Code: oidc.InvalidClient}
	}
	p := problem(BadAnswer, "%s answered %s", a.from, a.statusText())
	p.Err = errStatus(a.status)
	return p
}
