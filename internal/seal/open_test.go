// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package seal_test

import (
	"bytes"
	"testing"

	"github.com/tegata/tegata/internal/seal"
)

func FuzzOpen(f *testing.F) {
	key := seal.RandomKey()
	f.Add(key.Seal([]byte("plain"), "context"), "context")
	f.Add("", "")
	f.Add("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", "context")
	sealed := key.Seal([]byte("plain"), "context")
	f.Fuzz(func(t *testing.T, box, context string) {
		if plain, err := key.Open(box, context); err == nil && (string(plain) != "plain" || context != "context") {
			t.Errorf("%q opened to %q for %q", box, plain, context)
		}
		if plain, err := key.Open(sealed, context); err == nil && context != "context" {
			t.Errorf("a box opened to %q for %q", plain, context)
		}
		if plain, err := key.Open(key.Seal([]byte(box), context), context); err != nil || !bytes.Equal(plain, []byte(box)) {
			t.Errorf("got %q, %v; want %q back", plain, err, box)
		}
	})
}
