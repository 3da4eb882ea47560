// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package kubeconfig

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/token"
)

// document is one file that was read.
type document struct {
	path string
	mark string // the byte order mark, if the file begins with one
	text string // what follows it
	root *node  // nil if the file says nothing
}

// A section is a list of a kubeconfig whose items have a name.
type section struct{ list, body string }

var (
	clusters = section{"clusters", "cluster"}
	users    = section{"users", "user"}
	contexts = section{"contexts", "context"}
)

// item is the item of that name; nil if there is none.
func (d *document) item(s section, name string) *node {
	for _, item := range d.root.get(s.list).list() {
		if item.get("name").value() == name {
			return item
		}
	}
	return nil
}

// kind is what a node is.
type kind int

const (
	null kind = iota
	text
	other // a number, true, false
	mapping
	sequence
)

// node is a part of the file. All methods take a nil node for one that is
// not there.
type node struct {
	kind    kind
	text    string // of a scalar
	entries []entry
	items   []item

	span        // where it stands; empty behind the colon or the dash for a value that is left out
	flow   bool // a mapping or sequence in brackets
	quoted bool // a scalar in quotes
}

// entry is a key of a mapping with its value.
type entry struct {
	key   *node
	colon span // empty if there is none: {a, b}
	value *node
}

// item is a value of a sequence.
type item struct {
	dash  span // empty in brackets
	value *node
}

// span is a part of the text, in bytes.
type span struct{ from, to int }

// get returns the value of a key.
func (n *node) get(key string) *node {
	for _, e := range n.fields() {
		if e.key.text == key {
			return e.value
		}
	}
	return nil
}

func (n *node) fields() []entry {
	if n == nil {
		return nil
	}
	return n.entries
}

func (n *node) list() []*node {
	if n == nil {
		return nil
	}
	var values []*node
	for _, i := range n.items {
		values = append(values, i.value)
	}
	return values
}

// value is the text of a scalar, whatever its type.
func (n *node) value() string {
	if n == nil {
		return ""
	}
	return n.text
}

func (n *node) isNull() bool { return n == nil || n.kind == null }

// same reports whether two nodes say the same, wherever and however.
func (n *node) same(other *node) bool {
	if n.isNull() || other.isNull() {
		return n.isNull() && other.isNull()
	}
	return n.kind == other.kind && n.text == other.text &&
		slices.EqualFunc(n.entries, other.entries, func(a, b entry) bool { return a.key.same(b.key) && a.value.same(b.value) }) &&
		slices.EqualFunc(n.items, other.items, func(a, b item) bool { return a.value.same(b.value) })
}

// parse reads a file. Its errors tell a line, and never what stands there.
func parse(path, content string) (*document, error) {
	d := &document{path: path}
	d.text, _ = strings.CutPrefix(content, "\ufeff")
	d.mark = content[:len(content)-len(d.text)]
	root, err := parseText(d.text)
	if err != nil {
		return nil, fmt.Errorf("%s:%w", path, err)
	}
	d.root = root
	for _, s := range []section{users, contexts} {
		if err := d.checkNames(s); err != nil {
			return nil, err
		}
	}
	return d, nil
}

// checkNames refuses what kubectl refuses too: two items of one name.
func (d *document) checkNames(s section) error {
	seen := map[string]bool{}
	for _, item := range d.root.get(s.list).list() {
		name := item.get("name").value()
		if seen[name] {
			return fmt.Errorf("%s:%d: the name %q stands twice in %s", d.path, line(d.text, item.from), name, s.list)
		}
		seen[name] = true
	}
	return nil
}

// line is the number of the line in which a byte stands.
func line(text string, at int) int { return 1 + strings.Count(text[:at], "\n") }

// notRead is why a file cannot be read, and its line.
func notRead(line int, format string, args ...any) error {
	return fmt.Errorf("%d: "+format, append([]any{line}, args...)...)
}

// parseText reads YAML, of which JSON is a part. The library cuts the text into
// tokens. Where they stand is found out here, because its own places do not
// hold for block scalars and line ends; and what they mean together is found
// out by reader, which takes what a kubeconfig is made of, and nothing else.
func parseText(content string) (root *node, err error) {
	if !utf8.ValidString(content) || strings.Contains(content, "\x00") {
		return nil, notRead(1, "it is no text in UTF-8")
	}
	if lone := strings.Index(strings.ReplaceAll(content, "\r\n", "\n\n"), "\r"); lone >= 0 {
		return nil, notRead(line(content, lone), "there is a carriage return that ends no line")
	}
	defer func() {
		// A text that the library cannot stand is one that cannot be read.
		if recover() != nil {
			root, err = nil, notRead(1, "it is no YAML that can be read")
		}
	}()
	tokens, err := locate(content, lexer.Tokenize(content))
	if err != nil {
		return nil, err
	}
	r := reader{text: content, tokens: tokens}
	return r.document()
}

// place is a token, and where it stands.
type place struct {
	*token.Token
	span
}

