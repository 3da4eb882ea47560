// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package kubeconfig

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// writable refuses what cannot be written so that each parser reads it alike.
func writable(text string) error {
	if !utf8.ValidString(text) {
		return fmt.Errorf("a value is no text in UTF-8")
	}
	for _, r := range text {
		if r > 0xffff && !unicode.IsPrint(r) || r == 0xfeff || r >= 0xfff0 && r <= 0xffff {
			return fmt.Errorf("a value holds the character %U, which cannot be written", r)
		}
	}
	return nil
}

// double is a text in double quotes, as YAML and JSON both have it.
func double(text string) string {
	var out strings.Builder
	out.WriteByte('"')
	for _, r := range text {
		switch {
		case r == '"' || r == '\\':
			out.WriteByte('\\')
			out.WriteRune(r)
		case r == '\n':
			out.WriteString(`\n`)
		case r == '\t':
			out.WriteString(`\t`)
		case r == '\r':
			out.WriteString(`\r`)
		case unicode.IsPrint(r):
			out.WriteRune(r)
		default:
			fmt.Fprintf(&out, `\u%04x`, r)
		}
	}
	out.WriteByte('"')
	return out.String()
}

// plain is a text without quotes if that means the same to YAML 1.1 and 1.2,
// which is what kubectl would write for most; else in double quotes.
func plain(text string) string {
	const signs = "-_./:@%+=,~"
	ordinary := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune(signs, r)
	}
	begins := strings.TrimPrefix(text, "--")
	words := []string{"null", "true", "false", "yes", "no", "on", "off", "y", "n"}
	if begins == "" || strings.ContainsRune("0123456789"+strings.ReplaceAll(signs, "/", ""), rune(begins[0])) ||
		strings.ContainsFunc(text, func(r rune) bool { return !ordinary(r) }) || strings.HasSuffix(text, ":") ||
		slices.Contains(words, strings.ToLower(text)) {
		return double(text)
	}
	return text
}
