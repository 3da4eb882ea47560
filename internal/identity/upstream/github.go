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
	"strings"

	"github.com/tegata/tegata/internal/identity"
	"github.com/tegata/tegata/internal/oidc"
	"github.com/tegata/tegata/internal/secret"
)

// GitHub is GitHub, or a GitHub Enterprise server. It implements [Provider].
//
// GitHub is no OpenID Provider for people: there is no ID token, and its API
// is asked with the access token. That of an OAuth app does not expire; that
// of a GitHub app does, and comes with a refresh token.
type GitHub struct {
	config GitHubConfig
	http   *http.Client
	api    string
}

// NewGitHub makes the source. It asks nobody.
func NewGitHub(c GitHubConfig) (*GitHub, error) {
	c, err := c.complete()
	if err != nil {
		return nil, err
	}
	return &GitHub{config: c, http: newHTTPClient(c.TLS, c.Timeout), api: apiOf(c.BaseURL)}, nil
}

// apiOf is where the API of a GitHub is: at a host of its own in GitHub's
// cloud, below a path on a server.
func apiOf(base string) string {
	scheme, host, _ := strings.Cut(base, "://")
	if base == gitHub || strings.HasSuffix(host, ".ghe.com") {
		return scheme + "://api." + host
	}
	return base + "/api/v3"
}

// Close implements [Provider].
func (g *GitHub) Close() { g.http.CloseIdleConnections() }

// The scopes that are asked for: addresses, and organizations with teams.
const (
	scopeEmail         = "user:email"
	scopeOrganizations = "read:org"
)

// Begin implements [Provider]. It asks nobody.
func (g *GitHub) Begin(_ context.Context, login Login) (string, Attempt, error) {
	attempt := Attempt{Verifier: oidc.NewCodeVerifier()}
	parameters := url.Values{
		"response_type":         {"code"},
		"client_id":             {string(g.config.ClientID)},
		"redirect_uri":          {login.RedirectURI},
		"scope":                 {scopeEmail + " " + scopeOrganizations},
		"state":                 {login.State},
		"code_challenge":        {oidc.CodeChallenge(attempt.Verifier)},
		"code_challenge_method": {oidc.ChallengeS256},
		"login":                 {login.LoginHint},
	}
	if login.Fresh {
		parameters.Set("prompt", "select_account")
	}
	address, err := withQuery(g.config.BaseURL+"/login/oauth/authorize", parameters)
	return address, attempt, err
}

// Finish implements [Provider].
func (g *GitHub) Finish(ctx context.Context, redirectURI string, attempt Attempt, query url.Values) (identity.User, Tokens, error) {
	ctx, cancel := context.WithTimeout(ctx, g.config.Timeout)
	defer cancel()
	code, err := callback(query, g.config.Name, g.acceptIssuer)
	if err != nil {
		return identity.User{}, Tokens{}, err
	}
	if attempt.Verifier.IsZero() {
		return identity.User{}, Tokens{}, errors.New("this answers no login that began here; log in again")
	}
	tokens, err := g.redeem(ctx, url.Values{
		"grant_type":    {oidc.GrantAuthorizationCode},
		"code":          {code.Reveal()},
		"redirect_uri":  {redirectURI},
		"code_verifier": {attempt.Verifier.Reveal()},
	})
	if err != nil {
		return identity.User{}, Tokens{}, explainCode(err, g.config.Name, redirectURI)
	}
	user, err := g.user(ctx, tokens.AccessToken)
	if err != nil {
		return identity.User{}, Tokens{}, err
	}
	tokens.Subject = user.Subject
	return user, tokens, nil
}

// acceptIssuer refuses the answer of somebody else (RFC 9207).
func (g *GitHub) acceptIssuer(iss string, given bool) error {
	if given && iss != g.config.BaseURL && !strings.HasPrefix(iss, g.config.BaseURL+"/") {
		return fmt.Errorf("the answer that the browser brought is from %q, not from %s; log in again", plain(iss), g.config.BaseURL)
	}
	return nil
}

