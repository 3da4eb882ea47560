// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package upstream

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/tegata/tegata/internal/identity"
	"github.com/tegata/tegata/internal/oidc"
	"github.com/tegata/tegata/internal/secret"
)

// redeem sends a grant to the token endpoint and reads the answer (RFC 6749,
// section 5). A refusal is an *oidc.Error.
func (o *OIDC) redeem(ctx context.Context, m metadata, form url.Values) (oidc.TokenResponse, error) {
	a, err := o.submit(ctx, m, m.TokenEndpoint, form)
	if err != nil {
		return oidc.TokenResponse{}, err
	}
	if a.refusesClient() {
		return oidc.TokenResponse{}, wrongSecret(o.config.Name, a)
	}
	return readTokens(a)
}

// readTokens reads RFC 6749, section 5. What the answer holds never becomes
// part of a message, but for the words of a refusal.
func readTokens(a answer) (oidc.TokenResponse, error) {
	if refusal := a.refusal(); refusal != nil {
		return oidc.TokenResponse{}, refusal
	}
	var response oidc.TokenResponse
	switch {
	case a.status != http.StatusOK:
		return response, a.unexpected()
	case json.Unmarshal(a.body, &response) != nil || response.AccessToken.IsZero():
		return oidc.TokenResponse{}, fmt.Errorf("%s did not answer with tokens", a.from)
	case !strings.EqualFold(response.TokenType, "bearer"):
		return oidc.TokenResponse{}, fmt.Errorf("%s answered with an access token of the type %q, which we cannot use", a.from, plain(response.TokenType))
	}
	return response, nil
}

// wrongSecret is the answer to a client that the provider does not know.
func wrongSecret(source string, a answer) error {
	reason := a.statusText()
	if refusal := a.refusal(); refusal != nil {
		reason = refusal.Error()
	}
	return fmt.Errorf("the provider does not accept our credentials: the client ID or the client secret of the source %s is wrong or has expired; compare them with the registration at the provider (%s)", source, reason)
}

// explainCode says what a refused code means for who set up the source.
func explainCode(err error, source, redirectURI string) error {
	refusal, ok := errors.AsType[*oidc.Error](err)
	switch {
	case !ok:
		return fmt.Errorf("the source %s: %w", source, err)
	case refusal.Code == oidc.UnauthorizedClient:
		return fmt.Errorf("the provider of the source %s does not let our client log people in (%w); allow the authorization code grant in its registration", source, refusal)
	case refusal.Code == oidc.InvalidGrant, refusal.Code == oidc.InvalidRequest, refusal.Code == "bad_verification_code", refusal.Code == "redirect_uri_mismatch":
		return fmt.Errorf("the provider of the source %s refused the code that the browser brought (%w); log in again, and if it stays so, register the redirect URI %s there", source, refusal, redirectURI)
	}
	return fmt.Errorf("the provider of the source %s refused the login: %w", source, refusal)
}

// explainRefresh tells a grant that is gone from everything else.
func explainRefresh(err error) error {
	refusal, ok := errors.AsType[*oidc.Error](err)
	if !ok {
		return err
	}
	switch refusal.Code {
	case oidc.InvalidGrant, oidc.LoginRequired, oidc.ConsentRequired, "interaction_required", "bad_refresh_token":
		return fmt.Errorf("%w: the provider does not renew the login (%w)", identity.ErrNotFound, refusal)
	}
	return fmt.Errorf("the provider refused to renew the login: %w", refusal)
}

// callback reads what the browser brought back (RFC 6749, section 4.1.2).
// acceptIssuer looks at iss (RFC 9207).
func callback(query url.Values, source string, acceptIssuer func(iss string, given bool) error) (code secret.String, err error) {
	for _, name := range []string{"code", "error", "iss"} {
		if len(query[name]) > 1 {
			return code, fmt.Errorf("the browser brought back more than one %s; log in again", name)
		}
	}
	// Before all else: an answer from somebody else means nothing.
	if err := acceptIssuer(query.Get("iss"), query.Has("iss")); err != nil {
		return code, err
	}
	if query.Has("error") {
		refusal := &oidc.Error{Code: oidc.ErrorCode(plain(query.Get("error"))), Description: plain(query.Get("error_description"))}
		if refusal.Code == oidc.AccessDenied {
			return code, fmt.Errorf("%w (%w)", ErrCancelled, refusal)
		}
		return code, fmt.Errorf("the provider of the source %s refused the login: %w", source, refusal)
	}
	if query.Get("code") == "" {
		return code, errors.New("the browser brought back no code; log in again")
	}
	return secret.New(query.Get("code")), nil
}

// expiry is when an access token ends that is good for some time from now.
func expiry(now time.Time, in time.Duration) time.Time {
	if in <= 0 {
		return time.Time{}
	}
	return now.Add(in)
}

// withQuery adds parameters to an address that may have some.
func withQuery(address string, parameters url.Values) (string, error) {
	u, err := url.Parse(address)
	if err != nil {
		return "", fmt.Errorf("%s is no address", plain(address))
	}
	query := u.Query()
	for name, values := range parameters {
		query[name] = slices.DeleteFunc(values, func(value string) bool { return value == "" })
	}
	u.RawQuery = query.Encode()
	return u.String(), nil
}
