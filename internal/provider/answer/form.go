// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package answer

import (
	"fmt"
	"mime"
	"net/http"
	"net/url"

	"github.com/tegata/tegata/internal/oidc"
)

// ReadForm reads the form that a client sends to one of its endpoints (RFC
// 6749, section 3.2): in the body, because an address ends up in logs, and
// each parameter once.
func ReadForm(r *http.Request) (url.Values, error) {
	if media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || media != "application/x-www-form-urlencoded" {
		return nil, &oidc.Error{Code: oidc.InvalidRequest, Description: "the body must be application/x-www-form-urlencoded"}
	}
	if err := r.ParseForm(); err != nil {
		return nil, &oidc.Error{Code: oidc.InvalidRequest, Description: "the form cannot be decoded", Cause: err}
	}
	for name, values := range r.PostForm {
		if len(values) > 1 {
			return nil, &oidc.Error{Code: oidc.InvalidRequest, Description: fmt.Sprintf("parameter %.40q is given more than once", name)}
		}
	}
	return r.PostForm, nil
}
