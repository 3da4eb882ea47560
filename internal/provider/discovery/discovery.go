// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

// Package discovery publishes what everybody may know of an issuer: its
// metadata (OpenID Connect Discovery 1.0, section 4; RFC 8414, section 3) and
// its key set (RFC 7517). Both are served from memory; the key set changes
// while it is served.
package discovery

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// Document is a public JSON document.
type Document struct {
	body         []byte
	etag         string
	cacheControl string
	length       string
}

// MetadataLifetime is how long others may keep the metadata.
const MetadataLifetime = 10 * time.Minute

// New makes a document of JSON that may be kept for the lifetime.
func New(body []byte, lifetime time.Duration) *Document {
	sum := sha256.Sum256(body)
	return &Document{
		body:         bytes.Clone(body),
		etag:         `"` + hex.EncodeToString(sum[:8]) + `"`,
		cacheControl: "public, max-age=" + strconv.Itoa(int(lifetime/time.Second)),
		length:       strconv.Itoa(len(body)),
	}
}

// ServeHTTP implements [http.Handler].
func (d *Document) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	header := w.Header()
	header.Set("Cache-Control", d.cacheControl)
	header.Set("Etag", d.etag)
	header.Set("Access-Control-Allow-Origin", "*") // nothing here is anybody's alone
	if d.isIn(r.Header.Get("If-None-Match")) {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	header.Set("Content-Type", "application/json")
	header.Set("Content-Length", d.length)
	w.Write(d.body)
}

// Changing is a public document that is another one from time to time.
type Changing struct {
	body     func() []byte
	lifetime time.Duration
	current  atomic.Pointer[Document]
}

// Follow makes a document of the JSON that body returns at each request. body
// must be cheap.
func Follow(body func() []byte, lifetime time.Duration) *Changing {
	c := &Changing{body: body, lifetime: lifetime}
	c.current.Store(New(body(), lifetime))
	return c
}

// ServeHTTP implements [http.Handler].
func (c *Changing) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	document, body := c.current.Load(), c.body()
	if !bytes.Equal(document.body, body) {
		document = New(body, c.lifetime)
		c.current.Store(document)
	}
	document.ServeHTTP(w, r)
}

// isIn reports whether the list of If-None-Match names the document (RFC
// 9110, section 13.1.2). Whoever compresses on the way makes the tag weak.
func (d *Document) isIn(list string) bool {
	for tag := range strings.SplitSeq(list, ",") {
		if tag = strings.TrimSpace(tag); tag == "*" || strings.TrimPrefix(tag, "W/") == d.etag {
			return true
		}
	}
	return false
}
