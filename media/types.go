package media

import (
	"slices"

	"handoff/media/sdp"
	"handoff/media/splice"
)

// translation is what becomes of the payload types of one peer on the way to another, nil when they stay:
// each sends by the numbers that it was told, and is sent by those that it asked for. Who sends by numbers of
// his own, in which nobody told him of something else, is understood too.
func translation(from, to Remote) (types *splice.Types) {
	for _, codecs := range [][]sdp.Codec{from.Theirs, from.Ours} {
		for _, c := range codecs {
			number := numberAt(c, to.Theirs)
			if types == nil && number == c.PT {
				continue
			}
			if types == nil {
				types = splice.SameTypes()
			}
			types[c.PT] = number
		}
	}
	return types
}

// payloadTypes is a set of them, a bit each.
type payloadTypes [2]uint64

// types are those that the peer may send: the numbers that it was told, and its own.
func (r Remote) types() (set payloadTypes) {
	for _, codecs := range [][]sdp.Codec{r.Ours, r.Theirs} {
		for _, c := range codecs {
			set[c.PT/64] |= 1 << (c.PT % 64)
		}
	}
	return set
}

// has tells whether the payload type of a packet is in the set.
func (set payloadTypes) has(b []byte) bool {
	pt := b[1] & 0x7f
	return set[pt/64]>>(pt%64)&1 == 1
}

// numberAt is the payload type of a codec among those that a peer takes. What it does not take passes for it
// to ignore, unless it takes something else under that number.
func numberAt(c sdp.Codec, taken []sdp.Codec) uint8 {
	if t, ok := c.Among(taken); ok {
		return t.PT
	}
	if slices.ContainsFunc(taken, func(t sdp.Codec) bool { return t.PT == c.PT }) {
		return splice.NoType
	}
	return c.PT
}
