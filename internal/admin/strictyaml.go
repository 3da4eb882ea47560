// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"

	"github.com/tegata/tegata/internal/exit"
)

// decodeStrict decodes YAML into the struct that v points to. An unknown key,
// a key given twice or a value of the wrong type is an error that names the
// line, and never the value: it may be a secret.
func decodeStrict(path string, text []byte, v any) error {
	text = bytes.TrimPrefix(text, []byte("\xef\xbb\xbf")) // some editors write a byte order mark
	file, err := parser.ParseBytes(text, 0)
	if err != nil {
		return exit.Misuse("", "%s", placed(path, err))
	}
	if len(file.Docs) > 1 {
		return exit.Misuse("", "%s: more than one YAML document in the file", path)
	}
	for _, doc := range file.Docs {
		if doc.Body == nil {
			continue
		}
		if err := unknownKeys(path, doc.Body, reflect.TypeOf(v).Elem(), ""); err != nil {
			return err
		}
		if err := yaml.NodeToValue(doc.Body, v, yaml.Strict()); err != nil {
			return exit.Misuse("", "%s", placed(path, err))
		}
	}
	return nil
}

// unknownKeys walks the document beside the type that it should have.
func unknownKeys(path string, node ast.Node, t reflect.Type, at string) error {
	switch node.(type) {
	case *ast.AliasNode, *ast.AnchorNode:
		return exit.Misuse("write the value in each place", "%s:%d: anchors and aliases are not taken", path, node.GetToken().Position.Line)
	case *ast.NullNode:
		return nil // a key without a value is a key that is left out
	}
	if t == reflect.TypeFor[duration]() || t == reflect.TypeFor[time.Duration]() {
		if new(duration).UnmarshalText([]byte(node.GetToken().Value)) != nil {
			return exit.Misuse("", "%s:%d: %w", path, node.GetToken().Position.Line, errNoDuration)
		}
		return nil
	}
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch t.Kind() {
	case reflect.Slice:
		sequence, ok := node.(*ast.SequenceNode)
		if !ok {
			return wrongKind(path, node, at, "a list")
		}
		for n, value := range sequence.Values {
			if err := unknownKeys(path, value, t.Elem(), fmt.Sprintf("%s[%d]", at, n)); err != nil {
				return err
			}
		}
	case reflect.Struct:
		mapping, ok := node.(ast.MapNode)
		if !ok {
			return wrongKind(path, node, at, "keys and values")
		}
		fields := map[string]reflect.Type{}
		for _, field := range reflect.VisibleFields(t) { // those of inlined structs too
			if name := field.Tag.Get("yaml"); name != "" && name != "-" && name != ",inline" {
				fields[name] = field.Type
			}
		}
		for entries := mapping.MapRange(); entries.Next(); {
			key := entries.Key().GetToken()
			field, ok := fields[key.Value]
			if !ok {
				return unknownKey(path, key.Position.Line, at, key.Value, fields)
			}
			if err := unknownKeys(path, entries.Value(), field, strings.TrimPrefix(at+"."+key.Value, ".")); err != nil {
				return err
			}
		}
	}
	return nil
}

func wrongKind(path string, node ast.Node, at, want string) error {
	if at == "" {
		at = "the file"
	}
	return exit.Misuse("", "%s:%d: %s must be %s", path, node.GetToken().Position.Line, at, want)
}

func unknownKey(path string, line int, at, key string, known map[string]reflect.Type) error {
	if at == "" {
		at = "the file"
	}
	names := slices.Sorted(maps.Keys(known))
	hint := "known here: " + strings.Join(names, ", ")
	if near := exit.Nearest(key, names); near != "" {
		hint = fmt.Sprintf("did you mean %q?", near)
	}
	return exit.Misuse(hint, "%s:%d: %s has no key %q", path, line, at, key)
}

// placed words an error of the YAML library without quoting the file.
func placed(path string, err error) string {
	failure, ok := errors.AsType[yaml.Error](err)
	if !ok || failure.GetToken() == nil {
		return fmt.Sprintf("%s: %s", path, strings.SplitN(err.Error(), "\n", 2)[0])
	}
	message := failure.GetMessage()
	if typed, ok := errors.AsType[*yaml.TypeError](err); ok {
		message = fmt.Sprintf("%s is wanted here", wanted(typed.DstType))
	}
	if _, over := errors.AsType[*yaml.OverflowError](err); over {
		message = "a number that is not so large, or not negative, is wanted here"
	}
	return fmt.Sprintf("%s:%d: %s", path, failure.GetToken().Position.Line, message)
}

func wanted(t reflect.Type) string {
	switch t.Kind() {
	case reflect.Bool:
		return "true or false"
	case reflect.Int, reflect.Int64, reflect.Uint32, reflect.Uint8:
		return "a number"
	case reflect.Slice:
		return "a list"
	case reflect.String:
		return "a text"
	}
	return "another value"
}
