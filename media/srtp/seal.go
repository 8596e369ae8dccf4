package srtp

import "handoff/media/sdp"

// Sealer encrypts one stream: one key and one SSRC, which whoever makes it must never have used
// together before. It covers no index twice: a packet whose index was used is refused, whatever it
// holds (RFC 3711 §9.1: two payloads under one index give both away). It belongs to one goroutine at a
// time: splice.Stream guards it, as it must guard the numbers of the packets as well.
type Sealer struct {
	ssrc    uint32
	cipher  cipher
	window  window
	started bool
	control uint32 // the last index of SRTCP
}

// NewSealer returns a Sealer, or ErrKey.
func NewSealer(suite sdp.Suite, key sdp.Key, ssrc uint32) (*Sealer, error) {
	if err := Check(suite, key); err != nil {
		return nil, err
	}
	return &Sealer{ssrc: ssrc, cipher: cipher{suite: suite, key: key}}, nil
}

// SSRC is the one that all packets must carry.
func (s *Sealer) SSRC() uint32 { return s.ssrc }

// RTP seals a packet in its own buffer, which has Room beyond its length. The packet carries the
// SSRC and the lower 16 bits of the index. It is false when the index was used or is too old to
// tell, and when the packet is none.
func (s *Sealer) RTP(b []byte, index uint64) ([]byte, bool) {
	if len(b) < rtpHeader || cap(b)-len(b) < Room || ssrc(b) != s.ssrc || sequence(b) != uint16(index) || !s.cipher.ready() {
		return nil, false
	}
	switch {
	case index >= 1<<48: // RFC 3711 §9.2: the key is used up
		return nil, false
	case !s.started:
		s.window.begin(index)
		s.started = true
	case !s.window.fresh(index):
		return nil, false
	}
	s.window.use(index) // before sealing: an index is spent even if the packet is then lost
	return s.cipher.sealRTP(b, index)
}

// RTCP seals a compound packet in its own buffer, which has Room beyond its length. Its first packet
// carries the SSRC.
func (s *Sealer) RTCP(b []byte) ([]byte, bool) {
	if len(b) < rtcpHeader || cap(b)-len(b) < Room || controlSSRC(b) != s.ssrc || !s.cipher.ready() {
		return nil, false
	}
	if s.control == 1<<31-1 { // RFC 3711 §9.2
		return nil, false
	}
	s.control++
	return s.cipher.sealRTCP(b, s.control-1)
}
