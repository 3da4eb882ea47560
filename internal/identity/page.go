// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package identity

import "errors"

// Page is a part of a list of people, or of what they have.
type Page struct {
	Limit int    // at most so many; zero: all
	After string // as the part before returned it; empty: from the start
}

var (
	// ErrPage means that Page.After was not returned by a list.
	ErrPage = errors.New("a list does not go on there")
	// ErrExists means that a user, group or client of that name is there
	// already.
	ErrExists = errors.New("exists already")
)
