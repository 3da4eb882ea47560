// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

// Package upstream is the source of users who prove elsewhere who they are:
// at another OpenID Provider, or at GitHub through its OAuth API.
//
//   - upstream.go: what both have in common, and what is kept of a login
//   - source.go: either of them, as a source of an issuer
//   - config.go, validate.go: where the provider is, and who may come from it
//   - oidc.go: a login, a refresh and a logout at an OpenID Provider
//   - discovery.go, idtoken.go: what it publishes, and what it signed
//   - clientauth.go, token.go: its token endpoint, and how we authenticate
//   - claims.go, overage.go: what its claims say of the user
//   - github.go, githubapi.go: the same at GitHub
//   - transport.go: bounded requests with a deadline
//
// The package owns no endpoint. Package authorize sends the browser to the
// address that Begin makes, and hands to Finish what the browser brings back.
// What Finish returns beside the user is kept sealed; with it Refresh asks
// again what is true of the user. Nothing is fetched before it is needed: a
// provider that is down when we start may be up later.
package upstream

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"time"

	"github.com/tegata/tegata/internal/identity"
	"github.com/tegata/tegata/internal/oidc"
	"github.com/tegata/tegata/internal/secret"
)

// Provider is what [OIDC] and [GitHub] both do. They are safe for concurrent
// use. Each call ends within the source's timeout, or at the context's
// deadline if that is earlier.
type Provider interface {
	// Begin makes the address to which the browser is sent, and what Finish
	// has to know of it.
	Begin(ctx context.Context, login Login) (address string, attempt Attempt, err error)
	// Finish exchanges the code that the browser brought back and returns who
	// it is. The state is the caller's to compare. Errors that say more than
	// that something went wrong are ErrCancelled and *NotAllowedError.
	Finish(ctx context.Context, redirectURI string, attempt Attempt, query url.Values) (identity.User, Tokens, error)
	// Refresh returns the user as the provider knows them now. The error is
	// identity.ErrNotFound if the user or the consent is gone, or if they may
	// no longer come; with any other error the provider could not be asked.
	//
	// The tokens are to be kept in place of the old ones whenever they are not
	// zero, also beside an error: a provider that rotates refresh tokens takes
	// each only once. For the same reason two calls must not share tokens, and
	// a refresh that has begun does not end because the caller went away.
	Refresh(ctx context.Context, subject oidc.Subject, tokens Tokens) (identity.User, Tokens, error)
	// LogOutURL is where the browser ends its session at the provider, and
	// from where it comes back to redirectURI with the state; empty if the
	// provider has no such place.
	LogOutURL(ctx context.Context, tokens Tokens, redirectURI, state string) (string, error)
	// Revoke tells the provider that the tokens are needed no more, if it
	// wants to know.
	Revoke(ctx context.Context, tokens Tokens) error
	// Close closes the connections that nobody uses.
	Close()
}

var (
	_ Provider = (*OIDC)(nil)
	_ Provider = (*GitHub)(nil)
)

// Login is what one login asks of the provider.
type Login struct {
	RedirectURI string // ours, as registered at the provider: ISSUER/callback/NAME
	State       string
	LoginHint   string // what the person typed; may be empty
	UILocales   string // space-separated languages; may be empty
	// Fresh asks the provider to make the person prove again who they are.
	// GitHub has no way to.
	Fresh bool
}

// Attempt is what Finish has to know of Begin. It is written as JSON with its
// secret, because it travels sealed; it never prints or logs it.
type Attempt struct {
	Nonce    string
	Verifier secret.String // of PKCE
	Since    time.Time     // the credential must have been given after it; zero: whenever
}

type attemptWire struct {
	Nonce    string    `json:"nonce,omitempty"`
	Verifier string    `json:"verifier"`
	Since    time.Time `json:"since,omitzero"`
}

// MarshalJSON implements [json.Marshaler]. What it writes is for sealing.
func (a Attempt) MarshalJSON() ([]byte, error) {
	return json.Marshal(attemptWire{a.Nonce, a.Verifier.Reveal(), a.Since})
}

// UnmarshalJSON implements [json.Unmarshaler].
func (a *Attempt) UnmarshalJSON(data []byte) error {
	var wire attemptWire
	if err := json.Unmarshal(data, &wire); err != nil {
		return err
	}
	*a = Attempt{wire.Nonce, secret.New(wire.Verifier), wire.Since}
	return nil
}

// LogValue implements [slog.LogValuer].
func (a Attempt) LogValue() slog.Value { return slog.StringValue(secret.Redacted) }

