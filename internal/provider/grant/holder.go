// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package grant

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/tegata/tegata/internal/clientregistry"
	"github.com/tegata/tegata/internal/identity"
	"github.com/tegata/tegata/internal/oidc"
	"github.com/tegata/tegata/internal/secret"
)

// VoidError means that a token is worth nothing, or nothing any more. Why is
// for our log; whoever sent the token may be told no more than that.
type VoidError struct{ Why string }

// Error implements [error].
func (e *VoidError) Error() string { return e.Why }

func void(why string) error { return &VoidError{why} }

// Verifier checks the signature and the type of a token.
type Verifier interface {
	Verify(token secret.String, typ string, claims any) error
}

// Identifiers knows what was taken back before its time.
type Identifiers interface {
	Spent(ctx context.Context, id string) (bool, error)
}

// RevokedID is the identifier under which a token that was taken back is
// remembered.
func RevokedID(tokenID string) string { return "token " + tokenID }

// Grants finds what end users granted.
type Grants interface {
	// Grant returns ErrNotFound if there is none.
	Grant(ctx context.Context, id string) (Grant, error)
}

// Holder is for whom a token stands, as is true now.
type Holder struct {
	Client clientregistry.Client // to which the token was given
	User   identity.User         // zero if the client acts for itself
	Grant  Grant                 // as above
}

// ForItself reports whether the token is the client's own, without an end
// user (RFC 6749, section 4.4).
func (h Holder) ForItself() bool { return h.Grant.ID == "" }

// Tokens reads tokens that come back. A token of ours is good while it has
// not expired and was not taken back, while its client is registered, its
// grant lives and its end user may log in.
type Tokens struct {
	Issuer        oidc.Issuer
	Verifier      Verifier
	Grants        Grants
	Clients       clientregistry.Clients
	Source        identity.Source
	Identifiers   Identifiers
	RefreshTokens RefreshTokens
	Now           func() time.Time
}

// ReadAccessToken reads an access token that we made and that has not
// expired. A *VoidError means that it is none.
func (t *Tokens) ReadAccessToken(token secret.String) (AccessToken, error) {
	var access AccessToken
	if err := t.Verifier.Verify(token, TypeAccessToken, &access); err != nil {
		return AccessToken{}, void("this is not an access token of this issuer")
	}
	if access.Issuer != t.Issuer || !access.Audience.Has(oidc.ClientID(t.Issuer)) || !t.Now().Before(access.Expiry.Time) {
		return AccessToken{}, void("the access token has expired or is for somebody else")
	}
	return access, nil
}

// AccessToken reads an access token that is good.
func (t *Tokens) AccessToken(ctx context.Context, token secret.String) (AccessToken, Holder, error) {
	access, err := t.ReadAccessToken(token)
	if err != nil {
		return AccessToken{}, Holder{}, err
	}
	holder, err := t.holder(ctx, "access token", access.TokenID, access.Grant, access.Client, access.Subject)
	return access, holder, err
}

// ReadIDToken reads an ID token that we made and that has not expired, and
// says to which client it was given.
func (t *Tokens) ReadIDToken(token secret.String) (oidc.Claims, oidc.ClientID, error) {
	var claims oidc.Claims
	if err := t.Verifier.Verify(token, TypeIDToken, &claims); err != nil {
		return oidc.Claims{}, "", void("this is not an ID token of this issuer")
	}
	if claims.Issuer != t.Issuer || len(claims.Audience) != 1 || !t.Now().Before(claims.Expiry.Time) {
		return oidc.Claims{}, "", void("the ID token has expired or is of somebody else")
	}
	if claims.AuthorizedParty != "" {
		return claims, claims.AuthorizedParty, nil
	}
	return claims, oidc.ClientID(claims.Audience[0]), nil
}

// IDToken reads an ID token that is good.
func (t *Tokens) IDToken(ctx context.Context, token secret.String) (oidc.Claims, Holder, error) {
	claims, client, err := t.ReadIDToken(token)
	if err != nil {
		return oidc.Claims{}, Holder{}, err
	}
	holder, err := t.holder(ctx, "ID token", claims.TokenID, GrantOf(claims.TokenID), client, claims.Subject)
	return claims, holder, err
}

// RefreshToken reads a refresh token, and reports its number. Whether it is
// the newest is not asked.
func (t *Tokens) RefreshToken(ctx context.Context, token secret.String) (generation int, holder Holder, err error) {
	id, generation, ok := t.RefreshTokens.Read(token)
	if !ok {
		return 0, Holder{}, void("this is not a refresh token of this issuer")
	}
	g, err := t.Grants.Grant(ctx, id)
	if errors.Is(err, ErrNotFound) {
		return 0, Holder{}, void("the refresh token has expired")
	}
	if err != nil {
		return 0, Holder{}, fmt.Errorf("finding the grant of a refresh token: %w", err)
	}
	holder, err = t.holder(ctx, "refresh token", "", g.ID, g.Client, g.Subject)
	return generation, holder, err
}

func (t *Tokens) holder(ctx context.Context, what, tokenID, grantID string, client oidc.ClientID, subject oidc.Subject) (Holder, error) {
	revoked := void("the " + what + " was revoked")
	var holder Holder
	var err error
	if holder.Client, err = t.Clients.Client(ctx, client); errors.Is(err, clientregistry.ErrNotFound) {
		return Holder{}, revoked
	} else if err != nil {
		return Holder{}, fmt.Errorf("finding the client of the %s: %w", what, err)
	}
	if tokenID != "" {
		spent, err := t.Identifiers.Spent(ctx, RevokedID(tokenID))
		if err != nil {
			return Holder{}, fmt.Errorf("looking whether the %s was revoked: %w", what, err)
		}
		if spent {
			return Holder{}, revoked
		}
	}
	if grantID == "" {
		if string(subject) != string(client) || !holder.Client.AllowsGrant(oidc.GrantClientCredentials) {
			return Holder{}, revoked
		}
		return holder, nil
	}
	// A token that was revoked is void before it expires.
	holder.Grant, err = t.Grants.Grant(ctx, grantID)
	switch {
	case errors.Is(err, ErrNotFound):
		return Holder{}, revoked
	case err != nil:
		return Holder{}, fmt.Errorf("finding the grant of the %s: %w", what, err)
	case !holder.Grant.Live(t.Now()) || holder.Grant.Client != client || holder.Grant.Subject != subject:
		return Holder{}, revoked
	}
	holder.User, err = t.Source.Lookup(ctx, subject)
	switch {
	case errors.Is(err, identity.ErrNotFound):
		return Holder{}, revoked
	case err != nil:
		return Holder{}, fmt.Errorf("asking the source: %w", err)
	case holder.User.Disabled || !holder.Client.AllowsSource(holder.User.Source):
		return Holder{}, revoked
	}
	return holder, nil
}
