// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package clientregistry

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/tegata/tegata/internal/oidc"
	"github.com/tegata/tegata/internal/secret"
)

// Clients is the storage that client authentication needs.
type Clients interface {
	// Client returns ErrNotFound if there is none.
	Client(ctx context.Context, id oidc.ClientID) (Client, error)
}

// Authenticator makes clients prove who they are, at every endpoint that they
// call.
type Authenticator struct {
	Clients       Clients
	Issuer        oidc.Issuer
	TokenEndpoint string         // which proofs may be made out to, wherever they are sent
	Identifiers   Identifiers    // of proofs that were used
	Authorities   *x509.CertPool // of client certificates; nil: none are asked for
	Now           func() time.Time

	decoy sync.Once // guards the making of the field below
	// nobody is who an unknown client is checked against, so that the answer
	// takes as long as for a client that is known.
	nobody Client
}

// Authenticate finds the client that sends a request and makes it prove
// itself (RFC 6749, section 2.3; OpenID Connect Core 1.0, section 9; RFC
// 8705, section 2), by the method that is stated for it and no other. The
// form must be parsed. A failure is an [oidc.Error] with the code
// invalid_client; what was wrong is in its cause, for our log, not for whoever
// guesses.
func (a *Authenticator) Authenticate(r *http.Request) (Client, error) {
	given, err := readCredentials(r)
	if err != nil {
		return Client{}, err
	}
	client, err := a.Clients.Client(r.Context(), given.client)
	known := err == nil
	if err != nil && !errors.Is(err, ErrNotFound) {
		return Client{}, fmt.Errorf("finding client %q: %w", given.client, err)
	}
	accepted := known && client.accepts(given)
	claimant := client
	if !accepted {
		claimant = a.anybody()
	}
	failure := a.check(r, claimant, given)
	if ours, ok := errors.AsType[*unavailableError](failure); ok {
		return Client{}, ours.error
	}
	switch {
	case !known:
		failure = ErrNotFound
	case !accepted:
		failure = fmt.Errorf("it sent %s, and %s is stated for it", given, list(client.AcceptedMethods()))
	}
	if failure != nil {
		return Client{}, refused(fmt.Errorf("client %q: %w", given.client, failure))
	}
	return client, nil
}

// credentials is what a request offers as a proof.
type credentials struct {
	client    oidc.ClientID
	basic     secret.String
	post      secret.String
	assertion *jose.JSONWebSignature
	claims    proof
}

// String says what was offered, and no more.
func (c credentials) String() string {
	switch {
	case !c.basic.IsZero():
		return string(SecretBasic)
	case !c.post.IsZero():
		return string(SecretPost)
	case c.assertion != nil:
		return string(PrivateKeyJWT)
	}
	return "its ID alone"
}

func readCredentials(r *http.Request) (credentials, error) {
	form := r.PostForm
	given := credentials{client: oidc.ClientID(form.Get("client_id")), post: secret.New(form.Get("client_secret"))}
	user, password, basic := r.BasicAuth()
	if !basic && r.Header.Get("Authorization") != "" {
		return credentials{}, refused(errors.New("an Authorization header that is not Basic"))
	}
	assertion := secret.New(form.Get("client_assertion"))

	// RFC 6749, section 2.3: not more than one method in a request.
	methods := 0
	for _, used := range []bool{basic, !given.post.IsZero(), !assertion.IsZero()} {
		if used {
			methods++
		}
	}
	several := &oidc.Error{Code: oidc.InvalidRequest, Description: "more than one client authentication in a request"}
	if methods > 1 {
		return credentials{}, several
	}

	switch {
	case basic:
		// Section 2.3.1: both halves are form-encoded inside Basic.
		id, idErr := url.QueryUnescape(user)
		value, valueErr := url.QueryUnescape(password)
		if idErr != nil || valueErr != nil {
			return credentials{}, refused(errors.New("credentials in a Basic header that are not form-encoded"))
		}
		if given.client != "" && given.client != oidc.ClientID(id) {
			return credentials{}, several
		}
		given.client, given.basic = oidc.ClientID(id), secret.New(value)
	case !assertion.IsZero():
		if got := form.Get("client_assertion_type"); got != assertionType {
			return credentials{}, refused(fmt.Errorf("client_assertion_type %.100q", got))
		}
		var err error
		if given.assertion, given.claims, err = parseProof(assertion); err != nil {
			return credentials{}, refused(err)
		}
		// RFC 7521, section 4.2: client_id may be left out, and must fit.
		if given.client == "" {
			given.client = given.claims.Subject
		}
	case given.client == "":
		return credentials{}, &oidc.Error{Code: oidc.InvalidClient, Description: "client_id is missing"}
	}
	return given, nil
}

// accepts reports whether the client may prove itself by what is given.
func (c Client) accepts(given credentials) bool {
	methods := c.AcceptedMethods()
	switch {
	case !given.basic.IsZero():
		return slices.Contains(methods, SecretBasic)
	case !given.post.IsZero():
		return slices.Contains(methods, SecretPost)
	case given.assertion != nil:
		return slices.Contains(methods, PrivateKeyJWT)
	}
	return c.Public() || c.CertificateBound()
}

// check tells why what is given is not the client's, or returns nil.
func (a *Authenticator) check(r *http.Request, client Client, given credentials) error {
	switch {
	case given.assertion != nil:
		return a.checkProof(r, client, given.assertion, given.claims)
	case !given.basic.IsZero() || !given.post.IsZero():
		sent := given.basic
		if sent.IsZero() {
			sent = given.post
		}
		if !client.HasSecret(sent) {
			return errors.New("a wrong secret")
		}
	case client.CertificateBound():
		return a.checkCertificate(r, client)
	}
	return nil
}

// anybody is a client that has a secret and a key of each kind which nobody
// knows.
func (a *Authenticator) anybody() Client {
	a.decoy.Do(func() {
		a.nobody = Client{SecretHash: HashSecret(NewSecret()), JWKS: decoyKeys()}
	})
	return a.nobody
}

// decoyKeys is public keys to which there is no private one at all: to make
// an RSA key would take longer than it is worth.
func decoyKeys() json.RawMessage {
	modulus := make([]byte, 256)
	rand.Read(modulus)
	modulus[0] |= 0x80
	modulus[len(modulus)-1] |= 1
	keys := []any{&rsa.PublicKey{N: new(big.Int).SetBytes(modulus), E: 65537}}
	for _, curve := range []elliptic.Curve{elliptic.P256(), elliptic.P384()} {
		if key, err := ecdsa.GenerateKey(curve, rand.Reader); err == nil {
			keys = append(keys, key.Public())
		}
	}
	if key, _, err := ed25519.GenerateKey(rand.Reader); err == nil {
		keys = append(keys, key)
	}
	var set jose.JSONWebKeySet
	for _, key := range keys {
		set.Keys = append(set.Keys, jose.JSONWebKey{Key: key})
	}
	text, err := json.Marshal(set)
	if err != nil {
		return nil
	}
	return text
}

func refused(cause error) error {
	return &oidc.Error{Code: oidc.InvalidClient, Description: "client authentication was refused", Cause: cause}
}
