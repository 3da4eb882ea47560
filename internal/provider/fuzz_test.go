// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package provider_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/tegata/tegata/internal/oidc"
)

// Whatever is asked of the authorization endpoint: it answers, it redirects
// to a registered address only, and it gives no code without a login.
func FuzzAuthorizeRequest(f *testing.F) {
	i := newIssuer(f)
	for _, parameters := range []url.Values{
		request(), webRequest(), request("prompt", "none"), request("max_age", "5"), request("redirect_uri", "http://localhost:1"),
		request("redirect_uri", "https://evil.example"), webRequest("response_mode", "form_post"), webRequest("response_mode", "fragment", "prompt", "none"),
		request("claims", `{"id_token":{"sub":{"value":"x"},"acr":{"essential":true,"values":["y"]}},"userinfo":{"name":null}}`), request("client_id", ""), request("request", "x"), request("ui_locales", "ja"), request("scope", "openid\x00"),
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
		_, answer, found := strings.Cut(location, "#") // response_mode=fragment
		if !found {
			_, answer, _ = strings.Cut(location, "?")
		}
		if got, err := url.ParseQuery(answer); err != nil || got.Has("code") || (location != "" && got.Get("iss") != issuerURL) {
			t.Errorf("%q: got %s, %v; want an error of our issuer and no code", query, location, err)
		}
	})
}

// Whatever is claimed to be a pushed request: it opens for its own client
// alone, and what comes of it goes where that client is registered.
func FuzzRequestURI(f *testing.F) {
	i := newIssuer(f)
	ours := i.push(webRequest(), basic("web", webSecret)).uri()
	f.Add("web", ours)
	f.Add("other", ours)
	f.Add("web", ours[:len(ours)-1])
	f.Add("web", "urn:ietf:params:oauth:request_uri:")
	f.Add("web", "https://evil.example/object")
	f.Add("", "urn:ietf:params:oauth:request_uri:\xff")
	f.Fuzz(func(t *testing.T, client, uri string) {
		r := httptest.NewRequest(http.MethodGet, "/authorize", nil)
		r.URL.RawQuery = use(client, uri).Encode()
		w := httptest.NewRecorder()
		i.handler.ServeHTTP(w, r)
		want := http.StatusBadRequest
		if client == "web" && uri == ours {
			want = http.StatusOK
		}
		if w.Code != want || w.Header().Get("Location") != "" {
			t.Errorf("%q, %q: got status %d to %q, want %d", client, uri, w.Code, w.Header().Get("Location"), want)
		}
	})
}

// Whatever is pushed: it is refused in JSON, or it becomes a request_uri that
// opens again.
func FuzzPushedRequest(f *testing.F) {
	i := newIssuer(f)
	for _, parameters := range []url.Values{request(), request("claims", `{"userinfo":{"name":null}}`), request("request_uri", "x"), request("state", "\x00\xff"), webRequest(), {}} {
		f.Add(parameters.Encode(), "")
	}
	f.Add(webRequest().Encode(), basic("web", webSecret).Get("Authorization"))
	f.Add("client_id=%zz&;", "Basic \xff")
	f.Fuzz(func(t *testing.T, body, authorization string) {
		r := httptest.NewRequest(http.MethodPost, "/par", strings.NewReader(body))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		if authorization != "" {
			r.Header["Authorization"] = []string{authorization}
		}
		w := httptest.NewRecorder()
		i.handler.ServeHTTP(w, r)
		if w.Code != http.StatusCreated {
			if (w.Code != 400 && w.Code != 401 && w.Code != 413) || !strings.HasPrefix(w.Body.String(), `{"error":"`) {
				t.Errorf("%q: got status %d, %s", body, w.Code, w.Body)
			}
			return
		}
		var answer pushed
		check(t, json.Unmarshal(w.Body.Bytes(), &answer))
		sent, err := url.ParseQuery(body)
		check(t, err)
		client := sent.Get("client_id")
		if client == "" {
			client = "web"
		}
		again := httptest.NewRequest(http.MethodGet, "/authorize", nil)
		again.URL.RawQuery = use(client, answer.RequestURI).Encode()
		w = httptest.NewRecorder()
		i.handler.ServeHTTP(w, again)
		if w.Code != http.StatusOK && w.Code != http.StatusSeeOther {
			t.Errorf("%q: was taken, then got status %d:\n%s", body, w.Code, w.Body)
		}
	})
}

// Whatever asks for a logout: without a session and without a registered
// address the browser goes nowhere.
func FuzzLogoutRequest(f *testing.F) {
	i := newIssuer(f)
	i.dashboard()
	idToken := i.browser().dashboardTokens().IDToken
	for _, parameters := range []url.Values{
		{},
		{"id_token_hint": {idToken}},
		{"id_token_hint": {idToken + "x"}},
		{"client_id": {"dashboard"}, "post_logout_redirect_uri": {goodbyeURI}, "state": {"a"}},
		{"post_logout_redirect_uri": {"https://evil.example/"}},
		{"request": {"x"}},
		{"state": {"a", "b"}},
		{"ui_locales": {"ja"}, "logout_hint": {"\xff"}},
	} {
		f.Add(parameters.Encode(), "")
	}
	f.Add("request=%zz;", "__Host-tegata-session-main=x")
	f.Fuzz(func(t *testing.T, query, cookie string) {
		for _, method := range []string{http.MethodGet, http.MethodPost} {
			r := httptest.NewRequest(method, "/logout", nil)
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
			case location != "" && !strings.HasPrefix(location, "https://dashboard.example.com/goodbye?from=tegata") &&
				!strings.HasPrefix(location, "http://localhost") && !strings.HasPrefix(location, "/logout?request="):
				t.Errorf("%q: got a redirect to %s", query, location)
			}
		}
	})
}

// Whatever is sent to the token endpoint: an error of the protocol, in JSON,
// and no tokens.
func FuzzTokenRequest(f *testing.F) {
	i := newIssuer(f, withDevices, withPasswords, withMachine, withClusters)
	found := i.logIn()
	for _, form := range []url.Values{
		codeForm("x.y"), refreshForm("x.1.y"), refreshForm(found.RefreshToken + "x"),
		{"grant_type": {"a", "b"}},
		{},
		machineForm("client_secret", "wrong"), passwordForm("alice", "wrong"),
		{"grant_type": {oidc.GrantDeviceCode}, "client_id": {"terminal"}, "device_code": {"x"}},
		{"grant_type": {oidc.GrantTokenExchange}, "client_id": {"fleet"}, "subject_token": {"a.b.c"}, "subject_token_type": {typeID}, "audience": {"cluster-a"}},
		{"grant_type": {"client_credentials"}, "client_assertion": {"a.b.c"}, "client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"}},
	} {
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
