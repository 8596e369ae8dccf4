package b2bua

import "sync"

// crewSize is how many goroutines wait for work; those above it end when they have none.
const crewSize = 32

// crew are the goroutines that serve the calls which have something to do. A call that waits has none: that would take a
// third of its memory. Each keeps the stack that it has grown, and who was busy last is called first. With the last
// call all end.
type crew struct {
	mu    sync.Mutex
	calls int
	idle  []chan loop // of capacity 1
}

// loop is a call, as the crew sees it.
type loop interface {
	// turn goes on until there is nothing to do. last tells that there never will be again.
	turn() (last bool)
}

// enlist counts a call in, before its first turn.
func (cr *crew) enlist() {
	cr.mu.Lock()
	defer cr.mu.Unlock()
	cr.calls++
}

// serve gives a call a turn. It never blocks.
func (cr *crew) serve(l loop) {
	cr.mu.Lock()
	defer cr.mu.Unlock()
	if n := len(cr.idle); n > 0 {
		cr.idle[n-1] <- l
		cr.idle = cr.idle[:n-1]
		return
	}
	go cr.work(l) // ends when it is one too many, at the latest with the last call
}

func (cr *crew) work(l loop) {
	deepen()
	next := make(chan loop, 1)
	for l != nil && cr.waits(next, l.turn()) {
		l = <-next
	}
}

// waits tells, behind a turn, whether there will be something in next.
func (cr *crew) waits(next chan loop, last bool) bool {
	cr.mu.Lock()
	defer cr.mu.Unlock()
	if last {
		cr.calls--
	}
	if cr.calls == 0 {
		for _, other := range cr.idle {
			close(other)
		}
		cr.idle = nil
		return false
	}
	if len(cr.idle) == crewSize {
		return false
	}
	cr.idle = append(cr.idle, next)
	return true
}

// deepen lets the stack grow to what a call needs, once and while there is little on it to be moved. Left alone it
// doubles in the depth of a set-up, twice.
//
//go:noinline
func deepen() byte {
	var room [5 << 10]byte
	return room[len(room)-1]
}
