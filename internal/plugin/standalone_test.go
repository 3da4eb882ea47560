// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package plugin_test

import (
	"net/url"
	"os"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tegata/tegata/internal/oidctest"
)

// Several at once: a refresh token is good once.
func TestStandaloneAtOnce(t *testing.T) {
	d := newDesk(t)
	path := d.legacy("")
	args := []string{"--kubeconfig=" + path, "--certificate-authority=" + d.provider.CAFile(), "--listen-address=127.0.0.1:0"}
	d.provider.Change(func(b *oidctest.Behaviour) { b.Lifetime = 5 * time.Second })
	if code, _, stderr := d.plugin(args...); code != 0 {
		t.Fatal(stderr)
	}
	d.provider.Change(func(b *oidctest.Behaviour) { b.Lifetime = time.Hour })
	d.provider.Forget()
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			if code, stdout, stderr := d.plugin(args...); code != 0 || stderr != "" {
				t.Errorf("got %d, %q, %q", code, stdout, stderr)
			}
		})
	}
	all.Wait()
	if logins, tokens := d.logins(), d.provider.Count(oidctest.Token); logins != 1 || tokens != 1 {
		t.Errorf("%d logins and %d token requests, want 1 and 1", logins, tokens)
	}
}

// A rotated refresh token that cannot be written is told with its reason, and
// so is what else went wrong.
func TestStandaloneTellsOfALostRefreshToken(t *testing.T) {
	d := newDesk(t)
	path := d.legacy("")
	args := []string{"--kubeconfig=" + path, "--certificate-authority=" + d.provider.CAFile(), "--listen-address=127.0.0.1:0", "--force-refresh"}
	if code, _, stderr := d.plugin(args...); code != 0 {
		t.Fatal(stderr)
	}
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	d.provider.Change(func(b *oidctest.Behaviour) {
		b.Subject = "mallory"
		b.OnToken = func(url.Values) { os.Chmod(path, 0o400) } //nolint:errcheck // then the test fails
	})
	code, stdout, stderr := d.plugin(args...)
	want := regexp.MustCompile(`^error: the provider renewed the tokens of another end user \(subject "mallory", not "alice"\)\nand a new refresh token is not in the kubeconfig: .*/config is read-only\nhint: `)
	if code != 1 || stdout != "" || !want.MatchString(stderr) {
		t.Errorf("got %d, %q, %q", code, stdout, stderr)
	}
	for _, issued := range d.provider.Issued() {
		if strings.Contains(stderr, issued) {
			t.Error("the message holds a secret")
		}
	}
	if after, err := os.ReadFile(path); err != nil || string(after) != string(before) {
		t.Errorf("the kubeconfig became %q, %v", after, err)
	}
}
