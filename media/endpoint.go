package media

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"handoff/media/sdp"
	"handoff/metrics"
)

// Endpoint is a port pair of the edge and the peer behind it.
type Endpoint struct {
	session *Session
	leg     metrics.Leg
	port    uint16
	carrier carrier

	// guarded by session.mu
	remote Remote
	set    bool
	peer   *Endpoint // the one it is bridged to
	player *player   // what the peer is played instead of the bridge
	near   func(netip.AddrPort)
	ssrc   uint32 // of the next thing played
}

// newEndpoint draws the first SSRC for what is played anew each time, restored sessions included: a
// snapshot may be older than the last packet that was played, and counting on from it would use an
// index of the key twice.
func newEndpoint(s *Session, leg metrics.Leg, number uint16, c carrier) *Endpoint {
	return &Endpoint{session: s, leg: leg, port: number, carrier: c, ssrc: rand.Uint32()}
}

// Leg tells whose endpoint it is.
func (e *Endpoint) Leg() metrics.Leg { return e.leg }

// Local is where the peer is told to send to.
func (e *Endpoint) Local() sdp.Local { return e.session.relay.local(e.port) }

// Set tells what offer and answer settled; each later one replaces it. From then on packets from
// exactly these addresses are let in, and the peer is sent to there.
func (e *Endpoint) Set(remote Remote) error {
	if ip := remote.RTP.Addr(); ip.IsValid() && ip.Is4() != e.session.relay.cfg.Listen.Is4() {
		return fmt.Errorf("%w: %s", ErrFamily, ip)
	}
	e.session.mu.Lock()
	defer e.session.mu.Unlock()
	if e.session.closed {
		return ErrClosed
	}
	if e.player != nil {
		if err := e.player.aim(remote, e.freshLocked); err != nil {
			return err
		}
	}
	if !e.set || remote.RTP != e.remote.RTP {
		e.near = e.warnOnce(remote.RTP)
	}
	e.remote, e.set = remote, true
	e.publishLocked()
	if e.peer != nil {
		e.peer.publishLocked()
	}
	return nil
}

// publishLocked tells the path what passes from this endpoint.
func (e *Endpoint) publishLocked() {
	if !e.set {
		return
	}
	f := &flow{from: e.remote, near: e.near}
	if p := e.peer; p != nil && p.set {
		f.out, f.to = p.carrier, p.remote
		// Two streams at once would garble each other at the listener: while something is played
		// to it, the bridge is silent in this direction.
		f.open = e.remote.Send && p.remote.Receive && p.player == nil
	}
	e.carrier.forward(f)
}

// leaveLocked ends the bridge.
func (e *Endpoint) leaveLocked() {
	p := e.peer
	if p == nil {
		return
	}
	e.peer, p.peer = nil, nil
	if !e.session.closed {
		e.publishLocked()
		p.publishLocked()
	}
}

// freshLocked returns an SSRC that this endpoint has played nothing under and that the other side
// of the bridge, whose key covers it, does not use.
func (e *Endpoint) freshLocked() uint32 {
	e.ssrc++
	if e.peer != nil && e.peer.carrier.report().Stream.SSRC == e.ssrc {
		e.ssrc++
	}
	return e.ssrc
}

// nearWindow is how long after Set a packet from a wrong port is worth a warning.
const nearWindow = 2 * time.Second

// learnSetting is the setting that admits media from a port that the SDP did not announce.
var learnSetting = map[metrics.Leg]string{
	metrics.LegA: "twilio.media_learn: window",
	metrics.LegB: "watson.media_learn: window",
	metrics.LegC: "twilio.media_learn: window",
}

// warnOnce makes the listener for packets from the announced IP and another port: a NAT or a peer
// that is not symmetric, and nobody will hear it. One line, however many packets.
func (e *Endpoint) warnOnce(announced netip.AddrPort) func(netip.AddrPort) {
	until := time.Now().Add(nearWindow)
	var done atomic.Bool
	return func(from netip.AddrPort) {
		if done.Load() || done.Swap(true) || time.Now().After(until) {
			return
		}
		e.session.log.Warn("media comes from another port than announced and is dropped",
			zap.Stringer("leg", e.leg),
			zap.Stringer("announced", announced), zap.Stringer("source", from),
			zap.String("admitted_by", learnSetting[e.leg]))
	}
}
