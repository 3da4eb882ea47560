// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package authorize

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/tegata/tegata/internal/clientregistry"
	"github.com/tegata/tegata/internal/oidc"
	"github.com/tegata/tegata/internal/provider/page"
	"github.com/tegata/tegata/internal/secret"
)

// request is a valid authorization request (RFC 6749, section 4.1.1; OpenID
// Connect Core 1.0, section 3.1.2.1). It is what a page carries, sealed, so
// its JSON names are short.
type request struct {
	Client         oidc.ClientID  `json:"c"`
	RedirectURI    string         `json:"r"`
	Mode           responseMode   `json:"m,omitempty"`
	State          string         `json:"s,omitempty"`
	Nonce          string         `json:"n,omitempty"`
	Scopes         oidc.Scopes    `json:"o"`
	UserinfoClaims []string       `json:"i,omitempty"`
	CodeChallenge  string         `json:"p,omitempty"`
	Subjects       []oidc.Subject `json:"u,omitempty"` // whom the answer must be about; empty: anybody
	Consent        bool           `json:"k,omitempty"` // prompt=consent
	UILocales      string         `json:"l,omitempty"`
	SecondFactor   bool           `json:"f,omitempty"` // an acr that takes one is essential
	Session        string         `json:"b,omitempty"` // the one that a consent page is about
	Next           string         `json:"x,omitempty"` // a path below the issuer's, after a login that is for no client
	At             int64          `json:"t"`           // Unix seconds at which the page was shown

	// What the person did so far.
	Source  string `json:"h,omitempty"` // chosen, or where the browser was sent
	Login   string `json:"g,omitempty"` // typed
	Attempt string `json:"a,omitempty"` // of a departure; secret
	Unseen  bool   `json:"v,omitempty"` // they have seen no page of ours
	Fresh   bool   `json:"w,omitempty"` // asked for by prompt=login or max_age

	prompt    oidc.Scopes // none, login, consent, select_account
	maxAge    *time.Duration
	loginHint string
}

// about reports whether an answer may be about the subject.
func (req request) about(subject oidc.Subject) bool {
	return len(req.Subjects) == 0 || slices.Contains(req.Subjects, subject)
}

// refusal is an error that must not leave by a redirect, because nobody has
// vouched for the redirect URI (RFC 6749, section 4.1.2.1).
type refusal struct {
	problem page.Problem
	detail  string
	cause   error // for our log; may be nil
}

func (r *refusal) Error() string {
	if r.cause != nil {
		return r.cause.Error()
	}
	return r.detail
}

func (r *refusal) Unwrap() error { return r.cause }

// maxParameter bounds each parameter, which the page has to carry.
const maxParameter = 2048

// parse reads and checks an authorization request. If its parameters were
// pushed before, those are read instead, and nothing else (RFC 9126, section
// 4; RFC 9101, section 5).
func (h *Handler) parse(ctx context.Context, r *http.Request) (request, clientregistry.Client, error) {
	if err := r.ParseForm(); err != nil {
		return request{}, clientregistry.Client{}, &refusal{problem: page.BadRequest, detail: "the parameters cannot be decoded"}
	}
	form := r.Form
	if uri := form.Get("request_uri"); strings.HasPrefix(uri, pushedPrefix) {
		var err error
		if form, err = h.pushed(form); err != nil {
			return request{}, clientregistry.Client{}, err
		}
		r.Form = form // the language of the page is among them
	}
	return h.read(ctx, form)
}

// read checks the parameters of an authorization request. The error is a
// *refusal as long as the redirect URI is in doubt, then an *oidc.Error for
// the client; in the second case the request returned has what it takes to
// answer.
func (h *Handler) read(ctx context.Context, form url.Values) (request, clientregistry.Client, error) {
	for _, name := range []string{"client_id", "redirect_uri"} {
		if len(form[name]) != 1 || form.Get(name) == "" {
			return request{}, clientregistry.Client{}, &refusal{problem: page.BadRequest, detail: name + " must be given, once"}
		}
	}

	// Step 1: the client, then where its answers may go.
	client, err := h.client(ctx, oidc.ClientID(form.Get("client_id")), form.Get("redirect_uri"))
	if err != nil {
		return request{}, client, err
	}

	// Step 2: from here on the client is told what is wrong, in the way that
	// it wants to be told.
	req := request{
		Client:        client.ID,
		RedirectURI:   form.Get("redirect_uri"),
		State:         form.Get("state"),
		Nonce:         form.Get("nonce"),
		Scopes:        oidc.ParseScopes(form.Get("scope")),
		CodeChallenge: form.Get("code_challenge"),
		UILocales:     form.Get("ui_locales"),
		prompt:        oidc.ParseScopes(form.Get("prompt")),
		loginHint:     form.Get("login_hint"),
	}
	if req.Mode, err = checkResponseMode(form.Get("response_mode"), req.RedirectURI); err != nil {
		return req, client, err
	}
	if err := req.check(form); err != nil {
		return req, client, err
	}
	if err := checkCodeChallenge(client, req.CodeChallenge, form.Get("code_challenge_method")); err != nil {
		return req, client, err
	}

	// Step 3: whom and what it must be about.
	if err := req.readClaims(form.Get("claims")); err != nil {
		return req, client, err
	}
	if hint := form.Get("id_token_hint"); hint != "" {
		// OpenID Connect Core 1.0, section 3.1.2.2: no answer about another
		// end user. The ID token may have expired.
		var hinted oidc.Claims
		if err := h.Verifier.Verify(secret.New(hint), "JWT", &hinted); err != nil || hinted.Issuer != h.Issuer {
			return req, client, invalid("id_token_hint is not an ID token of this issuer")
		}
		if !req.about(hinted.Subject) {
			return req, client, invalid("id_token_hint and claims name two end users")
		}
		req.Subjects = []oidc.Subject{hinted.Subject}
	}

	// Unknown scopes, and those beyond the client's, are left out and the
	// token response says what was granted (RFC 6749, section 3.3).
	req.Scopes = req.Scopes.Only(client.AllowedScopes())
	return req, client, nil
}

