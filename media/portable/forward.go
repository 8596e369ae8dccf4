package portable

import (
	"net/netip"
	"time"

	"handoff/metrics"
)

// onRTPPort takes a datagram from the RTP socket: RTP, or RTCP of a peer that muxes.
func (p *Pair) onRTPPort(b []byte, from netip.AddrPort) {
	f := p.flow.Load()
	switch k := classify(b); {
	case k == rtp:
		p.onRTP(f, b, from)
	case k == rtcp && f != nil && f.RTP == f.RTCP:
		p.onRTCP(f, b, from)
	default:
		p.counters.drop(metrics.ForeignMalformed)
	}
}

// onRTCPPort takes a datagram from the RTCP socket.
func (p *Pair) onRTCPPort(b []byte, from netip.AddrPort) {
	if classify(b) != rtcp {
		p.counters.drop(metrics.ForeignMalformed)
		return
	}
	p.onRTCP(p.flow.Load(), b, from)
}

// onRTP is the hot path: it allocates nothing, and locks nothing where packets pass untouched. The
// clock is read once a packet, for jitter and for the time last seen: all that is done here together
// takes a hundredth of what the system takes to receive and send a packet (BenchmarkDecide,
// BenchmarkForward), and an arrival taken from a coarser clock would be jitter of our own making.
func (p *Pair) onRTP(f *Flow, b []byte, from netip.AddrPort) {
	switch {
	case f == nil:
		p.counters.drop(metrics.ForeignInactive)
		return
	case from != f.RTP:
		p.counters.drop(metrics.ForeignSource)
		if f.Near != nil && from.Addr() == f.RTP.Addr() {
			f.Near(from)
		}
		return
	}
	size, ok := len(b), true
	if f.Opener != nil {
		if b, ok = f.Opener.RTP(b); !ok {
			p.counters.drop(metrics.ForeignAuth)
			return
		}
	}
	arrival := time.Since(p.epoch)
	p.counters.received(size, arrival)
	p.stream.Receive(sequence(b), timestamp(b), ssrc(b), arrival)
	if !f.Open || f.Out == nil || !f.ToRTP.IsValid() {
		p.counters.drop(metrics.ForeignInactive)
		return
	}
	if f.Stream != nil {
		b, ok = f.Stream.RTP(b, f.Voice, arrival)
	} else {
		ok = f.Reserved == 0 || f.Reserved != ssrc(b)
	}
	if !ok {
		p.counters.drop(metrics.ForeignAuth)
		return
	}
	f.Out.write(media, rtp, b, f.ToRTP)
}

func (p *Pair) onRTCP(f *Flow, b []byte, from netip.AddrPort) {
	switch {
	case f == nil:
		p.counters.drop(metrics.ForeignInactive)
		return
	case from != f.RTCP:
		p.counters.drop(metrics.ForeignSource)
		return
	}
	ok := true
	if f.Opener != nil {
		if b, ok = f.Opener.RTCP(b); !ok {
			p.counters.drop(metrics.ForeignAuth)
			return
		}
	}
	p.counters.rtcpReceived.Add(1)
	if f.Out == nil || !f.ToRTCP.IsValid() {
		p.counters.drop(metrics.ForeignInactive)
		return
	}
	if f.Stream != nil {
		b, ok = f.Stream.RTCP(b, f.Voice, f.Back.Mapping())
	} else {
		ok = f.Reserved == 0 || f.Reserved != reporter(b)
	}
	if !ok {
		p.counters.drop(metrics.ForeignInactive)
		return
	}
	by := control
	if f.ToRTCP == f.ToRTP {
		by = media
	}
	f.Out.write(by, rtcp, b, f.ToRTCP)
}

// write sends one datagram and counts it here, at the pair it leaves by. An error (the far port is
// closed, the route is gone, the buffer is full) is counted and never ends anything: the next packet may pass.
func (p *Pair) write(s side, k kind, b []byte, to netip.AddrPort) {
	if err := p.send(s, b, to); err != nil {
		p.counters.sendErrors.Add(1)
		return
	}
	if k == rtcp {
		p.counters.rtcpSent.Add(1)
		return
	}
	p.counters.sent.Add(1)
	p.counters.sentBytes.Add(uint64(len(b)))
}
