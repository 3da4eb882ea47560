// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package kubeconfig

import (
	"fmt"
	"slices"
	"strings"
)

// editor changes a document: each change is made to the nodes, for what the
// file must say in the end, and noted as a splice of its text.
type editor struct {
	*document
	splices []splice
	newline string
	trouble error // why there is no result
}

// splice puts a text into the place of what stands in a span.
type splice struct {
	span
	with string
}

func newEditor(d *document) *editor {
	e := &editor{document: d, newline: "\n"}
	if end := strings.IndexByte(d.text, '\n'); end > 0 && d.text[end-1] == '\r' {
		e.newline = "\r\n"
	}
	return e
}

// pair is a key with the value that it gets.
type pair struct {
	key   string
	value *node
}

// The values that are put into a file.

func scalarOf(value string) *node { return &node{kind: text, text: value} }

func sequenceOf(values ...*node) *node {
	n := &node{kind: sequence}
	for _, value := range values {
		n.items = append(n.items, item{value: value})
	}
	return n
}

func mappingOf(pairs ...pair) *node {
	n := &node{kind: mapping}
	for _, p := range pairs {
		n.entries = append(n.entries, entry{key: scalarOf(p.key), value: p.value})
	}
	return n
}

// result is the new text. It is read again, and says what the nodes say now:
// nothing else.
func (e *editor) result() (string, error) {
	if e.trouble != nil {
		return "", e.trouble
	}
	slices.SortStableFunc(e.splices, func(a, b splice) int { return a.from - b.from })
	var out strings.Builder
	at := 0
	for _, s := range e.splices {
		if s.from < at {
			return "", e.refusal()
		}
		out.WriteString(e.text[at:s.from])
		out.WriteString(s.with)
		at = s.to
	}
	out.WriteString(e.text[at:])
	again, err := parse(e.path, out.String())
	if err != nil || !again.root.same(e.root) {
		return "", e.refusal()
	}
	return e.mark + out.String(), nil
}

func (e *editor) refusal() error {
	return fmt.Errorf("%s is written in a way that cannot be changed without risk, and is left as it is", e.path)
}

// within is what a key of m holds, if it is of the kind; nil if there is
// nothing yet.
func (e *editor) within(m *node, key string, want kind) (*node, error) {
	n := m.get(key)
	switch {
	case n.isNull():
		return nil, nil
	case n.kind != want:
		return nil, e.misplaced(n, key)
	}
	return n, nil
}

// setRoot makes a file say something that said nothing.
func (e *editor) setRoot(pairs ...pair) {
	root := mappingOf(append([]pair{{"apiVersion", scalarOf("v1")}, {"kind", scalarOf("Config")}}, pairs...)...)
	body := strings.TrimPrefix(e.lines(root, 0), e.newline)
	at := span{len(e.text), len(e.text)}
	switch {
	case e.root != nil && e.root.from < e.root.to: // null in so many letters
		at = e.root.span
	case e.text == "" || strings.HasSuffix(e.text, "\n"):
		body += e.newline
	default:
		body = e.newline + body
	}
	e.splice(at, body)
	e.root = root
}

// set gives keys of a mapping new values. A value that is the same already
// stays as it is written.
func (e *editor) set(m *node, pairs ...pair) error {
	var missing []pair
	for _, p := range pairs {
		i := slices.IndexFunc(m.entries, func(e entry) bool { return e.key.text == p.key })
		if i < 0 {
			missing = append(missing, p)
		} else if err := e.replace(m, &m.entries[i], p.value); err != nil {
			return err
		}
	}
	if len(missing) == 0 {
		return nil
	}
	added := mappingOf(missing...)
	if m.flow {
		var first, last span
		if n := len(m.entries); n > 0 {
			first, last = m.entries[0].key.span, m.entries[n-1].value.span
		}
		words := e.inline(added)
		e.intoBrackets(m, first, last, words[1:len(words)-1])
	} else {
		e.insert(lineEnd(e.text, m.to), e.lines(added, column(e.text, m.from)))
	}
	m.entries = append(m.entries, added.entries...)
	return nil
}

// push adds an item at the end of a sequence.
func (e *editor) push(list, value *node) {
	if list.flow {
		var first, last span
		if n := len(list.items); n > 0 {
			first, last = list.items[0].value.span, list.items[n-1].value.span
		}
		e.intoBrackets(list, first, last, e.inline(value))
	} else {
		e.insert(lineEnd(e.text, list.to), e.lines(sequenceOf(value), column(e.text, list.from)))
	}
	list.items = append(list.items, item{value: value})
}

// intoBrackets puts words behind the last of what stands in brackets, with the
// gap that the first has before it.
func (e *editor) intoBrackets(n *node, first, last span, words string) {
	if last.to == 0 {
		e.insert(n.from+1, words)
		return
	}
	if last.from == last.to && e.trouble == nil {
		e.trouble = e.refusal() // a comma behind a colon is part of a word to some
	}
	gap := e.text[n.from+1 : first.from]
	if gap == "" || strings.TrimSpace(gap) != "" {
		gap = " "
	}
	e.insert(last.to, ","+gap+words)
}

