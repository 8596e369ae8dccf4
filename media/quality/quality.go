// Package quality measures one stream of RTP as it arrives.
//
// It owns the arithmetic of sequence numbers, loss and jitter; it sees header fields and an arrival
// time, never a packet, and opens no sockets. Receive belongs to the one goroutine that reads the
// socket; State may be called from any goroutine at any time and never makes Receive wait.
//
// RFC 3550 A.1 (sequence numbers), A.3 (loss), A.8 (jitter).
package quality

import (
	"sync/atomic"
	"time"
)

const (
	// maxDropout and maxMisorder are RFC 3550 A.1's: a step outside is a restart of the sender, if
	// the next packet confirms it.
	maxDropout  = 3000
	maxMisorder = 100
	// window is how many packets back a duplicate can be told from a late packet.
	window = 64
	// cycle is a turn of the sequence number.
	cycle = 1 << 16
	// defaultClock is that of every narrow-band codec, in Hz.
	defaultClock = 8000
)

// State is all that is known of a stream. It is plain data: given to Restore, the measuring goes on
// where it stopped, and what was lost in between counts as lost.
type State struct {
	// SSRC names the stream in progress, and Started tells that there is one.
	SSRC    uint32 `json:"ssrc"`
	Started bool   `json:"started"`
	// Base and Highest are the first and the highest extended sequence number of the stream in
	// progress, and Received is how many different packets of it came.
	Base     uint64 `json:"base"`
	Highest  uint64 `json:"highest"`
	Received uint64 `json:"received"`
	// LostBefore is what earlier streams lost.
	LostBefore uint64 `json:"lost_before"`
	// Reordered came late but came, Duplicates came twice; of all streams.
	Reordered  uint64 `json:"reordered"`
	Duplicates uint64 `json:"duplicates"`
	// JitterUnits is the estimate of A.8 in units of the RTP clock, times 16.
	JitterUnits uint32 `json:"jitter_units"`
	Clock       uint32 `json:"clock"`
}

// Lost counts the packets of all streams that did not come. It can fall: a late packet is lost
// until it comes.
func (s State) Lost() uint64 { return s.LostBefore + s.missing() }

// Jitter is the interarrival jitter.
func (s State) Jitter() time.Duration {
	if s.Clock == 0 {
		return 0
	}
	return time.Duration(s.JitterUnits>>4) * time.Second / time.Duration(s.Clock)
}

// Index is the highest sequence number with the cycles that were seen, as SRTP counts them (RFC 3711
// §3.3.1), if the first packet seen was of the first cycle.
func (s State) Index() uint64 {
	if s.Highest < cycle {
		return 0
	}
	return s.Highest - cycle
}

func (s State) missing() uint64 {
	if expected := s.Highest - s.Base + 1; s.Started && expected > s.Received {
		return expected - s.Received
	}
	return 0
}

// Stream measures. Its zero value is ready.
type Stream struct {
	resumed atomic.Pointer[State] // from which the next packet goes on
	clock   atomic.Uint32

	// owned by the goroutine that calls Receive
	state     State
	seen      uint64 // bit i: Highest-i came
	suspect   uint16 // the sequence number that would confirm a restart
	doubting  bool
	transit   uint32
	timestamp uint32
	timed     bool // transit and timestamp are of this stream

	published published
}

// SetClock tells the RTP clock rate of what comes from now on, in Hz.
func (s *Stream) SetClock(hz uint32) { s.clock.Store(hz) }

// Restore goes on from a state. Only before the first Receive.
func (s *Stream) Restore(state State) {
	s.state = state
	s.clock.Store(state.Clock)
	s.published.store(state)
}

// Resume goes on from a state that was measured elsewhere meanwhile.
func (s *Stream) Resume(state State) { s.resumed.Store(&state) }

// State returns what is known, consistent in itself.
func (s *Stream) State() State {
	if resumed := s.resumed.Load(); resumed != nil {
		return *resumed
	}
	return s.published.load()
}

// Warm fetches what Receive is going to read.
func (s *Stream) Warm() {
	s.resumed.Load()
	s.published.version.Load()
	s.published.words[len(s.published.words)-1].Load()
}

// Receive notes one packet. There is no probation (A.1's MIN_SEQUENTIAL): the packet's source was
// compared with the SDP before.
func (s *Stream) Receive(sequence uint16, timestamp, ssrc uint32, arrival time.Duration) {
	resumed := s.resumed.Load()
	if resumed != nil {
		// Which of its packets came is not known one by one any more, nor when the last of them did.
		s.state, s.seen, s.doubting, s.timed = *resumed, 1, false, false
	}
	if s.count(sequence, ssrc) {
		s.measure(timestamp, arrival)
	}
	s.published.store(s.state)
	if resumed != nil {
		s.resumed.CompareAndSwap(resumed, nil)
	}
}

// count does A.1 and tells whether the packet is new.
func (s *Stream) count(sequence uint16, ssrc uint32) bool {
	st := &s.state
	if !st.Started || st.SSRC != ssrc {
		s.restart(sequence, ssrc)
		return true
	}
	ahead := sequence - uint16(st.Highest)
	switch behind := -ahead; {
	case ahead == 0:
		st.Duplicates++
		return false
	case ahead < maxDropout:
		st.Highest += uint64(ahead)
		s.seen = s.seen<<ahead | 1
	case behind < window && s.seen&(1<<behind) != 0:
		st.Duplicates++
		return false
	case behind <= maxMisorder:
		s.late(uint64(behind))
	case s.doubting && sequence == s.suspect:
		s.restart(sequence, ssrc)
		return true
	default:
		s.suspect, s.doubting = sequence+1, true
		return false
	}
	s.doubting = false
	st.Received++
	return true
}

func (s *Stream) late(behind uint64) {
	st := &s.state
	st.Reordered++
	if behind < window {
		s.seen |= 1 << behind
	}
	st.Base = min(st.Base, st.Highest-behind)
}

// restart begins a stream. Its numbers start a cycle up, so that a packet from before the first
// one has a number too.
func (s *Stream) restart(sequence uint16, ssrc uint32) {
	st := &s.state
	st.LostBefore += st.missing()
	first := cycle + uint64(sequence)
	st.SSRC, st.Started = ssrc, true
	st.Base, st.Highest, st.Received = first, first, 1
	st.JitterUnits = 0
	s.seen, s.doubting, s.timed = 1, false, false
}

// measure does A.8. Packets that share a timestamp (the events of RFC 4733) say nothing about the
// way: only the first is measured.
func (s *Stream) measure(timestamp uint32, arrival time.Duration) {
	st := &s.state
	clock := s.clock.Load()
	if clock == 0 {
		clock = defaultClock
	}
	if clock != st.Clock {
		st.Clock, s.timed = clock, false
	}
	if s.timed && timestamp == s.timestamp {
		return
	}
	transit := units(arrival, st.Clock) - timestamp
	if s.timed {
		d := int32(transit - s.transit)
		if d < 0 {
			d = -d
		}
		st.JitterUnits += uint32(d) - (st.JitterUnits+8)>>4
	}
	s.transit, s.timestamp, s.timed = transit, timestamp, true
}

// units is the arrival in units of the RTP clock, modulo 2³² as timestamps are. Seconds apart, for
// the product overflows after days.
func units(arrival time.Duration, clock uint32) uint32 {
	seconds, rest := arrival/time.Second, arrival%time.Second
	return uint32(uint64(seconds)*uint64(clock) + uint64(rest)*uint64(clock)/uint64(time.Second))
}
