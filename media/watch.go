package media

import (
	"net/netip"
	"slices"
	"time"

	"handoff/media/lane"
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

// maxPackets is how many of one leg are gathered at one time: twenty seconds of both directions.
const maxPackets = 2000

// Watch gathers the headers of the packets of all endpoints that there are, whoever carries them: what the kernel does comes
// back, and stays until the returned function has been called, which ends it and gives what was gathered, in the order of the
// times. What the edge itself plays is not among them.
func (s *Session) Watch() (stop func() []Packet) {
	endpoints := s.Endpoints()
	for _, e := range endpoints {
		e.carrier.Exit().Watch(maxPackets)
		if way, ok := e.carrier.(*shortcut); ok {
			way.recall()
		}
	}
	return func() []Packet {
		var all []Packet
		for _, e := range endpoints {
			local := e.Local()
			for _, h := range e.carrier.Exit().Unwatch() {
				at := local.RTP
				if h.Side == lane.Control {
					at = local.RTCP
				}
				all = append(all, Packet{Time: h.At, Leg: e.leg, Direction: h.Direction, Local: at, Remote: h.Far, Header: h.B, Size: h.Size})
			}
		}
		slices.SortStableFunc(all, func(a, b Packet) int { return a.Time.Compare(b.Time) })
		return all
	}
}
