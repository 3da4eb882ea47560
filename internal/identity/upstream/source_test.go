// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package upstream_test

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tegata/tegata/internal/identity"
	"github.com/tegata/tegata/internal/identity/upstream"
	"github.com/tegata/tegata/internal/oidc"
	"github.com/tegata/tegata/internal/oidctest"
	"github.com/tegata/tegata/internal/secret"
)

// A provider as a source of an issuer: what travels is text, and what decides
// something is told in the words of identity.
func TestSource(t *testing.T) {
	t.Parallel()
	p, config := behaving(t)
	p.Change(func(b *oidctest.Behaviour) { b.Departure = true })
	source := &upstream.Source{Provider: newOIDC(t, config)}
	logIn := func() (identity.User, secret.String, error) {
		address, attempt, err := source.Begin(t.Context(), identity.Departure{RedirectURI: callbackURI, LoginHint: "alice"})
		if err != nil {
			t.Fatal(err)
		}
		query, err := visit(p.Client(), address+"&state=our+state")
		if err != nil {
			t.Fatal(err)
		}
		return source.Finish(t.Context(), callbackURI, attempt, query)
	}
	user, kept, err := logIn()
	if err != nil || user.Subject != "corp:alice" || kept.IsZero() {
		t.Fatalf("got %+v, %v", user, err)
	}
	user, fresh, err := source.Refresh(t.Context(), user.Subject, kept)
	if err != nil || !slices.Equal(user.Groups, []string{"dev", "platform"}) || fresh.IsZero() || fresh.Equal(kept) {
		t.Errorf("the refresh: got %+v, %v", user, err)
	}
	if address, err := source.LogOut(t.Context(), fresh, "https://tegata.example.com/", "s"); address != "" || err != nil {
		t.Errorf("the logout is not to be passed on: got %q, %v", address, err)
	}
	source.LogsOut = true
	if address, err := source.LogOut(t.Context(), fresh, "https://tegata.example.com/", "s"); !strings.HasPrefix(address, string(p.Issuer)+"/logout?") || err != nil {
		t.Errorf("the logout: got %q, %v", address, err)
	}

	p.Change(func(b *oidctest.Behaviour) { b.TokenRefusal = oidc.ServerError })
	if _, kept, err := source.Refresh(t.Context(), user.Subject, fresh); err == nil || errors.Is(err, identity.ErrNotFound) || !kept.IsZero() {
		t.Errorf("a provider in trouble: got %v, and %v to keep", err, kept)
	}
	p.Change(func(b *oidctest.Behaviour) { b.TokenRefusal = ""; b.Refusal = oidc.AccessDenied })
	_, _, err = logIn()
	if _, ok := errors.AsType[*identity.DeniedError](err); !ok {
		t.Errorf("a login that was cancelled: got %v", err)
	}
	if _, _, err := source.Finish(t.Context(), callbackURI, secret.New("x"), nil); err == nil {
		t.Error("an attempt that is none")
	}
	if _, _, err := source.Refresh(t.Context(), user.Subject, secret.New("x")); err == nil || errors.Is(err, identity.ErrNotFound) {
		t.Errorf("kept is none: got %v", err)
	}
	if _, err := source.LogOut(t.Context(), secret.New("x"), "", ""); err == nil {
		t.Error("kept is none, and a logout")
	}
}

// A refresh that has begun goes on when the caller leaves: the provider has
// given the only good refresh token. It ends at the caller's deadline.
func TestRefreshOutlivesItsCaller(t *testing.T) {
	t.Parallel()
	s := newStage(t, "")
	source := newOIDC(t, s.config)
	_, tokens, err := s.logIn(source)
	if err != nil {
		t.Fatal(err)
	}
	tokens.RefreshToken = secret.New("r1")
	ctx, leave := context.WithCancel(t.Context())
	s.mu.Lock()
	s.answers["/token"] = func(w http.ResponseWriter, _ *http.Request) {
		leave()
		reply(w, map[string]any{"access_token": "a", "token_type": "Bearer", "refresh_token": "r2", "id_token": s.sign(s.claims)})
	}
	s.mu.Unlock()
	if _, kept, err := source.Refresh(ctx, "corp:4711", tokens); err != nil || kept.RefreshToken.Reveal() != "r2" {
		t.Errorf("the caller left: got %v, and %q to keep", err, kept.RefreshToken.Reveal())
	}

	// What was given is kept too if the rest fails.
	s.mu.Lock()
	s.answers["/token"] = func(w http.ResponseWriter, _ *http.Request) {
		reply(w, map[string]any{"access_token": "a", "token_type": "Bearer", "refresh_token": "r3"})
	}
	s.answers["/userinfo"] = func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "", http.StatusInternalServerError) }
	s.mu.Unlock()
	if _, kept, err := source.Refresh(t.Context(), "corp:4711", tokens); err == nil || kept.RefreshToken.Reveal() != "r3" {
		t.Errorf("half a refresh: got %v, and %q to keep", err, kept.RefreshToken.Reveal())
	}

	hurried, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	over := make(chan struct{})
	defer close(over)
	s.mu.Lock()
	s.answers["/token"] = func(http.ResponseWriter, *http.Request) { <-over }
	s.mu.Unlock()
	if _, _, err := source.Refresh(hurried, "corp:4711", tokens); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("the caller's deadline: got %v", err)
	}
}
