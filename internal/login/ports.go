// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package login

import (
	"bufio"
	"context"
	"errors"
	"net"
	"net/http"
	"syscall"
	"time"
)

// serverName is what the callback server calls itself, so that another login
// of ours knows whom it waits for.
const serverName = "kubectl-oidc_login"

const (
	// portPause is how long to wait between two looks at the addresses.
	portPause = 100 * time.Millisecond
	// portPatience is how long a program on this machine may take to say who
	// it is.
	portPatience = time.Second
)

// listen takes the first address that is free. The addresses are few, because
// a provider has to know them, and each login with another issuer or client
// needs one: if such logins have them all, it waits for the first to end.
// Another program's address is not waited for.
func (a Authorization) listen(ctx context.Context) (listening, error) {
	limit, cancel := context.WithTimeout(ctx, a.Timeout)
	defer cancel()
	told := false
	for vanished := 0; ; {
		bound, busy, err := listen(a.ListenAddresses, a.Certificate)
		if err == nil {
			return bound, nil
		}
		switch whoListens(limit, busy) {
		case stranger:
			return listening{}, err
		case nobody: // any more; but this must not go on for ever
			if vanished++; vanished > 3 {
				return listening{}, err
			}
		case loginOfOurs:
			if vanished = 0; !told && a.Waiting != nil {
				a.Waiting()
			}
			told = true
		}
		timer := time.NewTimer(portPause)
		select {
		case <-timer.C:
		case <-limit.Done():
			timer.Stop()
			if ctx.Err() != nil {
				return listening{}, ctx.Err()
			}
			return listening{}, err
		}
	}
}

type listener int

const (
	stranger listener = iota
	nobody
	loginOfOurs
)

// whoListens asks at each of the addresses, and is content with one login of
// ours, or else with one that is free by now.
func whoListens(ctx context.Context, addresses []string) listener {
	found := stranger
	for _, address := range addresses {
		found = max(found, ask(ctx, address))
	}
	return found
}

// ask finds out who listens there. A callback server of ours that speaks https
// is taken for a stranger: its certificate is whatever somebody gave it.
func ask(ctx context.Context, address string) listener {
	connection, err := (&net.Dialer{Timeout: portPatience}).DialContext(ctx, "tcp", address)
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return nobody
	case err != nil:
		return stranger
	}
	defer connection.Close()
	connection.SetDeadline(time.Now().Add(portPatience)) //nolint:errcheck // the kernel's clock; then there is no limit
	r, err := http.NewRequestWithContext(ctx, http.MethodHead, "http://localhost/", http.NoBody)
	if err != nil || r.Write(connection) != nil {
		return stranger
	}
	response, err := http.ReadResponse(bufio.NewReader(connection), r)
	if err != nil {
		return stranger
	}
	response.Body.Close()
	if response.Header.Get("Server") == serverName {
		return loginOfOurs
	}
	return stranger
}
