package media

import (
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"time"

	"handoff/media/lane"
	"handoff/media/sdp"
	"handoff/metrics"
)

// Packet is one that came from a leg or went to it, of which only the header is known.
type Packet struct {
	Time          time.Time
	Leg           metrics.Leg
	Direction     metrics.Direction
	Local, Remote netip.AddrPort
	Header        []byte
	Size          int
}

const (
	// maxPackets is how many of one leg are gathered between two takes: twenty seconds of both directions.
	maxPackets = 2000
	// maxWatches is how many may watch a session at one time: each costs every packet, and memory.
	maxWatches = 4
)

// ErrWatched says that as many watch a session as may.
var ErrWatched = fmt.Errorf("%d capture the media of this call already: the next has to wait for one of them", maxWatches)

// Watch is what somebody gathers of a session.
type Watch struct {
	legs []legWatch
	stop func()
}

type legWatch struct {
	*Endpoint
	local   sdp.Local
	headers *lane.Headers
}

// Watch gathers the headers of the packets of all endpoints that there are, whoever carries them: what the kernel does comes
// back, and stays until nobody watches. What the edge itself plays is not among them. Several may watch at one time.
func (s *Session) Watch() (*Watch, error) {
	if s.watches.Add(1) > maxWatches {
		s.watches.Add(-1)
		return nil, ErrWatched
	}
	w := &Watch{}
	for _, e := range s.Endpoints() {
		w.legs = append(w.legs, legWatch{e, e.Local(), e.carrier.Exit().Watch(maxPackets)})
		if way, ok := e.carrier.(*shortcut); ok {
			way.recall()
		}
	}
	w.stop = sync.OnceFunc(func() {
		for _, leg := range w.legs {
			leg.carrier.Exit().Unwatch(leg.headers)
		}
		s.watches.Add(-1)
	})
	return w, nil
}

// Take returns what was gathered since the last time, in the order of the times.
func (w *Watch) Take() []Packet {
	var all []Packet
	for _, leg := range w.legs {
		for _, h := range leg.headers.Take() {
			at := leg.local.RTP
			if h.Side == lane.Control {
				at = leg.local.RTCP
			}
			all = append(all, Packet{Time: h.At, Leg: leg.leg, Direction: h.Direction, Local: at, Remote: h.Far, Header: h.B, Size: h.Size})
		}
	}
	slices.SortStableFunc(all, func(a, b Packet) int { return a.Time.Compare(b.Time) })
	return all
}

// Stop ends it; what was gathered can be taken still. It may be called again, and from any goroutine.
func (w *Watch) Stop() { w.stop() }