// client finds the client and checks that answers to it may go to the redirect
// URI. The error is a *refusal.
func (h *Handler) client(ctx context.Context, id oidc.ClientID, redirectURI string) (clientregistry.Client, error) {
	client, err := h.Clients.Client(ctx, id)
	switch {
	case errors.Is(err, clientregistry.ErrNotFound):
		return client, &refusal{problem: page.UnknownClient, detail: fmt.Sprintf("client_id %.100q", id)}
	case err != nil:
		return client, &refusal{problem: page.Unavailable, cause: fmt.Errorf("finding the client: %w", err)}
	case !client.AllowsRedirectURI(redirectURI):
		return client, &refusal{problem: page.WrongRedirectURI, detail: fmt.Sprintf("redirect_uri %.200q for client_id %q", redirectURI, client.ID)}
	}
	return client, nil
}

func (req *request) check(form url.Values) error {
	for name, values := range form {
		switch {
		case len(values) > 1:
			// RFC 6749, section 3.1: parameters must not be repeated.
			return invalid("parameter %.40q is given more than once", name)
		case !utf8.ValidString(values[0]) || strings.ContainsRune(values[0], 0):
			// The page carries it as JSON, which would change it, and a
			// database keeps it as text.
			return invalid("parameter %.40q is not UTF-8 text", name)
		case len(values[0]) > maxParameter && name != "id_token_hint":
			return invalid("parameter %.40q is longer than %d bytes", name, maxParameter)
		}
	}
	switch {
	case form.Get("request") != "": // OpenID Connect Core 1.0, section 3.1.2.6
		return &oidc.Error{Code: oidc.RequestNotSupported, Description: "request objects are not supported"}
	case form.Get("request_uri") != "":
		return &oidc.Error{Code: oidc.RequestURINotSupported, Description: "request_uri is supported for pushed authorization requests only"}
	case form.Get("registration") != "": // section 7.2.1
		return &oidc.Error{Code: oidc.RegistrationNotSupported, Description: "registration is not supported"}
	case form.Get("response_type") == "":
		return invalid("response_type is missing")
	case form.Get("response_type") != "code":
		return &oidc.Error{Code: oidc.UnsupportedResponseType, Description: "only response_type=code is supported"}
	case !req.Scopes.Has(oidc.ScopeOpenID):
		return &oidc.Error{Code: oidc.InvalidScope, Description: "scope must include openid"}
	}
	for _, prompt := range req.prompt {
		if !slices.Contains(prompts(), prompt) {
			return invalid("unknown prompt %.40q", prompt)
		}
	}
	if req.prompt.Has("none") && len(req.prompt) > 1 {
		return invalid("prompt=none goes with no other prompt")
	}
	req.Consent = req.prompt.Has("consent")
	if text := form.Get("max_age"); text != "" {
		seconds, err := strconv.ParseUint(text, 10, 31)
		if err != nil {
			return invalid("max_age %.40q is not a number of seconds", text)
		}
		age := time.Duration(seconds) * time.Second
		req.maxAge = &age
	}
	req.Fresh = req.prompt.Has("login") || req.maxAge != nil
	return nil
}

// prompts lists the values of prompt (OpenID Connect Core 1.0, section
// 3.1.2.1).
func prompts() []string { return []string{"none", "login", "consent", "select_account"} }

func invalid(format string, args ...any) error {
	return &oidc.Error{Code: oidc.InvalidRequest, Description: fmt.Sprintf(format, args...)}
}
