// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/tegata/tegata/internal/exit"
	"github.com/tegata/tegata/internal/login"
	"github.com/tegata/tegata/internal/oidc"
	"github.com/tegata/tegata/internal/secret"
)

// grant is a way to log in, by its name on the command line.
type grant string

const (
	grantAuto              grant = "auto"
	grantAuthcode          grant = "authcode"
	grantKeyboard          grant = "authcode-keyboard"
	grantPassword          grant = "password"
	grantDevice            grant = "device-code"
	grantClientCredentials grant = "client-credentials"
)

// place is what is known about where a login would happen.
type place struct {
	desktop     bool // a browser that is started here is seen
	display     bool // one can be started; somebody may see it
	terminal    bool // a person reads standard error
	answers     bool // and can be asked something
	skipBrowser bool // somebody said that the address is to be printed
	username    bool // --username is given
	password    bool // --password is given
}

// choose is the grant for the place. offersDevice asks the provider; it is
// called only where the answer matters. An error says that nobody who could
// log in is there.
func (p place) choose(asked grant, offersDevice func() (bool, error)) (grant, error) {
	switch asked {
	case grantAuto:
		return p.automatic(offersDevice)
	case grantClientCredentials: // asks nobody
		return asked, nil
	case grantPassword:
		if p.username && p.password || p.answers {
			return asked, nil
		}
	case grantKeyboard:
		if p.answers {
			return asked, nil
		}
	default: // they need somebody who reads, or sees a browser
		if p.terminal || p.skipBrowser || p.display {
			return asked, nil
		}
	}
	return "", &noPersonError{}
}

// automatic is --grant-type=auto. A container has no display unless somebody
// gave it one, so it needs no rule of its own.
func (p place) automatic(offersDevice func() (bool, error)) (grant, error) {
	switch {
	case p.username: // the peer's rule
		return p.choose(grantPassword, offersDevice)
	case p.skipBrowser, p.desktop:
		return grantAuthcode, nil
	case !p.terminal && !p.display:
		return "", &noPersonError{}
	case !p.terminal: // the browser is the only one who could reach somebody
		return grantAuthcode, nil
	}
	// A person reads, and their browser is on another machine.
	offered, err := offersDevice()
	if err != nil {
		return "", err
	}
	if offered {
		return grantDevice, nil
	}
	return grantAuthcode, nil
}

// noPersonError says that a login would wait for nobody.
type noPersonError struct{}

func (*noPersonError) Error() string {
	return "a login is needed, and there is neither a terminal nor a display here"
}

