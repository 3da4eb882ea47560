// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package qrcode_test

import (
	"strings"
	"testing"

	"rsc.io/qr/coding"

	"github.com/tegata/tegata/internal/qrcode"
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
		got := qrcode.Encode([]byte(text))
		if got == nil || got.Size != want.Size {
			t.Fatalf("%d bytes: got %+v, want the size %d", length, got, want.Size)
		}
		wrong := 0
		for y := range got.Size {
			for x := range got.Size {
				if got.Black(x, y) != want.Black(x, y) {
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
	if got := qrcode.Encode(make([]byte, 231)); got != nil {
		t.Errorf("a text that is too long was drawn with the size %d", got.Size)
	}
}
