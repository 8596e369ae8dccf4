package splice

import (
	"encoding/binary"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"handoff/media/srtp"
)

// Voice is one who may speak in a stream: an endpoint, or something that is played. 0 is nobody.
type Voice uint32

const (
	// defaultClock is that of every narrow-band codec, in Hz.
	defaultClock = 8000
	// maxDropout and maxMisorder are RFC 3550 A.1's: a step outside is a restart of the speaker, if
	// the next packet confirms it. No more than the Sealer can tell may come late.
	maxDropout  = 3000
	maxMisorder = 63
)

// Stream is what the edge sends to one peer. Its zero value is plain RTP and lets nobody speak.
type Stream struct {
	mu     sync.Mutex // held for one packet at most; guards all below
	sealer *srtp.Sealer
	// bridge and player are who may speak.
	bridge, player Voice
	types          *Types // of what the bridge says

	clock atomic.Uint32 // written under mu, in Hz
	State
	at   time.Duration // when Timestamp was sent first
	step uint32        // between two packets of the speaker
	// suspect is the sequence number that would confirm a restart.
	suspect  uint16
	doubting bool
	// packets and octets were sent, as sender reports count them (RFC 3550 §6.4.1).
	packets, octets uint32
}

// State is where a stream stands: plain data, from which a stream in the clear goes on.
type State struct {
	// Begun tells that something was sent.
	Begun bool `json:"begun"`
	// SSRC is the stream's, Index its highest extended sequence number and Timestamp that packet's.
	SSRC      uint32 `json:"ssrc"`
	Index     uint64 `json:"index"`
	Timestamp uint32 `json:"timestamp"`
	// Speaker spoke last, under the SSRC From. To its numbers the shifts are added.
	Speaker        Voice  `json:"speaker"`
	From           uint32 `json:"from"`
	SequenceShift  uint16 `json:"sequence_shift"`
	TimestampShift uint32 `json:"timestamp_shift"`
	// Floor is the extended sequence number of the first packet of the speaker.
	Floor uint64 `json:"floor"`
}

// Seal encrypts from now on, under an SSRC that never stood under the Sealer's key: the stream begins
// anew. nil ends that, and the stream goes on in the clear.
func (s *Stream) Seal(sealer *srtp.Sealer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sealer = sealer
	if sealer != nil {
		s.State = State{SSRC: sealer.SSRC()}
	}
}

// SetClock tells the RTP clock rate in Hz.
func (s *Stream) SetClock(hz uint32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.clock.Swap(hz) != hz {
		s.step = 0
	}
}

// Warm fetches what RTP is going to read. It never waits.
func (s *Stream) Warm() { s.clock.Load() }

// Admit says who may speak: the endpoint of the bridge, and what is played, 0 for neither. When it
// returns, no packet of anybody else gets a number.
func (s *Stream) Admit(bridge, player Voice) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.bridge, s.player = bridge, player
}

// Part says that the bridge is over: whoever speaks next, and be it the same one, joins anew.
func (s *Stream) Part() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.Speaker = 0
}

// Untouched tells whether what a voice says passes as it is, as nearly all does in the clear, and under
// which SSRC: then it may pass elsewhere, and Carried tells of it afterwards.
func (s *Stream) Untouched(by Voice) (ssrc uint32, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.From, s.sealer == nil && s.types == nil && s.Begun && s.mapping().identity() &&
		by == s.Speaker && by == s.bridge && s.player == 0
}

// Carried tells what has passed elsewhere: so many packets and octets of payload, the last of them so far
// ahead of the highest sequence number and with a timestamp, now.
func (s *Stream) Carried(packets, octets, ahead uint64, timestamp uint32, now time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.packets += uint32(packets)
	s.octets += uint32(octets)
	s.Index += ahead
	if ahead > 0 {
		s.Timestamp, s.at = timestamp+s.TimestampShift, now
	}
}

// Snapshot tells where the stream stands.
func (s *Stream) Snapshot() State {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.State
}

// Restore goes on from a state, in the clear.
func (s *Stream) Restore(state State, now time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.State, s.at = state, now
}