// Tokens are what the provider can be asked with again. They are kept sealed,
// as [Tokens.Wire] writes them. Encoded in any other way they are redacted.
type Tokens struct {
	AccessToken  secret.String
	Expiry       time.Time // of the access token; zero if the provider did not say
	RefreshToken secret.String
	IDToken      secret.String // the last one, for the logout

	Subject    oidc.Subject // at the provider
	Nonce      string       // of the login
	GroupsInID bool         // the ID token told the groups
}

// IsZero reports whether there is nothing to ask with.
func (t Tokens) IsZero() bool { return t.AccessToken.IsZero() && t.RefreshToken.IsZero() }

// MarshalJSON implements [json.Marshaler]; it encodes the redacted form, so
// that no token is stored or logged in the clear by accident.
func (t Tokens) MarshalJSON() ([]byte, error) { return json.Marshal(secret.Redacted) }

// LogValue implements [slog.LogValuer].
func (t Tokens) LogValue() slog.Value { return slog.StringValue(secret.Redacted) }

type tokensWire struct {
	AccessToken  string       `json:"access_token,omitempty"`
	Expiry       time.Time    `json:"expiry,omitzero"`
	RefreshToken string       `json:"refresh_token,omitempty"`
	IDToken      string       `json:"id_token,omitempty"`
	Subject      oidc.Subject `json:"sub,omitempty"`
	Nonce        string       `json:"nonce,omitempty"`
	GroupsInID   bool         `json:"groups_in_id,omitempty"`
}

// Wire returns the tokens as they are sealed, secrets included.
func (t Tokens) Wire() ([]byte, error) {
	return json.Marshal(tokensWire{
		t.AccessToken.Reveal(), t.Expiry, t.RefreshToken.Reveal(), t.IDToken.Reveal(), t.Subject, t.Nonce, t.GroupsInID,
	})
}

// ReadTokens reads what [Tokens.Wire] wrote.
func ReadTokens(text []byte) (Tokens, error) {
	var wire tokensWire
	if err := json.Unmarshal(text, &wire); err != nil {
		return Tokens{}, errors.New("what is kept of the login at the source cannot be read")
	}
	return Tokens{
		secret.New(wire.AccessToken), wire.Expiry, secret.New(wire.RefreshToken), secret.New(wire.IDToken), wire.Subject, wire.Nonce, wire.GroupsInID,
	}, nil
}

// expired reports whether the access token is of no use any more, as far as
// the provider told.
func (t Tokens) expired(now time.Time) bool { return !t.Expiry.IsZero() && !now.Before(t.Expiry) }

// ErrCancelled means that the person, or the provider for them, said no.
var ErrCancelled = errors.New("the login was cancelled at the provider")

// NotAllowedError means that the person is who they say and may not come: the
// configuration of the source lets others in. Reason is for the person.
//
// For a user who came before it is [identity.ErrNotFound].
type NotAllowedError struct{ Reason string }

// Error implements [error].
func (e *NotAllowedError) Error() string { return e.Reason }

// Is implements what [errors.Is] asks for.
func (e *NotAllowedError) Is(target error) bool { return target == identity.ErrNotFound }

// maxSubject is the length of a subject (OpenID Connect Core 1.0, section 2),
// for the provider's as for the one that we make of it.
const maxSubject = 255

// subject makes our subject of the user's ID at the source.
func subject(source, id string) (oidc.Subject, error) {
	made := source + ":" + id
	switch {
	case id == "":
		return "", errors.New("the provider gave no ID for the user")
	case len(made) > maxSubject:
		return "", fmt.Errorf("the user's ID has %d bytes, and at most %d can stand behind %q; choose another claim with claims.id", len(id), maxSubject-len(source)-1, source+":")
	}
	for _, c := range []byte(id) {
		if c < 0x20 || c > 0x7e {
			return "", fmt.Errorf("the user's ID %s is not printable ASCII; choose another claim with claims.id", plain(id))
		}
	}
	return oidc.Subject(made), nil
}

// begun returns a context that ends at the deadline alone, however early the
// caller leaves.
func begun(ctx context.Context, timeout time.Duration) (context.Context, context.CancelFunc) {
	limit, cancel := context.WithTimeout(context.WithoutCancel(ctx), timeout)
	deadline, ok := ctx.Deadline()
	if !ok {
		return limit, cancel
	}
	sooner, cancelSooner := context.WithDeadline(limit, deadline)
	return sooner, func() { cancelSooner(); cancel() }
}
