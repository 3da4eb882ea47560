// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

func read(t testing.TB, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func indent(text, by string) string {
	return by + strings.ReplaceAll(strings.TrimRight(text, "\n"), "\n", "\n"+by)
}

// expire makes the cached ID token look as if it had expired an hour ago.
func (l *laptop) expire(t *testing.T) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(l.home, ".kube", "cache", "oidc-login", "tegata-*.json"))
	if err != nil {
		t.Fatal(err)
	}
	changed := 0
	for _, file := range files {
		text := read(t, file)
		expired := regexp.MustCompile(`"expiry":\s*\d+`).ReplaceAllString(text, `"expiry":1577836800`)
		if expired == text {
			continue
		}
		changed++
		if err := os.WriteFile(file, []byte(expired), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if changed != 1 {
		t.Fatalf("%d token cache entries were expired, want 1", changed)
	}
}
