package phone

import "github.com/pion/rtp"

// Stats is what a phone sent and heard so far. A packet is counted in exactly one of Heard, Doubled, Damaged, Other, Digits' packets,
// Undecryptable, Foreign, Early and Malformed.
type Stats struct {
	Sent          uint64 // packets of our voice
	Heard         uint64 // packets of a voice, whole, each once
	Lost          uint64 // numbers missing between the first and the last heard, over all voices
	Reordered     uint64 // of Heard: came after a higher number
	Doubled       uint64
	Damaged       uint64 // a voice, but not its payload
	Other         uint64 // sound that is no phone's voice: a comfort tone, music
	Quiet         uint64 // of Other: nothing but silence
	Loudest       uint8  // of Other: the largest magnitude, companded, 0 to 127
	Undecryptable uint64 // SRTP authentication failed, or the packet came before
	Foreign       uint64 // from another source than the SDP announced
	Early         uint64 // before the peer's SDP was known
	Malformed     uint64 // no RTP, or a payload type that was not agreed
	ReportsSent   uint64 // RTCP
	Reports       uint64 // RTCP heard, whole
	BadReports    uint64 // RTCP that does not parse, does not authenticate or is foreign
	Digits        string // telephone-events heard
	Voices        []uint32
	Streams       int    // SSRCs heard
	Leaps         uint64 // packets whose sequence number is not the one after the last of their SSRC
	Backward      uint64 // packets whose timestamp is before the last of their SSRC
}

// Sound is how many packets of Other one can hear.
func (s Stats) Sound() uint64 { return s.Other - s.Quiet }

// maxStreams bounds how many SSRCs are followed; the packets of others count as Leaps.
const maxStreams = 16

// followed is the last packet of an SSRC.
type followed struct {
	sequence  uint16
	timestamp uint32
}

// followLocked notes how a packet continues its stream.
func (p *Phone) followLocked(h *rtp.Header) {
	last, known := p.streams[h.SSRC]
	switch {
	case !known && len(p.streams) >= maxStreams:
		p.stats.Leaps++
		return
	case !known:
		p.stats.Streams++
	default:
		if h.SequenceNumber != last.sequence+1 {
			p.stats.Leaps++
		}
		if int32(h.Timestamp-last.timestamp) < 0 {
			p.stats.Backward++
		}
	}
	p.streams[h.SSRC] = followed{h.SequenceNumber, h.Timestamp}
}

// loudest is the largest magnitude in a payload, companded: 0 is the codec's zero, 127 full scale.
func loudest(codec uint8, payload []byte) (most uint8) {
	zero := byte(0x7f) // PCMU counts downwards
	if codec == PCMA {
		zero = 0x55
	}
	for _, b := range payload {
		most = max(most, (b^zero)&0x7f)
	}
	return most
}

// maxVoices bounds how many speakers are told apart; what others say counts as Other.
const maxVoices = 16

// window is how far back a doubled packet is recognised.
const window = 1024

// tally follows one voice.
type tally struct {
	voice       *voice // as it must sound
	first, last uint32
	heard       uint64
	recent      [window]uint64 // number+1 by number modulo window
}

// note files number n of a voice and tells whether it came twice or late.
func (t *tally) note(n uint32) (doubled, late bool) {
	slot := &t.recent[n%window]
	if *slot == uint64(n)+1 {
		return true, false
	}
	*slot = uint64(n) + 1
	if t.heard == 0 {
		t.first, t.last = n, n
	}
	t.heard++
	late = n < t.last
	t.first, t.last = min(t.first, n), max(t.last, n)
	return false, late
}

func (t *tally) lost() uint64 {
	if t.heard == 0 {
		return 0 // nothing but damaged frames so far
	}
	return uint64(t.last-t.first) + 1 - t.heard
}
