// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package authorize

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/tegata/tegata/internal/provider/page"
)

// responseMode is how an answer travels to the client (OAuth 2.0 Multiple
// Response Type Encoding Practices, section 2.1; OAuth 2.0 Form Post Response
// Mode). Empty means query, the default of response_type=code.
type responseMode string

const (
	modeQuery    responseMode = "query"
	modeFragment responseMode = "fragment"
	modeFormPost responseMode = "form_post"
)

// ResponseModes lists the values of response_mode.
func ResponseModes() []string {
	return []string{string(modeQuery), string(modeFragment), string(modeFormPost)}
}

func checkResponseMode(text, redirectURI string) (responseMode, error) {
	switch mode := responseMode(text); mode {
	case "", modeQuery:
		return "", nil
	case modeFragment:
		return mode, nil
	case modeFormPost:
		if !strings.HasPrefix(redirectURI, "https://") && !strings.HasPrefix(redirectURI, "http://") {
			return "", invalid("response_mode=form_post needs a redirect URI that takes a form")
		}
		return mode, nil
	}
	return "", invalid("unknown response_mode %.40q", text)
}

// respond sends an answer to the client, code or error, with our issuer in it
// against mix-up (RFC 9207). The registered URI is kept byte by byte; its
// query, if any, is added to.
func (h *Handler) respond(w http.ResponseWriter, r *http.Request, req request, answer url.Values) {
	if req.State != "" {
		answer.Set("state", req.State)
	}
	answer.Set("iss", string(h.Issuer))
	switch {
	case req.Mode == modeFormPost:
		h.Pages.FormPost(w, r, page.FormPost{RedirectURI: req.RedirectURI, Answer: answer})
	case req.Mode == modeFragment:
		h.leave(w, r, req.RedirectURI+"#"+answer.Encode())
	case strings.Contains(req.RedirectURI, "?"):
		h.leave(w, r, req.RedirectURI+"&"+answer.Encode())
	default:
		h.leave(w, r, req.RedirectURI+"?"+answer.Encode())
	}
}

// leave sends the browser on. 303: whatever the method was, the next one is
// GET, so a password is never posted on (RFC 9700, section 4.12).
func (h *Handler) leave(w http.ResponseWriter, r *http.Request, address string) {
	w.Header().Set("Cache-Control", "no-store")
	http.Redirect(w, r, address, http.StatusSeeOther)
}
