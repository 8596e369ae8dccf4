package lane

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"handoff/metrics"
)

// Header is the beginning of a packet that came for a lane or left by it: what RTP and RTCP show of themselves in the clear
// even inside SRTP, and never of what is said.
type Header struct {
	At        time.Time
	Direction metrics.Direction
	// Side is the port of ours, Far the other end.
	Side Side
	Far  netip.AddrPort
	B    []byte
	// Size is of the whole packet.
	Size int
}

// Headers gathers headers of one lane for one reader, up to a limit between two takes. Its lock is between the reading goroutine and
// who takes what was gathered.
type Headers struct {
	mu   sync.Mutex
	all  []Header
	room int
}

// readers are all who watch a lane: a slice that is never changed, only replaced.
type readers struct {
	mu  sync.Mutex // of who comes and goes
	all atomic.Pointer[[]*Headers]
}

// Watch gathers up to room headers from now on. A lane that nobody watches pays a load of a pointer for it.
func (l *Lane) Watch(room int) *Headers {
	h := &Headers{room: room}
	l.readers.mu.Lock()
	defer l.readers.mu.Unlock()
	all := []*Headers{h}
	if others := l.readers.all.Load(); others != nil {
		all = append(all, *others...)
	}
	l.readers.all.Store(&all)
	return h
}

// Watched tells whether somebody watches.
func (l *Lane) Watched() bool { return l.readers.all.Load() != nil }

// Unwatch ends what Watch has begun; what was gathered can be taken still.
func (l *Lane) Unwatch(h *Headers) {
	l.readers.mu.Lock()
	defer l.readers.mu.Unlock()
	others := l.readers.all.Load()
	if others == nil {
		return
	}
	left := slices.DeleteFunc(slices.Clone(*others), func(other *Headers) bool { return other == h })
	if len(left) == 0 {
		l.readers.all.Store(nil)
		return
	}
	l.readers.all.Store(&left)
}

// seen shows a packet to all who watch.
func (r *readers) seen(at time.Time, d metrics.Direction, s Side, far netip.AddrPort, b []byte) {
	if all := r.all.Load(); all != nil {
		for _, h := range *all {
			h.add(at, d, s, far, b)
		}
	}
}

// Take returns what was gathered since the last time, and makes room for as much again.
func (h *Headers) Take() []Header {
	h.mu.Lock()
	defer h.mu.Unlock()
	all := h.all
	h.all = nil
	return all
}

func (h *Headers) add(at time.Time, d metrics.Direction, s Side, far netip.AddrPort, b []byte) {
	size := headerOf(b)
	if size == 0 {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.all) < h.room {
		h.all = append(h.all, Header{At: at, Direction: d, Side: s, Far: far, B: bytes.Clone(b[:size]), Size: len(b)})
	}
}

// headerOf is how much of a packet is header: of RTP with its sources and extension (RFC 3550 §5.3.1), of RTCP up to the first
// SSRC; 0 of what is neither.
func headerOf(b []byte) int {
	switch classify(b) {
	case rtcp:
		return rtcpHeader
	case rtp:
		const extension, word = 4, 4
		size := rtpHeader + word*int(b[0]&0x0f)
		if b[0]&0x10 != 0 && size+extension <= len(b) {
			size += extension + word*int(binary.BigEndian.Uint16(b[size+2:]))
		}
		if size <= len(b) {
			return size
		}
		return rtpHeader
	}
	return 0
}
