// Package lane decides what becomes of a packet that came for an endpoint: whether its source is right,
// what is done to it on the way, and by which endpoint it leaves and where to. It counts and measures
// what came.
//
// Every path that reads packets in user space has a Lane for each endpoint, and does no more itself than
// read them and write what departs. What passes is a Flow, which the signalling side publishes whole and
// packets only read. A lane knows no sockets, no SDP and no calls, and keys only as an Opener and a
// Stream, which do their work in the buffer that a packet was read into.
//
// Forward and Report may be called from any goroutine and never wait. Receive belongs to one at a time
// for each lane.
//
// RFC 3550 §11 (port pair), RFC 5761 §4 (RTP and RTCP on one port), RFC 4961 (symmetric RTP).
package lane

import (
	"net/netip"
	"sync/atomic"
	"time"

	"handoff/media/quality"
	control "handoff/media/rtcp"
	"handoff/media/splice"
	"handoff/media/srtp"
	"handoff/metrics"
)

// Flow is where the packets of an endpoint may come from and where they go. It is immutable once
// given to Forward. Addresses are unmapped (no IPv4 inside IPv6).
type Flow struct {
	// RTP is the only source accepted, and RTCP that of reports; both the same when the peer muxes.
	RTP netip.AddrPort
	// Out is the lane that packets leave by, nil for nowhere, and ToRTP and ToRTCP where to; both
	// the same when that peer muxes, zero for nowhere.
	Out   *Lane
	ToRTP netip.AddrPort
	// Opener decrypts what comes, nil when it is plain or passes as it is.
	Opener *srtp.Opener
	// Stream is what the other peer is sent, in which this one speaks as Voice, and Back what this
	// one is sent. With a nil Stream packets pass untouched.
	Stream *splice.Stream
	Voice  splice.Voice
	// Reserved is an SSRC of the edge's own under the key of what passes untouched, 0 for none:
	// nothing else under it leaves (RFC 3711 §9.1).
	Reserved uint32
	// Events is the payload type by which the peer sends telephone-events, 0 for none.
	Events uint8
	// Open lets RTP through. RTCP always passes (RFC 3264 §5.1: it goes on during a hold).
	Open bool
	// Near hears of RTP from the right IP but another port. It is called for each such packet, from
	// the reading goroutine: it must not block. b is borrowed until return and may be spoilt.
	Near func(b []byte, from netip.AddrPort)
	// Idle, if there is one, hears that RTP of this flow has departed and that nothing else of the
	// lane waits to be read: the moment at which another may carry what follows. Arrives hears of RTP
	// from the peer that came here, before it is counted: nobody else may carry it then. Both are
	// called from the reading goroutine.
	Idle, Arrives func()

	// From here on packets of RTP read nothing.

	RTCP, ToRTCP netip.AddrPort
	// Clock is the RTP clock rate of what the peer sends, in Hz.
	Clock uint32
	// Witness reads reports that are neither plain nor opened; nil when they are.
	Witness *srtp.Witness
	Back    *splice.Stream
}

// Side is one of the two ports of an endpoint.
type Side uint8

const (
	Media   Side = iota // RTP, and RTCP of a peer that muxes
	Control             // RTCP
)

func (s Side) String() string { return [...]string{"rtp", "rtcp"}[s] }

const (
	// MaxPacket is more than an Ethernet frame holds; what fills a buffer of it was cut off and is malformed.
	MaxPacket = 2048
	// BufferSize is room for a packet, and for what sealing it adds.
	BufferSize = MaxPacket + srtp.Room
	// TTL is what media leave with: Twilio loses packets that arrive with 10 or less, and a system's
	// default may be changed.
	TTL = 64
)

// NewBuffer returns room for a packet, of which its length can be read, and the rest is for what sealing adds.
func NewBuffer() []byte { return make([]byte, MaxPacket, BufferSize) }

// Copy returns a packet that waits, in a buffer of its own and with the same room behind it.
func Copy(b []byte) []byte { return append(make([]byte, 0, len(b)+srtp.Room), b...) }

