// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package plugin

// ParseLists reads the flags that take lists and maps, for a comparison with
// pflag's own.
func ParseLists(args []string) (scopes []string, headers map[string]string, err error) {
	var flags getTokenFlags
	err = flags.define().Parse(args)
	return flags.extraScopes, flags.headers, err
}
