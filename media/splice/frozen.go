package splice

import (
	"time"

	"handoff/media/srtp"
)

// Frozen is a stream to the last packet, as plain data without its key: another process goes on with it as if it were
// the same.
type Frozen struct {
	State
	// Since is how long ago Timestamp was sent first, and Step how far it moves from packet to packet.
	Since   time.Duration `json:"since"`
	Step    uint32        `json:"step,omitempty"`
	Packets uint32        `json:"packets,omitempty"`
	Octets  uint32        `json:"octets,omitempty"`
	// Suspect is the sequence number that would confirm a restart, if Doubting.
	Suspect  uint16 `json:"suspect,omitempty"`
	Doubting bool   `json:"doubting,omitempty"`
	// Sealer is nil in the clear.
	Sealer *srtp.FrozenSealer `json:"sealer,omitempty"`
}

// Freeze writes the stream down. Nothing may be sent in it behind that.
func (s *Stream) Freeze(now time.Duration) Frozen {
	s.mu.Lock()
	defer s.mu.Unlock()
	f := Frozen{State: s.State, Since: now - s.at, Step: s.step, Packets: s.packets, Octets: s.octets, Suspect: s.suspect, Doubting: s.doubting}
	if s.sealer != nil {
		sealer := s.sealer.Freeze()
		f.Sealer = &sealer
	}
	return f
}

// Thaw goes on where another stream was frozen; sealer is that one's, thawed, nil in the clear.
func (s *Stream) Thaw(f Frozen, sealer *srtp.Sealer, now time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.State, s.at, s.sealer = f.State, now-f.Since, sealer
	s.step, s.packets, s.octets, s.suspect, s.doubting = f.Step, f.Packets, f.Octets, f.Suspect, f.Doubting
}
