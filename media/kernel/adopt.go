//go:build linux && (amd64 || arm64)

package kernel

import (
	"fmt"
	"slices"
	"sync/atomic"
)

// findAdopted notes the slots that an earlier process left live.
func (p *Path) findAdopted() {
	for port := int(p.cfg.First); port <= int(p.cfg.Last); port++ {
		if !p.slot(uint16(port)).isOff() {
			p.adopted[uint16(port)] = struct{}{}
		}
	}
}

// Adopted returns, by port, the ways of the slots that an earlier process left live and that nobody
// took or stopped. They forward until their deadline.
func (p *Path) Adopted() []Way {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil
	}
	ways := make([]Way, 0, len(p.adopted))
	for port := range p.adopted {
		c := p.slot(port).snapshot()
		ways = append(ways, c.way(port))
	}
	slices.SortFunc(ways, func(a, b Way) int { return a.Local.Compare(b.Local) })
	return ways
}

// Take makes an adopted slot ours, as if we had started it: it forwards on, without a gap, and its
// counts go on.
func (p *Path) Take(port uint16) error {
	p.mu.Lock()
	if _, adopted := p.adopted[port]; p.closed || !adopted {
		p.mu.Unlock()
		return fmt.Errorf("take %d: %w", port, ErrNotAdopted)
	}
	delete(p.adopted, port)
	s := p.slot(port)
	c := s.snapshot()
	p.started[port] = &started{way: c.way(port), hop: c.hop(), foreign: atomic.LoadUint64(&s.foreign)}
	s.refresh(p.deadline())
	p.mu.Unlock()
	p.reroute() // the hop may have changed while nobody looked
	return nil
}
