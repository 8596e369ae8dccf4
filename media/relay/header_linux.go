package relay

import (
	"encoding/binary"
	"math/bits"
	"net/netip"

	"golang.org/x/sys/unix"

	"handoff/media/lane"
)

const (
	ethernetHeader = 14
	ip4Header      = 20
	ip6Header      = 40
	udpHeader      = 8
	// dontFragment is a bit of the third word. With it a datagram needs no identification (RFC 6864 §4.1).
	dontFragment = 0x40
)

// putHeaders writes the IP and UDP headers of a datagram and returns their length. Both addresses are of
// one family.
//
//	|4|5|TOS|total length|id|flags|TTL|17|checksum|from|to|          IPv4, RFC 791 §3.1
//	|6|class, flow|payload length|17|hop limit|from|to|              IPv6, RFC 8200 §3
//	|port|port|length|checksum|                                      UDP, RFC 768
func putHeaders(h []byte, from, to netip.AddrPort, payload []byte) int {
	size := udpHeader + len(payload)
	var udp []byte
	sum := uint64(unix.IPPROTO_UDP + size) // of the pseudo header: protocol, length, addresses
	if to.Addr().Is4() {
		source, target := from.Addr().As4(), to.Addr().As4()
		h = h[:ip4Header+udpHeader]
		clear(h)
		h[0], h[6], h[8], h[9] = 0x45, dontFragment, lane.TTL, unix.IPPROTO_UDP
		binary.BigEndian.PutUint16(h[2:], uint16(ip4Header+size))
		copy(h[12:], source[:])
		copy(h[16:], target[:])
		binary.BigEndian.PutUint16(h[10:], ^fold(add(0, h[:ip4Header])))
		udp, sum = h[ip4Header:], add(sum, h[12:ip4Header])
	} else {
		source, target := from.Addr().As16(), to.Addr().As16()
		h = h[:ip6Header+udpHeader]
		clear(h)
		h[0], h[6], h[7] = 0x60, unix.IPPROTO_UDP, lane.TTL
		binary.BigEndian.PutUint16(h[4:], uint16(size))
		copy(h[8:], source[:])
		copy(h[24:], target[:])
		udp, sum = h[ip6Header:], add(sum, h[8:ip6Header])
	}
	binary.BigEndian.PutUint16(udp, from.Port())
	binary.BigEndian.PutUint16(udp[2:], to.Port())
	binary.BigEndian.PutUint16(udp[4:], uint16(size))
	binary.BigEndian.PutUint16(udp[6:], checksum(add(add(sum, udp), payload)))
	return len(h)
}

// checksum is never 0, which would say that there is none (RFC 768).
func checksum(sum uint64) uint16 {
	if c := ^fold(sum); c != 0 {
		return c
	}
	return 0xffff
}

// add goes on with a sum in ones' complement, four 16-bit words at a time (RFC 1071 §2); what came before
// had an even length.
func add(sum uint64, b []byte) uint64 {
	var carry uint64
	for ; len(b) >= 8; b = b[8:] {
		sum, carry = bits.Add64(sum, binary.BigEndian.Uint64(b), carry)
	}
	var rest [8]byte
	copy(rest[:], b)
	sum, carry = bits.Add64(sum, binary.BigEndian.Uint64(rest[:]), carry)
	return sum + carry // without another carry: the rest is never all ones
}

func fold(sum uint64) uint16 {
	sum = sum>>32 + sum&0xffffffff
	sum = sum>>32 + sum&0xffffffff
	sum = sum>>16 + sum&0xffff
	sum = sum>>16 + sum&0xffff
	return uint16(sum)
}
