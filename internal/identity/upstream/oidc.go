// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package upstream

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/go-jose/go-jose/v4"

	"github.com/tegata/tegata/internal/identity"
	"github.com/tegata/tegata/internal/oidc"
	"github.com/tegata/tegata/internal/secret"
)

// OIDC is one OpenID Provider. It implements [Provider].
type OIDC struct {
	config   OIDCConfig
	http     *http.Client
	metadata *document[metadata]
	keys     *document[[]jose.JSONWebKey]
	style    atomic.Value // how the provider took our secret
}

// NewOIDC makes the source. It asks nobody.
func NewOIDC(c OIDCConfig) (*OIDC, error) {
	c, err := c.complete()
	if err != nil {
		return nil, err
	}
	return &OIDC{
		config: c, http: newHTTPClient(c.TLS, c.Timeout),
		metadata: newDocument[metadata](c), keys: newDocument[[]jose.JSONWebKey](c),
	}, nil
}

// Close implements [Provider].
func (o *OIDC) Close() { o.http.CloseIdleConnections() }

// Begin implements [Provider] (OpenID Connect Core 1.0, section 3.1.2.1; RFC
// 7636, section 4.3).
func (o *OIDC) Begin(ctx context.Context, login Login) (string, Attempt, error) {
	ctx, cancel := context.WithTimeout(ctx, o.config.Timeout)
	defer cancel()
	m, err := o.discover(ctx)
	if err != nil {
		return "", Attempt{}, err
	}
	attempt := Attempt{Nonce: rand.Text(), Verifier: oidc.NewCodeVerifier()}
	parameters := url.Values{
		"response_type":         {"code"},
		"client_id":             {string(o.config.ClientID)},
		"redirect_uri":          {login.RedirectURI},
		"scope":                 {strings.Join(o.scopes(m), " ")},
		"state":                 {login.State},
		"nonce":                 {attempt.Nonce},
		"code_challenge":        {oidc.CodeChallenge(attempt.Verifier)},
		"code_challenge_method": {oidc.ChallengeS256},
		"login_hint":            {login.LoginHint},
		"ui_locales":            {login.UILocales},
		"prompt":                {o.config.Prompt},
	}
	for name, value := range o.config.AuthorizationParameters {
		parameters.Set(name, value)
	}
	if login.Fresh {
		attempt.Since = o.config.Now()
		prompts := slices.DeleteFunc(strings.Fields(parameters.Get("prompt")), func(prompt string) bool { return prompt == "login" })
		parameters.Set("prompt", strings.Join(append([]string{"login"}, prompts...), " "))
	}
	// Google shows the accounts of the domain first; * are all domains.
	switch hosted := o.config.HostedDomains; len(hosted) {
	case 0:
	case 1:
		parameters.Set("hd", hosted[0])
	default:
		parameters.Set("hd", "*")
	}
	address, err := withQuery(m.AuthorizationEndpoint, parameters)
	return address, attempt, err
}

// scopes are what is asked for.
func (o *OIDC) scopes(m metadata) []string {
	if len(o.config.Scopes) > 0 {
		return o.config.Scopes
	}
	scopes := []string{"openid", "profile", "email"}
	for _, scope := range []string{"groups", "offline_access"} {
		if slices.Contains(m.ScopesSupported, scope) {
			scopes = append(scopes, scope)
		}
	}
	return scopes
}

// Finish implements [Provider].
func (o *OIDC) Finish(ctx context.Context, redirectURI string, attempt Attempt, query url.Values) (identity.User, Tokens, error) {
	ctx, cancel := context.WithTimeout(ctx, o.config.Timeout)
	defer cancel()
	m, err := o.discover(ctx)
	if err != nil {
		return identity.User{}, Tokens{}, err
	}
	// 1. What the browser brought.
	code, err := callback(query, o.config.Name, func(iss string, given bool) error {
		// RFC 9207, section 2.4.
		if given && !o.isIssuer(oidc.Issuer(iss)) || !given && m.AuthorizationResponseIssSupported {
			return fmt.Errorf("the answer that the browser brought is from %q, not from %s; log in again", plain(iss), o.config.Issuer)
		}
		return nil
	})
	if err != nil {
		return identity.User{}, Tokens{}, err
	}
	if attempt.Nonce == "" || attempt.Verifier.IsZero() {
		return identity.User{}, Tokens{}, errors.New("this answers no login that began here; log in again")
	}

	// 2. The tokens for it.
	response, err := o.redeem(ctx, m, url.Values{
		"grant_type":    {oidc.GrantAuthorizationCode},
		"code":          {code.Reveal()},
		"redirect_uri":  {redirectURI},
		"code_verifier": {attempt.Verifier.Reveal()},
	})
	if err != nil {
		return identity.User{}, Tokens{}, explainCode(err, o.config.Name, redirectURI)
	}
	if response.IDToken.IsZero() {
		return identity.User{}, Tokens{}, errors.New("the provider answered the login without an ID token; is it an OAuth server alone, or is openid missing in scopes?")
	}

	// 3. What they say.
	claims, err := o.verify(ctx, m, response.IDToken, expected{nonce: attempt.Nonce, nonceMust: true, accessToken: response.AccessToken, since: attempt.Since})
	if err != nil {
		return identity.User{}, Tokens{}, err
	}
	tokens := Tokens{
		AccessToken: response.AccessToken, Expiry: expiry(o.config.Now(), response.ExpiresIn),
		RefreshToken: response.RefreshToken, IDToken: response.IDToken,
		Subject: oidc.Subject(claims.text("sub")), Nonce: attempt.Nonce, GroupsInID: o.tellsGroups(claims),
	}
	user, err := o.user(ctx, m, claims, tokens)
	if err != nil {
		return identity.User{}, Tokens{}, err
	}
	return user, tokens, nil
}

