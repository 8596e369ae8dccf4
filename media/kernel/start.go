//go:build linux && (amd64 || arm64)

package kernel

import (
	"fmt"
	"sync/atomic"

	"handoff/media/quality"
)

// Start makes the slot of w.Local's port live; one that was is stopped before. Statistics go on from
// since. If that is a stream in progress, the slot takes over at the packet after since.Highest, and
// until then everything goes up, as other streams do even then; else it takes whatever comes next.
func (p *Path) Start(w Way, since quality.State) error {
	w = w.unmapped()
	if err := p.network.settle(&w); err != nil {
		return fmt.Errorf("start: %w", err)
	}
	if err := w.check(p.cfg.First, p.cfg.Last); err != nil {
		return fmt.Errorf("start: %w", err)
	}
	h, err := p.network.hopOf(w, p.has)
	if err != nil {
		return fmt.Errorf("start: %w", err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return fmt.Errorf("start: %w", ErrClosed)
	}
	port := w.Local.Port()
	s := p.slot(port)
	s.turnOff()
	s.setHop(h)
	s.setWay(w)
	s.setStream(since)
	p.sample(port).empty()
	s.refresh(p.deadline())
	delete(p.adopted, port)
	p.started[port] = &started{way: w, hop: h, foreign: atomic.LoadUint64(&s.foreign)}
	s.turnOn()
	return nil
}

// Stop ends what Start began, or an earlier process, and returns what was counted. Behind it nothing
// more is counted, and nothing forwarded but a packet that the program has let go to its device.
func (p *Path) Stop(port uint16) Counts {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || !p.has(port) {
		return Counts{}
	}
	_, adopted := p.adopted[port]
	if p.started[port] == nil && !adopted {
		return Counts{}
	}
	s := p.slot(port)
	s.turnOff()
	counts := p.counts(port, s)
	delete(p.started, port)
	delete(p.adopted, port)
	return counts
}

// Read returns what a slot has counted, and whether it was started or adopted.
func (p *Path) Read(port uint16) (Counts, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	_, adopted := p.adopted[port]
	if p.closed || p.started[port] == nil && !adopted {
		return Counts{}, false
	}
	c := p.slot(port).snapshot()
	return p.counts(port, &c), true
}

// Devices tells at which devices media is met, and by what: "tcx", "clsact", "xdp, tcx" or "xdp, clsact".
func (p *Path) Devices() map[string]string { return p.network.devices() }

func (p *Path) counts(port uint16, s *slot) Counts {
	c := Counts{Packets: s.packets, Bytes: s.bytes, EventsLost: uint64(s.eventsLost), Stream: s.stream(), Timestamp: s.timestamp, Type: s.saying}
	if own := p.started[port]; own != nil {
		c.Foreign = atomic.LoadUint64(&s.foreign) - own.foreign
	}
	if s.lastSeen != 0 {
		c.LastSeen = p.at(s.lastSeen)
	}
	return c
}

// has tells whether a port has a slot.
func (p *Path) has(port uint16) bool { return port >= p.cfg.First && port <= p.cfg.Last }
