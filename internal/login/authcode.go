// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package login

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"crypto/tls"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"time"

	"github.com/tegata/tegata/internal/oidc"
	"github.com/tegata/tegata/internal/secret"
)

// PKCE is whether the authorization request is bound to this process
// (RFC 7636).
type PKCE string

const (
	// PKCEAuto is S256, unless the provider says that it knows other methods
	// only. A provider that says nothing about PKCE gets it all the same:
	// those who do not know it must ignore it (RFC 6749, section 3.1), and
	// many who know it do not say so.
	PKCEAuto PKCE = "auto"
	// PKCEOff is for a provider that fails on what it should ignore.
	PKCEOff PKCE = "no"
	// PKCES256 is S256, whatever the provider says.
	PKCES256 PKCE = "S256"
)

// Authorization is one authorization request in a browser.
type Authorization struct {
	// ListenAddresses are tried in order; the first that is free is used.
	ListenAddresses []string

	// RedirectURL is sent to the provider. The default is
	// http://localhost:PORT, without a path.
	RedirectURL string

	// Certificate makes the callback server speak https.
	Certificate *tls.Certificate

	PKCE PKCE

	// ExtraParams are added to the request. They may replace what is a
	// matter of taste, not what ties the answer to this request.
	ExtraParams map[string]string

	// Timeout is how long the end user may take.
	Timeout time.Duration

	// OpenAfter is where the browser goes after success, instead of our page.
	OpenAfter string

	// Waiting, if there is one, is told once that other logins of ours have all
	// the addresses, and that this one goes on when one of them has ended.
	Waiting func()

	// Paste, if there is one, waits for the address at which the end user's
	// browser ended. A browser on another machine does not reach our callback
	// server; its address bar has the same answer.
	Paste func(ctx context.Context) (string, error)

	// Complain tells the end user why what they pasted is of no use; they are
	// asked again.
	Complain func(error)

	// Visit brings the end user to the address. It must not wait for them;
	// ctx ends with the login, after which there is nothing to say any more.
	Visit func(ctx context.Context, address string) error
}

// ReservedParam reports whether an extra parameter would untie the answer
// from the request.
func ReservedParam(name string) bool {
	return slices.Contains([]string{
		"client_id", "code_challenge", "code_challenge_method", "nonce", "redirect_uri", "response_mode", "response_type", "state",
		// Of token requests, in the grants without a browser.
		"client_assertion", "client_assertion_type", "client_secret", "code", "code_verifier", "device_code", "grant_type", "password", "refresh_token", "username",
	}, name)
}

// Outcome is what a login gave.
type Outcome struct {
	Tokens oidc.TokenResponse
	Claims oidc.Claims // of the ID token, verified; empty if none came and none was needed
}

// Login asks the end user, in a browser, and returns verified tokens. When it
// returns, no listener and no goroutine of it is left, whatever happened.
func (c *Client) Login(ctx context.Context, a Authorization) (Outcome, error) {
	// 1. Who is asked. The endpoint goes to a browser, where we would not see
	// that it has moved: so the metadata is always fetched.
	m, err := c.Discover(ctx)
	if err != nil {
		return Outcome{}, err
	}
	if m.AuthorizationEndpoint == "" {
		return Outcome{}, problem(BadAnswer, "the metadata of %s has no authorization_endpoint", c.Issuer)
	}

	// 2. Where the answer comes to.
	request := request{state: rand.Text(), nonce: rand.Text()}
	if a.PKCE == PKCES256 || a.PKCE != PKCEOff && speaksS256(m) {
		request.verifier = oidc.NewCodeVerifier()
	}
	listening, err := a.listen(ctx)
	if err != nil {
		return Outcome{}, err
	}
	request.redirectURI = a.RedirectURL
	if request.redirectURI == "" {
		request.redirectURI = listening.redirectURI()
	}
	server, err := serveCallback(listening, request.redirectURI, request.state)
	if err != nil {
		listening.close()
		return Outcome{}, err
	}
	defer server.close()

	// 3. The end user is asked.
	address, err := c.authorizationURL(m, request, a.ExtraParams)
	if err != nil {
		return Outcome{}, err
	}
	person, cancel := context.WithTimeout(ctx, a.Timeout)
	defer cancel()
	if err := a.Visit(person, address); err != nil {
		return Outcome{}, err
	}

	// 4. While they type, the keys are fetched: nobody has to wait for them
	// afterwards. A failure shows when the keys are needed.
	_ = c.haveKeys(person)

	// 5. The answer, and then, before the browser hears anything, the truth.
	var arrived callback
	pasted, stopPasting := a.paste(person, request.state)
	defer stopPasting()
	select {
	case arrived = <-server.arrived:
	case query := <-pasted:
		return c.conclude(ctx, m, request, query)
	case <-person.Done():
		if ctx.Err() != nil {
			return Outcome{}, ctx.Err()
		}
		return Outcome{}, problem(NobodyCame, "nobody logged in within %s", a.Timeout)
	}
	outcome, err := c.conclude(ctx, m, request, arrived.query)
	switch {
	case err != nil:
		arrived.reply(failurePage(arrived.language, err))
	case a.OpenAfter != "":
		arrived.reply(redirectTo(a.OpenAfter))
	default:
		arrived.reply(successPage(arrived.language, personName(outcome.Claims), string(c.ClientID)))
	}
	return outcome, err
}

