// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

// Package metrics counts what the server does, for Prometheus: requests by
// route, logins, tokens, and every other audit event.
//
// It is for package admin, which puts it around the handler and among the
// sinks of the audit trail. Names and labels are documented in
// docs/reference/metrics.md. No label holds what somebody outside can make
// up: neither a client ID nor a path that no route has.
package metrics

import (
	"cmp"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/tegata/tegata/internal/audit"
)

// Metrics are those of one server.
type Metrics struct {
	registry *prometheus.Registry
	now      func() time.Time

	requests *prometheus.HistogramVec
	inFlight prometheus.Gauge
	logins   *prometheus.CounterVec
	tokens   *prometheus.CounterVec
	events   *prometheus.CounterVec
	sources  *prometheus.HistogramVec
}

// New makes the metrics of a server of the version.
func New(version string, now func() time.Time) *Metrics {
	m := &Metrics{
		registry: prometheus.NewRegistry(),
		now:      now,
		requests: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "tegata_http_request_duration_seconds",
			Help: "Time from the end of a request's header to the end of its answer, by route, method and status.",
			// A key set takes less than a millisecond, a login tens of them.
			Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10},
		}, []string{"route", "method", "status"}),
		inFlight: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "tegata_http_requests_in_flight", Help: "Requests that are being answered now.",
		}),
		logins: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "tegata_logins_total", Help: "Attempts to log in, by issuer, source and result: accepted or refused.",
		}, []string{"issuer", "source", "result"}),
		tokens: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "tegata_tokens_issued_total", Help: "Answers with tokens, by issuer and grant type.",
		}, []string{"issuer", "grant_type"}),
		events: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "tegata_audit_events_total", Help: "Audit events, by issuer and act.",
		}, []string{"issuer", "act"}),
	}
	m.sources = prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name:    "tegata_source_question_duration_seconds",
		Help:    "Time that sources other than the local accounts took, by source, question (login, lookup or password) and result: answered or failed.",
		Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 15},
	}, []string{"source", "question", "result"})
	build := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "tegata_build_info", Help: "1, with the version as a label.",
		ConstLabels: prometheus.Labels{"version": cmp.Or(version, "unknown")},
	}, func() float64 { return 1 })
	m.registry.MustRegister(m.requests, m.inFlight, m.logins, m.tokens, m.events, m.sources, build,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// Watch adds a value that is asked for at each scrape. Its name gets the
// prefix tegata_.
func (m *Metrics) Watch(name, help string, labels map[string]string, value func() float64) {
	m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "tegata_" + name, Help: help, ConstLabels: labels,
	}, value))
}

// Handler writes all metrics in the text format of Prometheus.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{})
}

// Event counts an audit event; it is one of the trail's sinks.
func (m *Metrics) Event(e audit.Event) {
	issuer := string(e.Issuer)
	m.events.WithLabelValues(issuer, string(e.Act)).Inc()
	switch e.Act {
	case audit.LoggedIn:
		m.logins.WithLabelValues(issuer, e.Source, "accepted").Inc()
	case audit.LoginRefused:
		m.logins.WithLabelValues(issuer, e.Source, "refused").Inc()
	case audit.Issued:
		m.tokens.WithLabelValues(issuer, e.GrantType).Inc()
	}
}

// Asked counts a question to a source of users.
func (m *Metrics) Asked(source, question string, took time.Duration, failed bool) {
	result := "answered"
	if failed {
		result = "failed"
	}
	m.sources.WithLabelValues(source, question, result).Observe(took.Seconds())
}

// Requests measures each request that next answers.
func (m *Metrics) Requests(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		begun := m.now()
		m.inFlight.Inc()
		answered := &statusWriter{ResponseWriter: w, status: http.StatusOK}
		defer func() {
			m.inFlight.Dec()
			m.requests.WithLabelValues(route(r), method(r), strconv.Itoa(answered.status)).Observe(m.now().Sub(begun).Seconds())
		}()
		next.ServeHTTP(answered, r)
	})
}

// route is the pattern that the router chose, without its method.
func route(r *http.Request) string {
	_, path, ok := strings.Cut(r.Pattern, " ")
	if !ok {
		path = r.Pattern
	}
	return cmp.Or(path, "none")
}

func method(r *http.Request) string {
	switch r.Method {
	case http.MethodGet, http.MethodPost, http.MethodHead, http.MethodOptions:
		return r.Method
	}
	return "other"
}

// statusWriter remembers the status of an answer.
type statusWriter struct {
	http.ResponseWriter
	status int
	wrote  bool
}

// WriteHeader implements [http.ResponseWriter].
func (w *statusWriter) WriteHeader(status int) {
	if !w.wrote && status >= 200 {
		w.status, w.wrote = status, true
	}
	w.ResponseWriter.WriteHeader(status)
}

// Write implements [http.ResponseWriter].
func (w *statusWriter) Write(p []byte) (int, error) {
	w.wrote = true
	return w.ResponseWriter.Write(p)
}

// Unwrap is for [http.ResponseController].
func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
