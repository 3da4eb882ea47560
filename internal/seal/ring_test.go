// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package seal_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/tegata/tegata/internal/seal"
)

func TestRingOpensWhatItsOlderKeysSealed(t *testing.T) {
	older, newer := seal.RandomKey(), seal.RandomKey()
	box := older.Seal([]byte("plain"), "context")
	ring := seal.NewRing(newer, older)
	if got, err := ring.Open(box, "context"); err != nil || string(got) != "plain" {
		t.Fatalf("Open = %q, %v", got, err)
	}
	if _, err := ring.Open(box, "another"); !errors.Is(err, seal.ErrNotOurs) {
		t.Errorf("another context: got %v, want %v", err, seal.ErrNotOurs)
	}
	if _, err := seal.NewRing(newer).Open(box, "context"); !errors.Is(err, seal.ErrNotOurs) {
		t.Errorf("without the older key: got %v, want %v", err, seal.ErrNotOurs)
	}
	if got, err := newer.Open(ring.Seal([]byte("new"), "context"), "context"); err != nil || string(got) != "new" {
		t.Errorf("the first key does not seal: %q, %v", got, err)
	}
}

func TestResealLeavesTheOlderKeyUnneeded(t *testing.T) {
	older, newer := seal.RandomKey(), seal.RandomKey()
	ring := seal.NewRing(newer, older)
	box, err := ring.Reseal(older.Seal([]byte("plain"), "context"), "context")
	if err != nil {
		t.Fatal(err)
	}
	if got, err := newer.Open(box, "context"); err != nil || string(got) != "plain" {
		t.Errorf("the newer key opens %q, %v", got, err)
	}
	if again, err := ring.Reseal(box, "context"); err != nil || again != box {
		t.Errorf("sealed twice: %v", err)
	}
	if _, err := ring.Reseal(box, "another"); !errors.Is(err, seal.ErrNotOurs) {
		t.Errorf("another context: got %v, want %v", err, seal.ErrNotOurs)
	}
	if got := fmt.Sprintf("%v %+v %d %s", ring, ring, ring, ring); got != "[redacted] [redacted] [redacted] [redacted]" {
		t.Errorf("a ring prints %q", got)
	}
}
