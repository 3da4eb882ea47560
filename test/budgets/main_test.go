// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"strings"
	"testing"
)

func TestCompareFindsWhatIsOver(t *testing.T) {
	const run = `goos: linux
BenchmarkWarm-2        	     378	   3250745 ns/op	         1.180 ms/hello	         1.700 x-hello
BenchmarkFootprint-2   	     294	         0.9 M-instructions	         7.4 MB-binary	         5.8 MiB-resident
`
	var out strings.Builder
	over, err := compare(strings.NewReader(run), &out)
	if err != nil || !over {
		t.Fatalf("compare = %v, %v; want over", over, err)
	}
	for _, want := range []string{
		"warm get-token, against a one-line program               1.700      1.6 x-hello             OVER",
		"plugin, stripped                                         7.4        8 MB-binary             within",
		"provider, start to first key set                         -          50 start-ms             not measured",
	} {
		if !strings.Contains(strings.Join(strings.Fields(out.String()), " "), strings.Join(strings.Fields(want), " ")) {
			t.Errorf("output lacks %q:\n%s", want, out.String())
		}
	}
}
