// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package oidctest

import (
	"crypto"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/tegata/tegata/internal/oidc"
	"github.com/tegata/tegata/internal/secret"
)

// The endpoints of the device grant (RFC 8628): where it begins, and where
// the end user enters the code. Whoever visits [DevicePage] with a code
// approves it.
const (
	DeviceAuthorization Endpoint = "device-authorization"
	DevicePage          Endpoint = "device-page"
)

// Grants is what the provider does in the grants without a redirect.
type Grants struct {
	Passwords map[string]string // default alice, wonderland

	NoDevice       bool           // the device grant is not offered
	DeviceInterval float64        // in seconds; default 0.01
	DeviceExpires  float64        // in seconds; default 600
	DeviceApproves int            // approves itself at this poll
	DeviceSlows    int            // answers so many polls with slow_down
	DeviceRefusal  oidc.ErrorCode // answers polls with this error
	DeviceBars     oidc.ErrorCode // answers who begins with this error
	DeviceURIAlone bool           // no verification_uri_complete
	DeviceBroken   bool           // the answer has no user_code

	ClientIDToken bool // client credentials give an ID token too
	NoExpiresIn   bool // answers do not say when the access token ends

	AssertionKey crypto.PublicKey // of a client that shows private_key_jwt
	Certificate  []byte           // of a client that shows it, in DER (mTLS)
}

// device is one device authorization.
type device struct {
	userCode, challenge string
	approved            bool
	polls               int
	expires             time.Time
}

func newGrants() Grants {
	return Grants{Passwords: map[string]string{"alice": "wonderland"}, DeviceInterval: 0.01, DeviceExpires: 600}
}

// beginDevice is the device authorization endpoint (RFC 8628, section 3.2).
func (p *Provider) beginDevice(w http.ResponseWriter, r *http.Request, b Behaviour) {
	if err := r.ParseForm(); err != nil || r.Method != http.MethodPost {
		refuse(w, http.StatusBadRequest, oidc.InvalidRequest)
		return
	}
	if b.DeviceBars != "" {
		refuse(w, http.StatusBadRequest, b.DeviceBars)
		return
	}
	if b.OnDevice != nil {
		b.OnDevice(maps.Clone(r.PostForm))
	}
	if !p.knows(r, b) {
		refuse(w, http.StatusUnauthorized, oidc.InvalidClient)
		return
	}
	deviceCode, random := rand.Text(), rand.Text()
	userCode := random[:4] + "-" + random[4:8]
	p.mu.Lock()
	p.devices[deviceCode] = &device{
		userCode: userCode, challenge: r.PostForm.Get("code_challenge"),
		expires: time.Now().Add(time.Duration(b.DeviceExpires * float64(time.Second))),
	}
	p.issued = append(p.issued, deviceCode)
	page := p.server.URL + p.moved + "/device"
	p.mu.Unlock()
	response := map[string]any{
		"device_code": deviceCode, "user_code": userCode, "verification_uri": page,
		"verification_uri_complete": page + "?user_code=" + userCode,
		"expires_in":                b.DeviceExpires, "interval": b.DeviceInterval,
	}
	if b.DeviceURIAlone {
		delete(response, "verification_uri_complete")
	}
	if b.DeviceBroken {
		delete(response, "user_code")
	}
	answer(w, http.StatusOK, response)
}

// devicePage approves the code that its visitor brings.
func (p *Provider) devicePage(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, d := range p.devices {
		if d.userCode == r.URL.Query().Get("user_code") {
			d.approved = true
			fmt.Fprintln(w, "approved")
			return
		}
	}
	http.Error(w, "no such code", http.StatusNotFound)
}

