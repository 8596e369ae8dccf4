package srtp

import (
	"bytes"
	"sync"

	"handoff/media/sdp"
)

// Witness reads reports that pass as they are, in a copy: the edge holds their key and needs it for
// nothing else. It keeps no cipher but makes one for each report, of which there is one in some five
// seconds (RFC 3550 §6.2), so that a call that passes its keys stays small.
type Witness struct {
	suite sdp.Suite
	key   sdp.Key

	mu    sync.Mutex
	heard bool
	last  Position // of SRTCP
}

// NewWitness returns a Witness, or ErrKey.
func NewWitness(suite sdp.Suite, key sdp.Key) (*Witness, error) {
	if err := Check(suite, key); err != nil {
		return nil, err
	}
	return &Witness{suite: suite, key: key}, nil
}

// RTCP returns a copy of a compound packet in the clear. It is false when the packet does not authenticate
// or is no newer than the last one of its source.
func (w *Witness) RTCP(b []byte) ([]byte, bool) {
	c := cipher{suite: w.suite, key: w.key}
	index, ok := c.controlIndex(b)
	if !ok || !c.ready() {
		return nil, false
	}
	at := Position{controlSSRC(b), uint64(index)}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.heard && at.SSRC == w.last.SSRC && at.Index <= w.last.Index {
		return nil, false
	}
	plain, ok := c.openRTCP(bytes.Clone(b))
	if ok {
		w.heard, w.last = true, at
	}
	return plain, ok
}
