// Package trace keeps the SIP messages of the last calls (Store), takes the secrets out of them (Mask), and draws them as
// ladders: for the eye while they happen (Ladder) and as stable text that a test can compare (Normalise).
//
// It owns the forms, what is remembered and for how long, and the masking of what must not be seen: SRTP keys, the session
// history key and credentials never leave it, a short hash or a number stands for them. It does not own the
// messages: it borrows copies from sip/stack's tap and answers to nobody. It reads heads by itself
// (RFC 3261 §7, §7.3.3), leniently, as a trace must also show what the stack refuses; SDP by RFC
// 8866 and RFC 4568 §9.1, sipfrag by RFC 3420, User-to-User by RFC 7433. Store, Recorder and Ladder may be called from any
// goroutine; Mask and Normalise are pure.
package trace

import (
	"bytes"
	"slices"
	"sync"
	"time"

	"handoff/metrics"
)

// Message is one SIP message as it stood on the wire.
type Message struct {
	Time      time.Time
	Direction metrics.Direction
	// Peer is the other end.
	Peer      metrics.Peer
	Transport string
	// Local and Remote are addresses with a port.
	Local, Remote string
	// Leg is a, b or c; empty where that is not known.
	Leg string
	Raw []byte
}

// Recorder keeps the first messages that it is given.
type Recorder struct {
	limit int

	mu       sync.Mutex
	messages []Message // at most limit
	dropped  int
}

// NewRecorder returns a Recorder that keeps up to limit messages.
func NewRecorder(limit int) *Recorder { return &Recorder{limit: limit} }

// Add keeps a copy of m; m.Raw is borrowed until Add returns. A message above the limit is
// dropped and counted.
func (r *Recorder) Add(m Message) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.messages) >= r.limit {
		r.dropped++
		return
	}
	m.Raw = bytes.Clone(m.Raw)
	r.messages = append(r.messages, m)
}

// Messages returns what was kept, in the order of Add. The Raw of its elements must not be changed.
func (r *Recorder) Messages() []Message {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.messages)
}

// Dropped returns how many messages did not fit.
func (r *Recorder) Dropped() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.dropped
}
