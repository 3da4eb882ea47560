// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package authorize

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"
	"time"

	"github.com/tegata/tegata/internal/seal"
)

// What is pending in a login page does not open where a second factor is
// pending, whatever a browser says that its cookie is.
func TestKindsOfPendingStateHaveContextsOfTheirOwn(t *testing.T) {
	t.Parallel()
	h := &Handler{Seal: seal.RandomKey(), Cookie: "browser", Now: func() time.Time { return time.Unix(1e9, 0) }, PageLifetime: time.Hour}
	const value = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	with := func(cookie string, form url.Values) *http.Request {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.Header.Set("Cookie", "browser="+cookie)
		r.PostForm = form
		return r
	}
	// A state that an authorization request chose would be the subject of a step.
	sealed, err := h.sealed(httptest.NewRecorder(), with("second factor "+value, nil), request{State: "victim"})
	if err != nil {
		t.Fatal(err)
	}
	if plain, err := h.Seal.Open(sealed, "second factor "+value); err == nil {
		t.Errorf("the box of a login page opens as one of a second factor: %s", plain)
	}
}
