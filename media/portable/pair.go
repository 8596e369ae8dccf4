// Package portable is the media path that needs nothing but sockets: a pair of them for each
// endpoint, RTP and RTCP. On Linux a few goroutines read all of them, each by an epoll of its own and
// into one buffer; elsewhere each socket has a goroutine.
//
// A Path owns what reads; a Pair owns its two sockets and its counters. Neither decides anything:
// which source is right, where packets go and what is done to them on the way is a Flow, which the
// signalling side publishes whole and packets only read. They know no SDP and no calls, and keys only
// as an Opener and a Stream, which do their work in the buffer that a packet was read into.
//
// Forward, Report and Send may be called from any goroutine and never wait for a packet to be
// handled; Freeze, Thaw and Close belong to one owner and wait for at most one packet in work.
//
// RFC 3550 §11 (port pair), RFC 5761 §4 (RTP and RTCP on one port), RFC 4961 (symmetric RTP).
package portable

import (
	"net/netip"
	"sync/atomic"
	"time"

	"handoff/media/quality"
	"handoff/media/splice"
	"handoff/media/srtp"
)

// Flow is where the packets of an endpoint may come from and where they go. It is immutable once
// given to Forward. Addresses are unmapped (no IPv4 inside IPv6).
type Flow struct {
	// RTP and RTCP are the only sources accepted; both the same when the peer muxes.
	RTP, RTCP netip.AddrPort
	// Open lets RTP through. RTCP always passes (RFC 3264 §5.1: it goes on during a hold).
	Open bool
	// Out is the pair that packets leave by, nil for nowhere, and ToRTP and ToRTCP where to; both
	// the same when that peer muxes, zero for nowhere.
	Out           *Pair
	ToRTP, ToRTCP netip.AddrPort
	// Opener decrypts what comes, nil when it is plain or passes as it is.
	Opener *srtp.Opener
	// Stream is what the other peer is sent, in which this one speaks as Voice, and Back what this
	// one is sent. With a nil Stream packets pass untouched.
	Stream, Back *splice.Stream
	Voice        splice.Voice
	// Reserved is an SSRC of the edge's own under the key of what passes untouched, 0 for none:
	// nothing else under it leaves (RFC 3711 §9.1).
	Reserved uint32
	// Near hears of RTP from the right IP but another port. It is called for each such packet, from
	// the reading goroutine: it must not block.
	Near func(from netip.AddrPort)
}

const (
	// maxPacket is more than an Ethernet frame holds; what fills the buffer was cut off and is malformed.
	maxPacket = 2048
	// ttl is what media leave with: Twilio loses packets that arrive with 10 or less, and a system's
	// default may be changed.
	ttl = 64
)

// newBuffer returns room for a packet, and for what sealing it adds.
func newBuffer() []byte { return make([]byte, maxPacket, maxPacket+srtp.Room) }

// Path makes pairs, and reads what comes for them.
type Path struct {
	epoch   time.Time
	readers readers
}

// New returns a path; nothing runs before its first pair. Arrivals are told since the epoch.
func New(epoch time.Time) *Path { return &Path{epoch: epoch} }

// side is one of the ports of a pair.
type side uint8

const (
	media   side = iota // RTP, and RTCP of a peer that muxes
	control             // RTCP
)

func (s side) String() string { return [...]string{"rtp", "rtcp"}[s] }

// Pair is the two sockets of an endpoint.
type Pair struct {
	sockets  sockets
	epoch    time.Time
	flow     atomic.Pointer[Flow]
	stream   quality.Stream
	counters counters
}

// Open binds both ports of a pair and begins to read; all is dropped until Forward. Counting goes
// on from before, which is zero for a new call.
func (path *Path) Open(ip netip.Addr, port uint16, before quality.Report) (*Pair, error) {
	p := &Pair{epoch: path.epoch}
	p.counters.restore(before.Counters, p.epoch)
	p.stream.Restore(before.Stream)
	if err := p.open(path, ip, port); err != nil {
		return nil, err
	}
	return p, nil
}

// Forward publishes a flow; nil drops everything.
func (p *Pair) Forward(f *Flow) { p.flow.Store(f) }

// SetClock tells the RTP clock rate of what the peer sends.
func (p *Pair) SetClock(hz uint32) { p.stream.SetClock(hz) }

// Send writes one packet of the edge's own. b is borrowed until return.
func (p *Pair) Send(b []byte, to netip.AddrPort) { p.write(media, rtp, b, to) }

// Report returns what was counted so far.
func (p *Pair) Report() quality.Report {
	return quality.Report{Counters: p.counters.read(p.epoch), Stream: p.stream.State()}
}

// handle takes a datagram, which it borrows until it returns and may change, and the room behind it.
func (p *Pair) handle(s side, b []byte, from netip.AddrPort) {
	if s == control {
		p.onRTCPPort(b, from)
		return
	}
	p.onRTPPort(b, from)
}
