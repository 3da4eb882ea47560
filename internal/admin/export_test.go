// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"reflect"
	"slices"

	"github.com/spf13/cobra"

	"github.com/tegata/tegata/internal/seal"
)

// Root is the tree of commands, for what walks over it: help and reference.
func Root(env Env) *cobra.Command {
	root := newRoot(env)
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd()
	return root
}

// DecodeConfig decodes and checks a configuration file's text.
func DecodeConfig(text []byte) error {
	var c config
	if err := decodeStrict("tegata.yaml", text, &c); err != nil {
		return err
	}
	return c.check()
}

// ConfigKeys lists the keys of the configuration file: a.b for a key inside
// a, a[].b for one inside a list.
func ConfigKeys() []string {
	var keys []string
	var walk func(t reflect.Type, at string)
	walk = func(t reflect.Type, at string) {
		for i := range t.NumField() {
			field := t.Field(i)
			name := field.Tag.Get("yaml")
			switch name {
			case "", "-":
				continue
			case ",inline":
				walk(field.Type, at)
				continue
			case "issuers": // each entry has the keys of an issuer, once more
				keys = append(keys, name)
				continue
			}
			keys = append(keys, at+name)
			inner := field.Type
			if inner.Kind() == reflect.Pointer {
				inner = inner.Elem()
			}
			switch {
			case inner.Kind() == reflect.Struct:
				walk(inner, at+name+".")
			case inner.Kind() == reflect.Slice && inner.Elem().Kind() == reflect.Struct:
				walk(inner.Elem(), at+name+"[].")
			}
		}
	}
	walk(reflect.TypeFor[config](), "")
	slices.Sort(keys)
	return keys
}

// ParseKeys reads the text of a key file.
func ParseKeys(text string) (seal.Ring, error) { return parseKeys("FILE", text) }

// ExposedTo tells who can read a key file.
var ExposedTo = exposedTo
