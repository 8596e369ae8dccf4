package splice

import "encoding/binary"

// Mapping is what a Stream does to the numbers of its speaker.
type Mapping struct {
	// Begun is false when nothing was sent yet.
	Begun          bool
	From, To       uint32 // SSRC
	SequenceShift  uint16
	TimestampShift uint32
}

func (m Mapping) identity() bool {
	return m.From == m.To && m.SequenceShift == 0 && m.TimestampShift == 0
}

// Mapping tells it. A nil Stream has none: packets pass untouched.
func (s *Stream) Mapping() Mapping {
	if s == nil {
		return Mapping{}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.mapping()
}

func (s *Stream) mapping() Mapping {
	return Mapping{s.Begun, s.From, s.SSRC, s.SequenceShift, s.TimestampShift}
}

// RTCP packet types (RFC 3550 §12.1, RFC 4585 §6.1).
const (
	senderReport   = 200
	receiverReport = 201
	goodbye        = 203
	payloadReport  = 206
)

// RTCP makes a compound packet of the speaker speak of the stream instead of the speaker's own, in its
// own buffer, and seals it, for which the buffer has srtp.Room beyond the length. back is the mapping
// of the other way: of what it reports to have heard. A goodbye is cut off, since the stream goes on
// with another speaker. It is false when nothing is left, and when another speaks now.
func (s *Stream) RTCP(b []byte, by Voice, back Mapping) ([]byte, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.Begun && by != s.Speaker {
		return nil, false
	}
	b = s.retell(b, back)
	if len(b) == 0 {
		return nil, false
	}
	if s.sealer == nil {
		return b, true
	}
	return s.sealer.RTCP(b)
}

// retell rewrites packet by packet. What claims to be longer than there is stays as it is.
func (s *Stream) retell(b []byte, back Mapping) []byte {
	for at := 0; at+8 <= len(b); {
		size := 4 * (int(binary.BigEndian.Uint16(b[at+2:])) + 1)
		if at+size > len(b) || size < 8 {
			break
		}
		p := b[at : at+size]
		switch kind := p[1]; {
		case kind == goodbye:
			return b[:at]
		case kind == senderReport && len(p) >= 28:
			s.resend(p)
			hear(p[28:], back)
		case kind == receiverReport:
			hear(p[8:], back)
		case kind > goodbye && kind <= payloadReport && kind != goodbye+1 && len(p) >= 12:
			remote(p[8:], back) // feedback names the media source after the sender
		}
		// The sender of every kind, and the first chunk of a source description, stand here.
		if s.sealer != nil || s.Begun && !s.mapping().identity() {
			binary.BigEndian.PutUint32(p[4:], s.SSRC)
		}
		at += size
	}
	return b
}

// resend rewrites the sender's part of a report: the timestamp as it was sent on and, once the stream
// is more than this speaker's, the counts of the stream.
func (s *Stream) resend(p []byte) {
	m := s.mapping()
	if !m.Begun || m.identity() {
		return
	}
	binary.BigEndian.PutUint32(p[16:], binary.BigEndian.Uint32(p[16:])+m.TimestampShift)
	binary.BigEndian.PutUint32(p[20:], s.packets)
	binary.BigEndian.PutUint32(p[24:], s.octets)
}

// hear rewrites report blocks (RFC 3550 §6.4.1): the source as its owner knows it, and the highest
// sequence number likewise. How often that rolled over stays as told, which no one relies on.
func hear(blocks []byte, back Mapping) {
	for ; len(blocks) >= 24; blocks = blocks[24:] {
		if remote(blocks, back) {
			binary.BigEndian.PutUint16(blocks[10:], binary.BigEndian.Uint16(blocks[10:])-back.SequenceShift)
		}
	}
}

// remote rewrites an SSRC that stands first, if it is the stream's.
func remote(b []byte, back Mapping) bool {
	if !back.Begun || binary.BigEndian.Uint32(b) != back.To {
		return false
	}
	binary.BigEndian.PutUint32(b, back.From)
	return true
}
