// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package upstream

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
	"net/url"
	"strings"
	"time"
	"unicode"

	"github.com/tegata/tegata/internal/oidc"
)

// Limits of an answer.
const (
	maxAnswer = 1 << 20
	maxHeader = 64 << 10
)

// newHTTPClient makes the only way in which a source speaks to its provider.
func newHTTPClient(config *tls.Config, timeout time.Duration) *http.Client {
	if config == nil {
		config = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	return &http.Client{
		Transport: &http.Transport{
			Proxy:                  http.ProxyFromEnvironment,
			DialContext:            (&net.Dialer{Timeout: timeout}).DialContext,
			TLSClientConfig:        config.Clone(),
			MaxResponseHeaderBytes: maxHeader,
			MaxIdleConnsPerHost:    4,
			IdleConnTimeout:        90 * time.Second,
		},
		// Codes, tokens and our secret go to the address that is known, and
		// nowhere else.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// answer is what came back, read to its end.
type answer struct {
	from   string // scheme, host and path, for messages
	status int
	header http.Header
	body   []byte
}

// send makes one request and reads the whole answer.
func send(client *http.Client, r *http.Request) (answer, error) {
	from := r.URL.Scheme + "://" + r.URL.Host + r.URL.Path
	if r.Header.Get("Accept") == "" {
		r.Header.Set("Accept", "application/json")
	}
	r.Header.Set("User-Agent", "tegata")
	response, err := client.Do(r)
	if err != nil {
		return answer{}, unreachable(from, err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer+1))
	switch {
	case err != nil:
		return answer{}, unreachable(from, err)
	case len(body) > maxAnswer:
		return answer{}, fmt.Errorf("%s answered with more than %d bytes", from, maxAnswer)
	}
	a := answer{from, response.StatusCode, response.Header, body}
	if location := response.Header.Get("Location"); a.status/100 == 3 {
		return answer{}, fmt.Errorf("%s redirects to %s, and redirects are not followed; configure the address at which it answers", from, plain(location))
	}
	return a, nil
}

// unreachable says in few words why there is no answer.
func unreachable(from string, err error) error {
	if wrapped, ok := errors.AsType[*url.Error](err); ok {
		err = wrapped.Err // its address may have more in it than a message should
	}
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		return fmt.Errorf("asking %s: %w; name its authority in ca", from, err)
	}
	return fmt.Errorf("asking %s: %w", from, err)
}

// get fetches a JSON document; what names it in messages.
func get(ctx context.Context, client *http.Client, address, what string, document any) (answer, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return answer{}, fmt.Errorf("%s is no address", plain(address))
	}
	a, err := send(client, r)
	switch {
	case err != nil:
		return answer{}, err
	case a.status != http.StatusOK:
		return answer{}, a.unexpected()
	case a.isHTML():
		return answer{}, fmt.Errorf("%s answered with HTML, not with %s", a.from, what)
	}
	if err := json.Unmarshal(a.body, document); err != nil {
		return answer{}, fmt.Errorf("%s did not answer with %s", a.from, what)
	}
	return a, nil
}

func (a answer) unexpected() error { return fmt.Errorf("%s answered %s", a.from, a.statusText()) }

func (a answer) statusText() string {
	return strings.TrimSpace(fmt.Sprintf("%d %s", a.status, http.StatusText(a.status)))
}

func (a answer) isHTML() bool {
	media, _, _ := mime.ParseMediaType(a.header.Get("Content-Type"))
	return media == "text/html" || bytes.HasPrefix(bytes.TrimSpace(a.body), []byte("<"))
}

// refusal reads an error as OAuth 2.0 tells it (RFC 6749, section 5.2); nil if
// there is none. GitHub sends it with status 200.
func (a answer) refusal() *oidc.Error {
	var refusal oidc.Error
	if json.Unmarshal(a.body, &refusal) != nil || refusal.Code == "" {
		return nil
	}
	return &oidc.Error{Code: oidc.ErrorCode(plain(string(refusal.Code))), Description: plain(refusal.Description)}
}

// maxAge reads how long an answer says it may be kept; zero if it does not.
func (a answer) maxAge() time.Duration {
	for directive := range strings.SplitSeq(a.header.Get("Cache-Control"), ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(directive), "=")
		if strings.EqualFold(name, "max-age") {
			if age, err := time.ParseDuration(strings.Trim(value, `"`) + "s"); err == nil && age > 0 {
				return age
			}
		}
	}
	return 0
}

// plain makes a foreign text fit for a message: one line, not long.
func plain(text string) string {
	const enough = 200
	if len(text) > enough {
		text = text[:enough] + "…"
	}
	return strings.Map(func(c rune) rune {
		if !unicode.IsPrint(c) {
			return '?'
		}
		return c
	}, strings.ToValidUTF8(text, "?"))
}
