// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package clientregistry

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"

	"github.com/tegata/tegata/internal/oidc"
	"github.com/tegata/tegata/internal/secret"
)

// Clients is the storage that client authentication needs.
type Clients interface {
	// Client returns ErrNotFound if there is none.
	Client(ctx context.Context, id oidc.ClientID) (Client, error)
}

// Authenticate finds the client that sends a request and makes it prove
// itself (RFC 6749, section 2.3.1): by HTTP Basic or by client_secret in the
// body if it has a secret, by its ID alone if it is public. The form must be
// parsed. A failure is an [oidc.Error] with the code invalid_client; what was
// wrong is in its cause, for our log, not for whoever guesses.
func Authenticate(ctx context.Context, clients Clients, r *http.Request) (Client, error) {
	id, given, err := credentials(r)
	if err != nil {
		return Client{}, err
	}
	client, err := clients.Client(ctx, id)
	switch {
	case errors.Is(err, ErrNotFound):
		return Client{}, refused(fmt.Errorf("client %q: %w", id, err))
	case err != nil:
		return Client{}, fmt.Errorf("finding client %q: %w", id, err)
	case client.Public() && !given.IsZero():
		return Client{}, refused(fmt.Errorf("client %q is public and sent a secret", id))
	case !client.Public() && given.IsZero():
		return Client{}, refused(fmt.Errorf("client %q has a secret and sent none", id))
	case !client.Public() && !client.HasSecret(given):
		return Client{}, refused(fmt.Errorf("client %q sent a wrong secret", id))
	}
	return client, nil
}

func credentials(r *http.Request) (oidc.ClientID, secret.String, error) {
	bodyID, bodySecret := r.PostForm.Get("client_id"), r.PostForm.Get("client_secret")
	user, password, basic := r.BasicAuth()
	if !basic {
		if r.Header.Get("Authorization") != "" {
			return "", secret.String{}, refused(errors.New("an Authorization header that is not Basic"))
		}
		if bodyID == "" {
			return "", secret.String{}, &oidc.Error{Code: oidc.InvalidClient, Description: "client_id is missing"}
		}
		return oidc.ClientID(bodyID), secret.New(bodySecret), nil
	}
	// RFC 6749, section 2.3.1: both halves are form-encoded inside Basic.
	id, idErr := url.QueryUnescape(user)
	value, valueErr := url.QueryUnescape(password)
	switch {
	case idErr != nil || valueErr != nil:
		return "", secret.String{}, refused(errors.New("credentials in a Basic header that are not form-encoded"))
	case bodySecret != "" || (bodyID != "" && bodyID != id):
		// Section 2.3: not more than one method in a request.
		return "", secret.String{}, &oidc.Error{Code: oidc.InvalidRequest, Description: "more than one client authentication in a request"}
	}
	return oidc.ClientID(id), secret.New(value), nil
}

func refused(cause error) error {
	return &oidc.Error{Code: oidc.InvalidClient, Description: "client authentication was refused", Cause: cause}
}
