// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package oidc

import "net"

// LoopbackHost reports whether a host name without its port is this machine
// itself (RFC 8252, section 7.3).
func LoopbackHost(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
