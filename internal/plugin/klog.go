// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"
)

// The peer's logging library, klog, has fifteen flags. A kubeconfig that has
// them must keep working, so all are accepted; only -v means something.

// logFlags are the names.
var logFlags = [...]string{
	"v", "vmodule", "logtostderr", "alsologtostderr", "alsologtostderrthreshold", "stderrthreshold", "log_dir", "log_file",
	"log_file_max_size", "log_backtrace_at", "one_output", "skip_headers", "skip_log_headers", "add_dir_header", "legacy_stderr_threshold_behavior",
}

// mentionsLog reports whether the arguments may hold one of them. To declare
// fifteen flags for each call would cost more than all the others do.
func mentionsLog(args []string) bool {
	for _, word := range args {
		name, ok := strings.CutPrefix(word, "-")
		if !ok {
			continue
		}
		name, long := strings.CutPrefix(name, "-")
		if !long && strings.Contains(name, "v") {
			return true // shorthands may stand together
		}
		name, _, _ = strings.Cut(name, "=")
		if slices.Contains(logFlags[:], name) {
			return true
		}
	}
	return false
}

// defineLog declares them, hidden from the help.
func defineLog(set *pflag.FlagSet) {
	if set.Lookup("v") != nil {
		return
	}
	set.IntP("v", "v", 0, "how `much` to tell on standard error about what is done: 0 or 1")
	for _, name := range logFlags[1:] {
		switch name {
		case "logtostderr", "alsologtostderr", "one_output", "skip_headers", "skip_log_headers", "add_dir_header", "legacy_stderr_threshold_behavior":
			set.Bool(name, false, "accepted and ignored")
		case "log_file_max_size":
			set.Uint64(name, 0, "accepted and ignored")
		default:
			set.String(name, "", "accepted and ignored")
		}
	}
	for _, name := range logFlags {
		set.Lookup(name).Hidden = true
	}
}

// trace tells what is done, step by step. It never sees a secret: its callers
// give it names, places and times. A nil trace tells nothing.
type trace struct {
	w     io.Writer
	now   func() time.Time
	began time.Time
}

// newTrace is what -v asks for.
func newTrace(env Env, set *pflag.FlagSet) *trace {
	flag := set.Lookup("v")
	if flag == nil || !flag.Changed {
		return nil
	}
	if level, err := strconv.Atoi(flag.Value.String()); err != nil || level < 1 {
		return nil
	}
	return &trace{env.Stderr, env.Now, env.Now()}
}

// step tells one of them.
func (t *trace) step(format string, args ...any) {
	if t == nil {
		return
	}
	fmt.Fprintf(t.w, "trace: %6.1f ms: "+format+"\n", append([]any{t.milliseconds(t.began)}, args...)...)
}

func (t *trace) milliseconds(since time.Time) float64 {
	return float64(t.now().Sub(since).Microseconds()) / 1000
}

// ended is how a step ended, for a trace; why may be empty.
func ended(err error, why string) string {
	switch {
	case err != nil:
		return err.Error()
	case why != "":
		return why
	}
	return "done"
}

// transport tells each request that goes through next. A query or a header
// may hold a secret, and bodies do: none of them is told.
func (t *trace) transport(next http.RoundTripper) http.RoundTripper {
	if t == nil {
		return next
	}
	return &tracedTransport{t, next}
}

type tracedTransport struct {
	trace *trace
	next  http.RoundTripper
}

// RoundTrip implements [http.RoundTripper].
func (t *tracedTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	began := t.trace.now()
	response, err := t.next.RoundTrip(r)
	outcome := "no answer"
	if err == nil {
		outcome = strconv.Itoa(response.StatusCode)
	}
	t.trace.step("request: %s %s%s: %s in %.1f ms", r.Method, r.URL.Host, r.URL.EscapedPath(), outcome, t.trace.milliseconds(began))
	return response, err
}

// CloseIdleConnections is what [http.Client.CloseIdleConnections] looks for.
func (t *tracedTransport) CloseIdleConnections() {
	if closer, ok := t.next.(interface{ CloseIdleConnections() }); ok {
		closer.CloseIdleConnections()
	}
}
