package relay

import (
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"testing"
)

// The sum is compared with the plain one of RFC 1071: over the pseudo header and the datagram with its
// checksum it is all ones.
func TestHeadersOfEveryLength(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for _, ips := range [][2]string{{"192.0.2.1", "198.51.100.2"}, {"255.255.255.255", "255.255.255.254"}, {"2001:db8::1", "2001:db8::2"}, {"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "::"}} {
		from := netip.AddrPortFrom(netip.MustParseAddr(ips[0]), 20000)
		to := netip.AddrPortFrom(netip.MustParseAddr(ips[1]), 65535)
		for size := range 300 {
			for _, fill := range []int{0, 0xff, -1} {
				payload := make([]byte, size)
				for i := range payload {
					if payload[i] = byte(fill); fill < 0 {
						payload[i] = byte(random.Uint32())
					}
				}
				h := make([]byte, ip6Header+udpHeader)
				h = h[:putHeaders(h, from, to, payload)]
				udp := append(h[len(h)-udpHeader:len(h):len(h)], payload...)
				pseudo := append(from.Addr().AsSlice(), to.Addr().AsSlice()...)
				pseudo = binary.BigEndian.AppendUint32(pseudo, uint32(len(udp)))
				pseudo = append(pseudo, 0, 17)
				if sum := plainSum(append(pseudo, udp...)); sum != 0xffff {
					t.Fatalf("%s, %d bytes of %d: sum %x", ips, size, fill, sum)
				}
				if binary.BigEndian.Uint16(udp[6:]) == 0 {
					t.Fatalf("%s, %d bytes of %d: no checksum", ips, size, fill)
				}
				if from.Addr().Is4() {
					if sum := plainSum(h[:ip4Header]); sum != 0xffff || int(binary.BigEndian.Uint16(h[2:])) != len(h)+size {
						t.Fatalf("%s: % x", ips, h)
					}
				} else if int(binary.BigEndian.Uint16(h[4:])) != udpHeader+size {
					t.Fatalf("%s: % x", ips, h)
				}
			}
		}
	}
}

func plainSum(b []byte) uint16 {
	sum := uint32(0)
	if len(b)%2 == 1 {
		b = append(b, 0)
	}
	for ; len(b) > 0; b = b[2:] {
		sum += uint32(binary.BigEndian.Uint16(b))
		sum = sum>>16 + sum&0xffff
	}
	return uint16(sum)
}

func BenchmarkHeaders(b *testing.B) {
	from, to := netip.MustParseAddrPort("192.0.2.1:20000"), netip.MustParseAddrPort("192.0.2.2:30000")
	h, payload := make([]byte, 64), make([]byte, 172)
	for b.Loop() {
		putHeaders(h, from, to, payload)
	}
}
