// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"

	"github.com/tegata/tegata/internal/provider/answer"
)

// maxBody bounds every request body: the largest is a token request.
const maxBody = 64 << 10

// harden gives every answer the headers that are right for all of them. A
// page adds its Content-Security-Policy; everything else may load nothing. A
// handler that panics is a defect of ours: it is logged, and answered as one.
func harden(next http.Handler, onLoopback bool, log *slog.Logger) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			defect := recover()
			if defect == http.ErrAbortHandler {
				panic(defect) // the server's own way to drop a connection
			}
			if defect != nil {
				answer.Error(w, r, log, fmt.Errorf("a defect: %v\n%s", defect, debug.Stack()))
			}
		}()
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
