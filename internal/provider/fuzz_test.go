// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package provider_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
)

// Whatever is asked of the authorization endpoint: it answers, it redirects
// to a registered address only, and it gives no code without a login.
func FuzzAuthorizeRequest(f *testing.F) {
	i := newIssuer(f)
	for _, parameters := range []url.Values{
		request(), webRequest(), request("prompt", "none"), request("max_age", "5"), request("redirect_uri", "http://localhost:1"),
		request("redirect_uri", "https://evil.example"), request("client_id", ""), request("request", "x"), request("ui_locales", "ja"), request("scope", "openid\x00"),
	} {
		f.Add(parameters.Encode(), "")
	}
	f.Add("client_id=%zz&redirect_uri=;", "__Host-tegata-session-main=x")
	targets := []string{"http://localhost", "http://127.0.0.1", "http://[::1]", "https://app.example.com/", "com.example.app:/callback", "https://web.example.com/callback"}
	f.Fuzz(func(t *testing.T, query, cookie string) {
		r := httptest.NewRequest(http.MethodGet, "/authorize", nil)
		r.URL.RawQuery = query
		r.Header["Cookie"] = []string{cookie}
		w := httptest.NewRecorder()
		i.handler.ServeHTTP(w, r)
		location := w.Header().Get("Location")
		switch {
		case w.Code != 200 && w.Code != 303 && w.Code != 400:
			t.Errorf("%q: got status %d", query, w.Code)
		case (w.Code == 303) != (location != ""):
			t.Errorf("%q: got status %d with location %q", query, w.Code, location)
		case location != "" && !slices.ContainsFunc(targets, func(target string) bool { return strings.HasPrefix(location, target) }):
			t.Errorf("%q: got a redirect to %s", query, location)
		}
		if to, err := url.Parse(location); err != nil || to.Query().Has("code") || (location != "" && to.Query().Get("iss") != issuerURL) {
			t.Errorf("%q: got %s, %v; want an error of our issuer and no code", query, location, err)
		}
	})
}

// Whatever is sent to the token endpoint: an error of the protocol, in JSON,
// and no tokens.
func FuzzTokenRequest(f *testing.F) {
	i := newIssuer(f)
	found := i.logIn()
	for _, form := range []url.Values{codeForm("x.y"), refreshForm("x.1.y"), refreshForm(found.RefreshToken + "x"), {"grant_type": {"a", "b"}}, {}} {
		f.Add(form.Encode(), "")
	}
	f.Add("client_id=web", basic("web", "x").Get("Authorization"))
	f.Add("=&;%", "Basic \xff")
	f.Fuzz(func(t *testing.T, body, authorization string) {
		r := httptest.NewRequest(http.MethodPost, "/token", strings.NewReader(body))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		if authorization != "" {
			r.Header["Authorization"] = []string{authorization}
		}
		w := httptest.NewRecorder()
		i.handler.ServeHTTP(w, r)
		if (w.Code != 400 && w.Code != 401) || !strings.HasPrefix(w.Body.String(), `{"error":"`) || strings.Contains(w.Body.String(), "token\":\"") {
			t.Errorf("%q: got status %d, %s", body, w.Code, w.Body)
		}
		if (w.Code == 401) != (w.Header().Get("WWW-Authenticate") != "") {
			t.Errorf("%q: got status %d, WWW-Authenticate %q", body, w.Code, w.Header().Get("WWW-Authenticate"))
		}
	})
}
