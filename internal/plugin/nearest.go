// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package plugin

import "fmt"

// nearest suggests what a mistyped name may have meant, or says otherwise.
func nearest(name string, names []string, kind, otherwise string) string {
	best, distance := "", 1+len(name)/3
	for _, candidate := range names {
		if d := edits(name, candidate); d <= distance {
			best, distance = candidate, d-1
		}
	}
	if best == "" {
		return otherwise
	}
	return fmt.Sprintf("did you mean %s%s?", kind, best)
}

// edits is the Levenshtein distance of two words.
func edits(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost = 1 + min(diagonal, row[j], row[j+1])
			}
			diagonal, row[j+1] = row[j+1], cost
		}
	}
	return row[len(b)]
}
