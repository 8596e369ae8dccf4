package hep

import (
	"encoding/binary"
	"encoding/json"
	"net/netip"
	"time"

	"handoff/metrics"
	"handoff/metrics/trace"
)

// Chunks of vendor 0, those that are of no particular one.
const (
	chunkFamily = iota + 1
	chunkProtocol
	chunkSourceIPv4
	chunkDestinationIPv4
	chunkSourceIPv6
	chunkDestinationIPv6
	chunkSourcePort
	chunkDestinationPort
	chunkSeconds
	chunkMicroseconds
	chunkType
	chunkAgent

	chunkPassword    = 0x0e
	chunkPayload     = 0x0f
	chunkCorrelation = 0x11
	chunkNode        = 0x13
)

const (
	familyIPv4, familyIPv6   = 2, 10
	protocolTCP, protocolUDP = 6, 17
	typeSIP, typeRTCP        = 1, 5 // the latter as JSON

	magic       = "HEP3"
	headerSize  = len(magic) + 2
	chunkHeader = 6
	// largest is what one UDP datagram holds, the length of which counts all that a packet is of.
	largest = 0xffff - 20 - 8
)

// packet is one that is being written.
type packet []byte

// message is a SIP message as a packet.
func (s *Sender) message(m trace.Message) []byte {
	from, to := m.Local, m.Remote
	if m.Direction == metrics.In {
		from, to = to, from
	}
	protocol := byte(protocolTCP)
	if m.Transport == "udp" {
		protocol = protocolUDP
	}
	p := s.begin(m.Time, typeSIP, protocol, address(from), address(to))
	return p.end(s.correlation(trace.CallID(m.Raw)), m.Raw)
}

// address reads an end of a connection; one that can't be read is shown as 0.0.0.0.
func address(text string) netip.AddrPort {
	at, _ := netip.ParseAddrPort(text)
	return at
}

// begin writes all but correlation id and payload.
func (s *Sender) begin(at time.Time, kind, protocol byte, from, to netip.AddrPort) packet {
	p := append(make(packet, 0, 2048), magic...)
	p = append(p, 0, 0) // the length
	p = p.ends(unmapped(from), unmapped(to))
	p = p.chunk(chunkProtocol, []byte{protocol})
	p = p.chunk(chunkSourcePort, binary.BigEndian.AppendUint16(nil, from.Port()))
	p = p.chunk(chunkDestinationPort, binary.BigEndian.AppendUint16(nil, to.Port()))
	p = p.chunk(chunkSeconds, binary.BigEndian.AppendUint32(nil, uint32(at.Unix())))
	p = p.chunk(chunkMicroseconds, binary.BigEndian.AppendUint32(nil, uint32(at.Nanosecond()/1000)))
	p = p.chunk(chunkType, []byte{kind})
	p = p.chunk(chunkAgent, binary.BigEndian.AppendUint32(nil, s.cfg.ID))
	if s.cfg.Node != "" {
		p = p.chunk(chunkNode, []byte(s.cfg.Node))
	}
	if s.cfg.Password != "" {
		p = p.chunk(chunkPassword, []byte(s.cfg.Password))
	}
	return p
}

// ends of two families are both written as IPv6.
func (p packet) ends(from, to netip.Addr) packet {
	if from.Is4() && to.Is4() {
		p = p.chunk(chunkFamily, []byte{familyIPv4})
		p = p.chunk(chunkSourceIPv4, from.AsSlice())
		return p.chunk(chunkDestinationIPv4, to.AsSlice())
	}
	source, destination := from.As16(), to.As16()
	p = p.chunk(chunkFamily, []byte{familyIPv6})
	p = p.chunk(chunkSourceIPv6, source[:])
	return p.chunk(chunkDestinationIPv6, destination[:])
}

func unmapped(at netip.AddrPort) netip.Addr {
	if !at.IsValid() {
		return netip.IPv4Unspecified()
	}
	return at.Addr().Unmap()
}

// end writes the rest; of a payload that does not fit, what does.
func (p packet) end(correlation string, payload []byte) packet {
	const mostCorrelation = 1024 // a Call-ID is a peer's word
	p = p.chunk(chunkCorrelation, []byte(correlation[:min(len(correlation), mostCorrelation)]))
	p = p.chunk(chunkPayload, payload[:min(len(payload), largest-chunkHeader-len(p))])
	binary.BigEndian.PutUint16(p[len(magic):], uint16(len(p)))
	return p
}

// chunk appends one: vendor, type and length, which counts these three too.
func (p packet) chunk(kind uint16, value []byte) packet {
	p = append(p, 0, 0)
	p = binary.BigEndian.AppendUint16(p, kind)
	p = binary.BigEndian.AppendUint16(p, uint16(chunkHeader+len(value)))
	return append(p, value...)
}

// report is a report as a packet: RTCP as JSON, as other agents send it and Homer draws it. It comes from the leg's peer, and
// its correlation id is the leg's Call-ID, by which Homer looks for reports of a call.
func (s *Sender) report(r Report) []byte {
	const senderReport, clock = 200, 8000 // jitter is told in units of the clock, which is that of telephony
	payload, _ := json.Marshal(map[string]any{
		"type":               senderReport,
		"ssrc":               r.Reporter,
		"report_count":       1,
		"sender_information": map[string]any{"packets": r.Packets, "octets": r.Bytes},
		"report_blocks": []map[string]any{{
			"source_ssrc":   r.Source,
			"fraction_lost": r.Fraction,
			"packets_lost":  r.Lost,
			"ia_jitter":     int64(r.Jitter * clock / time.Second),
			"rtt":           r.RoundTrip.Seconds(),
		}},
	}) // plain data: it always marshals
	return s.begin(r.Time, typeRTCP, protocolUDP, r.Remote, r.Local).end(r.CallID, payload)
}
