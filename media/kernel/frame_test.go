//go:build linux && (amd64 || arm64)

package kernel

import (
	"encoding/binary"
	"net/netip"
	"testing"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// What the programs answer.
const (
	tcUp       = 0xffffffff // TC_ACT_UNSPEC
	tcRedirect = 7          // TC_ACT_REDIRECT
	xdpPass    = 2
	xdpTX      = 3
)

const (
	ethernet = 14
	header4  = 20
	header6  = 40
)

// frame is an Ethernet frame with right checksums, for whatever device has the address zero.
func frame(from, to netip.AddrPort, payload []byte) []byte {
	b := make([]byte, ethernet, ethernet+header6+8+len(payload))
	length := 8 + len(payload)
	if from.Addr().Is4() {
		binary.BigEndian.PutUint16(b[12:], unix.ETH_P_IP)
		ip := make([]byte, header4)
		ip[0], ip[6], ip[8], ip[9] = 0x45, 0x40, 7, unix.IPPROTO_UDP // do not fragment, TTL 7
		binary.BigEndian.PutUint16(ip[2:], uint16(header4+length))
		copy(ip[12:], from.Addr().AsSlice())
		copy(ip[16:], to.Addr().AsSlice())
		binary.BigEndian.PutUint16(ip[10:], ^fold(sum(ip)))
		b = append(b, ip...)
	} else {
		binary.BigEndian.PutUint16(b[12:], unix.ETH_P_IPV6)
		ip := make([]byte, header6)
		ip[0], ip[6], ip[7] = 0x60, unix.IPPROTO_UDP, 7
		binary.BigEndian.PutUint16(ip[4:], uint16(length))
		copy(ip[8:], from.Addr().AsSlice())
		copy(ip[24:], to.Addr().AsSlice())
		b = append(b, ip...)
	}
	b = binary.BigEndian.AppendUint16(b, from.Port())
	b = binary.BigEndian.AppendUint16(b, to.Port())
	b = binary.BigEndian.AppendUint16(b, uint16(length))
	b = append(b, 0, 0)
	b = append(b, payload...)
	check := ^fold(udpSum(b))
	if check == 0 {
		check = 0xffff
	}
	binary.BigEndian.PutUint16(udpOf(b)[6:], check)
	return b
}

// ipOf and udpOf are the headers and what follows of a frame without options.
func ipOf(b []byte) []byte { return b[ethernet:] }

func udpOf(b []byte) []byte {
	if b[ethernet]>>4 == 6 {
		return b[ethernet+header6:]
	}
	return b[ethernet+header4:]
}

func sum(b []byte) (total uint64) {
	for ; len(b) > 1; b = b[2:] {
		total += uint64(binary.BigEndian.Uint16(b))
	}
	if len(b) == 1 {
		total += uint64(b[0]) << 8
	}
	return total
}

func fold(total uint64) uint16 {
	for total > 0xffff {
		total = total&0xffff + total>>16
	}
	return uint16(total)
}

// udpSum is that over the pseudo header and the datagram, 0xffff when folded if its checksum is right.
func udpSum(b []byte) uint64 {
	udp := udpOf(b)
	return sum(addressesOf(b)) + unix.IPPROTO_UDP + uint64(len(udp)) + sum(udp)
}

// checksumsRight tells whether a receiver would accept the frame.
func checksumsRight(b []byte) bool {
	ip := ipOf(b)
	if ip[0]>>4 == 4 && fold(sum(ip[:header4])) != 0xffff {
		return false
	}
	check := binary.BigEndian.Uint16(udpOf(b)[6:])
	return check == 0 && ip[0]>>4 == 4 || fold(udpSum(b)) == 0xffff
}

// lab is a path whose programs are run by hand, on one live slot.
type lab struct {
	*Path
	t   testing.TB
	way Way
}

var (
	way4 = Way{
		From:  netip.MustParseAddrPort("192.0.2.1:4000"),
		Local: netip.MustParseAddrPort("198.51.100.1:20000"),
		Out:   netip.MustParseAddrPort("198.51.100.77:20002"),
		To:    netip.MustParseAddrPort("203.0.113.200:65534"),
	}
	way6 = Way{
		From:  netip.MustParseAddrPort("[2001:db8::1]:4000"),
		Local: netip.MustParseAddrPort("[2001:db8:1::1]:20000"),
		Out:   netip.MustParseAddrPort("[2001:db8:2::ffff]:20002"),
		To:    netip.MustParseAddrPort("[2001:db8:3:1:2:3:4:5]:65534"),
	}
)

// newLab goes around Start, for these addresses are nobody's.
func newLab(t testing.TB, w Way) *lab {
	l := &lab{open(t, by(HookXDP)), t, w}
	l.live(w)
	return l
}

func (l *lab) live(w Way) {
	l.way = w
	port := w.Local.Port()
	s := l.slot(port)
	s.turnOff()
	h := hop{ifindex: 1, next: w.To.Addr(), framed: true, to: [6]byte{2, 0, 0, 0, 0, 1}, out: [6]byte{2, 0, 0, 0, 0, 2}}
	s.setHop(h)
	s.setWay(w)
	s.refresh(l.deadline())
	l.mu.Lock() // the path looks at its ways by itself
	l.started[port] = &started{way: w, hop: h}
	l.mu.Unlock()
	s.turnOn()
}

// run gives a frame to a program, and returns what it says and what became of the frame.
func (l *lab) run(program *ebpf.Program, b []byte) (uint32, []byte) {
	l.t.Helper()
	verdict, after, err := try(program, b)
	if err != nil {
		l.t.Fatal(err)
	}
	return verdict, after
}

// try is run for frames that the kernel may find too short for a test.
func try(program *ebpf.Program, b []byte) (uint32, []byte, error) {
	options := &ebpf.RunOptions{Data: b, DataOut: make([]byte, len(b)+256)}
	verdict, err := program.Run(options)
	return verdict, options.DataOut, err
}

func (l *lab) counts() Counts {
	l.t.Helper()
	c, ok := l.Read(l.way.Local.Port())
	if !ok {
		l.t.Fatal("no slot")
	}
	return c
}
