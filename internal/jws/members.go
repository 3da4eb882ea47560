// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package jws

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// members are those of a JSON object by their exact names. A struct would
// take "ALG" for alg, and the last of two that have one name.
type members map[string]json.RawMessage

// readMembers reads one object and nothing behind it. RFC 7515, section 4:
// names must be unique.
func readMembers(text []byte) (members, error) {
	if !utf8.Valid(text) {
		return nil, errors.New("is not in UTF-8")
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	if begin, err := decoder.Token(); err != nil || begin != json.Delim('{') {
		return nil, errors.New("is no JSON object")
	}
	m := members{}
	for decoder.More() {
		token, err := decoder.Token()
		name, ok := token.(string)
		var value json.RawMessage
		if err != nil || !ok || decoder.Decode(&value) != nil {
			return nil, errors.New("is no JSON object")
		}
		if _, twice := m[name]; twice {
			return nil, fmt.Errorf("has %.40q twice", name)
		}
		m[name] = value
	}
	if _, err := decoder.Token(); err != nil {
		return nil, errors.New("is no JSON object")
	}
	if _, err := decoder.Token(); err != io.EOF {
		return nil, errors.New("has something behind its JSON object")
	}
	return m, nil
}

// text is a member that may be absent and is a string if it is there.
func (m members) text(name string) (string, error) {
	value, ok := m[name]
	if !ok {
		return "", nil
	}
	var text *string // nil after null, which is no string either
	if json.Unmarshal(value, &text) != nil || text == nil {
		return "", fmt.Errorf("has a %q that is no string", name)
	}
	return *text, nil
}

// bytes are those of a member that must be there, in base64url.
func (m members) bytes(name string) ([]byte, error) {
	text, err := m.text(name)
	if err != nil {
		return nil, err
	}
	if text == "" {
		return nil, fmt.Errorf("has no %q", name)
	}
	value, err := decode(text)
	if err != nil {
		return nil, fmt.Errorf("has a %q that is no base64url", name)
	}
	return value, nil
}

// decode reads base64url (RFC 7515, section 2): without padding, without line
// ends, which the decoder would pass over, and in the one way to write it.
func decode(text string) ([]byte, error) {
	value, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil || strings.ContainsAny(text, "\r\n") {
		return nil, errors.New("it is no base64url")
	}
	return value, nil
}

func encode(value []byte) string { return base64.RawURLEncoding.EncodeToString(value) }
