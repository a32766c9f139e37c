// Package source says where a request comes from, and which addresses count as one.
package source

import (
	"net/netip"
	"strings"
)

// Proxies are the addresses of balancers and proxies in front, whose word about who sends a request counts. Anybody can write
// X-Forwarded-For; so without any (the zero value), nobody's word does.
type Proxies []netip.Prefix

// Client gives the address that a request comes from: the connection's other end, remote ("host:port"), or, where that is a
// proxy, the nearest address in X-Forwarded-For that is none. What stands left of it is hearsay. The result is the zero Addr
// where remote is no address.
func (p Proxies) Client(remote string, forwardedFor []string) netip.Addr {
	at, err := netip.ParseAddrPort(remote)
	if err != nil {
		return netip.Addr{}
	}
	client := at.Addr().Unmap().WithZone("")
	for i := len(forwardedFor) - 1; i >= 0; i-- {
		for rest := forwardedFor[i]; rest != ""; {
			if !p.contains(client) {
				return client
			}
			var last string
			if comma := strings.LastIndexByte(rest, ','); comma >= 0 {
				rest, last = rest[:comma], rest[comma+1:]
			} else {
				rest, last = "", rest
			}
			next, ok := parseForwarded(strings.TrimSpace(last))
			if !ok {
				return client // the proxy did not write this
			}
			client = next
		}
	}
	return client
}

func (p Proxies) contains(a netip.Addr) bool {
	for _, prefix := range p {
		if prefix.Contains(a) {
			return true
		}
	}
	return false
}

// parseForwarded reads an address of X-Forwarded-For, with a port (some proxies write it) or without.
func parseForwarded(s string) (netip.Addr, bool) {
	if at, err := netip.ParseAddrPort(s); err == nil {
		return at.Addr().Unmap().WithZone(""), true
	}
	a, err := netip.ParseAddr(strings.Trim(s, "[]"))
	return a.Unmap().WithZone(""), err == nil
}

// Of gives what an address is counted by: an IPv4 address itself, of an IPv6 address the /64, which is what one customer has at
// least. It is the zero Prefix for the zero Addr.
func Of(a netip.Addr) netip.Prefix {
	a = a.Unmap().WithZone("")
	bits := a.BitLen()
	if a.Is6() {
		bits = 64
	}
	prefix, err := a.Prefix(bits)
	if err != nil {
		return netip.Prefix{}
	}
	return prefix
}
