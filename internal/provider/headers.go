// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package provider

import "net/http"

// maxBody bounds every request body: the largest is a token request.
const maxBody = 64 << 10

// harden gives every answer the headers that are right for all of them. A
// page adds its Content-Security-Policy; everything else may load nothing.
func harden(next http.Handler, onLoopback bool) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		header := w.Header()
		header["Content-Security-Policy"] = contentSecurityPolicy
		header["X-Content-Type-Options"] = noSniff
		header["X-Frame-Options"] = deny
		// Not no-referrer: browsers would then send "Origin: null" with our
		// own forms, and nothing but the origin leaves for other sites.
		header["Referrer-Policy"] = sameOrigin
		header["Cross-Origin-Opener-Policy"] = sameOrigin
		if !onLoopback {
			// On a loopback address this would forbid http to every other
			// port too, and the credential plugin listens on one.
			header["Strict-Transport-Security"] = transportSecurity
		}
		r.Body = http.MaxBytesReader(w, r.Body, maxBody)
		next.ServeHTTP(w, r)
	})
}

// One slice each for all answers; nobody changes them.
var (
	contentSecurityPolicy = []string{"default-src 'none'; frame-ancestors 'none'"}
	noSniff               = []string{"nosniff"}
	deny                  = []string{"DENY"}
	sameOrigin            = []string{"same-origin"}
	transportSecurity     = []string{"max-age=31536000"}
)
