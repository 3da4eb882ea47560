// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package portal

// The words of the shells, for the tests.
var (
	WordOfSh         = wordOfSh
	WordOfPowerShell = wordOfPowerShell
	WordOfCmd        = wordOfCmd
)

// Commands are the lines for each shell.
var Commands = commands
