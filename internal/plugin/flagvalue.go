// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"encoding/csv"
	"fmt"
	"maps"
	"strings"
)

// pflag has both of these values, with the same syntax. But it writes each
// default through a CSV writer when the flag is declared, which the warm path
// would pay for four times.

// commaList is a flag that may be repeated and whose value may be a list in
// the form of CSV. The first use replaces the default.
type commaList struct {
	values *[]string
	given  bool
}

func (l *commaList) String() string { return strings.Join(*l.values, ",") }
func (l *commaList) Type() string   { return "strings" }

// Set implements [pflag.Value].
func (l *commaList) Set(text string) error {
	values, err := commaFields(text)
	if err != nil {
		return err
	}
	if !l.given {
		*l.values, l.given = nil, true
	}
	*l.values = append(*l.values, values...)
	return nil
}

// pairMap is a flag that may be repeated and whose value is name=value, or a
// list of these in the form of CSV.
type pairMap struct{ values *map[string]string }

func (m *pairMap) String() string { return "" } // none of them has a default
func (m *pairMap) Type() string   { return "name=value" }

// Set implements [pflag.Value].
func (m *pairMap) Set(text string) error {
	words := []string{strings.Trim(text, `"`)}
	if strings.Count(text, "=") > 1 {
		// With one equals sign, a comma belongs to the value.
		var err error
		if words, err = commaFields(text); err != nil {
			return err
		}
	}
	pairs := map[string]string{}
	for _, word := range words {
		name, value, ok := strings.Cut(word, "=")
		if !ok {
			return fmt.Errorf("%q is not name=value", word)
		}
		pairs[name] = value
	}
	if *m.values == nil {
		*m.values = pairs
		return nil
	}
	maps.Copy(*m.values, pairs)
	return nil
}

func commaFields(text string) ([]string, error) {
	if text == "" {
		return nil, nil
	}
	return csv.NewReader(strings.NewReader(text)).Read()
}
