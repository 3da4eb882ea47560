// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

// Package exit is how every command of the project ends: the message on
// standard error, the hint that says what to try next, and the exit code.
//
//	error: the provider refused the login: access_denied
//	hint: sign in as a person who may use the client "kubernetes"
//
// Messages are in lower case and without a period at the end. A command body
// returns an error; only [Report] writes it. Commands may import this
// package, the parts below them should not need it.
package exit

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
)

// The exit codes, the same for each command.
const (
	Done        = 0
	Failed      = 1
	Usage       = 2   // the command line or the configuration is wrong
	Findings    = 3   // a check found something
	Interrupted = 130 // Ctrl-C or SIGTERM
)

// Error is a failure with what a person can do about it.
type Error struct {
	Err  error
	Hint string // the next thing to try, usually a command; may be empty
	Code int    // zero means Failed
}

// Error implements [error].
func (e *Error) Error() string { return e.Err.Error() }

// Unwrap returns the failure without its hint.
func (e *Error) Unwrap() error { return e.Err }

// WithHint adds what to try next. A hint that err already has is kept: the
// place nearest to the cause knows best.
func WithHint(err error, hint string) error {
	if hintOf(err) != "" {
		return err
	}
	return &Error{Err: err, Hint: hint, Code: Code(err)}
}

// Misuse is a wrong command line or configuration; hint may be empty.
func Misuse(hint, format string, args ...any) error {
	return &Error{Err: fmt.Errorf(format, args...), Hint: hint, Code: Usage}
}

// Code is the exit code that err stands for.
func Code(err error) int {
	switch e, ok := errors.AsType[*Error](err); {
	case err == nil:
		return Done
	case ok && e.Code != 0:
		return e.Code
	case errors.Is(err, context.Canceled):
		return Interrupted
	}
	return Failed
}

// Report writes err for a person and returns its exit code. An interrupt is
// no news to the person who caused it: it prints nothing.
func Report(w io.Writer, err error) int {
	code := Code(err)
	if code == Done || code == Interrupted {
		return code
	}
	fmt.Fprintln(w, "error:", err)
	if hint := hintOf(err); hint != "" {
		fmt.Fprintln(w, "hint:", strings.ReplaceAll(hint, "\n", "\n      "))
	}
	return code
}

// hintOf is the outermost hint in the chain of err.
func hintOf(err error) string {
	for {
		e, ok := errors.AsType[*Error](err)
		switch {
		case !ok:
			return ""
		case e.Hint != "":
			return e.Hint
		}
		err = e.Err
	}
}

// OnSignal returns a context that SIGINT and SIGTERM cancel. After the first
// signal the default action is back, so a second one always ends the process.
func OnSignal(parent context.Context) (context.Context, context.CancelFunc) {
	ctx, stop := signal.NotifyContext(parent, os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	return ctx, stop
}
