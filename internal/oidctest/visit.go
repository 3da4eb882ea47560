// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package oidctest

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net/http"
)

// Page is what a user agent ended at.
type Page struct {
	Status int
	Header http.Header
	URL    string
	Body   string
}

// UserAgent is an HTTP client that trusts the authority, for a process that
// plays the browser.
func UserAgent(ca []byte) *http.Client {
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca)
	return &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, DisableKeepAlives: true}}
}

// Visit plays the end user's browser: it opens the address and follows where
// it is sent.
func Visit(ctx context.Context, agent *http.Client, address, languages string) (Page, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return Page{}, err
	}
	if languages != "" {
		r.Header.Set("Accept-Language", languages)
	}
	response, err := agent.Do(r)
	if err != nil {
		return Page{}, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return Page{response.StatusCode, response.Header, response.Request.URL.String(), string(body)}, err
}
