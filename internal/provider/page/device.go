// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package page

import (
	"cmp"
	"net/http"

	"github.com/tegata/tegata/internal/oidc"
)

// Device is the page that asks for the code that a device shows.
type Device struct {
	UserCode string // what the person typed before, or followed a link with
	Problem  Problem
}

// Device writes the page.
func (p *Renderer) Device(w http.ResponseWriter, r *http.Request, status int, v Device) {
	p.write(w, r, status, "device.html", policy(""), v)
}

// DeviceAsk is the page that asks a person with a session whether a device
// may log in as them. As at Consent, no button of it has the focus.
type DeviceAsk struct {
	Client   string // what wants to log in, as a person knows it
	UserCode string // for comparison with the device
	Request  string // the sealed question
	Username string
	Name     string      // may be empty
	Device   string      // what asked, by its own words; may be empty
	Address  string      // where it asked from
	Minutes  int         // how long ago
	Scopes   oidc.Scopes // what the client gets to know
}

// The answers of the page: the values of the field answer.
const (
	AnswerAllow = "allow"
	AnswerDeny  = "deny"
)

// Who is the name that a person goes by.
func (v DeviceAsk) Who() string { return cmp.Or(v.Name, v.Username) }

// From is where the device asked from, in one line.
func (v DeviceAsk) From() string {
	if v.Device == "" {
		return v.Address
	}
	return v.Device + ", " + v.Address
}

// DeviceAsk writes the page.
func (p *Renderer) DeviceAsk(w http.ResponseWriter, r *http.Request, v DeviceAsk) {
	p.write(w, r, http.StatusOK, "deviceask.html", policy(""), v)
}

// DeviceDone is the page that follows the answer.
type DeviceDone struct {
	Client  string
	Allowed bool
}

// DeviceDone writes the page.
func (p *Renderer) DeviceDone(w http.ResponseWriter, r *http.Request, v DeviceDone) {
	p.write(w, r, http.StatusOK, "devicedone.html", policy(""), v)
}
