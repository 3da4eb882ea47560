// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package exit_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/tegata/tegata/internal/exit"
)

func TestReport(t *testing.T) {
	plain := errors.New("no such user")
	for _, test := range []struct {
		name string
		err  error
		out  string
		code int
	}{
		{"nothing", nil, "", exit.Done},
		{"plain", plain, "error: no such user\n", exit.Failed},
		{"hint", exit.WithHint(plain, "run: tegata user list"), "error: no such user\nhint: run: tegata user list\n", exit.Failed},
		{"first hint wins", exit.WithHint(fmt.Errorf("showing: %w", exit.WithHint(plain, "inner")), "outer"), "error: showing: no such user\nhint: inner\n", exit.Failed},
		{"hint keeps the code", exit.WithHint(exit.Misuse("", "bad flag"), "see --help"), "error: bad flag\nhint: see --help\n", exit.Usage},
		{"two lines", exit.WithHint(plain, "one\ntwo"), "error: no such user\nhint: one\n      two\n", exit.Failed},
		{"interrupt", fmt.Errorf("waiting: %w", context.Canceled), "", exit.Interrupted},
	} {
		t.Run(test.name, func(t *testing.T) {
			var out strings.Builder
			if code := exit.Report(&out, test.err); code != test.code || out.String() != test.out {
				t.Errorf("got %d %q, want %d %q", code, out.String(), test.code, test.out)
			}
		})
	}
}
