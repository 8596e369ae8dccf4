package relay

import (
	"net"
	"net/netip"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"handoff/media/lane"
)

// system is what a port has on Linux.
type system struct {
	path   *Path
	worker *worker
	ip     netip.Addr // that peers send to; unspecified is any
	number uint16     // of RTP
	closed atomic.Bool

	// guarded by worker.work
	frozen  bool
	leaving bool // RTP has departed since its worker last found nothing to read

	// towards the peer
	last  atomic.Pointer[way]        // where the last packet went
	heard atomic.Pointer[netip.Addr] // where the peer sends to, with an unspecified ip

	waiting []waiting // guarded by worker.work
}

// waiting is a datagram that came during a freeze.
type waiting struct {
	datagram
	b []byte
}

// maxWaiting is how many datagrams wait at most: some seconds of audio. What comes then is lost and
// counted as a read that failed.
const maxWaiting = 256

// Forward publishes a flow, nil for nothing, and looks up the way that it takes, so that no packet has to.
func (p *Port) Forward(f *lane.Flow) {
	if f != nil && f.Out != nil {
		if out := f.Out.Owner.(*Port).path; out.Speaks(f.ToRTP.Addr()) {
			out.ways.to(f.ToRTP.Addr())
		}
	}
	p.Lane.Forward(f)
}

// Send writes one packet of the edge's own. b is borrowed until return.
func (p *Port) Send(b []byte, to netip.AddrPort) {
	p.path.sending.Lock()
	defer p.path.sending.Unlock()
	p.path.own.add(lane.Departure{Out: &p.Lane, To: to, B: b}, p.Now())
	p.path.own.flush()
}

// way finds how to get to an address.
func (p *Port) way(to netip.Addr) (*way, *route, error) {
	if p.closed.Load() {
		return nil, nil, net.ErrClosed
	}
	y := p.last.Load()
	if y == nil || y.to != to || y.retired.Load() {
		if !p.path.Speaks(to) {
			return nil, nil, unix.EAFNOSUPPORT
		}
		y = p.path.ways.to(to)
		p.last.Store(y)
	}
	return y, y.route.Load(), nil
}

// source is the address that packets leave with: the one that the peer sends to, as far as that is known.
func (p *Port) source(r *route) netip.Addr {
	if !p.ip.IsUnspecified() {
		return p.ip
	}
	if heard := p.heard.Load(); heard != nil {
		return *heard
	}
	return r.source
}

// hear notes where the peer sends to.
func (p *Port) hear(at netip.Addr) {
	if !p.ip.IsUnspecified() {
		return
	}
	if heard := p.heard.Load(); heard == nil || *heard != at {
		moved := at // for only this may leave the stack
		p.heard.Store(&moved)
	}
}

// at tells whether a datagram is for the port: one that waited in the socket may be for an earlier one
// of its number.
func (p *Port) at(w *worker, ip netip.Addr) bool {
	return p.worker == w && !p.closed.Load() && (p.ip == ip || p.ip.IsUnspecified())
}

func (p *Port) side(number uint16) lane.Side {
	if number == p.number {
		return lane.Media
	}
	return lane.Control
}

// Freeze stops handling. What arrives waits until Thaw; nothing is lost unless that takes seconds.
func (p *Port) Freeze() {
	p.worker.work.Lock()
	defer p.worker.work.Unlock()
	p.frozen = !p.closed.Load()
}

// Thaw goes on, with what has waited before all that is newer.
func (p *Port) Thaw() {
	w := p.worker
	w.work.Lock()
	defer w.work.Unlock()
	if p.closed.Load() {
		return
	}
	p.frozen = false
	for _, d := range p.waiting {
		w.forward(p, d.datagram, d.b)
	}
	w.out.flush()
	p.waiting = nil
}

// wait keeps a datagram for Thaw.
func (p *Port) wait(d datagram, b []byte) {
	if len(p.waiting) == maxWaiting {
		p.ReadFailed()
		return
	}
	p.waiting = append(p.waiting, waiting{d, lane.Copy(b)})
}

// Close silences both ports; after it nothing is read or sent. It may be called twice.
func (p *Port) Close() {
	if p.closed.Swap(true) {
		return
	}
	p.path.forget(p)
	// Whoever met the port open is done with it after this.
	for _, w := range p.path.workers {
		w.work.Lock()
		if w == p.worker {
			p.waiting = nil
		}
		w.work.Unlock()
	}
	p.path.sending.Lock()
	defer p.path.sending.Unlock()
}

// Descriptors are none: the socket is that of all ports.
func (p *Port) Descriptors() []int { return nil }

// Yield waits until another process has taken the pair (Take), and hands on what had come before. Behind it nothing
// comes here any more. It is false, and the pair is ours, when nobody has taken it within that time.
func (p *Port) Yield(within time.Duration) bool {
	for deadline := time.Now().Add(within); p.owned(); time.Sleep(yieldPoll) {
		if time.Now().After(deadline) {
			p.Retake()
			return false
		}
	}
	// Twice: the system may still be putting a packet into the socket that it has looked up before.
	p.worker.empty()
	time.Sleep(time.Millisecond)
	p.worker.empty()
	return true
}

// Retake has the pair again, whoever has taken it.
func (p *Port) Retake() {
	for n := p.number; n <= p.number+1; n++ {
		p.path.lookup.hand(n, p.worker.place)
	}
}

// yieldPoll is how often it is looked whether somebody has taken a pair.
const yieldPoll = 50 * time.Microsecond

// owned tells whether either port is still ours.
func (p *Port) owned() bool {
	lookup, place := p.path.lookup, p.worker.place
	return lookup.holder(p.number) == place || lookup.holder(p.number+1) == place
}
