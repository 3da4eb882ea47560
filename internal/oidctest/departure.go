// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package oidctest

import (
	"maps"
	"net/http"

	"github.com/tegata/tegata/internal/oidc"
)

// The endpoints at which a login ends. They are there if [Behaviour.Departure]
// says so.
const (
	Revocation Endpoint = "revocation"
	EndSession Endpoint = "end-session"
)

// revoke ends the family of a refresh token (RFC 7009, section 2.1).
func (p *Provider) revoke(w http.ResponseWriter, r *http.Request, b Behaviour) {
	if err := r.ParseForm(); err != nil || r.Method != http.MethodPost {
		refuse(w, http.StatusBadRequest, oidc.InvalidRequest)
		return
	}
	if b.OnToken != nil {
		b.OnToken(maps.Clone(r.PostForm))
	}
	if b.RevocationRefusal != "" {
		refuse(w, http.StatusBadRequest, b.RevocationRefusal)
		return
	}
	if !p.knows(r, b) {
		refuse(w, http.StatusUnauthorized, oidc.InvalidClient)
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if f := p.families[r.PostForm.Get("token")]; f != nil {
		f.revoked = true
	}
	w.WriteHeader(http.StatusOK)
}
