package rtcp

import (
	"encoding/binary"
	"sync"
	"time"

	pion "github.com/pion/rtcp"

	"handoff/media/quality"
)

// Peer is one of two peers that report to each other through the edge. Its zero value has heard nothing.
// Times are of one clock, any.
type Peer struct {
	mu   sync.Mutex
	sent [2]stamp // the last sender reports that went to it: an answer may cross the next one
	said quality.Reported
}

// stamp is a sender report and when it passed; zero is none.
type stamp struct {
	ntp uint32
	at  time.Duration
}

// Restore goes on from what was said before.
func (p *Peer) Restore(said quality.Reported) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.said = said
}

// Said returns what the peer reported last.
func (p *Peer) Said() quality.Reported {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.said
}

// Sent notes that the other peer's reports went to this one.
func (p *Peer) Sent(c Compound, at time.Duration) {
	if !c.Sender {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.sent[0].ntp != c.Stamp {
		p.sent[1] = p.sent[0]
	}
	p.sent[0] = stamp{c.Stamp, at}
}

// Part says that the other peer is another one from now on.
func (p *Peer) Part() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sent = [2]stamp{}
}

// Disown takes out of a compound that Parse has let through, in its own buffer, what the peer says of
// sender reports that the one who will read it never sent (LSR and DLSR): they were another's, of whose
// clock he knows nothing, and he would take the difference for the way there and back.
func (p *Peer) Disown(b []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(b) >= headerSize {
		size := headerSize * (int(binary.BigEndian.Uint16(b[2:])) + 1)
		packet := b[:min(size, len(b))]
		b = b[len(packet):]
		at, count := len(packet), int(packet[0]&31)
		switch pion.PacketType(packet[1]) {
		case pion.TypeSenderReport:
			at = senderBlocks
		case pion.TypeReceiverReport:
			at = receiverBlocks
		}
		for ; count > 0 && at+blockSize <= len(packet); at, count = at+blockSize, count-1 {
			block := packet[at : at+blockSize]
			if last := binary.BigEndian.Uint32(block[16:]); last == 0 || last != p.sent[0].ntp && last != p.sent[1].ntp {
				clear(block[16:])
			}
		}
	}
}

// Where report blocks begin, and their size (RFC 3550 §6.4).
const senderBlocks, receiverBlocks, blockSize = 28, 8, 24

// Hear takes what the peer reports itself, if it tells of the source that it is sent, of the clock rate in
// Hz.
func (p *Peer) Hear(c Compound, source, clock uint32, at time.Duration) {
	r, ok := c.about(source)
	if !ok {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.said.Reports++
	p.said.SSRC = r.SSRC
	p.said.Fraction = r.FractionLost
	p.said.Lost = int32(r.TotalLost<<8) >> 8 // 24 bits, below zero after duplicates
	p.said.Jitter = 0
	if clock != 0 {
		p.said.Jitter = time.Duration(uint64(r.Jitter) * uint64(time.Second) / uint64(clock))
	}
	if trip, ok := p.roundTripLocked(r, at); ok {
		p.said.RoundTrip = trip
	}
}

// nearest is the least round trip that is told: a peer's own clock is no finer.
const nearest = time.Microsecond

// roundTripLocked is the time since a sender report passed, less what the peer kept its answer back (RFC
// 3550 §6.4.1, LSR and DLSR). What a peer kept longer than the edge has waited is none.
func (p *Peer) roundTripLocked(r pion.ReceptionReport, at time.Duration) (time.Duration, bool) {
	kept := time.Duration(uint64(r.Delay) * uint64(time.Second) >> 16)
	for _, s := range p.sent {
		if r.LastSenderReport == 0 || s.ntp != r.LastSenderReport {
			continue
		}
		trip := at - s.at - kept
		return max(trip, nearest), trip > -rounding
	}
	return 0, false
}

// rounding is how much longer than the edge has waited a peer may say that it kept an answer back: many
// count in milliseconds.
const rounding = 10 * time.Millisecond
