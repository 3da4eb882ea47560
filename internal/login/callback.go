// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package login

import (
	"bufio"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// listening is a bound address, and its IPv6 twin if there is one: browsers
// resolve localhost to either (RFC 8252, section 7.3).
type listening struct {
	listeners []net.Listener
	https     bool
}

// listen binds the first address that is free.
func listen(addresses []string, certificate *tls.Certificate) (bound listening, busy []string, err error) {
	var last error
	for _, address := range addresses {
		listener, err := net.Listen("tcp", address)
		if err != nil {
			busy, last = append(busy, address), err
			continue
		}
		bound = listening{listeners: []net.Listener{listener}}
		if host, _, _ := net.SplitHostPort(address); host == "127.0.0.1" {
			port := listener.Addr().(*net.TCPAddr).Port
			twin, err := net.Listen("tcp", net.JoinHostPort("::1", strconv.Itoa(port)))
			switch {
			case err == nil:
				bound.listeners = append(bound.listeners, twin)
			case errors.Is(err, syscall.EADDRINUSE):
				// A browser may ask there first: then another program would
				// get the code.
				bound.close()
				busy, last = append(busy, net.JoinHostPort("::1", strconv.Itoa(port))), err
				continue
			}
		}
		if certificate != nil {
			bound.https = true
			for i, l := range bound.listeners {
				bound.listeners[i] = tls.NewListener(l, &tls.Config{Certificates: []tls.Certificate{*certificate}})
			}
		}
		return bound, nil, nil
	}
	p := problem(PortsBusy, "the callback of the browser has no address to listen on: %s", strings.Join(busy, " and "))
	if last != nil {
		p.Text += fmt.Sprintf(" (%v)", innermost(last))
	}
	p.Err = last
	return listening{}, busy, p
}

// redirectURI is the default one: the peer's, without a slash at the end,
// because providers compare it byte by byte.
func (l listening) redirectURI() string {
	scheme := "http"
	if l.https {
		scheme = "https"
	}
	return scheme + "://localhost:" + strconv.Itoa(l.listeners[0].Addr().(*net.TCPAddr).Port)
}

func (l listening) close() {
	for _, listener := range l.listeners {
		listener.Close()
	}
}

// callbackServer receives one authorization response: the one with our state.
// Nothing else changes anything (RFC 6749, section 10.12).
//
// It is an HTTP server of one exchange per connection, over net/http's parser
// and writer. http.Server would bring keep-alive, HTTP/2 and a shutdown that
// waits for idle connections, none of which is wanted here, and would cost the
// warm path a quarter of a megabyte.
type callbackServer struct {
	state string
	host  string // of the redirect URI
	path  string

	arrived chan callback

	bound   listening
	closing chan struct{}
	serving sync.WaitGroup

	mu          sync.Mutex // guards the fields below
	answered    bool       // an answer was taken; any other comes too late
	connections map[net.Conn]struct{}
}

// callback is an authorization response whose sender waits for a page.
type callback struct {
	query    url.Values
	language language
	page     chan page
	sent     chan struct{}
}

// reply sends the page and returns once it is on its way.
func (c callback) reply(p page) {
	c.page <- p
	<-c.sent
}

const (
	// requestPatience is how long a connection may take to ask: who connects
	// and says nothing is a browser that may need us later, or nobody.
	requestPatience = time.Minute
	// replyPatience is how long a browser may take to accept a page. The
	// credential waits for it.
	replyPatience = time.Second
	// maxRequest limits what is read of a request.
	maxRequest = 64 << 10
)

func serveCallback(bound listening, redirectURI, state string) (*callbackServer, error) {
	address, err := url.Parse(redirectURI)
	if err != nil || address.Host == "" {
		return nil, fmt.Errorf("the redirect URL %q is no address", redirectURI)
	}
	s := &callbackServer{
		state:       state,
		host:        address.Hostname(),
		path:        address.Path,
		arrived:     make(chan callback, 1),
		bound:       bound,
		closing:     make(chan struct{}),
		connections: map[net.Conn]struct{}{},
	}
	if s.path == "" {
		s.path = "/"
	}
	for _, listener := range bound.listeners {
		s.serving.Go(func() { s.accept(listener) })
	}
	return s, nil
}

// accept serves each connection until the listener is closed.
func (s *callbackServer) accept(listener net.Listener) {
	for {
		connection, err := listener.Accept()
		if err != nil {
			return
		}
		s.mu.Lock()
		s.connections[connection] = struct{}{}
		s.mu.Unlock()
		s.serving.Go(func() {
			s.serve(connection)
			s.mu.Lock()
			delete(s.connections, connection)
			s.mu.Unlock()
			connection.Close()
		})
	}
}

// close ends the listeners and each connection at once, and waits for their
// goroutines. A browser holds idle connections open in advance; nobody waits
// for them.
func (s *callbackServer) close() {
	close(s.closing)
	s.bound.close()
	s.mu.Lock()
	for connection := range s.connections {
		connection.Close()
	}
	s.mu.Unlock()
	s.serving.Wait()
}

// serve answers one request.
func (s *callbackServer) serve(connection net.Conn) {
	connection.SetReadDeadline(time.Now().Add(requestPatience)) //nolint:errcheck // then there is no limit
	r, err := http.ReadRequest(bufio.NewReader(io.LimitReader(connection, maxRequest)))
	if err != nil {
		return
	}
	respond := func(p page) {
		connection.SetWriteDeadline(time.Now().Add(replyPatience)) //nolint:errcheck // then there is no limit
		p.response(r).Write(connection)                            //nolint:errcheck // the browser has gone
	}
	spoken := acceptedLanguage(r.Header.Get("Accept-Language"))
	switch {
	case !s.isOurs(r.Host):
		// A name that somebody made point here (DNS rebinding).
		respond(strangerPage(spoken, http.StatusMisdirectedRequest))
		return
	case r.URL.Path != s.path:
		respond(strangerPage(spoken, http.StatusNotFound))
		return
	case r.Method != http.MethodGet:
		respond(strangerPage(spoken, http.StatusMethodNotAllowed))
		return
	}
	query, err := readCallback(r.URL.RawQuery)
	if err != nil || !sameState(query.Get("state"), s.state) || !s.take() {
		respond(strangerPage(spoken, http.StatusBadRequest))
		return
	}
	call := callback{query: query, language: spoken, page: make(chan page, 1), sent: make(chan struct{})}
	defer close(call.sent)
	s.arrived <- call
	select {
	case p := <-call.page:
		respond(p)
	case <-s.closing:
	}
}

// take reports whether this is the first answer to the request.
func (s *callbackServer) take() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	first := !s.answered
	s.answered = true
	return first
}

// isOurs reports whether a Host header names this machine or the redirect URI.
func (s *callbackServer) isOurs(host string) bool {
	name := host
	if h, _, err := net.SplitHostPort(host); err == nil {
		name = h
	}
	name = strings.Trim(name, "[]")
	if strings.EqualFold(name, "localhost") || strings.EqualFold(name, s.host) {
		return true
	}
	ip := net.ParseIP(name)
	return ip != nil && ip.IsLoopback()
}

// readCallback reads an authorization response (RFC 6749, sections 4.1.2 and
// 4.1.2.1). Section 3.1: no parameter comes twice.
func readCallback(rawQuery string) (url.Values, error) {
	query, err := url.ParseQuery(rawQuery)
	if err != nil {
		return nil, errors.New("the query cannot be read")
	}
	for _, name := range []string{"state", "code", "error", "error_description", "iss"} {
		if len(query[name]) > 1 {
			return nil, fmt.Errorf("the parameter %s comes twice", name)
		}
	}
	if query.Get("code") == "" && query.Get("error") == "" {
		return nil, errors.New("there is neither a code nor an error")
	}
	return query, nil
}
