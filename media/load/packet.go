package load

import (
	"encoding/binary"
	"math/bits"
	"time"

	"handoff/media/srtp"
)

const (
	rtpHeader = 12
	// markSize is the run, the leg, the packet's index and when it was sent; a pattern follows.
	markSize = 4 + 4 + 4 + 8
	// Samples are in a packet of 20 ms: bytes of PCMU, and what the RTP timestamp moves by.
	Samples = 160
)

// mark is what a payload says of itself. Headers say it too, but a relay may number a stream anew.
//
//	|run|leg|index|sent|pattern…|
type mark struct {
	run   uint32
	leg   uint32
	index uint32
	sent  time.Time
}

// write makes the packet of a leg in b, which it fills.
func (m mark) write(b []byte, ssrc uint32) {
	b[0], b[1] = 2<<6, 0 // version 2, PCMU
	binary.BigEndian.PutUint16(b[2:], uint16(m.index))
	binary.BigEndian.PutUint32(b[4:], Samples*m.index)
	binary.BigEndian.PutUint32(b[8:], ssrc)
	p := b[rtpHeader:]
	binary.BigEndian.PutUint32(p, m.run)
	binary.BigEndian.PutUint32(p[4:], m.leg)
	binary.BigEndian.PutUint32(p[8:], m.index)
	binary.BigEndian.PutUint64(p[12:], uint64(m.sent.UnixNano()))
	rest, word := p[markSize:], m.pattern()
	for ; len(rest) >= 8; rest = rest[8:] {
		binary.BigEndian.PutUint64(rest, word)
		word = bits.RotateLeft64(word, 1)
	}
	for i := range rest {
		rest[i] = byte(word)
	}
}

// read returns the mark of a packet. It is false where the packet is none of ours, or not what it was.
func read(b []byte, payload int) (m mark, ok bool) {
	if len(b) != rtpHeader+payload || b[0]>>6 != 2 {
		return mark{}, false
	}
	p := b[rtpHeader:]
	m = mark{
		run: binary.BigEndian.Uint32(p), leg: binary.BigEndian.Uint32(p[4:]), index: binary.BigEndian.Uint32(p[8:]),
		sent: time.Unix(0, int64(binary.BigEndian.Uint64(p[12:]))),
	}
	rest, word := p[markSize:], m.pattern()
	for ; len(rest) >= 8; rest = rest[8:] {
		if binary.BigEndian.Uint64(rest) != word {
			return m, false
		}
		word = bits.RotateLeft64(word, 1)
	}
	for _, c := range rest {
		if c != byte(word) {
			return m, false
		}
	}
	return m, true
}

// pattern depends on everything in the mark, so that bytes of two packets can't be mixed unseen.
func (m mark) pattern() uint64 {
	x := uint64(m.leg)<<32 | uint64(m.index)
	x ^= uint64(m.run) * 0x9e3779b97f4a7c15
	x ^= uint64(m.sent.UnixNano()) * 0xbf58476d1ce4e5b9
	return x ^ x>>29
}

// room is for a packet and what sealing adds.
const room = rtpHeader + maxPayload + srtp.Room
