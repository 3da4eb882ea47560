// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package ldap

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"sync"
	"time"

	"github.com/go-ldap/ldap/v3"

	"github.com/tegata/tegata/internal/identity"
)

// pool keeps connections open. There are two kinds, because a bind changes
// who a connection speaks for: those of the searching account, and those on
// which people's passwords are tried.
type pool struct {
	config    Config
	servers   []*server
	searching shelf
	binding   shelf

	mu           sync.Mutex // guards the fields below
	refusal      error      // of the searching account, by the directory
	refusedUntil time.Time  // it is not tried before this
}

// server is one of the directory's machines.
type server struct {
	url *url.URL

	mu        sync.Mutex // guards the field below
	downUntil time.Time  // it is asked again after this, or when all others are down too
}

// downTime is how long a server that did not answer is passed by.
const downTime = 10 * time.Second

// maxIdle is how long a connection that nobody uses stays open. Firewalls and
// servers cut such connections without a word.
const maxIdle = 4 * time.Minute

// shelf is the idle connections of one kind.
type shelf struct {
	places chan struct{} // one for each connection that may be in use

	mu   sync.Mutex // guards the fields below
	idle []*connection
	shut bool
}

type connection struct {
	*ldap.Conn
	server *server
	used   time.Time // when it was put back
}

func newPool(c Config) *pool {
	p := &pool{config: c}
	for _, text := range c.Servers {
		if u, err := url.Parse(text); err == nil { // complete has looked
			p.servers = append(p.servers, &server{url: u})
		}
	}
	p.searching.places = make(chan struct{}, c.Connections)
	p.binding.places = make(chan struct{}, c.Connections)
	return p
}

// do runs use on a connection of the shelf, and once more on a fresh one if
// the first turns out to be dead: a server that was restarted leaves
// connections behind that look open.
func (p *pool) do(ctx context.Context, s *shelf, use func(*connection) error) error {
	select {
	case s.places <- struct{}{}:
		defer func() { <-s.places }()
	case <-ctx.Done():
		return fmt.Errorf("all %d connections are in use: %w", cap(s.places), ctx.Err())
	}
	for fresh := 0; ; {
		conn, kept := s.take(p.config.Now())
		if !kept {
			var err error
			if conn, err = p.dial(ctx, s); err != nil {
				return &identity.UnreachableError{Cause: err}
			}
			fresh++
		}
		begun := p.config.Now()
		stop := context.AfterFunc(ctx, func() { conn.Close() })
		err := use(conn)
		if stop() && !broken(err) {
			s.put(conn, p.config.Now())
			return err
		}
		conn.Close()
		now := p.config.Now()
		gone := errors.Is(ctx.Err(), context.Canceled) // who asked; it says nothing of the server
		if stalled := now.Sub(begun) >= p.config.Timeout; !gone && (!kept || stalled || ctx.Err() != nil) {
			conn.server.down(now) // it took the request and did not answer
			if kept {
				fresh++ // another connection to it would do no better
			}
		}
		switch {
		case ctx.Err() != nil:
			return &identity.UnreachableError{Cause: fmt.Errorf("%s did not answer in time: %w", conn.server.url.Host, ctx.Err())}
		case fresh >= len(p.servers):
			return &identity.UnreachableError{Cause: fmt.Errorf("%s: %w", conn.server.url.Host, err)}
		}
	}
}

// broken reports whether the connection, or the server behind it, is of no
// use any more.
func broken(err error) bool {
	return ldap.IsErrorAnyOf(err, ldap.ErrorNetwork, ldap.LDAPResultBusy, ldap.LDAPResultUnavailable, ldap.LDAPResultServerDown)
}

// take returns the connection that was used last, which is the likeliest to
// be alive.
func (s *shelf) take(now time.Time) (*connection, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.idle) > 0 {
		conn := s.idle[len(s.idle)-1]
		s.idle = s.idle[:len(s.idle)-1]
		if !conn.IsClosing() && now.Sub(conn.used) < maxIdle && !conn.server.isDown(now) {
			return conn, true
		}
		conn.Close()
	}
	return nil, false
}

func (s *shelf) put(conn *connection, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.shut {
		conn.Close()
		return
	}
	conn.used = now
	s.idle = append(s.idle, conn)
}

func (p *pool) close() {
	for _, s := range []*shelf{&p.searching, &p.binding} {
		s.mu.Lock()
		s.shut = true
		for _, conn := range s.idle {
			conn.Close()
		}
		s.idle = nil
		s.mu.Unlock()
	}
}

