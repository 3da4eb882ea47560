// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package page

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"html/template"
	"net/url"
)

// policy is the Content-Security-Policy of a page. It allows our style sheet,
// our icon, and a form that answers to us and, by a redirect, to the client.
func policy(redirectURI string) string {
	target := ""
	if u, err := url.Parse(redirectURI); err == nil && u.Scheme != "" {
		// Browsers hold form-action against every address that the answer to
		// the form redirects to, and a client may send them on to any other
		// of its own. So the scheme is as narrow as it can be.
		target = " https: " + u.Scheme + ":"
		if u.Scheme == "https" {
			target = " https:"
		}
	}
	return "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'" + target +
		"; base-uri 'none'; frame-ancestors 'none'"
}

// script is a script that stands in a page. The policy names it by its hash,
// so that no other one runs there.
type script struct {
	text   template.JS
	source string
}

func readScript(name string) (script, error) {
	text, err := files.ReadFile(name)
	if err != nil {
		return script{}, fmt.Errorf("reading an embedded file: %w", err)
	}
	sum := sha256.Sum256(text)
	return script{template.JS(text), "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"}, nil
}
