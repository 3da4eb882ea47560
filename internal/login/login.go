// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

// Package login is the client's side of OpenID Connect: how a program on a
// person's machine obtains an ID token and renews it.
//
//	discovery.go   the provider's metadata             OpenID Connect Discovery 1.0
//	authcode.go    the authorization code grant        RFC 6749, section 4.1, with PKCE (RFC 7636)
//	keyboard.go    the same without a callback: what the end user pastes
//	device.go      the device authorization grant      RFC 8628
//	password.go    the password grant                  RFC 6749, section 4.3
//	clientcredentials.go  the client's own tokens      RFC 6749, section 4.4
//	callback.go    the loopback server it ends at      RFC 8252, section 7.3
//	page.go        what the browser shows at the end
//	browser.go     how a browser is started
//	token.go       the token endpoint, refresh
//	clientauth.go  a client's proof of who it is       RFC 7523, RFC 8705
//	accesstoken.go what is known of an access token
//	keyset.go      the provider's signing keys
//	verify.go      what makes an ID token acceptable   OpenID Connect Core 1.0, section 3.1.3.7
//	transport.go   HTTP: timeouts, trust, limits
//	problem.go     failures, told so that a caller can advise
//
// A [Client] belongs to one run of one program: it is not safe for concurrent
// use. It keeps what it learns about the provider in a [Notebook], so that a
// refresh is one request. Where tokens are kept, what a terminal shows and
// which flag would help is the business of the package plugin, which is the
// only one that imports this one.
package login

import (
	"context"
	"net/http"
	"time"

	"github.com/tegata/tegata/internal/oidc"
	"github.com/tegata/tegata/internal/secret"
)

// Client is one client of one issuer.
type Client struct {
	Issuer       oidc.Issuer
	ClientID     oidc.ClientID
	ClientSecret secret.String // absent for a public client
	Scopes       oidc.Scopes   // what is asked for; openid is always asked for

	// UseAccessToken says that the access token is what is wanted: an ID token
	// that comes with it is verified, and need not come.
	UseAccessToken bool

	// ReadClientSecret, if there is one, fetches the secret when it is needed.
	ReadClientSecret func(ctx context.Context) (secret.String, error)

	// AssertionKey, if there is one, proves who the client is in the place of
	// a secret (private_key_jwt).
	AssertionKey *AssertionKey

	// ShowsCertificate says that the connections show a certificate, which
	// tells who the client is (RFC 8705).
	ShowsCertificate bool

	// HTTP is made by [NewHTTPClient].
	HTTP *http.Client

	// Notebook may be nil: then nothing is remembered.
	Notebook Notebook

	// Now defaults to time.Now.
	Now func() time.Time

	known knowledge
}

// Notebook keeps a text between runs. Load of an absent text is an error,
// which the client ignores: it asks the provider again.
type Notebook interface {
	Load() ([]byte, error)
	Save(text []byte) error
}

// Close writes down what was learnt and lets connections go. That it could
// not be written down is no failure: it costs the next run two requests.
func (c *Client) Close() {
	c.writeDown()
	c.HTTP.CloseIdleConnections()
}

func (c *Client) now() time.Time {
	if c.Now == nil {
		return time.Now()
	}
	return c.Now()
}
