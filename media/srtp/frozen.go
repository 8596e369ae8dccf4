package srtp

import (
	"cmp"
	"slices"

	"handoff/media/sdp"
)

// FrozenStream is what was used of one SSRC: the highest index and, by the bits of Mask, the 64 that end with it.
type FrozenStream struct {
	SSRC uint32 `json:"ssrc"`
	Top  uint64 `json:"top"`
	Mask uint64 `json:"mask"`
	// Stale tells that packets have gone past since: its roll-over counter is to be found again.
	Stale bool `json:"stale,omitempty"`
}

// FrozenOpener is an Opener to the last packet, as plain data without its key. Streams stand in the order in which they
// were heard.
type FrozenOpener struct {
	RTP  []FrozenStream `json:"rtp,omitempty"`
	RTCP []FrozenStream `json:"rtcp,omitempty"`
	// Expected is a stream of which the first packet has not come; with Floor nothing up to it is let in.
	Expected Position `json:"expected"`
	Floor    bool     `json:"floor,omitempty"`
}

// FrozenSealer is a Sealer likewise.
type FrozenSealer struct {
	FrozenStream
	Started bool   `json:"started,omitempty"`
	Control uint32 `json:"control,omitempty"` // the last index of SRTCP
}

// Freeze writes the Opener down. It is exact as long as nothing is opened behind it.
func (o *Opener) Freeze() FrozenOpener {
	o.mu.Lock()
	defer o.mu.Unlock()
	return FrozenOpener{RTP: o.rtp.freeze(o.joins), RTCP: o.control.freeze(0), Expected: o.expected, Floor: o.floor}
}

// ThawOpener returns an Opener that goes on where another one was frozen, or ErrKey.
func ThawOpener(suite sdp.Suite, key sdp.Key, f FrozenOpener) (*Opener, error) {
	o, err := NewOpener(suite, key)
	if err != nil {
		return nil, err
	}
	o.expected, o.floor, o.joins = f.Expected, f.Floor, 1
	o.rtp.thaw(f.RTP, o.joins)
	o.control.thaw(f.RTCP, 0)
	o.cipher.states = len(o.rtp.all) + len(o.control.all)
	return o, nil
}

// Freeze writes the Sealer down. Nothing may be sealed behind it by this one.
func (s *Sealer) Freeze() FrozenSealer {
	return FrozenSealer{FrozenStream{SSRC: s.ssrc, Top: s.window.top, Mask: s.window.mask}, s.started, s.control}
}

// ThawSealer returns a Sealer that goes on where another one was frozen, which must be used no more; or ErrKey.
func ThawSealer(suite sdp.Suite, key sdp.Key, f FrozenSealer) (*Sealer, error) {
	s, err := NewSealer(suite, key, f.SSRC)
	if err != nil {
		return nil, err
	}
	s.started, s.window, s.control = f.Started, window{f.Top, f.Mask}, f.Control
	return s, nil
}

func (s *streams) freeze(joined uint32) (all []FrozenStream) {
	known := slices.Clone(s.all)
	slices.SortFunc(known, func(a, b *incoming) int { return cmp.Compare(a.turn, b.turn) })
	for _, in := range known {
		all = append(all, FrozenStream{in.ssrc, in.window.top, in.window.mask, in.joined != joined})
	}
	return all
}

func (s *streams) thaw(all []FrozenStream, joined uint32) {
	for _, f := range all[max(0, len(all)-maxStreams):] {
		in := s.take(f.SSRC)
		if in.window, in.joined = (window{f.Top, f.Mask}), joined; f.Stale {
			in.joined--
		}
		s.heard(in)
	}
}
