// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package login

import (
	"encoding/base64"
	"encoding/json"
	"strings"
	"time"

	"github.com/tegata/tegata/internal/oidc"
	"github.com/tegata/tegata/internal/secret"
)

// unstatedLifetime is how long an access token is used that says nothing
// about it. RFC 6749, section 5.1, recommends that the answer does.
const unstatedLifetime = 5 * time.Minute

// AccessTokenExpiry is when the access token of an answer that has just come
// ends: by its expires_in (RFC 6749, section 5.1), or by its own exp if it is
// a JWT (RFC 9068, section 2.2), whichever is earlier. Nothing else of the
// token is read: it is meant for the API server, and opaque to a client (RFC
// 6749, section 1.4).
func AccessTokenExpiry(answer oidc.TokenResponse, now time.Time) time.Time {
	var expiry time.Time
	if answer.ExpiresIn > 0 {
		expiry = now.Add(answer.ExpiresIn)
	}
	if own := jwtExpiry(answer.AccessToken); !own.IsZero() && (expiry.IsZero() || own.Before(expiry)) {
		expiry = own
	}
	if expiry.IsZero() {
		expiry = now.Add(unstatedLifetime)
	}
	return expiry
}

// jwtExpiry is the exp of a JWT; zero for anything else.
func jwtExpiry(token secret.String) time.Time {
	parts := strings.Split(token.Reveal(), ".")
	if len(parts) != 3 {
		return time.Time{}
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return time.Time{}
	}
	var claims struct {
		Expiry oidc.NumericDate `json:"exp"`
	}
	if json.Unmarshal(payload, &claims) != nil {
		return time.Time{}
	}
	return claims.Expiry.Time
}
