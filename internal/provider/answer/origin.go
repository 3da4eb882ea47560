// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package answer

import "net/http"

// AllowOrigin lets the script of a web page read the answer to its request,
// if its origin is allowed (the Fetch standard, CORS). Cookies never come
// along: what a script may have, it has by the tokens that it holds.
func AllowOrigin(w http.ResponseWriter, r *http.Request, allowed func(origin string) bool) {
	origin := r.Header.Get("Origin")
	if origin == "" {
		return
	}
	header := w.Header()
	header.Add("Vary", "Origin")
	if allowed(origin) {
		header.Set("Access-Control-Allow-Origin", origin)
		header.Set("Access-Control-Expose-Headers", "WWW-Authenticate")
	}
}
