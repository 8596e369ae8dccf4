package load

import (
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"time"

	"handoff/media/quality"
	"handoff/media/sdp"
	"handoff/media/srtp"
)

// peer is one leg as its other side.
type peer struct {
	number int
	relay  netip.AddrPort
	ssrc   uint32
	sealer *srtp.Sealer // nil for plain RTP, as the opener
	opener *srtp.Opener
	heard  heard
}

func newPeer(number int, leg Leg, ssrc uint32, packets int) (*peer, error) {
	p := &peer{number: number, relay: leg.Relay, ssrc: ssrc, heard: newHeard(packets)}
	if leg.Suite == sdp.NoSuite {
		return p, nil
	}
	var err error
	if p.sealer, err = srtp.NewSealer(leg.Suite, leg.Own, p.ssrc); err != nil {
		return nil, err
	}
	p.opener, err = srtp.NewOpener(leg.Suite, leg.Told)
	return p, err
}

// ssrc is that of a leg. It is the same in each run, for a call has one as long as it lasts. Each run numbers its
// packets from 0, though, and no key covers two payloads at one SSRC and index: where one of the legs has a key, both
// begin anew.
func (c Call) ssrc(leg Leg) uint32 {
	if c.A.Suite != sdp.NoSuite || c.B.Suite != sdp.NoSuite {
		return rand.Uint32()
	}
	return uint32(leg.Relay.Port())
}

// seal encrypts a packet in its buffer, if this peer does.
func (p *peer) seal(b []byte, index int) ([]byte, bool) {
	if p.sealer == nil {
		return b, true
	}
	return p.sealer.RTP(b, uint64(index))
}

func (p *peer) open(b []byte) ([]byte, bool) {
	if p.opener == nil {
		return b, true
	}
	return p.opener.RTP(b)
}

// heard is what came of one stream.
type heard struct {
	came    []uint64 // a bit a packet
	highest int
	quality quality.Stream
}

func newHeard(packets int) heard {
	return heard{came: make([]uint64, (packets+63)/64), highest: -1}
}

func (h *heard) packet(c *Counts, b []byte, index int, at time.Duration) {
	h.quality.Receive(binary.BigEndian.Uint16(b[2:]), binary.BigEndian.Uint32(b[4:]), binary.BigEndian.Uint32(b[8:]), at)
	word, bit := &h.came[index/64], uint64(1)<<(index%64)
	if *word&bit != 0 {
		c.Duplicated++
		return
	}
	*word |= bit
	c.Received++
	if index < h.highest {
		c.Reordered++
	}
	h.highest = max(h.highest, index)
}
