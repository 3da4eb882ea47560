// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package login

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/tegata/tegata/internal/oidc"
	"github.com/tegata/tegata/internal/secret"
)

// The answers of the token endpoint while the end user is busy elsewhere (RFC
// 8628, section 3.5).
const (
	authorizationPending oidc.ErrorCode = "authorization_pending"
	slowDown             oidc.ErrorCode = "slow_down"
	expiredToken         oidc.ErrorCode = "expired_token"
)

// RFC 8628: the pause between two polls if the provider names none (section
// 3.2), and how much longer it becomes with each slow_down (section 3.5).
const (
	defaultInterval = 5 * time.Second
	slowerBy        = 5 * time.Second
)

// Device is one device authorization request.
type Device struct {
	PKCE        PKCE
	ExtraParams map[string]string

	// Timeout is how long the end user may take; the provider may allow less.
	Timeout time.Duration

	// Show brings the code to the end user. It must not wait for them; ctx
	// ends with the login.
	Show func(ctx context.Context, code DeviceCode)
}

// DeviceCode is what the end user needs.
type DeviceCode struct {
	UserCode string // what they enter
	Address  string // where
	Complete string // the address with the code in it; may be empty
}

// OffersDevice reports whether the provider has the device grant.
func (c *Client) OffersDevice(ctx context.Context) (bool, error) {
	m, err := c.metadata(ctx)
	return m.DeviceAuthorizationEndpoint != "", err
}

// LoginOnDevice lets the end user log in on another device and returns
// verified tokens (RFC 8628).
func (c *Client) LoginOnDevice(ctx context.Context, d Device) (Outcome, error) {
	// 1. A code for the end user, and one for us (section 3.1). Nothing in the
	// RFC forbids PKCE; a provider that does not know it must ignore it (RFC
	// 6749, section 3.2).
	m, err := c.metadata(ctx)
	if err == nil && m.DeviceAuthorizationEndpoint == "" && !c.known.metadataFresh {
		m, err = c.Discover(ctx) // it may have come since
	}
	if err != nil {
		return Outcome{}, err
	}
	if m.DeviceAuthorizationEndpoint == "" {
		return Outcome{}, problem(NotOffered, "%s does not offer the device code grant: its metadata has no device_authorization_endpoint", c.Issuer)
	}
	form := url.Values{"scope": {c.scope()}}
	extend(form, d.ExtraParams)
	var verifier secret.String
	if d.PKCE == PKCES256 || d.PKCE != PKCEOff && speaksS256(m) {
		verifier = oidc.NewCodeVerifier()
		form.Set("code_challenge", oidc.CodeChallenge(verifier))
		form.Set("code_challenge_method", oidc.ChallengeS256)
	}
	a, err := c.submit(ctx, func(m oidc.Metadata) string { return m.DeviceAuthorizationEndpoint }, form)
	if refusal, ok := errors.AsType[*oidc.Error](err); ok {
		return Outcome{}, fmt.Errorf("the provider refused to begin a login: %w", refusal)
	} else if err != nil {
		return Outcome{}, err
	}
	begun, err := readDevice(a.body)
	if err != nil {
		return Outcome{}, problem(BadAnswer, "%s did not answer with a device code: %v", a.from, err)
	}

	// 2. The end user, and meanwhile the keys.
	limit := d.Timeout
	if begun.expiresIn > 0 && begun.expiresIn < limit {
		limit = begun.expiresIn
	}
	person, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	d.Show(person, begun.DeviceCode)
	_ = c.haveKeys(person)

	// 3. Until they are done (section 3.4).
	form = url.Values{"grant_type": {oidc.GrantDeviceCode}, "device_code": {begun.code.Reveal()}}
	if !verifier.IsZero() {
		form.Set("code_verifier", verifier.Reveal())
	}
	tokens, err := c.poll(person, form, begun.interval)
	switch {
	case err == nil:
		return c.accept(ctx, tokens, Expected{})
	case ctx.Err() != nil:
		return Outcome{}, ctx.Err()
	case person.Err() != nil && limit < d.Timeout, isCode(err, expiredToken): // section 3.5
		return Outcome{}, problem(CodeExpired, "the code %s expired before anybody logged in with it", begun.UserCode)
	case person.Err() != nil:
		return Outcome{}, problem(NobodyCame, "nobody logged in within %s", d.Timeout)
	}
	if refusal, ok := errors.AsType[*oidc.Error](err); ok {
		return Outcome{}, fmt.Errorf("the provider refused the login: %w", refusal)
	}
	return Outcome{}, err
}