// obtain logs in, by the grant that was asked for.
func (n *renewal) obtain(ctx context.Context) (login.Outcome, error) {
	here := n.person.place(n.request)
	chosen, err := here.choose(grant(n.flags.grantType), func() (bool, error) { return n.client.OffersDevice(ctx) })
	if none, ok := errors.AsType[*noPersonError](err); ok {
		if grant(n.flags.grantType) == grantPassword || grant(n.flags.grantType) == grantKeyboard || here.username {
			err = errors.New("a login is needed, and there is no terminal here to ask at")
		} else {
			err = none
		}
		return login.Outcome{}, exit.WithHint(err, "log in at a terminal, then try again:\n"+n.person.command)
	} else if err != nil {
		return login.Outcome{}, err
	}
	if grant(n.flags.grantType) == grantAuto && here.terminal && !here.desktop {
		n.person.skipBrowser = true // the person's own is on another machine
	}
	if chosen != grantClientCredentials {
		n.probe(ctx)
	}
	timeout := time.Duration(n.flags.timeout) * time.Second
	switch chosen {
	case grantPassword:
		return n.password(ctx, timeout)
	case grantClientCredentials:
		outcome, err := n.client.LoginAsClient(ctx, n.flags.extraParams)
		if login.IsKind(err, login.NoIDToken) {
			err = exit.WithHint(err, "a client is no end user; --oidc-use-access-token uses the access token instead")
		}
		return outcome, err
	case grantDevice:
		outcome, err := n.client.LoginOnDevice(ctx, login.Device{
			PKCE:        n.flags.pkceMethod(),
			ExtraParams: n.flags.extraParams,
			Timeout:     timeout,
			Show:        n.person.showDevice,
		})
		if grant(n.flags.grantType) != grantAuto || *n.person.asked || !mayNotUseGrant(err) {
			return outcome, err
		}
		// Many providers offer it, and allow it to some clients: a browser then.
		n.env.trace.step("grant: a browser, because %v", err)
	case grantKeyboard:
		return n.client.LoginByKeyboard(ctx, login.Keyboard{
			RedirectURL: n.flags.redirectURL,
			PKCE:        n.flags.pkceMethod(),
			ExtraParams: n.flags.extraParams,
			Timeout:     timeout,
			Show:        n.person.show,
			Paste: func(ctx context.Context) (string, error) {
				return n.person.ask(ctx, "Enter code: ", false)
			},
			Complain: n.person.complain,
		})
	}
	certificate, err := n.flags.certificate(n.env.Lookup)
	if err != nil {
		return login.Outcome{}, err
	}
	a := login.Authorization{
		ListenAddresses: n.flags.listen,
		RedirectURL:     n.flags.redirectURL,
		Certificate:     certificate,
		PKCE:            n.flags.pkceMethod(),
		ExtraParams:     n.flags.extraParams,
		Timeout:         timeout,
		OpenAfter:       n.flags.openAfter,
		Visit:           n.person.visit,
		Waiting:         func() { n.person.waiting(0) },
		Complain:        n.person.complain,
	}
	if here.answers && here.terminal && (!here.desktop || here.skipBrowser) {
		// A browser on another machine cannot reach our callback.
		a.Paste = func(ctx context.Context) (string, error) {
			return n.person.ask(ctx, "If the browser ends at a page that it cannot open, paste its address here: ", false)
		}
	}
	return n.client.Login(ctx, a)
}

// mayNotUseGrant reports whether the provider refused because of what the
// client is, not of whom it has before it (RFC 6749, section 5.2).
func mayNotUseGrant(err error) bool {
	refusal, ok := errors.AsType[*oidc.Error](err)
	return ok && (refusal.Code == oidc.UnauthorizedClient || refusal.Code == oidc.UnsupportedGrantType)
}

// passwordTries is how often a person at a prompt may mistype.
const passwordTries = 3

// password asks for what is missing of the username and the password. One
// that stands on the command line does not get better by trying it again.
func (n *renewal) password(ctx context.Context, timeout time.Duration) (login.Outcome, error) {
	username, given := n.flags.username, secret.New(n.flags.passwordGiven)
	limit, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	late := func(err error) error {
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case limit.Err() != nil:
			return &login.Problem{Kind: login.NobodyCame, Text: fmt.Sprintf("nobody logged in within %s", timeout)}
		}
		return err
	}
	if username == "" {
		var err error
		if username, err = n.person.ask(limit, "Username: ", false); err != nil {
			return login.Outcome{}, late(err)
		}
	}
	for try := 1; ; try++ {
		password := given
		if given.IsZero() {
			typed, err := n.person.ask(limit, "Password: ", true)
			if err != nil {
				return login.Outcome{}, late(err)
			}
			password = secret.New(typed)
		}
		outcome, err := n.client.LoginWithPassword(limit, username, password, n.flags.extraParams)
		switch {
		case err == nil:
			return outcome, nil
		case limit.Err() != nil:
			return outcome, late(err)
		case !login.IsInvalidGrant(err):
			return outcome, err
		case !given.IsZero():
			n.person.bothered() // five calls of kubectl must not lock the account
			return outcome, exit.WithHint(err, "check --username and --password")
		case try == passwordTries || !n.person.mayTryAgain():
			return outcome, exit.WithHint(err, "check the username and the password, and run the command again")
		}
		n.person.complain(err)
	}
}
