package load

import (
	"encoding/binary"
	"fmt"
	"math/bits"
	"net"
	"net/netip"

	"golang.org/x/sys/unix"
)

// Frames returns a wire that hears by a UDP socket, as Listen does, and sends whole Ethernet frames by an
// interface to the station next: with every checksum written, as they come from a NIC, and at a third of the
// CPU, so that a burst arrives as one. IPv4 only. Needs CAP_NET_RAW.
func Frames(at netip.AddrPort, by net.Interface, next net.HardwareAddr) (Wire, error) {
	if !at.Addr().Is4() || len(by.HardwareAddr) != 6 || len(next) != 6 {
		return nil, fmt.Errorf("frames from %s (%s) to %s: want IPv4 over Ethernet", at, by.HardwareAddr, next)
	}
	listening, err := Listen(at)
	if err != nil {
		return nil, err
	}
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0) // protocol 0: it hears nothing
	if err != nil {
		_ = listening.Close()
		return nil, fmt.Errorf("packet socket: %w", err)
	}
	f := &frames{socket: listening.(*socket), fd: fd}
	err = unix.Bind(fd, &unix.SockaddrLinklayer{Ifindex: by.Index})
	if err == nil {
		err = unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_QDISC_BYPASS, 1)
	}
	if err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("packet socket on %s: %w", by.Name, err)
	}
	for i := range f.buffers {
		f.buffers[i] = header(next, by.HardwareAddr, f.local)
	}
	return f, nil
}

type frames struct {
	*socket
	fd      int
	buffers [batch][]byte
}

const (
	etherSize = 14
	ipSize    = 20
	udpSize   = 8
	ttl       = 64
)

// header is a frame with all that is the same in each.
func header(to, from net.HardwareAddr, source netip.AddrPort) []byte {
	b := make([]byte, etherSize+ipSize+udpSize, etherSize+ipSize+udpSize+room)
	copy(b, to)
	copy(b[6:], from)
	binary.BigEndian.PutUint16(b[12:], unix.ETH_P_IP)
	ip := b[etherSize:]
	ip[0], ip[6], ip[8], ip[9] = 4<<4|ipSize/4, 1<<6, ttl, unix.IPPROTO_UDP // do not fragment
	address := source.Addr().As4()
	copy(ip[12:], address[:])
	binary.BigEndian.PutUint16(ip[ipSize:], source.Port())
	return b
}

func (f *frames) Send(packets []Packet) int {
	for i, p := range packets {
		f.buffers[i] = fill(f.buffers[i][:etherSize+ipSize+udpSize], p)
		f.out.set(i, f.buffers[i])
		f.out.headers[i].Name, f.out.headers[i].Namelen = nil, 0
	}
	return f.out.send(f.fd, len(packets))
}

// fill puts a packet behind its header.
func fill(b []byte, p Packet) []byte {
	b = append(b, p.Data...)
	ip := b[etherSize:]
	to := p.To.Addr().As4()
	copy(ip[16:], to[:])
	binary.BigEndian.PutUint16(ip[2:], uint16(len(ip)))
	binary.BigEndian.PutUint16(ip[10:], 0)
	binary.BigEndian.PutUint16(ip[10:], checksum(ip[:ipSize], 0))
	udp := ip[ipSize:]
	binary.BigEndian.PutUint16(udp[2:], p.To.Port())
	binary.BigEndian.PutUint16(udp[4:], uint16(len(udp)))
	binary.BigEndian.PutUint16(udp[6:], 0)
	pseudo := uint64(binary.BigEndian.Uint32(ip[12:])) + uint64(binary.BigEndian.Uint32(ip[16:])) + unix.IPPROTO_UDP + uint64(len(udp))
	sum := checksum(udp, pseudo)
	if sum == 0 {
		sum = 0xffff // RFC 768: zero is none
	}
	binary.BigEndian.PutUint16(udp[6:], sum)
	return b
}

// checksum is RFC 1071's, of b and what was summed before, eight bytes at a time.
func checksum(b []byte, before uint64) uint16 {
	sum, carry := before, uint64(0)
	for ; len(b) >= 8; b = b[8:] {
		sum, carry = bits.Add64(sum, binary.BigEndian.Uint64(b), carry)
	}
	var rest [8]byte
	copy(rest[:], b)
	sum, carry = bits.Add64(sum, binary.BigEndian.Uint64(rest[:]), carry)
	sum, carry = bits.Add64(sum, 0, carry)
	sum = sum>>32 + sum&0xffffffff + carry
	for sum>>16 != 0 {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}

func (f *frames) Close() error {
	_ = unix.Close(f.fd)
	return f.socket.Close()
}