// redeemDevice answers a poll (RFC 8628, section 3.5). The caller holds p.mu.
func (p *Provider) redeemDevice(w http.ResponseWriter, r *http.Request, b Behaviour) {
	text := r.PostForm.Get("device_code")
	d := p.devices[text]
	if d == nil {
		refuse(w, http.StatusBadRequest, oidc.InvalidGrant)
		return
	}
	d.polls++
	switch {
	case b.DeviceRefusal != "":
		refuse(w, http.StatusBadRequest, b.DeviceRefusal)
	case time.Now().After(d.expires):
		refuse(w, http.StatusBadRequest, "expired_token")
	case d.polls <= b.DeviceSlows:
		refuse(w, http.StatusBadRequest, "slow_down")
	case !d.approved && (b.DeviceApproves == 0 || d.polls < b.DeviceApproves):
		refuse(w, http.StatusBadRequest, "authorization_pending")
	case d.challenge != "" && !oidc.MatchCodeChallenge(d.challenge, secret.New(r.PostForm.Get("code_verifier"))):
		refuse(w, http.StatusBadRequest, oidc.InvalidGrant)
	default:
		delete(p.devices, text)
		p.respond(w, b, &family{subject: b.Subject}, "", b.NoIDToken)
	}
}

// redeemPassword is RFC 6749, section 4.3.2. The caller holds p.mu.
func (p *Provider) redeemPassword(w http.ResponseWriter, r *http.Request, b Behaviour) {
	username := r.PostForm.Get("username")
	if password, ok := b.Passwords[username]; !ok || password != r.PostForm.Get("password") {
		refuse(w, http.StatusBadRequest, oidc.InvalidGrant)
		return
	}
	p.respond(w, b, &family{subject: oidc.Subject(username)}, "", b.NoIDToken)
}

// redeemClient is RFC 6749, section 4.4.2. The caller holds p.mu.
func (p *Provider) redeemClient(w http.ResponseWriter, b Behaviour) {
	if b.Secret == "" && b.AssertionKey == nil && b.Certificate == nil {
		refuse(w, http.StatusBadRequest, oidc.UnauthorizedClient)
		return
	}
	b.RefreshTokens = false // section 4.4.3
	p.respond(w, b, &family{subject: oidc.Subject(p.ClientID)}, "", !b.ClientIDToken)
}

// proves reports whether the client's proof is good (RFC 7523, section 3).
func (p *Provider) proves(r *http.Request, b Behaviour) bool {
	form := r.PostForm
	if form.Get("client_assertion_type") != "urn:ietf:params:oauth:client-assertion-type:jwt-bearer" {
		return false
	}
	proof := form.Get("client_assertion")
	signed, err := jose.ParseSignedCompact(proof, []jose.SignatureAlgorithm{jose.RS256, jose.PS256, jose.ES256})
	if err != nil {
		return false
	}
	payload, err := signed.Verify(b.AssertionKey)
	if err != nil {
		return false
	}
	var claims oidc.Claims
	if json.Unmarshal(payload, &claims) != nil {
		return false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if slices.Contains(p.issued, claims.TokenID) {
		return false // once is enough
	}
	p.issued = append(p.issued, claims.TokenID, proof)
	return claims.Issuer == oidc.Issuer(p.ClientID) && claims.Subject == oidc.Subject(p.ClientID) && claims.TokenID != "" &&
		claims.Audience.Has(oidc.ClientID(p.server.URL+r.URL.Path)) && time.Now().Before(claims.Expiry.Time)
}

// shows reports whether the client showed its certificate (RFC 8705, section 2).
func (p *Provider) shows(r *http.Request, b Behaviour) bool {
	return r.TLS != nil && len(r.TLS.PeerCertificates) > 0 && string(r.TLS.PeerCertificates[0].Raw) == string(b.Certificate) &&
		r.PostForm.Get("client_id") == string(p.ClientID)
}

// showCode answers an authorization request whose redirect URI says that the
// end user carries the code.
func showCode(w http.ResponseWriter, response url.Values) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	text := response.Get("code")
	if text == "" {
		text = response.Get("error")
	}
	fmt.Fprint(w, strings.TrimSpace(text)) //nolint:errcheck // a test's peer
}
