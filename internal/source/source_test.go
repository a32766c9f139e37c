package source_test

import (
	"net/netip"
	"testing"

	"cofre/internal/source"
)

func TestOnlyTrustedProxiesSayWhoAClientIs(t *testing.T) {
	behind := source.Proxies{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("2001:db8::/32")}
	for _, c := range []struct {
		name    string
		proxies source.Proxies
		remote  string
		header  []string
		want    string
	}{
		{"nobody trusted", nil, "10.0.0.1:4000", []string{"192.0.2.1"}, "10.0.0.1"},
		{"a stranger's word", behind, "198.51.100.1:4000", []string{"192.0.2.1"}, "198.51.100.1"},
		{"no header", behind, "10.0.0.1:4000", nil, "10.0.0.1"},
		{"the balancer's word", behind, "10.0.0.1:4000", []string{"192.0.2.1"}, "192.0.2.1"},
		{"what the client wrote itself is hearsay", behind, "10.0.0.1:4000", []string{"203.0.113.9, 192.0.2.1"}, "192.0.2.1"},
		{"in a header of its own", behind, "10.0.0.1:4000", []string{"203.0.113.9", "192.0.2.1"}, "192.0.2.1"},
		{"two proxies", behind, "10.0.0.1:4000", []string{"192.0.2.1, 10.9.9.9"}, "192.0.2.1"},
		{"proxies alone", behind, "10.0.0.1:4000", []string{"10.8.8.8, 10.9.9.9"}, "10.8.8.8"},
		{"nonsense", behind, "10.0.0.1:4000", []string{"192.0.2.1, unknown"}, "10.0.0.1"},
		{"with a port", behind, "10.0.0.1:4000", []string{"192.0.2.1:55"}, "192.0.2.1"},
		{"IPv6", behind, "[2001:db8::1]:4000", []string{"[2001:db9::7]:55"}, "2001:db9::7"},
		{"IPv4 in IPv6", behind, "[::ffff:10.0.0.1]:4000", []string{"::ffff:192.0.2.1"}, "192.0.2.1"},
		{"no address", behind, "pipe", []string{"192.0.2.1"}, "invalid IP"},
	} {
		if got := c.proxies.Client(c.remote, c.header).String(); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}

// FuzzForwardedFor holds that whatever a client writes into the header, an address that its proxy wrote behind it counts.
func FuzzForwardedFor(f *testing.F) {
	for _, seed := range []string{"", "192.0.2.1", "203.0.113.9, 10.0.0.1", "unknown, [2001:db8::1]:80", ",,,", "10.0.0.1, 10.0.0.2"} {
		f.Add(seed)
	}
	behind := source.Proxies{netip.MustParsePrefix("10.0.0.0/8")}
	f.Fuzz(func(t *testing.T, written string) {
		if got := behind.Client("10.0.0.1:1", []string{written + ", 192.0.2.1"}); got != netip.MustParseAddr("192.0.2.1") {
			t.Errorf("client %v", got)
		}
		if got := source.Proxies(nil).Client("10.0.0.1:1", []string{written}); got != netip.MustParseAddr("10.0.0.1") {
			t.Errorf("a stranger's word made it %v", got)
		}
		behind.Client(written, []string{written})
		source.Of(behind.Client("10.0.0.1:1", []string{written}))
	})
}
