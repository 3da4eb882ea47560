// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package login_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/tegata/tegata/internal/login"
	"github.com/tegata/tegata/internal/oidc"
	"github.com/tegata/tegata/internal/oidctest"
	"github.com/tegata/tegata/internal/secret"
)

func revoker(p *oidctest.Provider) *login.Client {
	return &login.Client{Issuer: p.Issuer, ClientID: p.ClientID, HTTP: p.Client()}
}

// RFC 7009, section 2.2: a token that the provider does not know is revoked.
func TestRevokeTakesAnUnknownTokenAsDone(t *testing.T) {
	p := oidctest.New(t)
	p.Change(func(b *oidctest.Behaviour) { b.Departure = true })
	if err := revoker(p).Revoke(t.Context(), secret.New("unknown")); err != nil {
		t.Error(err)
	}
}

func TestRevokeTellsWhatAProviderCannot(t *testing.T) {
	p := oidctest.New(t)
	if err := revoker(p).Revoke(t.Context(), secret.New("x")); !errors.Is(err, login.ErrCannotRevoke) {
		t.Errorf("no endpoint: got %v", err)
	}
	for code, cannot := range map[oidc.ErrorCode]bool{"unsupported_token_type": true, oidc.InvalidClient: false} {
		p.Change(func(b *oidctest.Behaviour) { b.Departure, b.RevocationRefusal = true, code })
		err := revoker(p).Revoke(t.Context(), secret.New("x"))
		if err == nil || errors.Is(err, login.ErrCannotRevoke) != cannot {
			t.Errorf("%s: got %v", code, err)
		}
	}
}

// A refresh token never leaves https, whatever the metadata says.
func TestDepartureKeepsToHTTPS(t *testing.T) {
	p := oidctest.New(t)
	p.Change(func(b *oidctest.Behaviour) { b.Departure, b.PlainDeparture = true, true })
	c := revoker(p)
	if err := c.Revoke(t.Context(), secret.New("x")); err == nil || !strings.HasSuffix(err.Error(), "has a revocation_endpoint without https") {
		t.Errorf("got %v", err)
	}
	if address, err := c.EndSession(t.Context(), "alice"); err == nil || address != "" {
		t.Errorf("got %q, %v", address, err)
	}
}

func TestEndSessionHoldsNoToken(t *testing.T) {
	p := oidctest.New(t)
	c := revoker(p)
	if address, err := c.EndSession(t.Context(), "alice"); address != "" || err != nil {
		t.Errorf("no endpoint: got %q, %v", address, err)
	}
	p.Change(func(b *oidctest.Behaviour) { b.Departure = true })
	address, err := revoker(p).EndSession(t.Context(), "a&b")
	if want := string(p.Issuer) + "/logout?client_id=kubernetes&logout_hint=a%26b"; address != want || err != nil {
		t.Errorf("got %q, %v, want %q", address, err, want)
	}
}
