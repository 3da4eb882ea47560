// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package local

import "errors"

// Filter says which accounts are meant: those to which all that is set applies.
type Filter struct {
	Search string // a part of the user name, the e-mail address or the full name, in any case
	Source string
	Group  string // of this server, of which they are members
}

// Group is a group of local users.
type Group struct {
	Name     string
	Members  []string // user names, sorted
	Declared bool
}

// GroupSize is a group without the names of its members.
type GroupSize struct {
	Name     string
	Members  int
	Declared bool
}

// ErrNoGroup means that there is no such group.
var ErrNoGroup = errors.New("no such group")