// poll asks for the tokens, at once and then after each pause, until the end
// user has decided (RFC 8628, section 3.5).
func (c *Client) poll(ctx context.Context, form url.Values, pause time.Duration) (oidc.TokenResponse, error) {
	for {
		tokens, err := c.redeem(ctx, form)
		switch {
		case err == nil:
			return tokens, nil
		case ctx.Err() != nil:
			return oidc.TokenResponse{}, ctx.Err()
		case isCode(err, authorizationPending):
		case isCode(err, slowDown):
			pause += slowerBy
		case transient(err):
			// "On encountering a connection timeout, clients MUST unilaterally
			// reduce their polling frequency": an exponential backoff.
			pause *= 2
		default:
			return oidc.TokenResponse{}, err
		}
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return oidc.TokenResponse{}, ctx.Err()
		}
	}
}

func isCode(err error, code oidc.ErrorCode) bool {
	refusal, ok := errors.AsType[*oidc.Error](err)
	return ok && refusal.Code == code
}

// extend adds the extra parameters to a form: those that may be chosen.
func extend(form url.Values, extra map[string]string) {
	for name, value := range extra {
		if !ReservedParam(name) {
			form.Set(name, value)
		}
	}
}

// deviceAnswer is the device authorization response (RFC 8628, section 3.2).
type deviceAnswer struct {
	DeviceCode

	code                secret.String
	expiresIn, interval time.Duration
}

// readDevice reads a device authorization response. Everything in it that a
// person gets to see is made fit for a terminal.
func readDevice(text []byte) (deviceAnswer, error) {
	var wire struct {
		DeviceCode string      `json:"device_code"`
		UserCode   string      `json:"user_code"`
		URI        string      `json:"verification_uri"`
		URL        string      `json:"verification_url"` // the name in drafts of the RFC, which some kept
		Complete   string      `json:"verification_uri_complete"`
		ExpiresIn  json.Number `json:"expires_in"`
		Interval   json.Number `json:"interval"`
	}
	if json.Unmarshal(text, &wire) != nil {
		return deviceAnswer{}, errors.New("it cannot be read")
	}
	if wire.URI == "" {
		wire.URI = wire.URL
	}
	read := deviceAnswer{
		DeviceCode: DeviceCode{UserCode: plain(wire.UserCode), Address: wire.URI, Complete: wire.Complete},
		code:       secret.New(wire.DeviceCode),
		expiresIn:  seconds(wire.ExpiresIn),
		interval:   seconds(wire.Interval),
	}
	switch {
	case wire.DeviceCode == "":
		return deviceAnswer{}, errors.New("it has no device_code")
	case read.UserCode == "":
		return deviceAnswer{}, errors.New("it has no user_code")
	case !visitable(read.Address):
		return deviceAnswer{}, errors.New("it has no usable verification_uri")
	}
	if !visitable(read.Complete) {
		read.Complete = ""
	}
	if read.interval == 0 {
		read.interval = defaultInterval
	}
	return read, nil
}

// visitable reports whether a foreign text is an address for a browser, and
// nothing that would do something else to a terminal or an opener.
func visitable(address string) bool {
	u, err := url.Parse(address)
	return err == nil && u.Host != "" && (u.Scheme == "https" || u.Scheme == "http") && address == plain(address)
}

// seconds reads a number of seconds; zero if it is none that can be meant.
func seconds(n json.Number) time.Duration {
	value, err := n.Float64()
	if err != nil || !(value > 0 && value < 1e9) {
		return 0
	}
	return time.Duration(value * float64(time.Second))
}
