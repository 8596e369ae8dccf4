package lane

import (
	"net/netip"
	"time"

	control "handoff/media/rtcp"
	"handoff/metrics"
)

// Receive takes a datagram that came at a port of the lane, and returns what leaves of it. It borrows b
// until that has left, and may change it and the room behind it. arrival is when it came, since the
// epoch: the sooner it was taken down, the less of the jitter is of our own making.
func (l *Lane) Receive(s Side, b []byte, from netip.AddrPort, arrival time.Duration) Departure {
	f, k := l.flow.Load(), classify(b)
	if l.Watched() {
		l.readers.seen(l.epoch.Add(arrival), metrics.In, s, from, b)
	}
	switch {
	case k == rtp && s == Media:
		return l.onRTP(f, b, from, arrival)
	case k == rtcp && (s == Control || f != nil && f.RTP == f.RTCP):
		return l.onRTCP(f, b, from, arrival)
	}
	l.counters.drop(metrics.ForeignMalformed)
	return Departure{}
}

// onRTP is the hot path: it allocates nothing, and locks nothing where packets pass untouched. All that
// is done here together takes a hundredth of what the system takes to receive and send a packet
// (BenchmarkDecide, BenchmarkForward of media/portable).
func (l *Lane) onRTP(f *Flow, b []byte, from netip.AddrPort, arrival time.Duration) Departure {
	switch {
	case f == nil:
		l.counters.drop(metrics.ForeignInactive)
		return Departure{}
	case from != f.RTP:
		l.counters.drop(metrics.ForeignSource)
		if f.Near != nil && from.Addr() == f.RTP.Addr() {
			f.Near(b, from)
		}
		return Departure{}
	}
	if f.Arrives != nil {
		f.Arrives()
	}
	if l.sampling.Load() != 0 {
		l.keep(f, b)
	}
	size, ok := len(b), true
	if f.Opener != nil {
		if b, ok = f.Opener.RTP(b); !ok {
			l.counters.drop(metrics.ForeignAuth)
			return Departure{}
		}
	}
	l.counters.received(size, arrival)
	l.stream.Receive(sequence(b), timestamp(b), ssrc(b), arrival)
	if now := uint32(payloadType(b)); now != l.said.Load() {
		l.said.Store(now)
	}
	if f.Events != 0 && f.Events == payloadType(b) {
		l.Event(ssrc(b), timestamp(b))
	}
	if !f.Open || f.Out == nil || !f.ToRTP.IsValid() {
		l.counters.drop(metrics.ForeignInactive)
		return Departure{}
	}
	if f.Stream != nil {
		b, ok = f.Stream.RTP(b, f.Voice, arrival)
	} else {
		ok = f.Reserved == 0 || f.Reserved != ssrc(b)
	}
	if !ok {
		l.counters.drop(metrics.ForeignAuth)
		return Departure{}
	}
	return Departure{Out: f.Out, By: Media, To: f.ToRTP, B: b}
}

func (l *Lane) onRTCP(f *Flow, b []byte, from netip.AddrPort, arrival time.Duration) Departure {
	switch {
	case f == nil:
		l.counters.drop(metrics.ForeignInactive)
		return Departure{}
	case from != f.RTCP:
		l.counters.drop(metrics.ForeignSource)
		return Departure{}
	}
	ok := true
	if f.Opener != nil {
		if b, ok = f.Opener.RTCP(b); !ok {
			l.counters.drop(metrics.ForeignAuth)
			return Departure{}
		}
	}
	said, err := f.read(b)
	if err != nil {
		l.counters.drop(metrics.ForeignMalformed)
		return Departure{}
	}
	l.counters.rtcpReceived.Add(1)
	l.reporter.Hear(said, f.heard(), f.Clock, arrival)
	if f.Out == nil || !f.ToRTCP.IsValid() {
		l.counters.drop(metrics.ForeignInactive)
		return Departure{}
	}
	if f.Stream != nil {
		l.reporter.Disown(b)
		b, ok = f.Stream.RTCP(b, f.Voice, f.Back.Mapping())
	} else {
		ok = f.Reserved == 0 || f.Reserved != reporter(b)
	}
	if !ok {
		l.counters.drop(metrics.ForeignInactive)
		return Departure{}
	}
	f.Out.reporter.Sent(said, arrival)
	by := Control
	if f.ToRTCP == f.ToRTP {
		by = Media
	}
	return Departure{Out: f.Out, By: by, To: f.ToRTCP, B: b, RTCP: true}
}

// read tells what a compound says. One that is sealed is read in a copy, if at all: whether it is any
// good is its receiver's to judge.
func (f *Flow) read(b []byte) (control.Compound, error) {
	if f.Witness == nil {
		return control.Parse(b)
	}
	var said control.Compound
	if plain, ok := f.Witness.RTCP(b); ok {
		said, _ = control.Parse(plain)
	}
	return said, nil
}

// heard is the source that the peer is sent, 0 if it is not known.
func (f *Flow) heard() uint32 {
	switch {
	case f.Back != nil:
		return f.Back.Mapping().To
	case f.Out != nil:
		return f.Out.stream.State().SSRC
	}
	return 0
}
