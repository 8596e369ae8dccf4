package port

import (
	"maps"
	"slices"
	"time"
)

// Lend gives all but some of the free pairs to another process that has the same range, the longest-released first. They
// are no longer ours until Regain.
func (a *Allocator) Lend(keep int) (given []uint16) {
	a.mu.Lock()
	defer a.mu.Unlock()
	n := max(0, len(a.queue)-keep)
	for _, r := range a.queue[:n] {
		a.lent[r.port] = true
		given = append(given, r.port)
	}
	a.queue = a.queue[n:]
	return given
}

// Only leaves nothing to be taken but what another process has given; the rest of the range is its own until Regain, but
// for pairs that are reserved.
func (a *Allocator) Only(given []uint16) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, r := range a.queue {
		a.lent[r.port] = true
	}
	a.queue = nil
	for _, port := range given {
		if a.lent[port] {
			delete(a.lent, port)
			a.queue = append(a.queue, resting{port: port})
		}
	}
}

// Yield says that another process has a pair that was in use here.
func (a *Allocator) Yield(port uint16) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.used[port] {
		delete(a.used, port)
		a.lent[port] = true
	}
}

// Regain says that the other process has nothing any more: its pairs rest from now on.
func (a *Allocator) Regain() {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := time.Now()
	for _, port := range slices.Sorted(maps.Keys(a.lent)) {
		a.queue = append(a.queue, resting{port, now})
	}
	clear(a.lent)
}
