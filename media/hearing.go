package media

import (
	"time"

	"handoff/media/lane"
	"handoff/media/quality"
	"handoff/media/sdp"
	"handoff/media/srtp"
	"handoff/metrics"
)

// Unheard is a leg of which the other side of its bridge hears nothing.
type Unheard struct {
	Leg metrics.Leg
	Why metrics.OneWay
}

const (
	// quiet is how long nothing comes from a peer that says nothing: shorter than the second between two looks, which
	// is never exact, and many packets.
	quiet = 950 * time.Millisecond
	// seldom is how many looks apart a whole packet is looked at of a peer with whom all was well: to open it costs what ten
	// do that pass, and what the kernel carries has to be fetched.
	seldom = 8
	// comfortNoise is the static payload type that many send without having said so (RFC 3389).
	comfortNoise = 13
)

// hearing is what is known of whether a peer is heard. It is guarded by session.mu.
type hearing struct {
	opened  time.Time                // when signalling let the peer be heard, zero while it does not
	foreign [quality.Foreigns]uint64 // at the last look
	looks   int                      // since a whole packet was looked at
	looked  bool                     // one was, of what was negotiated last
	whole   bool                     // one is asked for
	why     metrics.OneWay           // what was wrong with the last one, if wrong
	wrong   bool
}

// Unheard tells of every bridged endpoint whose peer is not heard, and why. It is for calls about a second apart: what
// came between two of them is judged. Each time the payload type of a packet is looked at: was it agreed on; and of the first
// packet behind each offer and answer, and then of one in eight seconds, where SRTP passes: is it by the peer's key. What
// the kernel carries is looked at as seldom altogether.
func (s *Session) Unheard() []Unheard {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || s.frozen {
		return nil
	}
	var all []Unheard
	for _, e := range s.endpoints {
		if !e.bridgedLocked() {
			continue
		}
		if why, unheard := e.unheardLocked(); unheard {
			all = append(all, Unheard{e.leg, why})
		}
	}
	return all
}

func (e *Endpoint) unheardLocked() (metrics.OneWay, bool) {
	h, r := &e.hearing, e.carrier.Report()
	before := h.foreign
	h.foreign = r.Foreign
	if h.opened.IsZero() {
		return metrics.OneWayHold, true
	}
	e.lookLocked()
	switch {
	case time.Since(h.opened) < quiet || time.Since(r.LastSeen) < quiet:
		return h.why, h.wrong
	case r.Foreign[metrics.ForeignAuth] > before[metrics.ForeignAuth]:
		return metrics.OneWayAuth, true
	case r.Foreign[metrics.ForeignSource] > before[metrics.ForeignSource]:
		return metrics.OneWaySource, true
	}
	return metrics.OneWayNothing, e.remote.Receive && !e.remote.mayBeQuiet() // who holds the other need not speak
}

// openLocked notes since when signalling lets the peer be heard.
func (h *hearing) openLocked(is bool) {
	switch {
	case !is:
		h.opened = time.Time{}
	case h.opened.IsZero():
		h.opened = time.Now()
	}
}

// lookLocked judges the packet that was asked for last time and asks for another.
func (e *Endpoint) lookLocked() {
	h, packets := &e.hearing, e.carrier.Exit()
	if b := packets.Sampled(); b != nil {
		h.why, h.wrong = e.wrongLocked(b, h.whole)
		if h.whole {
			h.looks, h.looked = 0, true
		}
	}
	h.looks++
	h.whole = !h.looked || h.wrong || h.looks >= seldom
	if !h.whole {
		packets.Sample(rtpHeader)
		return
	}
	packets.Sample(lane.MaxPacket)
	if way, ok := e.carrier.(*shortcut); ok {
		way.comeBack() // what the kernel carries comes nowhere else
	}
}

// wrongLocked tells what is wrong with a packet of the peer, or with the beginning of one.
func (e *Endpoint) wrongLocked(b []byte, whole bool) (metrics.OneWay, bool) {
	if agreed := e.remote.types(); agreed != (payloadTypes{}) && !agreed.has(b) && b[1]&0x7f != comfortNoise {
		return metrics.OneWayPayloadType, true
	}
	if !whole || e.remote.Suite == sdp.NoSuite || e.keys.opening {
		return 0, false // where the edge opens packets, each is authenticated
	}
	opener, err := srtp.NewOpener(e.remote.Suite, e.remote.RemoteKey)
	if err != nil {
		return 0, false // Set has checked the key
	}
	stream := e.carrier.Report().Stream
	opener.Expect(srtp.Position{SSRC: stream.SSRC, Index: stream.Index()}, false)
	_, authentic := opener.RTP(b)
	return metrics.OneWayAuth, !authentic
}

// mayBeQuiet tells whether the peer may send nothing while nobody speaks: comfort noise was agreed on (RFC 3389).
func (r Remote) mayBeQuiet() bool {
	for _, c := range r.Ours {
		if _, agreed := c.Among(r.Theirs); agreed && c.Event() && !c.Digits() {
			return true
		}
	}
	return false
}
