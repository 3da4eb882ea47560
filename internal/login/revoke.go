// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package login

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/tegata/tegata/internal/oidc"
	"github.com/tegata/tegata/internal/secret"
)

// ErrCannotRevoke says that the provider has no way to revoke a refresh token.
var ErrCannotRevoke = errors.New("the provider cannot revoke refresh tokens")

// unsupportedTokenType is the refusal of a provider that revokes other tokens
// only (RFC 7009, section 2.2.1).
const unsupportedTokenType oidc.ErrorCode = "unsupported_token_type"

// Revoke makes the refresh token worthless, and what else the provider issued
// under its grant (RFC 7009, section 2). A token that the provider does not
// know is revoked already, and no error.
func (c *Client) Revoke(ctx context.Context, refreshToken secret.String) error {
	m, err := c.Discover(ctx)
	if err != nil {
		return err
	}
	if m.RevocationEndpoint == "" {
		return ErrCannotRevoke
	}
	if err := c.sameScheme("revocation_endpoint", c.aliased(m).RevocationEndpoint); err != nil {
		return err
	}
	_, err = c.submit(ctx, func(m oidc.Metadata) string { return m.RevocationEndpoint }, url.Values{
		"token":           {refreshToken.Reveal()},
		"token_type_hint": {"refresh_token"},
	})
	refusal, refused := errors.AsType[*oidc.Error](err)
	switch {
	case refused && refusal.Code == unsupportedTokenType:
		return ErrCannotRevoke
	case refused:
		return fmt.Errorf("the provider refused: %w", refusal)
	}
	return err
}

// EndSession is the address at which the end user ends the session that their
// browser has with the provider (OpenID Connect RP-Initiated Logout 1.0,
// section 2); empty if the provider has none. There is no id_token_hint in
// it: the address is printed and handed to a browser's command line, which is
// no place for an ID token. The provider asks the end user instead.
func (c *Client) EndSession(ctx context.Context, subject oidc.Subject) (string, error) {
	m, err := c.metadata(ctx)
	if err != nil || m.EndSessionEndpoint == "" {
		return "", err
	}
	if err := c.sameScheme("end_session_endpoint", m.EndSessionEndpoint); err != nil {
		return "", err
	}
	address, err := url.Parse(m.EndSessionEndpoint)
	if err != nil || address.Host == "" {
		return "", problem(BadAnswer, "the metadata of %s has an end_session_endpoint that is no address", c.Issuer)
	}
	query := address.Query()
	query.Set("client_id", string(c.ClientID))
	if subject != "" {
		query.Set("logout_hint", string(subject))
	}
	address.RawQuery = query.Encode()
	return address.String(), nil
}

// sameScheme refuses an endpoint that would leave https.
func (c *Client) sameScheme(name, address string) error {
	if strings.HasPrefix(string(c.Issuer), "https://") && !strings.HasPrefix(address, "https://") {
		return problem(BadAnswer, "the metadata of %s has a %s without https", c.Issuer, name)
	}
	return nil
}
