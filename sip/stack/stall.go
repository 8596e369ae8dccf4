package stack

import (
	"sync/atomic"
	"time"
)

// reader is the goroutine that reads a socket or connection, as others see it.
type reader struct {
	at atomic.Int64 // since the clock began, when it took the message that it is at; 0: it waits for one
}

func (r *reader) take(now time.Duration) { r.at.Store(int64(now) + 1) }
func (r *reader) taken()                 { r.at.Store(0) }

func (f *Flow) reader() *reader {
	if f.udp != nil {
		return &f.udp.reader
	}
	return &f.stream.reader
}

// Stalled returns how long the reader that has been at one message for longest is at it, 0 if all wait for their next
// one. Handlers do not block, so a second is a fault.
func (s *Stack) Stalled() time.Duration {
	first := int64(0)
	look := func(r *reader) {
		if at := r.at.Load(); at > 0 && (first == 0 || at < first) {
			first = at
		}
	}
	for _, u := range s.sockets {
		look(&u.reader)
	}
	s.mu.Lock()
	for f := range s.flows {
		look(&f.stream.reader)
	}
	s.mu.Unlock()
	if first == 0 {
		return 0
	}
	return max(s.clock.now()-time.Duration(first), 0)
}
