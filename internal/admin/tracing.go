// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	"go.opentelemetry.io/otel/sdk/trace"

	"github.com/tegata/tegata/internal/oidc"
)

// check tells why traces cannot be sent there, or returns nil.
func (c tracingConfig) check() error {
	if c.Endpoint == "" {
		return nil
	}
	u, err := url.Parse(c.Endpoint)
	switch {
	case err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return errors.New("it must be a URL such as https://collector.example.com:4318/v1/traces")
	case u.Scheme != "https" && !(u.Scheme == "http" && oidc.LoopbackHost(u.Hostname())):
		return errors.New("it must be https, unless it is on this machine")
	}
	return nil
}

// tracer sends one span for each request (OTLP over HTTP); nil sends none.
type tracer struct{ provider *trace.TracerProvider }

// start begins to send, if the configuration says where to.
func (c tracingConfig) start(ctx context.Context, env Env) (*tracer, error) {
	if c.Endpoint == "" {
		return nil, nil
	}
	exporter, err := otlptracehttp.New(ctx, otlptracehttp.WithEndpointURL(c.Endpoint), otlptracehttp.WithTimeout(5*time.Second))
	if err != nil {
		return nil, fmt.Errorf("tracing: %w", err)
	}
	name := resource.NewSchemaless(attribute.String("service.name", "tegata"), attribute.String("service.version", env.version()))
	return &tracer{trace.NewTracerProvider(trace.WithBatcher(exporter), trace.WithResource(name))}, nil
}

// handler makes the spans. They hold the route and the status, never the
// address as it came: it may carry codes and login hints.
func (t *tracer) handler(next http.Handler) http.Handler {
	if t == nil {
		return next
	}
	return otelhttp.NewHandler(next, "request",
		otelhttp.WithTracerProvider(t.provider),
		otelhttp.WithPropagators(propagation.TraceContext{}),
		otelhttp.WithSpanNameFormatter(func(_ string, r *http.Request) string { return r.Method }),
	)
}

// stop sends what is left, for a few seconds at the most.
func (t *tracer) stop() {
	if t == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
	defer cancel()
	_ = t.provider.Shutdown(ctx) // there is nobody left to tell
}
