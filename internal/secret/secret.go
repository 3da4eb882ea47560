// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

// Package secret holds values that must never be seen: whatever prints,
// logs or encodes a [String] gets "[redacted]" instead of the value.
//
// The value itself comes out through [String.Reveal] alone, so that every
// place where a secret leaves the program can be found by that name. Any
// package may import this one; it imports only the standard library.
package secret

import (
	"crypto/subtle"
	"encoding/json"
	"fmt"
	"io"
)

// Redacted is what a secret prints as.
const Redacted = "[redacted]"

// String is a secret text: a password, a code, a token, a client secret.
// The zero value is the absent secret.
type String struct{ value string }

// New makes a secret of s.
func New(s string) String { return String{s} }

// Reveal returns the secret itself. It is for the wire, for a hash and for
// sealed storage; never for a message, a log or an argument list.
func (s String) Reveal() string { return s.value }

// IsZero reports whether there is no secret.
func (s String) IsZero() bool { return s.value == "" }

// Equal compares two secrets in time that depends on their length alone.
func (s String) Equal(other String) bool {
	return subtle.ConstantTimeCompare([]byte(s.value), []byte(other.value)) == 1
}

// String implements [fmt.Stringer].
func (s String) String() string {
	if s.IsZero() {
		return ""
	}
	return Redacted
}

// Format implements [fmt.Formatter], so that no verb reaches the value.
func (s String) Format(f fmt.State, _ rune) { io.WriteString(f, s.String()) }

// MarshalText implements [encoding.TextMarshaler]; it encodes the redacted
// form. It is also what log/slog logs.
func (s String) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// MarshalJSON implements [json.Marshaler]; it encodes the redacted form.
func (s String) MarshalJSON() ([]byte, error) { return json.Marshal(s.String()) }

// UnmarshalText implements [encoding.TextUnmarshaler].
func (s *String) UnmarshalText(text []byte) error {
	s.value = string(text)
	return nil
}

// UnmarshalJSON implements [json.Unmarshaler].
func (s *String) UnmarshalJSON(data []byte) error { return json.Unmarshal(data, &s.value) }
