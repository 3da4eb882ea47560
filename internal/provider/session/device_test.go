// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package session_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/tegata/tegata/internal/provider/session"
)

// What a browser says of itself is anything. What is kept of it is short and
// can be printed.
func TestDeviceNames(t *testing.T) {
	t.Parallel()
	for agent, want := range map[string]string{
		"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.4 Safari/605.1.15":                   "Safari on macOS",
		"Mozilla/5.0 (iPhone; CPU iPhone OS 17_4 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.4 Mobile/15E148 Safari/604.1": "Safari on iPhone",
		"Mozilla/5.0 (iPhone; CPU iPhone OS 17_4 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) CriOS/126.0 Mobile/15E148 Safari/604.1":  "Chrome on iPhone",
		"Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Mobile Safari/537.36":                         "Chrome on Android",
		"Mozilla/5.0 (X11; CrOS x86_64 14541.0.0) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36":                          "Chrome on ChromeOS",
		"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) HeadlessChrome/126.0.0.0 Safari/537.36":                           "Chrome on Linux",
		"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36 OPR/112.0.0.0":           "Opera on Windows",
		"Firefox/1":                      "Firefox",
		"kubectl-oidc_login/1.2.0 (x)":   "kubectl-oidc_login/1.2.0",
		"Go-http-client/1.1":             "Go-http-client/1.1",
		"":                               "",
		"\x1b[31mred\x07\u202e日本 x":      "[31mred",
		strings.Repeat("x", 10_000):      strings.Repeat("x", 80),
		strings.Repeat("é", 100) + "xyz": "",
	} {
		if got := session.DeviceName(agent); got != want {
			t.Errorf("%.60q: got %q, want %q", agent, got, want)
		}
	}
	for address, want := range map[string]string{"192.0.2.7:1234": "192.0.2.7", "[2001:db8::1]:1": "2001:db8::1", "@": "@"} {
		if got := session.DeviceOf(&http.Request{RemoteAddr: address, Header: http.Header{}}); got.Address != want {
			t.Errorf("%s: got %q, want %q", address, got.Address, want)
		}
	}
}

func FuzzDeviceName(f *testing.F) {
	f.Add("Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0")
	f.Add("\x00\xff\u202e curl/8")
	f.Fuzz(func(t *testing.T, agent string) {
		got := session.DeviceName(agent)
		if len(got) > 80 || strings.ContainsFunc(got, func(r rune) bool { return r < ' ' || r > '~' }) {
			t.Errorf("%q: got %q", agent, got)
		}
	})
}
