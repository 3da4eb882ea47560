// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package kubeconfig

import (
	"slices"
	"strings"

	"github.com/goccy/go-yaml/token"
)

// maxDepth is far above any kubeconfig; reader calls itself for each level.
const maxDepth = 64

// reader makes nodes of tokens. It is strict: what two parsers could take for
// two things is refused.
type reader struct {
	text   string
	tokens []place
	next   int // of the tokens
	depth  int
}

// document reads the only document of a file; nil if it says nothing.
func (r *reader) document() (*node, error) {
	for i, t := range r.tokens {
		what := ""
		switch t.Type {
		case token.AnchorType:
			what = "an anchor"
		case token.AliasType:
			what = "an alias"
		case token.MergeKeyType:
			what = "a merge key"
		case token.TagType:
			what = "a tag"
		case token.DirectiveType:
			what = "a directive"
		case token.DocumentEndType:
			what = "an end mark of a document"
		case token.MappingKeyType:
			what = "a complex key"
		case token.DocumentHeaderType:
			if i > 0 {
				return nil, notRead(line(r.text, t.from), "there is more than one document")
			}
			r.next = 1
		}
		if what != "" {
			return nil, notRead(line(r.text, t.from), "there is %s, which is not understood here", what)
		}
	}
	if r.next == len(r.tokens) {
		return nil, nil
	}
	begin := r.tokens[r.next].from
	root, err := r.value(-1, span{})
	switch {
	case err != nil:
		return nil, err
	case r.next < len(r.tokens):
		return nil, r.strange()
	case root.kind != mapping && root.kind != null:
		return nil, notRead(line(r.text, begin), "it is no kubeconfig")
	}
	return root, nil
}

// peek is the next token. Its type is unknown if there is none.
func (r *reader) peek() place {
	if r.next < len(r.tokens) {
		return r.tokens[r.next]
	}
	return place{&token.Token{}, span{len(r.text), len(r.text)}}
}

func (r *reader) strange() error { return strange(r.text, r.peek().from) }

// deeper counts the levels.
func (r *reader) deeper() error {
	if r.depth++; r.depth > maxDepth {
		return notRead(line(r.text, r.peek().from), "it is nested too deeply")
	}
	return nil
}

// apart reports whether a line ends between two places.
func (r *reader) apart(from, to int) bool { return strings.Contains(r.text[from:to], "\n") }

// isKey reports whether the next token is a key with a colon on its line.
func (r *reader) isKey() bool {
	if r.next+1 >= len(r.tokens) || !isScalar(r.tokens[r.next].Type) {
		return false
	}
	colon := r.tokens[r.next+1]
	return colon.Type == token.MappingValueType && !r.apart(r.tokens[r.next].from, colon.to)
}

// value reads what stands behind lead, the colon of a key or the dash of an
// item in a mapping or sequence at the column indent; behind nothing for the
// document itself.
func (r *reader) value(indent int, lead span) (*node, error) {
	if err := r.deeper(); err != nil {
		return nil, err
	}
	defer func() { r.depth-- }()
	t := r.peek()
	dash := lead.to > 0 && r.text[lead.from] == '-'
	begins := lead.to == 0 || r.apart(lead.to, t.from)
	depth := column(r.text, t.from)
	list := t.Type == token.SequenceEntryType
	if t.Type == token.UnknownType || begins && depth <= indent && !(list && depth == indent && !dash) {
		return &node{span: span{lead.to, lead.to}}, nil // left out
	}
	switch {
	case list && (begins || dash):
		return r.sequence(depth)
	case r.isKey() && (begins || dash):
		return r.mapping(depth)
	case list || r.isKey():
		return nil, r.strange()
	}
	n, err := r.single()
	if err != nil || n.flow || n.quoted {
		return n, err
	}
	_, more, _ := strings.Cut(r.text[n.from:n.to], "\n")
	for line := range strings.Lines(more) {
		if words := strings.TrimLeft(line, " "); strings.TrimSpace(words) != "" && len(line)-len(words) <= indent {
			return nil, strange(r.text, n.from) // it does not stand deeper
		}
	}
	return n, nil
}

// mapping reads the lines of a mapping whose keys stand at the column indent.
func (r *reader) mapping(indent int) (*node, error) {
	m := &node{kind: mapping, span: r.peek().span}
	for first := true; r.continues(m, first, indent) && r.isKey(); first = false {
		e := entry{key: scalarAt(r.tokens[r.next]), colon: r.tokens[r.next+1].span}
		r.next += 2
		var err error
		if e.value, err = r.value(indent, e.colon); err != nil {
			return nil, err
		}
		if err := r.add(m, e); err != nil {
			return nil, err
		}
		m.to = e.value.to
	}
	return m, nil
}

