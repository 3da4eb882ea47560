// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package tokencache

import (
	"path/filepath"
)

// ProviderFile keeps what was learnt about the provider of one key: its
// metadata, its key set, how it wants its clients to authenticate. It holds
// nothing secret, and losing it costs two requests. What is in it is the
// business of the package login.
type ProviderFile struct {
	Cache Cache
	Key   Key
}

// Load returns what was saved.
func (p ProviderFile) Load() ([]byte, error) {
	if p.Cache.Dir == "" {
		return nil, ErrAbsent
	}
	return readPrivate(p.path())
}

// Save replaces it.
func (p ProviderFile) Save(text []byte) error {
	if p.Cache.Dir == "" {
		return nil
	}
	return p.Cache.replace(p.path(), text)
}

func (p ProviderFile) path() string {
	return filepath.Join(p.Cache.Dir, Prefix+"provider-"+string(p.Key)+".json")
}