// replace gives an entry of m another value.
func (e *editor) replace(m *node, old *entry, value *node) error {
	was := old.value
	gap := ""
	if was.from == was.to {
		gap = " "
	}
	collection := was.kind == mapping || was.kind == sequence
	empty := was.isNull() || collection && len(was.entries)+len(was.items) == 0
	switch {
	case was.same(value):
		return nil
	case old.colon.to == 0:
		return e.refusal()
	case value.kind == text && (empty || !collection):
		e.splice(was.span, gap+e.word(value, m.flow || was.quoted))
	case value.kind == sequence && was.kind == sequence && !empty:
		return e.relist(was, value)
	case !empty:
		return e.misplaced(was, old.key.text)
	case m.flow:
		e.splice(was.span, gap+e.inline(value))
	default:
		// Nothing, in whatever form, makes room for lines.
		e.splice(span{old.colon.to, was.to}, "")
		e.insert(lineEnd(e.text, was.to), e.behind(value, column(e.text, m.from)))
	}
	replaced := *value
	replaced.span = was.span
	old.value = &replaced
	return nil
}

// relist makes a sequence of words another one. What is equal at its beginning
// and at its end stays as it is written, with its comments.
func (e *editor) relist(list, value *node) error {
	if list.flow {
		e.splice(list.span, e.inline(value))
		list.items = value.items
		return nil
	}
	before, after := list.items, value.items
	head, tail := 0, 0
	for head < min(len(before), len(after)) && before[head].value.same(after[head].value) {
		head++
	}
	for tail < min(len(before), len(after))-head && before[len(before)-1-tail].value.same(after[len(after)-1-tail].value) {
		tail++
	}
	both := min(len(before), len(after)) - tail
	for i := head; i < both; i++ {
		was := before[i].value
		if was.kind == mapping || was.kind == sequence {
			return e.misplaced(was, "a list of words")
		}
		gap := ""
		if was.from == was.to {
			gap = " "
		}
		e.splice(was.span, gap+e.word(after[i].value, was.quoted))
	}
	for _, extra := range before[both : len(before)-tail] {
		e.splice(e.wholeLines(span{extra.dash.from, extra.value.to}), "")
	}
	if added := after[both : len(after)-tail]; len(added) > 0 {
		indent := column(e.text, list.from)
		lines := e.lines(&node{kind: sequence, items: added}, indent)
		if both > 0 {
			e.insert(lineEnd(e.text, before[both-1].value.to), lines)
		} else {
			start := e.newline + strings.Repeat(" ", indent)
			e.insert(list.from, strings.TrimPrefix(lines, start)+start)
		}
	}
	list.items = after
	return nil
}

// wholeLines are the lines of s, with the line break behind them.
func (e *editor) wholeLines(s span) span {
	s = span{s.from - column(e.text, s.from), lineEnd(e.text, s.to)}
	switch rest := e.text[s.to:]; {
	case strings.HasPrefix(rest, "\r\n"):
		s.to += 2
	case rest != "":
		s.to++
	}
	return s
}

func (e *editor) misplaced(n *node, what string) error {
	return fmt.Errorf("%s:%d: %s does not hold what a kubeconfig holds there", e.path, line(e.text, n.from), what)
}

func (e *editor) splice(s span, with string) { e.splices = append(e.splices, splice{s, with}) }

func (e *editor) insert(at int, words string) { e.splice(span{at, at}, words) }

// lines are the entries or items of n, each on lines of its own.
func (e *editor) lines(n *node, indent int) string {
	var out strings.Builder
	start := e.newline + strings.Repeat(" ", indent)
	for _, pair := range n.entries {
		out.WriteString(start + plain(pair.key.text) + ":" + e.behind(pair.value, indent))
	}
	for _, item := range n.items {
		out.WriteString(start + "-")
		if item.value.kind == mapping && len(item.value.entries) > 0 {
			out.WriteString(" " + strings.TrimPrefix(e.lines(item.value, indent+2), start+"  "))
		} else {
			out.WriteString(e.behind(item.value, indent+2))
		}
	}
	return out.String()
}

// behind is what stands behind the colon or dash of a line with that indent.
func (e *editor) behind(n *node, indent int) string {
	switch {
	case n.kind == mapping && len(n.entries) > 0:
		return e.lines(n, indent+2)
	case n.kind == sequence && len(n.items) > 0:
		return e.lines(n, indent)
	case n.kind == text:
		return " " + e.word(n, false)
	}
	return " " + e.inline(n)
}

// inline is n within a line, as JSON.
func (e *editor) inline(n *node) string {
	var words []string
	switch n.kind {
	case mapping:
		for _, pair := range n.entries {
			words = append(words, double(pair.key.text)+": "+e.inline(pair.value))
		}
		return "{" + strings.Join(words, ", ") + "}"
	case sequence:
		for _, item := range n.items {
			words = append(words, e.inline(item.value))
		}
		return "[" + strings.Join(words, ", ") + "]"
	}
	return e.word(n, true)
}

// word is a scalar.
func (e *editor) word(n *node, quoted bool) string {
	if err := writable(n.text); err != nil && e.trouble == nil {
		e.trouble = err
	}
	if quoted {
		return double(n.text)
	}
	return plain(n.text)
}