// Refresh implements [Provider].
func (o *OIDC) Refresh(ctx context.Context, subject oidc.Subject, tokens Tokens) (identity.User, Tokens, error) {
	ctx, cancel := begun(ctx, o.config.Timeout)
	defer cancel()
	m, err := o.discover(ctx)
	if err != nil {
		return identity.User{}, Tokens{}, err
	}
	var claims claimSet
	var kept Tokens // zero as long as the old ones are good
	switch now := o.config.Now(); {
	case !tokens.RefreshToken.IsZero():
		// 1. New tokens. From here on the old refresh token may be void.
		response, err := o.redeem(ctx, m, url.Values{
			"grant_type":    {oidc.GrantRefreshToken},
			"refresh_token": {tokens.RefreshToken.Reveal()},
		})
		if err != nil {
			return identity.User{}, Tokens{}, explainRefresh(err)
		}
		tokens.AccessToken, tokens.Expiry = response.AccessToken, expiry(o.config.Now(), response.ExpiresIn)
		if !response.RefreshToken.IsZero() {
			tokens.RefreshToken = response.RefreshToken
		}
		kept = tokens
		if response.IDToken.IsZero() {
			break
		}
		claims, err = o.verify(ctx, m, response.IDToken, expected{nonce: tokens.Nonce, subject: tokens.Subject, accessToken: response.AccessToken})
		if err != nil {
			return identity.User{}, kept, err
		}
		tokens.IDToken, tokens.GroupsInID = response.IDToken, o.tellsGroups(claims)
		kept = tokens
	case tokens.AccessToken.IsZero() || tokens.expired(now):
		return identity.User{}, kept, errors.New("the provider gave no refresh token, so it cannot be asked again; have it give one, with the scope offline_access or with prompt: consent")
	}

	// 2. What is true of the user now.
	user, err := o.user(ctx, m, claims, tokens)
	switch {
	case errors.Is(err, errUnauthorized) && kept.IsZero():
		return identity.User{}, kept, fmt.Errorf("%w: %w", identity.ErrNotFound, err)
	case err != nil:
		return identity.User{}, kept, err
	case user.Subject != subject:
		return identity.User{}, kept, fmt.Errorf("%w: the provider answered with another user (%s, not %s)", identity.ErrNotFound, user.Subject, subject)
	}
	if kept.IsZero() {
		kept = tokens
	}
	return user, kept, nil
}

// user makes a user of the claims of an ID token, and of what else has to be
// asked. Without claims there was no ID token.
func (o *OIDC) user(ctx context.Context, m metadata, claims claimSet, tokens Tokens) (identity.User, error) {
	fromID := claims != nil
	if o.asksUserinfo(m, claims) {
		more, err := o.userinfo(ctx, m, tokens)
		if err != nil {
			return identity.User{}, err
		}
		first, then := more, claims // the later one wins
		if o.config.Userinfo == UserinfoAlways {
			first, then = claims, more
		}
		claims = o.config.merged(first, then)
	}
	switch {
	case claims == nil:
		return identity.User{}, errors.New("the provider renews the login without an ID token, and has no userinfo endpoint that may be asked; set userinfo: auto")
	case !fromID && tokens.GroupsInID && !o.tellsGroups(claims):
		return identity.User{}, fmt.Errorf("the provider told the groups in the ID token of the login, and does not tell them now: it renews the login without an ID token, and there is no %s at its userinfo endpoint", o.config.Claims.Groups)
	}
	groups, err := o.groups(ctx, claims, tokens.AccessToken)
	if err != nil {
		return identity.User{}, err
	}
	return o.config.user(claims, groups)
}

