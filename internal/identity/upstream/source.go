// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package upstream

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"

	"github.com/tegata/tegata/internal/identity"
	"github.com/tegata/tegata/internal/oidc"
	"github.com/tegata/tegata/internal/secret"
)

// Source is a provider as one of the sources of an issuer.
type Source struct {
	Provider
	LogsOut bool // whoever logs out here, logs out there too
}

var _ identity.Redirecting = (*Source)(nil)

// Begin implements [identity.Redirecting].
func (s *Source) Begin(ctx context.Context, d identity.Departure) (string, secret.String, error) {
	address, attempt, err := s.Provider.Begin(ctx, Login{RedirectURI: d.RedirectURI, LoginHint: d.LoginHint, UILocales: d.UILocales, Fresh: d.Fresh})
	if err != nil {
		return "", secret.String{}, err
	}
	wire, err := json.Marshal(attempt)
	if err != nil {
		return "", secret.String{}, fmt.Errorf("encoding an attempt: %w", err)
	}
	return address, secret.New(string(wire)), nil
}

// Finish implements [identity.Redirecting].
func (s *Source) Finish(ctx context.Context, redirectURI string, kept secret.String, answer url.Values) (identity.User, secret.String, error) {
	var attempt Attempt
	if err := json.Unmarshal([]byte(kept.Reveal()), &attempt); err != nil {
		return identity.User{}, secret.String{}, errors.New("what was kept of the departure cannot be read")
	}
	user, tokens, err := s.Provider.Finish(ctx, redirectURI, attempt, answer)
	if err != nil {
		return identity.User{}, secret.String{}, told(err)
	}
	wire, err := wireOf(tokens)
	return user, wire, err
}

// Refresh implements [identity.Redirecting].
func (s *Source) Refresh(ctx context.Context, subject oidc.Subject, kept secret.String) (identity.User, secret.String, error) {
	tokens, err := ReadTokens([]byte(kept.Reveal()))
	if err != nil {
		return identity.User{}, secret.String{}, err
	}
	user, tokens, err := s.Provider.Refresh(ctx, subject, tokens)
	wire, lost := wireOf(tokens)
	if lost != nil {
		return identity.User{}, secret.String{}, lost
	}
	return user, wire, told(err)
}

// LogOut implements [identity.Redirecting].
func (s *Source) LogOut(ctx context.Context, kept secret.String, redirectURI, state string) (string, error) {
	if !s.LogsOut {
		return "", nil
	}
	tokens, err := ReadTokens([]byte(kept.Reveal()))
	if err != nil {
		return "", err
	}
	return s.LogOutURL(ctx, tokens, redirectURI, state)
}

// wireOf is the tokens as they are sealed; nothing of none.
func wireOf(tokens Tokens) (secret.String, error) {
	if tokens.IsZero() && tokens.IDToken.IsZero() {
		return secret.String{}, nil
	}
	wire, err := tokens.Wire()
	return secret.New(string(wire)), err
}

// told is an error in the words of [identity.Sources].
func told(err error) error {
	notAllowed, ok := errors.AsType[*NotAllowedError](err)
	switch {
	case ok:
		return &identity.DeniedError{Reason: notAllowed.Reason}
	case errors.Is(err, ErrCancelled):
		return &identity.DeniedError{Reason: ErrCancelled.Error()}
	}
	return err
}
