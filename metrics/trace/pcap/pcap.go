// Package pcap writes the messages of a call as a capture file, which Wireshark, tshark and sngrep read.
//
// It owns the form of the file: pcapng (draft-ietf-opsawg-pcapng) of raw IP packets (LINKTYPE_RAW), each with one message in
// UDP (RFC 791, RFC 8200, RFC 768), its time to the nanosecond, its direction, and a comment that says how it really
// travelled. What came over TCP or TLS is shown as UDP too: inside TLS a dissector sees nothing, and a TCP stream made up
// around messages would show windows and acknowledgements that never were. It does not own the messages, nor does it mask
// anything: who calls gives messages without secrets. It is pure; one file is one goroutine's.
package pcap

import (
	"bufio"
	"cmp"
	"encoding/binary"
	"io"
	"net/netip"
	"slices"
	"time"

	"handoff/metrics"
	"handoff/metrics/trace"
)

// Block types, options and values of pcapng.
const (
	sectionHeader  = 0x0A0D0D0A
	byteOrderMagic = 0x1A2B3C4D
	interfaceBlock = 1
	packetBlock    = 6

	endOfOptions      = 0
	comment           = 1
	userApplication   = 4 // of a section
	timeResolution    = 9 // of an interface
	packetFlags       = 2 // of a packet
	inbound, outbound = 1, 2
	nanoseconds       = 9
	linkRaw           = 101
	ofUnknownLength   = ^uint64(0)
)

// Begin begins a file and returns what adds messages to it, and packets of media of which there is the header only, in the order of
// their times. They are written when it returns, in whole blocks.
func Begin(w io.Writer) (add func(messages []trace.Message, media ...trace.Packet) error) {
	out := &writer{w: bufio.NewWriter(w)}
	out.begin()
	return func(messages []trace.Message, media ...trace.Packet) error {
		all := make([]frame, 0, len(messages)+len(media))
		for _, m := range messages {
			all = append(all, message(m))
		}
		for _, p := range media {
			all = append(all, packet(p))
		}
		slices.SortStableFunc(all, func(a, b frame) int { return a.at.Compare(b.at) })
		for _, f := range all {
			out.frame(f)
		}
		return cmp.Or(out.err, out.w.Flush())
	}
}

// frame is one packet of the file.
type frame struct {
	at            time.Time
	direction     metrics.Direction
	local, remote netip.AddrPort
	said          string // about it
	payload       []byte
	size          int // that it had
}

// message cuts one that is longer than a datagram.
func message(m trace.Message) frame {
	raw := trace.Plausible(m.Raw)
	f := frame{m.Time, m.Direction, address(m.Local), address(m.Remote), travelled(m), raw, len(raw)}
	if f.size > longest {
		f.said, f.payload, f.size = f.said+", cut", raw[:longest], longest
	}
	return f
}

func packet(p trace.Packet) frame {
	return frame{p.Time, p.Direction, p.Local, p.Remote, "leg " + p.Leg + ", the header only", p.Header, p.Size}
}

// writer writes blocks; behind an error it writes no more.
type writer struct {
	w   *bufio.Writer
	err error
}

func (w *writer) begin() {
	section := binary.LittleEndian.AppendUint32(nil, byteOrderMagic)
	section = binary.LittleEndian.AppendUint16(section, 1) // version 1.0
	section = binary.LittleEndian.AppendUint16(section, 0)
	section = binary.LittleEndian.AppendUint64(section, ofUnknownLength)
	w.block(sectionHeader, option(section, userApplication, []byte("handoff")))

	link := binary.LittleEndian.AppendUint16(nil, linkRaw)
	link = append(link, 0, 0, 0, 0, 0, 0) // reserved, and packets of any length
	w.block(interfaceBlock, option(link, timeResolution, []byte{nanoseconds}))
}

func (w *writer) frame(f frame) {
	from, to, flag := f.local, f.remote, uint32(outbound)
	if f.direction == metrics.In {
		from, to, flag = to, from, inbound
	}
	captured := datagram(from, to, f.payload, f.size)
	at := uint64(f.at.UnixNano())
	body := binary.LittleEndian.AppendUint32(nil, 0) // the interface
	body = binary.LittleEndian.AppendUint32(body, uint32(at>>32))
	body = binary.LittleEndian.AppendUint32(body, uint32(at))
	body = binary.LittleEndian.AppendUint32(body, uint32(len(captured)))
	body = binary.LittleEndian.AppendUint32(body, uint32(len(captured)+f.size-len(f.payload)))
	body = padded(append(body, captured...))
	body = option(body, packetFlags, binary.LittleEndian.AppendUint32(nil, flag))
	w.block(packetBlock, option(body, comment, []byte(f.said)))
}

// travelled tells whose message it was and over what.
func travelled(m trace.Message) string {
	way := "to "
	if m.Direction == metrics.In {
		way = "from "
	}
	said := way + m.Peer.String() + " over " + m.Transport
	if m.Transport != "udp" {
		said += ", shown as UDP"
	}
	return said
}

// address reads an end of a connection. One that can't be read is shown as 0.0.0.0: the message is what is looked for.
func address(text string) netip.AddrPort {
	at, err := netip.ParseAddrPort(text)
	if err != nil {
		return netip.AddrPortFrom(netip.IPv4Unspecified(), 0)
	}
	return netip.AddrPortFrom(at.Addr().Unmap(), at.Port())
}

// block writes body with its type and, before and behind it, its length. It holds options up to here.
func (w *writer) block(kind uint32, body []byte) {
	if w.err != nil {
		return
	}
	body = option(body, endOfOptions, nil)
	length := uint32(len(body) + 12)
	all := binary.LittleEndian.AppendUint32(nil, kind)
	all = binary.LittleEndian.AppendUint32(all, length)
	all = append(all, body...)
	_, w.err = w.w.Write(binary.LittleEndian.AppendUint32(all, length))
}

// option appends one to a block, whose other fields stand already.
func option(block []byte, code uint16, value []byte) []byte {
	block = binary.LittleEndian.AppendUint16(block, code)
	block = binary.LittleEndian.AppendUint16(block, uint16(len(value)))
	return padded(append(block, value...))
}

// padded fills up to 32 bits, which all that blocks hold begins at.
func padded(b []byte) []byte {
	for len(b)%4 != 0 {
		b = append(b, 0)
	}
	return b
}
