package srtp

// incoming is one SSRC of a peer.
type incoming struct {
	ssrc   uint32
	joined uint32
	turn   uint64 // when it became the current one
	window window
}

// maxStreams is how many SSRCs of a peer are known at a time.
const maxStreams = 16

// streams are the SSRCs of a peer, a few: a peer changes its SSRC when something behind it is
// replaced. One too many takes the place of the one longest not heard, and only what authenticates
// is heard. Most calls pass their keys and have none.
type streams struct {
	all  []*incoming
	last *incoming // the current one
	turn uint64
}

// find returns nil for one that is not there.
func (s *streams) find(ssrc uint32) *incoming {
	if s.last != nil && s.last.ssrc == ssrc {
		return s.last
	}
	for _, in := range s.all {
		if in.ssrc == ssrc {
			return in
		}
	}
	return nil
}

// take returns the place of an SSRC, emptied if it was another's.
func (s *streams) take(ssrc uint32) *incoming {
	if in := s.find(ssrc); in != nil {
		return in
	}
	if len(s.all) < maxStreams {
		in := &incoming{ssrc: ssrc}
		s.all = append(s.all, in)
		return in
	}
	oldest := s.all[0]
	for _, in := range s.all {
		if in.turn < oldest.turn {
			oldest = in
		}
	}
	*oldest = incoming{ssrc: ssrc}
	return oldest
}

// heard makes it the current one.
func (s *streams) heard(in *incoming) {
	if in != s.last {
		s.turn++
		in.turn, s.last = s.turn, in
	}
}
