// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package login

import (
	"errors"
	"os"
	"strings"
)

// CommandWords cuts a command line of an end user's into words, without a
// shell: see splitCommand.
func CommandWords(line string) ([]string, error) { return splitCommand(line, os.PathSeparator == '/') }

// splitCommand cuts a command line into words as a shell does, without being
// one: blanks separate, single and double quotes hold together. A backslash
// takes the next character as it is, except where it separates folders.
// Nothing is expanded.
func splitCommand(line string, backslashEscapes bool) ([]string, error) {
	var words []string
	var word strings.Builder
	inWord := false
	var quote rune
	escaped := false
	for _, r := range line {
		switch {
		case escaped:
			// In double quotes a backslash is itself before other characters.
			if quote == '"' && r != '"' && r != '\\' {
				word.WriteByte('\\')
			}
			word.WriteRune(r)
			escaped = false
		case r == '\\' && backslashEscapes && quote != '\'':
			escaped, inWord = true, true
		case quote != 0 && r == quote:
			quote = 0
		case quote != 0:
			word.WriteRune(r)
		case r == '\'' || r == '"':
			quote, inWord = r, true
		case r == ' ' || r == '\t' || r == '\n':
			if inWord {
				words = append(words, word.String())
				word.Reset()
				inWord = false
			}
		default:
			word.WriteRune(r)
			inWord = true
		}
	}
	switch {
	case quote != 0:
		return nil, errors.New("a quote is not closed")
	case escaped:
		return nil, errors.New("a backslash stands at the end")
	}
	if inWord {
		words = append(words, word.String())
	}
	return words, nil
}

// withAddress puts the address in the place of each %s, or at the end if there
// is none; %% is a percent sign. It is never seen by a shell.
func withAddress(words []string, address string) []string {
	placed := false
	out := make([]string, len(words), len(words)+1)
	for i, word := range words {
		var text strings.Builder
		for {
			before, after, found := strings.Cut(word, "%")
			text.WriteString(before)
			if !found {
				break
			}
			switch {
			case strings.HasPrefix(after, "s"):
				text.WriteString(address)
				placed, after = true, after[1:]
			case strings.HasPrefix(after, "%"):
				text.WriteByte('%')
				after = after[1:]
			default:
				text.WriteByte('%')
			}
			word = after
		}
		out[i] = text.String()
	}
	if !placed {
		out = append(out, address)
	}
	return out
}