// RTP gives a packet its place in the stream, in its own buffer, and seals it, for which the buffer
// has srtp.Room beyond the length. now is of the clock that all who speak share. It is false when
// the speaker may not speak, the payload means something else to the peer, or the packet has no place: it
// is a duplicate, too late, or far from where the speaker was, which the next packet must confirm.
func (s *Stream) RTP(b []byte, by Voice, now time.Duration) ([]byte, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if by == 0 || by != s.bridge && by != s.player {
		return nil, false
	}
	if by == s.bridge && !s.types.translate(b) {
		return nil, false
	}
	if !s.Begun || by != s.Speaker || ssrc(b) != s.From {
		s.join(b, by, now)
	}
	index, ok := s.place(b)
	if !ok {
		if !s.confirmed(b) {
			return nil, false
		}
		s.join(b, by, now)
		index, _ = s.place(b)
	}
	timestamp := timestamp(b) + s.TimestampShift
	s.advance(index, timestamp, now)
	write(b, uint16(index), timestamp, s.SSRC)
	s.packets++
	s.octets += uint32(len(b) - rtpHeader)
	if s.sealer == nil {
		return b, true
	}
	return s.sealer.RTP(b, index)
}

// join makes a place for a speaker: right behind what was sent last, as much later as time went by. In
// the clear the first speaker's numbers are the stream's.
func (s *Stream) join(b []byte, by Voice, now time.Duration) {
	next, at := s.Index+1, s.Timestamp+s.gap(now)
	switch {
	case s.Begun:
		b[1] |= marker
	case s.sealer == nil:
		// One cycle up, so that a packet from before the first one has a number too.
		s.SSRC, next, at = ssrc(b), 1<<16|uint64(sequence(b)), timestamp(b)
	default:
		b[1] |= marker
		next, at = uint64(rand.Uint32N(1<<15)), rand.Uint32()
	}
	adopted := !s.Begun && s.sealer == nil
	s.Begun, s.Speaker, s.From = true, by, ssrc(b)
	s.SequenceShift = uint16(next) - sequence(b)
	s.TimestampShift = at - timestamp(b)
	s.Index, s.Timestamp, s.Floor, s.at = next, at, next, now
	if adopted {
		s.Floor = 0
	}
	s.doubting = false
}

// gap is how far the timestamp moves while nobody speaks: at least over the last packet.
func (s *Stream) gap(now time.Duration) uint32 {
	clock := max(s.clock.Load(), defaultClock)
	step := s.step
	if step == 0 {
		step = clock / 50
	}
	passed := max(now-s.at, 0)
	return max(step, uint32(uint64(passed/time.Microsecond)*uint64(clock)/1e6))
}

// place returns the extended sequence number of a packet of the speaker. In the clear a far packet
// keeps its distance, and the peer judges for itself.
func (s *Stream) place(b []byte) (uint64, bool) {
	ahead := int16(sequence(b) + s.SequenceShift - uint16(s.Index))
	index := int64(s.Index) + int64(ahead)
	if index < int64(s.Floor) {
		return 0, false
	}
	return uint64(index), s.sealer == nil || -maxMisorder <= ahead && ahead < maxDropout
}

// confirmed tells whether a far packet follows the far packet before it.
func (s *Stream) confirmed(b []byte) bool {
	if s.doubting && sequence(b) == s.suspect {
		return true
	}
	s.suspect, s.doubting = sequence(b)+1, true
	return false
}

// advance notes the packet if it is the highest so far. Packets that share a timestamp (the events of
// RFC 4733) leave the time where it was.
func (s *Stream) advance(index uint64, timestamp uint32, now time.Duration) {
	s.doubting = false
	if index <= s.Index {
		return
	}
	moved := timestamp - s.Timestamp
	if index == s.Index+1 && moved > 0 && moved <= max(s.clock.Load(), defaultClock)/5 {
		s.step = moved
	}
	s.Index = index
	if moved != 0 {
		s.Timestamp, s.at = timestamp, now
	}
}

const (
	rtpHeader = 12
	marker    = 0x80
)

func sequence(b []byte) uint16  { return binary.BigEndian.Uint16(b[2:]) }
func timestamp(b []byte) uint32 { return binary.BigEndian.Uint32(b[4:]) }
func ssrc(b []byte) uint32      { return binary.BigEndian.Uint32(b[8:]) }

func write(b []byte, sequence uint16, timestamp, ssrc uint32) {
	binary.BigEndian.PutUint16(b[2:], sequence)
	binary.BigEndian.PutUint32(b[4:], timestamp)
	binary.BigEndian.PutUint32(b[8:], ssrc)
}
