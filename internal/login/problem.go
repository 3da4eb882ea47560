// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package login

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"syscall"
	"unicode"
)

// Kind is what went wrong, for a caller that knows what to advise.
type Kind int

// The kinds of problems.
const (
	Unreachable          Kind = iota + 1 // no connection, no such host, connection lost
	TimedOut                             // the provider took too long
	Unavailable                          // the provider answered that it cannot answer now
	UntrustedCertificate                 // signed by an authority that is not trusted here
	WrongCertificate                     // expired, or for another host
	NotAnIssuer                          // something answers, but not an OpenID Provider
	IssuerMismatch                       // the metadata is another issuer's
	BadAnswer                            // an answer that breaks the protocol
	BadIDToken                           // an ID token that must not be used
	ClockSkew                            // a token that only another clock would accept
	SubjectChanged                       // the answer is about another end user
	PortsBusy                            // no address to listen on
	NobodyCame                           // the end user did not log in in time
	NoIDToken                            // the tokens came without an ID token
	NotOffered                           // the provider does not have the grant
	CodeExpired                          // nobody entered the device's code in time
)

// Problem is a failure of a known kind. Its text is one sentence about one
// cause; the text never holds a token, a code or a secret.
type Problem struct {
	Kind Kind
	Text string
	Err  error // what lies below, for errors.Is; it is not part of the text
}

// Error implements [error].
func (p *Problem) Error() string { return p.Text }

// Unwrap returns what lies below.
func (p *Problem) Unwrap() error { return p.Err }

// IsKind reports whether err is a problem of the kind.
func IsKind(err error, kind Kind) bool {
	p, ok := errors.AsType[*Problem](err)
	return ok && p.Kind == kind
}

func problem(kind Kind, format string, args ...any) *Problem {
	return &Problem{Kind: kind, Text: fmt.Sprintf(format, args...)}
}

// transient reports whether the same request may succeed a moment later.
func transient(err error) bool {
	return IsKind(err, Unreachable) || IsKind(err, TimedOut) || IsKind(err, Unavailable)
}

// explain turns an error of net/http into one cause. The address is shown
// without its query, which may hold what nobody else should see.
func explain(err error, address string) error {
	if errors.Is(err, context.Canceled) {
		return context.Canceled
	}
	at := address
	if u, parsing := url.Parse(address); parsing == nil {
		at = u.Scheme + "://" + u.Host
	}
	p := problem(Unreachable, "the provider at %s cannot be reached: %v", at, innermost(err))
	p.Err = err
	if timeout, ok := errors.AsType[net.Error](err); ok && timeout.Timeout() || errors.Is(err, context.DeadlineExceeded) {
		p.Kind, p.Text = TimedOut, fmt.Sprintf("the provider at %s did not answer in time", at)
		return p
	}
	if errors.Is(err, syscall.ECONNREFUSED) {
		p.Text = fmt.Sprintf("the provider at %s cannot be reached: connection refused", at)
		return p
	}
	if unknown, ok := errors.AsType[*net.DNSError](err); ok {
		p.Text = fmt.Sprintf("the provider at %s cannot be reached: there is no host %q", at, unknown.Name)
		return p
	}
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		p.Kind, p.Text = UntrustedCertificate, fmt.Sprintf("the certificate of %s is signed by an authority that is not trusted here", at)
		return p
	}
	if wrong, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		p.Kind, p.Text = WrongCertificate, fmt.Sprintf("the certificate of %s is not valid: %v", at, strings.TrimPrefix(wrong.Err.Error(), "x509: "))
		return p
	}
	if _, ok := errors.AsType[tls.RecordHeaderError](err); ok {
		p.Kind, p.Text = NotAnIssuer, fmt.Sprintf("%s does not speak TLS", at)
	}
	return p
}

// innermost is the last cause of a chain: the outer ones repeat the address.
func innermost(err error) error {
	for {
		inner := errors.Unwrap(err)
		if inner == nil {
			return err
		}
		err = inner
	}
}

// plain makes a foreign text fit for a terminal: one line, printable, short.
func plain(text string) string {
	const most = 300
	text = strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return ' '
	}, strings.TrimSpace(text))
	if runes := []rune(text); len(runes) > most {
		text = string(runes[:most]) + "…"
	}
	return text
}
