// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package token

import (
	"context"

	"github.com/tegata/tegata/internal/oidc"
)

// clientCredentials is the client_credentials grant (RFC 6749, section 4.4):
// the client acts for itself. Nothing is kept, and no refresh token is given
// (section 4.4.3). With the scope openid it gets an ID token of which it is
// the subject: OpenID Connect knows no such thing, and an API server takes
// nothing else.
//
// Unknown scopes, and those beyond the client's, are left out and the answer
// says what was granted (section 3.3).
func (h *Handler) clientCredentials(_ context.Context, r request) (offer, error) {
	if r.client.Public() { // Validate sees to it; section 4.4 makes it worth a second look
		return offer{}, &oidc.Error{Code: oidc.UnauthorizedClient, Description: "a public client cannot act for itself"}
	}
	var scopes oidc.Scopes
	for _, scope := range oidc.ParseScopes(r.form.Get("scope")).Only(r.client.AllowedScopes()) {
		if scope != oidc.ScopeOfflineAccess {
			scopes = append(scopes, scope)
		}
	}
	return offer{scopes: scopes}, nil
}
