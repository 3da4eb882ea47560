// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package authorize

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/tegata/tegata/internal/oidc"
	"github.com/tegata/tegata/internal/provider/answer"
	"github.com/tegata/tegata/internal/provider/page"
)

// A pushed authorization request (RFC 9126) is not stored: its request_uri is
// the request itself, sealed. So it costs no row, any replica opens it, and
// nobody can make one or read one on its way through the browser. What cannot
// be had so is a request_uri that works once: within its short life it may be
// used again, as section 4 allows for a page that is loaded again. To use it
// again is to make the same request again; its answers go to the same place,
// and state, nonce and PKCE bind each of them as ever.
const (
	pushedPrefix   = "urn:ietf:params:oauth:request_uri:"
	pushedLifetime = 90 * time.Second
	// maxPushed keeps the address below the 8 KiB that proxies commonly
	// allow for a request line.
	maxPushed = 5 << 10
)

// Push serves the pushed authorization request endpoint (RFC 9126, section 2).
func (h *Handler) Push(w http.ResponseWriter, r *http.Request) {
	uri, err := h.push(w, r)
	if err != nil {
		answer.Error(w, r, h.Log, err)
		return
	}
	body, err := json.Marshal(struct {
		RequestURI string `json:"request_uri"`
		ExpiresIn  int    `json:"expires_in"`
	}{uri, int(pushedLifetime / time.Second)})
	if err != nil {
		answer.Error(w, r, h.Log, fmt.Errorf("encoding the answer to a pushed request: %w", err))
		return
	}
	answer.Created(w, body)
}

func (h *Handler) push(w http.ResponseWriter, r *http.Request) (uri string, err error) {
	// Step 1: the form and the client, as at the token endpoint.
	form, err := answer.ReadForm(r)
	if err != nil {
		return "", err
	}
	client, err := h.Authenticator.Authenticate(r)
	if err != nil {
		return "", err
	}
	answer.AllowOrigin(w, r, client.AllowsOrigin)

	// Step 2: the request, as it will be checked again when it is used.
	if form.Get("request_uri") != "" {
		return "", invalid("request_uri cannot be pushed")
	}
	for _, name := range []string{"client_secret", "client_assertion", "client_assertion_type"} {
		form.Del(name)
	}
	form.Set("client_id", string(client.ID))
	if _, _, err := h.read(r.Context(), form); err != nil {
		if refused, ok := errors.AsType[*refusal](err); ok && refused.problem != page.Unavailable {
			return "", invalid("%s", refused.detail)
		}
		return "", err
	}

	// Step 3: seal it, for this client and for a while.
	plain := strconv.FormatInt(h.Now().Add(pushedLifetime).Unix(), 10) + " " + form.Encode()
	if len(plain) > maxPushed {
		return "", &oidc.Error{
			Code: oidc.InvalidRequest, Description: fmt.Sprintf("the request is longer than %d bytes", maxPushed),
			Cause: &http.MaxBytesError{Limit: maxPushed},
		}
	}
	return pushedPrefix + h.PushedSeal.Seal([]byte(plain), string(client.ID)), nil
}

// pushed opens the request_uri of an authorization request and returns the
// parameters that were pushed. Nothing else of the request counts, so there is
// no redirect URI yet that an error could go to.
func (h *Handler) pushed(form url.Values) (url.Values, error) {
	if len(form["request_uri"]) != 1 || len(form["client_id"]) != 1 {
		return nil, &refusal{problem: page.BadRequest, detail: "client_id and request_uri must be given, once"}
	}
	void := &refusal{problem: page.BadRequest, detail: "request_uri has expired, or is another client's"}
	plain, err := h.PushedSeal.Open(strings.TrimPrefix(form.Get("request_uri"), pushedPrefix), form.Get("client_id"))
	if err != nil {
		return nil, void
	}
	until, encoded, _ := strings.Cut(string(plain), " ")
	expiry, err := strconv.ParseInt(until, 10, 64)
	if err != nil || h.Now().Unix() >= expiry {
		return nil, void
	}
	pushed, err := url.ParseQuery(encoded)
	if err != nil {
		return nil, void
	}
	return pushed, nil
}
