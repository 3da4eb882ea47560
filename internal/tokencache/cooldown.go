// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package tokencache

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// cooldownVersion is the version of the file's form.
const cooldownVersion = 1

// Cooldown says that a login has just come to nothing, so that those who come
// next need not ask the same person again. It holds nothing secret.
type Cooldown struct {
	Failed time.Time // when it ended
	Reason string    // how, in the words of the error
	Asked  string    // a digest of what was asked; another question is a new one
	Parent int       // the process that asked

	// Unreached says that nobody was asked, because the provider did not answer.
	Unreached bool
}

// cooldownWire is a [Cooldown] on disk.
type cooldownWire struct {
	Version int       `json:"version"`
	Failed  time.Time `json:"failed"`
	Reason  string    `json:"reason"`
	Asked   string    `json:"asked"`
	Parent  int       `json:"parent"`

	Unreached bool `json:"unreached,omitempty"`
}

// ReadCooldown returns what was noted, or [ErrAbsent].
func (c Cache) ReadCooldown(key Key) (Cooldown, error) {
	if c.Dir == "" {
		return Cooldown{}, ErrAbsent
	}
	text, err := readPrivate(c.cooldownPath(key))
	if err != nil {
		return Cooldown{}, ErrAbsent
	}
	var wire cooldownWire
	if json.Unmarshal(text, &wire) != nil || wire.Version != cooldownVersion {
		return Cooldown{}, ErrAbsent
	}
	return Cooldown{wire.Failed, wire.Reason, wire.Asked, wire.Parent, wire.Unreached}, nil
}

// SaveCooldown notes it.
func (c Cache) SaveCooldown(key Key, down Cooldown) error {
	if c.Dir == "" {
		return nil
	}
	text, err := json.Marshal(cooldownWire{cooldownVersion, down.Failed, down.Reason, down.Asked, down.Parent, down.Unreached})
	if err != nil {
		return err
	}
	return c.replace(c.cooldownPath(key), text)
}

// RemoveCooldown forgets it.
func (c Cache) RemoveCooldown(key Key) error {
	if c.Dir == "" {
		return nil
	}
	if err := os.Remove(c.cooldownPath(key)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

func (c Cache) cooldownPath(key Key) string {
	return filepath.Join(c.Dir, Prefix+"cooldown-"+string(key)+".json")
}
