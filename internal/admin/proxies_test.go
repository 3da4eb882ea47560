// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
)

func TestTheClientBehindProxies(t *testing.T) {
	trusted, err := parseProxies([]string{"10.0.0.0/8", "192.0.2.7", "fd00::/8"})
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name, from string
		headers    []string
		want       string
	}{
		{"no proxy", "198.51.100.1:99", nil, "198.51.100.1:99"},
		{"a client that pretends", "198.51.100.1:99", []string{"203.0.113.5"}, "198.51.100.1:99"},
		{"one proxy", "10.1.2.3:99", []string{"203.0.113.5"}, "203.0.113.5:0"},
		{"one proxy by its address", "192.0.2.7:99", []string{"203.0.113.5"}, "203.0.113.5:0"},
		{"its neighbor", "192.0.2.8:99", []string{"203.0.113.5"}, "192.0.2.8:99"},
		{"a client that pretends, before a proxy", "10.1.2.3:99", []string{"127.0.0.1, 203.0.113.5"}, "203.0.113.5:0"},
		{"two proxies", "10.1.2.3:99", []string{"203.0.113.5, 10.9.9.9"}, "203.0.113.5:0"},
		{"two headers", "10.1.2.3:99", []string{"198.51.100.77", "203.0.113.5", "10.9.9.9"}, "203.0.113.5:0"},
		{"only proxies", "10.1.2.3:99", []string{"10.4.4.4, 10.9.9.9"}, "10.4.4.4:0"},
		{"no header", "10.1.2.3:99", nil, "10.1.2.3:99"},
		{"nonsense", "10.1.2.3:99", []string{"unknown"}, "10.1.2.3:99"},
		{"nonsense further left", "10.1.2.3:99", []string{"unknown, 10.9.9.9"}, "10.9.9.9:0"},
		{"a port", "10.1.2.3:99", []string{"203.0.113.5:4711"}, "203.0.113.5:0"},
		{"IPv6", "[fd00::1]:99", []string{"2001:db8::5"}, "[2001:db8::5]:0"},
		{"IPv6 with a port", "[fd00::1]:99", []string{"[2001:db8::5]:4711"}, "[2001:db8::5]:0"},
		{"IPv6 in brackets", "[fd00::1]:99", []string{"[2001:db8::5]"}, "[2001:db8::5]:0"},
		{"IPv4 inside IPv6", "[::ffff:10.1.2.3]:99", []string{"::ffff:203.0.113.5"}, "203.0.113.5:0"},
		{"a chain without end", "10.1.2.3:99", []string{strings.Repeat("10.0.0.1,", 5000) + "10.0.0.1"}, "10.0.0.1:0"},
	} {
		t.Run(test.name, func(t *testing.T) {
			var got string
			handler := trusted.handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got = r.RemoteAddr }))
			r := httptest.NewRequest(http.MethodGet, "/", nil)
			r.RemoteAddr = test.from
			r.Header["X-Forwarded-For"] = test.headers
			handler.ServeHTTP(httptest.NewRecorder(), r)
			if got != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
		})
	}
}

func TestProxiesThatCannotBeMeant(t *testing.T) {
	for text, want := range map[string]string{
		"":             "neither an address nor a network",
		"proxy":        "neither an address nor a network",
		"10.0.0.0/":    "neither an address nor a network",
		"10.0.0.1/8":   "10.0.0.0/8 is meant",
		"0.0.0.0/0":    "would trust everybody",
		"::/0":         "would trust everybody",
		"fe80::1%eth0": "neither an address nor a network",
	} {
		if _, err := parseProxies([]string{text}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %q", text, err, want)
		}
	}
}

func FuzzForwardedFor(f *testing.F) {
	f.Add("203.0.113.5, 10.0.0.1")
	f.Add("[2001:db8::5]:80,,")
	trusted := proxies{netip.MustParsePrefix("10.0.0.0/8")}
	f.Fuzz(func(t *testing.T, header string) {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.RemoteAddr = "10.0.0.1:1"
		r.Header.Set("X-Forwarded-For", header)
		if client, ok := trusted.client(r); ok && (!client.IsValid() || client.Zone() != "") {
			t.Errorf("%q: got %v", header, client)
		}
		r.RemoteAddr = "192.0.2.1:1"
		if client, ok := trusted.client(r); ok {
			t.Errorf("%q from a stranger: got %v", header, client)
		}
	})
}
