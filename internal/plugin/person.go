// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"context"
	"fmt"
	"io"
	"os"

	"github.com/tegata/tegata/internal/execcredential"
	"github.com/tegata/tegata/internal/login"
)

// person is whoever waits for kubectl.
//
// At a terminal they always see the address: the browser that opened may be
// on another screen, or in another profile. Elsewhere, in an editor or a
// dashboard, standard error spoils the picture: it stays quiet as long as a
// browser did open, and is never silent when none did.
type person struct {
	env         Env
	watching    bool // standard error is a terminal
	interactive bool // standard input, and with it the terminal, may be ours
	byKubectl   bool // standard input is what kubectl was given
	skipBrowser bool
	browser     login.Browser
	command     string

	asked *bool // they were asked for something; shared by all copies
}

func newPerson(env Env, r request) person {
	info := env.Lookup(execcredential.Variable)
	asked, err := execcredential.ReadRequest(info)
	return person{
		env:         env,
		watching:    env.watched(),
		interactive: err == nil && asked.Interactive,
		byKubectl:   info != "",
		skipBrowser: r.flags.skipBrowser || r.flags.browser == "none",
		browser:     login.Browser{Command: r.flags.browser, Lookup: env.Lookup},
		command:     typed(env),
		asked:       new(bool),
	}
}

// place is where they are.
func (p person) place(r request) place {
	remote := p.env.Lookup("SSH_CONNECTION") != "" || p.env.Lookup("SSH_TTY") != ""
	display := p.browser.CanOpen() && (p.browser.Chosen() || p.browser.Installed())
	here := place{
		desktop:     p.browser.Chosen() || display && !remote,
		display:     display,
		terminal:    p.watching,
		skipBrowser: p.skipBrowser,
		username:    r.flags.username != "",
		password:    r.flags.passwordGiven != "",
	}
	if q, err := p.questions(); err == nil {
		q.close()
		here.answers = true
	}
	return here
}

// bothered notes that they were asked for something, so that nobody asks
// again right after it came to nothing.
func (p person) bothered() { *p.asked = true }

// visit brings the person to the address. ctx ends with the login.
func (p person) visit(ctx context.Context, address string) error {
	p.bothered()
	p.open(ctx, address, func() { p.show(address) })
	return nil
}

// showDevice brings the person to the page at which they enter the code. The
// code is always shown: they have to see that the page has the same one (RFC
// 8628, section 5.4).
func (p person) showDevice(ctx context.Context, code login.DeviceCode) {
	p.bothered()
	if code.Complete == "" {
		fmt.Fprintf(p.env.Stderr, "Open this address in a browser:\n  %s\nand enter the code:\n  %s\n", code.Address, code.UserCode)
		p.open(ctx, code.Address, nil)
		return
	}
	fmt.Fprintf(p.env.Stderr, "Open this address in a browser, and check that it shows the code %s:\n  %s\nor enter the code at:\n  %s\n",
		code.UserCode, code.Complete, code.Address)
	io.WriteString(p.env.Stderr, p.showsQR(code.Complete)) //nolint:errcheck // the address is there too
	p.open(ctx, code.Complete, nil)
}

// open starts a browser, if one is wanted and could be seen. show prints the
// address; nil if it is printed already.
func (p person) open(ctx context.Context, address string, show func()) {
	shown := show == nil
	if !shown && (p.watching || p.skipBrowser || !p.browser.CanOpen()) {
		show()
		shown = true
	}
	if p.skipBrowser || !p.browser.CanOpen() {
		return
	}
	failed := func(err error) {
		if ctx.Err() != nil {
			return // a browser may end as it likes after the login
		}
		p.warn("the browser did not open: %v", err)
		if !shown {
			show()
		}
	}
	err := p.browser.Open(address, failed)
	if err != nil && (!shown || err != login.ErrNoBrowser) { //nolint:errorlint // a sentinel that is never wrapped
		failed(err)
	}
}

func (p person) show(address string) {
	p.bothered()
	fmt.Fprintf(p.env.Stderr, "Open this address in a browser:\n  %s\n", address)
}

// complain says why an answer is of no use; another one is asked for.
func (p person) complain(err error) {
	if q, opening := p.questions(); opening == nil {
		defer q.close()
		fmt.Fprintf(q.out, "%v\n", err)
	}
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
