// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package plugin_test

import (
	"strings"
	"testing"

	"rsc.io/qr/coding"

	"github.com/tegata/tegata/internal/plugin"
)

// Each length that fits, against an encoder of somebody else's.
func TestQRCodeIsTheLibrarys(t *testing.T) {
	versions := map[coding.Version]int{}
	for length := 1; length <= 230; length++ {
		text := strings.Repeat("https://id.example.com/device?user_code=WDJB-MJHT&n=", 5)[:length]
		encoding := coding.String(text)
		version := coding.Version(coding.MinVersion)
		for encoding.Bits(version) > version.DataBytes(coding.L)*8 {
			version++
		}
		plan, err := coding.NewPlan(version, coding.L, 0)
		if err != nil {
			t.Fatal(err)
		}
		want, err := plan.Encode(encoding)
		if err != nil {
			t.Fatal(err)
		}
		versions[version]++
		size, black := plugin.EncodeQR(text)
		if size != want.Size {
			t.Fatalf("%d bytes: got the size %d, want %d", length, size, want.Size)
		}
		wrong := 0
		for y := range size {
			for x := range size {
				if black(x, y) != want.Black(x, y) {
					wrong++
				}
			}
		}
		if wrong > 0 {
			t.Fatalf("%d bytes, version %d: %d modules differ", length, version, wrong)
		}
	}
	if len(versions) != 9 {
		t.Errorf("got the versions %v, want 1 to 9", versions)
	}
	if size, _ := plugin.EncodeQR(strings.Repeat("x", 231)); size != 0 {
		t.Errorf("a text that is too long was drawn with the size %d", size)
	}
}

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
