// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux || netbsd || openbsd

package keyring_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tegata/tegata/internal/keyring"
)

// The library starts a bus of its own where it finds none.
func TestNoBusIsStarted(t *testing.T) {
	dir := t.TempDir()
	socket := filepath.Join(dir, "bus")
	if err := os.WriteFile(socket, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		address, socket string
		want            bool
	}{
		{"", filepath.Join(dir, "nowhere"), false},
		{"autolaunch:", filepath.Join(dir, "nowhere"), false},
		{"", socket, true},
		{"autolaunch:", socket, true},
		{"unix:path=/nowhere", filepath.Join(dir, "nowhere"), true},
	} {
		if got := keyring.HasBus(test.address, test.socket); got != test.want {
			t.Errorf("%q and %s: got %t", test.address, test.socket, got)
		}
	}
}

func TestBusThatIsGone(t *testing.T) {
	t.Setenv("DBUS_SESSION_BUS_ADDRESS", "unix:path="+filepath.Join(t.TempDir(), "nowhere"))
	k := keyring.Keyring{Service: "tegata test"}
	if value, err := k.Get(t.Context(), "account"); err == nil || !strings.HasPrefix(err.Error(), "connecting to the D-Bus session: ") || !value.IsZero() {
		t.Errorf("got %v", err)
	}
}
