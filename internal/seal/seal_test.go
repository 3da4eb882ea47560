// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package seal_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/tegata/tegata/internal/seal"
)

func TestBoxOpensOnlyWithItsKeyAndContext(t *testing.T) {
	key := seal.RandomKey()
	box := key.Seal([]byte("plain"), "context")
	if got, err := key.Open(box, "context"); err != nil || string(got) != "plain" {
		t.Fatalf("Open = %q, %v", got, err)
	}
	if strings.Contains(box, "plain") || box == key.Seal([]byte("plain"), "context") {
		t.Error("a box shows its content or repeats itself")
	}
	changed := "A" + box[1:]
	if box[0] == 'A' {
		changed = "B" + box[1:]
	}
	for name, open := range map[string]func() ([]byte, error){
		"another key":     func() ([]byte, error) { return seal.RandomKey().Open(box, "context") },
		"another purpose": func() ([]byte, error) { return key.Derive("other").Open(box, "context") },
		"another context": func() ([]byte, error) { return key.Open(box, "contexts") },
		"changed":         func() ([]byte, error) { return key.Open(changed, "context") },
		"cut":             func() ([]byte, error) { return key.Open(box[:20], "context") },
		"no base64":       func() ([]byte, error) { return key.Open("***", "context") },
		"empty":           func() ([]byte, error) { return key.Open("", "context") },
	} {
		if got, err := open(); !errors.Is(err, seal.ErrNotOurs) {
			t.Errorf("%s: Open = %q, %v; want ErrNotOurs", name, got, err)
		}
	}
}

func TestMACKeepsPartsApart(t *testing.T) {
	key := seal.RandomKey()
	if bytes.Equal(key.MAC("ab", "c"), key.MAC("a", "bc")) {
		t.Error("MAC does not tell where a part ends")
	}
	if !bytes.Equal(key.MAC("ab", "c"), key.MAC("ab", "c")) {
		t.Error("MAC differs for equal parts")
	}
}

func TestKeyNeverPrints(t *testing.T) {
	key, err := seal.NewKey([]byte("0123456789abcdef0123456789abcdef"))
	if err != nil {
		t.Fatal(err)
	}
	if out := fmt.Sprintf("%v %+v %#v %s %x %q %d", key, key, key, key, key, key, key); strings.ContainsAny(out, "0123456789") {
		t.Errorf("a key prints: %s", out)
	}
}
