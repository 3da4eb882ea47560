// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package dex

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"

	"github.com/tegata/tegata/internal/exit"
)

// maxSize and maxDepth are far above any file of Dex.
const (
	maxSize  = 1 << 20 // a ConfigMap has no more
	maxDepth = 100
)

// file is Dex's file while it is read.
type file struct {
	name     string
	sections []*section // all that were looked into, each once
	err      error      // the first thing for which Dex would not start
}

// refuse keeps the first reason. Values are never quoted: any may be a
// secret.
func (f *file) refuse(line int, hint, format string, args ...any) {
	if f.err == nil {
		place := f.name
		if line > 0 {
			place = fmt.Sprintf("%s:%d", f.name, line)
		}
		f.err = exit.Misuse(hint, "%s: %s", place, fmt.Sprintf(format, args...))
	}
}

// open parses the text.
func (f *file) open(text []byte) *section {
	text = bytes.TrimPrefix(text, []byte("\xef\xbb\xbf"))
	const what = "name Dex's configuration file, in YAML or JSON"
	switch {
	case len(text) > maxSize:
		f.refuse(0, what, "more than %d MiB", maxSize>>20)
		return f.section("", nil, 0)
	case !utf8.Valid(text):
		f.refuse(0, what, "not UTF-8")
		return f.section("", nil, 0)
	case deep(text):
		f.refuse(0, what, "more than %d lists inside each other", maxDepth)
		return f.section("", nil, 0)
	}
	parsed, err := parser.ParseBytes(text, 0)
	if err != nil {
		failure, ok := errors.AsType[yaml.Error](err)
		if ok && failure.GetToken() != nil {
			f.refuse(failure.GetToken().Position.Line, what, "%s", failure.GetMessage())
		} else {
			f.refuse(0, what, "no YAML")
		}
		return f.section("", nil, 0)
	}
	var body ast.Node
	for _, doc := range parsed.Docs {
		if doc.Body == nil {
			continue
		}
		if body != nil {
			f.refuse(doc.Body.GetToken().Position.Line, "", "more than one YAML document in the file")
		}
		body = doc.Body
	}
	if body == nil {
		f.refuse(0, what, "the file is empty")
	}
	return f.section("", body, 0)
}

// deep reports whether brackets, or the marks of lists and keys, stand inside
// each other far deeper than in any configuration: the parser is slow then.
func deep(text []byte) bool {
	depth := 0
	for line := range bytes.Lines(text) {
		if marks(line) > maxDepth {
			return true
		}
		for _, b := range line {
			switch b {
			case '[', '{':
				depth++
			case ']', '}':
				depth = max(0, depth-1)
			}
			if depth > maxDepth {
				return true
			}
		}
	}
	return false
}

// marks counts those at the beginning of a line that open a list or a key.
func marks(line []byte) (count int) {
	for {
		line = bytes.TrimLeft(line, " \t")
		if len(line) < 2 || line[0] != '-' && line[0] != '?' || line[1] != ' ' && line[1] != '\t' {
			return count
		}
		line, count = line[1:], count+1
	}
}

// section is a set of keys and values. A key that was never asked for is
// unknown.
type section struct {
	file   *file
	at     string // connectors[0].config; empty: the file
	line   int
	values []value
	asked  []string
}

type value struct {
	key  string
	line int
	node ast.Node
}

// section is the node as a section; a nil node is an empty one.
func (f *file) section(at string, node ast.Node, line int) *section {
	if n := slices.IndexFunc(f.sections, func(s *section) bool { return s.at == at }); n >= 0 {
		return f.sections[n]
	}
	s := &section{file: f, at: at, line: line}
	f.sections = append(f.sections, s)
	if node = f.plain(node); node == nil {
		return s
	}
	mapping, ok := node.(ast.MapNode)
	if !ok {
		f.refuse(lineOf(node), "", "%s must be keys and values", orFile(at))
		return s
	}
	for entries := mapping.MapRange(); entries.Next(); {
		token := entries.Key().GetToken()
		switch {
		case entries.Key().IsMergeKey():
			f.plain(&ast.AliasNode{Start: token})
		case !printable(token.Value) || len(token.Value) > 200:
			f.refuse(token.Position.Line, "", "%s has a key that cannot be printed", orFile(at))
		case s.find(token.Value) != nil:
			f.refuse(token.Position.Line, "", "%s has the key %q twice", orFile(at), token.Value)
		default:
			s.values = append(s.values, value{token.Value, token.Position.Line, entries.Value()})
		}
	}
	return s
}

// plain is the node without what YAML may wrap around it; nil for null.
func (f *file) plain(node ast.Node) ast.Node {
	for {
		switch n := node.(type) {
		case nil, *ast.NullNode:
			return nil
		case *ast.TagNode:
			node = n.Value
		case *ast.AliasNode, *ast.AnchorNode:
			f.refuse(lineOf(n), "write the value in each place", "anchors and aliases are not taken")
			return nil
		default:
			return node
		}
	}
}

func lineOf(node ast.Node) int {
	if token := node.GetToken(); token != nil && token.Position != nil {
		return token.Position.Line
	}
	return 0
}

func orFile(at string) string {
	if at == "" {
		return "the file"
	}
	return at
}

// find takes keys in any case, as Dex does.
func (s *section) find(key string) *value {
	for n := range s.values {
		if strings.EqualFold(s.values[n].key, key) {
			return &s.values[n]
		}
	}
	return nil
}

