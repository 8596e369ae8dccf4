// Package portable is the media path that needs nothing but sockets: a pair of them for each
// endpoint, RTP and RTCP. On Linux a few goroutines read all of them, each by an epoll of its own and
// into one buffer; elsewhere each socket has a goroutine.
//
// A Path owns what reads; a Pair owns its two sockets. Neither decides anything: that is done by the
// pair's Lane.
//
// Forward, Report and Send may be called from any goroutine and never wait for a packet to be
// handled; Freeze, Thaw and Close belong to one owner and wait for at most one packet in work.
package portable

import (
	"net/netip"
	"time"

	"handoff/media/lane"
	"handoff/media/quality"
)

// Path makes pairs, and reads what comes for them.
type Path struct {
	epoch   time.Time
	readers readers
}

// New returns a path; nothing runs before its first pair. Arrivals are told since the epoch.
func New(epoch time.Time) *Path { return &Path{epoch: epoch} }

// Pair is the two sockets of an endpoint.
type Pair struct {
	lane.Lane
	sockets sockets
}

// Open binds both ports of a pair and begins to read; all is dropped until Forward. Counting goes
// on from before, which is zero for a new call.
func (path *Path) Open(ip netip.Addr, port uint16, before quality.Report) (*Pair, error) {
	p := new(Pair)
	p.Begin(p, path.epoch, before)
	if err := p.open(path, ip, port); err != nil {
		return nil, err
	}
	return p, nil
}

// Adopt is Open with sockets that another process has bound and reads no more. The pair is frozen: what waits in the
// sockets is read behind Thaw. They are the pair's, or closed if there is an error.
func (path *Path) Adopt(sockets [2]int, before quality.Report) (*Pair, error) {
	p := new(Pair)
	p.Begin(p, path.epoch, before)
	if err := p.adopt(path, sockets); err != nil {
		return nil, err
	}
	return p, nil
}

// Yield does nothing: who has the descriptors of a frozen pair reads it.
func (*Pair) Yield(time.Duration) bool { return true }

// Retake does nothing likewise.
func (*Pair) Retake() {}

// Send writes one packet of the edge's own. b is borrowed until return.
func (p *Pair) Send(b []byte, to netip.AddrPort) { write(lane.Departure{Out: &p.Lane, To: to, B: b}) }

// handle takes a datagram, which it borrows until it returns and may change, and the room behind it. It
// tells whether it was RTP that left.
func (p *Pair) handle(s lane.Side, b []byte, from netip.AddrPort) (rtp bool) {
	d := p.Receive(s, b, from, p.Now())
	if d.Out == nil {
		return false
	}
	write(d)
	return !d.RTCP
}

func write(d lane.Departure) { d.Left(d.Out.Owner.(*Pair).send(d.By, d.B, d.To)) }