// locate finds each token behind the one before it: between two of them stand
// blanks and comments alone.
func locate(content string, tokens token.Tokens) ([]place, error) {
	var places []place
	at := 0
	for _, t := range tokens {
		switch t.Type {
		case token.CommentType:
			continue
		case token.InvalidType:
			return nil, notRead(t.Position.Line, "%s", t.Error)
		}
		s := span{at, -1}
		last := len(places) - 1
		switch {
		case last >= 0 && isBlock(places[last]):
			// The text of a block scalar is a part of it.
			s.to = blockEnd(content, at, places[last].Value, t.Value, parentIndent(content, places))
			places[last].to, places[last].Token = s.to, &token.Token{Type: token.StringType, Value: t.Value}
			if at = s.to; at >= 0 {
				continue
			}
		case t.Type == token.SingleQuoteType || t.Type == token.DoubleQuoteType:
			s.from = skipBlank(content, at)
			s.to = quotedEnd(content, s.from)
		default:
			s.from = skipBlank(content, at)
			s.to = plainEnd(content, s.from, t.Value)
		}
		if s.to < 0 {
			return nil, strange(content, s.from)
		}
		places = append(places, place{t, s})
		at = s.to
	}
	if rest := skipBlank(content, at); rest != len(content) || len(places) > 0 && isBlock(places[len(places)-1]) {
		return nil, strange(content, rest)
	}
	return places, nil
}

// isBlock reports whether a token is the header of a block scalar.
func isBlock(p place) bool { return p.Type == token.LiteralType || p.Type == token.FoldedType }

func strange(content string, at int) error {
	return notRead(line(content, min(at, len(content))), "it is written in a way that is not understood here")
}

// parentIndent is the column of what the block scalar at the end of places
// belongs to: of the key before its colon, or of its dash.
func parentIndent(content string, places []place) int {
	owner := len(places) - 2
	if owner > 0 && places[owner].Type == token.MappingValueType {
		owner--
	}
	if owner < 0 {
		return -1
	}
	return column(content, places[owner].from)
}

// column is the number of bytes before at on its line.
func column(content string, at int) int { return at - 1 - strings.LastIndexByte(content[:at], '\n') }

// lineEnd is where the line of at ends, without its line break.
func lineEnd(content string, at int) int {
	end := strings.IndexByte(content[at:], '\n')
	if end < 0 {
		return len(content)
	}
	if end > 0 && content[at+end-1] == '\r' {
		end--
	}
	return at + end
}

// skipBlank goes to the next token: over blanks, line ends and comments.
func skipBlank(content string, at int) int {
	for at < len(content) {
		switch c := content[at]; {
		case c == ' ' || c == '\t' || c == '\r' || c == '\n':
			at++
		case c == '#' && (at == 0 || strings.ContainsRune(" \t\r\n", rune(content[at-1]))):
			at = lineEnd(content, at)
		default:
			return at
		}
	}
	return at
}

// quotedEnd is where a quoted scalar ends that begins at from; negative if
// there is none.
func quotedEnd(content string, from int) int {
	if from >= len(content) || content[from] != '"' && content[from] != '\'' {
		return -1
	}
	for at := from + 1; at < len(content); at++ {
		switch {
		case content[from] == '"' && content[at] == '\\':
			at++
		case content[at] != content[from]:
		case content[from] == '\'' && at+1 < len(content) && content[at+1] == '\'':
			at++
		default:
			return at + 1
		}
	}
	return -1
}

// plainEnd is where a scalar without quotes, or an indicator, ends that begins
// at from. In the value a blank stands for any number of blanks and line ends.
func plainEnd(content string, from int, value string) int {
	at, blank := from, false
	for i := range len(value) {
		switch c := value[i]; c {
		case ' ', '\t', '\n':
			skipped := len(content[at:]) - len(strings.TrimLeft(content[at:], " \t\r\n"))
			if skipped == 0 && !blank {
				return -1
			}
			at, blank = at+skipped, true
		default:
			if at >= len(content) || content[at] != c {
				return -1
			}
			at, blank = at+1, false
		}
	}
	if at == from {
		return -1
	}
	return at
}

// blockEnd is where the text of a block scalar ends whose header ends at from:
// behind its last line that is not empty, or, with "+" in the header, behind
// the empty lines that follow. It is negative for those that are read in more
// ways than one: without any text, or with a depth in the header.
func blockEnd(content string, from int, header, value string, parent int) int {
	if strings.Trim(value, " \n") == "" || strings.ContainsAny(header, "123456789") {
		return -1
	}
	indent, end := -1, -1
	for at := lineEnd(content, from); at < len(content); {
		at += strings.IndexByte(content[at:], '\n') + 1
		stop := lineEnd(content, at)
		blanks := stop - at - len(strings.TrimLeft(content[at:stop], " "))
		switch empty := blanks == stop-at; {
		case indent < 0 && !empty && blanks > parent:
			indent, end = blanks, stop
		case indent < 0 && !empty, indent < 0 && blanks > parent:
			return -1
		case !empty && blanks < indent:
			return end
		case !empty, blanks > indent && indent >= 0:
			end = stop
		case strings.Contains(header, "+") && stop < len(content):
			end = stop
		}
		at = stop
	}
	return end
}
