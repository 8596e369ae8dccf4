package media

import (
	"fmt"
	"math/rand/v2"
	"net/netip"

	"handoff/media/lane"
	"handoff/media/sdp"
	"handoff/media/splice"
	"handoff/metrics"
)

// Endpoint is a port pair of the edge and the peer behind it.
type Endpoint struct {
	session *Session
	leg     metrics.Leg
	home    home
	port    uint16
	carrier carrier

	voice splice.Voice  // in the streams of others
	out   splice.Stream // what the peer is sent, unless that passes untouched

	// guarded by session.mu
	remote  Remote
	set     bool
	peer    *Endpoint // the one it is bridged to
	player  *player   // what the peer is played
	lookout *lookout  // nil before Set
	keys    keys
	hearing hearing
}

func newEndpoint(s *Session, leg metrics.Leg, at home, number uint16, c carrier) *Endpoint {
	return &Endpoint{
		session: s, leg: leg, home: at, port: number, carrier: c,
		voice: splice.Voice(len(s.endpoints) + 1),
		keys:  keys{ssrc: rand.Uint32()},
	}
}

// Leg tells whose endpoint it is.
func (e *Endpoint) Leg() metrics.Leg { return e.leg }

// Local is where the peer is told to send to.
func (e *Endpoint) Local() sdp.Local { return e.home.at(e.port) }

// reports are the ends between which RTCP goes; zero before Set. A peer that muxes has one port for both, as the edge has
// for it (RFC 5761).
func (e *Endpoint) reports() (local, remote netip.AddrPort) {
	e.session.mu.Lock()
	defer e.session.mu.Unlock()
	if !e.set {
		return netip.AddrPort{}, netip.AddrPort{}
	}
	at := e.Local()
	if e.remote.RTCP == e.remote.RTP {
		return at.RTP, e.remote.RTP
	}
	return at.RTCP, e.remote.RTCP
}

// Set tells what offer and answer settled; each later one replaces it. From then on packets from
// exactly these addresses are let in, and the peer is sent to there. Where the configuration allows it, another
// port of the same IP may be learnt.
func (e *Endpoint) Set(remote Remote) error {
	if ip := remote.RTP.Addr(); ip.IsValid() && !e.home.reaches(ip) {
		return fmt.Errorf("%w: %s", ErrFamily, ip)
	}
	if err := remote.check(); err != nil {
		return err
	}
	e.session.mu.Lock()
	defer e.session.mu.Unlock()
	if e.session.closed {
		return ErrClosed
	}
	remote = e.lookOutLocked(remote)
	if err := e.rekeyLocked(remote); err != nil {
		return err
	}
	e.remote, e.set, e.hearing.wrong = remote, true, false
	e.out.SetClock(remote.Clock)
	if e.player != nil {
		e.player.aim(remote)
	}
	e.publishLocked()
	return nil
}

// publishLocked tells the path what passes from this endpoint and from its peer.
func (e *Endpoint) publishLocked() {
	e.flowLocked()
	if e.peer != nil {
		e.peer.flowLocked()
	}
}

func (e *Endpoint) flowLocked() {
	e.admitLocked()
	if !e.set {
		return
	}
	e.hearing.openLocked(e.bridgedLocked() && e.peer.remote.Receive && e.remote.Send && e.remote.RTP.IsValid())
	r, passing := e.remote, e.passingLocked()
	f := &lane.Flow{RTP: r.RTP, RTCP: r.RTCP, Clock: r.Clock, Events: r.events(), Near: e.lookout.near, Voice: e.voice}
	if p := e.peer; e.bridgedLocked() {
		f.Out, f.ToRTP, f.ToRTCP, f.Open = p.carrier.Exit(), p.remote.RTP, p.remote.RTCP, p.hearsLocked()
		if passing {
			f.Reserved = p.keys.used()
		} else {
			p.useLocked()
			f.Stream, f.Back = &p.out, &e.out
		}
	}
	if f.Opener = e.openerLocked(passing); f.Opener == nil {
		f.Witness = e.witnessLocked()
	}
	e.carrier.Forward(f)
	e.sampleLocked(true)
}

// admitLocked says who speaks to the peer.
func (e *Endpoint) admitLocked() {
	var bridge, player splice.Voice
	hears := e.bridgedLocked() && e.hearsLocked()
	if hears && !e.passingLocked() {
		bridge = e.peer.voice
		e.out.Translate(translation(e.peer.remote, e.remote))
	}
	if e.player != nil {
		player = e.player.voice
		e.player.yieldTo(nil)
		if hears {
			e.player.yieldTo(e.peer.carrier)
		}
	}
	e.out.Admit(bridge, player)
}

// bridgedLocked: both ends of a bridge know their peers.
func (e *Endpoint) bridgedLocked() bool { return e.set && e.peer != nil && e.peer.set }

// passingLocked: what is bridged here goes through as it is.
func (e *Endpoint) passingLocked() bool {
	return e.bridgedLocked() && e.remote.passes(e.peer.remote)
}

// hearsLocked tells whether the peer is sent what the other side of its bridge says. While something
// is played to it that does not yield it is not: two streams at once would garble each other.
func (e *Endpoint) hearsLocked() bool {
	return e.peer.remote.Send && e.remote.Receive && (e.player == nil || e.player.yields)
}

// leaveLocked ends the bridge.
func (e *Endpoint) leaveLocked() {
	p := e.peer
	if p == nil {
		return
	}
	e.peer, p.peer = nil, nil
	e.out.Part()
	p.out.Part()
	if !e.session.closed {
		e.publishLocked()
		p.publishLocked()
	}
}
