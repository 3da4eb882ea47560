// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package exit_test

import (
	"testing"

	"github.com/tegata/tegata/internal/exit"
)

func TestNearest(t *testing.T) {
	known := []string{"issuer", "listen", "data_dir", "tls"}
	for name, want := range map[string]string{
		"isuer": "issuer", "Issuer": "issuer", "lisen": "listen", "datadir": "data_dir", "tsl": "tls",
		"certificate": "", "": "", "x": "",
	} {
		if got := exit.Nearest(name, known); got != want {
			t.Errorf("Nearest(%q) = %q, want %q", name, got, want)
		}
	}
}
