package srtp

// window remembers which indexes of a stream were used: the highest and the 64 that end with it
// (RFC 3711 §3.3.2 asks for no fewer). Older ones count as used.
type window struct {
	top  uint64
	mask uint64 // bit i: top-i was used
}

const windowSize = 64

// begin starts at an index: what was before it counts as used.
func (w *window) begin(index uint64) { *w = window{top: index, mask: ^uint64(0)} }

// near is the index nearest to the top that ends with the sequence number (RFC 3711 §3.3.1); there
// is none below zero.
func (w *window) near(sequence uint16) (uint64, bool) {
	index := int64(w.top) + int64(int16(sequence-uint16(w.top)))
	return uint64(index), index >= 0
}

func (w *window) fresh(index uint64) bool {
	if index > w.top {
		return true
	}
	behind := w.top - index
	return behind < windowSize && w.mask>>behind&1 == 0
}

func (w *window) use(index uint64) {
	if index > w.top {
		w.mask = w.mask<<(index-w.top) | 1
		w.top = index
		return
	}
	w.mask |= 1 << (w.top - index)
}
