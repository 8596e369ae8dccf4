package media

import (
	"net/netip"

	"handoff/media/portable"
	"handoff/media/quality"
	"handoff/media/splice"
	"handoff/media/srtp"
	"handoff/metrics"
)

// path carries the packets of endpoints. A session decides, a path obeys.
type path interface {
	kind() metrics.Path
	// open binds the port pair of an endpoint. It drops everything until its first flow, and
	// counts on from before.
	open(ip netip.Addr, port uint16, before quality.Report) (carrier, error)
	// close is after that of all carriers.
	close()
}

// carrier is one endpoint on its path. forward, send and report never wait for a packet, and report
// works after close; freeze and close wait for the packet in work. After freeze nothing is
// forwarded or counted until thaw, and what comes waits in the system.
type carrier interface {
	// forward replaces what passes, nil for nothing.
	forward(*flow)
	// send writes a packet of the edge's own; b is borrowed until return.
	send(b []byte, to netip.AddrPort)
	report() quality.Report
	freeze()
	thaw()
	close()
}

// flow is what passes from one endpoint to another; immutable.
type flow struct {
	from Remote
	// out is the endpoint packets leave by, nil for none, and to the peer there.
	out carrier
	to  Remote
	// open lets RTP through; RTCP always passes.
	open bool
	// opener decrypts, nil for what is plain or passes as it is.
	opener *srtp.Opener
	// stream is what the other peer is sent, in which this one speaks as voice, and back what this
	// one is sent; nil for what passes as it is.
	stream, back *splice.Stream
	voice        splice.Voice
	// reserved is the edge's own SSRC under the key of what passes as it is, 0 for none.
	reserved uint32
	// near hears of RTP from the right IP and another port; it does not block.
	near func(netip.AddrPort)
}

// portablePath is media/portable as a path.
type portablePath struct{ pairs *portable.Path }

func (portablePath) kind() metrics.Path { return metrics.PathPortable }

func (p portablePath) open(ip netip.Addr, port uint16, before quality.Report) (carrier, error) {
	pair, err := p.pairs.Open(ip, port, before)
	if err != nil {
		return nil, err
	}
	return portableCarrier{pair}, nil
}

func (p portablePath) close() { p.pairs.Close() }

type portableCarrier struct{ pair *portable.Pair }

func (c portableCarrier) forward(f *flow) {
	if f == nil {
		c.pair.Forward(nil)
		return
	}
	c.pair.SetClock(f.from.Clock)
	way := &portable.Flow{
		RTP: f.from.RTP, RTCP: f.from.RTCP, Open: f.open, Near: f.near,
		Opener: f.opener, Stream: f.stream, Back: f.back, Voice: f.voice, Reserved: f.reserved,
	}
	if out, ok := f.out.(portableCarrier); ok {
		way.Out, way.ToRTP, way.ToRTCP = out.pair, f.to.RTP, f.to.RTCP
	}
	c.pair.Forward(way)
}

func (c portableCarrier) send(b []byte, to netip.AddrPort) { c.pair.Send(b, to) }
func (c portableCarrier) report() quality.Report           { return c.pair.Report() }
func (c portableCarrier) freeze()                          { c.pair.Freeze() }
func (c portableCarrier) thaw()                            { c.pair.Thaw() }
func (c portableCarrier) close()                           { c.pair.Close() }
