// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package exit

import "strings"

// Nearest is the known name with the fewest typing mistakes in it, for a hint
// such as "did you mean …?". It is empty if none is near.
func Nearest(name string, known []string) string {
	best, least := "", 2+len(name)/3
	for _, candidate := range known {
		if d := mistakes(strings.ToLower(name), strings.ToLower(candidate)); d < least || d == least && best != "" && candidate < best {
			best, least = candidate, d
		}
	}
	return best
}

// mistakes is the Levenshtein distance of two words.
func mistakes(a, b string) int {
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
