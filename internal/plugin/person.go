// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"context"
	"fmt"
	"os"

	"github.com/tegata/tegata/internal/exit"
	"github.com/tegata/tegata/internal/login"
)

// person is whoever waits for kubectl.
//
// At a terminal they always see the address: the browser that opened may be
// on another screen, or in another profile. Elsewhere, in an editor or a
// dashboard, standard error spoils the picture: it stays quiet as long as a
// browser did open, and is never silent when none did. Nothing is asked on
// standard input, so it does not matter whose that is.
type person struct {
	env         Env
	watching    bool // standard error is a terminal
	skipBrowser bool
	browser     login.Browser
	command     string
}

func newPerson(env Env, r request) person {
	return person{
		env:         env,
		watching:    env.watched(),
		skipBrowser: r.flags.skipBrowser,
		browser:     login.Browser{Command: r.flags.browser, Lookup: env.Lookup},
		command:     commandLine(env.Args),
	}
}

// reachable is an error if nobody can log in from here: there is neither a
// terminal to print an address on, nor a display to open a browser on.
func (p person) reachable() error {
	if p.watching || p.skipBrowser || p.browser.CanOpen() {
		return nil
	}
	return exit.WithHint(&noPersonError{}, "log in at a terminal, then try again:\n"+p.command)
}

// noPersonError says that a login would wait for nobody.
type noPersonError struct{}

func (*noPersonError) Error() string {
	return "a login is needed, and there is neither a terminal nor a display here"
}

// visit brings the person to the address. ctx ends with the login.
func (p person) visit(ctx context.Context, address string) error {
	if p.skipBrowser {
		p.show(address)
		return nil
	}
	shown := p.watching
	if shown {
		p.show(address)
	}
	err := p.browser.Open(address, func(err error) {
		if ctx.Err() != nil {
			return // a browser may end as it likes after the login
		}
		p.warn("the browser did not open: %v", err)
		if !shown {
			p.show(address)
		}
	})
	switch {
	case err == nil:
	case shown:
		if err != login.ErrNoBrowser { //nolint:errorlint // a sentinel that is never wrapped
			p.warn("the browser did not open: %v", err)
		}
	default:
		p.warn("the browser did not open: %v", err)
		p.show(address)
	}
	return nil
}

func (p person) show(address string) {
	fmt.Fprintf(p.env.Stderr, "Open this address in a browser:\n  %s\n", address)
}

// warn says what went wrong and was got over.
func (p person) warn(format string, args ...any) {
	fmt.Fprintf(p.env.Stderr, "warning: "+format+"\n", args...)
}

// tell says what a person who watches wants to know.
func (p person) tell(format string, args ...any) {
	if p.watching {
		fmt.Fprintf(p.env.Stderr, format+"\n", args...)
	}
}

// waiting says once whom the person waits for.
func (p person) waiting(pid int) {
	if pid == 0 || pid == os.Getpid() {
		p.tell("waiting for another login")
		return
	}
	p.tell("waiting for another login (pid %d)", pid)
}
