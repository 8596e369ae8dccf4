// Package portable is the media path that needs nothing but sockets: a pair of them for each
// endpoint, RTP and RTCP, and one goroutine for each socket.
//
// A Pair owns its two sockets, their readers and its counters. It does not decide anything: which
// source is right, where packets go and what is done to them on the way is a Flow, which the
// signalling side publishes whole and packets only read. It knows no SDP and no calls, and keys only
// as an Opener and a Stream, which do their work in the buffer that a packet was read into.
//
// Forward, Report and Send may be called from any goroutine and never wait for a packet;
// Freeze, Thaw and Close belong to one owner and wait for at most one packet in work.
//
// RFC 3550 §11 (port pair), RFC 5761 §4 (RTP and RTCP on one port), RFC 4961 (symmetric RTP).
package portable

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync"
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

// maxPacket is more than an Ethernet frame holds; what fills the buffer was cut off and is malformed.
const maxPacket = 2048

// buffers are those of readers that have ended: a call that is short takes four of them.
var buffers = sync.Pool{New: func() any {
	buf := make([]byte, maxPacket, maxPacket+srtp.Room)
	return &buf
}}

// Pair is the two sockets of an endpoint.
type Pair struct {
	rtp, rtcp *net.UDPConn
	epoch     time.Time
	flow      atomic.Pointer[Flow]
	stream    quality.Stream
	counters  counters
	readers   sync.WaitGroup
}

// Open binds both ports of a pair and begins to read; all is dropped until Forward. Counting goes
// on from before, which is zero for a new call. Arrivals are told since the epoch, which all pairs of
// a session share.
func Open(ip netip.Addr, port uint16, before quality.Report, epoch time.Time) (*Pair, error) {
	rtp, err := listen(ip, port)
	if err != nil {
		return nil, fmt.Errorf("bind rtp: %w", err)
	}
	rtcp, err := listen(ip, port+1)
	if err != nil {
		_ = rtp.Close()
		return nil, fmt.Errorf("bind rtcp: %w", err)
	}
	p := &Pair{rtp: rtp, rtcp: rtcp, epoch: epoch}
	p.counters.restore(before.Counters, p.epoch)
	p.stream.Restore(before.Stream)
	p.start()
	return p, nil
}

// Forward publishes a flow; nil drops everything.
func (p *Pair) Forward(f *Flow) { p.flow.Store(f) }

// SetClock tells the RTP clock rate of what the peer sends.
func (p *Pair) SetClock(hz uint32) { p.stream.SetClock(hz) }

// Send writes one packet of the edge's own. b is borrowed until return.
func (p *Pair) Send(b []byte, to netip.AddrPort) { p.write(p.rtp, rtp, b, to) }

// Report returns what was counted so far.
func (p *Pair) Report() quality.Report {
	return quality.Report{Counters: p.counters.read(p.epoch), Stream: p.stream.State()}
}

// Freeze stops reading. What arrives waits in the sockets until Thaw; nothing is lost unless their
// buffers (some seconds of audio) overflow.
func (p *Pair) Freeze() {
	p.deadline(time.Unix(1, 0))
	p.readers.Wait()
}

// Thaw reads on.
func (p *Pair) Thaw() {
	p.deadline(time.Time{})
	p.start()
}

// Close closes the sockets and waits for the readers.
func (p *Pair) Close() {
	_ = p.rtp.Close()
	_ = p.rtcp.Close()
	p.readers.Wait()
}

func (p *Pair) deadline(t time.Time) {
	_ = p.rtp.SetReadDeadline(t)
	_ = p.rtcp.SetReadDeadline(t)
}

func (p *Pair) start() {
	// Both end when Freeze or Close makes their read fail; both wait for them.
	p.readers.Go(func() { p.read(p.rtp, p.onRTPPort) })
	p.readers.Go(func() { p.read(p.rtcp, p.onRTCPPort) })
}

// read gives each datagram to handle, which borrows it until it returns and may change it, and the
// room behind it.
func (p *Pair) read(conn *net.UDPConn, handle func(b []byte, from netip.AddrPort)) {
	pooled := buffers.Get().(*[]byte)
	defer buffers.Put(pooled)
	buf := *pooled
	for {
		n, from, err := conn.ReadFromUDPAddrPort(buf)
		switch {
		case err == nil:
			handle(buf[:n], netip.AddrPortFrom(from.Addr().Unmap(), from.Port()))
		case errors.Is(err, net.ErrClosed), errors.Is(err, os.ErrDeadlineExceeded):
			return
		default:
			// An ICMP error of an earlier write, on some systems. The pause keeps a socket that is
			// broken for good from eating a core.
			p.counters.readErrors.Add(1)
			time.Sleep(time.Millisecond)
		}
	}
}

// listen binds to one family only: on a dual-stack socket every source would come as IPv4 inside
// IPv6, and an edge that announces an IPv4 address has no use for it.
func listen(ip netip.Addr, port uint16) (*net.UDPConn, error) {
	network := "udp4"
	if ip.Is6() {
		network = "udp6"
	}
	conn, err := net.ListenUDP(network, net.UDPAddrFromAddrPort(netip.AddrPortFrom(ip, port)))
	if err != nil {
		return nil, err
	}
	if err := setTTL(conn, ip.Is6()); err != nil {
		_ = conn.Close()
		return nil, fmt.Errorf("set ttl: %w", err)
	}
	return conn, nil
}
