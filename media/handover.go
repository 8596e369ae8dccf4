package media

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"time"

	"handoff/media/sdp"
	"handoff/media/splice"
	"handoff/media/srtp"
)

// A session goes from process to process without a packet lost: it is frozen here, written down to the last number of its
// streams, and goes on there. On the portable path what comes meanwhile waits in its sockets, which go along. On the userspace
// path the other process takes the ports first, and what comes waits there, frozen, until this one has handed on what came
// before:
//
//	old                     new
//	Handover ── offer ─────▶ Take
//	 └─ Freeze  ── snapshot ▶ Adopt
//	Depart                    └─ Thaw

// FrozenSnapshot is what only a frozen endpoint can tell: where exactly its streams stand. Another process
// counts on from there under the same key and SSRC, and so this one must send nothing more.
type FrozenSnapshot struct {
	Stream splice.Frozen `json:"stream"`
	// SSRC is that of the edge's own stream under the key, or of the next one if nothing was sent (not Sealing).
	SSRC    uint32             `json:"ssrc"`
	Sealing bool               `json:"sealing,omitempty"`
	Opener  *srtp.FrozenOpener `json:"opener,omitempty"`
	Opening bool               `json:"opening,omitempty"`
	// Watched tells that no other source is learnt or warned of any more.
	Watched bool `json:"watched,omitempty"`
}

// ErrStays: a session can't go on in another process: something is played, or its path has nothing to hand over.
var ErrStays = errors.New("media can't leave the process")

// Offer names the ports of a session that is about to be handed over.
type Offer struct {
	ID    string        `json:"id"`
	Ports []OfferedPort `json:"ports"`
}

// OfferedPort is one pair.
type OfferedPort struct {
	Port uint16 `json:"port"`
	IPv6 bool   `json:"ipv6,omitempty"`
}

// Movable tells whether sessions can go to another process, and if not why.
func (r *Relay) Movable() error {
	_, err := r.path.shares()
	return err
}

// yieldTime is how long the other process may take to take a port.
const yieldTime = time.Second

// Handover freezes a session and writes it down for another process. Where ports are shared it lets that process know of
// them first, by offer, upon which it calls Take; else it lends the descriptors of the sockets, endpoint by endpoint.
// Thereafter either Depart follows, or Retake and Thaw; behind an error these.
func (s *Session) Handover(offer func(Offer) error) (Snapshot, [][]int, error) {
	shared, err := s.relay.path.shares()
	if err == nil {
		err = s.playsNothing()
	}
	if err == nil && shared {
		err = s.yield(offer)
	}
	if err != nil {
		return Snapshot{}, nil, err
	}
	s.Freeze()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return Snapshot{}, nil, ErrClosed
	}
	snap, sockets, now := s.snapshotLocked(), make([][]int, len(s.endpoints)), time.Since(s.relay.epoch)
	for i, e := range s.endpoints {
		sockets[i] = e.carrier.Descriptors()
		if !shared && len(sockets[i]) == 0 {
			return Snapshot{}, nil, fmt.Errorf("%w: leg %s", ErrStays, e.leg)
		}
		if e.set {
			frozen := e.freezeLocked(now)
			snap.Endpoints[i].Frozen = &frozen
		}
	}
	return snap, sockets, nil
}

// playsNothing: a player can't go along.
func (s *Session) playsNothing() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range s.endpoints {
		if e.player != nil {
			return fmt.Errorf("%w: leg %s hears something", ErrStays, e.leg)
		}
	}
	return nil
}

// yield lets another process have the ports.
func (s *Session) yield(offer func(Offer) error) error {
	all := s.Endpoints()
	what := Offer{ID: s.id}
	for _, e := range all {
		what.Ports = append(what.Ports, OfferedPort{e.port, e.home.public.Is6()})
	}
	if err := offer(what); err != nil {
		return err
	}
	for _, e := range all {
		if !e.carrier.Yield(yieldTime) {
			s.Retake()
			return fmt.Errorf("%w: nobody takes the ports of leg %s", ErrStays, e.leg)
		}
	}
	return nil
}

// Retake has the ports again of a session that was offered and has not departed.
func (s *Session) Retake() {
	for _, e := range s.Endpoints() {
		e.carrier.Retake()
	}
}

