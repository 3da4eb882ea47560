// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"github.com/tegata/tegata/internal/identity"
	"github.com/tegata/tegata/internal/metrics"
)

// serveMetrics opens the port for metrics, if the configuration names one. It
// is another than that of the issuers, because it tells everybody who asks.
func (s *server) serveMetrics(ctx context.Context) (stop func(), err error) {
	if s.config.Metrics.Listen == "" {
		return func() {}, nil
	}
	listener, err := listen(ctx, s.config.Metrics.Listen, "choose another address in metrics.listen")
	if err != nil {
		return nil, err
	}
	s.counts = metrics.New(s.env.version(), s.env.Now)
	s.site.sinks = append(s.site.sinks, s.counts.Event)
	s.site.observe = func(asked identity.Asked) { s.counts.Asked(asked.Source, asked.What, asked.Took, asked.Failed) }
	ready := func() error {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		return s.site.ready(ctx)
	}
	s.counts.Watch("ready", "1 if the storage answers within a second.", nil, func() float64 {
		if ready() != nil {
			return 0
		}
		return 1
	})
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", s.counts.Handler())
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte("ok\n")) })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if err := ready(); err != nil {
			http.Error(w, "the storage does not answer", http.StatusServiceUnavailable)
			return
		}
		w.Write([]byte("ok\n"))
	})
	web := &http.Server{
		Handler: mux, ReadHeaderTimeout: headerTimeout, WriteTimeout: answerTimeout, IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeader,
		ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
	}
	go web.Serve(listener) //nolint:errcheck // it ends when it is closed
	s.log.Info("serving metrics", "listen", listener.Addr().String())
	return func() { web.Close() }, nil //nolint:errcheck // nobody waits for these
}

// counted measures the requests, if there are metrics.
func (s *server) counted(next http.Handler) http.Handler {
	if s.counts == nil {
		return next
	}
	return s.counts.Requests(next)
}
