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
	// quiet is how long nothing comes from a peer that says nothing: somewhat shorter than two looks, which are never exact, and
	// many packets.
	quiet = 950 * time.Millisecond
	// comfortNoise is the static payload type that many send without having said so (RFC 3389).
	comfortNoise = 13
)

// hearing is what is known of whether a peer is heard. It is guarded by session.mu.
type hearing struct {
	opened  time.Time                // when signalling let the peer be heard, zero while it does not
	foreign [quality.Foreigns]uint64 // at the last look
	why     metrics.OneWay           // what was wrong with the packet that was looked at last, if wrong
	wrong   bool
	whole   bool           // the packet that is asked for is to be opened, too
	silence metrics.OneWay // why nothing is heard, as long as nothing comes
}

// Unheard tells of every bridged endpoint whose peer is not heard, and why. It is for calls about half a second apart: what
// came between two of them is judged. Each time the payload type of one packet is looked at, was it agreed on; and of the first one behind
// each offer and answer, and then of every other, where SRTP passes, is it by the peer's key.
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
		h.silence = metrics.OneWayNothing
		return h.why, h.wrong
	case r.Foreign[metrics.ForeignAuth] > before[metrics.ForeignAuth]:
		h.silence = metrics.OneWayAuth
	case r.Foreign[metrics.ForeignSource] > before[metrics.ForeignSource]+1: // one may be anybody's
		h.silence = metrics.OneWaySource
	}
	if h.silence != metrics.OneWayNothing {
		return h.silence, true // also when the last of such packets was a while ago
	}
	return metrics.OneWayNothing, e.remote.Receive && !e.mayBeQuietLocked() // who holds the other need not speak
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
	h := &e.hearing
	if b := e.carrier.Sampled(); b != nil && (h.whole || !h.wrong || h.why != metrics.OneWayAuth) {
		h.why, h.wrong = e.wrongLocked(b, h.whole)
	}
	e.sampleLocked(!h.whole) // to open one costs what ten do that pass
}

// sampleLocked asks for the next packet, whole if there is something to be found out by that.
func (e *Endpoint) sampleLocked(whole bool) {
	if e.hearing.whole = whole && e.passesSRTPLocked(); e.hearing.whole {
		e.carrier.Sample(lane.MaxPacket)
		return
	}
	e.carrier.Sample(rtpHeader)
}

// passesSRTPLocked: nobody here sees whether what comes is authentic. Where the edge opens packets, each is.
func (e *Endpoint) passesSRTPLocked() bool { return e.remote.Suite != sdp.NoSuite && !e.keys.opening }

// wrongLocked tells what is wrong with a packet of the peer, or with the beginning of one.
func (e *Endpoint) wrongLocked(b []byte, whole bool) (metrics.OneWay, bool) {
	if agreed := e.remote.types(); agreed != (payloadTypes{}) && !agreed.has(b) && b[1]&0x7f != comfortNoise {
		return metrics.OneWayPayloadType, true
	}
	if !whole {
		return 0, false
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

// mayBeQuietLocked tells whether the peer may send nothing while nobody speaks: comfort noise was agreed on (RFC 3389), or was
// the last thing that it sent.
func (e *Endpoint) mayBeQuietLocked() bool {
	return e.carrier.Saying() == comfortNoise || e.remote.mayBeQuiet()
}

func (r Remote) mayBeQuiet() bool {
	for _, c := range r.Ours {
		if _, agreed := c.Among(r.Theirs); agreed && c.Event() && !c.Digits() {
			return true
		}
	}
	return false
}
