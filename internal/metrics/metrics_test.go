// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package metrics_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/tegata/tegata/internal/audit"
	"github.com/tegata/tegata/internal/metrics"
)

// clock goes on by two milliseconds each time that it is read.
func clock() func() time.Time {
	now := time.Unix(1_800_000_000, 0)
	return func() time.Time { now = now.Add(2 * time.Millisecond); return now }
}

// scrape returns the lines of ours.
func scrape(t *testing.T, m *metrics.Metrics) map[string]string {
	t.Helper()
	recorder := httptest.NewRecorder()
	m.Handler().ServeHTTP(recorder, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	values := map[string]string{}
	for line := range strings.Lines(recorder.Body.String()) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), "} "); ok && strings.HasPrefix(name, "tegata_") {
			values[name+"}"] = value
		} else if name, value, ok := strings.Cut(strings.TrimSpace(line), " "); ok {
			values[name] = value
		}
	}
	return values
}

func TestEventsAreCounted(t *testing.T) {
	m := metrics.New("v1.2.3", clock())
	for _, event := range []audit.Event{
		{Act: audit.LoggedIn, Source: "local"},
		{Act: audit.LoggedIn, Source: "local"},
		{Act: audit.LoginRefused, Source: "local", Reason: "wrong-credentials"},
		{Act: audit.Issued, GrantType: "refresh_token", Client: "made-up"},
		{Act: audit.Replayed},
	} {
		event.Issuer = "https://id.example.com"
		m.Event(event)
	}
	m.Asked("corp", "lookup", 3*time.Millisecond, false)
	m.Asked("corp", "lookup", 5*time.Second, true)
	got := scrape(t, m)
	for name, want := range map[string]string{
		`tegata_logins_total{issuer="https://id.example.com",result="accepted",source="local"}`:  "2",
		`tegata_logins_total{issuer="https://id.example.com",result="refused",source="local"}`:   "1",
		`tegata_tokens_issued_total{grant_type="refresh_token",issuer="https://id.example.com"}`: "1",
		`tegata_audit_events_total{act="token_replayed",issuer="https://id.example.com"}`:        "1",
		`tegata_audit_events_total{act="login",issuer="https://id.example.com"}`:                 "2",
		`tegata_build_info{version="v1.2.3"}`:                                                    "1",

		`tegata_source_question_duration_seconds_count{question="lookup",result="answered",source="corp"}`: "1",
		`tegata_source_question_duration_seconds_sum{question="lookup",result="failed",source="corp"}`:     "5",
	} {
		if got[name] != want {
			t.Errorf("%s: got %q, want %s", name, got[name], want)
		}
	}
	for name := range got {
		if strings.Contains(name, "made-up") {
			t.Errorf("%s: a client ID is a label", name)
		}
	}
}

func TestRequestsAreMeasuredByRoute(t *testing.T) {
	m := metrics.New("", clock())
	mux := http.NewServeMux()
	mux.HandleFunc("GET /keys", func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte("{}")) })
	mux.HandleFunc("POST /token", func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusEarlyHints)
		w.WriteHeader(http.StatusUnauthorized)
		w.WriteHeader(http.StatusTeapot) // too late, and ignored
	})
	handler := m.Requests(mux)
	for _, request := range []*http.Request{
		httptest.NewRequest(http.MethodGet, "/keys?secret=1", nil),
		httptest.NewRequest(http.MethodGet, "/keys", nil),
		httptest.NewRequest(http.MethodPost, "/token", nil),
		httptest.NewRequest(http.MethodGet, "/made/up/"+strings.Repeat("x", 50), nil),
		httptest.NewRequest("BREW", "/keys", nil),
	} {
		handler.ServeHTTP(httptest.NewRecorder(), request)
	}
	got := scrape(t, m)
	const name = "tegata_http_request_duration_seconds"
	for series, want := range map[string]string{
		name + `_count{method="GET",route="/keys",status="200"}`:              "2",
		name + `_bucket{method="GET",route="/keys",status="200",le="0.001"}`:  "0",
		name + `_bucket{method="GET",route="/keys",status="200",le="0.0025"}`: "2",
		name + `_count{method="POST",route="/token",status="401"}`:            "1",
		name + `_count{method="GET",route="none",status="404"}`:               "1",
		name + `_count{method="other",route="none",status="405"}`:             "1",
		"tegata_http_requests_in_flight":                                      "0",
		`tegata_build_info{version="unknown"}`:                                "1",
	} {
		if got[series] != want {
			t.Errorf("%s: got %q, want %s", series, got[series], want)
		}
	}
	for series := range got {
		if strings.Contains(series, "secret") || strings.Contains(series, "made") {
			t.Errorf("%s: a label that anybody can make up", series)
		}
	}
}

func TestAPanicIsStillMeasured(t *testing.T) {
	m := metrics.New("", clock())
	func() {
		defer func() { _ = recover() }()
		m.Requests(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("defect") })).
			ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/", nil))
	}()
	if got := scrape(t, m)["tegata_http_requests_in_flight"]; got != "0" {
		t.Errorf("got %s requests in flight, want 0", got)
	}
}

func TestWatchedValues(t *testing.T) {
	m := metrics.New("", clock())
	age := 1.0
	m.Watch("signing_key_age_seconds", "Age.", map[string]string{"algorithm": "RS256"}, func() float64 { return age })
	age = 42
	if got := scrape(t, m)[`tegata_signing_key_age_seconds{algorithm="RS256"}`]; got != "42" {
		t.Errorf("got %q, want 42", got)
	}
}

func BenchmarkRequests(b *testing.B) {
	m := metrics.New("", time.Now)
	handler := m.Requests(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	recorder, request := httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/", nil)
	b.ReportAllocs()
	for b.Loop() {
		handler.ServeHTTP(recorder, request)
	}
}