// asksUserinfo reports whether the userinfo endpoint has to be asked.
func (o *OIDC) asksUserinfo(m metadata, claims claimSet) bool {
	switch {
	case o.config.Userinfo == UserinfoNever || m.UserinfoEndpoint == "":
		return false
	case o.config.Userinfo == UserinfoAlways || claims == nil:
		return true
	}
	names := o.config.Claims
	username := names.Username
	if username == "" {
		username = "preferred_username"
	}
	return !claims.has(names.ID) || !claims.has(username) || !claims.has(names.Email) || !claims.has(names.Name) ||
		!o.tellsGroups(claims)
}

// tellsGroups reports whether the claims tell the groups, or who does.
func (o *OIDC) tellsGroups(claims claimSet) bool {
	return claims.has(o.config.Claims.Groups) || o.config.overage(claims)
}

// errUnauthorized means that the provider does not take the access token.
var errUnauthorized = errors.New("the provider does not take the access token any more")

// userinfo asks what is true of the user now (OpenID Connect Core 1.0, section
// 5.3).
func (o *OIDC) userinfo(ctx context.Context, m metadata, tokens Tokens) (claimSet, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, m.UserinfoEndpoint, nil)
	if err != nil {
		return nil, fmt.Errorf("%s is no address", plain(m.UserinfoEndpoint))
	}
	bearer(r, tokens.AccessToken)
	a, err := send(o.http, r)
	switch {
	case err != nil:
		return nil, err
	case a.status == http.StatusUnauthorized:
		return nil, fmt.Errorf("%w (%s)", errUnauthorized, a.from)
	case a.status != http.StatusOK:
		return nil, a.unexpected()
	case strings.HasPrefix(a.header.Get("Content-Type"), "application/jwt"):
		return nil, fmt.Errorf("%s answered with a JWT; turn off signed userinfo answers in the registration of our client, or set userinfo: never", a.from)
	}
	claims, err := parseClaims(a.body)
	switch {
	case err != nil:
		return nil, fmt.Errorf("%s did not answer with claims", a.from)
	case claims.text("sub") != string(tokens.Subject):
		// Section 5.3.2: else the claims MUST NOT be used.
		return nil, fmt.Errorf("%s answered about another user (%q) than the one who logged in", a.from, plain(claims.text("sub")))
	}
	return claims, nil
}

// bearer shows an access token (RFC 6750, section 2.1).
func bearer(r *http.Request, token secret.String) {
	r.Header.Set("Authorization", "Bearer "+token.Reveal())
}

// maxHint is the length of an ID token that still fits into an address. Without
// the hint the provider asks the person.
const maxHint = 6 << 10

// LogOutURL implements [Provider] (OpenID Connect RP-Initiated Logout 1.0,
// section 2).
func (o *OIDC) LogOutURL(ctx context.Context, tokens Tokens, redirectURI, state string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, o.config.Timeout)
	defer cancel()
	m, err := o.discover(ctx)
	if err != nil || m.EndSessionEndpoint == "" {
		return "", err
	}
	parameters := url.Values{"client_id": {string(o.config.ClientID)}}
	if hint := tokens.IDToken.Reveal(); len(hint) <= maxHint {
		parameters.Set("id_token_hint", hint)
	}
	if redirectURI != "" {
		parameters.Set("post_logout_redirect_uri", redirectURI)
		parameters.Set("state", state)
		if strings.HasPrefix(string(o.config.Issuer), cognito) {
			parameters.Set("logout_uri", redirectURI) // its own name for it
		}
	}
	return withQuery(m.EndSessionEndpoint, parameters)
}

// Revoke implements [Provider] (RFC 7009). The refresh token takes the others
// along.
func (o *OIDC) Revoke(ctx context.Context, tokens Tokens) error {
	if tokens.IsZero() {
		return nil
	}
	ctx, cancel := begun(ctx, o.config.Timeout)
	defer cancel()
	m, err := o.discover(ctx)
	if err != nil || m.RevocationEndpoint == "" {
		return err
	}
	form := url.Values{"token": {tokens.RefreshToken.Reveal()}, "token_type_hint": {"refresh_token"}}
	if tokens.RefreshToken.IsZero() {
		form = url.Values{"token": {tokens.AccessToken.Reveal()}, "token_type_hint": {"access_token"}}
	}
	a, err := o.submit(ctx, m, m.RevocationEndpoint, form)
	refusal := a.refusal()
	switch {
	case err != nil:
		return err
	case a.refusesClient():
		return wrongSecret(o.config.Name, a)
	case refusal != nil && refusal.Code == oidc.UnsupportedTokenType: // section 2.2.1: it ends by itself
		return nil
	case refusal != nil:
		return fmt.Errorf("the provider did not revoke the tokens: %w", refusal)
	case a.status != http.StatusOK:
		return a.unexpected()
	}
	return nil
}
