package pcap

import (
	"encoding/binary"
	"net/netip"
)

const (
	headerIPv4 = 20
	headerIPv6 = 40
	headerUDP  = 8
	// longest is what one datagram over IPv4 holds; a message may be some bytes longer (limits.message_bytes).
	longest = 0xffff - headerIPv4 - headerUDP

	protocolUDP  = 17
	dontFragment = 0x4000
	hops         = 64
)

// datagram is an IP packet over UDP of size bytes, of which payload are there. Ends of two families are both written as IPv6.
func datagram(from, to netip.AddrPort, payload []byte, size int) []byte {
	source, destination := from.Addr().AsSlice(), to.Addr().AsSlice()
	if len(source) != len(destination) {
		a, b := from.Addr().As16(), to.Addr().As16()
		source, destination = a[:], b[:]
	}
	udp := binary.BigEndian.AppendUint16(nil, from.Port())
	udp = binary.BigEndian.AppendUint16(udp, to.Port())
	udp = binary.BigEndian.AppendUint16(udp, uint16(headerUDP+size))
	udp = append(udp, 0, 0) // the checksum
	udp = append(udp, payload...)

	if len(payload) == size { // nobody can tell the checksum of what is not there: it stays 0, none
		checksum := fold(add(add(add(uint32(protocolUDP+len(udp)), source), destination), udp))
		if checksum == 0 {
			checksum = 0xffff // RFC 768: a zero says that there is none
		}
		binary.BigEndian.PutUint16(udp[6:], checksum)
	}

	ends := append(source, destination...)
	if len(ends) == 8 {
		return append(ipv4(ends, headerUDP+size), udp...)
	}
	return append(ipv6(ends, headerUDP+size), udp...)
}

func ipv4(ends []byte, length int) []byte {
	h := make([]byte, 12, headerIPv4+length)
	h[0] = 4<<4 | headerIPv4/4
	binary.BigEndian.PutUint16(h[2:], uint16(headerIPv4+length))
	binary.BigEndian.PutUint16(h[6:], dontFragment)
	h[8], h[9] = hops, protocolUDP
	h = append(h, ends...)
	binary.BigEndian.PutUint16(h[10:], fold(add(0, h)))
	return h
}

func ipv6(ends []byte, length int) []byte {
	h := make([]byte, 8, headerIPv6+length)
	h[0] = 6 << 4
	binary.BigEndian.PutUint16(h[4:], uint16(length))
	h[6], h[7] = protocolUDP, hops
	return append(h, ends...)
}

// add sums 16-bit words up as RFC 1071 does; sums of up to 64 KB fit.
func add(sum uint32, b []byte) uint32 {
	for ; len(b) >= 2; b = b[2:] {
		sum += uint32(binary.BigEndian.Uint16(b))
	}
	if len(b) == 1 {
		sum += uint32(b[0]) << 8
	}
	return sum
}

func fold(sum uint32) uint16 {
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}
