//go:build linux

package sockaddr

import (
	"net/netip"
	"testing"
)

func TestAnAddressIsReadAsWritten(t *testing.T) {
	for _, text := range []string{"192.0.2.1:4000", "255.255.255.255:65535", "[2001:db8::1]:4001", "[::]:1"} {
		want := netip.MustParseAddrPort(text)
		var a Addr
		a.Set(want)
		if got := a.Get(); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}