// Take takes the ports of a session from another process; what comes for them waits for Adopt. If it fails that process
// sees that they are still its own.
func (r *Relay) Take(o Offer) error {
	r.drop(o.ID) // it was offered before, and has stayed
	all := make([]carrier, 0, len(o.Ports))
	for _, p := range o.Ports {
		c, err := r.takePort(p)
		if err != nil {
			for _, taken := range all {
				taken.Close()
			}
			return fmt.Errorf("take port %d of %s: %w", p.Port, o.ID, err)
		}
		all = append(all, c)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.offered[o.ID] = all
	return nil
}

// drop closes what was taken for a session that has not come.
func (r *Relay) drop(id string) {
	r.mu.Lock()
	all := r.offered[id]
	delete(r.offered, id)
	r.mu.Unlock()
	for _, c := range all {
		c.Close()
	}
}

func (r *Relay) takePort(p OfferedPort) (carrier, error) {
	at, err := r.home(p.family())
	if err != nil {
		return nil, err
	}
	return r.path.take(at.listen, p.Port)
}

func (p OfferedPort) family() netip.Addr {
	if p.IPv6 {
		return netip.IPv6Unspecified()
	}
	return netip.IPv4Unspecified()
}

// taken returns the next carrier that was taken for a session, nil for none.
func (r *Relay) taken(id string) (c carrier) {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := r.offered[id]
	if len(all) == 0 {
		return nil
	}
	if c = all[0]; len(all) == 1 {
		delete(r.offered, id)
	} else {
		r.offered[id] = all[1:]
	}
	return c
}

func (e *Endpoint) freezeLocked(now time.Duration) FrozenSnapshot {
	f := FrozenSnapshot{
		Stream: e.out.Freeze(now), SSRC: e.keys.ssrc, Sealing: e.keys.sealing, Opening: e.keys.opening,
		Watched: e.lookout.done.Load() || time.Now().After(e.lookout.until),
	}
	if e.keys.opener != nil {
		opener := e.keys.opener.Freeze()
		f.Opener = &opener
	}
	return f
}

// Depart lets go of a session that another process has taken over: its sockets are closed here, and its ports are the
// other's.
func (s *Session) Depart() {
	s.mu.Lock()
	s.closed = true
	all := s.endpoints
	s.mu.Unlock()
	for _, e := range all {
		e.carrier.Close()
		s.relay.ports.Yield(e.port)
	}
	s.learning.Wait()
	s.relay.forget(s)
}

// Adopt goes on with a session of another process, which has frozen it there. What waits in its sockets passes before
// Adopt returns or soon after. The sockets are the session's, and closed where there is an error.
func (r *Relay) Adopt(snap Snapshot, sockets [][]int) (*Session, error) {
	s := r.NewSession(snap.ID)
	s.frozen = true // nobody else knows it yet
	if err := s.restore(snap, sockets); err != nil {
		s.Close()
		return nil, fmt.Errorf("go on with media of %s: %w", snap.ID, err)
	}
	s.Thaw()
	return s, nil
}

func (e *Endpoint) thawLocked(f FrozenSnapshot) error {
	e.keys.ssrc, e.keys.sealing, e.keys.opening = f.SSRC, f.Sealing, f.Opening
	var sealer *srtp.Sealer
	var err error
	if f.Stream.Sealer != nil && e.remote.Suite != sdp.NoSuite {
		if sealer, err = srtp.ThawSealer(e.remote.Suite, e.remote.LocalKey, *f.Stream.Sealer); err != nil {
			return err
		}
	}
	e.out.Thaw(f.Stream, sealer, time.Since(e.session.relay.epoch))
	if f.Opener != nil {
		if e.keys.opener, err = srtp.ThawOpener(e.remote.Suite, e.remote.RemoteKey, *f.Opener); err != nil {
			return err
		}
	}
	if f.Watched {
		e.lookout.done.Store(true)
	}
	e.publishLocked()
	return nil
}

// LendPorts gives free ports to another process that has the same range, and OnlyPorts takes them there; see
// port.Allocator.
func (r *Relay) LendPorts() []uint16 {
	defer r.tellPorts()
	return r.ports.Lend(min(maxKept, r.ports.Free()/8))
}

// maxKept is how many pairs a process that leaves keeps at most for what its last calls may still want: agents.
const maxKept = 32

// OnlyPorts leaves nothing to take but what another process has given.
func (r *Relay) OnlyPorts(given []uint16) {
	defer r.tellPorts()
	r.ports.Only(given)
}

// RegainPorts says that the other process has none any more.
func (r *Relay) RegainPorts() error {
	defer r.tellPorts()
	r.mu.Lock()
	left := slices.Collect(maps.Keys(r.offered))
	r.mu.Unlock()
	for _, id := range left {
		r.drop(id)
	}
	r.ports.Regain()
	return r.path.reclaim()
}

func (r *Relay) tellPorts() { r.deps.Observer.PortsFree(r.ports.Free()) }

// ReleaseKernel lets another process have the kernel path. What it carried goes by the path below.
func (r *Relay) ReleaseKernel() error {
	if p, ok := r.path.(*shortcutPath); ok {
		return p.release()
	}
	return nil
}

// Accelerate takes the kernel path where another process has had it, and lets the sessions that there are go over. On an
// error all stay on the path below.
func (r *Relay) Accelerate() error {
	p, ok := r.path.(*shortcutPath)
	if !ok {
		return nil
	}
	if err := p.accelerate(); err != nil {
		return fmt.Errorf("media stay out of the kernel: %w", err)
	}
	r.mu.Lock()
	all := slices.Collect(maps.Keys(r.sessions))
	r.mu.Unlock()
	for _, s := range all {
		s.republish()
	}
	return nil
}

// republish asks every flow again which path may carry it.
func (s *Session) republish() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range s.endpoints {
		if !s.closed && e.set {
			e.flowLocked()
		}
	}
}
