// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package login

import (
	"context"
	"errors"
	"fmt"
	"net/url"

	"github.com/tegata/tegata/internal/oidc"
)

// LoginAsClient obtains the client's own tokens (RFC 6749, section 4.4). The
// scope openid is asked for only where an ID token is needed: it speaks of an
// end user (OpenID Connect Core 1.0, section 3.1.2.1), whom this grant has
// not, and some providers refuse it here.
func (c *Client) LoginAsClient(ctx context.Context, extra map[string]string) (Outcome, error) {
	form := url.Values{}
	if scope := c.Scopes.String(); !c.UseAccessToken {
		form.Set("scope", c.scope())
	} else if scope != "" {
		form.Set("scope", scope)
	}
	extend(form, extra)
	form.Set("grant_type", oidc.GrantClientCredentials)
	tokens, err := c.redeem(ctx, form)
	switch refusal, ok := errors.AsType[*oidc.Error](err); {
	case ok && refusal.Code == oidc.UnsupportedGrantType:
		return Outcome{}, problem(NotOffered, "%s does not offer the client credentials grant", c.Issuer)
	case ok:
		return Outcome{}, fmt.Errorf("the provider refused the client: %w", refusal)
	case err != nil:
		return Outcome{}, err
	}
	// Section 4.4.3: a refresh token should not come. One that does is of no
	// use: the client can always ask again.
	tokens.RefreshToken = oidc.TokenResponse{}.RefreshToken
	return c.accept(ctx, tokens, Expected{})
}
