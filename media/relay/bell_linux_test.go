package relay

import (
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"
)

// A bell at rest tells of nothing, and one that is set again of what has come meanwhile.
func TestABellAtRestIsSilentUntilItIsSet(t *testing.T) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if err := bind(fd, netip.AddrPortFrom(here, 0)); err != nil {
		t.Fatal(err)
	}
	at, err := unix.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	b, err := newBell(fd)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	told := make([]unix.EpollEvent, 1)
	rings := func() bool { return b.Ready(told) > 0 }
	send := func() {
		t.Helper()
		if err := unix.Sendto(fd, []byte{1}, 0, at); err != nil { // on loopback it has come when this returns
			t.Fatal(err)
		}
	}
	send()
	if !rings() || rings() {
		t.Fatal("not once for the first datagram")
	}
	for range 2 { // for it may rest twice
		b.rest()
	}
	if send(); rings() {
		t.Error("it rings at rest")
	}
	if b.set(); !rings() || rings() {
		t.Error("not once for what came while it was at rest")
	}
	if b.set(); !rings() {
		t.Error("not for what still waits")
	}
}
