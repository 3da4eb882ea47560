// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package admin_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"testing"
)

// A span for each request, and nothing in it of what the request said: an
// authorization request carries state, nonce and login hints, and a callback
// would carry a code.
func TestSpansHoldNoParameters(t *testing.T) {
	var mu sync.Mutex // guards the field below
	var sent bytes.Buffer
	collector := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		fmt.Fprintf(&sent, "%s %s\n", r.Method, r.URL.Path)
		io.Copy(&sent, r.Body) //nolint:errcheck // what came is looked at
	}))
	defer collector.Close()

	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "tegata.yaml"), []byte("tracing: {endpoint: '"+collector.URL+"/v1/traces'}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var p process
	if err := p.start(dir, []string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir}, "--dev", "--config", "tegata.yaml", "--data-dir", "data", "--listen", "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	defer p.kill()
	ca, err := os.ReadFile(filepath.Join(dir, "data", "ca.crt"))
	if err != nil {
		t.Fatal(err)
	}
	client := p.client(string(ca))
	r, err := http.NewRequest(http.MethodGet, p.issuer+"/authorize?client_id=nobody&state=the-state&login_hint=the-hint&redirect_uri=https://the-client.example", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer the-token")
	r.Header.Set("Cookie", "a=the-cookie")
	answer, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	client.CloseIdleConnections()
	if code, err := p.stop(terminate); err != nil || code != 0 { // what is left is sent at the end
		t.Fatalf("%d, %v: %s", code, err, p.stderr.String())
	}
	mu.Lock()
	defer mu.Unlock()
	for _, want := range []string{"POST /v1/traces", "tegata", "GET"} {
		if !bytes.Contains(sent.Bytes(), []byte(want)) {
			t.Errorf("the spans do not hold %q", want)
		}
	}
	for _, secret := range []string{"the-state", "the-hint", "the-client", "the-token", "the-cookie"} {
		if bytes.Contains(sent.Bytes(), []byte(secret)) {
			t.Errorf("the spans hold %q", secret)
		}
	}
}

func TestTracesGoNowhereInTheClear(t *testing.T) {
	for endpoint, want := range map[string]int{
		"https://collector.example.com:4318/v1/traces": 0, "http://127.0.0.1:4318/v1/traces": 0,
		"http://collector.example.com/v1/traces": 2, "collector:4318": 2, "https://u:p@collector.example.com": 2,
	} {
		path := filepath.Join(t.TempDir(), "tegata.yaml")
		if err := os.WriteFile(path, []byte("issuer: https://id.example.com\ntracing: {endpoint: '"+endpoint+"'}\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := tegata(t, nil, "", "config", "check", path); got.code != want {
			t.Errorf("%s: got %+v, want %d", endpoint, got, want)
		}
	}
}