// add adds an entry to a mapping, once.
func (r *reader) add(m *node, e entry) error {
	if slices.ContainsFunc(m.entries, func(other entry) bool { return other.key.text == e.key.text }) {
		return notRead(line(r.text, e.key.from), "the key %q stands twice", e.key.text)
	}
	m.entries = append(m.entries, e)
	return nil
}

// sequence reads the lines of a sequence whose dashes stand at the column
// indent.
func (r *reader) sequence(indent int) (*node, error) {
	s := &node{kind: sequence, span: r.peek().span}
	for first := true; r.continues(s, first, indent) && r.peek().Type == token.SequenceEntryType; first = false {
		i := item{dash: r.peek().span}
		r.next++
		var err error
		if i.value, err = r.value(indent, i.dash); err != nil {
			return nil, err
		}
		s.items = append(s.items, i)
		s.to = i.value.to
	}
	return s, nil
}

// continues reports whether the next token stands at the column indent of a new
// line, as the next part of n must.
func (r *reader) continues(n *node, first bool, indent int) bool {
	t := r.peek()
	return first || r.apart(n.to, t.from) && column(r.text, t.from) == indent
}

// single reads a scalar, or what stands in brackets.
func (r *reader) single() (*node, error) {
	t := r.peek()
	switch {
	case t.Type == token.MappingStartType || t.Type == token.SequenceStartType:
		return r.brackets()
	case isScalar(t.Type):
		r.next++
		return scalarAt(t), nil
	}
	return nil, r.strange()
}

// brackets reads a mapping or a sequence in brackets.
func (r *reader) brackets() (*node, error) {
	if err := r.deeper(); err != nil {
		return nil, err
	}
	defer func() { r.depth-- }()
	n, end := &node{kind: mapping, span: r.peek().span, flow: true}, token.MappingEndType
	if r.peek().Type == token.SequenceStartType {
		n.kind, end = sequence, token.SequenceEndType
	}
	r.next++
	for more := true; ; { // more says that there may be another one
		t := r.peek()
		switch {
		case t.Type == end:
			n.to = t.to
			r.next++
			return n, nil
		case t.Type == token.CollectEntryType && !more:
			more = true
			r.next++
			continue
		case !more:
			return nil, r.strange()
		}
		more = false
		if n.kind == sequence {
			value, err := r.single()
			if err != nil {
				return nil, err
			}
			n.items = append(n.items, item{value: value})
			continue
		}
		e, err := r.entry()
		if err != nil {
			return nil, err
		}
		if err := r.add(n, e); err != nil {
			return nil, err
		}
	}
}

// entry reads an entry of a mapping in brackets.
func (r *reader) entry() (entry, error) {
	t := r.peek()
	if !isScalar(t.Type) {
		return entry{}, r.strange()
	}
	e := entry{key: scalarAt(t), value: &node{span: span{t.to, t.to}}}
	r.next++
	if r.peek().Type != token.MappingValueType {
		return e, nil
	}
	e.colon = r.peek().span
	if !e.key.quoted && skipBlank(r.text, e.colon.to) == e.colon.to {
		return entry{}, r.strange() // {a:b} is one word to some
	}
	e.value = &node{span: span{e.colon.to, e.colon.to}}
	r.next++
	if next := r.peek().Type; next == token.CollectEntryType || next == token.MappingEndType {
		return e, nil
	}
	var err error
	e.value, err = r.single()
	return e, err
}

func isScalar(t token.Type) bool { return kindOf(t) >= 0 }

// kindOf is the kind of a scalar; negative for other tokens.
func kindOf(t token.Type) kind {
	switch t {
	case token.NullType:
		return null
	case token.BoolType, token.IntegerType, token.BinaryIntegerType, token.OctetIntegerType, token.HexIntegerType,
		token.FloatType, token.InfinityType, token.NanType:
		return other
	case token.StringType, token.SingleQuoteType, token.DoubleQuoteType:
		return text
	}
	return -1
}

func scalarAt(t place) *node {
	n := &node{kind: kindOf(t.Type), span: t.span, quoted: t.Type == token.SingleQuoteType || t.Type == token.DoubleQuoteType}
	if n.kind != null {
		n.text = t.Value
	}
	return n
}
