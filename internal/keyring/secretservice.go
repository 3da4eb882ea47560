// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux || netbsd || openbsd

package keyring

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	ss "github.com/zalando/go-keyring/secret_service"
)

// locked reports whether somebody would be asked before the secret can be
// read or written. An error says why there is no keyring.
//
// The library unlocks whatever it meets, by a question on the screen, and
// waits for the answer; so this looks first.
func locked(service, account string) (bool, error) {
	if !hasBus(os.Getenv("DBUS_SESSION_BUS_ADDRESS"), filepath.Join("/run/user", strconv.Itoa(os.Getuid()), "bus")) {
		return false, errors.New("there is no D-Bus session here")
	}
	s, err := ss.NewSecretService()
	if err != nil {
		return false, fmt.Errorf("connecting to the D-Bus session: %w", err)
	}
	collection := s.GetLoginCollection()
	property, err := collection.GetProperty("org.freedesktop.Secret.Collection.Locked")
	if err != nil {
		return false, fmt.Errorf("asking the Secret Service: %w", err)
	}
	if is, ok := property.Value().(bool); !ok || is {
		return true, nil
	}
	// Some services unlock each item by itself.
	items, err := s.SearchItems(collection, map[string]string{"service": service, "username": account})
	if err != nil {
		return false, fmt.Errorf("asking the Secret Service: %w", err)
	}
	if len(items) == 0 {
		return false, nil
	}
	property, err = s.Object("org.freedesktop.secrets", items[0]).GetProperty("org.freedesktop.Secret.Item.Locked")
	if err != nil {
		return false, fmt.Errorf("asking the Secret Service: %w", err)
	}
	is, ok := property.Value().(bool)
	return !ok || is, nil
}

// hasBus reports whether the library would find a bus, by its address or by
// its usual socket. Where it does not, it starts one, which stays behind.
func hasBus(address, socket string) bool {
	if address != "" && address != "autolaunch:" {
		return true
	}
	_, err := os.Stat(socket)
	return err == nil
}
