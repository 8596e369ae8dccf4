//go:build unix && !linux

package portable

import (
	"net/netip"
	"syscall"
	"testing"
)

// Twilio loses media that arrive with a TTL of 10 or less.
func TestMediaLeaveWithTTL64(t *testing.T) {
	tests := []struct {
		name, ip      string
		level, option int
	}{
		{"ipv4", "127.0.0.1", syscall.IPPROTO_IP, syscall.IP_TTL},
		{"ipv6", "::1", syscall.IPPROTO_IPV6, syscall.IPV6_UNICAST_HOPS},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			conn, err := listen(netip.MustParseAddr(tt.ip), 0)
			if err != nil {
				t.Skip("this machine has no such loopback:", err)
			}
			defer func() { _ = conn.Close() }()
			raw, err := conn.SyscallConn()
			if err != nil {
				t.Fatal(err)
			}
			var got int
			var failed error
			if err := raw.Control(func(fd uintptr) { got, failed = syscall.GetsockoptInt(int(fd), tt.level, tt.option) }); err != nil || failed != nil {
				t.Fatal(err, failed)
			}
			if got != 64 {
				t.Errorf("ttl %d", got)
			}
		})
	}
}
