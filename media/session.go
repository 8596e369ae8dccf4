package media

import (
	"fmt"
	"net/netip"
	"sync"
	"sync/atomic"

	"handoff/media/quality"
	"handoff/media/splice"
	"handoff/metrics"
)

// Session is the media of one call.
type Session struct {
	relay   *Relay
	id      string
	fast    atomic.Int32 // how many ways the kernel carries
	watches atomic.Int32 // how many watch

	learning sync.WaitGroup // what has found a source

	mu        sync.Mutex // guards all below and the endpoints; no packet ever takes it
	endpoints []*Endpoint
	players   splice.Voice // how many there have been
	frozen    bool
	closed    bool
}

// EndpointStats is what passed an endpoint so far, and by which path it comes now.
type EndpointStats struct {
	Leg  metrics.Leg
	Path metrics.Path
	// Local and Remote are where its RTCP goes; zero before Set.
	Local, Remote netip.AddrPort
	quality.Report
}

// Endpoint reserves a port pair for a leg and binds it; nothing passes before Set. The error is
// port.ErrExhausted when none is free.
func (s *Session) Endpoint(leg metrics.Leg) (*Endpoint, error) {
	return s.EndpointToward(leg, netip.Addr{})
}

// EndpointToward is Endpoint for a peer whose address is known, of whichever family.
func (s *Session) EndpointToward(leg metrics.Leg, peer netip.Addr) (*Endpoint, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, ErrClosed
	}
	at, err := s.relay.home(peer)
	if err != nil {
		return nil, fmt.Errorf("media for leg %s: %w: %s", leg, err, peer)
	}
	c, number, err := s.relay.bind(at)
	if err != nil {
		return nil, fmt.Errorf("media for leg %s: %w", leg, err)
	}
	return s.addLocked(leg, at, number, c), nil
}

func (s *Session) addLocked(leg metrics.Leg, at home, number uint16, c carrier) *Endpoint {
	if s.frozen {
		c.Freeze()
	}
	if way, ok := c.(*shortcut); ok {
		way.moved = s.moved
	}
	e := newEndpoint(s, leg, at, number, c)
	s.endpoints = append(s.endpoints, e)
	return e
}

// moved counts the session to the path that carries any of it.
func (s *Session) moved(delta int) {
	now, observer := s.fast.Add(int32(delta)), s.relay.deps.Observer
	switch {
	case delta > 0 && now == 1:
		observer.Sessions(s.relay.Path(), -1)
		observer.Sessions(metrics.PathKernel, +1)
	case now == 0:
		observer.Sessions(metrics.PathKernel, -1)
		observer.Sessions(s.relay.Path(), +1)
	}
}

// Endpoints returns the endpoints in the order in which they were made.
func (s *Session) Endpoints() []*Endpoint {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]*Endpoint(nil), s.endpoints...)
}

// Bridge lets packets pass between two endpoints of the session. Whatever either was bridged to
// before stays without a bridge. Endpoints of another session are not bridged.
//
// The keys decide how: where each peer holds the other's key, and a payload type means the same to both,
// packets pass as they are. Otherwise the
// edge terminates: it decrypts by the sender's key, encrypts by the receiver's, either may be plain,
// and the receiver's stream keeps its SSRC and goes on from where it was, whoever speaks. A peer that
// was passed to and is terminated now hears a new SSRC under the key it holds.
func (s *Session) Bridge(x, y *Endpoint) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || x == y || x.session != s || y.session != s {
		return
	}
	if x.peer != y {
		x.leaveLocked()
		y.leaveLocked()
		x.peer, y.peer = y, x
	}
	x.publishLocked()
}

// Unbridge ends the bridge of an endpoint, if there is one.
func (s *Session) Unbridge(x *Endpoint) {
	s.mu.Lock()
	defer s.mu.Unlock()
	x.leaveLocked()
}

// Stats returns the counters of every endpoint, in the order of Endpoints. It works after Close.
func (s *Session) Stats() []EndpointStats {
	all := s.Endpoints()
	stats := make([]EndpointStats, len(all))
	for i, e := range all {
		path := s.relay.Path()
		if way, ok := e.carrier.(*shortcut); ok && way.live.Load() {
			path = metrics.PathKernel
		}
		local, remote := e.reports()
		stats[i] = EndpointStats{Leg: e.leg, Path: path, Local: local, Remote: remote, Report: e.carrier.Report()}
	}
	return stats
}

// Freeze stops everything in its place: when it returns, no packet is forwarded, played or counted
// until Thaw, and what comes in between waits in the sockets.
func (s *Session) Freeze() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || s.frozen {
		return
	}
	s.frozen = true
	for _, e := range s.endpoints {
		if e.player != nil {
			e.player.pause(true)
		}
		e.carrier.Freeze()
	}
}

// Thaw lets a frozen session go on.
func (s *Session) Thaw() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || !s.frozen {
		return
	}
	s.frozen = false
	for _, e := range s.endpoints {
		e.carrier.Thaw()
		if e.player != nil {
			e.player.pause(false)
		}
	}
}

// Close stops what is played, closes the sockets and lets the ports rest. Closing twice is once.
func (s *Session) Close() {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return
	}
	s.closed = true
	var ports []uint16
	var players []*player
	for _, e := range s.endpoints {
		e.carrier.Forward(nil)
		ports = append(ports, e.port)
		if e.player != nil {
			players = append(players, e.player)
		}
	}
	s.mu.Unlock()
	// Without the lock: a player that ends takes it.
	for _, p := range players {
		p.halt()
	}
	for _, e := range s.endpoints {
		e.carrier.Close()
	}
	s.learning.Wait()
	s.relay.release(ports)
	s.relay.forget(s)
}