// dial opens a connection to the first server that answers: those that are
// not known to be down in their order, then the others.
func (p *pool) dial(ctx context.Context, s *shelf) (*connection, error) {
	if s == &p.searching {
		if err := p.refused(); err != nil {
			return nil, err
		}
	}
	var problems []error
	for _, server := range p.inOrder() {
		conn, err := p.dialServer(ctx, s, server)
		if err == nil {
			server.up()
			return conn, nil
		}
		if !errors.Is(ctx.Err(), context.Canceled) {
			server.down(p.config.Now())
		}
		problems = append(problems, fmt.Errorf("%s: %w", server.url.Host, err))
		if _, wrong := errors.AsType[*BindError](err); wrong {
			p.refuse(err)
			break
		}
		if ctx.Err() != nil {
			break
		}
	}
	return nil, errors.Join(problems...)
}

// refusedTime is how long a searching account that was refused is not tried
// again: with each login of a busy morning it would soon be locked.
const refusedTime = time.Minute

func (p *pool) refuse(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.refusal, p.refusedUntil = err, p.config.Now().Add(refusedTime)
}

func (p *pool) refused() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.config.Now().Before(p.refusedUntil) {
		return p.refusal
	}
	return nil
}

// inOrder is the servers as they are tried.
func (p *pool) inOrder() []*server {
	var up, down []*server
	now := p.config.Now()
	for _, server := range p.servers {
		if server.isDown(now) {
			down = append(down, server)
		} else {
			up = append(up, server)
		}
	}
	return append(up, down...)
}

// BindError means that the searching account was refused. Another server
// would say the same, and some lock the account after a few tries.
type BindError struct{ cause error }

// Error implements [error].
func (e *BindError) Error() string { return "binding as the searching account: " + e.cause.Error() }

// Unwrap returns the directory's answer.
func (e *BindError) Unwrap() error { return e.cause }

func (p *pool) dialServer(ctx context.Context, s *shelf, to *server) (*connection, error) {
	ctx, cancel := context.WithTimeout(ctx, p.config.Timeout)
	defer cancel()
	raw, err := new(net.Dialer).DialContext(ctx, "tcp", address(to.url))
	if err != nil {
		return nil, err
	}
	encrypt := p.config.TLS.Clone()
	if encrypt.ServerName == "" {
		encrypt.ServerName = to.url.Hostname()
	}
	secure := to.url.Scheme == "ldaps"
	if secure {
		encrypted := tls.Client(raw, encrypt)
		if err := encrypted.HandshakeContext(ctx); err != nil {
			return nil, errors.Join(fmt.Errorf("TLS: %w", err), raw.Close())
		}
		raw = encrypted
	}
	conn := &connection{Conn: ldap.NewConn(raw, secure), server: to}
	conn.Start()
	conn.SetTimeout(p.config.Timeout)
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	if !secure && p.config.StartTLS {
		if err := conn.StartTLS(encrypt); err != nil {
			conn.Close()
			return nil, fmt.Errorf("StartTLS: %w", err)
		}
	}
	if s == &p.searching && p.config.BindDN != "" {
		if err := conn.Bind(p.config.BindDN, p.config.BindPassword.Reveal()); err != nil {
			conn.Close()
			if broken(err) {
				return nil, err
			}
			return nil, &BindError{err}
		}
	}
	return conn, nil
}

func (s *server) isDown(now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return now.Before(s.downUntil)
}

func (s *server) down(now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.downUntil = now.Add(downTime)
}

func (s *server) up() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.downUntil = time.Time{}
}

// search asks on a connection of the searching account.
func (s *Source) search(ctx context.Context, what string, request *ldap.SearchRequest) (*ldap.SearchResult, error) {
	begun := s.config.Now()
	var result *ldap.SearchResult
	var host string
	err := s.pool.do(ctx, &s.pool.searching, func(conn *connection) (err error) {
		host = conn.server.url.Host
		result, err = conn.Search(request)
		return err
	})
	explain(ctx, searchStep(what, host, request, result, s.config.Now().Sub(begun), err))
	return result, err
}

// pageSize is how many entries are asked for at a time; directories give no
// more than a thousand or so at once.
const pageSize = 500

// searchAll is search, page by page (RFC 2696).
func (s *Source) searchAll(ctx context.Context, what string, request *ldap.SearchRequest) (*ldap.SearchResult, error) {
	begun := s.config.Now()
	var result *ldap.SearchResult
	var host string
	err := s.pool.do(ctx, &s.pool.searching, func(conn *connection) (err error) {
		host = conn.server.url.Host
		request.Controls = nil // of an earlier try
		result, err = conn.SearchWithPaging(request, pageSize)
		return err
	})
	explain(ctx, searchStep(what, host, request, result, s.config.Now().Sub(begun), err))
	return result, err
}
