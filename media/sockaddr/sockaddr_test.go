//go:build linux

package sockaddr

import (
	"net"
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"
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

func TestADatagramGoesThereAndBack(t *testing.T) {
	for _, ip := range []string{"127.0.0.1", "::1"} {
		t.Run(ip, func(t *testing.T) {
			conn, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(ip), 0)))
			if err != nil {
				t.Skip("this machine has no such address: ", err)
			}
			defer conn.Close()
			raw, err := conn.SyscallConn()
			if err != nil {
				t.Fatal(err)
			}
			self := conn.LocalAddr().(*net.UDPAddr).AddrPort()
			err = raw.Control(func(fd uintptr) {
				buf := make([]byte, 3)
				if _, _, err := ReceiveFrom(int(fd), buf); err != unix.EAGAIN {
					t.Error("nothing has come, but: ", err)
				}
				if err := SendTo(int(fd), []byte("hello"), self); err != 0 {
					t.Error(err)
				}
				if n, from, err := ReceiveFrom(int(fd), buf); err != 0 || string(buf[:n]) != "hel" || from != self {
					t.Errorf("got %q from %s, %v", buf[:n], from, err)
				}
				if err := SendTo(int(fd), make([]byte, 1<<16), self); err != unix.EMSGSIZE {
					t.Error("too long, but: ", err)
				}
			})
			if err != nil {
				t.Fatal(err)
			}
		})
	}
}