// redeem sends a grant to the token endpoint.
func (g *GitHub) redeem(ctx context.Context, form url.Values) (Tokens, error) {
	form.Set("client_id", string(g.config.ClientID))
	form.Set("client_secret", g.config.ClientSecret.Reveal())
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, g.config.BaseURL+"/login/oauth/access_token", strings.NewReader(form.Encode()))
	if err != nil {
		return Tokens{}, err
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	a, err := send(g.http, r)
	if err != nil {
		return Tokens{}, err
	}
	if refusal := a.refusal(); refusal != nil && (refusal.Code == "incorrect_client_credentials" || refusal.Code == oidc.InvalidClient) {
		return Tokens{}, wrongSecret(g.config.Name, a)
	}
	response, err := readTokens(a)
	if err != nil {
		return Tokens{}, err
	}
	if err := checkGranted(a); err != nil {
		return Tokens{}, err
	}
	return Tokens{AccessToken: response.AccessToken, Expiry: expiry(g.config.Now(), response.ExpiresIn), RefreshToken: response.RefreshToken}, nil
}

// checkGranted refuses an access token with which GitHub would leave out
// organizations or addresses without a word. The tokens of a GitHub app have
// permissions and no scopes.
func checkGranted(a answer) error {
	var granted struct {
		Scope string `json:"scope"`
	}
	if json.Unmarshal(a.body, &granted) != nil || granted.Scope == "" {
		return nil
	}
	scopes := strings.FieldsFunc(granted.Scope, func(letter rune) bool { return letter == ',' || letter == ' ' })
	for _, wanted := range [][]string{{scopeEmail, "user"}, {scopeOrganizations, "write:org", "admin:org"}} {
		if !overlap(scopes, wanted) {
			return fmt.Errorf("GitHub granted %q, and %s is needed; log in again and allow it", plain(granted.Scope), wanted[0])
		}
	}
	return nil
}

// Refresh implements [Provider].
func (g *GitHub) Refresh(ctx context.Context, subject oidc.Subject, tokens Tokens) (identity.User, Tokens, error) {
	ctx, cancel := begun(ctx, g.config.Timeout)
	defer cancel()
	var kept Tokens // zero as long as the old ones are good
	if now := g.config.Now(); tokens.AccessToken.IsZero() || tokens.expired(now.Add(leeway)) {
		if tokens.RefreshToken.IsZero() {
			return identity.User{}, kept, errors.New("the access token of GitHub has expired, and there is no refresh token; log in again")
		}
		renewed, err := g.redeem(ctx, url.Values{"grant_type": {oidc.GrantRefreshToken}, "refresh_token": {tokens.RefreshToken.Reveal()}})
		if err != nil {
			return identity.User{}, kept, explainRefresh(err)
		}
		if renewed.RefreshToken.IsZero() {
			renewed.RefreshToken = tokens.RefreshToken
		}
		renewed.Subject = tokens.Subject
		tokens, kept = renewed, renewed
	}
	user, err := g.user(ctx, tokens.AccessToken)
	switch {
	case errors.Is(err, errUnauthorized):
		return identity.User{}, kept, fmt.Errorf("%w: %w", identity.ErrNotFound, err)
	case err != nil:
		return identity.User{}, kept, err
	case user.Subject != subject:
		return identity.User{}, kept, fmt.Errorf("%w: GitHub answered with another user (%s, not %s)", identity.ErrNotFound, user.Subject, subject)
	}
	return user, tokens, nil
}

// LogOutURL implements [Provider]: GitHub has no such place.
func (g *GitHub) LogOutURL(context.Context, Tokens, string, string) (string, error) { return "", nil }

// Revoke implements [Provider]. Other logins of the person stay.
func (g *GitHub) Revoke(ctx context.Context, tokens Tokens) error {
	if tokens.AccessToken.IsZero() {
		return nil
	}
	ctx, cancel := begun(ctx, g.config.Timeout)
	defer cancel()
	body, err := json.Marshal(map[string]string{"access_token": tokens.AccessToken.Reveal()})
	if err != nil {
		return err
	}
	r, err := g.request(ctx, http.MethodDelete, "/applications/"+url.PathEscape(string(g.config.ClientID))+"/token", secret.New(string(body)))
	if err != nil {
		return err
	}
	r.SetBasicAuth(string(g.config.ClientID), g.config.ClientSecret.Reveal())
	a, err := send(g.http, r)
	switch {
	case err != nil:
		return err
	case a.status == http.StatusUnauthorized:
		return wrongSecret(g.config.Name, a)
	case a.status == http.StatusNotFound, a.status == http.StatusUnprocessableEntity: // it is no token any more
		return nil
	case a.status/100 != 2:
		return a.unexpected()
	}
	return nil
}
