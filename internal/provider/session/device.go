// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package session

import (
	"net"
	"net/http"
	"strings"
)

// Device is where a login came from, so that a person can tell their logins
// apart: "Firefox on Linux", 192.0.2.7. It proves nothing, as a browser says
// of itself what it likes.
type Device struct {
	Name    string // at most maxDeviceName bytes, printable ASCII; may be empty
	Address string // without the port
}

const maxDeviceName = 80

// DeviceOf describes who sent the request.
func DeviceOf(r *http.Request) Device {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		host = r.RemoteAddr
	}
	return Device{Name: DeviceName(r.UserAgent()), Address: host}
}

// browsers and systems are what is looked for in a user agent. The order
// counts: each browser names those that it wants to be taken for.
var (
	browsers = []struct{ part, name string }{
		{"Edg", "Edge"},
		{"OPR/", "Opera"},
		{"SamsungBrowser/", "Samsung Internet"},
		{"Firefox/", "Firefox"},
		{"FxiOS/", "Firefox"},
		{"CriOS/", "Chrome"},
		{"Chromium/", "Chromium"},
		{"HeadlessChrome/", "Chrome"},
		{"Chrome/", "Chrome"},
		{"Safari/", "Safari"},
	}
	systems = []struct{ part, name string }{
		{"iPhone", "iPhone"},
		{"iPad", "iPad"},
		{"Android", "Android"},
		{"CrOS", "ChromeOS"},
		{"Windows", "Windows"},
		{"Mac OS X", "macOS"},
		{"Linux", "Linux"},
	}
)

// DeviceName turns the header User-Agent into words for a person. What is no
// browser keeps the name that it gives itself: "kubectl-oidc_login/1.2.0".
func DeviceName(userAgent string) string {
	browser, system := "", ""
	for _, b := range browsers {
		if strings.Contains(userAgent, b.part) {
			browser = b.name
			break
		}
	}
	for _, s := range systems {
		if strings.Contains(userAgent, s.part) {
			system = s.name
			break
		}
	}
	switch {
	case browser != "" && system != "":
		return browser + " on " + system
	case browser != "":
		return browser
	}
	name, _, _ := strings.Cut(userAgent, " ")
	return strings.Map(func(r rune) rune {
		if r <= ' ' || r > '~' {
			return -1
		}
		return r
	}, name[:min(len(name), maxDeviceName)])
}
