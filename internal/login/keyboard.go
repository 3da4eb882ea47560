// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package login

import (
	"context"
	"crypto/rand"
	"errors"
	"net/url"
	"strings"
	"time"

	"github.com/tegata/tegata/internal/oidc"
)

// OutOfBand asks the provider to show the code to the end user. It never was
// in an RFC, but it is what providers that can do this know it by.
const OutOfBand = "urn:ietf:wg:oauth:2.0:oob"

// Keyboard is an authorization request whose answer the end user brings.
type Keyboard struct {
	RedirectURL string // default [OutOfBand]
	PKCE        PKCE
	ExtraParams map[string]string
	Timeout     time.Duration // how long the end user may take

	// Show brings the address to the end user.
	Show func(address string)

	// Paste waits for the code, or for the whole address at which the browser
	// ended. It returns when ctx ends.
	Paste func(ctx context.Context) (string, error)

	// Complain tells the end user why what they pasted is of no use; they are
	// asked again.
	Complain func(error)
}

// LoginByKeyboard asks the end user to visit an address in any browser, and
// to bring back what it shows at the end.
func (c *Client) LoginByKeyboard(ctx context.Context, k Keyboard) (Outcome, error) {
	m, err := c.Discover(ctx)
	if err != nil {
		return Outcome{}, err
	}
	if m.AuthorizationEndpoint == "" {
		return Outcome{}, problem(BadAnswer, "the metadata of %s has no authorization_endpoint", c.Issuer)
	}
	r := request{state: rand.Text(), nonce: rand.Text(), redirectURI: k.RedirectURL}
	if r.redirectURI == "" {
		r.redirectURI = OutOfBand
	}
	if k.PKCE == PKCES256 || k.PKCE != PKCEOff && speaksS256(m) {
		r.verifier = oidc.NewCodeVerifier()
	}
	address, err := c.authorizationURL(m, r, k.ExtraParams)
	if err != nil {
		return Outcome{}, err
	}
	person, cancel := context.WithTimeout(ctx, k.Timeout)
	defer cancel()
	k.Show(address)
	for {
		text, err := k.Paste(person)
		switch {
		case ctx.Err() != nil:
			return Outcome{}, ctx.Err()
		case person.Err() != nil:
			return Outcome{}, problem(NobodyCame, "nobody logged in within %s", k.Timeout)
		case err != nil:
			return Outcome{}, err
		}
		query, err := readPasted(text, r.state, true)
		if err != nil {
			k.Complain(err)
			continue
		}
		// A code by itself does not name its issuer. PKCE and the nonce tie it
		// to this request all the same.
		if query.Get("state") == "" {
			m.AuthorizationResponseIssSupported = false
		}
		return c.conclude(ctx, m, r, query)
	}
}

// paste waits for the end user's answer beside the callback server. The
// channel stays silent if nobody can be asked. stop ends the wait, and waits
// until it has ended.
func (a Authorization) paste(ctx context.Context, state string) (pasted <-chan url.Values, stop func()) {
	if a.Paste == nil {
		return nil, func() {}
	}
	ctx, cancel := context.WithCancel(ctx)
	answers, done := make(chan url.Values, 1), make(chan struct{})
	go func() {
		defer close(done)
		for {
			text, err := a.Paste(ctx)
			if err != nil {
				return // the callback server is still there
			}
			query, err := readPasted(text, state, false)
			if err == nil {
				answers <- query
				return
			}
			a.Complain(err)
		}
	}()
	return answers, func() {
		cancel()
		<-done
	}
}

// readPasted reads what an end user pasted: the address at which the browser
// ended, its query alone, or, if mayBeCode, the code. In an answer with a
// state, it must be ours (RFC 6749, section 10.12).
func readPasted(text, state string, mayBeCode bool) (url.Values, error) {
	text = strings.Trim(strings.TrimSpace(text), `"'`)
	if text == "" {
		return nil, errors.New("nothing was pasted")
	}
	_, rest, isAddress := strings.Cut(text, "?")
	if !isAddress && (strings.HasPrefix(text, "code=") || strings.HasPrefix(text, "error=") || strings.HasPrefix(text, "state=")) {
		rest, isAddress = text, true
	}
	switch {
	case isAddress:
	case strings.Contains(text, "://"):
		return nil, errors.New("that address holds no answer; paste the one at which the browser ended")
	case !mayBeCode:
		return nil, errors.New("paste the whole address at which the browser ended, from http on")
	case strings.ContainsAny(text, " \t\r\n") || text != plain(text) && len(text) < 300:
		return nil, errors.New("that is neither a code nor an address")
	default:
		return url.Values{"code": {text}}, nil
	}
	rest, _, _ = strings.Cut(rest, "#")
	query, err := readCallback(rest)
	switch {
	case err != nil:
		return nil, errors.New("that address holds no answer; paste the one at which the browser ended")
	case !sameState(query.Get("state"), state):
		return nil, errors.New("that is the answer to another login; open the address above and paste where it ends")
	}
	return query, nil
}
