// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package login

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"strings"
	"time"
)

// Deadlines of one request. Together they end each wait; a person who wants
// to end it earlier has Ctrl-C.
const (
	connectTimeout = 10 * time.Second
	headerTimeout  = 15 * time.Second
	requestTimeout = 20 * time.Second
)

// maxAnswer limits what is read of any answer: far above the largest key set.
const maxAnswer = 1 << 20

// Trust says how the provider's certificate is checked, and what is added to
// each request.
type Trust struct {
	// Authorities is PEM. If there is any, only these are trusted and not the
	// system's, as the flags of kubectl and kubelogin have it.
	Authorities [][]byte

	InsecureSkipTLSVerify bool

	// Certificate, if there is one, is shown to the provider (RFC 8705).
	Certificate *tls.Certificate

	// Renegotiation is for providers that ask for a certificate late; TLS 1.3
	// has nothing of the kind.
	Renegotiation tls.RenegotiationSupport

	// Headers go to the provider with each request.
	Headers map[string]string
}

// NewHTTPClient makes the only way in which this package speaks to a provider.
func NewHTTPClient(trust Trust) (*http.Client, error) {
	config := &tls.Config{InsecureSkipVerify: trust.InsecureSkipTLSVerify, Renegotiation: trust.Renegotiation} //nolint:gosec // asked for by --insecure-skip-tls-verify
	if trust.Certificate != nil {
		config.Certificates = []tls.Certificate{*trust.Certificate}
	}
	if len(trust.Authorities) > 0 {
		config.RootCAs = x509.NewCertPool()
		for _, text := range trust.Authorities {
			if !config.RootCAs.AppendCertsFromPEM(text) {
				return nil, errors.New("the certificate authority holds no certificate that can be read")
			}
		}
	}
	return &http.Client{
		Timeout: requestTimeout,
		Transport: &headers{values: trust.Headers, next: &http.Transport{
			Proxy:                 http.ProxyFromEnvironment,
			DialContext:           (&net.Dialer{Timeout: connectTimeout}).DialContext,
			TLSClientConfig:       config,
			TLSHandshakeTimeout:   connectTimeout,
			ResponseHeaderTimeout: headerTimeout,
		}},
		CheckRedirect: func(next *http.Request, via []*http.Request) error {
			// A token request is never repeated elsewhere: it holds a code, a
			// refresh token or the client's secret.
			if via[0].Method != http.MethodGet {
				return http.ErrUseLastResponse
			}
			if via[0].URL.Scheme == "https" && next.URL.Scheme != "https" {
				return fmt.Errorf("it redirects from https to %s", next.URL.Scheme)
			}
			if len(via) >= 5 {
				return errors.New("it redirects in circles")
			}
			return nil
		},
	}, nil
}

// headers adds headers to each request.
type headers struct {
	values map[string]string
	next   *http.Transport
}

// RoundTrip implements [http.RoundTripper].
func (h *headers) RoundTrip(r *http.Request) (*http.Response, error) {
	// A redirect to another host does not take them along.
	elsewhere := r.Response != nil && r.Response.Request.URL.Host != r.URL.Host
	if len(h.values) > 0 && !elsewhere {
		r = r.Clone(r.Context())
		for name, value := range h.values {
			r.Header.Set(name, value)
		}
	}
	return h.next.RoundTrip(r)
}

// CloseIdleConnections is found by [http.Client.CloseIdleConnections].
func (h *headers) CloseIdleConnections() { h.next.CloseIdleConnections() }

// answer is what came back, read to its end.
type answer struct {
	from   string // the endpoint, for messages
	status int
	header http.Header
	body   []byte
}

// send makes one request and reads the whole answer.
func (c *Client) send(r *http.Request) (answer, error) {
	r.Header.Set("Accept", "application/json")
	r.Header.Set("User-Agent", "kubectl-oidc_login (tegata)")
	response, err := c.HTTP.Do(r)
	if err != nil {
		return answer{}, explain(err, r.URL.String())
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer+1))
	if err != nil {
		return answer{}, explain(err, r.URL.String())
	}
	if len(body) > maxAnswer {
		return answer{}, problem(BadAnswer, "%s answered with more than %d bytes", r.URL.Host, maxAnswer)
	}
	return answer{r.URL.String(), response.StatusCode, response.Header, body}, nil
}

// get fetches a JSON document; what names it in messages.
func (c *Client) get(ctx context.Context, address, what string, document any) (http.Header, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, problem(NotAnIssuer, "%.200q is no address", address)
	}
	a, err := c.send(r)
	if err != nil {
		return nil, err
	}
	switch {
	case a.unavailable():
		return nil, problem(Unavailable, "%s answered %s", address, a.statusText())
	case a.status != http.StatusOK:
		p := problem(NotAnIssuer, "%s answered %s", address, a.statusText())
		p.Err = errStatus(a.status)
		return nil, p
	case a.isHTML():
		return nil, problem(NotAnIssuer, "%s answered with HTML, not with %s", address, what)
	}
	if err := json.Unmarshal(a.body, document); err != nil {
		return nil, problem(NotAnIssuer, "%s did not answer with %s", address, what)
	}
	return a.header, nil
}

// errStatus is an HTTP status as an error.
type errStatus int

func (s errStatus) Error() string { return fmt.Sprintf("%d %s", int(s), http.StatusText(int(s))) }

// moved reports whether an endpoint is no longer where it was known to be.
func moved(err error) bool {
	status, ok := errors.AsType[errStatus](err)
	return ok && (status >= 300 && status < 400 || status == 404 || status == 405 || status == 410)
}

func (a answer) unavailable() bool {
	return a.status >= 500 || a.status == http.StatusTooManyRequests
}

func (a answer) statusText() string { return errStatus(a.status).Error() }

func (a answer) isHTML() bool {
	media, _, _ := mime.ParseMediaType(a.header.Get("Content-Type"))
	return media == "text/html" || media == "application/xhtml+xml" ||
		bytes.HasPrefix(bytes.TrimSpace(a.body), []byte("<"))
}

// maxAge reads how long an answer says it may be kept; zero if it does not.
func maxAge(header http.Header) time.Duration {
	for directive := range strings.SplitSeq(header.Get("Cache-Control"), ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(directive), "=")
		if strings.EqualFold(name, "max-age") {
			if age, err := time.ParseDuration(strings.Trim(value, `"`) + "s"); err == nil && age > 0 {
				return age
			}
		}
	}
	return 0
}
