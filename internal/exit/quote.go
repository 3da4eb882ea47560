// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package exit

import "strings"

// Quote makes a word of text that a shell reads back as it is, for commands
// in a hint.
func Quote(text string) string {
	if text != "" && !strings.ContainsFunc(text, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_./:@%+=,", r))
	}) {
		return text
	}
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}