// request is what ties an answer to the authorization request it answers.
type request struct {
	state, nonce string
	verifier     secret.String // absent without PKCE
	redirectURI  string
}

// speaksS256 reports whether S256 can be sent under [PKCEAuto].
func speaksS256(m oidc.Metadata) bool {
	return len(m.CodeChallengeMethodsSupported) == 0 || slices.Contains(m.CodeChallengeMethodsSupported, oidc.ChallengeS256)
}

// authorizationURL is the authorization request (OpenID Connect Core 1.0,
// section 3.1.2.1).
func (c *Client) authorizationURL(m oidc.Metadata, r request, extra map[string]string) (string, error) {
	address, err := url.Parse(m.AuthorizationEndpoint)
	if err != nil || address.Host == "" {
		return "", problem(BadAnswer, "the metadata of %s has no usable authorization_endpoint", c.Issuer)
	}
	// RFC 6749, section 3.1: a query that the endpoint has is kept.
	query := address.Query()
	query.Set("response_type", "code")
	query.Set("client_id", string(c.ClientID))
	query.Set("redirect_uri", r.redirectURI)
	query.Set("scope", c.scope())
	query.Set("state", r.state)
	query.Set("nonce", r.nonce)
	// Google's word for offline_access; others ignore it.
	query.Set("access_type", "offline")
	if !r.verifier.IsZero() {
		query.Set("code_challenge", oidc.CodeChallenge(r.verifier))
		query.Set("code_challenge_method", oidc.ChallengeS256)
	}
	for name, value := range extra {
		if !ReservedParam(name) {
			query.Set(name, value)
		}
	}
	address.RawQuery = query.Encode()
	return address.String(), nil
}

// scope is openid and what was asked for, each once.
func (c *Client) scope() string {
	return oidc.ParseScopes(oidc.ScopeOpenID + " " + c.Scopes.String()).String()
}

// conclude turns the authorization response into tokens.
func (c *Client) conclude(ctx context.Context, m oidc.Metadata, r request, query url.Values) (Outcome, error) {
	// RFC 9207, section 2.4: an answer of another provider is not redeemed at
	// this one.
	if issuer := query.Get("iss"); issuer != "" && issuer != string(c.Issuer) {
		return Outcome{}, problem(BadAnswer, "the answer in the browser is from %q, not from %q", plain(issuer), c.Issuer)
	} else if issuer == "" && m.AuthorizationResponseIssSupported {
		return Outcome{}, problem(BadAnswer, "the answer in the browser does not name its issuer, which %s always does", c.Issuer)
	}
	if code := query.Get("error"); code != "" {
		refusal := &oidc.Error{Code: oidc.ErrorCode(plain(code)), Description: plain(query.Get("error_description"))}
		return Outcome{}, fmt.Errorf("the provider refused the login: %w", refusal)
	}
	form := url.Values{
		"grant_type":   {oidc.GrantAuthorizationCode},
		"code":         {query.Get("code")},
		"redirect_uri": {r.redirectURI},
	}
	if !r.verifier.IsZero() {
		form.Set("code_verifier", r.verifier.Reveal())
	}
	tokens, err := c.redeem(ctx, form)
	if refusal, ok := errors.AsType[*oidc.Error](err); ok {
		return Outcome{}, fmt.Errorf("the provider refused to exchange the code: %w", refusal)
	} else if err != nil {
		return Outcome{}, err
	}
	return c.accept(ctx, tokens, Expected{Nonce: r.nonce})
}

// sameState compares in equal time, so that nobody can feel their way to it.
func sameState(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }

// personName is what the page may call the end user; empty if nothing is known.
func personName(claims oidc.Claims) string {
	for _, claim := range []string{"name", "preferred_username", "email"} {
		if name, ok := claims.Other[claim].(string); ok && name != "" {
			return plain(name)
		}
	}
	return ""
}
