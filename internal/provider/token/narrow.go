// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package token

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/tegata/tegata/internal/clientregistry"
	"github.com/tegata/tegata/internal/identity"
	"github.com/tegata/tegata/internal/oidc"
	"github.com/tegata/tegata/internal/provider/claims"
	"github.com/tegata/tegata/internal/provider/grant"
	"github.com/tegata/tegata/internal/secret"
)

// The types of tokens (RFC 8693, section 3).
const (
	tokenTypeID     = "urn:ietf:params:oauth:token-type:id_token"
	tokenTypeAccess = "urn:ietf:params:oauth:token-type:access_token"
)

// narrowed is the ID token that a token exchange asks for.
type narrowed struct {
	audience string
	like     clientregistry.Client // whose ID tokens it is like: the audience's, if that is a client
	scopes   oidc.Scopes           // the most that it may say
	names    []string              // of the claims that it may have; nil: any
	until    time.Time             // when the token that was sent expires
}

// narrow is the token exchange grant (RFC 8693), for one purpose: a client
// sends an ID token or an access token that it was given, and gets an ID
// token for one of its audiences, such as one cluster of many. The new token
// is never good for more, for longer or for somebody else: its audience
// stands in the client's registration, it says nothing that the token before
// did not stand for, and it expires no later. It cannot be refreshed.
//
// Nothing is delegated, so there is no actor and no act claim.
func (h *Handler) narrow(ctx context.Context, r request) (offer, error) {
	form := r.form
	audience := form.Get("audience")
	switch {
	case form.Get("actor_token") != "" || form.Get("actor_token_type") != "":
		return offer{}, invalidRequest("actor_token is not supported: nothing is delegated here")
	case form.Get("subject_token") == "" || form.Get("subject_token_type") == "":
		return offer{}, invalidRequest("subject_token and subject_token_type are needed")
	case form.Get("requested_token_type") != "" && form.Get("requested_token_type") != tokenTypeID:
		return offer{}, invalidRequest("requested_token_type must be " + tokenTypeID)
	case form.Get("resource") != "":
		return offer{}, invalidTarget("name the target by audience, not by resource")
	case audience == "":
		return offer{}, invalidTarget("audience is missing")
	}

	// Step 1: the token that was sent.
	found := &narrowed{audience: audience}
	scopes, holder, err := h.subjectToken(ctx, r, found)
	if why, ok := errors.AsType[*grant.VoidError](err); ok {
		// Section 2.2.2: a token that is not acceptable is invalid_request.
		return offer{}, invalidRequest("subject_token: " + why.Why)
	}
	if err != nil {
		return offer{}, err
	}

	// Step 2: the target, and what may be said there.
	if !slices.Contains(r.client.Audiences, audience) {
		return offer{}, invalidTarget(fmt.Sprintf("the client may not ask for tokens for %.100q", audience))
	}
	switch found.like, err = h.Clients.Client(ctx, oidc.ClientID(audience)); {
	case errors.Is(err, clientregistry.ErrNotFound):
		found.like = r.client
	case err != nil:
		return offer{}, fmt.Errorf("finding the target of an exchange: %w", err)
	case !found.like.AllowsSource(holder.User.Source):
		return offer{}, invalidTarget("end users of this source may not use the target")
	}
	found.scopes = r.client.AllowedScopes().Only(found.like.AllowedScopes())
	if asked := oidc.ParseScopes(form.Get("scope")); len(asked) > 0 {
		if scopes = asked.Only(scopes); len(scopes) < len(asked) {
			return offer{}, &oidc.Error{Code: oidc.InvalidScope, Description: "scope goes beyond that of the subject_token"}
		}
		found.scopes = found.scopes.Only(asked)
	}
	return offer{grant: holder.Grant, scopes: scopes, narrowed: found}, nil
}

// subjectToken reads the token that was sent and returns the scopes for which
// it stands. It must be one that was given to the client, to act for an end
// user.
func (h *Handler) subjectToken(ctx context.Context, r request, found *narrowed) (oidc.Scopes, grant.Holder, error) {
	token := secret.New(r.form.Get("subject_token"))
	var scopes oidc.Scopes
	var holder grant.Holder
	switch kind := r.form.Get("subject_token_type"); kind {
	case tokenTypeID:
		claims, held, err := h.Tokens.IDToken(ctx, token)
		if err != nil {
			return nil, held, err
		}
		// One that was narrowed before stays as narrow.
		if audience := claims.Audience[0]; audience != string(r.client.ID) {
			if audience != found.audience {
				return nil, held, invalidTarget(fmt.Sprintf("subject_token is for %.100q and cannot be made one for another audience", audience))
			}
			found.names = slices.AppendSeq([]string{}, maps.Keys(claims.Other)) // never nil
		}
		scopes, holder, found.until = held.Grant.Scopes, held, claims.Expiry.Time
	case tokenTypeAccess:
		access, held, err := h.Tokens.AccessToken(ctx, token)
		if err != nil {
			return nil, held, err
		}
		if access.Confirmation != nil && access.Confirmation.Certificate != clientregistry.CertificateThumbprint(r.Request) {
			return nil, held, &grant.VoidError{Why: "the access token is bound to another certificate"}
		}
		scopes, holder, found.until = oidc.ParseScopes(access.Scope), held, access.Expiry.Time
	default:
		return nil, holder, invalidRequest("subject_token_type must be " + tokenTypeID + " or " + tokenTypeAccess)
	}
	switch {
	case holder.ForItself():
		return nil, holder, &grant.VoidError{Why: "the token is of no end user"}
	case holder.Client.ID != r.client.ID:
		return nil, holder, &grant.VoidError{Why: "the token was given to another client"}
	}
	return scopes.Only(r.client.AllowedScopes()), holder, nil
}

// claims is what the new token says of the user.
func (n *narrowed) claims(ctx context.Context, all *claims.Claims, user identity.User) (map[string]any, error) {
	told, err := all.Of(ctx, user, n.like, n.scopes)
	if err != nil || n.names == nil {
		return told, err
	}
	maps.DeleteFunc(told, func(name string, _ any) bool { return !slices.Contains(n.names, name) })
	return told, nil
}

func invalidTarget(description string) error {
	return &oidc.Error{Code: oidc.InvalidTarget, Description: description}
}
