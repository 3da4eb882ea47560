// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"encoding/base64"
	"encoding/json"
	"strings"

	"github.com/tegata/tegata/internal/oidc"
	"github.com/tegata/tegata/internal/secret"
)

// seenToken is what the API server will see.
type seenToken struct {
	algorithm string
	payload   json.RawMessage // as it came
	claims    oidc.Claims
}

// readToken reads what a token says that was verified when it came, or that
// only an API server can verify.
func readToken(token secret.String) (seen seenToken, opaque bool) {
	head, rest, _ := strings.Cut(token.Reveal(), ".")
	payload, _, _ := strings.Cut(rest, ".")
	var header struct {
		Algorithm string `json:"alg"`
	}
	text, err := base64.RawURLEncoding.DecodeString(head)
	if err != nil || json.Unmarshal(text, &header) != nil {
		return seenToken{}, true
	}
	if text, err = base64.RawURLEncoding.DecodeString(payload); err != nil || json.Unmarshal(text, &seen.claims) != nil {
		return seenToken{}, true
	}
	seen.algorithm, seen.payload = header.Algorithm, text
	return seen, false
}
