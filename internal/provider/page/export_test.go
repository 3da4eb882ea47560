// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package page

// The words, for the tests.
var (
	English  = english
	Japanese = japanese
)

// Messages are all words in one language.
type Messages = messages
