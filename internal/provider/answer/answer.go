// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

// Package answer writes the JSON answers of the provider's endpoints, and is
// the one bridge from a Go error to what a client reads (RFC 6749, section
// 5.2) and what our log keeps.
//
// Handlers return errors; only this package and package page turn them into
// bytes. A client sees the protocol's code and a description; the cause stays
// in the log, under a reference that both share.
package answer

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"strings"

	"github.com/tegata/tegata/internal/oidc"
)

// JSON writes a successful answer that no cache may keep (RFC 6749, section
// 5.1). body is encoded already.
func JSON(w http.ResponseWriter, body []byte) { write(w, http.StatusOK, body) }

// Created is JSON for something that did not exist before.
func Created(w http.ResponseWriter, body []byte) { write(w, http.StatusCreated, body) }

// Done is the answer that says nothing but that it was done.
func Done(w http.ResponseWriter) {
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusOK)
}

func write(w http.ResponseWriter, status int, body []byte) {
	header := w.Header()
	header.Set("Content-Type", "application/json")
	header.Set("Cache-Control", "no-store")
	header.Set("Pragma", "no-cache")
	w.WriteHeader(status)
	w.Write(body) // the client may be gone; there is nobody to tell
}

// Error writes err as an OAuth 2.0 error answer and logs it.
func Error(w http.ResponseWriter, r *http.Request, log *slog.Logger, err error) {
	problem, reference := Classify(err)
	status := http.StatusBadRequest
	switch problem.Code {
	case oidc.InvalidClient:
		// RFC 6749, section 5.2, and RFC 9110, section 15.5.2.
		status = http.StatusUnauthorized
		w.Header().Set("WWW-Authenticate", `Basic realm="tegata", charset="UTF-8"`)
	case oidc.InvalidToken:
		// RFC 6750, section 3.
		status = http.StatusUnauthorized
		w.Header().Set("WWW-Authenticate", `Bearer realm="tegata", error="invalid_token", error_description="`+problem.Description+`"`)
	case oidc.InsufficientScope:
		// RFC 6750, section 3.1. Where there are scopes at all, it is openid
		// that is missing.
		status = http.StatusForbidden
		w.Header().Set("WWW-Authenticate", `Bearer realm="tegata", error="insufficient_scope", scope="openid"`)
	case oidc.ServerError:
		status = http.StatusInternalServerError
	case oidc.TemporarilyUnavailable:
		status = http.StatusServiceUnavailable
		w.Header().Set("Retry-After", "1")
	}
	if _, tooLarge := errors.AsType[*http.MaxBytesError](err); tooLarge {
		status = http.StatusRequestEntityTooLarge // RFC 9110, section 15.5.14; RFC 9126, section 2.3
	}
	Log(r, log, err, reference)
	body, err := json.Marshal(problem)
	if err != nil {
		body = []byte(`{"error":"server_error"}`)
	}
	write(w, status, body)
}

// Classify turns any error into one that may be sent. An error that is no
// [oidc.Error] is our own failure: the answer names a reference to the log
// and nothing else.
func Classify(err error) (problem *oidc.Error, reference string) {
	if problem, ok := errors.AsType[*oidc.Error](err); ok {
		return problem, ""
	}
	reference = strings.ToLower(rand.Text()[:8])
	if temporary, ok := errors.AsType[interface {
		error
		Temporary() bool
	}](err); ok && temporary.Temporary() {
		return &oidc.Error{Code: oidc.TemporarilyUnavailable, Description: "try again in a moment (reference " + reference + ")", Cause: err}, reference
	}
	return &oidc.Error{Code: oidc.ServerError, Description: "the provider could not answer (reference " + reference + ")", Cause: err}, reference
}

// Log keeps the full chain of an error. What a client did wrong is a warning,
// what we could not do is an error.
func Log(r *http.Request, log *slog.Logger, err error, reference string) {
	level := slog.LevelWarn
	attributes := []slog.Attr{slog.String("path", r.URL.Path), slog.String("remote", r.RemoteAddr), slog.Any("error", err)}
	if reference != "" {
		level = slog.LevelError
		attributes = append(attributes, slog.String("reference", reference))
	}
	log.LogAttrs(r.Context(), level, "request refused", attributes...)
}
