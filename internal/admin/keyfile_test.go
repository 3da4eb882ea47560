// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package admin_test

import (
	"encoding/base64"
	"strings"
	"testing"

	"github.com/tegata/tegata/internal/admin"
	"github.com/tegata/tegata/internal/exit"
	"github.com/tegata/tegata/internal/seal"
)

// The first key of a file seals, all of them open, and what is no key is not
// repeated: it may be half of one.
func FuzzKeyFile(f *testing.F) {
	one, two := seal.RandomKey(), seal.RandomKey()
	first, second := base64.StdEncoding.EncodeToString(one.Bytes()), base64.StdEncoding.EncodeToString(two.Bytes())
	for _, text := range []string{first, first + "\n", second + "\r\n" + first + "\n", "\ufeff" + first, first[:20], "", "# comment", first + " x"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		ring, err := admin.ParseKeys(text)
		if err != nil {
			if exit.Code(err) != exit.Usage {
				t.Errorf("%q: got exit code %d, want %d", text, exit.Code(err), exit.Usage)
			}
			for _, word := range strings.Fields(text) {
				if len(word) > 12 && strings.Contains(err.Error(), word) {
					t.Errorf("the error quotes the file: %v", err)
				}
			}
			return
		}
		if words := strings.Fields(text); ring.Len() != len(words) {
			t.Errorf("%q: got %d keys, want %d", text, ring.Len(), len(words))
		}
		if strings.Contains(text, first) {
			if _, err := ring.Open(one.Seal([]byte("plain"), "context"), "context"); err != nil {
				t.Errorf("%q: a key of it does not open: %v", text, err)
			}
		}
	})
}
