// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package tokencache

// Seams for the tests of the file's form.

// ParseTokens reads an entry in the clear.
func ParseTokens(text []byte) (Tokens, error) {
	entry, err := parseEntry(text)
	if entry.sealed != "" {
		return Tokens{}, ErrAbsent
	}
	return entry.tokens, err
}

func FormatTokens(t Tokens) ([]byte, error) { return formatTokens(t) }

func PlainFields(text string) (texts, numbers map[string]string, ok bool) {
	read, ok := plainFields(text)
	return read.strings, read.numbers, ok
}

func JSONFields(text []byte) (texts, numbers map[string]string, ok bool) {
	read, ok := jsonFields(text)
	return read.strings, read.numbers, ok
}
