package lane

import "bytes"

// sample is the beginning of a packet of RTP as it came, from the right source, and the flow that it met.
type sample struct {
	flow *Flow
	b    []byte
}

// Sample asks for up to size bytes of the next packet.
func (l *Lane) Sample(size int) {
	l.sample.Store(nil)
	l.sampling.Store(int64(size))
}

// Sampled returns what Sample has asked for, nil if no packet has come since or what passes was published anew behind it.
// The caller owns it.
func (l *Lane) Sampled() []byte {
	kept := l.sample.Swap(nil)
	if kept == nil || kept.flow != l.flow.Load() {
		return nil
	}
	return kept.b
}

// keep copies one packet, and is then not called again until another is asked for: a packet costs a load.
func (l *Lane) keep(f *Flow, b []byte) {
	if size := int(l.sampling.Swap(0)); size > 0 {
		l.sample.Store(&sample{f, bytes.Clone(b[:min(size, len(b))])})
	}
}
