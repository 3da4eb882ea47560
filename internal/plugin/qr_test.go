// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package plugin_test

import (
	"strings"
	"testing"
)

// The QR code is for a terminal that is large enough and speaks UTF-8.
func TestQRCodeAtATerminal(t *testing.T) {
	for _, test := range []struct {
		name, size, locale, term string
		want                     bool
	}{
		{"large", "rows 50 cols 100", "C.UTF-8", "xterm", true},
		{"narrow", "rows 50 cols 30", "C.UTF-8", "xterm", false},
		{"flat", "rows 20 cols 100", "C.UTF-8", "xterm", false},
		{"not UTF-8", "rows 50 cols 100", "C", "xterm", false},
		{"dumb", "rows 50 cols 100", "C.UTF-8", "dumb", false},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			d := newDesk(t)
			d.changeDevice(2)
			s := d.sit("stty "+test.size+"; get-token --grant-type=device-code", "LANG="+test.locale, "LC_ALL="+test.locale, "TERM="+test.term)
			if err := s.ended(); err != nil {
				t.Fatalf("%v\n%s", err, s.screen.String())
			}
			if got := strings.Contains(s.screen.String(), "█▀"); got != test.want {
				t.Errorf("got a QR code = %v, want %v:\n%s", got, test.want, s.screen.String())
			}
			if !strings.Contains(s.screen.String(), "check that it shows the code") {
				t.Errorf("got no code:\n%s", s.screen.String())
			}
		})
	}
}