// Lane is one endpoint as its packets see it.
type Lane struct {
	// Owner is what the path has of the endpoint, by which it finds its sockets.
	Owner any

	// What each packet of RTP reads comes first, in as few lines of the cache as it fits into.
	flow     atomic.Pointer[Flow]
	readers  readers
	sampling atomic.Int64  // how many bytes of the next packet are to be kept
	said     atomic.Uint32 // payload type of the last packet
	counters counters
	stream   quality.Stream

	event    atomic.Uint64 // SSRC and timestamp of the last one
	sample   atomic.Pointer[sample]
	epoch    time.Time
	reporter control.Peer
}

// Begin makes the lane ready: all is dropped until Forward. Arrivals are told since the epoch, and
// counting goes on from before, which is zero for a new call.
func (l *Lane) Begin(owner any, epoch time.Time, before quality.Report) {
	l.Owner, l.epoch = owner, epoch
	l.counters.restore(before.Counters, epoch)
	l.stream.Restore(before.Stream)
	l.reporter.Restore(before.Reported)
}

// Resume is Begin of a lane that has begun and carried nothing yet: counting goes on from before.
func (l *Lane) Resume(before quality.Report) { l.Begin(l.Owner, l.epoch, before) }

// Now is the time since the epoch: the arrival of what comes just now.
func (l *Lane) Now() time.Duration { return time.Since(l.epoch) }

// Forward publishes a flow; nil drops everything.
func (l *Lane) Forward(f *Flow) {
	if f != nil {
		l.stream.SetClock(f.Clock)
	}
	if was := l.flow.Swap(f); f == nil || was == nil || was.Out != f.Out {
		l.reporter.Part()
	}
}

// Flow returns what was published, nil for nothing.
func (l *Lane) Flow() *Flow { return l.flow.Load() }

// Report returns what was counted so far.
func (l *Lane) Report() quality.Report {
	return quality.Report{Counters: l.counters.read(l.epoch), Stream: l.stream.State(), Reported: l.reporter.Said()}
}

// Carried adds what another path took from the peer meanwhile; the stream is where that left it.
func (l *Lane) Carried(packets, bytes uint64, seen time.Time, stream quality.State) {
	c := &l.counters
	c.receivedPackets.Add(packets)
	c.receivedBytes.Add(bytes)
	c.lastSeen.Store(max(c.lastSeen.Load(), int64(seen.Sub(l.epoch))))
	l.stream.Resume(stream)
}

// Event notes a packet of a telephone-event (RFC 4733), whoever saw it: all that belong to one have one
// timestamp. Which event it is the edge does not look at: callers dial their secrets.
func (l *Lane) Event(ssrc, timestamp uint32) {
	this := uint64(ssrc)<<32 | uint64(timestamp)
	last := l.event.Swap(this)
	if late := last>>32 == uint64(ssrc) && int32(timestamp-uint32(last)) < 0; late {
		l.event.Store(last)
	} else if last != this {
		l.counters.events.Add(1)
	}
}

// Saying is the payload type of the last packet that came from the peer.
func (l *Lane) Saying() uint8 { return uint8(l.said.Load()) }

// CarriedOut adds what another path sent to the peer meanwhile.
func (l *Lane) CarriedOut(packets, bytes uint64) {
	l.counters.sent.Add(packets)
	l.counters.sentBytes.Add(bytes)
}

// Exit is the lane itself, as an exit of others.
func (l *Lane) Exit() *Lane { return l }

// ReadFailed counts a socket in trouble.
func (l *Lane) ReadFailed() { l.counters.readErrors.Add(1) }

// Departure is a packet that leaves.
type Departure struct {
	// Out is the lane it leaves by, nil if it does not, and By the port.
	Out  *Lane
	By   Side
	To   netip.AddrPort
	B    []byte
	RTCP bool
}

// Left counts a packet at the lane it left by. An error (the far port is closed, the route is gone, the
// buffer is full) is counted and never ends anything: the next packet may pass.
func (d Departure) Left(err error) {
	c := &d.Out.counters
	if err == nil && d.Out.Watched() {
		d.Out.readers.seen(time.Now(), metrics.Out, d.By, d.To, d.B)
	}
	switch {
	case err != nil:
		c.sendErrors.Add(1)
	case d.RTCP:
		c.rtcpSent.Add(1)
	default:
		c.sent.Add(1)
		c.sentBytes.Add(uint64(len(d.B)))
	}
}