// path is the place of a key, and of the section itself for an empty one.
func (s *section) path(key string) string {
	if key == "" {
		return orFile(s.at)
	}
	return strings.TrimPrefix(s.at+"."+key, ".")
}

// lineOf is that of the key, or else of the section; zero if there is none.
func (s *section) lineOf(key string) int {
	if found := s.find(key); found != nil {
		return found.line
	}
	return s.line
}

// node asks for a key; nil if it is not there.
func (s *section) node(key string) ast.Node {
	s.asked = append(s.asked, key)
	if found := s.find(key); found != nil {
		return s.file.plain(found.node)
	}
	return nil
}

// passBy keeps silent about keys that nobody asked for.
func (s *section) passBy() { s.values = nil }

// has reports whether there is something at the key.
func (s *section) has(key string) bool { return s.node(key) != nil }

// text is empty if the key is not there.
func (s *section) text(key string) string { return s.scalar(s.path(key), s.node(key)) }

func (s *section) scalar(at string, node ast.Node) string {
	var text string
	switch n := node.(type) {
	case nil:
	case *ast.StringNode:
		text = n.Value
	case *ast.LiteralNode:
		text = strings.TrimRight(n.Value.Value, "\n")
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode:
		text = n.GetToken().Value
	default:
		s.file.refuse(lineOf(n), "put it into quotes if it is one", "%s must be a text", at)
	}
	if !printable(text) {
		s.file.refuse(lineOf(node), "", "%s holds a character that cannot be printed", at)
		return ""
	}
	return text
}

// printable reports whether a text can stand in a message and in a file.
func printable(text string) bool {
	return !strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) })
}

// bytes is base64, over several lines if need be.
func (s *section) bytes(key string) []byte {
	node := s.node(key)
	if literal, ok := node.(*ast.LiteralNode); ok {
		node = literal.Value
	}
	text, ok := node.(*ast.StringNode)
	if node == nil {
		return nil
	}
	if ok {
		if content, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(text.Value), "")); err == nil {
			return content
		}
	}
	s.file.refuse(lineOf(node), "", "%s must be base64", s.path(key))
	return nil
}

func (s *section) flag(key string) bool {
	node := s.node(key)
	if node == nil {
		return false
	}
	flag, ok := node.(*ast.BoolNode)
	if !ok {
		s.file.refuse(lineOf(node), "", "%s must be true or false", s.path(key))
		return false
	}
	return flag.Value
}

func (s *section) isList(key string) bool {
	_, ok := s.node(key).(*ast.SequenceNode)
	return ok
}

func (s *section) list(key string) []ast.Node {
	node := s.node(key)
	if node == nil {
		return nil
	}
	sequence, ok := node.(*ast.SequenceNode)
	if !ok {
		s.file.refuse(lineOf(node), "", "%s must be a list", s.path(key))
		return nil
	}
	return sequence.Values
}

func (s *section) texts(key string) []string {
	var texts []string
	for n, node := range s.list(key) {
		texts = append(texts, s.scalar(fmt.Sprintf("%s[%d]", s.path(key), n), s.file.plain(node)))
	}
	return texts
}

func (s *section) section(key string) *section {
	node := s.node(key)
	if node == nil {
		return s.file.section(s.path(key), nil, 0)
	}
	return s.file.section(s.path(key), node, s.lineOf(key))
}

func (s *section) sections(key string) []*section {
	var all []*section
	for n, node := range s.list(key) {
		all = append(all, s.file.section(fmt.Sprintf("%s[%d]", s.path(key), n), node, lineOf(node)))
	}
	return all
}

// duration is zero if there is none; Dex takes zero for none too.
func (s *section) duration(key string) time.Duration {
	text := s.text(key)
	if text == "" {
		return 0
	}
	d, err := time.ParseDuration(text)
	if err != nil || d < 0 {
		s.file.refuse(s.lineOf(key), "", "%s must be a duration, such as 90s, 15m or 12h", s.path(key))
		return 0
	}
	return d
}

// unknownKeys tells of what was never asked for. Dex passes it by without a
// word.
func (c *conversion) unknownKeys() {
	for _, s := range c.file.sections {
		for _, v := range s.values {
			if slices.ContainsFunc(s.asked, func(known string) bool { return strings.EqualFold(known, v.key) }) {
				continue
			}
			do := "take it out, or look in Dex's documentation for what was meant"
			if near := exit.Nearest(v.key, s.asked); near != "" {
				do = fmt.Sprintf("did you mean %q? Dex has run without it; mend it, and import again", near)
			}
			c.missing(s, v.key, "Dex has no such key, and has ignored it", do)
		}
	}
}

// expand replaces $NAME and ${NAME} as Dex does, and tells which variables
// there are and which of them are not set.
func (c *conversion) expand(text string) (value string, names, unset []string) {
	value = os.Expand(text, func(name string) string {
		found, ok := c.options.Lookup(name)
		if names = append(names, name); !ok {
			unset = append(unset, name)
		}
		return found
	})
	if !printable(value) {
		return text, names, names
	}
	return value, names, unset
}

// variable is NAME, if the text is $NAME or ${NAME} and nothing else.
func variable(text string) (string, bool) {
	name, ok := strings.CutPrefix(text, "$")
	if inner, braced := strings.CutPrefix(name, "{"); braced {
		name, ok = strings.CutSuffix(inner, "}")
	}
	for i, r := range name {
		if !(r == '_' || 'A' <= r && r <= 'Z' || 'a' <= r && r <= 'z' || i > 0 && '0' <= r && r <= '9') {
			return "", false
		}
	}
	return name, ok && name != ""
}
