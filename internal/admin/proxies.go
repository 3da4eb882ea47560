// Copyright The Tegata Authors
// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// proxies are the networks of the load balancers whose word on where a
// request came from is taken. Everybody else can write what they like.
type proxies []netip.Prefix

// parseProxies reads addresses and networks: 192.0.2.7, 10.0.0.0/8, fd00::/8.
func parseProxies(texts []string) (proxies, error) {
	var found proxies
	for _, text := range texts {
		if address, err := netip.ParseAddr(text); err == nil && address.Zone() == "" {
			found = append(found, netip.PrefixFrom(address.Unmap(), address.Unmap().BitLen()))
			continue
		}
		network, err := netip.ParsePrefix(text)
		switch {
		case err != nil:
			return nil, fmt.Errorf("%q is neither an address nor a network such as 10.0.0.0/8", text)
		case network != network.Masked():
			return nil, fmt.Errorf("%s has bits set beyond its length; %s is meant", text, network.Masked())
		case network.Bits() == 0:
			return nil, fmt.Errorf("%s would trust everybody", text)
		}
		found = append(found, network)
	}
	return found, nil
}

func (p proxies) trust(address netip.Addr) bool {
	return slices.ContainsFunc(p, func(network netip.Prefix) bool { return network.Contains(address.Unmap()) })
}

// maxHops is more proxies than anybody has in a row.
const maxHops = 16

// handler puts the address of the client itself in place of the last proxy's,
// for the throttle, the log and the audit trail: the rightmost one in
// X-Forwarded-For that is not a trusted proxy's. What stands left of it was
// written by the client.
func (p proxies) handler(next http.Handler) http.Handler {
	if len(p) == 0 {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if client, ok := p.client(r); ok {
			r.RemoteAddr = net.JoinHostPort(client.String(), "0") // a proxy rarely tells the port
		}
		next.ServeHTTP(w, r)
	})
}

func (p proxies) client(r *http.Request) (client netip.Addr, ok bool) {
	from, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil || !p.trust(from.Addr()) {
		return netip.Addr{}, false
	}
	// Several headers are one list (RFC 9110, section 5.3).
	list := strings.Join(r.Header.Values("X-Forwarded-For"), ",")
	for range maxHops {
		cut := strings.LastIndexByte(list, ',')
		address, valid := forwarded(list[cut+1:])
		if !valid {
			return client, ok // a proxy wrote nothing, or nonsense
		}
		client, ok = address, true
		if !p.trust(address) || cut < 0 {
			return client, true
		}
		list = list[:cut]
	}
	return client, ok
}

// forwarded reads one element: an address, perhaps with a port.
func forwarded(element string) (netip.Addr, bool) {
	element = strings.TrimSpace(element)
	if address, err := netip.ParseAddr(strings.Trim(element, "[]")); err == nil {
		return address.Unmap().WithZone(""), true
	}
	if both, err := netip.ParseAddrPort(element); err == nil {
		return both.Addr().Unmap().WithZone(""), true
	}
	return netip.Addr{}, false
}
