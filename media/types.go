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
