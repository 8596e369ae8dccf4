// Package port hands out the media ports of the edge.
//
// It owns the range and who has which pair; it opens no sockets and knows no calls. Any goroutine
// may call it; nothing in it blocks.
//
// RFC 3550 §11: RTP on an even port, RTCP on the next one.
package port

import (
	"errors"
	"fmt"
	"sync"
	"time"
)

var (
	// ErrExhausted: every pair of the range is in use.
	ErrExhausted = errors.New("media ports exhausted")
	// ErrTaken: the pair asked for is in use or not of the range.
	ErrTaken = errors.New("media port taken")
)

// Allocator hands out pairs, the longest-released first: a port goes to the next call as late as
// possible, so that what a peer still sends to the last one reaches nobody.
type Allocator struct {
	rest time.Duration

	mu    sync.Mutex
	queue []resting // the free pairs, longest-released first
	used  map[uint16]bool
	lent  map[uint16]bool // another process has them
	total int
}

type resting struct {
	port  uint16
	since time.Time // zero: never used
}

// New covers the even ports of min–max whose odd neighbour is in the range too.
func New(minimum, maximum uint16, rest time.Duration) (*Allocator, error) {
	a := &Allocator{rest: rest, used: map[uint16]bool{}, lent: map[uint16]bool{}}
	for p := max(2, int(minimum)+int(minimum)%2); p+1 <= int(maximum); p += 2 {
		a.queue = append(a.queue, resting{port: uint16(p)})
	}
	if a.total = len(a.queue); a.total == 0 {
		return nil, fmt.Errorf("media ports %d-%d: no even port with its neighbour", minimum, maximum)
	}
	return a, nil
}

// Take returns the RTP port of a pair. shortened tells that the pair has not rested its time:
// better a port that rested less than a call refused.
func (a *Allocator) Take() (port uint16, shortened bool, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.queue) == 0 {
		return 0, false, fmt.Errorf("%w: %d pairs", ErrExhausted, a.total)
	}
	r := a.queue[0]
	a.queue = a.queue[1:]
	a.used[r.port] = true
	return r.port, !r.since.IsZero() && time.Since(r.since) < a.rest, nil
}

// Reserve takes the pair of a call that is restored.
func (a *Allocator) Reserve(port uint16) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.lent[port] {
		delete(a.lent, port)
		a.used[port] = true
		return nil
	}
	for i, r := range a.queue {
		if r.port == port {
			a.queue = append(a.queue[:i:i], a.queue[i+1:]...)
			a.used[port] = true
			return nil
		}
	}
	return fmt.Errorf("%w: %d", ErrTaken, port)
}

// Release lets a pair rest. A pair that is not in use stays as it is.
func (a *Allocator) Release(port uint16) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.used[port] {
		delete(a.used, port)
		a.queue = append(a.queue, resting{port, time.Now()})
	}
}

// Free counts the pairs that Take can return, resting ones included.
func (a *Allocator) Free() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.queue)
}
