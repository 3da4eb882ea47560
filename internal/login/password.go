// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package login

import (
	"context"
	"errors"
	"fmt"
	"net/url"

	"github.com/tegata/tegata/internal/oidc"
	"github.com/tegata/tegata/internal/secret"
)

// LoginWithPassword hands the end user's password to the provider (RFC 6749,
// section 4.3) and returns verified tokens. [IsInvalidGrant] tells the failure
// that another password may cure (section 5.2).
func (c *Client) LoginWithPassword(ctx context.Context, username string, password secret.String, extra map[string]string) (Outcome, error) {
	form := url.Values{"scope": {c.scope()}}
	extend(form, extra)
	form.Set("grant_type", oidc.GrantPassword)
	form.Set("username", username)
	form.Set("password", password.Reveal())
	tokens, err := c.redeem(ctx, form)
	switch refusal, ok := errors.AsType[*oidc.Error](err); {
	case ok && refusal.Code == oidc.InvalidGrant:
		return Outcome{}, fmt.Errorf("the provider refused the password of %q: %w", username, refusal)
	case ok && refusal.Code == oidc.UnsupportedGrantType:
		return Outcome{}, problem(NotOffered, "%s does not offer the password grant", c.Issuer)
	case ok:
		return Outcome{}, fmt.Errorf("the provider refused the login: %w", refusal)
	case err != nil:
		return Outcome{}, err
	}
	return c.accept(ctx, tokens, Expected{})
}
