// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package secret_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/tegata/tegata/internal/secret"
)

func TestSecretNeverPrints(t *testing.T) {
	const value = "correct horse battery staple"
	s := secret.New(value)
	holder := struct {
		Token secret.String `json:"token"`
		List  []secret.String
		Map   map[string]secret.String
	}{s, []secret.String{s}, map[string]secret.String{"k": s}}

	var out bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d"} {
		fmt.Fprintf(&out, verb+" "+verb+" "+verb+"\n", s, &s, holder)
	}
	fmt.Fprintln(&out, s, holder, &holder)
	if err := json.NewEncoder(&out).Encode(holder); err != nil {
		t.Fatal(err)
	}
	for _, handler := range []slog.Handler{slog.NewTextHandler(&out, nil), slog.NewJSONHandler(&out, nil)} {
		slog.New(handler).Info("login", "secret", s, "pointer", &s, "holder", holder)
	}
	for _, leak := range []string{value, fmt.Sprintf("%x", value), "horse"} {
		if strings.Contains(out.String(), leak) {
			t.Errorf("output contains %q:\n%s", leak, out.String())
		}
	}
	if !strings.Contains(out.String(), secret.Redacted) {
		t.Errorf("output does not say %s:\n%s", secret.Redacted, out.String())
	}
	if got := s.Reveal(); got != value {
		t.Errorf("Reveal() = %q, want %q", got, value)
	}
}

func TestSecretDecodesFromJSON(t *testing.T) {
	var got struct{ Token secret.String }
	if err := json.Unmarshal([]byte(`{"Token":"abc"}`), &got); err != nil {
		t.Fatal(err)
	}
	if !got.Token.Equal(secret.New("abc")) || got.Token.Equal(secret.New("abd")) {
		t.Errorf("decoded secret does not compare equal to its value alone")
	}
}
